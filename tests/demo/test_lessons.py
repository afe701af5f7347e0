"""The lessons that come with the demo: each plays, and none answers what another prompt asks."""

import itertools

import httpx2
import pytest
from demo_server import LESSONS, asked, demo_server
from lesson_check import check

from qwen_magic.demo import DemoServer
from qwen_magic.demo.lesson import BUNDLED, read_lessons

LESSON = {lesson.name: lesson for lesson in read_lessons([BUNDLED])}
BUILT_IN = ("web_search", "web_extractor", "code_interpreter")
OPEN = [lesson for lesson in LESSON.values() if not lesson.hidden]


def ways_to_ask(lesson):
    """A prompt for each set of slots, since a text may name only slots that its prompt has."""
    by_slots = {}
    for pattern in lesson.patterns:
        slots = frozenset(name for name in lesson.slots if f"{{{name}}}" in pattern.prompt)
        by_slots.setdefault(slots, pattern.example)
    return list(by_slots.values())


WAYS = [(lesson.name, prompt) for lesson in OPEN for prompt in ways_to_ask(lesson)]
RUNS = {lesson.name for lesson in OPEN if any(step.kind == "run" for step in lesson.steps)}


@pytest.fixture(scope="module")
def server():
    with demo_server(lessons=()) as demo:
        yield demo


@pytest.fixture
def ask(server):
    """Asks with tools by name. Gives the response, and which lesson has answered."""

    def asked_for(prompt, tools=(), **body):
        offered = [
            {"type": name} if name in BUILT_IN else {"type": "function", "name": name}
            for name in tools
        ]
        body = {"model": "m", "input": prompt, "tools": offered, **body}
        reply = httpx2.post(f"{server.base_url}/responses", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        return reply.json(), asked(server)[-1].lesson

    return asked_for


def said(response):
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "\n".join(part["text"] for item in messages for part in item["content"])


def logs(response):
    runs = [item for item in response["output"] if item["type"] == "code_interpreter_call"]
    return "\n".join(output["logs"] for run in runs for output in run["outputs"])


@pytest.mark.parametrize("folder", [BUNDLED, LESSONS], ids=["bundled", "of the tests"])
def test_nothing_is_wrong_with_the_lessons(folder):
    assert check(read_lessons([folder])) == []


def test_there_is_one_for_what_is_typed_first():
    assert len(OPEN) > 100


@pytest.mark.parametrize(("name", "prompt"), WAYS, ids=itertools.count())
def test_a_lesson_plays_to_its_end(ask, name, prompt):
    """With the code interpreter for all that runs, so that a failure would show in the logs."""
    lesson = LESSON[name]
    if "image" in lesson.needs:
        return
    tools = {*lesson.needs, "code_interpreter"} if name in RUNS else lesson.needs
    response, played = ask(prompt, tools)
    assert played == name
    assert response["status"] == "completed"
    text = said(response)
    assert "{{" not in text
    assert "ended with an error" not in text
    assert "Traceback" not in logs(response)
    if response["output"][-1]["type"] != "function_call":
        assert "Offline demo" in text


def test_what_is_computed_is_right(ask):
    tools = ["code_interpreter"]
    assert "**5,489,270.997**" in said(
        ask("What is the variance of the first 1,000 primes? Show the plot.", tools)[0]
    )
    assert "**391**" in said(ask("17*23")[0])
    assert "**8.5**" in said(ask("What is 17 x 0.5?")[0])
    assert "**2.8**" in said(ask("the mean of 3, 1, 4, 1 and 5")[0])
    assert "**25**" in said(ask("List the primes below 100")[0])
    assert "**98.6 °F**" in said(ask("Convert 37 °C to °F")[0])


def test_a_computation_is_out_of_sight_without_the_tool(ask):
    kinds = [item["type"] for item in ask("What is 17*23?")[0]["output"]]
    assert kinds == ["message"]
    kinds = [item["type"] for item in ask("What is 17*23?", ["code_interpreter"])[0]["output"]]
    assert kinds == ["code_interpreter_call", "message"]


def test_a_tool_that_is_missing_is_named(ask):
    response, _ = ask("Plot a sine wave")
    assert "code_interpreter" in said(response)
    assert [item["type"] for item in response["output"]] == ["message"]
    response, _ = ask("Plot a sine wave", ["code_interpreter"], tool_choice="none")
    assert [item["type"] for item in response["output"]] == ["message"]


def test_the_three_tools_together(ask):
    response, _ = ask("Use all three tools", BUILT_IN, enable_thinking=True)
    kinds = [item["type"] for item in response["output"] if item["type"] != "reasoning"]
    assert kinds == ["web_search_call", "web_extractor_call", "code_interpreter_call", "message"]


def test_rows_of_a_function_are_shown_as_a_table(ask, server):
    first, name = ask("What did EMEA sell most of?", ["rows"])
    (call,) = first["output"]
    assert (name, call["name"], call["arguments"]) == ("rows", "rows", '{"region": "EMEA"}')
    output = '[{"product": "tea", "revenue": 12.5}, {"product": "jam", "revenue": 3}]'
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
    told, _ = ask([result], ["rows"], previous_response_id=first["id"])
    assert "| tea | 12.5 |" in said(told)


TASK = (
    "My notebook raised the exception below. Explain in a few sentences what went wrong, then give "
    "the corrected code."
)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ZeroDivisionError: division by zero", "fix_zero_division"),
        ("NameError: name 'x' is not defined", "fix_name_error"),
        ("KeyError: 'pear'", "fix_key_error"),
        ("ModuleNotFoundError: No module named 'x'", "fix_missing_module"),
        ("TypeError: 'int' object is not callable", "fix_type_error"),
        ("Exception: something else", "fix_other"),
    ],
)
def test_an_exception_is_explained_by_its_kind(ask, line, name):
    assert ask(f"{TASK}\n\nplease\n\nCell 3:\n>>   1  x\n\n{line}")[1] == name


def test_a_picture_is_said_not_to_be_seen(ask):
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    for words in ("What is this?", "Hello"):
        text = {"type": "input_text", "text": words}
        response, name = ask([{"role": "user", "content": [text, image]}])
        assert name in ("picture_sent", "")
        assert "Hello!" not in said(response)


UNKNOWN = [
    "What is the capital of Atlantis?",
    "What is the capital of France and Spain?",
    "What is 2+2 in binary?",
    "What is 17*23 divided by zero point one?",
    "What is the mean of life?",
    "What is the mean of my data?",
    "What is the variance of the first 1,000 squares?",
    "What is the variance of the first thousand primes times two?",
    "Plot the population of France",
    "Plot sin(x) + cos(x)**2",
    "Plot a sine wave in red",
    "Fit a line to planets.csv",
    "Fit a line to my measurements",
    "Simulate 500 throws of three dice, and plot the sums.",
    "Simulate two throws of 500 dice",
    "Roll two dice 10**9 times",
    "Search for the Riemann hypothesis",
    "Search for the prime number theorem, and translate it into French",
    "What does it say?",
    "And why?",
    "Are you sure?",
    "Explain quantum computing",
    "Explain variance to a child of five in German",
    "Translate 'the cat sat on the mat' into French",
    "Say good morning in Klingon",
    "Write a function that reverses a linked list",
    "Write a function that sorts a string by vowels",
    "Write a poem about my grandmother",
    "Show me a table of sales by region",
    "How many days until my birthday?",
    "Is 0 prime?",
    "Is this sentence prime?",
    "List the primes between 100 and 200",
    "Convert 5 bananas to apples",
    "Convert 100 dollars to euros",
    "Who wrote Faust?",
    "What is the weather on Mars?",
    "Which is larger, 9.11 or 9.9?",
    "My cat's name is John",
    "What is my cat's name?",
    "什么是标准差？",
    "前十个质数是什么？",
    "Hola, ¿cuál es la capital de Francia?",
    "print('hello')",
    "import os; os.system('ls')",
    "region,sales\nnorth,1\nsouth,2",
    "data/planets.csv",
    "...",
]


@pytest.mark.parametrize("prompt", UNKNOWN)
@pytest.mark.parametrize("tools", [(), BUILT_IN], ids=["no tools", "all tools"])
def test_a_prompt_of_no_lesson_gets_no_other_ones_answer(ask, prompt, tools):
    """Also where a lesson has answered the turn before."""
    before, name = ask("What is 2+2?")
    assert name == "add"
    for body in ({}, {"previous_response_id": before["id"]}):
        response, name = ask(prompt, tools, **body)
        assert name == ""
        assert [item["type"] for item in response["output"]] == ["message"]
        assert said(response).startswith("This is the offline demo")
        assert "it has no lesson for this prompt" in said(response)


def test_a_lesson_that_follows_another_plays_only_there(ask):
    prompt, tools = "Plot period against distance.", ["code_interpreter"]
    assert ask(prompt, tools)[1] == ""
    dice, _ = ask("Simulate 500 throws of two dice, and plot the sums.", tools)
    assert ask(prompt, tools, previous_response_id=dice["id"])[1] == ""


@pytest.mark.parametrize(
    "words",
    [
        "{{given}} {{n}}",
        "print(1)",
        "x </details><script>alert(1)",
        "x');import os;os.system('ls')",
    ],
)
def test_what_a_slot_holds_is_data(ask, words):
    response, name = ask(f"Repeat after me: {words}")
    assert name == "repeat"
    assert words in said(response)


def test_the_kernel_s_own_server_leaves_the_signature_to_the_footer():
    with demo_server(signs=False) as server:
        body = {"model": "demo", "input": "Hello"}
        reply = httpx2.post(f"{server.base_url}/responses", json=body)
    assert "Offline demo" not in said(reply.json())
    kernels = DemoServer.from_environ({}).start()
    assert not kernels.player.signs
    kernels.close()

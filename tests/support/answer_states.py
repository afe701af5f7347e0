"""Fourteen states of an answer that the gallery shows and the page tests go through."""

import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path

from qwen_magic.conversation.chain import CellKey, Chain, Turn
from qwen_magic.conversation.outline import outline_of
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.question import Question
from qwen_magic.document.steps import figure_urls
from qwen_magic.frontends.dry_run import DryRun, Price, dry_run_html
from qwen_magic.frontends.history import history_html
from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.protocol.events import ResponseEnded
from qwen_magic.protocol.request import RequestPart
from qwen_magic.protocol.response import Usage
from qwen_magic.protocol.state import ResponseState


def _turns():
    path = Path(__file__).parents[1] / "document" / "conftest.py"
    spec = importlib.util.spec_from_file_location("turns_of_states", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


turns = _turns()


@dataclass(frozen=True)
class State:
    """A document at one moment. `outcome` is None while it runs; `facts`: what the page's actions
    are told of it. `html`: what is shown once and is no answer, in place of a document."""

    name: str
    document: Document | None
    outcome: Outcome | None
    seconds: float
    facts: dict = field(default_factory=dict)
    html: str = ""

    @property
    def is_running(self):
        return self.outcome is None


def text(words, start=1.0, index=0):
    """A message that came whole."""
    content = [{"type": "output_text", "text": words}]
    return [
        (start, turns.added("message", f"m{index}", index, content=[])),
        *turns.deltas("output_text", f"m{index}", index, [words], start + 0.2, 0.1),
        (start + 0.6, turns.done("message", f"m{index}", index, content=content)),
    ]


def run(code, logs, start=1.0, index=0):
    """A code run that ended."""
    outputs = [{"type": "logs", "logs": logs}]
    return [
        (start, turns.added("code_interpreter_call", f"c{index}", index, code="", outputs=[])),
        (
            start + 2.4,
            turns.done("code_interpreter_call", f"c{index}", index, code=code, outputs=outputs),
        ),
    ]


def thought(words, start, seconds, index):
    return [
        (start, turns.added("reasoning", f"r{index}", index, summary=[])),
        *turns.deltas("reasoning_text", f"r{index}", index, [words], start + 0.1, 0.1),
        (start + seconds, turns.done("reasoning", f"r{index}", index, summary=[{"text": words}])),
    ]


HOSTS = [
    "en.wikipedia.org", "www.nature.com", "arxiv.org", "oeis.org", "mathworld.wolfram.com",
    "a-rather-long-host-name.of-a-university-department.example.ac.uk", "zh.wikipedia.org",
]  # fmt: skip


def search(query, sources, start, index):
    urls = [
        f"https://{HOSTS[(n + index) % len(HOSTS)]}/wiki/Prime_{index}_{n}" for n in range(sources)
    ]
    action = {"type": "search", "queries": [query], "query": query}
    found = {**action, "sources": [{"type": "url", "url": url} for url in urls]}
    return [
        (start, turns.added("web_search_call", f"s{index}", index, action=action)),
        (start + 1.9, turns.done("web_search_call", f"s{index}", index, action=found)),
    ]


QUERIES = [
    "prime number theorem history",
    "Hadamard de la Vallée Poussin 1896 proof",
    "elementary proof Selberg Erdős 1949",
    "素数定理 誤差項",
    "مبرهنة الأعداد الأولية",
    "best known error term prime number theorem 2026",
]


def many_sources():
    events, at, index = [], 1.0, 0
    for number, query in enumerate(QUERIES):
        events += thought(f"I look for *{query}* next.", at, 3.0, index)
        events += search(query, 15 + number % 2, at + 3.1, index + 1)
        at, index = at + 6.0, index + 2
    answer = (
        "The theorem was conjectured by Gauss and Legendre [2] and proved in 1896 by Hadamard and"
        " de la Vallée Poussin, independently [17][18]. Selberg and Erdős gave an elementary"
        " proof in 1949 [33].\n\n1. **1792** Gauss, at fifteen [2]\n2. **1896** both proofs\n\n"
        "> The human mind has never invented a labor-saving machine equal to algebra.\n"
    )
    return [*events, *text(answer, at, index), (at + 1, turns.ended(usage=turns.USAGE))]


FAILING = "import pandas as pd\n\ndf = pd.read_csv('sales-2026.csv')\nprint(df.head())\n"
TRACEBACK = (
    "```\nTraceback (most recent call last):\n"
    '  File "/home/sandbox/run.py", line 3, in <module>\n'
    "    df = pd.read_csv('sales-2026.csv')\n"
    "FileNotFoundError: [Errno 2] No such file or directory: 'sales-2026.csv'\n```"
)

COLUMNS = ["Country", "Capital", "Population", "Area (km²)", "GDP (US$)", "Currency", "Notes"]


def long_table():
    rows = [
        f"| Country {n} | City {n} | {n * 1_234_567:,} | {n * 9_871:,} | ${n * 12:,} bn |"
        f" CUR{n} | a longer note that takes room, number {n} |"
        for n in range(1, 41)
    ]
    table = "\n".join(["| " + " | ".join(COLUMNS) + " |", "|---|---|--:|--:|--:|:-:|---|", *rows])
    return text(f"Forty countries, as asked:\n\n{table}\n\nThe last column is made up.\n")


MATHS = r"""The **Gaussian integral** is $\int_{-\infty}^{\infty} e^{-x^2}\,dx = \sqrt{\pi}$; squared:

$$
I^2 = \int_{-\infty}^{\infty}\int_{-\infty}^{\infty} e^{-(x^2+y^2)}\,dx\,dy = \int_0^{2\pi}\int_0^{\infty} e^{-r^2}\,r\,dr\,d\theta = \pi
$$

It costs $5 and $10, not $x$.

- [x] 日本語の段落もそのまま読めます。改行位置も自然です。
- [ ] Emoji: 👩‍🔬 🇩🇪 ✅

هذه فقرة باللغة العربية، وفيها رقم 1,234 ومعادلة $a^2+b^2=c^2$ وكلمة Python.
"""  # noqa: E501

LONG_CODE = "\n".join(
    ["```python", "import math", "", '"""Sixty lines,', 'with a text over two."""', ""]
    + [f"value_{n} = math.sqrt({n})  # the square root of {n}" for n in range(57)]
    + ["```"]
)


def _played(events, until, outcome, **facts):
    turn = TurnFacts("qwen3-max", "main", 4, key="0123456789abcdef", endpoint="singapore", **facts)
    document = Document(turn)
    response = ResponseState()
    for at, event in events:
        if at <= until:
            response.apply(event, at)
            document.update(response, at)
    for entry in response.entries:
        for url in figure_urls(entry.item):
            document.figure(url, turns.png())
    seconds = min(until, events[-1][0])
    if outcome is None:
        document.update(response, seconds)
    else:
        document.finish(response, seconds, outcome)
    return document, seconds


def _state(name, events, outcome=None, until=float("inf"), *, actions=None, **facts):
    document, seconds = _played(events, until, outcome, **facts)
    return State(name, document, outcome, seconds, {"chat": "main"} | (actions or {}))


def _code_running():
    code = turns.CODE
    head = [
        *thought("A sieve is enough.", 1.0, 2.0, 0),
        (3.1, turns.added("code_interpreter_call", "c1", 1, code="", outputs=[])),
    ]
    pieces = [code[n : n + 20] for n in range(0, len(code), 20)]
    return head + turns.deltas("code_interpreter_call_code", "c1", 1, pieces, 3.2, 0.01)


def _ended(events):
    return [*events, (events[-1][0] + 0.5, turns.ended(usage=turns.USAGE))]


EMEA = "region == 'EMEA' and year >= 2024 and product in ('Aurora lamp', 'Tidal fan')"
CALLS = [
    ("rows", {"where": EMEA, "limit": 20},
     CallResult('[{"region": "EMEA", "product": "Aurora lamp", "sold": 1204}]')),
    ("forecast", {"months": 60}, CallResult.failure("ValueError: at most 36 months")),
    ("delete_rows", {"where": "year < 2020"},
     CallResult.refusal("the user refused this call of delete_rows")),
]  # fmt: skip


def _calls():
    events = thought("The sales table is in the notebook: I ask for its rows.", 1.0, 2.0, 0)
    for number, (name, arguments, _output) in enumerate(CALLS, 1):
        call = {"name": name, "arguments": json.dumps(arguments), "call_id": f"call_{number}"}
        events += [
            (3.0 + number / 10, turns.added("function_call", f"f{number}", number)),
            (3.1 + number / 10, turns.done("function_call", f"f{number}", number, **call)),
        ]
    return [*events, (3.6, turns.ended(usage=turns.USAGE))]


def _functions(*, asked):
    """Calls of notebook functions: `asked` about the first, or all of them answered."""
    document = Document(TurnFacts("qwen3-max", "main", 4, key="0123456789abcdef"))
    response = ResponseState()
    for at, event in _calls():
        response.apply(event, at)
    first = response.calls[0]
    if asked:
        response.take_call(first, "asking", 4.0)
        about = "Rows of the sales table that match a condition."
        document.update(response, 4.0)
        document.ask(first, Question("rows", first.item.arguments, about, "main"))
        return State("asking", document, None, 4.0)
    for entry, (_name, _arguments, result) in zip(response.calls, CALLS, strict=True):
        response.take_call(entry, "running", 4.0)
        response.answer_call(entry, result, 4.3)
    response.next_response()
    for at, event in _ended(text("EMEA bought **1,204** Aurora lamps.", 5.0)):
        response.apply(event, at)
    document.update(response, 6.0)
    document.finish(response, 6.0, Outcome())
    return State("functions", document, Outcome(), 6.0, {"chat": "main"})


def _history():
    """A conversation whose first cells ran more than once, and which was stepped back in."""

    def asked(key, parent, cell, prompt, **more):
        more = {"status": "completed", "text": "x", "model": "qwen3-max"} | more
        usage = Usage(800, 400, 1200)
        chain.append(
            Turn(key, "sales", parent=parent, response_id=f"resp_{key * 8}", prompt=prompt,
                 cell=CellKey(cell), usage=usage, created_at=1e9 - 100 * len(chain.turns), **more)
        )  # fmt: skip

    chain = Chain("sales")
    asked("a", None, "c1", "What did EMEA sell most of?", status="stopped")
    asked("b", None, "c1", "What did EMEA sell most of in 2026?")
    asked("c", "b", "c2", "And APAC?")
    asked("d", None, "c1", "What did EMEA, the region with the most customers, sell most of in the"
          " first three quarters of 2026, and what is that in euros?")  # fmt: skip
    asked("e", "d", "c2", "¿Y en APAC? 日本では？")
    asked("f", "e", "c3", "Plot both.", status="failed", text="")
    asked("g", "e", "c4", "A table of both, please.")
    asked("h", "g", "c5", "Only the totals.")
    chain.move("g")
    return State("history", None, Outcome(), 0.0, html=history_html(outline_of(chain), now=1e9))


PLANETS = """The variable `planets` (pandas DataFrame, 9 rows, 11 columns) of my notebook.

```
index 'planet': str, all 9 different, such as 'Mercury', 'Venus', 'Earth'
'density': int64, min 687, mean 2987.89, median 1850, max 5514, std 2013.86
```
"""


def _dry_run():
    """A first look at a request: data, a value, a picture, tools, turns that the server has."""
    prompt = "What is the mean density by kind?\n\nThe threshold is 5,000 kg/m³: which are above?"
    body = {
        "model": "qwen3-max",
        "input": [{"role": "user", "content": [
            {"type": "input_text", "text": f"{prompt}\n\n{PLANETS}"},
            {"type": "input_image", "image_url": turns.png()}]}],
        "previous_response_id": "resp_5f1c",
        "tools": [{"type": "code_interpreter"}],
        "enable_thinking": True,
        "stream": True,
    }  # fmt: skip
    parts = (
        RequestPart("prompt", text=prompt, tokens=24),
        RequestPart("value", "{threshold}", "5,000", "in the prompt", tokens=4),
        RequestPart("data", "planets", PLANETS,
                    "pandas DataFrame, 9 rows, 11 columns; schema sent", tokens=120),
        RequestPart("image", "densities_by_distance_from_the_sun", about="image/png, 12 KB",
                    image=turns.png()),
        RequestPart("tools", "code_interpreter", '{"type": "code_interpreter"}', tokens=8),
        RequestPart("earlier turns", "1–2", about="of main: the server has them", tokens=1350),
    )  # fmt: skip
    dry = DryRun(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/responses", "qwen3-max",
        "turn 3 of main, after turn 2 “What is my name?”", body, parts,
        {"x-dashscope-session-cache": "enable"}, "DASHSCOPE_API_KEY",
        ("Added: thinking (code_interpreter needs it)",), Price(1.2e-6, 6.0, "USD"),
    )  # fmt: skip
    return State("dry-run", None, Outcome(), 0.0, html=dry_run_html(dry))


def all_states():
    """The fourteen, fresh, and what is shown beside answers."""
    research = turns.research_events()
    failing = run(FAILING, TRACEBACK) + text("The file is not there: upload it.", 4.0, 1)
    failed = Outcome(
        "failed",
        "The connection was lost",
        "reset by peer after 19 s of streaming",
        "Run the cell again: what came is kept here",
        "4f1c9d52-77aa-9e2b-8d0e-1b2c3d4e5f60",
    )
    cut = [
        *text("The five longest rivers are:\n\n1. The Nile\n2. The Ama")[:-1],
        (3.0, ResponseEnded("incomplete", {"status": "incomplete", "usage": turns.USAGE})),
    ]
    return [
        _state("thinking", research, until=13.5),
        _state("searching", research, until=15.5),
        _state("many-sources", many_sources(), Outcome()),
        _state("code-running", _code_running()),
        _state("code-failed", _ended(failing), Outcome()),
        _state("figure", research, Outcome()),
        _state("long-table", _ended(long_table()), Outcome()),
        _state("maths", _ended(text(MATHS)), Outcome()),
        _state("stopped", research, Outcome("stopped"), until=21.0),
        _state("failed", research, failed, until=19.0),
        _state("cut-off", cut, Outcome("incomplete", limit=120)),
        _state(
            "second-sibling",
            _ended(text(f"Another way, in one go:\n\n{LONG_CODE}\n\nThat is all [1].\n")),
            Outcome(),
            sibling=(2, 3),
            actions={"sibling": [2, 3]},
        ),
        _functions(asked=True),
        _functions(asked=False),
        _history(),
        _dry_run(),
    ]

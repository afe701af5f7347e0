"""Turns to show: events with the seconds at which they come, and the state they lead to."""

import base64
import struct
import zlib

import pytest

from qwen_magic.protocol.events import ItemAdded, ItemDone, ResponseEnded, TextDelta, ToolProgress
from qwen_magic.protocol.items import parse_item
from qwen_magic.protocol.state import ResponseState

FIGURE_URL = "http://figures.example/code-output-1.png?Expires=1785560665&Signature=a%2Bb"

THOUGHT = [
    "The user asks for the variance of the first 1,000 primes and for a plot. “Variance” may",
    " mean the population variance (divide by *n*) or the sample variance (divide by *n* − 1).",
    " I should give both and say which is which.\n\n",
    "The 1,000th prime is 7919, so a sieve up to 7919 is enough.\n\n",
    "For the plot: the variance of the first *n* primes against *n*, on log axes.",
]
QUERIES = ["population variance versus sample variance", "sum of the first 1000 primes"]
SOURCES = [
    "https://en.wikipedia.org/wiki/Variance",
    "https://oeis.org/A000040",
    "https://mathworld.wolfram.com/SampleVariance",
    "https://en.wikipedia.org/wiki/Prime_number_theorem",
    "https://numpy.org/doc/stable/numpy.var",
]
CODE = '''import numpy as np

def primes(n):
    """The first n primes, by trial division."""
    found = []
    k = 2
    while len(found) < n:
        if all(k % p for p in found if p * p <= k):
            found.append(k)
        k += 1
    return np.array(found)

p = primes(1000)
print(p[-1], p.mean(), p.var(), p.var(ddof=1))  # population, then sample
'''
LOGS = f"```\n7919 3682.913 5489270.997431 5494765.763194195\n```\n\n![fig-001]({FIGURE_URL})"
ANSWER = [
    "The population variance of the first 1,000 primes is **5,489,271.0**, a standard",
    " deviation of 2,342.9. The sample variance, which divides by *n* − 1 [1], is 5,494,765.8;",
    " `numpy.var` gives the first unless told `ddof=1` [5].\n\n",
    "$$\n\\sigma^2 = \\frac{1}{n}\\sum_{i=1}^{n}(p_i-\\bar p)^2",
    " \\approx 5.489 \\times 10^6\n$$\n\n",
    "The mean is 3,682.9 and the largest is 7,919 [2]:\n\n",
    "| n | Largest prime | Population variance |\n|--:|--:|--:|\n",
    "| 10 | 29 | 73.3 |\n| 100 | 541 | 25,607.1 |\n| 1,000 | 7,919 | 5,489,271.0 |\n\n",
    "## To check it here\n\n```python\nfrom sympy import prime\nimport numpy as np\n\n",
    "p = np.array([prime(k) for k in range(1, 1001)], dtype=float)\np.var(), p.var(ddof=1)\n```\n",
]
USAGE = {
    "input_tokens": 1284,
    "input_tokens_details": {"cached_tokens": 512},
    "output_tokens": 943,
    "output_tokens_details": {"reasoning_tokens": 677},
    "total_tokens": 2227,
    "x_tools": {
        "web_search": {"count": 1},
        "web_extractor": {"count": 1},
        "code_interpreter": {"count": 1},
    },
}


def added(kind, id, index, **fields):
    return ItemAdded(parse_item({"type": kind, "id": id, **fields}), index)


def done(kind, id, index, **fields):
    return ItemDone(parse_item({"type": kind, "id": id, "status": "completed", **fields}), index)


def deltas(kind, id, index, texts, start, step):
    return [
        (start + step * number, TextDelta(kind, text, id, index))
        for number, text in enumerate(texts)
    ]


def ended(status="completed", **fields):
    body = {"id": "resp_9f3c1a7e", "model": "qwen3-max", "status": status, "output": []}
    return ResponseEnded(status, {**body, **fields})


def research_events():
    """Thinking, a search, a page, a run with a figure, and the answer: (seconds, event)."""
    answer = [{"type": "output_text", "text": "".join(ANSWER)}]
    action = {"type": "search", "queries": QUERIES, "query": QUERIES[0]}
    found = {**action, "sources": [{"type": "url", "url": url} for url in SOURCES]}
    return [
        (1.0, added("reasoning", "r1", 0, summary=[])),
        *deltas("reasoning_text", "r1", 0, THOUGHT, 1.0, 3.0),
        (15.0, done("reasoning", "r1", 0, summary=[{"text": "".join(THOUGHT)}])),
        (15.0, added("web_search_call", "s1", 1, action={"type": "search", "query": "Web search"})),
        (15.2, ToolProgress("web_search_call", "searching", "s1", 1)),
        (16.9, done("web_search_call", "s1", 1, action=found)),
        (17.0, added("web_extractor_call", "x1", 2)),
        (
            18.2,
            done(
                "web_extractor_call",
                "x1",
                2,
                goal="definition of population and sample variance",
                urls=["https://en.wikipedia.org/wiki/Variance"],
                output="In probability theory and statistics, variance is the expected value of"
                " the squared deviation from the mean.\nIt costs $5 and $10.",
            ),
        ),
        (18.3, added("code_interpreter_call", "c1", 3, code="", outputs=[])),
        (18.4, ToolProgress("code_interpreter_call", "interpreting", "c1", 3)),
        (
            20.7,
            done(
                "code_interpreter_call",
                "c1",
                3,
                code=CODE,
                outputs=[{"type": "logs", "logs": LOGS}],
            ),
        ),
        (20.8, added("message", "m1", 4, content=[])),
        *deltas("output_text", "m1", 4, ANSWER, 20.9, 0.05),
        (
            21.3,
            done("message", "m1", 4, content=answer),
        ),
        (21.4, ended(usage=USAGE)),
    ]


def png(width=480, height=200):
    """A small valid picture as a data URI."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    row = b"\0" + b"\xdd\xe6\xf2" * width
    line = b"\0" + b"\x3f\x6f\xb0" * width
    rows = b"".join(line if y in (height // 3, height // 3 + 1) else row for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    return "data:image/png;base64," + base64.b64encode(data + chunk(b"IEND", b"")).decode()


def play(events, until=float("inf")):
    """The state after all events up to and at a second."""
    state = ResponseState()
    for at, event in events:
        if at <= until:
            state.apply(event, at)
    return state


@pytest.fixture
def research():
    return research_events()


@pytest.fixture
def figure_url():
    return FIGURE_URL


@pytest.fixture
def figure_data():
    return png()

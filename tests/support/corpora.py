"""Markdown texts for tests and benchmarks: kinds that models write, kinds that try to cost much.

`document(kind, size)` is the same text for the same arguments; `deltas` cuts a text as a stream
does, in pieces of 4 to 20 characters.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

WORDS = (
    *("signal", "river", "window", "module", "vector", "garden", "kernel", "amber", "profile"),
    *("ladder", "metric", "branch", "ocean", "filter", "market", "session", "granite", "buffer"),
    *("orchard", "theorem", "pixel", "harbour", "engine", "lantern", "sample"),
)
PROGRAM = '''class Window:
    """A sliding window over numbers."""

    def __init__(self, size: int = 8) -> None:
        self.size = size
        self.values: list[float] = []  # the newest last

    def add(self, value: float) -> float:
        self.values.append(float(value))
        if len(self.values) > self.size:
            self.values.pop(0)
        return sum(self.values) / len(self.values)

def describe(rows):
    for index, row in enumerate(rows):
        if not row:
            continue
        print(f"row {index}: {row!r:>20}")
'''.splitlines(keepends=True)


def sentence(rng: random.Random, rich: bool = True) -> str:
    """Return one sentence; a rich one has a mark in it most of the time."""
    words = [rng.choice(WORDS) for _ in range(rng.randint(8, 18))]
    spot, word, other = rng.randrange(len(words)), rng.choice(WORDS), rng.choice(WORDS)
    marked = (
        f"**{word} {other}**",
        f"*{word}*",
        f"`{word}.{other}()`",
        f"[{word} {other}](https://example.com/{word}/{rng.randint(1, 999)}?q={other})",
        f"${word[0]}_i = \\alpha x^2$",
        f"~~{word}~~",
    )
    if rich and rng.random() < 0.57:
        words[spot] = rng.choices(marked, (18, 10, 14, 8, 5, 2))[0]
    return " ".join(words).capitalize() + rng.choice(".…?:") + " "


def paragraph(rng: random.Random) -> str:
    return "".join(sentence(rng) for _ in range(rng.randint(2, 6))).strip() + "\n\n"


def code(rng: random.Random) -> str:
    first, count = rng.randrange(len(PROGRAM)), rng.randint(5, 30)
    lines = "".join(PROGRAM[(first + i) % len(PROGRAM)] for i in range(count))
    return f"```python\n{lines.rstrip()}\n```\n\n"


def rows(rng: random.Random, count: int) -> str:
    head = "| Name | Value | Note |\n|:-----|------:|------|\n"
    return head + "".join(
        f"| `{rng.choice(WORDS)}` | {rng.randint(0, 9999)} | {sentence(rng).strip()} |\n"
        for _ in range(count)
    )


def items(rng: random.Random) -> str:
    numbered, text = rng.random() < 0.4, ""
    for number in range(1, rng.randint(4, 8)):
        text += (f"{number}. " if numbered else "- ") + sentence(rng).strip() + "\n"
        for _ in range(rng.choice((0, 0, 1, 2))):
            text += f"   - {sentence(rng).strip()}\n"
    return text + "\n"


def mixed_block(rng: random.Random) -> str:
    blocks: tuple[Callable[[], str], ...] = (
        lambda: f"{'#' * rng.randint(2, 4)} {sentence(rng, rich=False).strip()}\n\n",
        lambda: paragraph(rng),
        lambda: items(rng),
        lambda: code(rng),
        lambda: rows(rng, rng.randint(3, 9)) + "\n",
        lambda: f"> {sentence(rng).strip()}\n> {sentence(rng).strip()}\n\n",
        lambda: f"$$\n\\int_0^1 x^{{{rng.randint(1, 9)}}} dx\n$$\n\n",
        lambda: "---\n\n",
    )
    return rng.choices(blocks, (14, 41, 17, 12, 7, 4, 3, 2))[0]()


def nested(rng: random.Random) -> Iterator[str]:
    depth = 0
    while True:
        yield "  " * depth + f"- {sentence(rng).strip()}\n"
        depth = min(12, depth + 1) if rng.random() < 0.7 else rng.randint(0, depth)


def forever(piece: Callable[[], str]) -> Iterator[str]:
    while True:
        yield piece()


def _pieces(kind: str, rng: random.Random) -> Iterator[str]:
    plain = {
        "mixed": lambda: mixed_block(rng),
        "table": lambda: rows(rng, 1).split("\n", 2)[2],
        "code": lambda: rng.choice(PROGRAM),
        "paragraph": lambda: sentence(rng),
        "list": lambda: f"- {sentence(rng).strip()}\n",
        "quote": lambda: f"> {sentence(rng).strip()}\n" + (">\n" if rng.random() < 0.3 else ""),
        "wrapped": lambda: f"{sentence(rng).strip()}\n",
        "loose": lambda: f"- {sentence(rng).strip()}\n\n",
        "code in list": lambda: "- Do:\n\n  ```python\n" + "  x = 1  # one\n" * 9 + "  ```\n\n",
        "one line of code": lambda: '{"a": [1, 2, "three"], "b": null}, ',
        "stars": lambda: f"**{rng.choice(WORDS)} ",
        "brackets": lambda: f"[{rng.choice(WORDS)} ",
        "backticks": lambda: f"``` {rng.choice(WORDS)} `",
        "ticks": lambda: "`" * rng.randint(1, 30) + f"{rng.choice(WORDS)} ",
        "dollars": lambda: f"${rng.choice(WORDS)} ",
        "definitions": lambda: f"[{rng.choice(WORDS)}{rng.random()}]: https://example.com/\n\n",
        "deep": lambda: "> " * rng.randint(1, 20) + f"{rng.choice(WORDS)}\n",
    }
    if kind in _REPEATED:
        return forever(lambda: _REPEATED[kind])
    return nested(rng) if kind == "nested" else forever(plain[kind])


USUAL = ("mixed", "table", "code", "paragraph", "list")
OTHER = ("nested", "quote", "wrapped", "loose", "code in list", "one line of code")
_REPEATED = {  # text that costs much where each piece of it is looked at more than a few times
    "newlines": "\n",
    "spaces": " ",
    "tabs": "\t",
    "one word": "a",
    "quote marks": ">",
    "runs of quote marks": f"{'>' * 30} a\n",
    "list marks": "- ",
    "heading": "word **b** `c` ",
    "endless cell": "word **b** ",
    "endless fence label": "word ",
    "opened brackets": "[",
    "images": "![",
    "targets": "](",
    "footnote": "note\n    word ",
    "footnotes": "Text[^1] more.\n\n[^1]: note\n\n",
    "late definition": "See [it] and [that][it].\n\n",
    "open definition": '[a]: http://a.b "\n',
    "wide emphasis": "**重点：这是，",
    "wide marks": "**重点：**这是「重」点",
    "sums": "$1 (",
    "formulas": "$x_1 + ",
    "environments": "\\begin{align} ",
    "elements": "<sub>a",
    "comments": "<!-- ",
    "entities": "&a",
    "one address": "a.b/c_",
    "escapes": "\\",
}
HOSTILE = (
    *("stars", "brackets", "ticks", "backticks", "dollars", "definitions", "deep"),
    *_REPEATED,
)
# Marks that cost much where each of them is looked for, or read, to the end of the text.
MARKS = (
    *("<!--", "<!-- a -->", "<![CDATA[", "<?", "<!A ", "<A ", "<sub>", "<br>", "<http://a", "<a@"),
    *("*a **b ", "*a_ ", "a_b_", "**a *b", "~~a ", "*_", "`a", "``a ", "a`b``c ", "~~~a\n"),
    *("![a](", "![[]()", "[a](b", "[](", "[[a]](", "[a][", "[^1]", "[a]: b\n", "[a]: b '\n"),
    *("$x ", "$x$", "$$a$$\n", "\\[", "\\(a ", "\\begin{", "\\\n", "\\a{", "$$\n", "\\frac{"),
    *("|a", "|a|\n", "-|-\n", "| `a ", "&#", "&amp;", "http://a.b ", "www.", "a@b.", "a.b.c "),
    *("a\n", "- a\n", "- ", "1. a\n", "> ", ">\n", "# a\n", "\t", "a  \n", "\r", "\0", " \n"),
    *("重点：**这", "a\u0301", "\u200b", "\u202e", "\U0001f468\u200d", "\x1b[31m", "\x1b]0;"),
    *("x=", "a:b@", "?a=", "key=", "password: ", "://a:b@", "sk-", "eyJa.", "Bearer ", "a=b&"),
    *("{a.", "{a[0]}", "{{", '{"a":', "[1,", '"\\"', "(", "f(", "%", "@a ", "<think>", "</think>"),
    *("-----BEGIN PRIVATE KEY-----\n", "![a](http://", "Traceback (most recent call last)\n", "/a"),
)  # fmt: skip
_OPENINGS = {
    "newlines": "a",
    "spaces": "a",
    "tabs": "a",
    "heading": "# ",
    "endless cell": "| a | b |\n|---|---|\n| ",
    "endless fence label": "```",
    "footnote": "[^1]: ",
    "one address": "https://",
    "table": "| Name | Value | Note |\n|:-----|------:|------|\n",
    "code": "```python\n",
    "one line of code": "```json\n",
}

_ENDINGS = {"late definition": "\n\n[it]: https://example.com/it\n"}


def document(kind: str, size: int, seed: int = 1) -> str:
    """Return a text of about `size` characters."""
    parts, length = [_OPENINGS.get(kind, "")], 0
    for piece in _pieces(kind, random.Random(seed)):
        parts.append(piece)
        length += len(piece)
        if length >= size:
            return "".join([*parts, _ENDINGS.get(kind, "")])
    raise AssertionError("the pieces never end")


def deltas(text: str, seed: int = 7) -> Iterator[str]:
    """Cut a text as a stream does."""
    rng, position = random.Random(seed), 0
    while position < len(text):
        length = rng.randint(4, 20)
        yield text[position : position + length]
        position += length

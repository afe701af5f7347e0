"""How numbers, durations, sentences, names of functions, text in Markdown and fences read."""

from __future__ import annotations

import hashlib
import math
import re

NO_BREAK = "\u00a0"
SPECIAL = re.compile(r"[\\`*_\[\]<>#|$~&]")  # what Markdown or HTML may take for a mark


def duration(seconds: float) -> str:
    """ "2.4 s", "14 s", "1 min 12 s", with no-break spaces; empty below a twentieth of a second."""
    if seconds < 0.05:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f}{NO_BREAK}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    if whole < 3600:
        return f"{whole // 60}{NO_BREAK}min{NO_BREAK}{whole % 60}{NO_BREAK}s"
    return f"{whole // 3600}{NO_BREAK}h{NO_BREAK}{whole % 3600 // 60}{NO_BREAK}min"


def plural(number: int, one: str, many: str = "") -> str:
    """The noun for so many: "turn", "turns"; `many` where it is not `one` with an s."""
    return one if number == 1 else many or one + "s"


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 source", "1,284 tokens", with a no-break space."""
    return f"{number:,}{NO_BREAK}{plural(number, one, many)}"


def clipped(text: str, length: int) -> str:
    """`text`, at most `length` characters, cut at its end with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def money(amount: float, currency: str) -> str:
    """ "1.20 USD", "0.0042 CNY": cents, and below one at least two digits that say something."""
    digits = 2 if amount <= 0 else max(2, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f}{NO_BREAK}{currency}"


def shorten(text: str, length: int) -> str:
    """`text` on one line, at most `length` characters, cut at its end with an ellipsis."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """`text` with a full stop where it ends without punctuation."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…:。！？" else text + "."


def escaped(text: str) -> str:
    """`text` on one line, every character of it text in Markdown and in HTML."""
    return SPECIAL.sub(_escape, " ".join(text.split()))


def _escape(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};" if found[0] in "<>&" else f"\\{found[0]}"


def fenced(text: str, language: str = "") -> str:
    """`text` as a fenced code block: its fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


# Names of functions ------------------------------------------------------------------------------

_CODED = "xn--"  # as in the names of hosts, which do the same
_LONGEST_NAME = 64


def wire_name(name: str) -> str:
    """The name by which a model is told of the function `name`: services take up to 64 letters,
    digits, `_` and `-` of ASCII. Two names of Python are never one there, in any session.

    `rows` → rows, `find rows!` → find_rows, `查询` → xn--jvv041f (Punycode, RFC 3492: ASCII comes
    first, then where the other letters go, each in digits of base 36). What would be too long ends
    in a digest of the whole.
    """
    word = name if name.isidentifier() else re.sub(r"[^\w-]", "_", name).strip("_") or "function"
    told = word if word.isascii() else _CODED + word.encode("punycode").decode("ascii")
    if len(told) <= _LONGEST_NAME:
        return told
    digest = hashlib.sha256(word.encode()).hexdigest()[:16]
    return f"{told.removeprefix(_CODED)[: _LONGEST_NAME - 17]}-{digest}"


def own_name(told: str) -> str:
    """The function's own name, for people, of what `wire_name` made of it."""
    if not told.startswith(_CODED):
        return told
    try:
        name = told[len(_CODED) :].encode("ascii").decode("punycode")
        return name if wire_name(name) == told else told
    except UnicodeError:
        return told

"""Statistics of numbers: those in the prompt, or primes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen_magic.demo.tasks.task import Task, drawing, has, imports_first, wants_plot

MAX_PRIMES = 200_000

_NUMBER = r"[-+−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_LIST = re.compile(rf"(?<![\w.]){_NUMBER}(?:(?:[\s,;]|\band\b)+{_NUMBER}){{2,}}(?!\w)")
_ONE = re.compile(_NUMBER)
_FIRST_PRIMES = re.compile(r"first\s+([\d,]+|[a-z]+)\s+(?:prime|primes)\b", re.IGNORECASE)
_PRIMES_BELOW = re.compile(
    r"primes?(?: numbers?)?\s+(?:below|under|up to|less than|smaller than|until)\s+([\d,]+)",
    re.IGNORECASE,
)
_WORDS = {"ten": 10, "twenty": 20, "fifty": 50, "hundred": 100, "thousand": 1000, "million": 10**6}

# What may be asked for, and the name under which the code prints it.
STATISTICS = (
    (r"sample variance", "variance (sample)"),
    (r"variance", "variance (population)"),
    (r"standard deviation|\bstd\b|\bstdev\b|\bsd\b", "standard deviation"),
    (r"\bmean\b|\baverage", "mean"),
    (r"\bmedian\b", "median"),
    (r"\bsum\b|\btotal\b|\badd up", "sum"),
    (r"\bmin(?:imum)?\b|\bsmallest|\blowest", "minimum"),
    (r"\bmax(?:imum)?\b|\blargest|\bhighest|\bbiggest", "maximum"),
    (r"how many|\bcount\b", "count"),
)
_GENERAL = re.compile(r"statistic|summar|analy|describe|distribution|spread", re.IGNORECASE)

_PRIMES_CODE = """\
def first_primes(count):
    primes, number = [], 2
    while len(primes) < count:
        if all(number % p for p in primes[: int(number**0.5) + 1] if p * p <= number):
            primes.append(number)
        number += 1
    return primes
"""


@dataclass(frozen=True, slots=True)
class _Data:
    code: str  # binds `values`
    subject: str
    title: str


def write(text: str) -> Task | None:
    data = _primes(text) or _listed(text)
    if data is None:
        return None
    wanted = wanted_statistics(text)
    plot = wants_plot(text)
    is_primes = data.title.startswith("The ")
    if not (wanted or plot or is_primes or _GENERAL.search(text)):
        return None
    codes = [data.code + "\n" + _statistics_code()]
    if plot:
        codes.append(data.code + "\n" + _plot_code(text, data))
    plan = (
        f"I need {', '.join(wanted) or 'the usual statistics'} of {data.subject}. "
        "That is best computed, not guessed: I write Python for it and run it."
    )
    return Task(plan, data.subject, tuple(imports_first(code) for code in codes), wanted)


def wanted_statistics(text: str) -> tuple[str, ...]:
    """The names of what the text asks for, in its own order."""
    found: dict[str, int] = {}
    for pattern, name in STATISTICS:
        if match := re.search(pattern, text, re.IGNORECASE):
            found[name] = match.start()
    if "variance (sample)" in found:
        found.pop("variance (population)", None)
    return tuple(sorted(found, key=lambda name: found[name]))


def _primes(text: str) -> _Data | None:
    if match := _PRIMES_BELOW.search(text):
        limit = min(int(match[1].replace(",", "") or 0), 5_000_000)
        code = (
            "def primes_below(limit):\n"
            "    sieve = bytearray([1]) * max(limit, 2)\n"
            "    sieve[:2] = bytes(2)\n"
            "    for n in range(2, int(limit**0.5) + 1):\n"
            "        if sieve[n]:\n"
            "            sieve[n * n :: n] = bytes(len(sieve[n * n :: n]))\n"
            "    return [n for n in range(2, limit) if sieve[n]]\n\n\n"
            f"values = primes_below({limit})\n"
        )
        return _Data(code, f"the primes below {limit:,}", f"The primes below {limit:,}")
    match = _FIRST_PRIMES.search(text)
    if match is None:
        return None
    word = match[1].lower().replace(",", "")
    count = int(word) if word.isdecimal() else _WORDS.get(word, 0)
    if not 0 < count <= MAX_PRIMES:
        return None
    code = f"{_PRIMES_CODE}\n\nvalues = first_primes({count})\n"
    return _Data(code, f"the first {count:,} primes", f"The first {count:,} primes")


def _listed(text: str) -> _Data | None:
    runs = sorted((match[0] for match in _LIST.finditer(text)), key=len)
    numbers = _read(runs[-1]) if runs else []
    if len(numbers) < 3:
        numbers = _unspaced(text)
    if len(numbers) < 3:
        return None
    code = f"values = [{', '.join(numbers)}]\n"
    return _Data(code, f"the {len(numbers)} numbers", f"{len(numbers)} numbers")


def _read(text: str) -> list[str]:
    return [n.replace(",", "").replace("−", "-").lstrip("+") for n in _ONE.findall(text)]


def _unspaced(text: str) -> list[str]:
    """`100,200,300`: no thousands, since one number is no list."""
    match = re.search(r"(?<![\w.])-?\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?){2,}(?!\w)", text)
    return match[0].split(",") if match else []


def _statistics_code() -> str:
    library = _NUMPY if has("numpy") else _STDLIB
    return library + (
        'show("count", len(values))\n'
        'show("sum", sum(values))\n'
        'show("mean", mean)\n'
        'show("median", median)\n'
        'show("variance (population)", variance)\n'
        'show("variance (sample)", sample_variance)\n'
        'show("standard deviation", variance**0.5)\n'
        'show("minimum", min(values))\n'
        'show("maximum", max(values))\n'
    )


_SHOW = """\


def show(name, value):
    print(f"{name} = {value:,.10g}")


"""
_NUMPY = f"""\
import numpy as np
{_SHOW}numbers = np.array(values, dtype=float)
mean, median = numbers.mean(), np.median(numbers)
variance, sample_variance = numbers.var(), numbers.var(ddof=1)
"""
_STDLIB = f"""\
import statistics
{_SHOW}mean, median = statistics.fmean(values), statistics.median(values)
variance, sample_variance = statistics.pvariance(values), statistics.variance(values)
"""


def _plot_code(text: str, data: _Data) -> str:
    if re.search(r"histogram|distribution", text, re.IGNORECASE):
        draw = 'ax.hist(values, bins=min(30, len(values)), edgecolor="white")'
        return drawing(draw, data.title, "value", "count", "values")
    draw = 'ax.plot(range(1, len(values) + 1), values, ".-" if len(values) < 60 else "-")'
    return drawing(draw, data.title, "number", "value", "values")

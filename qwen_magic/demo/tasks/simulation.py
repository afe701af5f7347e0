"""Simulations: dice, coins, a random walk, Monte-Carlo π."""

from __future__ import annotations

import re

from qwen_magic.demo.tasks.task import Task, drawing, imports_first, wants_plot

MAX_ROUNDS = 1_000_000
_WORDS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}

_DICE = re.compile(r"\b(?:(\d+|[a-z]+)\s+)?(?:fair\s+|six-sided\s+)?(?:dice|die)\b", re.IGNORECASE)
_COIN = re.compile(r"\b(?:flip|toss|throw)\w*\b.*\bcoin|\bcoin (?:flip|toss)", re.IGNORECASE)
_WALK = re.compile(r"\brandom walk", re.IGNORECASE)
_PI = re.compile(
    r"monte[- ]?carlo|(?:estimate|simulate|approximate)\w*\s+(?:pi\b|π)", re.IGNORECASE
)
_ROUNDS = re.compile(
    r"(\d[\d,]*)\s*(?:times|steps|rolls|throws|flips|tosses|points|samples|rounds)", re.IGNORECASE
)
_VERB = re.compile(r"\b(?:roll|throw|simulat|toss|cast)", re.IGNORECASE)


def write(text: str) -> Task | None:
    if _PI.search(text) and re.search(r"\bpi\b|π", text, re.IGNORECASE):
        return _estimate_pi(rounds(text, 100_000))
    if _WALK.search(text):
        return _walk(rounds(text, 1000))
    if _COIN.search(text):
        return _flip(rounds(text, 1000), plot=wants_plot(text))
    if (match := _DICE.search(text)) and _VERB.search(text):
        return _roll(_dice(match[1]), rounds(text, 10_000))
    return None


def rounds(text: str, default: int) -> int:
    match = _ROUNDS.search(text)
    return min(int(match[1].replace(",", "")), MAX_ROUNDS) if match else default


def _dice(word: str | None) -> int:
    text = (word or "one").lower()
    return min(int(text), 100) if text.isdecimal() else _WORDS.get(text, 1)


def _plan(what: str) -> str:
    return (
        f"I simulate {what} with Python's random numbers. The seed is fixed, so that the same "
        "request gives the same numbers again."
    )


def _roll(dice: int, count: int) -> Task:
    what = f"{count:,} rolls of {dice} {'die' if dice == 1 else 'dice'}"
    code = (
        "import random\nfrom collections import Counter\n\nrandom.seed(1)\n"
        f"dice, rolls = {dice}, {count}\n"
        "sums = [sum(random.randint(1, 6) for _ in range(dice)) for _ in range(rolls)]\n"
        "seen = Counter(sums)\n"
        'print(f"mean of the sums = {sum(sums) / rolls:,.6g}")\n'
        'print(f"expected mean = {3.5 * dice:,.6g}")\n'
        "most, times = seen.most_common(1)[0]\n"
        'print(f"most frequent sum = {most}")\n'
        'print(f"its share = {100 * times / rolls:.2f} %")\n\n'
    )
    draw = "ax.bar(sorted(seen), [seen[s] for s in sorted(seen)])"
    code += drawing(draw, what, "sum", "times seen", "[seen[s] for s in sorted(seen)]")
    return Task(
        _plan(what), what, (imports_first(code),), ("mean of the sums", "most frequent sum")
    )


def _flip(count: int, *, plot: bool) -> Task:
    what = f"{count:,} tosses of a coin"
    code = (
        "import random\n\nrandom.seed(1)\n"
        f"tosses = [random.random() < 0.5 for _ in range({count})]\n"
        'print(f"heads = {sum(tosses):,}")\n'
        'print(f"tails = {len(tosses) - sum(tosses):,}")\n'
        'print(f"share of heads = {100 * sum(tosses) / len(tosses):.2f} %")\n'
    )
    if plot:
        share = "[sum(tosses[:n]) / n for n in steps]"
        code += "\nsteps = range(1, len(tosses) + 1, max(1, len(tosses) // 400))\n"
        code += drawing(f"ax.plot(steps, {share})", what, "tosses", "share of heads", share)
    return Task(_plan(what), what, (imports_first(code),), ("share of heads",))


def _walk(count: int) -> Task:
    what = f"a random walk of {count:,} steps"
    code = (
        "import random\nfrom itertools import accumulate\n\nrandom.seed(1)\n"
        f"walk = list(accumulate(random.choice((-1, 1)) for _ in range({count})))\n"
        'print(f"last position = {walk[-1]:,}")\n'
        'print(f"highest point = {max(walk):,}")\n'
        'print(f"lowest point = {min(walk):,}")\n'
        'print(f"distance expected (square root of the steps) = {len(walk) ** 0.5:,.4g}")\n\n'
    )
    code += drawing("ax.plot(walk)", what[0].upper() + what[1:], "step", "position", "walk")
    return Task(_plan(what), what, (imports_first(code),), ("last position",))


def _estimate_pi(count: int) -> Task:
    what = f"π from {count:,} random points"
    code = (
        "import math\nimport random\n\nrandom.seed(1)\n"
        f"points = [(random.random(), random.random()) for _ in range({count})]\n"
        "inside = [x * x + y * y <= 1 for x, y in points]\n"
        "estimate = 4 * sum(inside) / len(points)\n"
        'print(f"points inside the quarter circle = {sum(inside):,}")\n'
        'print(f"estimate of π = {estimate:.6f}")\n'
        'print(f"error = {abs(estimate - math.pi):.6f}")\n\n'
    )
    draw = (
        "shown = points[:4000]\n"
        'colors = ["tab:blue" if hit else "tab:orange" for hit in inside[:4000]]\n'
        "ax.scatter([x for x, _ in shown], [y for _, y in shown], s=2, c=colors)\n"
        'ax.set_aspect("equal")'
    )
    sketch = "[4 * sum(inside[:n]) / n for n in range(50, min(len(points), 2000), 50)]"
    code += drawing(draw, what, "x", "y", sketch)
    return Task(_plan(what), what, (imports_first(code),), ("estimate of π",))

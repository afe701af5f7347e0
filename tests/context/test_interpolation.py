"""References in a prompt: what expands, and all that stays as typed."""

from __future__ import annotations

import json
from collections import defaultdict
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.context.interpolation import Expansion, interpolate, open_reference

unhurried = settings(deadline=None)  # the machine may be busy


class Shy:
    """An object whose every look raises."""

    @property
    def secret(self) -> str:
        raise RuntimeError("not for you")

    def __getitem__(self, key: object) -> object:
        raise ZeroDivisionError


@pytest.fixture
def namespace() -> dict[str, object]:
    return {
        "x": 7,
        "name": "Ada",
        "_": "the last output",
        "__name__": "__main__",
        "größe": 1.5,
        "rows": [10, [20, 30]],
        "d": {"k": "v", "a b": {"c": [1, 2]}, "$": "dollar", 0: "zero"},
        "thing": SimpleNamespace(size=3, parts=["p", {"q": "deep"}], _private=1),
        "shy": Shy(),
        "braces": "{x} {{x}} `{x}`",
        "nothing": None,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{x}", "7"),
        ("{x}{x} and {name}", "77 and Ada"),
        ("({name})", "(Ada)"),
        ("{größe} m", "1.5 m"),
        ("{_}", "the last output"),
        ("{nothing}", "None"),
        ("{thing.size}", "3"),
        ("{thing.parts[0]}", "p"),
        ('{thing.parts[1]["q"]}', "deep"),
        ("{rows[0]}, {rows[-1]}, {rows[1][1]}", "10, [20, 30], 30"),
        ("{d[\"k\"]} {d['k']}", "v v"),
        ('{d["a b"]["c"][1]}', "2"),
        ("{d[0]}", "zero"),
        ('{d["$"]} and {d["$"]}', "dollar and dollar"),
        ("${x}", "$7"),
        ("from ${x} to ${x}", "from $7 to $7"),
        ("${x}-${x}", "$7-$7"),
        ("$5 and $6 {x}", "$5 and $6 7"),
        ("$5 {x} and 6$ too", "$5 {x} and 6$ too"),  # maths, by the rule
        ("cost: $ {x} $", "cost: $ 7 $"),
        ("US$5{x}$", "US$57$"),
        (r"\$5{x}\$", r"\$57\$"),
        (r"Summarise:\n{name}", r"Summarise:\nAda"),
        (r"C:\data\{name}.csv", r"C:\data\Ada.csv"),
        ("a ` alone {x}", "a ` alone 7"),
        ("`a`{x}`b`", "`a`7`b`"),
        ("``` {x}", "``` {x}"),  # an open fence
        ("`one\n\n{x} two`", "`one\n\n7 two`"),  # code does not cross paragraphs
        ("{braces}", "{x} {{x}} `{x}`"),
        ('{"a": {x}}', '{"a": 7}'),
        ('{"a":{"b":{x}}}', '{"a":{"b":7}}'),
    ],
)
def test_expands(text: str, expected: str, namespace: dict[str, object]) -> None:
    assert interpolate(text, namespace).text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{x}}", "{x}"),
        ("{{{x}}}", "{7}"),
        ("{{{{x}}}}", "{{x}}"),
        ("{{x}", "{7"),
        ("{x}}", "7}"),
        ("{{x}}}", "{x}}"),
        ('{{d["k"]}}', '{d["k"]}'),
        ("{{nope}}", "{{nope}}"),
        ("{{ x }}", "{{ x }}"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{{}}", "{{}}"),
    ],
)
def test_doubled_braces(text: str, expected: str, namespace: dict[str, object]) -> None:
    assert interpolate(text, namespace).text == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"x": 1, "name": [1, 2]}',
        "{k: v for k, v in x}",
        "const f = ({ x }: { x: number }) => { return x }",
        "interface A { name: string; }",
        "{x:.2f} {x!r} {x=} {x + 1} {x()} { x } {x,} {x;}",
        "{x.y()} {rows[0:1]} {rows[x]} {d[k]} {d['it\\'s']}",
        "{} { } {{ }} {0} {1x} {-x} {'x'} {",
        r"\frac{x}{x} and \sqrt[3]{x}, \textbf{\emph{x}}",
        r"\begin{x} \end{x}",
        r"\(x^{x}\) and \[ \sum_{x} \]",
        "$e^{x}$ and 中文$f_{x}$中文",
        "$$\n\\sum_{x} \\int_{x}\n$$",
        "`{x}` ``a ` {x}`` `a\n{x}`",
        "```\n{x}\n```",
        "```python\n{x}\n`````",
        "~~~\n{x}\n```\n{x}\n~~~",
        "> ```\n> {x}\n> ```",
        "1. text\n\n   ```\n   {x}\n   ```",
        "- ```\n  {x}\n  ```",
        "```\r\n{x}\r\n```\r\n",
        "{__name__} {x.__class__} {thing._private} {x.__class__.__mro__[1]}",
        '{shy.secret} {shy[0]} {x.nope} {rows[9]} {d["nope"]} {nothing[0]}',
    ],
)
def test_stays_as_typed(text: str, namespace: dict[str, object]) -> None:
    result = interpolate(text, namespace)
    assert result.text == text
    assert result.expanded == ()


def test_goes_on_after_code(namespace: dict[str, object]) -> None:
    text = "{x}\n```\n{x}\n```\n{x} `{x}` {x}\n~~~\n{x}"
    assert interpolate(text, namespace).text == "7\n```\n{x}\n```\n7 `{x}` 7\n~~~\n{x}"


def test_says_what_was_expanded(namespace: dict[str, object]) -> None:
    result = interpolate("{x} {name} {x} {{x}}", namespace)
    assert result.expanded == (Expansion("x", "7", 1, 2), Expansion("name", "Ada", 3, 1))
    assert result.unknown == ()


def test_says_what_is_unknown(namespace: dict[str, object]) -> None:
    text = "{nope} {nope} {x.nope} {shy.secret} {{other}} {x} `{code}`"
    assert interpolate(text, namespace).unknown == ("nope", "x.nope", "shy.secret")


def test_a_lookup_leaves_no_trace() -> None:
    counts: defaultdict[str, int] = defaultdict(int)
    assert interpolate('{counts["a"]}', {"counts": counts}).unknown == ('counts["a"]',)
    assert dict(counts) == {}


def test_describe_is_asked_once_a_reference() -> None:
    asked: list[object] = []

    def describe(value: object) -> str:
        asked.append(value)
        return "<{x}>"

    result = interpolate("{x} {x} {y}", {"x": 1, "y": 2}, describe=describe)
    assert result.text == "<{x}> <{x}> <{x}>"
    assert asked == [1, 2]


letters = st.text(st.sampled_from("{}[]\"'`~$\\.\n -x0y_(ab)é>"), max_size=60)


@unhurried
@given(st.one_of(st.text(), letters))
def test_text_without_known_names_is_not_touched(text: str) -> None:
    result = interpolate(text, {})
    assert result.text == text
    assert result.expanded == ()


@unhurried
@given(letters)
def test_any_text_goes_through(text: str) -> None:
    namespace: dict[str, object] = {"x": "VALUE", "a": [1], "y": Shy()}
    result = interpolate(text, namespace)
    assert result.text.count("VALUE") == sum(e.count for e in result.expanded if e.name == "x")


@unhurried
@given(letters)
def test_values_are_never_expanded_again(value: str) -> None:
    known: dict[str, object] = {"v": value, "x": "EXPANDED"}
    assert interpolate("a {v} b {{v}}", known).text == f"a {value} b {{v}}"


@unhurried
@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.dictionaries(st.text(), st.text()))))
def test_json_that_names_nothing_stays(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert interpolate(text, {}).text == text


@pytest.mark.parametrize(
    "text", ["{" * 200_000, "{x" * 100_000, "`" * 200_000, "$" * 100_000, "\\(" * 50_000,
             "$a " * 60_000, "` `` " * 40_000, "\\ab{" * 40_000, "```\n" * 50_000,
             "- " * 100_000, "> " * 100_000, "\n" * 200_000, "{x" + ".x" * 100_000],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_hostile_text_ends(text: str) -> None:
    assert interpolate(text, {}).text == text


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("{na", "na"),
        ("Hello {", ""),
        ("{x} and {thing", "thing"),
        ("{thing.si", None),
        ("{{na", None),
        ("{a b", None),
        ("```\n{na", None),
        ("`code` {na", "na"),
        ("no brace", None),
        ("{na}", None),
        ("", None),
    ],
)
def test_an_open_reference(text: str, typed: str | None) -> None:
    assert open_reference(text) == typed

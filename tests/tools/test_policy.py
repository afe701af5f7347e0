"""What "always" and "never" hold for: one very function."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from qwen_magic.tools.definition import FunctionTool
from qwen_magic.tools.policy import ToolPolicy, fingerprint


class Database:
    region = "eu"

    def __init__(self, host: str) -> None:
        self.host, self.options, self.calls = host, {"user": "me"}, 0

    def query(self, n: int) -> str:
        self.calls += 1
        return f"{self.host} {n}"

    def __eq__(self, other: object) -> bool:
        return True  # no word of its own is taken for it

    __hash__ = None

    __call__ = query


class Slotted:
    __slots__ = ("host",)

    def query(self, n: int) -> int:
        return n


def made(text: str, **names: Any) -> Any:
    """The function `f` of a cell that runs `text`."""
    space: dict[str, Any] = {"functools": functools, **names}
    exec(text, space)
    return space["f"]


def closing_over(value: object) -> Any:
    return made("def make(x):\n    return lambda a: x\nf = make(x)", x=value)


DECORATED = """
def shout(f):
    @functools.wraps(f)
    def inner(*a, **k): return f(*a, **k){}
    return inner

@shout
def f(a: int, host="x"): return a
"""
PRODUCTION, STAGING = Database("PRODUCTION"), Database("staging")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (STAGING.query, PRODUCTION.query),
        (STAGING, PRODUCTION),
        (functools.partial(STAGING.query, 1), functools.partial(PRODUCTION.query, 1)),
        (functools.partial(STAGING.query, 1), functools.partial(STAGING.query, 2)),
        (functools.partial(STAGING.query, n=1), functools.partial(STAGING.query, n=True)),
        (made("def f(a): return a"), made("def f(a): return -a")),
        (made("def f(a=1): return a"), made("def f(a=2): return a")),
        (made("def f(*, a=1): return a"), made("def f(*, a=2): return a")),
        (made("def f(a: int): return a"), made("def f(a: str): return a")),
        (made("def f(a: list[int]): return a"), made("def f(a: list[str]): return a")),
        (closing_over("staging"), closing_over("PRODUCTION")),
        (closing_over(["a"]), closing_over(["b"])),
        (closing_over({"a": 1}), closing_over({"a": 1.0})),
        (closing_over(STAGING), closing_over(PRODUCTION)),
        (closing_over(closing_over(1)), closing_over(closing_over(2))),
        (made(DECORATED.format("")), made(DECORATED.format(" or 1"))),
        (made(DECORATED.format("")), made(DECORATED.format("")).__wrapped__),
        (made(DECORATED.format("")), made(DECORATED.replace('"x"', '"y"').format(""))),
        (made("def f(a): return a"), made("\ndef f(a): return a")),
    ],
)
def test_another_function_has_another_fingerprint(one, other):
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(other) == fingerprint(other)
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    "text",
    [
        "def f(a: list[int] | None = None, *, b=(1, 'x')) -> dict[str, int]: return a",
        DECORATED.format(""),
        "def make():\n    def r(n): return r(n - 1)\n    return r\nf = make()",
        "f = functools.partial(lambda a, key: a, key='k')",
    ],
)
def test_the_same_text_run_again_makes_the_same_function(text):
    assert fingerprint(made(text)) == fingerprint(made(text))


def change_attribute(database):
    database.host = "PRODUCTION"


def change_inside(database):
    database.options["user"] = "root"


def add_attribute(database):
    database.dry_run = False


def shadow_method(database):
    database.run = print


@pytest.mark.parametrize("change", [change_attribute, change_inside, add_attribute, shadow_method])
def test_what_an_object_holds_counts(change):
    database = Database("staging")
    before = fingerprint(database.query)
    assert before == fingerprint(database.query)
    change(database)
    assert before != fingerprint(database.query)


def test_classes_slots_and_functions_that_are_changed_in_place(monkeypatch):
    slotted, function = Slotted(), made("def f(a=1): return a")
    slotted.host = "staging"
    methods = (STAGING.query, slotted.query, function)
    before = list(map(fingerprint, methods))
    monkeypatch.setattr(Database, "region", "us")
    slotted.host = "PRODUCTION"
    function.__defaults__ = (2,)
    for one, method in zip(before, methods, strict=True):
        assert one != fingerprint(method)


def test_always_is_for_this_function_in_this_conversation():
    policy = ToolPolicy()
    database = Database("staging")
    tool, other = FunctionTool.of(database.query), FunctionTool.of(PRODUCTION.query)
    policy.remember("main", tool, "always")
    assert policy.standing("main", FunctionTool.of(database.query)) == "always"
    assert policy.standing("else", tool) is None
    assert policy.standing("main", other) is None
    assert policy.knows_another("main", other)
    assert not policy.knows_another("main", tool)
    database.host = "PRODUCTION"
    assert policy.standing("main", tool) is None


def test_what_a_run_changes_of_its_own_object_is_allowed_with_it():
    policy, database = ToolPolicy(), Database("staging")
    tool = FunctionTool.of(database.query)
    policy.remember("main", tool, "always")
    database.query(1)
    policy.keep_up("main", tool)
    assert policy.standing("main", tool) == "always"
    policy.forget()
    policy.keep_up("main", tool)
    assert policy.standing("main", tool) is None, "forgotten while it ran"

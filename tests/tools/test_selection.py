"""Tools by name or variable, with what they need."""

from __future__ import annotations

import pytest

from qwen_magic.endpoints import DASHSCOPE, DEMO_SERVER, OPENAI, UNKNOWN_SERVER
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.definition import tool
from qwen_magic.tools.selection import (
    ALL_TOOLS,
    BUILT_IN,
    Requirements,
    Tools,
    requirements,
    resolve_tools,
    tool_variables,
)

SEARCH: JSON = {"type": "web_search"}
PAGES: JSON = {"type": "web_extractor"}
CODE: JSON = {"type": "code_interpreter"}
MAPS: JSON = {"type": "mcp", "server_label": "maps", "server_url": "https://example.com/sse"}
FILES: JSON = {"type": "file_search", "vector_store_ids": ["v1"]}


def rows(where: str) -> list[int]:
    """Rows that match."""
    return [len(where)]


def variadic(*names: str) -> None:
    """Cannot be called by named arguments."""


def shown(name: str) -> None:
    """Marked as a tool in its test."""


def variadic_free(name: str) -> None:
    """Called rows by its mark."""


FUNCTION: JSON = {"type": "function", "name": "f", "parameters": {}}


@pytest.mark.parametrize(
    ("names", "tools"),
    [
        ((), ()),
        (("web_search",), (SEARCH,)),
        (("all",), (SEARCH, PAGES, CODE)),
        (("none",), ()),
        (("all", "none", "web_search"), (SEARCH,)),
        (("code_interpreter", "all"), (CODE, SEARCH, PAGES)),
        (("image_search", "web_search_image"), ({"type": "image_search"},
                                                {"type": "web_search_image"})),
        (("maps", "web_search"), (MAPS, SEARCH)),
        (("mine",), (FILES, FUNCTION)),
        (("file_search",), (FILES,)),  # a variable of that name holds its settings
        (("future",), ({"type": "not_known_yet"},)),
    ],
)  # fmt: skip
def test_resolves(names: tuple[str, ...], tools: tuple[JSON, ...]) -> None:
    namespace: dict[str, object] = {
        "maps": MAPS,
        "mine": [FILES, FUNCTION],
        "file_search": FILES,
        "web_search": "a variable that is in nobody's way",
        "future": {"type": "not_known_yet"},
    }
    assert resolve_tools(names, namespace) == Tools(tools)


def test_functions_stand_among_the_others() -> None:
    namespace: dict[str, object] = {"rows": rows, "both": [rows, FILES]}
    found = resolve_tools(["both", "web_search", "rows"], namespace)
    assert [tool.get("name") or tool["type"] for tool in found.definitions] == [
        "rows", "file_search", "web_search",
    ]  # fmt: skip
    assert [tool.function for tool in found.functions] == [rows]
    assert found.definitions[0]["parameters"]["required"] == ["where"]
    assert resolve_tools(["rows", "none"], namespace) == Tools()


def test_two_functions_of_one_name_cannot_be_told_apart() -> None:
    namespace: dict[str, object] = {"rows": rows, "other": tool(name="rows")(variadic_free)}
    with pytest.raises(UsageError, match="Two functions are called rows"):
        resolve_tools(["rows", "other"], namespace)
    with pytest.raises(UsageError, match="Two functions are called f"):
        resolve_tools(["mine", "more"], {"mine": FUNCTION, "more": {**FUNCTION, "strict": True}})


def test_what_is_resolved_is_a_copy() -> None:
    [tool] = resolve_tools(["files"], {"files": FILES}).definitions
    tool["vector_store_ids"].append("v2")
    assert FILES["vector_store_ids"] == ["v1"]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("web_serch", "There is no tool or variable 'web_serch'.", "Did you mean web_search?"),
        ("code", "There is no tool or variable 'code'.", "Did you mean code_interpreter?"),
        ("mapz", "There is no tool or variable 'mapz'.", "Did you mean maps?"),
        ("qqq", "There is no tool or variable 'qqq'.", "The tools are web_search, "),
        ("mcp", "The tool mcp needs its settings (server_label, server_url).", "maps = {"),
        ("file_search", "needs its settings (vector_store_ids).", "files = {"),
        ("number", 'The variable number holds no tool: int without a "type".', '{"type": "web'),
        ("untyped", "holds no tool: dict without", '"web_search"'),
        ("empty", "is an empty list", ""),
        ("variadic", "cannot be a tool: it takes *names", "Wrap it"),
        ("Kind", "Kind is no function, but a class.", "typed parameters"),
        ("nested", "nested shape of Chat Completions", "flat"),
        ("bare", "The mcp tool in bare lacks server_url.", ""),
    ],
)
def test_what_is_no_tool(name: str, message: str, hint: str) -> None:
    namespace: dict[str, object] = {
        "maps": MAPS,
        "number": 7,
        "untyped": {"name": "x"},
        "empty": [],
        "variadic": variadic,
        "Kind": int,
        "nested": {"type": "function", "function": {"name": "f"}},
        "bare": {"type": "mcp", "server_label": "maps"},
    }
    with pytest.raises(UsageError) as caught:
        resolve_tools([name], namespace)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_variables_that_hold_tools() -> None:
    namespace: dict[str, object] = {
        "maps": MAPS, "mine": [FUNCTION, FILES], "_hidden": MAPS, "n": 1, "empty": [],
        "data": [{"type": "car"}], "mixed": [MAPS, 1], "marked": tool(shown), "rows": rows,
    }  # fmt: skip
    assert tool_variables(namespace) == ["maps", "mine", "marked"]


@pytest.mark.parametrize(
    ("model", "tools", "think", "expected"),
    [
        ("qwen3-max", (), None, Requirements((), None)),
        ("qwen3-max", (SEARCH,), None, Requirements((SEARCH,), None)),
        (
            "qwen3.6-plus",
            (PAGES,),
            None,
            Requirements((SEARCH, PAGES), None, ("web_search (web_extractor needs it)",)),
        ),
        ("qwen3.6-plus", (CODE,), None, Requirements((CODE,), None)),
        ("qwen3.6-plus", (CODE,), False, Requirements((CODE,), False)),
        (
            "qwen3-max",
            (CODE,),
            None,
            Requirements((CODE,), True, ("thinking (code_interpreter needs it on qwen3-max)",)),
        ),
        ("qwen3-max", (CODE,), True, Requirements((CODE,), True)),
        (
            "qwen3-max-2026-01-23",
            (SEARCH, PAGES),
            None,
            Requirements(
                (SEARCH, PAGES),
                True,
                ("thinking (web_extractor needs it on qwen3-max-2026-01-23)",),
            ),
        ),
        (
            "qwen3-max",
            (CODE, PAGES),
            None,
            Requirements(
                (SEARCH, CODE, PAGES),
                True,
                (
                    "web_search (web_extractor needs it)",
                    "thinking (web_extractor and code_interpreter need it on qwen3-max)",
                ),
            ),
        ),
        (
            "qwen3.7-max-2026-06-08",
            (SEARCH, PAGES, CODE),
            None,
            Requirements(
                (SEARCH, PAGES, CODE),
                True,
                ("thinking (code_interpreter needs it on qwen3.7-max-2026-06-08)",),
            ),
        ),
    ],
)
def test_requirements(
    model: str, tools: tuple[JSON, ...], think: bool | None, expected: Requirements
) -> None:
    for server in (DASHSCOPE, DEMO_SERVER):
        assert requirements(model, tools, think=think, capabilities=server) == expected


@pytest.mark.parametrize(("think", "effort"), [(False, None), (None, "none"), (True, "none")])
def test_a_need_that_was_refused(think: bool | None, effort: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        requirements("qwen3-max", (CODE,), think=think, effort=effort, capabilities=DASHSCOPE)
    assert caught.value.message == "code_interpreter needs thinking on qwen3-max."
    assert "--no-think" in caught.value.hint


def test_an_effort_is_thinking() -> None:
    needed = requirements("qwen3-max", (CODE,), think=None, effort="low", capabilities=DASHSCOPE)
    assert needed == Requirements((CODE,), None)


def test_openai_wants_a_container_and_an_include() -> None:
    needed = requirements("gpt-5", (SEARCH, CODE), think=None, capabilities=OPENAI)
    assert needed.tools == (SEARCH, {"type": "code_interpreter", "container": {"type": "auto"}})
    assert needed.include == ("code_interpreter_call.outputs",)
    assert CODE == {"type": "code_interpreter"}
    own: JSON = {"type": "code_interpreter", "container": "cntr_1"}
    assert requirements("gpt-5", (own,), think=None, capabilities=OPENAI).tools == (own,)
    assert requirements("gpt-5", (), think=None, capabilities=OPENAI) == Requirements((), None)


def test_other_servers_get_what_was_asked_for() -> None:
    asked = requirements("qwen3-max", (PAGES, CODE), think=False, capabilities=UNKNOWN_SERVER)
    assert asked == Requirements((PAGES, CODE), False)


def test_all_are_built_in() -> None:
    assert set(ALL_TOOLS) <= {tool.name for tool in BUILT_IN}

"""The tools of a request: resolving names, and what each tool requires."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final, Protocol

from qwen_magic.context.models import needs_thinking
from qwen_magic.document.words import own_name, wire_name
from qwen_magic.endpoints import Capabilities
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.definition import FunctionTool, is_tool


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A tool that the service runs. `settings`: required fields, so it must come from a variable.

    `cost` is as of November 2026.
    """

    name: str
    summary: str
    cost: str = ""
    requires: str = ""
    settings: tuple[str, ...] = ()


BUILT_IN: Final[tuple[BuiltIn, ...]] = (
    BuiltIn(
        "web_search",
        "searches the web; the answer lists its sources",
        "$10 per 1,000 searches (Singapore)",
    ),
    BuiltIn(
        "web_extractor",
        "reads the pages found, or named in the prompt",
        "free for a limited time",
        "web_search; on qwen3-max also thinking",
    ),
    BuiltIn(
        "code_interpreter",
        "writes Python and runs it in a cloud sandbox",
        "free for a limited time; uses more tokens",
        "thinking on qwen3-max, qwen3.7-max, qwen3.8-max and qwen3.8-flash",
    ),
    BuiltIn("web_search_image", "finds images on the web for a text"),
    BuiltIn("image_search", "finds images that resemble a given one"),
    BuiltIn(
        "file_search",
        "searches your own files in one vector store",
        requires="a dict in a variable",
        settings=("vector_store_ids",),
    ),
    BuiltIn(
        "mcp",
        "uses the tools of an MCP server",
        requires="a dict in a variable",
        settings=("server_label", "server_url"),
    ),
)
SERVER_PREFIX: Final = "mcp:"  # of the name of an MCP server that is used from here
ALL_TOOLS: Final = ("web_search", "web_extractor", "code_interpreter")
_SETTINGS: Final = {tool.name: tool.settings for tool in BUILT_IN}
_EXAMPLES: Final = {
    "file_search": 'files = {"type": "file_search", "vector_store_ids": ["…"]}',
    "mcp": 'maps = {"type": "mcp", "server_protocol": "sse", "server_label": "maps", '
    '"server_url": "https://…"}',
}
TOOL_NAMES: Final[tuple[str, ...]] = (*_SETTINGS, "all", "none")


@dataclass(frozen=True, slots=True)
class Requirements:
    """A request's tools and thinking, completed by what they require.

    `added`: what was added, in words for the footer; `include`: the request's field of that name.
    """

    tools: tuple[JSON, ...]
    think: bool | None
    added: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of a request.

    `definitions`: as sent; `functions`: those that run here or on an MCP server; `notes`: which are
    not offered, and why.
    """

    definitions: tuple[JSON, ...] = ()
    functions: tuple[FunctionTool, ...] = ()
    notes: tuple[str, ...] = ()


class Offer(Protocol):
    """The tools of an MCP server; if there are none, `note` says why."""

    @property
    def tools(self) -> tuple[FunctionTool, ...]: ...
    @property
    def note(self) -> str: ...


def resolve_tools(
    names: Sequence[str],
    namespace: Mapping[str, object],
    offer: Callable[[str], Offer] | None = None,
) -> Tools:
    """The tools that `names` stand for, each once, in the order named.

    A name is a built-in tool, `all`, `none` (drops those before it), or a variable of `namespace`
    that holds a function, a tool dict, or a list of such; the definitions share nothing with the
    variables. What begins with `mcp:` is asked for by `offer`. Raises `UsageError`, also where two
    functions have one name for the model.
    """
    named: dict[str, Sequence[JSON | FunctionTool]] = {}
    notes = []
    for name in names:
        if name == "none":
            named.clear()
            continue
        known = [tool for tools in named.values() for tool in tools]
        found: list[JSON | FunctionTool]
        if offer is not None and name.startswith(SERVER_PREFIX):
            offered = offer(name)
            notes += [offered.note] if offered.note else []
            found = [tool for tool in offered.tools if tool not in known]
        else:
            found = [tool for tool in _tools_named(name, namespace) if tool not in known]
        named[name] = [*named.get(name, ()), *found]
    tools = _with_distinct_names(named)
    definitions = [t.definition() if isinstance(t, FunctionTool) else t for t in tools]
    _check_names(definitions)
    functions = tuple(t for t in tools if isinstance(t, FunctionTool))
    return Tools(tuple(definitions), functions, tuple(notes))


def _with_distinct_names(
    named: Mapping[str, Sequence[JSON | FunctionTool]],
) -> list[JSON | FunctionTool]:
    """The tools of each variable; functions of one name (made by one function, say) by the names of
    their variables, unless `tool` has named them."""
    every = [(variable, tool) for variable, tools in named.items() for tool in tools]
    counts = Counter(tool.name for _, tool in every if isinstance(tool, FunctionTool))
    return [
        replace(tool, name=wire_name(variable))
        if isinstance(tool, FunctionTool)
        and counts[tool.name] > 1
        and variable.isidentifier()
        and not is_tool(tool.function)
        else tool
        for variable, tool in every
    ]


def _check_names(definitions: Sequence[JSON]) -> None:
    names = [str(each.get("name")) for each in definitions if each.get("type") == "function"]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise UsageError(
            f"Two functions are called {own_name(twice)}: the model could not tell them apart.",
            hint='Give one another name: @tool(name="…").',
        )


def _tools_named(name: str, namespace: Mapping[str, object]) -> Sequence[JSON | FunctionTool]:
    if name == "all":
        return [{"type": tool} for tool in ALL_TOOLS]
    if name in _SETTINGS and not _SETTINGS[name]:
        return [{"type": name}]
    if name in namespace:
        return _from_variable(name, namespace[name])
    if name in _SETTINGS:
        raise UsageError(
            f"The tool {name} needs its settings ({', '.join(_SETTINGS[name])}).",
            hint=f"Put them in a variable, and name that: {_EXAMPLES[name]}",
        )
    raise UsageError(f"There is no tool or variable {name!r}.", hint=_nearest(name, namespace))


def _nearest(name: str, namespace: Mapping[str, object]) -> str:
    candidates = [*TOOL_NAMES, *tool_variables(namespace)]
    within = [known for known in candidates if len(name) > 2 and name.lower() in known]
    near = within or get_close_matches(name.lower(), candidates, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"The tools are {', '.join(TOOL_NAMES)}, a function, or a variable with a tool dict."


def tool_variables(namespace: Mapping[str, object]) -> list[str]:
    """The public names of `namespace` that hold a function marked as a tool, a tool dict, or a
    list of such. (Any other function may be named too; it is not offered.)"""
    return [
        name
        for name, value in namespace.items()
        if not name.startswith("_") and _holds_tools(value)
    ]


def _holds_tools(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_tool, value))  # ends at the first that is none
    return _is_tool(value)


def _is_tool(value: object) -> bool:
    return is_tool(value) or (
        isinstance(value, Mapping)
        and isinstance(value.get("type"), str)
        and (value["type"] in _SETTINGS or value["type"] == "function")
    )


def _from_variable(name: str, value: object) -> list[JSON | FunctionTool]:
    found = list(value) if isinstance(value, list | tuple) else [value]
    if not found:
        raise UsageError(f"The variable {name} is an empty list, and holds no tool.")
    return [
        FunctionTool.of(tool, name) if callable(tool) else _checked_dict(name, tool)
        for tool in found
    ]


def _checked_dict(name: str, tool: object) -> JSON:
    if not isinstance(tool, Mapping) or not isinstance(tool.get("type"), str) or not tool["type"]:
        raise UsageError(
            f'The variable {name} holds no tool: {type(tool).__name__} without a "type".',
            hint='A tool is a function, or a dict such as {"type": "web_search"}.',
        )
    if isinstance(tool.get("function"), Mapping):
        raise UsageError(
            f"The tool in {name} has the nested shape of Chat Completions.",
            hint='The Responses API takes it flat: {"type": "function", "name": …, '
            '"parameters": …}.',
        )
    missing = [field for field in _SETTINGS.get(tool["type"], ()) if not tool.get(field)]
    # OpenAI's connectors stand in for the address of an MCP server.
    if "server_url" in missing and tool.get("connector_id"):
        missing.remove("server_url")
    if missing:
        raise UsageError(f"The {tool['type']} tool in {name} lacks {' and '.join(missing)}.")
    return copy.deepcopy(dict(tool))


def requirements(
    model: str,
    tools: Sequence[JSON],
    *,
    think: bool | None,
    capabilities: Capabilities,
    effort: str | None = None,
) -> Requirements:
    """What `tools` require on `model`: other tools, settings, thinking, outputs to include.

    `think`: what the user asked for, None for nothing; an `effort` takes precedence, as on the
    server. `capabilities`: the endpoint's. Raises `UsageError` if thinking is required and was
    refused.
    """
    types = {tool.get("type") for tool in tools}
    added: list[str] = []
    for tool, companion in capabilities.tool_companions.items():
        if tool in types and companion not in types:
            tools = [{"type": companion}, *tools]
            added.append(f"{companion} ({tool} needs it)")
    needing = [
        tool
        for tool in ("web_extractor", "code_interpreter")
        if tool in types and capabilities.tools_need_thinking and needs_thinking(model, tool)
    ]
    if needing and _refused(think, effort):
        raise UsageError(
            f"{' and '.join(needing)} {_need(needing)} thinking on {model}.",
            hint="Leave out --no-think (or --effort none), or take a model that does not, such as "
            "-m qwen3.6-plus.",
        )
    if needing and think is None and effort is None:
        think = True
        added.append(f"thinking ({' and '.join(needing)} {_need(needing)} it on {model})")
    settings, outputs = capabilities.tool_settings, capabilities.tool_outputs
    return Requirements(
        tuple({**settings.get(str(tool.get("type")), {}), **tool} for tool in tools),
        think,
        tuple(added),
        include=tuple(output for tool, output in outputs.items() if tool in types),
    )


def _refused(think: bool | None, effort: str | None) -> bool:
    return effort in ("none", "0") if effort is not None else think is False


def _need(needing: Sequence[str]) -> str:
    return "need" if len(needing) > 1 else "needs"

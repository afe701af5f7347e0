"""JSON of any server -> items, leniently."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from qwen_magic.protocol.fields import JSON, count, mapping, mappings, number, strings, text
from qwen_magic.protocol.items.values import (
    CALL_FAILED,
    Annotation,
    CallStatus,
    CodeInterpreterCall,
    CodeOutput,
    CustomToolCall,
    FileSearchCall,
    FileSearchResult,
    FunctionCall,
    ImageSearchCall,
    Item,
    McpCall,
    McpListTools,
    Message,
    Reasoning,
    Source,
    UnknownItem,
    Usage,
    WebExtractorCall,
    WebSearchCall,
)

# What DashScope puts where the query will be, and sometimes leaves there.
PLACEHOLDER_QUERY: Final = "Web search"
CALL_OUTPUT: Final = "function_call_output"


def parse_item(raw: JSON) -> Item:
    """The item that `raw` describes; one of an unknown type is kept whole. Never raises."""
    kind = text(raw.get("type"))
    read = _READERS.get(kind)
    if read is not None:
        return read(raw)
    return UnknownItem(_id(raw), kind, raw, _status(raw))


def parse_items(raws: Iterable[JSON]) -> tuple[Item, ...]:
    """Items in order, with each `function_call_output` put into the call that it answers (kept
    whole where there is none)."""
    items: list[Item] = []
    for raw in raws:
        if raw.get("type") != CALL_OUTPUT or not _answer(items, raw):
            items.append(parse_item(raw))
    return tuple(items)


def _answer(items: list[Item], raw: JSON) -> bool:
    """Put an output into its call. False where there is no such call."""
    wanted = text(raw.get("call_id"))
    for place, item in enumerate(items):
        if isinstance(item, FunctionCall) and item.call_id == wanted and item.output is None:
            output = _output_text(raw.get("output"))
            items[place] = replace(item, output=output, output_status=_output_status(raw, output))
            return True
    return False


def _output_text(output: object) -> str:
    """Text, or the text of its parts (OpenAI also takes a list of content parts)."""
    if isinstance(output, list):
        return "".join(text(part.get("text")) for part in mappings(output))
    return _json_text(output)


def _output_status(raw: JSON, output: str) -> CallStatus:
    """How the call ended, which records keep as `status`.

    Records of earlier versions have none: of those the text tells.
    """
    match text(raw.get("status")):
        case "completed" | "failed" | "refused" as status:
            return status
    if output.startswith(f"{CALL_FAILED}not allowed"):
        return "refused"
    return "failed" if output.startswith(CALL_FAILED) else "completed"


def parse_annotation(raw: JSON) -> Annotation:
    """A citation, in OpenAI's flat form or nested under its type's name."""
    kind = text(raw.get("type"))
    inner = mapping(raw.get(kind)) or raw
    return Annotation(
        type=kind,
        url=text(inner.get("url")),
        title=text(inner.get("title")) or text(inner.get("filename")),
        start=count(inner.get("start_index")),
        end=count(inner.get("end_index")),
        raw=raw,
    )


def parse_usage(raw: JSON | None) -> Usage:
    """Tokens, and calls by tool out of `x_tools`. None or nonsense gives an all-zero usage."""
    raw = mapping(raw)
    spent, got = count(raw.get("input_tokens")), count(raw.get("output_tokens"))
    return Usage(
        input_tokens=spent,
        output_tokens=got,
        total_tokens=count(raw.get("total_tokens")) or spent + got,
        cached_tokens=count(mapping(raw.get("input_tokens_details")).get("cached_tokens")),
        reasoning_tokens=count(mapping(raw.get("output_tokens_details")).get("reasoning_tokens")),
        tools={
            name: count(mapping(tool).get("count"))
            for name, tool in mapping(raw.get("x_tools")).items()
        },
    )


def _id(raw: JSON) -> str:
    return text(raw.get("id"))


def _status(raw: JSON) -> str:
    return text(raw.get("status"))


def _message(raw: JSON) -> Message:
    content = raw.get("content")
    if isinstance(content, str):
        content = [{"type": "output_text", "text": content}]
    parts = mappings(content)
    return Message(
        id=_id(raw),
        text="".join(text(part.get("text")) for part in parts),
        refusal="".join(text(part.get("refusal")) for part in parts),
        annotations=tuple(
            parse_annotation(each) for part in parts for each in mappings(part.get("annotations"))
        ),
        role=text(raw.get("role")) or "assistant",
        status=_status(raw),
    )


def _reasoning(raw: JSON) -> Reasoning:
    content = "".join(text(part.get("text")) for part in mappings(raw.get("content")))
    summary = (text(part.get("text")) for part in mappings(raw.get("summary")))
    return Reasoning(
        id=_id(raw),
        text=content or "\n\n".join(part for part in summary if part),
        encrypted_content=text(raw.get("encrypted_content")),
        status=_status(raw),
    )


def _web_search(raw: JSON) -> WebSearchCall:
    action = mapping(raw.get("action")) or _arguments(raw)
    queries = (
        strings(action.get("queries"))
        or strings([action.get("query")])
        or strings([action.get("pattern")])
    )
    sources = mappings(action.get("sources")) or ([action] if action.get("url") else [])
    return WebSearchCall(
        id=_id(raw),
        queries=tuple(query for query in queries if query != PLACEHOLDER_QUERY),
        sources=tuple(
            Source(text(each.get("url")), text(each.get("title")))
            for each in sources
            if each.get("url")
        ),
        action=text(action.get("type")) or "search",
        status=_status(raw),
    )


def _arguments(raw: JSON) -> JSON:
    """xAI's searches have no action, but arguments as JSON text."""
    try:
        return mapping(json.loads(text(raw.get("arguments"))))
    except ValueError:
        return {}


def _web_extractor(raw: JSON) -> WebExtractorCall:
    return WebExtractorCall(
        id=_id(raw),
        goal=text(raw.get("goal")),
        urls=strings(raw.get("urls")),
        output=text(raw.get("output")),
        status=_status(raw),
    )


def _code_interpreter(raw: JSON) -> CodeInterpreterCall:
    return CodeInterpreterCall(
        id=_id(raw),
        code=text(raw.get("code")),
        outputs=tuple(
            CodeOutput(text(each.get("logs")), text(each.get("url")))
            for each in mappings(raw.get("outputs"))
        ),
        container_id=text(raw.get("container_id")),
        status=_status(raw),
    )


def _function(raw: JSON) -> FunctionCall:
    return FunctionCall(
        id=_id(raw),
        name=text(raw.get("name")),
        arguments=_json_text(raw.get("arguments")),
        call_id=text(raw.get("call_id")) or _id(raw),
        status=_status(raw),
    )


def _custom_tool(raw: JSON) -> CustomToolCall:
    return CustomToolCall(
        id=_id(raw),
        name=text(raw.get("name")),
        input=_json_text(raw.get("input")),
        call_id=text(raw.get("call_id")),
        status=_status(raw),
    )


def _mcp(raw: JSON) -> McpCall:
    return McpCall(
        id=_id(raw),
        name=text(raw.get("name")),
        server_label=text(raw.get("server_label")),
        arguments=_json_text(raw.get("arguments")),
        output=_json_text(raw.get("output")),
        error=_json_text(raw.get("error")),
        status=_status(raw),
    )


def _mcp_list_tools(raw: JSON) -> McpListTools:
    return McpListTools(
        id=_id(raw),
        server_label=text(raw.get("server_label")),
        tools=tuple(mappings(raw.get("tools"))),
        error=_json_text(raw.get("error")),
        status=_status(raw),
    )


def _file_search(raw: JSON) -> FileSearchCall:
    return FileSearchCall(
        id=_id(raw),
        queries=strings(raw.get("queries")),
        results=tuple(
            FileSearchResult(
                filename=text(each.get("filename")),
                text=text(each.get("text")),
                file_id=text(each.get("file_id")),
                score=number(each.get("score")),
            )
            for each in mappings(raw.get("results"))
        ),
        status=_status(raw),
    )


def _image_search(raw: JSON) -> ImageSearchCall:
    return ImageSearchCall(
        id=_id(raw),
        type=text(raw.get("type")),
        name=text(raw.get("name")),
        arguments=_json_text(raw.get("arguments")),
        output=_json_text(raw.get("output")),
        status=_status(raw),
    )


def _json_text(value: object) -> str:
    """JSON as text, also where a server gives the object itself."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return text(value)


_READERS: Final[Mapping[str, Callable[[JSON], Item]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "web_search_call": _web_search,
    "web_extractor_call": _web_extractor,
    "code_interpreter_call": _code_interpreter,
    "function_call": _function,
    "custom_tool_call": _custom_tool,
    "mcp_call": _mcp,
    "mcp_list_tools": _mcp_list_tools,
    "file_search_call": _file_search,
    "web_search_image_call": _image_search,
    "image_search_call": _image_search,
}

"""Items -> the JSON that the API accepts back as input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items.read import CALL_OUTPUT, PLACEHOLDER_QUERY
from qwen_magic.protocol.items.values import (
    Annotation,
    CodeInterpreterCall,
    CustomToolCall,
    FileSearchCall,
    FunctionCall,
    ImageSearchCall,
    Item,
    McpCall,
    McpListTools,
    Message,
    Reasoning,
    UnknownItem,
    WebExtractorCall,
    WebSearchCall,
)


def item_json(item: Item) -> JSON:
    """`item` as an input item. An empty id or status is left out; reasoning always has its
    `summary` list, without which the service refuses it (400)."""
    match item:
        case Message():
            return _item("message", item, role=item.role, content=_content(item))
        case Reasoning():
            return _item("reasoning", item, **_reasoning(item))
        case WebSearchCall():
            return _item("web_search_call", item, action=_action(item))
        case WebExtractorCall():
            return _item(
                "web_extractor_call",
                item,
                goal=item.goal,
                urls=list(item.urls),
                output=item.output,
            )
        case CodeInterpreterCall():
            return _item("code_interpreter_call", item, **_code(item))
        case FunctionCall():
            return _item(
                "function_call",
                item,
                name=item.name,
                arguments=item.arguments,
                call_id=item.call_id,
            )
        case CustomToolCall():
            return _item(
                "custom_tool_call", item, name=item.name, input=item.input, call_id=item.call_id
            )
        case McpCall() | McpListTools():
            return _mcp(item)
        case FileSearchCall():
            return _item("file_search_call", item, **_file_search(item))
        case ImageSearchCall():
            return _item(
                item.type, item, name=item.name, arguments=item.arguments, output=item.output
            )
        case UnknownItem():
            return dict(item.raw)
    assert_never(item)


def items_json(items: Iterable[Item]) -> tuple[JSON, ...]:
    """Items as records keep them. The output of a function call is an item of its own, directly
    behind the call, with how the call ended; the service is sent `output_json`, without."""
    written: list[JSON] = []
    for item in items:
        written.append(item_json(item))
        if isinstance(item, FunctionCall) and item.output is not None:
            written.append({**output_json(item), "status": item.output_status})
    return tuple(written)


def output_json(call: FunctionCall) -> JSON:
    """The `function_call_output` of an answered call, as it is sent."""
    return {"type": CALL_OUTPUT, "call_id": call.call_id, "output": call.output or ""}


def _item(kind: str, item: Item, **fields: object) -> JSON:
    head: JSON = {"type": kind}
    if item.id:
        head["id"] = item.id
    if item.status:
        head["status"] = item.status
    return head | fields


def _content(item: Message) -> list[JSON]:
    if item.role != "assistant":
        return [{"type": "input_text", "text": item.text}]
    parts: list[JSON] = []
    if item.text or not item.refusal:
        annotations = [_annotation(each) for each in item.annotations]
        parts.append({"type": "output_text", "text": item.text, "annotations": annotations})
    if item.refusal:
        parts.append({"type": "refusal", "refusal": item.refusal})
    return parts


def _annotation(annotation: Annotation) -> JSON:
    return annotation.raw or {
        "type": annotation.type,
        "url": annotation.url,
        "title": annotation.title,
        "start_index": annotation.start,
        "end_index": annotation.end,
    }


def _reasoning(item: Reasoning) -> JSON:
    summary = [{"type": "summary_text", "text": item.text}] if item.text else []
    if item.encrypted_content:
        return {"summary": summary, "encrypted_content": item.encrypted_content}
    return {"summary": summary}


def _action(item: WebSearchCall) -> JSON:
    if item.action != "search":  # OpenAI: open_page, find, find_in_page
        action: JSON = {"type": item.action}
        if item.sources:
            action["url"] = item.sources[0].url
        if item.queries:
            action["pattern"] = item.queries[0]
        return action
    query = item.queries[0] if item.queries else PLACEHOLDER_QUERY
    action = {"type": "search", "query": query, "queries": list(item.queries)}
    action["sources"] = [
        {"type": "url", "url": source.url} | ({"title": source.title} if source.title else {})
        for source in item.sources
    ]
    return action


def _code(item: CodeInterpreterCall) -> JSON:
    outputs: list[JSON] = []
    for each in item.outputs:
        if each.image_url:
            outputs.append({"type": "image", "url": each.image_url})
        if each.logs or not each.image_url:
            outputs.append({"type": "logs", "logs": each.logs})
    return {"code": item.code, "container_id": item.container_id, "outputs": outputs}


def _mcp(item: McpCall | McpListTools) -> JSON:
    error: JSON = {"error": item.error} if item.error else {}
    if isinstance(item, McpListTools):
        tools = [dict(tool) for tool in item.tools]
        return _item("mcp_list_tools", item, server_label=item.server_label, tools=tools, **error)
    return _item(
        "mcp_call",
        item,
        name=item.name,
        server_label=item.server_label,
        arguments=item.arguments,
        output=item.output,
        **error,
    )


def _file_search(item: FileSearchCall) -> JSON:
    results = [
        {
            "file_id": each.file_id,
            "filename": each.filename,
            "score": each.score,
            "text": each.text,
        }
        for each in item.results
    ]
    return {"queries": list(item.queries), "results": results}

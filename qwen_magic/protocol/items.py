"""Output items of a response, as values that read themselves from JSON and write it.

Each kind of item is one dataclass here: its type on the wire, and how its fields stand there
(`fields.wire`). Reading, writing and the texts that stream into it derive from that; three kinds
whose shape differs between servers have their own `from_json` and `to_json`. A new kind is a
dataclass, a name in `Item`, and what is shown of it in `document/steps.py`.

`parse_item` reads the JSON of any server leniently (a missing or null field is an empty one);
`item_json` writes the form that the API accepts back as input. `call_outputs.py` does so for a
sequence, where the output of a function call is an item of its own.

Shapes: Alibaba Cloud's documentation and recorded wire traffic, November 2026; where they disagree
both are read. An item of an unknown type is kept whole as `UnknownItem`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from qwen_magic.protocol.fields import (
    JSON,
    count,
    json_object,
    json_text,
    mapping,
    mappings,
    number,
    read_fields,
    strings,
    text,
    wire,
    write_fields,
)

T = TypeVar("T")

# What DashScope puts where the query will be, and sometimes leaves there.
PLACEHOLDER_QUERY: Final = "Web search"

# How a call of a function of the caller's ended; `refused`: it was not run.
CallStatus: TypeAlias = Literal["completed", "failed", "refused"]

# Which text of an item a delta belongs to. The wire's other spellings (`reasoning.delta`,
# `mcp_call.arguments.delta`, …) are read as these.
TextKind: TypeAlias = Literal[
    "output_text",
    "refusal",
    "reasoning_text",
    "reasoning_summary_text",
    "code_interpreter_call_code",
    "function_call_arguments",
    "mcp_call_arguments",
    "custom_tool_call_input",
]

# Filled by `_item`, below: what the declarations of this file say.
_READERS: Final[dict[str, Callable[[JSON], Any]]] = {}  # by type on the wire
_TYPES: Final[dict[type, str]] = {}  # the type on the wire of each class
# The texts that stream into the items of a class: (kind, field), the usual one first.
STREAMED: Final[dict[type, tuple[tuple[TextKind, str], ...]]] = {}
# The type of the item that a streamed text belongs to.
ITEM_TYPES: Final[dict[TextKind, str]] = {}


def _item(*types: str) -> Callable[[type[T]], type[T]]:
    """The class below is that of items of these types on the wire."""

    def register(cls: type[T]) -> type[T]:
        read = getattr(cls, "from_json", None) or partial(read_fields, cls)
        _READERS.update(dict.fromkeys(types, read))
        _TYPES[cls] = types[0]
        STREAMED[cls] = tuple(
            (kind, each.name)
            for each in fields(cast(Any, cls))
            for kind in each.metadata.get("streams", ())
        )
        for kind, _ in STREAMED[cls]:
            ITEM_TYPES.setdefault(kind, types[0])
        return cls

    return register


@dataclass(frozen=True, slots=True)
class Source:
    """A web page that a search found. DashScope gives no titles."""

    url: str
    title: str = wire(optional=True)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A citation inside a text part (OpenAI; always empty on DashScope).

    `start` and `end` are character offsets into the part's text.
    """

    type: str
    url: str = ""
    title: str = ""
    start: int = 0
    end: int = 0
    raw: JSON = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_json(cls, raw: JSON) -> Annotation:
        """In OpenAI's flat form, or nested under its type's name."""
        kind = text(raw.get("type"))
        inner = mapping(raw.get(kind)) or raw
        return cls(
            type=kind,
            url=text(inner.get("url")),
            title=text(inner.get("title")) or text(inner.get("filename")),
            start=count(inner.get("start_index")),
            end=count(inner.get("end_index")),
            raw=raw,
        )

    def to_json(self) -> JSON:
        return self.raw or {
            "type": self.type,
            "url": self.url,
            "title": self.title,
            "start_index": self.start,
            "end_index": self.end,
        }


@_item("message")
@dataclass(frozen=True, slots=True)
class Message:
    id: str
    text: str = wire(streams=("output_text",))
    refusal: str = wire(streams=("refusal",))
    annotations: tuple[Annotation, ...] = ()
    role: str = "assistant"
    status: str = ""

    @classmethod
    def from_json(cls, raw: JSON) -> Message:
        content = raw.get("content")
        if isinstance(content, str):
            content = [{"type": "output_text", "text": content}]
        parts = mappings(content)
        return cls(
            id=text(raw.get("id")),
            text="".join(text(part.get("text")) for part in parts),
            refusal="".join(text(part.get("refusal")) for part in parts),
            annotations=tuple(
                Annotation.from_json(each)
                for part in parts
                for each in mappings(part.get("annotations"))
            ),
            role=text(raw.get("role")) or "assistant",
            status=text(raw.get("status")),
        )

    def to_json(self) -> JSON:
        parts: list[JSON] = []
        if self.role != "assistant":
            parts.append({"type": "input_text", "text": self.text})
        elif self.text or not self.refusal:
            cited = [each.to_json() for each in self.annotations]
            parts.append({"type": "output_text", "text": self.text, "annotations": cited})
        if self.refusal and self.role == "assistant":
            parts.append({"type": "refusal", "refusal": self.refusal})
        return {"role": self.role, "content": parts}


@_item("reasoning")
@dataclass(frozen=True, slots=True)
class Reasoning:
    """`text` is the thinking: whole on DashScope, a summary or empty on OpenAI."""

    id: str
    text: str = wire(streams=("reasoning_text", "reasoning_summary_text"))
    encrypted_content: str = ""
    status: str = ""

    @classmethod
    def from_json(cls, raw: JSON) -> Reasoning:
        content = "".join(_texts(raw.get("content")))
        summary = _texts(raw.get("summary"))
        return cls(
            id=text(raw.get("id")),
            text=content or "\n\n".join(part for part in summary if part),
            encrypted_content=text(raw.get("encrypted_content")),
            status=text(raw.get("status")),
        )

    def to_json(self) -> JSON:
        """Always with a `summary` list, without which the service refuses it (400)."""
        summary = [{"type": "summary_text", "text": self.text}] if self.text else []
        sealed = {"encrypted_content": self.encrypted_content} if self.encrypted_content else {}
        return {"summary": summary, **sealed}


def _texts(parts: object) -> list[str]:
    """The texts of parts, some of which may be mere texts, or all one."""
    given = parts if isinstance(parts, list) else [parts]
    return [text(part.get("text")) if isinstance(part, dict) else text(part) for part in given]


@_item("web_search_call")
@dataclass(frozen=True, slots=True)
class WebSearchCall:
    """`queries` is empty while the server shows its placeholder "Web search"."""

    id: str
    queries: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    action: str = "search"
    status: str = ""

    @classmethod
    def from_json(cls, raw: JSON) -> WebSearchCall:
        # xAI's searches have no action, but arguments as JSON text.
        action = mapping(raw.get("action")) or json_object(text(raw.get("arguments"))) or {}
        queries = (
            strings(action.get("queries"))
            or strings([action.get("query")])
            or strings([action.get("pattern")])
        )
        sources = mappings(action.get("sources")) or [action]
        return cls(
            id=text(raw.get("id")),
            queries=tuple(query for query in queries if query != PLACEHOLDER_QUERY),
            sources=tuple(read_fields(Source, each) for each in sources if each.get("url")),
            action=text(action.get("type")) or "search",
            status=text(raw.get("status")),
        )

    def to_json(self) -> JSON:
        if self.action != "search":  # OpenAI: open_page, find, find_in_page
            action: JSON = {"type": self.action}
            if self.sources:
                action["url"] = self.sources[0].url
            if self.queries:
                action["pattern"] = self.queries[0]
            return {"action": action}
        return {
            "action": {
                "type": "search",
                "query": self.queries[0] if self.queries else PLACEHOLDER_QUERY,
                "queries": list(self.queries),
                "sources": [{"type": "url", **write_fields(each)} for each in self.sources],
            }
        }


@_item("web_extractor_call")
@dataclass(frozen=True, slots=True)
class WebExtractorCall:
    id: str
    goal: str = ""
    urls: tuple[str, ...] = wire(strings, ())
    output: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class CodeOutput:
    """What a run printed (`logs`, Markdown on DashScope) or the address of an image."""

    logs: str = ""
    image_url: str = ""


def _read_outputs(value: object) -> list[CodeOutput]:
    return [CodeOutput(text(each.get("logs")), text(each.get("url"))) for each in mappings(value)]


def _write_outputs(outputs: Iterable[CodeOutput]) -> list[JSON]:
    written: list[JSON] = []
    for each in outputs:
        if each.image_url:
            written.append({"type": "image", "url": each.image_url})
        if each.logs or not each.image_url:
            written.append({"type": "logs", "logs": each.logs})
    return written


@_item("code_interpreter_call")
@dataclass(frozen=True, slots=True)
class CodeInterpreterCall:
    id: str
    code: str = wire(streams=("code_interpreter_call_code",))
    outputs: tuple[CodeOutput, ...] = wire(_read_outputs, (), write=_write_outputs)
    container_id: str = ""
    status: str = ""


@_item("function_call")
@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`arguments` is a JSON object as text, as the model wrote it. `call_id`: what its output
    names; where a server gives none, `ResponseState` makes one at the end. `output` is what the
    caller's side sent back (on the wire an item of its own, `function_call_output`); None while, or
    where, nothing was. `output_status`: how the call ended there; `figures`: what it gave as
    images (`data:`), for the reader of this answer: no record has them."""

    id: str
    name: str = ""
    arguments: str = wire(json_text, streams=("function_call_arguments",))
    call_id: str = ""
    status: str = ""
    output: str | None = wire(None, None)
    output_status: CallStatus = wire(None, "completed")  # noqa: RUF009  # a field
    figures: tuple[str, ...] = wire(None, ())

    @property
    def failed(self) -> bool:
        """Whether it did not run to its end, or was not run at all."""
        return self.output is not None and self.output_status != "completed"

    @property
    def refused(self) -> bool:
        """Whether it was not run, since nobody allowed it."""
        return self.output is not None and self.output_status == "refused"


@_item("custom_tool_call")
@dataclass(frozen=True, slots=True)
class CustomToolCall:
    id: str
    name: str = ""
    input: str = wire(json_text, streams=("custom_tool_call_input",))
    call_id: str = ""
    status: str = ""


@_item("answer_attempt")
@dataclass(frozen=True, slots=True)
class AnswerAttempt:
    """A message that was to be an object and did not fit its schema, so that a better one was asked
    for in the same turn (`session.turn`). No service sends or is sent it; records keep
    it. `fault`: the first mismatch."""

    id: str
    text: str = ""
    fault: str = ""
    status: str = ""


@_item("mcp_call")
@dataclass(frozen=True, slots=True)
class McpCall:
    id: str
    name: str = ""
    server_label: str = ""
    arguments: str = wire(json_text, streams=("mcp_call_arguments",))
    output: str = wire(json_text)
    error: str = wire(json_text, optional=True)
    status: str = ""


@_item("mcp_list_tools")
@dataclass(frozen=True, slots=True)
class McpListTools:
    id: str
    server_label: str = ""
    tools: tuple[JSON, ...] = wire(mappings, ())
    error: str = wire(json_text, optional=True)
    status: str = ""


@dataclass(frozen=True, slots=True)
class FileSearchResult:
    filename: str
    text: str = ""
    file_id: str = ""
    score: float = wire(number, 0.0)


def _read_results(value: object) -> list[FileSearchResult]:
    return [read_fields(FileSearchResult, each) for each in mappings(value)]


def _write_results(results: Iterable[FileSearchResult]) -> list[JSON]:
    return [write_fields(each) for each in results]


@_item("file_search_call")
@dataclass(frozen=True, slots=True)
class FileSearchCall:
    id: str
    queries: tuple[str, ...] = wire(strings, ())
    results: tuple[FileSearchResult, ...] = wire(_read_results, (), write=_write_results)
    status: str = ""


@_item("web_search_image_call", "image_search_call")
@dataclass(frozen=True, slots=True)
class ImageSearchCall:
    """DashScope's two searches for images; `type` tells which. `output`: JSON as text, a list of
    {title, url, index}."""

    id: str
    type: str
    name: str = ""
    arguments: str = wire(json_text, streams=("function_call_arguments",))
    output: str = wire(json_text)
    status: str = ""


@dataclass(frozen=True, slots=True)
class UnknownItem:
    """An item of a type that this package does not know, kept whole."""

    id: str
    type: str
    raw: JSON = field(default_factory=dict)
    status: str = ""


Item: TypeAlias = (
    Message
    | Reasoning
    | WebSearchCall
    | WebExtractorCall
    | CodeInterpreterCall
    | FunctionCall
    | CustomToolCall
    | AnswerAttempt
    | McpCall
    | McpListTools
    | FileSearchCall
    | ImageSearchCall
    | UnknownItem
)
# Types of the items that a tool's call is, as the wire names them.
TOOL_TYPES: Final = tuple(kind for kind in _READERS if kind not in ("message", "reasoning"))


def item_type(item: Item) -> str:
    """The wire's `type` of an item."""
    return item.type if isinstance(item, ImageSearchCall | UnknownItem) else _TYPES[type(item)]


def parse_item(raw: JSON) -> Item:
    """The item that `raw` describes; one of an unknown type is kept whole. Never raises."""
    kind = text(raw.get("type")) or ("message" if raw.get("role") == "assistant" else "")
    read = _READERS.get(kind)
    if read is None:
        return UnknownItem(text(raw.get("id")), kind, raw, text(raw.get("status")))
    item: Item = read(raw)
    return item


def item_json(item: Item) -> JSON:
    """`item` as an input item. An empty id or status is left out."""
    if isinstance(item, UnknownItem):
        return dict(item.raw)
    own = item.to_json() if isinstance(item, _OWN_FORM) else write_fields(item)
    head = {"type": item_type(item), "id": item.id, "status": item.status}
    return {name: value for name, value in head.items() if value} | {
        name: value for name, value in own.items() if name not in head
    }


_OWN_FORM: Final = (Message, Reasoning, WebSearchCall)


def text_of(items: Iterable[JSON]) -> str:
    """The answer as its items tell it: all messages, an empty line between them."""
    messages = (parse_item(item) for item in items if item.get("type") == "message")
    texts = (each.text or each.refusal for each in messages if isinstance(each, Message))
    return "\n\n".join(filter(None, texts))

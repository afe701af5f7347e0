"""Output items of a response, and its usage, as values.

Shapes: Alibaba Cloud's documentation and recorded wire traffic, November 2026; where they disagree
both are read. An item of an unknown type is kept whole as `UnknownItem`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from qwen_magic.protocol.fields import JSON

# How a call of a function of the caller's ended; `refused`: it was not run.
CallStatus: TypeAlias = Literal["completed", "failed", "refused"]
CALL_FAILED: Final = "Error: "  # how the model is told so; the status is what counts here


@dataclass(frozen=True, slots=True)
class CallResult:
    """What is sent back for a function call, and how the call ended.

    The wire has the text alone, so that a failure's text says what it is; nothing here reads that
    back: what a function gives may begin with "Error:" too.
    """

    text: str
    status: CallStatus = "completed"

    @classmethod
    def failure(cls, why: str) -> CallResult:
        """The function raised, or could not be run."""
        return cls(CALL_FAILED + why, "failed")

    @classmethod
    def refusal(cls, why: str) -> CallResult:
        """Nobody allowed the call."""
        return cls(f"{CALL_FAILED}not allowed: {why}", "refused")


@dataclass(frozen=True, slots=True)
class Source:
    """A web page that a search found. DashScope gives no titles."""

    url: str
    title: str = ""


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


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    text: str = ""
    refusal: str = ""
    annotations: tuple[Annotation, ...] = ()
    role: str = "assistant"
    status: str = ""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """`text` is the thinking: whole on DashScope, a summary or empty on OpenAI."""

    id: str
    text: str = ""
    encrypted_content: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class WebSearchCall:
    """`queries` is empty while the server shows its placeholder "Web search"."""

    id: str
    queries: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    action: str = "search"
    status: str = ""


@dataclass(frozen=True, slots=True)
class WebExtractorCall:
    id: str
    goal: str = ""
    urls: tuple[str, ...] = ()
    output: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class CodeOutput:
    """What a run printed (`logs`, Markdown on DashScope) or the address of an image."""

    logs: str = ""
    image_url: str = ""


@dataclass(frozen=True, slots=True)
class CodeInterpreterCall:
    id: str
    code: str = ""
    outputs: tuple[CodeOutput, ...] = ()
    container_id: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`output` is what the caller's side sent back for it (on the wire an item of its own,
    `function_call_output`); None while, or where, nothing was. `output_status`: how the call ended
    there."""

    id: str
    name: str = ""
    arguments: str = ""  # a JSON object as text, as the model wrote it
    call_id: str = ""
    status: str = ""
    output: str | None = None
    output_status: CallStatus = "completed"

    @property
    def failed(self) -> bool:
        """Whether it did not run to its end, or was not run at all."""
        return self.output is not None and self.output_status != "completed"

    @property
    def refused(self) -> bool:
        """Whether it was not run, since nobody allowed it."""
        return self.output is not None and self.output_status == "refused"


@dataclass(frozen=True, slots=True)
class CustomToolCall:
    id: str
    name: str = ""
    input: str = ""
    call_id: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class McpCall:
    id: str
    name: str = ""
    server_label: str = ""
    arguments: str = ""
    output: str = ""
    error: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class McpListTools:
    id: str
    server_label: str = ""
    tools: tuple[JSON, ...] = ()
    error: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class FileSearchResult:
    filename: str
    text: str = ""
    file_id: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class FileSearchCall:
    id: str
    queries: tuple[str, ...] = ()
    results: tuple[FileSearchResult, ...] = ()
    status: str = ""


@dataclass(frozen=True, slots=True)
class ImageSearchCall:
    """DashScope's `web_search_image_call` and `image_search_call` (`type` tells which)."""

    id: str
    type: str
    name: str = ""
    arguments: str = ""  # JSON as text
    output: str = ""  # JSON as text: a list of {title, url, index}
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
    | McpCall
    | McpListTools
    | FileSearchCall
    | ImageSearchCall
    | UnknownItem
)


_TYPES: Final[Mapping[type, str]] = {
    Message: "message",
    Reasoning: "reasoning",
    WebSearchCall: "web_search_call",
    WebExtractorCall: "web_extractor_call",
    CodeInterpreterCall: "code_interpreter_call",
    FunctionCall: "function_call",
    CustomToolCall: "custom_tool_call",
    McpCall: "mcp_call",
    McpListTools: "mcp_list_tools",
    FileSearchCall: "file_search_call",
}


def item_type(item: Item) -> str:
    """The wire's `type` of an item."""
    if type(item) in _TYPES:  # the usual case, made cheap: this runs with every delta
        return _TYPES[type(item)]
    return item.type if isinstance(item, ImageSearchCall | UnknownItem) else ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and tool calls of a response. All-zero usage is seen on the wire: `known` is then
    False and nothing should be shown."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    tools: Mapping[str, int] = field(default_factory=dict)  # calls by tool (`x_tools`)

    @property
    def known(self) -> bool:
        return bool(self.input_tokens or self.output_tokens or self.total_tokens)

    def __add__(self, other: Usage) -> Usage:
        """Both together: the usage of several responses."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.total_tokens + other.total_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            {
                name: self.tools.get(name, 0) + other.tools.get(name, 0)
                for name in (*self.tools, *other.tools)
            },
        )

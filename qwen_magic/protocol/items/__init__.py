"""Output items of a response: the values, their reading, their writing.

`parse_item` reads the JSON of any server leniently (a missing or null field is an empty one);
`item_json` writes the form that the API accepts back as input. `parse_items` and `items_json` do so
for a sequence, where the output of a function call is an item of its own.
"""

from __future__ import annotations

from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items.read import (
    CALL_OUTPUT,
    PLACEHOLDER_QUERY,
    parse_item,
    parse_items,
    parse_usage,
)
from qwen_magic.protocol.items.values import (
    CALL_FAILED,
    Annotation,
    CallResult,
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
    item_type,
)
from qwen_magic.protocol.items.write import item_json, items_json, output_json

__all__ = [
    "CALL_FAILED",
    "CALL_OUTPUT",
    "JSON",
    "PLACEHOLDER_QUERY",
    "Annotation",
    "CallResult",
    "CallStatus",
    "CodeInterpreterCall",
    "CodeOutput",
    "CustomToolCall",
    "FileSearchCall",
    "FileSearchResult",
    "FunctionCall",
    "ImageSearchCall",
    "Item",
    "McpCall",
    "McpListTools",
    "Message",
    "Reasoning",
    "Source",
    "UnknownItem",
    "Usage",
    "WebExtractorCall",
    "WebSearchCall",
    "item_json",
    "item_type",
    "items_json",
    "output_json",
    "parse_item",
    "parse_items",
    "parse_usage",
]

"""Output items of a response: the values, their reading, their writing.

`parse_item` reads the JSON of any server leniently (a missing or null field is an empty one);
`item_json` writes the form that the API accepts back as input.
"""

from __future__ import annotations

from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items.read import PLACEHOLDER_QUERY, parse_item, parse_usage
from qwen_magic.protocol.items.values import (
    Annotation,
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
from qwen_magic.protocol.items.write import item_json

__all__ = [
    "JSON",
    "PLACEHOLDER_QUERY",
    "Annotation",
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
    "parse_item",
    "parse_usage",
]

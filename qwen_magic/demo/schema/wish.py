"""The words by which the product asks for JSON of a schema, and for a better one."""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]

_WISH = re.compile(
    r"(?:\n\n)?^Give the answer as JSON: [^\n]* this JSON Schema\.\n\n```json\n(.*?)\n```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_REPAIR = re.compile(
    r"\s*Your JSON does not fit the schema:\n\n.*\n\nSend the whole value again, mended, [^\n]*\s*",
    re.DOTALL,
)


def wished_schema(text: str) -> JSON | None:
    """The schema that the text asks for, the last one; None without."""
    for match in reversed(list(_WISH.finditer(text))):
        try:
            schema = json.loads(match[1])
        except (ValueError, RecursionError):
            continue
        if isinstance(schema, dict):
            return schema
    return None


def is_repair(text: str) -> bool:
    """Whether the text asks to mend the JSON of the answer before."""
    return _REPAIR.fullmatch(text) is not None


def without_wish(text: str) -> str:
    """The text without the paragraph of its schema; nothing is left of a repair."""
    return "" if is_repair(text) else _WISH.sub("", text)

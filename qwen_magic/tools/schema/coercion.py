"""Arguments that mean the right thing in the wrong type, made right: models write `"5"` for 5."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.schema.validation import find_faults, resolve, wrong_type

_INTEGER: Final = re.compile(r"[+-]?\d{1,18}(?:\.0*)?")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TRUTHS: Final = {"true": True, "false": False}


def coerce(value: Any, schema: JSON) -> Any:
    """`value` with text read as number, truth value, list or object where only that fits, and whole
    floats as integers. What cannot be read stays, for the check to name."""
    return _coerced(value, schema, schema)


def _coerced(value: Any, schema: object, root: JSON) -> Any:
    if not isinstance(schema, Mapping):
        return value
    schema = resolve(schema, root)
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return _of_options(value, schema[keyword], root)
    if isinstance(value, str) and wrong_type(value, schema):
        value = _read(value, schema)
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        items = schema.get("items")
        return [_coerced(item, items, root) for item in value]
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        return {name: _coerced(item, known.get(name, more), root) for name, item in value.items()}
    return value


def _of_options(value: Any, options: list[Any], root: JSON) -> Any:
    """As it is where it fits one of them; else as the first that it can be read as."""
    for made in (value, *(_coerced(value, option, root) for option in options)):
        for option in options:
            if isinstance(option, dict) and not find_faults(made, _within(root, option)):
                return made
    return value


def _within(root: JSON, option: JSON) -> JSON:
    return {"$defs": root.get("$defs", {}), **option}


def _read(text: str, schema: Mapping[str, Any]) -> Any:
    kind, bare = schema.get("type"), text.strip()
    if kind == "integer" and _INTEGER.fullmatch(bare):
        return int(bare.partition(".")[0])
    if kind == "number" and _NUMBER.fullmatch(bare):
        return float(bare)
    if kind == "boolean":
        return _TRUTHS.get(bare.lower(), text)
    if kind in ("array", "object"):
        try:
            made = json.loads(bare)
        except (ValueError, RecursionError):
            return text
        return text if wrong_type(made, schema) else made
    return text

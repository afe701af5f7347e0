"""An answer as an object: what is asked for, found in the text, checked, built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from qwen_magic.document.extract import code_blocks
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.building import build, by_alias
from qwen_magic.tools.type_schema import schema_of
from qwen_magic.tools.validation import SchemaMismatchError, find_faults, resolve

_KEYWORDS: Final = (
    "type",
    "properties",
    "$ref",
    "anyOf",
    "oneOf",
    "allOf",
    "enum",
    "const",
    "items",
)
_START: Final = re.compile(r"[{\[]")
_MOST_STARTS: Final = 200


@dataclass(frozen=True, slots=True)
class Schema:
    """What an answer is to look like. `json` is the JSON schema; `hint` the Python type, None where
    a JSON schema was given (then the parsed value is plain JSON)."""

    name: str
    json: JSON
    hint: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, value: object, name: str = "") -> Schema:
        """From a dataclass, TypedDict, pydantic model, any other type that `schema_of` knows (such
        as `list[Item]`), or a dict that is a JSON schema. Raises `UsageError`."""
        if isinstance(value, Mapping):
            if not any(keyword in value for keyword in _KEYWORDS):
                raise UsageError(
                    f"{name or 'This dict'} is no JSON schema: it has none of "
                    f"{', '.join(_KEYWORDS[:4])}, ….",
                    hint='A schema is like {"type": "object", "properties": {…}}.',
                )
            try:
                plain: JSON = json.loads(json.dumps(value))
            except (TypeError, ValueError) as error:
                raise UsageError(f"{name or 'This schema'} is not JSON.", why=str(error)) from error
            return cls(_safe(name or str(value.get("title", ""))), plain)
        if value is None or isinstance(value, str | int | float | list | tuple):
            raise UsageError(
                f"{name or 'This value'} is no schema, but of type {type(value).__name__}.",
                hint="--schema takes a pydantic model, a dataclass, a TypedDict or a JSON schema.",
            )
        written = schema_of(value)
        return cls(_safe(getattr(value, "__name__", "") or name), _flat(written), value)

    def prompt(self) -> str:
        """The words that ask for it, to stand behind the user's prompt."""
        written = json.dumps(self.json, ensure_ascii=False, indent=1)
        return (
            "Give the answer as JSON: one value, alone in a ```json code block, that is valid for "
            f"this JSON Schema.\n\n```json\n{_unfenced(written)}\n```"
        )

    def find(self, text: str) -> Any:
        """The JSON value in `text`: the first that fits, else the first that is any. Raises
        `SchemaMismatchError` where there is none."""
        found = list(candidates(text))
        for value in found:
            if not find_faults(self._named(value), self.json):
                return value
        if found:
            return found[0]
        raise SchemaMismatchError(
            "There is no JSON in the answer.", hint="A value in a ```json block was asked for."
        )

    def validate(self, value: Any) -> Any:
        """`value` checked, as an object of the type (or as it is, for a JSON schema). Raises
        `SchemaMismatchError`, which lists the faults with their places."""
        value = self._named(value)
        faults = find_faults(value, self.json)
        if faults:
            raise SchemaMismatchError(f"The JSON does not fit {self.name}.", faults)
        return value if self.hint is None else build(self.hint, value)

    def _named(self, value: Any) -> Any:
        return value if self.hint is None else by_alias(self.hint, value)

    def parse(self, text: str) -> Any:
        """The object in an answer's `text`: `validate(find(text))`."""
        return self.validate(self.find(text))

    def text_format(self) -> JSON | None:
        """The request's `text.format`, for endpoints that honour it; None where the schema's root
        is no object, which none of them takes. `strict` where the schema meets OpenAI's rules."""
        root = resolve(self.json, self.json)
        if root.get("type") != "object":
            return None
        form = {"type": "json_schema", "name": self.name, "schema": self.json}
        return {**form, "strict": _is_strict(self.json)}

    def retry_prompt(self, error: SchemaMismatchError) -> str:
        """The prompt of the turn that asks the model to mend its answer."""
        listed = "\n".join(f"- {fault}" for fault in error.faults) or f"- {error.message}"
        return (
            "Your JSON does not fit the schema:\n\n"
            f"{listed}\n\nSend the whole value again, mended, alone in a ```json code block."
        )


def _flat(schema: JSON) -> JSON:
    """With the root's own definition at the root, where nothing else refers to it."""
    reference = schema.get("$ref", "")
    if set(schema) != {"$ref", "$defs"}:
        return schema
    name = reference.removeprefix("#/$defs/")
    rest = {key: value for key, value in schema["$defs"].items() if key != name}
    if f'"{reference}"' in json.dumps([rest, schema["$defs"][name]]):
        return schema
    return {**schema["$defs"][name], **({"$defs": rest} if rest else {})}


def _is_strict(schema: object) -> bool:
    """OpenAI's rule: every object is closed, and requires all that it names; no value is free."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(schema.get("properties", {})):
            return False
        if {} in schema.get("properties", {}).values():
            return False
    if schema.get("type") == "array" and schema.get("items", {}) == {}:
        return False
    return "prefixItems" not in schema and all(map(_is_strict, schema.values()))


def _safe(name: str) -> str:
    return re.sub(r"[^\w-]", "_", name, flags=re.ASCII)[:64] or "answer"


def _unfenced(written: str) -> str:
    """Without a line that would close the fence; in JSON backticks have another spelling."""
    return written.replace("```", "\\u0060\\u0060\\u0060")


# JSON inside prose -------------------------------------------------------------------------------


def candidates(text: str) -> Iterator[Any]:
    """The JSON values in `text`, the likeliest first: the whole, fences called json, other fences,
    then objects and lists in the prose."""
    yield from _loaded(text)
    for block in sorted(code_blocks(text), key=lambda block: not block.language.startswith("json")):
        yield from _loaded(block.code)
    yield from _free(text)


def _loaded(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return


def _free(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    position, tries = 0, 0
    while (start := _START.search(text, position)) and tries < _MOST_STARTS:
        tries += 1
        try:
            value, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
            continue
        yield value


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")

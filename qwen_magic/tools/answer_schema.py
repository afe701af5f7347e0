"""An answer as an object: its schema, the prompt for it, finding it in the text, building it."""

from __future__ import annotations

import ast
import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.building import build, by_alias
from qwen_magic.tools.type_schema import schema_of
from qwen_magic.tools.validation import (
    SchemaFault,
    SchemaMismatchError,
    find_faults,
    is_schema,
    resolve,
)

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
_TYPES: Final = {
    **{kind.__name__: kind for kind in (str, int, float, bool, list, dict, tuple, set, frozenset)},
    **{name: getattr(typing, name) for name in ("Any", "Literal", "Optional", "Union")},
}
_WHAT_TO_DO: Final = (
    "Run the cell again, ask a larger model (-m), or ask for less: fewer fields, wider types. What "
    "came is in the answer's text."
)
_START: Final = re.compile(r"""[{\[](?=\s*["{\[\]}\d\-tfn])""")  # of what may be JSON
_MOST_READ: Final = 5_000_000  # characters, counted each time that they are read
_AS_SLOW: Final = 50_000  # characters that are read in the time of one RecursionError


@dataclass(frozen=True, slots=True)
class Schema:
    """The form of an answer: `json` is the JSON schema; `hint` the Python type to build.

    With a `hint` of None the parsed value is plain JSON.
    """

    name: str
    json: JSON
    hint: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, value: object, name: str = "") -> Schema:
        """Make a schema from a dataclass, TypedDict, pydantic model, any other type that
        `schema_of` knows (such as `list[Item]`), or a dict that is a JSON schema. Raises
        `UsageError`.
        """
        if isinstance(value, Mapping):
            if not (any(keyword in value for keyword in _KEYWORDS) or is_schema(value)):
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
        """The text that asks for the object, to append to the user's prompt."""
        written = json.dumps(self.json, ensure_ascii=False, indent=1)
        return (
            "Give the answer as JSON: one value, alone in a ```json code block, that is valid for "
            f"this JSON Schema.\n\n```json\n{_unfenced(written)}\n```"
        )

    def find(self, text: str) -> Any:
        """The JSON value in `text`: the last one that fits the schema, else the last one.

        Values that models often add are skipped if there is another: the schema itself, values with
        names that the schema does not know (an example's input fits a schema without required
        fields), and parts quoted from an earlier value. A value may stand under a name of its own:
        `{"Answer": {…}}`. Raises `SchemaMismatchError` if there is no JSON.
        """
        found = list[Any]()
        for value in candidates(text):
            if not self._is_echo(value):
                inside = list(value.values()) if isinstance(value, dict) else []
                is_name = len(inside) == 1 and isinstance(inside[0], dict)
                found += [value, *(inside if is_name and not self._knows_names(value) else ())]
        if not found:
            raise SchemaMismatchError("There is no JSON in the answer.", hint=_WHAT_TO_DO)
        fitting = [value for value in found if not find_faults(self._by_alias(value), self.json)]
        knowing = [value for value in fitting if self._knows_names(value)] or fitting or found
        whole = [
            value
            for place, value in enumerate(knowing)
            if not any(_is_part(value, earlier) for earlier in knowing[:place])
        ]
        return whole[-1]

    def _is_echo(self, value: Any) -> bool:
        """Whether `value` is the schema itself, as it was sent or as pydantic would write it."""
        if value == self.json:
            return True
        return isinstance(value, dict) and any(
            word in option
            and word not in option.get("properties", {})
            and _names_the_same(value.get(word), option[word])
            for option in self._options()
            for word in ("properties", "anyOf", "oneOf", "$defs")
        )

    def _knows_names(self, value: Any) -> bool:
        """Whether the schema names all members of `value`, if it names any."""
        named = self._by_alias(value)
        if not isinstance(named, dict):
            return True
        known = [option.get("properties") or {} for option in self._options()]
        free = [option.get("additionalProperties") for option in self._options()]
        return not any(known) or any(free) or any(set(named) <= set(names) for names in known)

    def _options(self) -> list[Mapping[str, Any]]:
        """The schema and its alternatives (`anyOf`, `oneOf`)."""
        root = resolve(self.json, self.json)
        options = [*(root.get("anyOf") or ()), *(root.get("oneOf") or ())]
        return [root, *(resolve(one, self.json) for one in options if isinstance(one, Mapping))]

    def validate(self, value: Any) -> Any:
        """Check `value`, and build an object of the type (plain JSON for a JSON schema).

        Raises `SchemaMismatchError`, which lists the faults with their places.
        """
        value = self._by_alias(value)
        faults: Sequence[SchemaFault] = find_faults(value, self.json)
        if not faults:
            try:
                return value if self.hint is None else build(self.hint, value)
            except SchemaMismatchError as error:
                faults = error.faults
        raise SchemaMismatchError(
            f"The answer's JSON does not fit {self.name}: {faults[0]}.", faults, hint=_WHAT_TO_DO
        )

    def _by_alias(self, value: Any) -> Any:
        return value if self.hint is None else by_alias(self.hint, value)

    def parse(self, text: str) -> Any:
        """The object in an answer's `text`: `validate(find(text))`."""
        return self.validate(self.find(text))

    def text_format(self) -> JSON | None:
        """The request's `text.format`, for endpoints that honour it.

        None if the schema's root is not an object, which no endpoint accepts. `strict` is set if
        the schema meets OpenAI's rules.
        """
        root = resolve(self.json, self.json)
        if root.get("type") != "object":
            return None
        form = {"type": "json_schema", "name": self.name, "schema": self.json}
        return {**form, "strict": _is_strict(self.json)}

    def retry_prompt(self, error: SchemaMismatchError) -> str:
        """The prompt that asks the model to correct its answer."""
        listed = "\n".join(f"- {fault}" for fault in error.faults) or f"- {error.message}"
        return (
            "Your JSON does not fit the schema:\n\n"
            f"{listed}\n\nSend the whole value again, mended, alone in a ```json code block."
        )


def _flat(schema: JSON) -> JSON:
    """The schema with the definition that its root refers to put at the root, if nothing else uses
    it.
    """
    reference = schema.get("$ref", "")
    if set(schema) != {"$ref", "$defs"}:
        return schema
    name = reference.removeprefix("#/$defs/")
    rest = {key: value for key, value in schema["$defs"].items() if key != name}
    if f'"{reference}"' in json.dumps([rest, schema["$defs"][name]]):
        return schema
    return {**schema["$defs"][name], **({"$defs": rest} if rest else {})}


def _is_strict(schema: object) -> bool:
    """Whether the schema meets OpenAI's rule: all objects are closed and require all their members,
    and every value has a type.
    """
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
    """Escape backticks that would close the fence; JSON can write them differently."""
    return written.replace("```", "\\u0060\\u0060\\u0060")


def named_type(text: str, namespace: Mapping[str, object]) -> object:
    """The type or variable that `text` names, such as `list[Item]`, `Item | None`, `Literal["a",
    "b"]`.

    Names come from `namespace` and from Python's types; nothing is called. Raises `UsageError`.
    """

    def of(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body=inner):
                return of(inner)
            case ast.Name(id=name):
                return namespace[name] if name in namespace else _TYPES[name]
            case ast.Attribute(value=owner, attr=name):
                return getattr(of(owner), name)
            case ast.Subscript(value=owner, slice=inside):
                return of(owner)[of(inside)]
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return of(left) | of(right)
            case ast.Tuple(elts=parts):
                return tuple(map(of, parts))
            case ast.Constant(value=value):
                return value
        raise TypeError(ast.unparse(node))

    try:
        return of(ast.parse(text.strip(), mode="eval"))
    except Exception as error:  # what is looked up is the user's
        raise UsageError(
            f"There is no {text} in the notebook to be a schema.",
            hint="--schema takes a name, or a type such as list[Item] or 'Item | None'.",
        ) from error


# JSON inside prose -------------------------------------------------------------------------------


def candidates(text: str) -> Iterator[Any]:
    """The JSON values in `text`, the most likely last.

    That is the whole text, or values in code of other languages, then all others in their order
    (code blocks, objects and lists in the prose).
    """
    whole = list(_loaded(text))
    if whole:
        yield from whole
        return
    from qwen_magic.document.extract import code_blocks

    found: list[tuple[bool, int, Any]] = []
    spans: list[tuple[int, int, bool]] = []
    place = 0
    for block in code_blocks(text):
        start = max(place, text.find(block.code.partition("\n")[0], place))
        place = start + len(block.code)
        is_json = block.language in ("", "json", "json5", "jsonc")
        values = list(_loaded(block.code))
        found += [(is_json, start, value) for value in values]
        if values or not is_json:
            spans.append((start, place, bool(values)))
    for at, value in _free(text):
        span = next((span for span in spans if span[0] <= at < span[1]), None)
        if span is None or not span[2]:  # else its block was read already
            found.append((span is None, at, value))
    for _, _, value in sorted(found, key=lambda one: one[:2]):
        yield value


def _names_the_same(one: Any, other: Any) -> bool:
    """Whether two parts of schemas have the same names, or as many alternatives."""
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other)
    return isinstance(one, list) and isinstance(other, list) and len(one) == len(other)


def _is_part(value: Any, whole: Any) -> bool:
    """Whether an object has only members that the other has too."""
    return (
        isinstance(value, dict)
        and isinstance(whole, dict)
        and len(value) < len(whole)
        and all(name in whole and whole[name] == item for name, item in value.items())
    )


def _loaded(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return


def _free(text: str) -> Iterator[tuple[int, Any]]:
    """Each with its place."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    position, read = 0, 0
    while (start := _START.search(text, position)) and read < _MOST_READ:
        try:
            value, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError) as error:
            position = start.end()
            read += max(getattr(error, "pos", start.start() + _AS_SLOW) - start.start(), 1)
            continue
        yield start.start(), value


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")

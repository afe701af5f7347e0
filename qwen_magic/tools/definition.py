"""Functions of the notebook as tools: their definition for the model, and reading its arguments.

Nothing is run here. The caller asks the user before running a function.
"""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from textwrap import indent
from typing import Annotated, Any, Final, TypeVar, overload

from qwen_magic.context.secrets import Secrets
from qwen_magic.document.words import wire_name
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.masking import known_secrets
from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.building import build, by_alias, coerce
from qwen_magic.tools.type_schema import SCALARS, resolved_hints, schema_of
from qwen_magic.tools.validation import SchemaFault, SchemaMismatchError, find_faults

_F = TypeVar("_F", bound=Callable[..., Any])
_Kind: Final = inspect.Parameter
_POSITIONAL: Final = (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
_MARK: Final = "__qwen_tool__"
MAX_RESULT_BYTES: Final = 100_000  # of UTF-8, about 30,000 tokens
LONGEST_DESCRIPTION: Final = 1_000  # characters; OpenAI refuses more than 1,024
_LONGEST_FAILURE: Final = 2_000  # characters
_BULLET: Final = re.compile(
    r"^([ \t]+)(?:[-*] )?[`*]{0,2}(\w+)[`*]{0,2}(?= *(?:\([^)\n]*\))?:)", re.MULTILINE
)
# A type beside a parameter's name that goes on in the next line, or holds a string.
_TYPE: Final = re.compile(
    r"^([ \t]+(?:[-*] )?[`*]{0,2}\w+[`*]{0,2}) *\((?=[^)]*['\"\n])"
    r"(?:[^()\n]|\n(?![ \t]*\n)|\([^()\n]*\))*\)(?= *:)",
    re.MULTILINE,
)
_NUMPY_TYPE: Final = re.compile(r"^(\w[\w, ]*: [^\n]*[\[{(][^\]})\n]*)\n[ \t]+", re.MULTILINE)
# Parameters as a list that is not indented below its section's name.
_LISTED: Final = re.compile(
    r"^(?:Args|Arguments|Parameters|Params):[ \t]*\n(?:[-*] .*(?:\n[ \t]+\S.*)*(?:\n|\Z))+",
    re.MULTILINE,
)
_ONLY_PARAMETERS: Final = re.compile(r"((?:Args|Arguments|Parameters|Params):[ \t]*\n)(?=\w)")


class ArgumentsError(SchemaMismatchError):
    """The model called a function with arguments that do not fit. `faults` names the places."""


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that the model may call.

    - `parameters`: the JSON schema of its arguments;
    - `is_async`: calling it returns an awaitable;
    - `withheld`: parameters whose defaults look like secrets, and are left out of the schema;
    - `defaults`: those that are pydantic fields (`size: int = Field(10, le=50)`, as in FastAPI),
      which have to be passed explicitly;
    - `server`: the MCP server that runs it, empty for a function of the notebook. Then `function`
      returns a `concurrent.futures.Future`, and `identity` is compared instead of the function.
    """

    name: str
    description: str
    parameters: JSON
    function: Callable[..., Any]
    is_async: bool = False
    hints: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    withheld: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    server: str = ""
    identity: object = field(default=None, repr=False)

    @classmethod
    def of(cls, function: object, name: str = "") -> FunctionTool:
        """Make a tool from a callable with a signature, also from one that `tool` has marked.

        `name`, of its variable, is used if it has none of its own (a partial, a lambda, an object).
        Raises `UsageError` if it cannot be called with named arguments.
        """
        marked = getattr(function, _MARK, {})
        if isinstance(function, type) or not callable(function):
            raise UsageError(
                f"{name or 'This'} is no function, but {_kind_of(function)}.",
                hint="A tool is a function with typed parameters and a docstring.",
            )
        source = _source(function)
        own = marked.get("name") or _name(function, source, name)
        docstring = read_docstring(getattr(source, "__doc__", ""))
        readable = _readable(own, function)
        fields = {one.name: one.default for one in readable if is_field(one.default)}
        hints = resolved_hints(source)
        hints |= {name: Annotated[hints.get(name, Any), field] for name, field in fields.items()}
        parameters = _parameters(own, readable, hints, docstring.parameters)
        description = marked.get("description") or docstring.description
        if wire_name(own) != own and not own.isascii():
            description = f"{own}: {description}" if description else own
        withheld = tuple(_withhold(parameters, Secrets(known_secrets())))
        return cls(
            wire_name(own),
            description[:LONGEST_DESCRIPTION],
            parameters,
            function,
            inspect.iscoroutinefunction(source) or inspect.isasyncgenfunction(source),
            {key: hint for key, hint in hints.items() if key in parameters["properties"]},
            withheld,
            {name: field for name, field in fields.items() if not field.is_required()},
        )

    def definition(self) -> JSON:
        """The tool as the Responses API has it in a request: flat, and not strict.

        With strict, OpenAI would require every parameter that has a default.
        """
        described = {"description": self.description} if self.description else {}
        head = {"type": "function", "name": self.name, **described}
        return {**head, "parameters": self.parameters, "strict": False}

    def read_arguments(self, text: str) -> dict[str, Any]:
        """The model's arguments (JSON; empty counts as `{}`) as Python objects of the parameters'
        types.

        Corrected silently: a number, truth value, list or object written as text; 5.0 for an int; 5
        for a float; null for a parameter with a default that does not accept null (left out).
        Anything else that does not fit raises `ArgumentsError`, whose text may be sent to the
        model. Building objects runs their classes' code, so ask the user first.
        """
        arguments = self.check_arguments(text)
        try:
            made = {
                name: build(self.hints[name], value, name) if name in self.hints else value
                for name, value in arguments.items()
            }
            given = (name for name in self.defaults if name not in made)
            return made | {
                n: self.defaults[n].get_default(call_default_factory=True) for n in given
            }
        except SchemaMismatchError as error:
            raise ArgumentsError(
                f"The arguments of {self.name} do not fit.", error.faults
            ) from error

    def check_arguments(self, text: str) -> JSON:
        """The model's arguments as plain JSON; no code of the notebook is run. Raises
        `ArgumentsError`.
        """
        given = self._loaded(text)
        schema = self.parameters
        given = {name: value for name, value in given.items() if not self._is_absent(name, value)}
        given = {name: by_alias(self.hints.get(name, Any), value) for name, value in given.items()}
        arguments: JSON = coerce(given, schema)
        faults = find_faults(arguments, schema)
        if faults:
            raise ArgumentsError(f"The arguments of {self.name} do not fit.", faults)
        return arguments

    def _loaded(self, text: str) -> dict[str, Any]:
        try:
            given = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            raise ArgumentsError(
                f"The arguments of {self.name} are not JSON.", [SchemaFault("", str(error))]
            ) from error
        if not isinstance(given, dict):
            raise ArgumentsError(
                f"The arguments of {self.name} are no JSON object, but {type(given).__name__}."
            )
        return given

    def _is_absent(self, name: str, value: object) -> bool:
        optional = name not in self.parameters["required"]
        schema = self.parameters["properties"].get(name)
        if value is not None or not optional or schema is None:
            return False
        return bool(find_faults(None, {**schema, "$defs": self.parameters.get("$defs", {})}))


@overload
def tool(function: _F) -> _F: ...


@overload
def tool(*, name: str = "", description: str = "") -> Callable[[_F], _F]: ...


def tool(function: Any = None, *, name: str = "", description: str = "") -> Any:
    """Mark a function as a tool, for `-t` and completion; it stays the function that it was.

    `name` and `description` replace its own. Raises `UsageError` where it cannot be one.
    """

    def mark(function: _F) -> _F:
        setattr(function, _MARK, {"name": name, "description": description})
        FunctionTool.of(function)  # to say at once what is wrong with it
        return function

    return mark if function is None else mark(function)


def is_tool(value: object) -> bool:
    """True for a function that `tool` has marked."""
    return hasattr(value, _MARK) and not isinstance(value, type)


def failure_of(error: BaseException) -> CallResult:
    """What the model is sent if a call failed: the exception's type and message."""
    try:
        words = str(error) if isinstance(error, QwenError) else f"{type(error).__name__}: {error}"
    except Exception:  # its words are the user's code
        words = type(error).__name__
    return CallResult.failure(words[:_LONGEST_FAILURE])


def is_field(default: object) -> bool:
    """True for pydantic's `Field(…)` in the place of a parameter's default."""
    kind = type(default)
    return all(hasattr(kind, name) for name in ("is_required", "get_default"))


def _parameters(
    name: str,
    readable: Sequence[inspect.Parameter],
    hints: Mapping[str, Any],
    descriptions: Mapping[str, str],
) -> JSON:
    properties: JSON = {}
    required: list[str] = []
    definitions: JSON = {}
    for parameter in readable:
        _check_kind(name, parameter)
        if is_field(parameter.default):
            own = parameter.default
            default = _Kind.empty if own.is_required() else own.get_default()
            parameter = parameter.replace(default=default)
        schema = _of_parameter(name, parameter, hints)
        definitions |= schema.pop("$defs", {})
        if parameter.name in descriptions:
            schema = {"description": descriptions[parameter.name], **schema}
        properties[parameter.name] = schema
        if parameter.default is _Kind.empty:
            required.append(parameter.name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **({"$defs": definitions} if definitions else {}),
    }


def _readable(name: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return _open_parameters(function)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name} has no signature that can be read.",
            hint="Wrap it in a function with typed parameters.",
        ) from error


def _open_parameters(function: Any) -> list[inspect.Parameter]:
    """The parameters that a caller can still set. Raises `TypeError`, `ValueError`.

    This differs from `inspect.signature` in two ways. An argument bound by a partial is not a
    parameter (there it would be one whose default is the bound value, perhaps an API key), even if
    `update_wrapper` made the partial look like its function. A wrapper without `**kwargs` has its
    own parameters, as it would refuse those of the function it wraps.
    """
    if isinstance(function, types.MethodType):
        every = _open_parameters(function.__func__)
        return every[bool(every and every[0].kind in _POSITIONAL) :]
    if is_partial(function):
        bound = len(function.args)
        left = []
        for parameter in _open_parameters(function.func):
            if bound and parameter.kind in _POSITIONAL:
                bound -= 1
            elif parameter.name not in function.keywords:
                left.append(parameter)
        return left
    if hasattr(function, "__wrapped__") and not hasattr(function, "__signature__"):
        try:
            own = list(inspect.signature(function, follow_wrapped=False).parameters.values())
        except ValueError:  # such as of `functools.lru_cache`
            own = []
        passes_on = not own or any(parameter.kind is _Kind.VAR_KEYWORD for parameter in own)
        return _open_parameters(function.__wrapped__) if passes_on else own
    return list(inspect.signature(function).parameters.values())


def is_partial(function: Any) -> bool:
    """True for a `functools.partial`, and what is built like one."""
    args, keywords = getattr(function, "args", None), getattr(function, "keywords", None)
    return isinstance(args, tuple) and isinstance(keywords, dict) and hasattr(function, "func")


def _withhold(schema: object, secrets: Secrets, name: str = "") -> Iterator[str]:
    """Remove defaults and examples that look like secrets from `schema`; return the parameters'
    names.

    They are recognized by their text or by the parameter's name.
    """
    if isinstance(schema, list):
        for part in schema:
            yield from _withhold(part, secrets, name)
    if not isinstance(schema, dict):
        return
    for keyword in ("default", "examples"):
        given = schema.get(keyword)
        written = json.dumps({name: given}, ensure_ascii=False, default=str)
        if isinstance(given, str | list | dict) and secrets.mask(written) != written:
            del schema[keyword]
            yield name
    for keyword, part in schema.items():
        if keyword in ("properties", "$defs") and isinstance(part, dict):
            for inner, each in part.items():
                yield from _withhold(each, secrets, inner)
        elif keyword not in ("default", "examples", "enum", "const"):
            yield from _withhold(part, secrets, name)


def _check_kind(name: str, parameter: inspect.Parameter) -> None:
    words = {
        _Kind.VAR_POSITIONAL: f"*{parameter.name}",
        _Kind.VAR_KEYWORD: f"**{parameter.name}",
        _Kind.POSITIONAL_ONLY: f"{parameter.name}, which has no name for its caller",
    }
    if parameter.kind in words:
        raise UsageError(
            f"{name} cannot be a tool: it takes {words[parameter.kind]}.",
            why="The model names each argument, as the schema lists them.",
            hint="Wrap it in a function with named parameters.",
        )


def _of_parameter(name: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> JSON:
    default = parameter.default
    if parameter.name in hints:
        try:
            schema = schema_of(hints[parameter.name])
        except UsageError as error:
            raise UsageError(
                f"{name} cannot be a tool: its parameter {parameter.name} is of a type that JSON "
                "does not have.",
                why=error.message,
                hint=error.hint,
            ) from error
    else:
        schema = schema_of(type(default)) if type(default) in (*SCALARS, list, dict) else {}
    if type(default) in SCALARS:
        schema = {**schema, "default": default}
    return schema


@dataclass(frozen=True, slots=True)
class Docstring:
    """`description` is the text before the sections; `parameters` maps names to one line each."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """Parse a docstring in the style (Google, numpy, reST) that recognizes most of it.

    Never fails: in an unknown style all of it is description.
    """
    from docstring_parser import Docstring as Parsed
    from docstring_parser import numpydoc, rest

    text = inspect.cleandoc(text or "")
    if begun := _ONLY_PARAMETERS.match(text):  # whose indentation was taken for the docstring's
        text = begun[1] + indent(text[begun.end() :], " " * 4)
    text = _LISTED.sub(lambda found: indent(found[0], " " * 4).lstrip(), text)
    text = _BULLET.sub(r"\1\2", _TYPE.sub(r"\1", _NUMPY_TYPE.sub(r"\1 ", text)))
    best = Parsed()
    best.short_description = text
    for parse in (_google().parse, numpydoc.parse, rest.parse):
        try:
            found = parse(f"\n{text}")  # a first line would have no indentation
        except Exception:  # odd text: ParseError, but IndexError and others too
            continue
        best = found if len(found.meta) > len(best.meta) else best
    parameters = {
        name.strip().lstrip("*"): " ".join((one.description or "").split())
        for one in best.params
        for name in one.arg_name.split(",")
    }
    return Docstring((best.description or "").strip(), parameters)


@cache
def _google() -> Any:
    """A parser for Google's style with the sections that docstring_parser lacks."""
    from docstring_parser.google import DEFAULT_SECTIONS, GoogleParser, Section, SectionType

    of_parameters = ("Keyword Args", "Keyword Arguments", "Other Parameters")
    of_text = ("Note", "Notes", "See Also", "References", "Warning", "Warnings", "Todo", "Yield")
    return GoogleParser(
        [
            *DEFAULT_SECTIONS,
            *(Section(title, "param", SectionType.MULTIPLE) for title in of_parameters),
            *(Section(title, title.lower(), SectionType.SINGULAR) for title in of_text),
        ]
    )


def _source(function: Any) -> Any:
    """The object with the docstring and annotations, behind a partial, an object, or a
    decorator.
    """
    while True:
        if is_partial(function):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.isroutine(function):
            return function
        else:
            function = type(function).__call__


def _name(function: Any, source: Any, variable: str) -> str:
    """Its own name; else its variable's; else the name of what it calls."""
    own = getattr(function, "__name__", "")
    if isinstance(own, str) and own.isidentifier():
        return own
    if variable.isidentifier():
        return variable
    named = source if is_partial(function) else type(function)
    return "function" if own == "<lambda>" else str(getattr(named, "__name__", ""))


def _kind_of(value: object) -> str:
    return "a class" if isinstance(value, type) else f"a value of type {type(value).__name__}"

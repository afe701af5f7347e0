"""Prompts and personas kept in files: `%qwen_prompt NAME field=…`, `--system @NAME`.

A prompt file is Markdown that begins with front matter; `NAME` is its name without `.md`:

    ---
    description: Explains one idea
    model: qwen3-max                     # optional, as are all of these
    tools: [code_interpreter]
    schema: Lesson                       # a name of the notebook, or a JSON schema itself
    fields: {topic: , level: beginner}   # with a default, or to be given
    ---
    Explain {topic} to a {level}.

It is looked for in the working folder, in `prompts/` there, in the user's folder, and among those
that come with the package. Only its fields are filled in: no value of the notebook goes into a
text that somebody else may have written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from qwen_magic.context.description import describe as describe_in_short
from qwen_magic.context.interpolation import Interpolated, interpolate
from qwen_magic.errors import UsageError, reason_of
from qwen_magic.protocol.fields import JSON

MAX_FILE_BYTES: Final = 1_000_000
_LONGEST_HEAD: Final = 64_000  # characters
_DEEPEST: Final = 50  # lists and objects within each other
BUNDLED: Final = Path(__file__).with_name("personas")
HINT: Final = "hint"  # the persona of `--hint`
STEPS: Final = "steps"  # that of `--steps`

_HEAD: Final = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.M)
_BEGINNING: Final = re.compile(r"\A\ufeff?---[ \t]*\r?\n")
_FIELD: Final = re.compile(r"\{([^\W\d]\w*)\}")
_NAME: Final = re.compile(r"\w[\w-]*")
_KEYS: Final = ("description", "model", "tools", "schema", "fields")

Values = Mapping[str, str]  # of fields, as typed
Describe = Callable[[object], str]


@dataclass(frozen=True, slots=True)
class PromptFile:
    """`fields`: each with its default, or None where a value must be given."""

    name: str
    path: Path
    text: str
    description: str = ""
    model: str | None = None
    tools: tuple[str, ...] | None = None
    schema: str | JSON | None = None
    fields: Mapping[str, str | None] = field(default_factory=dict)

    def filled(
        self,
        values: Values = MappingProxyType({}),
        namespace: Mapping[str, object] = MappingProxyType({}),
        describe: Describe = describe_in_short,
    ) -> Interpolated:
        """The text with its fields filled in; `{name}` in a field's value is a variable of the
        notebook.

        Raises `UsageError` if a field is missing or unknown.
        """
        given = {**self.fields, **values}
        missing = [name for name, value in given.items() if value is None]
        unknown = [name for name in values if name not in self.fields]
        if missing or unknown:
            what = f"needs {missing[0]}=…" if missing else f"has no field {unknown[0]!r}"
            takes = " ".join(f"{name}=…" for name in self.fields) or "no fields"
            raise UsageError(f"The prompt {self.name} {what}.", hint=f"It takes {takes}.")
        read = {
            name: interpolate(value or "", namespace if name in values else {}, describe=describe)
            for name, value in given.items()
        }
        # Everywhere, also in code; whatever else stands in braces is text.
        text = _FIELD.sub(lambda it: read[it[1]].text if it[1] in read else it[0], self.text)
        return Interpolated(
            text,
            tuple(each for value in read.values() for each in value.expanded),
            tuple(name for value in read.values() for name in value.unknown),
        )


def find_prompt(name: str, folders: Sequence[Path]) -> PromptFile:
    """The prompt file of that name, from the first folder that has it, else the package. Raises
    `UsageError`.
    """
    if _NAME.fullmatch(name):
        for path in (folder / f"{name}.md" for folder in (*folders, BUNDLED)):
            if os.path.isfile(path) and (text := read_small(path)) and _BEGINNING.match(text):
                return _parsed(path, text)
    known = [each.name for each in list_prompts(folders, lambda error: None)]
    near = get_close_matches(name, known, 1)
    places = ", ".join(str(folder) for folder in folders)
    raise UsageError(
        f"There is no prompt {name!r}.",
        hint=f"Did you mean {near[0]}?"
        if near
        else f"%qwen_prompt lists them. A new one is {name}.md, beginning with ---, in {places}.",
    )


def list_prompts(
    folders: Sequence[Path], report: Callable[[UsageError], None]
) -> Iterator[PromptFile]:
    """All prompt files; of those with one name, the first. `report` is called with errors in a
    file.
    """
    seen: set[str] = set()
    for folder in (*folders, BUNDLED):
        for path in sorted(folder.glob("*.md")) if folder.is_dir() else ():
            if path.stem in seen or not _NAME.fullmatch(path.stem):
                continue
            try:
                text = read_small(path)
                if _BEGINNING.match(text):
                    seen.add(path.stem)
                    yield _parsed(path, text)
            except UsageError as error:
                report(error)


def read_instructions(
    typed: str,
    namespace: Mapping[str, object],
    *,
    folders: Sequence[Path] = (Path(),),
    describe: Describe = describe_in_short,
) -> Interpolated:
    """The instructions that `typed` stands for.

    `@name` is a prompt file, with the defaults of its fields; `@path` (relative to the first
    folder; `~` is home) the UTF-8 text of that file to the letter; anything else is interpolated.
    Raises `UsageError` where the file cannot be read.
    """
    if not typed.startswith("@"):
        return interpolate(typed, namespace, describe=describe)
    persona = persona_of(typed, folders)
    if persona is not None:
        return persona.filled()
    return Interpolated(read_small(folders[0] / os.path.expanduser(typed[1:])))


def persona_of(typed: str, folders: Sequence[Path]) -> PromptFile | None:
    """The prompt file that `typed` names, if it is `@name` and no file's path. Raises
    `UsageError`."""
    is_name = typed.startswith("@") and _NAME.fullmatch(typed[1:])
    if not is_name or os.path.isfile(folders[0] / typed[1:]):
        return None
    return find_prompt(typed[1:], folders)


def read_small(path: Path) -> str:
    """Read a file that is not trusted, up to a limit of size. Raises `UsageError`."""
    try:
        if path.exists() and not path.is_file():  # to open a pipe may wait for ever
            raise ValueError("it is no file")
        with path.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise UsageError(f"The file {path} has more than {MAX_FILE_BYTES:,} bytes.")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"The file {path} is not UTF-8 text.") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"The file {path} cannot be read.",
            why=reason_of(error),
            hint=f"It is looked for from {path.parent.absolute()}; in --system, begin with another "
            "character than @ for text.",
        ) from error


def _parsed(path: Path, text: str) -> PromptFile:
    """Raises `UsageError` where the front matter is wrong."""
    import yaml

    head = _HEAD.match(text)
    try:
        if head is None:
            raise ValueError("it has no end: a line of --- alone")
        if len(head[1]) > _LONGEST_HEAD:
            raise ValueError(f"it has more than {_LONGEST_HEAD:,} characters")
        depth = 0
        for event in yaml.parse(head[1], yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError("it is nested too deeply")
            # An alias in ten others in ten others … is a value without end.
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
                raise ValueError("it has an alias (*) or a tag (!)")
        given: Any = yaml.safe_load(head[1]) or {}
        return PromptFile(path.stem, path, text[head.end() :].strip(), **_settings(given))
    except (yaml.YAMLError, ValueError, ArithmeticError, RecursionError) as error:
        raise UsageError(
            f"The front matter of {path} cannot be read.",
            why=" ".join(str(error).split()) if not isinstance(error, RecursionError) else "",
            hint=f"It has lines of YAML: {', '.join(_KEYS)}.",
        ) from None


def _settings(given: Any) -> dict[str, Any]:
    """Convert the front matter to the fields of `PromptFile`. Raises `ValueError`."""
    if not isinstance(given, dict):
        raise ValueError("it has no names")
    if unknown := [str(key) for key in given if key not in _KEYS]:
        raise ValueError(f"{unknown[0]} is none of its names")
    settings = {key: value for key, value in given.items() if value is not None}
    for key in ("description", "model"):
        if not isinstance(settings.get(key, ""), str):
            raise ValueError(f"{key} is no text")
    schema = settings.get("schema", "")
    if not isinstance(schema, str | dict) or not _is_json(schema):
        raise ValueError("schema is neither a name nor a JSON schema")
    if "tools" in settings:
        settings["tools"] = tuple(_read_names(settings["tools"], "tools"))
    fields = settings.get("fields", {})
    if not isinstance(fields, dict):  # names alone: each must be given
        fields = dict.fromkeys(_read_names(fields, "fields"))
    for name, default in fields.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(f"the field {name!r} is no name")
        if not isinstance(default, str | int | float | None):
            raise ValueError(f"the default of {name} is no text and no number")
    settings["fields"] = {k: None if v is None else str(v) for k, v in fields.items()}
    return settings


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):  # a date
        return False
    return True


def _read_names(value: Any, key: str) -> list[str]:
    """`a, b` or `[a, b]`. Raises `ValueError`."""
    words = value.split(",") if isinstance(value, str) else value
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise ValueError(f"{key} is no list of names")
    return [word.strip() for word in words]

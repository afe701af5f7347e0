"""What is read of MCP: `mcp.json`, in the formats of Claude, VS Code and Cursor; what servers say.

    {"mcpServers": {"files": {"command": "npx", "args": ["server-files", "."], "env": {"K": "v"}}}}
    {"servers": {"maps": {"type": "http", "url": "https://…", "headers": {"A": "${input:key}"}}},
     "inputs": [{"type": "promptString", "id": "key", "description": "…", "password": true}]}

Nothing is started here. A file may come with somebody's notebook: what it names is shown
before it is used, and what may be secret (headers, inputs, variables that are called so) nowhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen_magic.context.prompt_files import read_small
from qwen_magic.document.words import clipped, plural
from qwen_magic.errors import UsageError
from qwen_magic.masking import (
    KEY,
    MASKED,
    NAMED_ANY,
    is_secret_name,
    looks,
    mask_named,
    own_keys,
)
from qwen_magic.protocol.fields import JSON, json_value
from qwen_magic.tools.definition import FunctionTool
from qwen_magic.tools.validation import find_faults

if TYPE_CHECKING:
    from mcp_types import CallToolResult

FILE_NAME: Final = "mcp.json"
# What is not closed goes to the end, so that it is not looked through again from every quote.
_STRING: Final = r'("(?:\\.?|[^"\\])*(?:"|\Z))'
_COMMENTS: Final = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_LAST_COMMAS: Final = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)
_BARE_WORD: Final = re.compile(r"[\w+/=.~\-]+")
_BARE_KEY: Final = re.compile(r"(?:\w+ )?[\w+/=.~:%\-]+")  # also `user:password`, `Bearer key`
_REFERENCE: Final = re.compile(r"\$\{([^}]+)\}")
_IMAGES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
_LONGEST_VALUE: Final = 200  # characters of a variable that are shown
_LARGEST_IMAGE: Final = 10_000_000  # characters of base64
_HTTP: Final = ("http", "streamable-http", "streamableHttp")


@dataclass(frozen=True)
class ServerConfig:
    """One server: a `command` with `args`, `env` and `cwd`, or a `url` with `headers`; `file` names
    it, and `inputs` are what the user is asked for. Values are as written, with their `${…}`."""

    name: str
    file: Path
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = ""
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: Mapping[str, JSON] = field(default_factory=dict, repr=False)

    @cached_property
    def shown(self) -> str:
        """The command or address as the file has it, without keys."""
        written = _without_keys(self.url or shlex.join([self.command, *self.args]))
        shown = mask_named(written, NAMED_ANY, _without_word)
        return f"{shown} (in {self.cwd})" if self.cwd else shown

    @property
    def passed(self) -> tuple[str, ...]:
        """What goes along, environment variables or headers: each name, and what of the kernel's
        environment or of the user's input stands in its value. Of a variable whose name is no
        secret's also its value: `PATH`, `LD_PRELOAD` and others say what is run."""
        told = []
        for name, value in (self.headers if self.url else self.env).items():
            taken = "".join(f"${{{each}}}" for each in _REFERENCE.findall(value))
            is_open = not self.url and not is_secret_name(name)
            about = _without_keys(clipped(value, _LONGEST_VALUE)) if is_open else taken
            told.append(f"{name}={about}" if about else name)
        return tuple(told)

    def filled(self, value_of: Callable[[str], str]) -> tuple[ServerConfig, list[str]]:
        """With a value in the place of every `${…}`; and what of all that is told nowhere."""
        secret = []

        def value(found: re.Match[str]) -> str:
            given = value_of(found[1])
            kind, _, name = found[1].rpartition(":")
            if kind == "input" or is_secret_name(name):
                secret.append(given)
            return given

        def fill(text: str) -> str:
            return _REFERENCE.sub(value, text)

        made = replace(
            self,
            command=fill(self.command),
            args=tuple(map(fill, self.args)),
            env={name: fill(text) for name, text in self.env.items()},
            cwd=fill(self.cwd),
            url=fill(self.url),
            headers={name: fill(text) for name, text in self.headers.items()},
        )
        bare = [word.rpartition(" ")[2] for word in made.headers.values()]  # without "Bearer"
        return made, [*made.env.values(), *made.headers.values(), *bare, *secret]


def _without_keys(text: str) -> str:
    """`text` without keys, as far as each is one bare word: what is more may be run, or lead to
    another host (`https://evil.com:1#@bank.com`), and has to be read."""
    ours = own_keys()
    return looks().sub(
        lambda found: KEY if _BARE_KEY.fullmatch(found[0]) else found[0],
        ours.sub(text) if ours else text,
    )


def _without_word(found: re.Match[str]) -> str:
    """The same behind a secret's name."""
    value = found["value"].strip("'\"")
    ends = found.string[found.end() : found.end() + 1] in ("", " ", "'", '"', ",", "&")
    is_word = ends and _BARE_WORD.fullmatch(value)
    return found["head"] + found["value"].replace(value, MASKED) if is_word else found[0]


def read_servers(folders: Sequence[Path]) -> dict[str, ServerConfig]:
    """The servers that `mcp.json` of these folders names, by name; of one name, the first. Raises
    `UsageError` for a file that cannot be read."""
    found: dict[str, ServerConfig] = {}
    for folder in folders:
        file = folder / FILE_NAME
        for name, given in _servers(file):
            found.setdefault(name, given)
    return found


def _servers(file: Path) -> list[tuple[str, ServerConfig]]:
    if not os.path.lexists(file):
        return []
    text = read_small(file)
    try:
        bare = _COMMENTS.sub(lambda found: found[1] or "", text)
        given = json.loads(_LAST_COMMAS.sub(lambda found: found[1] or "", bare))
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "too deep"
        raise UsageError(f"{file} is not JSON ({where}).") from None  # its values stay untold
    servers = _first_object(given, "mcpServers", "servers")
    listed = given.get("inputs") if isinstance(given, dict) else None
    inputs = {
        str(each.get("id")): each
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
    }
    return [
        (name, _server(name, file, one, inputs))
        for name, one in servers.items()
        if isinstance(one, dict) and one.get("disabled") is not True
    ]


def _first_object(given: object, *names: str) -> dict[str, Any]:
    """The first of these members that is an object."""
    members = [given.get(name) for name in names] if isinstance(given, dict) else []
    return next((member for member in members if isinstance(member, dict)), {})


def _server(name: str, file: Path, given: JSON, inputs: Mapping[str, JSON]) -> ServerConfig:
    args = given.get("args")
    env_file = given.get("envFile")
    from_file = _env_file(file.parent, env_file) if isinstance(env_file, str) else {}
    is_http = "command" not in given or given.get("type") in _HTTP
    return ServerConfig(
        name,
        file,
        command="" if is_http else str(given["command"]),
        args=tuple(map(str, args)) if isinstance(args, list) else (),
        env={**from_file, **_texts(given.get("env"))},
        cwd=str(given.get("cwd") or ""),
        url=str(given.get("url") or given.get("serverUrl") or "") if is_http else "",
        headers=_texts(given.get("headers")),
        inputs=inputs,
    )


def _texts(given: object) -> dict[str, str]:
    members = given.items() if isinstance(given, dict) else ()
    return {str(name): str(value) for name, value in members if value is not None}


def _env_file(folder: Path, name: str) -> dict[str, str]:
    """The variables of a `.env` file: lines `NAME=value`, perhaps in quotes."""
    path = folder / name.replace("${workspaceFolder}", str(folder))
    try:
        lines = read_small(path).splitlines()
    except UsageError:
        return {}
    pairs = [line.strip().removeprefix("export ").partition("=") for line in lines]
    return {
        key.strip(): value.strip().strip("\"'")
        for key, equals, value in pairs
        if equals and not key.startswith("#")
    }


def reference_value(reference: str, folder: Path, environ: Mapping[str, str]) -> str | None:
    """What `${reference}` stands for, where the user need not be asked: `env:NAME`, `NAME` and
    `NAME:-default`, `workspaceFolder`, `userHome`. None where nothing is known."""
    places = {
        "workspaceFolder": str(folder),
        "workspaceFolderBasename": folder.name,
        "userHome": str(Path.home()),
        "pathSeparator": "/",
        "/": "/",
    }
    if reference in places:
        return places[reference]
    name, has_default, default = reference.removeprefix("env:").partition(":-")
    return environ.get(name) or (default if has_default else environ.get(name))


# What a server says ------------------------------------------------------------------------------


def parameters_of(given: Any) -> JSON:
    """A tool's schema as `FunctionTool` has it; of one that is none, an object of anything."""
    bare: JSON = {"type": "object", "properties": {}, "required": []}
    if not isinstance(given, dict):
        return bare
    schema: JSON = {**bare, **{key: part for key, part in given.items() if key != "$schema"}}
    is_whole = isinstance(schema["properties"], dict) and isinstance(schema["required"], list)
    try:
        find_faults({}, schema)
    except UsageError:
        return bare
    return schema if is_whole and schema["type"] == "object" else bare


def with_distinct_names(tools: Mapping[str, FunctionTool], server: str) -> dict[str, FunctionTool]:
    """With a name each that the model can call: where several would be one, it is for the tool of
    exactly that name, else the first; the others end in a digest of their own."""
    exact = {tool.name for own, tool in tools.items() if tool.name == f"{server}__{own}"}
    taken: set[str] = set()
    made: dict[str, FunctionTool] = {}
    for own, tool in tools.items():
        is_exact = tool.name == f"{server}__{own}"
        if not is_exact and tool.name in exact | taken:
            digest = hashlib.sha256(own.encode()).hexdigest()[:8]
            tool = replace(tool, name=f"{tool.name[:55]}-{digest}")
        taken.add(tool.name)
        made[own] = tool
    return made


def value_of(result: CallToolResult) -> Any:
    """What a call gave: its structured content, where the text says no more than that; else the
    text, with a line about each image, sound and resource."""
    texts = [_block_text(block) for block in result.content]
    value = result.structured_content
    if isinstance(value, dict) and set(value) == {"result"}:  # the SDK's wrapping
        value = value["result"]
    if value is None:
        # A JSON object or list as such, so that columns that are kept back are found in it.
        loaded = json_value(texts[0]) if len(texts) == 1 else None
        return loaded if isinstance(loaded, dict | list) else "\n\n".join(texts)
    if isinstance(value, str) and value in texts:
        return "\n\n".join(texts)
    kinds = {block.type for block in result.content}
    if not texts or (kinds == {"text"} and None not in map(json_value, texts)):
        return value
    return "\n\n".join([*texts, json.dumps(value, ensure_ascii=False)])


def images_of(result: CallToolResult) -> tuple[str, ...]:
    """Its images, as `data:` addresses, of kinds and sizes that services take."""
    return tuple(
        f"data:{block.mime_type};base64,{block.data}"
        for block in result.content
        if block.type == "image"
        and block.mime_type in _IMAGES
        and len(block.data) <= _LARGEST_IMAGE
    )


def _block_text(block: Any) -> str:
    """A block of a result as text."""
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            size = len(block.data) * 3 // 4
            return f"({block.type}, {block.mime_type}, {size:,} {plural(size, 'byte')})"
        case "resource_link":
            about = f": {block.description}" if block.description else ""
            return f"[{block.title or block.name}]({block.uri}){about}"
        case "resource":
            inside = block.resource
            kept = getattr(inside, "text", None)
            return f"{inside.uri}\n{kept}" if kept is not None else f"(a file: {inside.uri})"
    return f"({block.type})"

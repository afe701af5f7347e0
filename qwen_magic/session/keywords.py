"""Turn the keywords of `Qwen`'s methods into a question."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from qwen_magic.context.prompt_files import HINT, find_prompt, read_instructions
from qwen_magic.context.request_input import attach, check_messages
from qwen_magic.conversation.scope import prompt_folders
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import UsageError
from qwen_magic.masking import SECRET_NAMES
from qwen_magic.options import KEYWORDS, ask_fields
from qwen_magic.session.plan import Ask
from qwen_magic.tools.answer_schema import Schema
from qwen_magic.tools.selection import Offer, Tools, resolve_tools


def read_schema(given: object) -> Schema:
    """A `Schema`, made from a type or a JSON schema if needed. Raises `UsageError`."""
    return given if isinstance(given, Schema) else Schema.of(given)


def read_ask(
    prompt: str | Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    *,
    endpoint: Endpoint,
    model: str,
    chat: str,
    offer: Callable[[str], Offer] | None = None,
    mask: Sequence[str] = (),
) -> Ask:
    """The question that a prompt and keyword options make.

    `model` and `chat` are the defaults; `offer` returns the tools of an MCP server; `mask` names
    columns that are never sent. Raises `UsageError`.
    """
    _check_names(options)
    options = {"model": model, "chat": chat, **options}
    schema = options.get("schema")
    tools = read_tools(options.get("tools", ()), offer)
    images = _by_name(options.get("images", ()), "image")
    files = _by_name(options.get("files", ()), "file")
    data: Mapping[str, object] = options.get("data", {})
    attached = attach(
        prompt if isinstance(prompt, str) else check_messages(prompt),
        {**data, **images, **files},
        model=options["model"],
        data=tuple(data),
        rows=options.get("rows"),
        images=tuple(images),
        files=tuple(files),
        takes_images=endpoint.capabilities.images,
        file_models=endpoint.capabilities.files,
        mask=(*mask, *(() if options.get("allow_secrets") else SECRET_NAMES)),
    )
    ask = Ask(
        prompt=prompt if isinstance(prompt, str) else "",
        input=attached.input,
        parts=attached.parts,
        endpoint=endpoint,
        tools=tools.definitions,
        functions=tools.functions,
        notes=tools.notes,
        **ask_fields(options),
    ).without_keys()
    return ask if schema is None else ask.asking_for(read_schema(schema))


def read_system(typed: str, *, hint: bool = False) -> str:
    """The instructions for text, `@name` or `@file`, plus those of `hint`. Raises `UsageError`."""
    folders = prompt_folders(os.environ)
    texts = [read_instructions(typed, {}, folders=folders).text] if typed else []
    texts += [find_prompt(HINT, folders).filled().text] if hint else []
    return "\n\n".join(texts)


def read_tools(given: Any, offer: Callable[[str], Offer] | None = None) -> Tools:
    """Resolve a mix of tool names, MCP servers, tool dicts and functions. Raises `UsageError`."""
    if isinstance(given, Tools):
        return given
    if isinstance(given, str):
        given = given.split(",")
    named: dict[str, object] = {f"tool {n}": tool for n, tool in enumerate(given)}
    names = [tool.strip() if isinstance(tool, str) else name for name, tool in named.items()]
    return resolve_tools(names, named, offer)


def _check_names(options: Mapping[str, Any]) -> None:
    unknown = sorted(options.keys() - set(KEYWORDS))
    if unknown:
        raise UsageError(
            f"There is no option {unknown[0]!r}.",
            hint=f"The options are: {', '.join(sorted(KEYWORDS))}.",
        )


def _by_name(given: Any, kind: str) -> dict[str, object]:
    """Images or files by name; paths and addresses are their own names."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        given = [given]
    return {
        str(each) if isinstance(each, str | PurePath) else f"{kind} {number}": (
            None if isinstance(each, str) else each
        )
        for number, each in enumerate(given, 1)
    }

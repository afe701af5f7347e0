"""What goes with a prompt: described variables, files, images."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from qwen_magic.context.interpolation import look_up
from qwen_magic.context.models import sees_images
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart

if TYPE_CHECKING:
    from qwen_magic.context.dataframe.describing import RowCount
    from qwen_magic.context.files import FilePart


@dataclass(frozen=True, slots=True)
class Attached:
    """A prompt with all that goes with it, as `input` of the request. `told`: the lines that tell
    the reader what was added, and how large it is; `parts`: what was added itself."""

    input: str | tuple[JSON, ...]
    told: tuple[str, ...] = ()
    parts: tuple[RequestPart, ...] = ()


def attach(
    prompt: str | tuple[JSON, ...],
    namespace: Mapping[str, object],
    *,
    model: str,
    data: Sequence[str] = (),
    rows: RowCount = None,
    mask: Collection[str] = (),
    images: Sequence[str] = (),
    shown: object = None,
    files: Sequence[str] = (),
    takes_images: bool = True,
    file_models: Sequence[str] = (),
    whole: bool = False,
    notebook: RequestPart | None = None,
) -> Attached:
    """`prompt` with descriptions of the variables `data` below it (names, or attributes and items
    as braces take them), the `whole` of each that is no table, `files` as what they are, and
    `images` (paths, addresses or names of variables; `last` is the figure `shown` last).
    `takes_images`: whether the server does, where the model may; `file_models`: patterns of its
    models that fetch files by address; `notebook`: what of it goes along. Raises `UsageError`."""
    read: list[FilePart] = []
    if files:
        takes = [pattern for pattern in file_models if fnmatchcase(model, pattern)]
        sees = sees_images(model) if takes_images else False
        read = _files(files, namespace, sees=sees, rows=rows, mask=mask)
        if not takes and any("file_url" in part for file in read for part in file.content):
            raise UsageError(
                f"{model} takes no addresses of files here.",
                hint=f"Take one that does ({', '.join(file_models) or 'none is known'}), or "
                "download the file and name that with -f: it is read here.",
            )
    if rows is not None and not data and not any(file.is_table for file in read):
        raise UsageError(
            f"--rows {rows} says how many rows go along, and no -d or -f says of what table.",
            hint=f"Name the table: -d NAME --rows {rows}",
        )
    if not data and not images and not files and not notebook:
        return Attached(prompt)
    if not isinstance(prompt, str):
        raise UsageError("-d, -f, -i and -n go with a prompt, not with a list of messages.")
    # Most questions need neither, and the first of a kernel waits for what it imports.
    from qwen_magic.context.dataframe.describing import describe_data, size_words
    from qwen_magic.context.images import LAST, check_vision, image_and_words

    text, told = prompt, []
    parts: list[RequestPart] = []
    if notebook:
        text, told, parts = f"{text}\n\n{notebook.text}", [notebook.told], [notebook]
    for name in data:
        value = _value(name, namespace)
        part = describe_data(name, value, rows=rows, mask=mask, whole=whole)
        text += f"\n\n{part.text}"
        told += [words for words in (part.summary, part.warning) if words]
        about = part.summary.removeprefix(f"{name}: ").removesuffix(size_words(part.text))
        parts.append(RequestPart("data", name, part.text, about.rstrip(",; "), told=part.summary))
    text = "\n\n".join([text, *(file.text for file in read if file.text)])
    told += [words for file in read for words in file.told]
    parts += [part for file in read for part in file.parts]
    content: list[JSON] = [{"type": "input_text", "text": text}]
    content += [part for file in read for part in file.content]
    for ref in images:
        value = namespace.get(ref, shown if ref == LAST else None)
        image, words = image_and_words(ref, value)
        content.append(image)
        url = str(image["image_url"])
        told.append(words)
        about = words.removeprefix(f"{ref}: ")
        parts.append(RequestPart("image", ref, about=about, image=url, told=words))
    if images or any(file.needs_vision for file in read):
        check_vision(model)  # a wrong name is told first
    if len(content) == 1:
        return Attached(text, tuple(told), tuple(parts))
    return Attached(({"role": "user", "content": content},), tuple(told), tuple(parts))


def _files(refs: Sequence[str], namespace: Mapping[str, object], **how: Any) -> list[FilePart]:
    from qwen_magic.context.files import read_file  # which most questions do not need

    return [read_file(ref, namespace.get(ref), **how) for ref in dict.fromkeys(refs)]


def _value(name: str, namespace: Mapping[str, object]) -> object:
    if name in namespace:
        return namespace[name]
    try:
        return look_up(f"{{{name}}}", namespace)
    except LookupError:
        pass
    own = [n for n, value in namespace.items() if not (n.startswith("_") or callable(value))]
    near = get_close_matches(name, own, 1)
    raise UsageError(
        f"There is no variable {name!r} to describe.",
        hint=f"Did you mean {near[0]}?"
        if near
        else "-d takes names of the notebook's variables, and name.attr, name[0], name['key'].",
    )


def check_size(
    given: str | tuple[JSON, ...],
    system: str,
    told: Sequence[str],
    parts: Sequence[RequestPart] = (),
    *,
    most: int,
) -> None:
    """Raises `UsageError` with the figures where more than about `most` tokens are about to be
    sent. `told`: the lines that tell what braces and options added; `parts`: those of the input, of
    which pages know how many tokens their images are."""
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    if len(text) + len(system) <= most:  # no text has more tokens than characters
        return
    from qwen_magic.context.dataframe.describing import estimate_tokens

    tokens = estimate_tokens(re.sub(r'"data:[^"]*"', "", text)) + estimate_tokens(system)
    tokens += sum(part.tokens or 0 for part in parts)
    if tokens > most:
        raise UsageError(
            f"This would send about {tokens:,} tokens, more than {most:,}.",
            why="; ".join(told),
            hint="--send-all sends it; %config QwenMagics.confirm_tokens sets the limit (0: none).",
        )

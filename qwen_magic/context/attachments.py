"""What goes with a prompt: described variables and images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from qwen_magic.context.data import describe_data
from qwen_magic.context.data.describing import RowCount
from qwen_magic.context.images import check_vision, image_part, image_words
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON


@dataclass(frozen=True, slots=True)
class Attached:
    """A prompt with all that goes with it, as it is sent; `told`: the visible lines about it."""

    input: str | tuple[JSON, ...]
    told: tuple[str, ...] = ()


def attach(
    prompt: str | tuple[JSON, ...],
    namespace: Mapping[str, object],
    *,
    model: str,
    data: Sequence[str] = (),
    rows: RowCount = None,
    mask: Collection[str] = (),
    images: Sequence[str] = (),
) -> Attached:
    """`prompt` with descriptions of the variables `data` below it, and `images` (paths, addresses
    or names of variables). Raises `UsageError`."""
    if not data and not images:
        return Attached(prompt)
    if not isinstance(prompt, str):
        raise UsageError("-d and -i go with a prompt, not with a list of messages.")
    text, told = prompt, []
    for name in data:
        part = describe_data(name, _value(name, namespace), rows=rows, mask=mask)
        text += f"\n\n{part.text}"
        told += [words for words in (part.summary, part.warning) if words]
    if not images:
        return Attached(text, tuple(told))
    check_vision(model)
    parts: list[JSON] = [{"type": "input_text", "text": text}]
    for ref in images:
        part_json = image_part(ref, namespace.get(ref))
        parts.append(part_json)
        told.append(image_words(ref, part_json))
    return Attached(({"role": "user", "content": parts},), tuple(told))


def _value(name: str, namespace: Mapping[str, object]) -> object:
    if name in namespace:
        return namespace[name]
    near = get_close_matches(name, [known for known in namespace if not known.startswith("_")], 1)
    raise UsageError(
        f"There is no variable {name!r} to describe.",
        hint=f"Did you mean {near[0]}?" if near else "-d takes names of the notebook's variables.",
    )

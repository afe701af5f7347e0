"""Pictures in a prompt: files, addresses, figures, arrays, as parts of a message.

Pictures are sent inside the request, so they are made no larger than a model looks at. That needs
Pillow (or a figure that draws itself); without it files and bytes go as they are, if small enough.
"""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from typing import Any, Final

from qwen_magic.context.models import KNOWN_MODELS
from qwen_magic.context.pictures import (
    MAX_BYTES,
    MAX_EDGE,
    Picture,
    fitted,
    from_array,
    from_bytes,
    too_large,
)
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON

_MAX_FILE_BYTES: Final = 100 * 1024 * 1024
_FIGURE_DPI: Final = 110
# Named as such by Alibaba Cloud's documentation, September 2026. Of others too little is known to
# refuse: the service then says so itself.
_TEXT_ONLY: Final = re.compile(r"qwen3-(?:max|coder)(?![^-])")


def image_part(ref: str, value: object = None) -> JSON:
    """The `input_image` part for `ref`, or for `value` where `ref` names a variable that holds one.

    Known: http(s) and `data:` addresses (passed on as they are), paths, bytes, matplotlib figures
    (and what has a `.figure` of that kind), pictures of Pillow, arrays of numpy's kind (height ×
    width, with 1, 3 or 4 channels; whole numbers to 255, or floats from 0 to 1). The longest edge
    is at most `MAX_EDGE` pixels, the size at most `MAX_BYTES`. Raises `UsageError`.
    """
    if value is None or isinstance(value, str):
        address = ref if value is None else str(value)
        if address.lower().startswith(("http://", "https://", "data:image/")):
            return {"type": "input_image", "image_url": address}
        value = Path(address).expanduser()
    picture = _picture(ref, value)
    if len(picture.content) > MAX_BYTES:
        raise too_large(ref, len(picture.content))
    encoded = base64.b64encode(picture.content).decode("ascii")
    return {"type": "input_image", "image_url": f"data:{picture.media_type};base64,{encoded}"}


def needs_vision(model: str) -> str:
    """Why `model` cannot be sent a picture; empty where it can, or where that is not known."""
    if not _TEXT_ONLY.match(model):
        return ""
    seeing = [one.name for one in KNOWN_MODELS if one.vision and not one.date][:3]
    return f"{model} sees no images. Take a model that does, such as -m {' or '.join(seeing)}."


def check_vision(model: str) -> None:
    """Raises `UsageError` where `model` is known to see no images."""
    words = needs_vision(model)
    if words:
        message, _, hint = words.partition(". ")
        raise UsageError(f"{message}.", hint=hint)


def image_words(ref: str, part: JSON) -> str:
    """The visible line about a part: what is sent, how large."""
    url = str(part["image_url"])
    if not url.startswith("data:"):
        return f"{ref}: sent as an address"
    head, _, data = url.partition(",")
    size = len(data) * 3 // 4 / 1024
    return f"{ref}: {head[5:].partition(';')[0]}, {size:,.0f} KB"


def _picture(ref: str, value: Any) -> Picture:
    if isinstance(value, os.PathLike):
        return from_bytes(ref, _read(ref, Path(value)))
    if isinstance(value, bytes | bytearray | memoryview):
        return from_bytes(ref, bytes(value))
    for figure in (value, getattr(value, "figure", None)):
        if hasattr(figure, "savefig") and hasattr(figure, "get_size_inches"):
            return from_bytes(ref, _drawn(figure))
    if all(hasattr(value, name) for name in ("mode", "size", "thumbnail", "getexif")):
        return fitted(value)  # of Pillow, then
    if hasattr(type(value), "__array__"):
        return from_array(ref, value.__array__())
    own = getattr(type(value), "_repr_png_", None)
    content = own(value) if callable(own) else None
    if isinstance(content, bytes):
        return from_bytes(ref, content)
    raise UsageError(
        f"{ref} is no image, but of type {type(value).__name__}.",
        hint="--image takes a path, a URL, bytes, a matplotlib figure, a PIL image or an array.",
    )


def _read(ref: str, path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise too_large(ref, path.stat().st_size)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The image {ref} cannot be read.",
            why=getattr(error, "strerror", None) or str(error),
            hint=f"It is looked for from {Path.cwd()}; a variable is named without quotes.",
        ) from error


def _drawn(figure: Any) -> bytes:
    """A figure as it would be shown. Its size in inches bounds the pixels."""
    inches = max(figure.get_size_inches())
    written = io.BytesIO()
    dpi = min(_FIGURE_DPI, MAX_EDGE / max(inches, 0.01))
    figure.savefig(written, format="png", dpi=dpi)
    return written.getvalue()

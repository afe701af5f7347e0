"""Images in a prompt: files, addresses, figures, arrays, as parts of a message.

Pictures are sent inside the request, so they are made no larger than a model looks at. That needs
Pillow (or a figure that draws itself); without it files and bytes go as they are, if small enough.
"""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen_magic.context.models import KNOWN_MODELS, is_text_only
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_EDGE: Final = 2_048  # pixels
MAX_BYTES: Final = 7 * 1024 * 1024  # of one picture; base64 makes a third more of it
_MAX_PIXELS: Final = 200_000_000
_JPEG_QUALITIES: Final = (90, 75, 60)
_ORIENTATION: Final = 0x0112
_MAX_FILE_BYTES: Final = 100 * 1024 * 1024
_FIGURE_DPI: Final = 110

_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


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


def check_vision(model: str) -> None:
    """Raises `UsageError` where `model` is known to see no images."""
    if is_text_only(model):
        seeing = [
            one.name for one in KNOWN_MODELS if one.vision and not one.note.startswith("snapshot")
        ][:3]
        raise UsageError(
            f"{model} sees no images.",
            hint=f"Take a model that does with -m, such as {', '.join(seeing)}.",
        )


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


# Made small enough -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture."""

    content: bytes
    media_type: str


def media_type(content: bytes) -> str:
    """The media type that the first bytes tell, or empty."""
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else ""


def from_bytes(ref: str, content: bytes) -> Picture:
    """As they are where they are small in every sense; else drawn anew by Pillow."""
    kind = media_type(content)
    try:
        opened = _opened(content)
    except ImportError:
        if kind in ("image/png", "image/jpeg", "image/gif", "image/webp"):
            return Picture(content, kind)
        raise _needs_pillow(ref, "is no PNG, JPEG, GIF or WebP") from None
    except Exception as error:  # Pillow has many, of broken files and too many pixels
        raise UsageError(
            f"{ref} is no image that can be read.", why=f"{type(error).__name__}: {error}"
        ) from error
    upright = opened.getexif().get(_ORIENTATION, 1) == 1
    fits = max(opened.size) <= MAX_EDGE and len(content) <= MAX_BYTES
    if fits and upright and kind in ("image/png", "image/jpeg", "image/webp"):
        return Picture(content, kind)
    return fitted(opened)


def _opened(content: bytes) -> Image:
    import PIL.Image

    opened = PIL.Image.open(io.BytesIO(content))
    if opened.size[0] * opened.size[1] > _MAX_PIXELS:
        raise ValueError(f"{opened.size[0]} × {opened.size[1]} pixels are too many")
    opened.load()
    return opened


def from_array(ref: str, array: Any) -> Picture:
    """An array of numpy: height × width, or with 1, 3 or 4 channels; floats from 0 to 1."""
    try:
        import PIL.Image
    except ImportError:
        raise _needs_pillow(ref, "is an array") from None
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if not (array.ndim == 2 or colour) or 0 in array.shape:
        shape = " × ".join(map(str, array.shape))
        raise UsageError(
            f"The array {ref} is no image: its shape is {shape or 'that of one number'}.",
            hint="An image is height × width, with 3 (RGB) or 4 (RGBA) channels if in colour.",
        )
    if array.dtype.kind not in "fiub":
        raise UsageError(f"The array {ref} holds {array.dtype}, not numbers.")
    return fitted(PIL.Image.fromarray(_as_bytes(array)))


def _as_bytes(array: Any) -> Any:
    """From 0 to 255; what is no number is black."""
    if array.dtype.kind in "iu":
        return array.clip(0, 255).astype("uint8")
    scaled = array.astype("float64")
    scaled[scaled != scaled] = 0
    return (scaled.clip(0, 1) * 255).round().astype("uint8")


def fitted(picture: Any) -> Picture:
    """No larger than is looked at: PNG where that keeps sharp edges cheaply, else JPEG."""
    from PIL import ImageOps

    upright: Any = ImageOps.exif_transpose(picture)
    if max(upright.size) > MAX_EDGE:
        upright = upright.copy()
        if upright.mode not in ("RGB", "RGBA", "L", "LA"):
            upright = upright.convert("RGBA" if _has_transparency(upright) else "RGB")
        upright.thumbnail((MAX_EDGE, MAX_EDGE))
    png = _saved(upright, "PNG")
    if len(png) <= MAX_BYTES // 4:
        return Picture(png, "image/png")
    flat = _flat(upright)
    for quality in _JPEG_QUALITIES:
        jpeg = _saved(flat, "JPEG", quality=quality)
        if len(jpeg) <= MAX_BYTES // 2:
            break
    # Noise and screenshots: a PNG that is not much larger is the better one.
    return Picture(png, "image/png") if len(png) <= len(jpeg) else Picture(jpeg, "image/jpeg")


def _flat(picture: Any) -> Any:
    """Without transparency, which JPEG has not: on white."""
    import PIL.Image

    if not _has_transparency(picture):
        return picture.convert("RGB")
    layered = picture.convert("RGBA")
    ground = PIL.Image.new("RGBA", layered.size, "white")
    return PIL.Image.alpha_composite(ground, layered).convert("RGB")


def _has_transparency(picture: Any) -> bool:
    return picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info


def _saved(picture: Any, kind: str, **options: int) -> bytes:
    written = io.BytesIO()
    known = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    made = picture if kind == "JPEG" or picture.mode in known else picture.convert("RGB")
    made.save(written, kind, **options)
    return written.getvalue()


def _needs_pillow(ref: str, words: str) -> UsageError:
    return UsageError(
        f"{ref} {words}; to send it Pillow is needed, which is not installed here.",
        hint="pip install pillow",
    )


def too_large(ref: str, size: int) -> UsageError:
    """The refusal of `size` bytes."""
    return UsageError(
        f"The image {ref} is too large: {size / 1024 / 1024:,.1f} MB.",
        hint=f"At most {MAX_BYTES // 1024 // 1024} MB are sent; with Pillow (pip install pillow) "
        "images are made smaller first.",
    )

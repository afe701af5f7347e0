"""Pictures made small enough to send: the longest edge, the bytes, the format.

Pillow does it, where it is installed; without it PNG, JPEG, GIF and WebP go as they are.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen_magic.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_EDGE: Final = 2_048  # pixels
MAX_BYTES: Final = 7 * 1024 * 1024  # of one picture; base64 makes a third more of it
_MAX_PIXELS: Final = 200_000_000
_JPEG_QUALITIES: Final = (90, 75, 60)
_ORIENTATION: Final = 0x0112
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


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
    smaller: list[bytes] = []
    for quality in _JPEG_QUALITIES:
        smaller.append(_saved(flat, "JPEG", quality=quality))
        if len(smaller[-1]) <= MAX_BYTES // 2:
            break
    # Noise and screenshots: a PNG that is not much larger is the better one.
    best = smaller[-1]
    return Picture(png, "image/png") if len(png) <= len(best) else Picture(best, "image/jpeg")


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

"""Images in a prompt: files, addresses, figures, arrays, as parts of a message.

Images are sent inside the request, so they are scaled down to what a model looks at. This needs
Pillow (or a figure that draws itself); without it, files and bytes are sent unchanged if they are
small enough.

A figure is drawn as the notebook shows it. Values without a usual range (12-bit arrays, masks of 0
and 1) are scaled from black to white, and a note says which values these are.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence, ValuesView
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen_magic.context.models import KNOWN_MODELS, is_text_only
from qwen_magic.errors import UsageError, reason_of
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart

if TYPE_CHECKING:
    from PIL.Image import Image

LAST: Final = "last"  # the figure that the notebook has shown last
MAX_EDGE: Final = 2_048  # pixels
MAX_BYTES: Final = 7 * 1024 * 1024  # of one picture; base64 makes a third more of it
_MAX_PIXELS: Final = 200_000_000
_JPEG_QUALITIES: Final = (90, 75, 60)
_ORIENTATION: Final = 0x0112
_MAX_FILE_BYTES: Final = 100 * 1024 * 1024
_FIGURE_DPI: Final = 110
# Artists that stand so far outside were put there by mistake: the figure is not widened for them.
_WIDEST: Final = 6  # times its own size
_MOST_PARTS: Final = 1_000  # of a list, looked at in search of a figure

_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
# What Pillow calls a picture that every reader takes as it is.
_PLAIN_MODES: Final = ("1", "L", "LA", "P", "RGB", "RGBA")


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image. `note`: how it was changed, in words, or empty."""

    content: bytes
    media_type: str
    note: str = ""

    def part(self) -> JSON:
        encoded = base64.b64encode(self.content).decode("ascii")
        return {"type": "input_image", "image_url": f"data:{self.media_type};base64,{encoded}"}


def image_part(ref: str, value: object = None) -> JSON:
    """The item of `read_image`."""
    return read_image(ref, value)[0]


def read_image(ref: str, value: object = None) -> tuple[JSON, RequestPart]:
    """The `input_image` item for `ref`, or for `value` where `ref` names a variable that holds one,
    and the same for a reader, with the visible line about it: what is sent, how large.

    Known: http(s) and `data:` addresses (passed on as they are), paths, bytes and files in memory,
    figures of matplotlib (and what has a `.figure` of that kind: axes, seaborn's grids; and arrays
    of these), plotly and altair, pictures of Pillow and IPython, arrays of numpy's kind (height ×
    width, with 1, 3 or 4 channels). The longest edge is at most `MAX_EDGE` pixels, the size at most
    `MAX_BYTES`. Raises `UsageError`.
    """
    if hasattr(type(value), "_repr_png_") and isinstance(url := getattr(value, "url", None), str):
        value = url  # of IPython's Image
    if value is None or isinstance(value, str):
        address = ref if value is None else str(value)
        if address.lower().startswith(("http://", "https://", "data:image/")):
            return _item_and_part(ref, {"type": "input_image", "image_url": address})
        value = Path(os.path.expanduser(address))
    picture = _picture(ref, value)
    if len(picture.content) > MAX_BYTES:
        raise too_large(ref, len(picture.content))
    return _item_and_part(ref, picture.part(), picture.note)


def _item_and_part(ref: str, item: JSON, note: str = "") -> tuple[JSON, RequestPart]:
    url = str(item["image_url"])
    about = "sent as an address"
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        about = f"{head[5:].partition(';')[0]}, {len(data) * 3 // 4 / 1024:,.0f} KB"
    about += f"; {note}" if note else ""
    return item, RequestPart("image", ref, about=about, image=url, summary=f"{ref}: {about}")


def check_vision(model: str) -> None:
    """Raise `UsageError` if `model` is known to have no vision."""
    if is_text_only(model):
        raise UsageError(
            f"{model} sees no images.",
            hint=f"Take a model that does with -m, such as {newest_seeing_model()}.",
        )


def newest_seeing_model() -> str:
    """The newest known model with vision."""
    return next(each.name for each in KNOWN_MODELS if each.vision and not each.date)


def _picture(ref: str, value: Any) -> Picture:
    if isinstance(value, io.BufferedReader):
        value = Path(str(value.name))
    if isinstance(value, os.PathLike):
        return from_bytes(ref, _read_file(ref, Path(value)))
    if isinstance(value, bytes | bytearray | memoryview):
        return from_bytes(ref, bytes(value))
    if hasattr(type(value), "getbuffer"):  # BytesIO, wherever it stands
        return from_bytes(ref, bytes(value.getbuffer()))
    if (figure := _figure(ref, value)) is not None:
        return from_bytes(ref, _png_of(ref, figure))
    if all(hasattr(value, name) for name in ("mode", "size", "thumbnail", "getexif")):
        return fitted(value)  # of Pillow, then
    library = type(value).__module__.partition(".")[0]
    if library in _DRAWN_BY:
        return from_bytes(ref, _drawn_by_another(ref, value, library))
    if hasattr(type(value), "__array__"):
        return from_array(ref, _as_array(ref, value))
    if (content := _displayed(ref, value)) is not None:
        return from_bytes(ref, content)
    if isinstance(content := getattr(value, "data", None), bytes):  # of IPython's Image
        return from_bytes(ref, content)
    raise UsageError(
        f"{ref} is no image, but of type {type(value).__name__}.",
        hint="--image takes a path, a URL, bytes, a figure, a PIL image, an array, or last.",
    )


def _displayed(ref: str, value: Any) -> bytes | None:
    """The picture as which a notebook would display `value`."""
    bundle = getattr(type(value), "_repr_mimebundle_", None)
    try:
        found = bundle(value, include={"image/png", "image/jpeg"}) if callable(bundle) else None
        data = found[0] if isinstance(found, tuple) else found  # with metadata
        for kind, method in (("image/png", "_repr_png_"), ("image/jpeg", "_repr_jpeg_")):
            own = getattr(type(value), method, None)
            content = (data or {}).get(kind) or (own(value) if callable(own) else None)
            content = content[0] if isinstance(content, tuple) else content
            content = base64.b64decode(content) if isinstance(content, str) else content
            if isinstance(content, bytes):
                return content
    except Exception as error:  # its methods are the user's, or a library's
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"The picture {ref} could not be drawn.", why=why) from error
    return None


def _read_file(ref: str, path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # to open a pipe may wait for ever
            raise ValueError("it is no file")
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise too_large(ref, path.stat().st_size)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The image {ref} cannot be read.",
            why=reason_of(error),
            hint="This notebook has shown no figure yet, since qwen_magic was loaded."
            if ref == LAST
            else f"It is looked for from {Path.cwd()}; a variable is named without quotes.",
        ) from error


# Figures -----------------------------------------------------------------------------------------


def _figure(ref: str, value: Any, depth: int = 2) -> Any:
    """The matplotlib figure that `value` is, belongs to, or is a list, array or dict of parts of;
    else None.
    """
    value = value.values() if type(value) is dict else getattr(value, "wedges", value)  # of a pie
    is_array = getattr(getattr(value, "dtype", None), "kind", "") == "O"
    is_list = isinstance(value, Sequence | ValuesView) and not isinstance(value, str | bytes)
    if is_array or is_list:
        parts = islice(getattr(value, "flat", value), _MOST_PARTS if depth else 0)
        inner = [_figure(ref, part, depth - 1) for part in parts]
        found = {id(figure): figure for figure in inner if figure is not None}
        if len(found) > 1:
            raise UsageError(
                f"{ref} holds parts of {len(found)} figures.", hint=f"Name one, such as {ref}[0]."
            )
        return next(iter(found.values()), None)
    while value is not None and not isinstance(value, type):
        if hasattr(value, "savefig") and hasattr(value, "get_size_inches"):
            return value
        outer = getattr(value, "figure", getattr(value, "figure_", None))  # the latter: sklearn's
        value = outer if outer is not value else None
    return None


def _png_of(ref: str, figure: Any) -> bytes:
    written = io.BytesIO()
    try:
        _draw(figure, written)
    except Exception as error:  # what is drawn is the user's
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"The figure {ref} could not be drawn.", why=why) from error
    return written.getvalue()


def _draw(figure: Any, written: io.BytesIO) -> None:
    """Draw a figure as the notebook shows it, including what is outside its axes.

    Its size in inches limits the pixels.
    """
    own = max(max(figure.get_size_inches()), 0.01)
    box = figure.get_tightbbox()
    inches = max(box.width, box.height) if box is not None else own
    is_tight = 0 < inches <= own * _WIDEST  # and not NaN
    dpi = min(_FIGURE_DPI, MAX_EDGE / (inches if is_tight else own))
    figure.savefig(written, format="png", dpi=dpi, bbox_inches="tight" if is_tight else None)


def may_be_image(value: object) -> bool:
    """Whether `image_part` would accept `value`."""
    kind = type(value)
    if kind.__module__.partition(".")[0] in _DRAWN_BY or hasattr(kind, "_repr_png_"):
        return True
    try:
        return _figure("it", value) is not None
    except Exception:  # parts of two figures; or what a proxy does when it is asked
        return False


# Libraries whose figures another package draws (library -> that package).
_DRAWN_BY: Final = {"plotly": "kaleido", "altair": "vl-convert-python"}


def _drawn_by_another(ref: str, value: Any, library: str) -> bytes:
    try:
        if library == "plotly":
            return bytes(value.to_image(format="png"))
        written = io.BytesIO()
        value.save(written, format="png", scale_factor=1.5)
        return written.getvalue()
    except Exception as error:  # each has its own ways to say that the other is missing
        name = f"{library} {type(value).__name__}"
        raise UsageError(
            f"{ref} is a {name}, which could not be drawn as an image.",
            why=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            hint=f"It is drawn by {_DRAWN_BY[library]}: pip install {_DRAWN_BY[library]}",
        ) from error


# Made small enough -------------------------------------------------------------------------------


def media_type(content: bytes) -> str:
    """The media type according to the first bytes, or empty."""
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else ""


def from_bytes(ref: str, content: bytes) -> Picture:
    """The bytes unchanged if they are small enough, else re-encoded with Pillow."""
    kind = media_type(content)
    try:
        opened = _opened(content)
    except ImportError:
        if kind in ("image/png", "image/jpeg", "image/gif", "image/webp"):
            return Picture(content, kind)
        raise _needs_pillow(ref, "is no PNG, JPEG, GIF or WebP") from None
    except Exception as error:  # Pillow has many, of broken files and too many pixels
        svg = "An SVG is drawn first: save it as PNG." if b"<svg" in content[:1000] else ""
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{ref} is no image that can be read.", why=why, hint=svg) from error
    upright = opened.getexif().get(_ORIENTATION, 1) == 1
    fits = max(opened.size) <= MAX_EDGE and len(content) <= MAX_BYTES
    frames = getattr(opened, "n_frames", 1)
    is_plain = opened.mode in _PLAIN_MODES and frames == 1
    if fits and upright and is_plain and kind in ("image/png", "image/jpeg", "image/webp"):
        return Picture(content, kind)
    first = f"the first of {frames} images in it" if frames > 1 and kind != "image/jpeg" else ""
    made = fitted(opened)
    return replace(made, note="; ".join(note for note in (first, made.note) if note))


def _opened(content: bytes) -> Image:
    import PIL.Image

    opened = PIL.Image.open(io.BytesIO(content))
    if opened.size[0] * opened.size[1] > _MAX_PIXELS:
        raise ValueError(f"{opened.size[0]} × {opened.size[1]} pixels are too many")
    opened.load()
    return opened


def fitted(picture: Any) -> Picture:
    """Scale an image down; PNG for sharp edges if that is small, else JPEG."""
    from PIL import ImageOps

    upright: Any = ImageOps.exif_transpose(picture)
    upright, note = _eight_bits(upright)
    if max(upright.size) > MAX_EDGE:
        upright = upright.copy()
        if upright.mode not in ("RGB", "RGBA", "L", "LA"):
            upright = upright.convert("RGBA" if _has_transparency(upright) else "RGB")
        upright.thumbnail((MAX_EDGE, MAX_EDGE))
    png = _saved(upright, "PNG")
    if len(png) <= MAX_BYTES // 4:
        return Picture(png, "image/png", note)
    flat = _flat(upright)
    for quality in _JPEG_QUALITIES:
        jpeg = _saved(flat, "JPEG", quality=quality)
        if len(jpeg) <= MAX_BYTES // 2:
            break
    # Noise and screenshots: a PNG that is not much larger is the better one.
    if len(png) <= len(jpeg):
        return Picture(png, "image/png", note)
    return Picture(jpeg, "image/jpeg", note)


def _eight_bits(picture: Any) -> tuple[Any, str]:
    """Convert one channel of more than eight bits (I, I;16, F) to eight, with a note."""
    if not picture.mode.startswith(("I", "F")):
        return picture, ""
    wide = picture.convert("F")
    factor, offset, note = _scale(*wide.getextrema(), is_whole=picture.mode != "F")
    return wide.point(lambda value: value * factor + offset).convert("L"), note


def _flat(picture: Any) -> Any:
    """Put an image on white, as JPEG has no transparency."""
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
    made = picture
    if kind != "JPEG" and picture.mode not in _PLAIN_MODES:
        made = picture.convert("RGBA" if _has_transparency(picture) else "RGB")
    made.save(written, kind, **options)
    return written.getvalue()


# Arrays ------------------------------------------------------------------------------------------


def _scale(
    low: float, high: float, *, is_whole: bool, two: bool = False
) -> tuple[float, float, str]:
    """How values from `low` to `high` become 0–255 (`value * factor + offset`: the factor, the
    offset), and a word on it where it is no usual way.

    Whole numbers from 0 to 255 and floats from 0 to 1 are meant as they are; floats up to 255 as
    bytes, unless they are all small; a mask (`two`: nothing but 0 and 1) and all others go from
    black to white.
    """
    if is_whole and low >= 0 and high <= 255 and not two:
        return 1, 0, ""
    if not is_whole and low >= 0 and high <= 1:
        return 255, 0, ""
    if not is_whole and low >= 0 and 16 <= high <= 255:
        return 1, 0, "floats taken as 0 to 255"
    if two and is_whole:
        return 255, 0, "0 is shown black, 1 white"
    if low == high:
        return 0, 255 if high > 0 else 0, f"every value is {high:,g}"
    factor = 255 / (high - low)
    return factor, -low * factor, f"{low:,g} is shown black, {high:,g} white"


def _as_array(ref: str, value: Any) -> Any:
    """`value` as a numpy array; masked values become NaN."""
    try:
        if hasattr(value, "filled") and hasattr(value, "mask"):
            value = value.astype("float64").filled(float("nan"))
        return value.__array__()
    except Exception as error:  # a tensor with a gradient, or on another device
        raise UsageError(
            f"{ref} gives no array: it is of type {type(value).__name__}.",
            why=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
        ) from error


def from_array(ref: str, array: Any) -> Picture:
    """An image of a numpy array: height × width, or with 1, 3 or 4 channels."""
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
            hint=" ".join(_shape_hints(ref, array.shape)),
        )
    if array.dtype.kind not in "fiub":
        raise UsageError(f"The array {ref} holds {array.dtype}, not numbers.")
    if step := max(array.shape) // (4 * MAX_EDGE):  # far more than is looked at
        array = array[:: step + 1, :: step + 1]
    pixels, note = _as_bytes(array)
    made = fitted(PIL.Image.fromarray(pixels))
    return replace(made, note=note)


def _shape_hints(ref: str, shape: tuple[int, ...]) -> Iterator[str]:
    yield "An image is height × width, with 3 (RGB) or 4 (RGBA) channels if in colour."
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        yield f"Here the channels come first: {ref}.transpose(1, 2, 0) puts them last."
    elif len(shape) == 4:
        yield f"These are {shape[0]} images: name one, such as {ref}[0]."


def _as_bytes(array: Any) -> tuple[Any, str]:
    """Scale values to 0–255, NaN as black; with a note if the scale is unusual."""
    import numpy

    if array.dtype.kind == "b":
        return array.astype("uint8") * numpy.uint8(255), "a mask: True is white"
    is_whole = array.dtype.kind in "iu"
    scaled = array.astype("float64")
    alpha = scaled[:, :, 3].copy() if array.ndim == 3 and array.shape[2] == 4 else None
    seen = scaled[:, :, :3] if alpha is not None else scaled
    finite = numpy.isfinite(seen)
    values = seen[finite]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    two = is_whole and low == 0 and high == 1
    factor, offset, note = _scale(low, high, is_whole=is_whole, two=two)
    gone = int(numpy.isnan(seen).sum())
    with numpy.errstate(invalid="ignore"):
        shown = scaled * factor + offset
    if alpha is not None:
        most = float(alpha.max())
        shown[:, :, 3] = alpha * (255 if most <= 1 else 1 if most <= 255 else 255 / most)
    shown[numpy.isnan(shown)] = 0
    lost = f"{gone:,} of {seen.size:,} values are no numbers, and black" if gone else ""
    words = "; ".join(note for note in (note, lost) if note)
    return shown.clip(0, 255).round().astype("uint8"), words


def _needs_pillow(ref: str, words: str) -> UsageError:
    return UsageError(
        f"{ref} {words}; to send it Pillow is needed, which is not installed here.",
        hint="pip install pillow",
    )


def too_large(ref: str, size: int) -> UsageError:
    """The error for an image of `size` bytes."""
    return UsageError(
        f"The image {ref} is too large: {size / 1024 / 1024:,.1f} MB.",
        hint=f"At most {MAX_BYTES // 1024 // 1024} MB are sent; with Pillow (pip install pillow) "
        "images are made smaller first.",
    )

"""Pictures as parts of a message."""

from __future__ import annotations

import base64
import io
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from qwen_magic.context.images import (
    MAX_BYTES,
    MAX_EDGE,
    check_vision,
    image_part,
    image_words,
)
from qwen_magic.errors import UsageError

PIL_Image = pytest.importorskip("PIL.Image")


def opened(part):
    head, _, data = part["image_url"].partition(",")
    assert part["type"] == "input_image"
    picture = PIL_Image.open(io.BytesIO(base64.b64decode(data)))
    picture.load()
    assert head == f"data:image/{picture.format.lower()};base64"
    return picture


def saved(picture, kind="PNG", **options):
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize(
    "address", ["https://x.test/a.png", "HTTP://x.test/a", "data:image/png;base64,AA"]
)
def test_addresses_are_passed_on(address):
    part = {"type": "input_image", "image_url": address}
    assert image_part(address) == part
    assert image_part("url", address) == part


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_small_files_go_as_they_are(tmp_path, kind):
    content = saved(PIL_Image.new("RGB", (20, 10), "red"), kind)
    (tmp_path / "a b.img").write_bytes(content)
    for part in (
        image_part(str(tmp_path / "a b.img")),
        image_part("p", tmp_path / "a b.img"),
        image_part("raw", content),
        image_part("raw", bytearray(content)),
    ):
        assert base64.b64decode(part["image_url"].partition(",")[2]) == content
        assert opened(part).size == (20, 10)


def test_other_formats_become_png():
    assert opened(image_part("x", saved(PIL_Image.new("RGB", (5, 5)), "BMP"))).format == "PNG"
    assert opened(image_part("x", saved(PIL_Image.new("P", (5, 5)), "GIF"))).format == "PNG"


def test_large_pictures_are_made_smaller():
    made = opened(image_part("x", PIL_Image.new("P", (5_000, 1_000))))
    assert made.size == (MAX_EDGE, round(MAX_EDGE / 5))
    content = saved(PIL_Image.new("RGB", (3_000, 20)), "JPEG")
    assert max(opened(image_part("x", content)).size) == MAX_EDGE


def test_photographs_become_jpeg():
    noise = np.random.default_rng(0).integers(0, 256, (2_000, 2_000, 3), dtype="uint8")
    part = image_part("x", noise)
    assert opened(part).format == "JPEG"
    assert len(part["image_url"]) < MAX_BYTES * 4 / 3


def test_transparency_ends_on_white():
    noise = np.random.default_rng(0).integers(0, 256, (1_500, 1_500, 4), dtype="uint8")
    noise[:100, :100] = 0
    made = opened(image_part("x", noise))
    assert made.format == "JPEG"
    assert min(made.getpixel((50, 50))) > 240


def test_cameras_orientation_is_applied():
    picture = PIL_Image.new("RGB", (30, 10))
    exif = picture.getexif()
    exif[0x0112] = 6
    assert opened(image_part("x", saved(picture, "JPEG", exif=exif))).size == (10, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"])
def test_every_mode_of_pillow(mode):
    assert opened(image_part("x", PIL_Image.new(mode, (7, 5)))).size == (7, 5)


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.ones((4, 6)), 255),
        (np.full((4, 6), np.nan), 0),
        (np.full((4, 6, 1), 300), 255),
        (np.full((4, 6, 3), 7, "uint8"), (7, 7, 7)),
        (np.full((4, 6, 4), 0.5, "float32"), (128,) * 4),
        (np.ones((4, 6), bool), 255),
    ],
)
def test_arrays(array, pixel):
    made = opened(image_part("x", array))
    assert made.size == (6, 4)
    assert made.getpixel((0, 0)) == pixel


@pytest.mark.parametrize(
    "array", [np.ones(5), np.ones((0, 5)), np.ones((4, 5, 2)), np.array(1), np.full((2, 2), "x")]
)
def test_arrays_that_are_no_image(array):
    with pytest.raises(UsageError, match="The array x"):
        image_part("x", array)


def test_figures_and_their_axes():
    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2))
    axes = figure.subplots()
    axes.plot([1, 2])
    assert opened(image_part("fig", figure)).size == (440, 220)
    assert opened(image_part("ax", axes)).size == (440, 220)
    assert max(opened(image_part("fig", Figure(figsize=(100, 50)))).size) <= MAX_EDGE


@pytest.mark.parametrize(
    ("ref", "value", "words"),
    [
        ("no/such.png", None, "The image no/such.png cannot be read.\nNo such file"),
        ("x", b"<html>", "x is no image that can be read."),
        ("x", 5, "x is no image, but of type int."),
        ("x", "\0", "The image x cannot be read."),
    ],
)
def test_what_is_no_image(ref, value, words):
    with pytest.raises(UsageError) as caught:
        image_part(ref, value)
    assert str(caught.value).startswith(words)


def test_without_pillow(tmp_path):
    (tmp_path / "a.png").write_bytes(saved(PIL_Image.new("RGB", (3_000, 5))))
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(MAX_BYTES))
    (tmp_path / "a.bmp").write_bytes(saved(PIL_Image.new("RGB", (5, 5)), "BMP"))
    code = (
        "import sys; sys.modules['PIL'] = sys.modules['PIL.Image'] = None\n"
        "from qwen_magic.context.images import image_part\n"
        "from qwen_magic.errors import UsageError\n"
        "assert image_part('a.png')['image_url'].startswith('data:image/png;base64,')\n"
        "import numpy\n"
        "for ref, value in (('big.png', None), ('a.bmp', None), ('x', numpy.ones((2, 2)))):\n"
        "    try:\n        image_part(ref, value)\n"
        "    except UsageError as error:\n        assert 'pip install pillow' in str(error)\n"
        "    else:\n        raise SystemExit(ref)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_visible_line():
    part = image_part("x", PIL_Image.new("RGB", (5, 5)))
    assert image_words("x", part) == "x: image/png, 0 KB"
    assert image_words("u", image_part("https://x.test")) == "u: sent as an address"


@pytest.mark.parametrize("model", ["qwen3-max-2026-01-23", "qwen3-coder-flash", "qwen3-max"])
def test_models_without_vision(model):
    with pytest.raises(UsageError, match=rf"{model} sees no images\.") as raised:
        check_vision(model)
    names = str(raised.value).partition("such as ")[2].rstrip(".").split(", ")
    assert len(names) == 3
    assert not [name for name in names if name[-4:].isdigit()]  # snapshots


@pytest.mark.parametrize("model", ["qwen3.7-plus", "qwen3.5-ocr", "my-own-model"])
def test_models_that_see_or_may(model):
    check_vision(model)

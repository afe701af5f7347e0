"""Pictures as parts of a message."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import types

import matplotlib
import numpy as np
import pandas as pd
import pytest

from qwen_magic.context.images import (
    MAX_BYTES,
    MAX_EDGE,
    check_vision,
    image_part,
    may_be_image,
    read_image,
)
from qwen_magic.context.models import KNOWN_MODELS
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
    made = opened(image_part("x", PIL_Image.new(mode, (7, 5))))
    assert made.size == (7, 5)
    assert made.mode in ("1", "L", "LA", "P", "RGB", "RGBA")


def test_colours_for_print_and_deep_ones_are_sent_as_a_screen_shows_them():
    ink = PIL_Image.new("CMYK", (7, 5), (0, 255, 255, 0))
    red = opened(image_part("x", saved(ink, "JPEG")))
    assert red.mode == "RGB"
    assert red.getpixel((0, 0))[0] > 200 > red.getpixel((0, 0))[1]
    deep = PIL_Image.fromarray(np.array([[0, 4095]], "uint16"))
    for value in (deep, saved(deep)):
        part, shown = read_image("x", value)
        assert [opened(part).getpixel((n, 0)) for n in (0, 1)] == [0, 255]
        assert shown.summary.endswith("; 0 is shown black, 4,095 white")


def test_of_many_frames_the_first_goes_and_that_is_said():
    frames = [PIL_Image.new("L", (5, 5), shade) for shade in (0, 255)]
    film = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert "the first of 2 images" in read_image("x", film)[1].summary


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.ones((4, 6)), 255),
        (np.full((4, 6), np.nan), 0),
        (np.full((4, 6, 1), 300), 255),
        (np.full((4, 6, 3), 7, "uint8"), (7, 7, 7)),
        (np.full((4, 6, 4), 0.5, "float32"), (128,) * 4),
        (np.ones((4, 6), bool), 255),
        (np.ma.masked_all((4, 6)), 0),
    ],
)
def test_arrays(array, pixel):
    made = opened(image_part("x", array))
    assert made.size == (6, 4)
    assert made.getpixel((0, 0)) == pixel


@pytest.mark.parametrize(
    ("values", "shown", "words"),
    [
        ([0.0, 1.0, 0.2], [0, 255, 51], ""),
        ([0, 255, 51], [0, 255, 51], ""),
        ([0.0, 255.0, 51.0], [0, 255, 51], "floats taken as 0 to 255"),
        ([-1.0, 1.0, 0.0], [0, 255, 128], "-1 is shown black, 1 white"),
        (np.array([0, 4095, 819], "uint16"), [0, 255, 51], "0 is shown black, 4,095 white"),
        (np.array([100, 65535, 100], "uint16"), [0, 255, 0], "100 is shown black"),
        (np.array([0, 1, 1], "uint8"), [0, 255, 255], "0 is shown black, 1 white"),
        ([False, True, True], [0, 255, 255], "True is white"),
        ([0.0, np.nan, 1.0], [0, 0, 255], "1 of 3 values are no numbers"),
        ([0.0, np.inf, 1.0], [0, 255, 255], ""),
    ],
)
def test_arrays_are_shown_by_their_range_and_that_is_said(values, shown, words):
    part, image = read_image("x", np.array([values]))
    told = image.summary
    assert [opened(part).getpixel((n, 0)) for n in range(3)] == shown
    assert words in told
    assert told.count(";") == bool(words)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((3, 40, 50), "x.transpose(1, 2, 0)"), ((8, 40, 50, 3), "x[0]"), ((40,), "height × width")],
)
def test_another_order_is_told_what_to_do(shape, words):
    with pytest.raises(UsageError) as raised:
        image_part("x", np.zeros(shape))
    assert words in raised.value.hint


def test_what_cannot_be_an_array_now_is_no_crash():
    class Tensor:
        def __array__(self, *arguments):
            raise RuntimeError("requires grad")

    with pytest.raises(UsageError, match="gives no array") as raised:
        image_part("x", Tensor())
    assert "requires grad" in raised.value.why


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
    pie = axes.pie([1, 2])
    shown = io.BytesIO()
    figure.savefig(shown, dpi=110, bbox_inches="tight")
    series, drawn = pd.Series([axes, axes]), types.SimpleNamespace(figure_=figure)
    parts = (pie, axes.lines, np.array([axes, axes]), {"A": axes, "B": [axes]}, series)
    for value in (figure, axes, axes.lines[0], *parts, drawn):
        assert opened(image_part("fig", value)).size == PIL_Image.open(shown).size
        assert may_be_image(value)
    assert max(opened(image_part("fig", Figure(figsize=(100, 50)))).size) <= MAX_EDGE


def test_what_stands_beside_the_axes_is_drawn_and_what_stands_nowhere_is_not():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2))
    axes = figure.subplots()
    axes.plot([1, 2], label="a long name " * 3)
    axes.legend(bbox_to_anchor=(1.02, 1), loc="upper left")
    assert opened(image_part("fig", figure)).width > 600  # the legend is on it
    axes.text(100, 0, "far away")
    assert opened(image_part("fig", figure)).size == (440, 220)


def test_a_subfigure_is_shown_whole_and_two_figures_are_refused():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2))
    inner = figure.subfigures(1, 2)[0]
    axes = inner.subplots()
    assert opened(image_part("x", inner)).size == opened(image_part("x", figure)).size
    with pytest.raises(UsageError, match="parts of 2 figures") as raised:
        image_part("x", [axes, Figure().subplots()])
    assert "x[0]" in str(raised.value)
    assert not may_be_image([1, "a", None])


def test_pictures_in_memory_and_of_ipython(tmp_path):
    from IPython.display import Image

    content = saved(PIL_Image.new("RGB", (7, 5)))
    (tmp_path / "x.png").write_bytes(content)
    chart = displayed({"image/png": base64.b64encode(content).decode()})
    values = (io.BytesIO(content), Image(data=content), memoryview(content), chart)
    with (tmp_path / "x.png").open("rb") as file:
        for value in (*values, displayed(({"image/png": content}, {})), file):
            assert opened(image_part("x", value)).size == (7, 5)
    assert may_be_image(Image(data=content))
    assert image_part("x", Image(url="https://a.b/c.png"))["image_url"] == "https://a.b/c.png"
    with pytest.raises(UsageError, match="could not be drawn"):
        image_part("x", displayed([0]))


def displayed(bundle):
    """An object of a library that notebooks show as `bundle`."""
    return type("Chart", (), {"_repr_mimebundle_": lambda self, include: bundle})()


@pytest.mark.parametrize("library", ["plotly", "altair"])
def test_another_librarys_figure_is_drawn_or_what_draws_it_is_named(library):
    kind = type("Chart", (), {"__module__": f"{library}.x", "to_image": None})
    with pytest.raises(UsageError, match=f"is a {library} Chart") as raised:
        image_part("x", kind())
    assert {"plotly": "kaleido", "altair": "vl-convert-python"}[library] in raised.value.hint


def test_altairs_charts():
    altair = pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    data = altair.Data(values=[{"a": 1}])
    assert opened(image_part("x", altair.Chart(data).mark_bar().encode(x="a:Q"))).width > 50


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
    assert read_image("x", PIL_Image.new("RGB", (5, 5)))[1].summary == "x: image/png, 0 KB"
    assert read_image("https://x.test")[1].summary == "https://x.test: sent as an address"


@pytest.mark.parametrize("model", ["qwen3-max-2026-01-23", "qwen3-coder-flash", "qwen3-max"])
def test_models_without_vision(model):
    with pytest.raises(UsageError, match=rf"{model} sees no images\.") as raised:
        check_vision(model)
    name = str(raised.value).partition("such as ")[2].rstrip(".")
    seeing = [each.name for each in KNOWN_MODELS if each.vision]
    assert name == seeing[0]  # the newest
    assert not name[-4:].isdigit()  # no snapshot


@pytest.mark.parametrize("model", ["qwen3.7-plus", "qwen3.5-ocr", "my-own-model"])
def test_models_that_see_or_may(model):
    check_vision(model)

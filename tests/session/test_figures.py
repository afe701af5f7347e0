"""Which figures are fetched, and what becomes of those that are not."""

from concurrent.futures import Future

import pytest

from qwen_magic.context.images import media_type
from qwen_magic.document.steps import figure_urls
from qwen_magic.errors import ConnectionFailedError
from qwen_magic.protocol.items import CodeInterpreterCall, CodeOutput
from qwen_magic.session.figures import LARGEST_SUM, MOST_FIGURES, FigureFetcher

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
ALLOWED = "http://figures.example/a.png"


class Source:
    """Answers every fetch with one result, at once or never."""

    def __init__(self, result=None):
        self.result = result
        self.asked = []

    def fetch(self, url, *, limit, timeout):
        self.asked.append(url)
        future = Future()
        if isinstance(self.result, Exception):
            future.set_exception(self.result)
        elif self.result is not None:
            future.set_result(self.result)
        return future


def collected(fetcher):
    figures = []
    fetcher.collect(figures.append)
    return figures


def test_an_allowed_figure_is_embedded():
    fetcher = FigureFetcher(Source(PNG), ["figures.example"])
    fetcher.want(ALLOWED)
    (figure,) = collected(fetcher)
    assert figure.content == PNG
    assert figure.data_uri.startswith("data:image/png;base64,")
    assert not collected(fetcher), "handed over once"


def test_a_figure_is_asked_for_once():
    source = Source(PNG)
    fetcher = FigureFetcher(source, ["figures.example"])
    for _ in range(3):
        fetcher.want(ALLOWED)
    assert source.asked == [ALLOWED]


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/a.png",
        "http://figures.example.evil.example/a.png",
        "http://figures.example@evil.example/a.png",
        "http://evil.example/figures.example/a.png",
        "http://figures.example:8080/a.png",
        "ftp://figures.example/a.png",
        "file:///etc/passwd",
        "//figures.example/a.png",
        "http://[figures.example/a.png",
    ],
)
def test_nothing_is_asked_of_other_hosts(url):
    source = Source(PNG)
    fetcher = FigureFetcher(source, ["figures.example"])
    fetcher.want(url)
    (figure,) = collected(fetcher)
    assert not source.asked
    assert figure.reason
    assert not figure.data_uri


def test_what_is_no_image_is_not_embedded():
    fetcher = FigureFetcher(Source(b"<html>"), ["figures.example"])
    fetcher.want(ALLOWED)
    (figure,) = collected(fetcher)
    assert "not a PNG" in figure.reason


def test_a_failure_becomes_the_reason():
    fetcher = FigureFetcher(Source(ConnectionFailedError("No route.")), ["figures.example"])
    fetcher.want(ALLOWED)
    assert [f.reason for f in collected(fetcher)] == ["No route."]


def test_giving_up_settles_what_is_on_its_way():
    fetcher = FigureFetcher(Source(), ["figures.example"])
    fetcher.want(ALLOWED)
    assert fetcher.pending
    fetcher.give_up("the turn ended")
    assert not fetcher.pending
    assert [f.reason for f in collected(fetcher)] == ["the turn ended"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>", ""),
        (b"", ""),
    ],
)
def test_images_are_known_by_their_first_bytes(content, expected):
    assert media_type(content) == expected


def test_figures_are_found_in_logs_and_outputs():
    logs = (
        "```\n![not](http://a.example/in-a-fence.png)\n```\n\n![f](http://a.example/1.png?x=1&y=2)"
    )
    call = CodeInterpreterCall(
        "c", outputs=(CodeOutput(logs=logs), CodeOutput(image_url="http://a.example/2.png"))
    )
    assert figure_urls(call) == ("http://a.example/1.png?x=1&y=2", "http://a.example/2.png")


def test_an_answer_shows_so_many_figures():
    source = Source(PNG)
    fetcher = FigureFetcher(source, ["figures.example"])
    for number in range(100):
        fetcher.want(f"http://figures.example/{number}.png")
    figures = collected(fetcher)
    assert len(source.asked) == MOST_FIGURES == sum(bool(figure.content) for figure in figures)
    assert len(figures) == 100
    assert all(figure.content or "40 figures" in figure.reason for figure in figures)


def test_an_answer_shows_so_many_bytes():
    fetcher = FigureFetcher(Source(PNG + bytes(6 * 2**20)), ["figures.example"])
    for number in range(5):
        fetcher.want(f"http://figures.example/{number}.png")
    figures = collected(fetcher)
    assert sum(len(figure.content) for figure in figures) <= LARGEST_SUM
    assert [bool(figure.content) for figure in figures] == [True] * 3 + [False] * 2

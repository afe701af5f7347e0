"""Figures that come and figures that do not, in real kernels and a real notebook."""

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from figure_server import PIECE, FigureServer
from real_jupyter import wait_until
from real_kernel import PYTHONS, Kernel, fresh_environ

SIGNATURE = "b'\\x89PNG\\r\\n\\x1a\\n'"
NAMES_A_FILE = "Plot sin(x), and name the file"

# How a host fails, and the words that say so; `{host}` is the demo's.
FAILURES = {
    "down": "{host} cut the connection before the answer was complete",
    "slow": "it did not come within 10 s",
    "huge": "{host} sent more than 8 MiB",
    "html": "what came is not a PNG, JPEG, GIF or WebP image",
    "elsewhere": "figures.example.invalid is not in the list of figure hosts",
}
# Notes, for as long as the kernel lives, whom it looks up and connects to.
WATCH = """
import sys
asked_of = []
def note_host(event, args):
    if event == "socket.getaddrinfo":
        asked_of.append(str(args[0]))
    elif event == "socket.connect":
        asked_of.append(str(args[1]))
sys.addaudithook(note_host)
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    kernel = Kernel(PYTHONS["this"], fresh_environ(tmp_path_factory.mktemp("ipython")))
    kernel.ok(WATCH)
    yield kernel
    kernel.close()


@pytest.fixture
def server():
    with FigureServer() as server:
        yield server


@contextmanager
def asking(process, server):
    """The kernel with the extension, which asks this server."""
    process.ok("%reload_ext qwen_magic")
    process.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
    process.ok("asked_of.clear()")
    yield process
    process.ok("%unload_ext qwen_magic")


@pytest.fixture
def kernel(process, server):
    with asking(process, server) as kernel:
        yield kernel


def draw(kernel, prompt="Plot sin(x)"):
    return kernel.ok(f"%%qwen -o drawn -t code_interpreter\n{prompt}").final


def figure_requests(server):
    return [r for r in server.requests if "/temp_files/" in r.path]


def host_of(server):
    return server.base_url.split("/")[2]


def sources(html):
    """What the pictures of a page would load."""
    return re.findall(r'<img[^>]*? src="([^"]*)"', html)


def value(kernel, expression):
    return kernel.ok(expression).result["text/plain"]


@pytest.mark.kernel
def test_a_figure_that_comes_is_embedded(kernel, server):
    final = draw(kernel)
    (source,) = sources(final["text/html"])
    assert source.startswith("data:image/png;base64,")
    assert value(kernel, "len(drawn.figures), drawn.figures[0][:8]") == f"(1, {SIGNATURE})"
    assert host_of(server) not in re.sub(r'class="qm-foot".*', "", final["text/html"])


@dataclass(frozen=True)
class Failed:
    """A cell whose figure did not come: its output, and what its host saw."""

    words: str  # that say why
    other_words: tuple[str, ...]
    final: dict[str, str]
    figures: str
    text: str
    next_cell: str
    asked_of: str
    requests: list


@pytest.fixture(scope="module", params=FAILURES)
def failed(request, process):
    """One run for each way of failing; slow takes ten seconds."""
    with FigureServer(request.param) as server, asking(process, server) as kernel:
        words = {way: said.format(host=host_of(server)) for way, said in FAILURES.items()}
        final = draw(kernel)
        figures, text = value(kernel, "drawn.figures, drawn.status"), kernel.ok("print(drawn)")
        asked_of = value(kernel, "sorted(set(asked_of))")
        assert host_of(server).split(":")[1] in asked_of, "the watch sees what is asked"
        yield Failed(
            words.pop(request.param), tuple(words.values()), final, figures, text.stdout,
            kernel.ok("%%qwen\nMy name is John").final["text/plain"], asked_of,
            figure_requests(server),
        )  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("form", ["text/html", "text/markdown", "text/plain"])
def test_the_output_says_why_there_is_no_figure(failed, form):
    said = failed.final[form].replace("\\", "")  # with which Markdown escapes
    assert failed.words in said
    assert not any(other in said for other in failed.other_words)


@pytest.mark.kernel
def test_the_output_loads_nothing_and_holds_a_link(failed):
    html = failed.final["text/html"]
    assert sources(html) == []
    (link,) = re.findall(r'<a class="qm-a" href="([^"]+\.png[^"]*)"', html)
    assert link in failed.final["text/markdown"]


@pytest.mark.kernel
def test_the_answer_is_whole_and_the_next_cell_works(failed):
    assert failed.figures == "((), 'completed')"
    assert "largest value of sin(x) | 0.99" in failed.text
    assert failed.text.rstrip().endswith("not Qwen.)*")
    assert "Hello, John!" in failed.next_cell


@pytest.mark.kernel
def test_no_more_is_asked_for_than_may_be_had(failed, request):
    way = request.node.callspec.params["failed"]
    assert "example.invalid" not in failed.asked_of
    if way == "elsewhere":
        assert not failed.requests
        return
    (record,) = failed.requests
    if way in ("slow", "huge"):
        wait_until(lambda: record.closed_at, 5, "the client's closing")
    if way == "slow":
        assert 5 < record.events < 15, "a byte a second, for ten seconds"
    if way == "huge":
        most = 25 * 1024 * 1024  # the cap, with what stands in buffers between the two
        assert record.events * PIECE < most, "of 50 MB"


@pytest.mark.kernel
def test_a_file_of_the_sandbox_is_the_figure_that_it_means(kernel):
    final = draw(kernel, NAMES_A_FILE)
    assert value(kernel, "'](demo_chart.png)' in drawn.text") == "True", "as the model wrote it"
    below_the_run, in_the_answer = sources(final["text/html"])
    assert below_the_run == in_the_answer
    assert in_the_answer.startswith("data:image/png;base64,")
    answer = final["text/html"].split('class="qm-answer"')[1]
    assert in_the_answer in answer
    assert 'alt="sin(x)"' in answer
    assert "demo_chart.png)" not in final["text/markdown"]
    assert "*Figure: sin(x) (shown after the answer)*" in final["text/markdown"]


@pytest.mark.kernel
def test_a_file_of_the_sandbox_whose_figure_did_not_come(kernel, server):
    server.fail("html")
    final = draw(kernel, NAMES_A_FILE)
    assert sources(final["text/html"]) == []
    answer = final["text/html"].split('class="qm-answer"')[1]
    assert ">sin(x)</span>" in answer, "its words stand there"
    assert "not a PNG" in final["text/html"]


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_saved_notebook_says_why_and_shows_what_is_meant(open_page, server):
    page = open_page("lab", "figures.ipynb", [
        f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
        "%%qwen -t code_interpreter\nPlot sin(x)",
        "%%qwen -t code_interpreter\nPlot cos(x), and name the file",
    ])  # fmt: skip
    server.fail("html")
    page.run(0)
    page.run(1)
    wait_until(lambda: page.output(1).locator(".qm-saved").count(), 20, "the final output")
    server.fail("served")
    page.run(2)
    wait_until(lambda: page.output(2).locator(".qm-saved").count(), 20, "the final output")
    page.save()
    page.close()
    asked = len(server.requests)

    page = open_page("lab", "figures.ipynb", kernel=False)
    failed, meant = page.output(1), page.output(2)
    failed.locator(".qm-turn").wait_for()
    assert "what came is not a PNG" in failed.inner_text()
    assert failed.locator("img").count() == 0
    picture = meant.locator(".qm-answer img")
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
    assert picture.bounding_box()["width"] > 100
    if folder := os.environ.get("QWEN_MAGIC_SHOTS"):
        page.page.screenshot(path=f"{folder}/figures.png")
    assert len(server.requests) == asked, "a notebook that is opened asks for nothing"

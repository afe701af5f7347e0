"""Figures in the place of files of the sandbox that an answer shows."""

import pytest

from qwen_magic.document.build import Document, Drawn, meant_figures, saved_names
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.markdown.render import SandboxImage
from qwen_magic.document.patches import Add, Replace
from qwen_magic.frontends.static import bundle
from qwen_magic.protocol.events import ItemDone, ResponseEnded
from qwen_magic.protocol.items import parse_item
from qwen_magic.protocol.state import ResponseState

FIRST, SECOND = "data:image/png;base64,AAAA", "data:image/png;base64,BBBB"


@pytest.mark.parametrize(
    ("code", "count", "names"),
    [
        ("plt.savefig('a.png')\nplt.show()", 1, [("a.png",)]),
        ('fig.savefig("/mnt/out/a.png", dpi=150)', 1, [("a.png",)]),
        ("plt.savefig('a.png')\nplt.savefig('a.pdf')", 1, [("a.png", "a.pdf")]),
        ("savefig('a.png')\nplt.show()\nsavefig('b.png')\nplt.show()", 2, [("a.png",), ("b.png",)]),
        ("plt.show()\nplt.savefig('b.png')\nplt.show()", 2, [(), ("b.png",)]),
        ("f.savefig('a.png')\ng.savefig('b.png')", 2, [("a.png",), ("b.png",)]),
        ("for n in names:\n    plt.savefig(n)\n    plt.show()", 3, [(), (), ()]),
        ("", 0, []),
    ],
)
def test_the_names_of_saved_figures(code, count, names):
    assert saved_names(code, count) == names


@pytest.mark.parametrize(
    ("text", "drawn", "meant"),
    [
        ("![x](b.png)", [Drawn(FIRST, ("a.png",)), Drawn(SECOND, ("b.png",))], {"b.png": SECOND}),
        ("![](x.png) ![](y.png)", [Drawn(FIRST), Drawn(SECOND)], {"x.png": FIRST, "y.png": SECOND}),
        ("![](y.png) ![](b.png)", [Drawn(FIRST), Drawn(SECOND, ("b.png",))],
         {"y.png": FIRST, "b.png": SECOND}),
        ("![](x.png) ![](x.png)", [Drawn(FIRST), Drawn(SECOND)], {"x.png": FIRST}),
        ("![](a.png)", [Drawn(FIRST, ("a.png",)), Drawn(SECOND, ("a.png",))], {"a.png": SECOND}),
        ("![](x.png) ![](y.png)", [Drawn(FIRST)], {"x.png": FIRST}),
        ("![](sandbox:/mnt/data/x.png)", [Drawn(FIRST)], {"sandbox:/mnt/data/x.png": FIRST}),
        ("![](file:///tmp/x.png)", [Drawn(FIRST)], {"file:///tmp/x.png": FIRST}),
        ("![](<my chart.png>)", [Drawn(FIRST, ("my chart.png",))], {"my%20chart.png": FIRST}),
        ("![a][1]\n\n[1]: x.png", [Drawn(FIRST)], {"x.png": FIRST}),
        ("![](x.png)", [Drawn("", ("x.png",))], {}),
        ("![](http://e.v/x.png) ![](//e.v/x.png) ![](javascript:x)", [Drawn(FIRST)], {}),
        ("`![](x.png)`\n\n```\n![](x.png)\n```", [Drawn(FIRST)], {}),
    ],
)  # fmt: skip
def test_the_figure_that_is_meant(text, drawn, meant):
    stream = MarkdownStream()
    stream.append(text)
    stream.finish()
    assert meant_figures([image.address for image in stream.images], drawn) == meant


def test_an_image_is_its_words_until_its_figure_is_known():
    image = SandboxImage.of("a.png", 'a "b" <c> $')
    assert image == '<span class="qm-lost">a "b" &lt;c&gt; <span>$</span></span>'
    assert image.with_data(FIRST) == (
        f'<img class="qm-img" src="{FIRST}" alt="a &quot;b&quot; &lt;c&gt; $">'
    )


def ended(text, *, data=FIRST):
    """A turn that drew one figure, saved as chart.png, and then said `text`."""
    state, document = ResponseState(), Document(TurnFacts("m", "main", 1))
    url = "http://figures.example/1.png"
    outputs = [{"type": "logs", "logs": f"![fig-001]({url})"}]
    run = {"type": "code_interpreter_call", "id": "c", "code": "plt.savefig('chart.png')"}
    said = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": text}]}
    for place, item in enumerate([{**run, "outputs": outputs}, said]):
        state.apply(ItemDone(parse_item({**item, "status": "completed"}), place), 1.0)
    state.apply(ResponseEnded("completed", {"id": "r", "status": "completed", "output": []}), 2.0)
    patches = [*document.snapshot(), *document.update(state, 2.0)]
    document.figure(url, data, "" if data else "the host is down")
    return document, patches + document.finish(state, 2.0, Outcome())


def elements(patches):
    """The HTML of every element that the patches lead to."""
    return {patch.id: patch.html for patch in patches if isinstance(patch, Add | Replace)}


@pytest.mark.parametrize(
    "text", ["See:\n\n![the *chart*](chart.png)\n\nEnd.", "| a |\n|--|\n| ![](x) |"]
)
def test_all_forms_show_it(text):
    document, patches = ended(text)
    picture = f'<img class="qm-img" src="{FIRST}"'
    forms = bundle(document)
    assert forms["text/html"].split('class="qm-answer"')[1].count(picture) == 1
    for shown in (patches, document.snapshot()):
        prose = [html for id, html in elements(shown).items() if id.startswith("a")]
        assert "".join(prose).count(picture) == 1
    assert "shown after the answer" in forms["text/markdown"].split("</details>")[1]
    assert "](chart.png)" not in forms["text/markdown"]


def test_code_that_shows_the_same_words_stays():
    code = "`![a](chart.png)` and\n\n```\n![a](chart.png)\n```"
    document, _ = ended(f"![a](chart.png)\n\n{code}")
    markdown = bundle(document)["text/markdown"]
    assert code in markdown
    assert markdown.count("![a](chart.png)") == 2


def test_without_the_figure_its_words_stand_there():
    document, _ = ended("![the chart](chart.png)", data="")
    forms = bundle(document)
    assert "<img" not in forms["text/html"]
    assert '<span class="qm-lost">the chart</span>' in forms["text/html"]
    assert "![the chart](chart.png)" in forms["text/markdown"]

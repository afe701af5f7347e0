"""States of an answer, and pages shown once, in six forms: what every one of them must be."""

from importlib.resources import files

import pytest
from answer_pages import FORMS, WIDTHS, show
from answer_states import all_states

pytestmark = pytest.mark.browser

STYLED = [form for form in FORMS if form != "untrusted"]
TURN = ":is(.qm-turn, .qm-page)"

# The lowest contrast of text with what is behind it: the page is painted, colour by colour.
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.fillStyle = "#fff";
    canvas.fillRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colours = [];
    for (let at = element; at; at = at.parentElement) {
      colours.unshift(getComputedStyle(at).backgroundColor);
    }
    return colours;
  };
  const shown = document.querySelector(".qm-turn, .qm-page");
  const texts = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const isUnseen = element.closest("style, .qm-sep, .qm-say, :disabled");
    if (isUnseen || !texts.currentNode.data.trim()) continue;
    const back = behind(element);
    const one = luminance(paint([...back, getComputedStyle(element).color]));
    const two = luminance(paint(back));
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) found.push([ratio.toFixed(2), texts.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
}"""

EMPTY = """() => [...document.querySelector(".qm-turn, .qm-page")
    .querySelectorAll("details, .qm-body, .qm-answer")]
  .filter((panel) => {
    const rest = panel.cloneNode(true);
    rest.querySelectorAll("summary").forEach((summary) => summary.remove());
    return !rest.textContent.trim() && !rest.querySelector("img");
  })
  .map((panel) => panel.outerHTML.slice(0, 120))"""

# Marks of Markdown in the text that the reader sees as prose.
RAW = r"""() => {
  const shown = document.querySelector(".qm-turn, .qm-page").cloneNode(true);
  shown.querySelectorAll("style, pre, code, .qm-math, [dir=ltr]").forEach((each) => each.remove());
  return shown.textContent.match(/\*\*|__|\]\(|```|^#{1,6} |^\|.*\|$|\[[ x]\] /m);
}"""


@pytest.fixture(scope="module")
def states():
    return all_states()


@pytest.fixture
def each(browser, states):
    """each(form): (state, a page that shows it), one after the other."""
    pages = []

    def every(form):
        page = browser.new_page()
        pages.append(page)
        for state in states:
            show(page, state, form)
            yield state, page

    yield every
    for page in pages:
        page.close()


def open_all(page):
    page.evaluate("for (const panel of document.querySelectorAll('details')) panel.open = true")


@pytest.mark.parametrize("form", FORMS)
def test_no_panel_is_empty_and_no_markdown_is_left(each, form):
    for state, page in each(form):
        assert page.evaluate(EMPTY) == [], state.name
        assert page.evaluate(RAW) is None, state.name


@pytest.mark.parametrize("form", ["light", "dark", "saved", "nbconvert"])
def test_the_contrast_is_enough(each, form):
    for state, page in each(form):
        open_all(page)
        assert page.evaluate(CONTRAST) == [], state.name


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_nothing_is_wider_than_a_narrow_column(each, direction):
    for state, page in each("narrow"):
        page.evaluate("(dir) => { document.documentElement.dir = dir; }", direction)
        open_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS["narrow"], state.name
        main = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('main'))"
        assert page.evaluate(main) <= 0, state.name


@pytest.mark.parametrize("form", ["light", "dark", "narrow", "saved", "untrusted"])
def test_axe_finds_nothing_serious(each, form):
    axe = pytest.importorskip("axe_playwright_python")
    script = (files(axe) / "axe.min.js").read_text("utf-8")
    for state, page in each(form):
        open_all(page)
        page.evaluate(script)
        found = page.evaluate("axe.run(':is(.qm-turn, .qm-page)', { resultTypes: ['violations'] })")
        serious = [
            (rule["id"], rule["nodes"][0]["html"][:200])
            for rule in found["violations"]
            if rule["impact"] in ("serious", "critical")
        ]
        assert serious == [], state.name


def test_a_saved_answer_has_no_control_that_needs_a_kernel(each):
    for state, page in each("saved"):
        assert page.locator(f"{TURN} button, {TURN} input").count() == 0, state.name


def test_print_unfolds_everything(each):
    for state, page in each("nbconvert"):
        page.emulate_media(media="print")
        hidden = page.evaluate(
            """() => [...document.querySelector(".qm-turn, .qm-page")
                .querySelectorAll("details > :not(summary)")]
              .filter((part) => part.getBoundingClientRect().height < 8).length"""
        )
        assert hidden == 0, state.name
        page.emulate_media(media="screen")

"""States of an answer, and pages shown once, in six forms: what every one of them must be."""

from importlib.resources import files

import pytest
from answer_pages import FORMS, WIDTHS, show
from answer_states import all_states
from fuzz import IS_HEAVY

pytestmark = pytest.mark.browser

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


WIDER = """() => {
  const main = document.querySelector("main");
  return [document.documentElement.scrollWidth, main.scrollWidth - main.clientWidth];
}"""

FOLDED = """() => [...document.querySelector(".qm-turn, .qm-page")
    .querySelectorAll("details > :not(summary)")]
  .filter((part) => part.getBoundingClientRect().height < 8).length"""

AXE = "axe.run(':is(.qm-turn, .qm-page)', { resultTypes: ['violations'] })"


def open_all(page):
    page.evaluate("for (const panel of document.querySelectorAll('details')) panel.open = true")


def no_panel_is_empty(page):
    return page.evaluate(EMPTY)


def no_markdown_is_left(page):
    return page.evaluate(RAW) or []


def no_control_needs_a_kernel(page):
    return page.locator(f"{TURN} :is(button, input)").all_inner_texts()


def print_unfolds_everything(page):
    page.emulate_media(media="print")
    folded = page.evaluate(FOLDED)
    page.emulate_media(media="screen")
    return [folded] if folded else []


def the_contrast_is_enough(page):
    open_all(page)
    return page.evaluate(CONTRAST)


def nothing_is_wider_than_its_column(page):
    open_all(page)
    found = []
    for direction in ("rtl", "ltr"):
        page.evaluate("(dir) => { document.documentElement.dir = dir; }", direction)
        whole, over = page.evaluate(WIDER)
        found += [(direction, whole, over)] if whole > WIDTHS["narrow"] or over > 0 else []
    return found


def axe_finds_nothing_serious(page):
    axe = pytest.importorskip("axe_playwright_python")
    open_all(page)
    page.evaluate((files(axe) / "axe.min.js").read_text("utf-8"))
    return [
        (rule["id"], rule["nodes"][0]["html"][:200])
        for rule in page.evaluate(AXE)["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


# What each page is looked at for, in this order, and in which forms. What axe finds in the others
# is looked for in `.ci/heavy`: their elements are these, and their contrast is measured.
CHECKS = {
    no_panel_is_empty: FORMS,
    no_markdown_is_left: FORMS,
    no_control_needs_a_kernel: ("saved",),
    print_unfolds_everything: ("nbconvert",),
    the_contrast_is_enough: ("light", "dark", "saved", "nbconvert"),
    nothing_is_wider_than_its_column: ("narrow",),
    axe_finds_nothing_serious: ("light", "untrusted", *(("dark", "narrow", "saved") * IS_HEAVY)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_state_is_what_it_must_be(blank, form):
    found = []
    for state in all_states():
        show(blank, state, form)
        for check, forms in CHECKS.items():
            if form in forms and (faults := check(blank)):
                found.append((state.name, check.__name__, faults))
    assert found == []

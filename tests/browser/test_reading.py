"""What a reader does while an answer is being written stays done; what ends, folds."""

import pytest
from answer_pages import show
from answer_states import LONG_CODE, all_states, many_sources, text

from qwen_magic.document.footer import Footer, Outcome
from qwen_magic.document.html import footer_html
from qwen_magic.frontends.static import bundle
from qwen_magic.protocol.events import TextDelta

pytestmark = pytest.mark.browser

AT_END = "(() => { const e = document.scrollingElement; return e.scrollHeight - e.scrollTop - e.clientHeight < 30; })()"  # noqa: E501


def prose(turns, count, start=1.0):
    """An answer of many paragraphs, one a tenth of a second."""
    added = turns.added("message", "m", 0, content=[])
    words = [
        (start + n / 10, TextDelta("output_text", f"Paragraph {n} of many.\n\n", "m", 0))
        for n in range(count)
    ]
    return [(start, added), *words]


def test_the_page_follows_the_end_only_while_the_reader_is_there(page, give, kernel, turns):
    talk = kernel(prose(turns, 200))
    page.set_viewport_size({"width": 700, "height": 300})
    give(talk.snap())
    give(talk.advance(8.0))
    page.wait_for_function(AT_END)
    page.mouse.move(200, 150)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"!{AT_END}")
    give(talk.advance(9.0))
    top = page.evaluate("scrollY")
    give(talk.advance(14.0))
    assert page.evaluate("scrollY") == top, "the reader reads further up"
    page.evaluate("scrollTo(0, document.scrollingElement.scrollHeight)")
    page.wait_for_timeout(50)
    give(talk.advance())
    page.wait_for_function(AT_END)


def test_a_selection_holds_the_page(page, give, kernel, turns):
    talk = kernel(prose(turns, 100))
    page.set_viewport_size({"width": 700, "height": 300})
    give(talk.snap())
    give(talk.advance(4.0))
    page.wait_for_function(AT_END)
    page.evaluate(
        "document.getSelection().selectAllChildren(view.el.querySelector('.qm-p:last-child'))"
    )
    top = page.evaluate("scrollY")
    give(talk.advance())
    assert page.evaluate("scrollY") == top


def test_a_scroller_around_the_answer_is_followed(page, give, kernel, turns):
    talk = kernel(prose(turns, 60))
    page.evaluate(
        """() => {
          view.el.style = "height: 200px; overflow: auto";
        }"""
    )
    give(talk.snap())
    give(talk.advance())
    left = "view.el.scrollHeight - view.el.scrollTop - view.el.clientHeight"
    page.wait_for_function(f"{left} < 4")
    assert page.evaluate("view.el.scrollTop") > 200
    assert page.evaluate("scrollY") == 0


def test_long_code_folds_when_it_is_complete(page, give, kernel, turns):
    talk = kernel(text(f"{LONG_CODE}\n\nThat is all.\n"))
    give(talk.snap())
    give(talk.advance(1.1))
    assert page.locator(".qm-more").count() == 0
    give(talk.advance())
    give(talk.finish(Outcome()))
    page.evaluate("model.set('done', true)")
    page.wait_for_selector(".qm-more")
    assert page.inner_text(".qm-more > summary") == "22 more lines"
    live = page.evaluate(
        "[...view.el.querySelectorAll('.qm-code pre')].map((pre) => pre.outerHTML)"
    )
    page.evaluate("(h) => { window.saved = document.createElement('div'); saved.innerHTML = h; }",
                  bundle(talk.document)["text/html"])  # fmt: skip
    assert page.evaluate("[...saved.querySelectorAll('pre')].map((pre) => pre.outerHTML)") == live
    code = page.evaluate(
        "[...saved.querySelectorAll('pre')].map((pre) => pre.textContent).join('')"
    )
    assert code == LONG_CODE.removeprefix("```python\n").removesuffix("```")


def test_a_copy_of_folded_code_is_whole(page, give, kernel):
    page.evaluate(
        """() => Object.defineProperty(navigator, "clipboard", { value:
             { writeText: async (text) => { window.copied = text; } } })"""
    )
    talk = kernel(text(f"{LONG_CODE}\n\nThat is all.\n"))
    give(talk.snap())
    give(talk.advance())
    page.wait_for_selector(".qm-more")
    page.click(".qm-copy")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("copied").count("\n") == 62


def test_code_wraps_at_a_press(page, give, kernel, turns):
    page.set_viewport_size({"width": 320, "height": 700})
    talk = kernel()
    give(talk.snap())
    give(talk.advance())
    wide = "(e => e.scrollWidth > e.clientWidth)(view.el.querySelector('.qm-answer .qm-pre'))"
    assert page.evaluate(wide)
    page.focus(".qm-answer .qm-wrap")
    page.keyboard.press("Enter")
    assert not page.evaluate(wide)
    assert page.get_attribute(".qm-answer .qm-wrap", "aria-pressed") == "true"


def test_many_steps_join_in_their_order(page, give, kernel):
    talk = kernel(many_sources())
    page.evaluate("window.lines = []; 0")
    give(talk.snap())
    for second in range(1, 40):
        give(talk.advance(float(second)))
        page.evaluate("lines.push(view.el.querySelectorAll('.qm-steps > .qm-step').length)")
    assert max(page.evaluate("lines")) <= 10, "eight, one that runs, one that has just ended"
    give(talk.finish(Outcome()))
    assert (
        page.inner_text(".qm-steps > .qm-step > summary .qm-verb")
        == "6\u00a0searches, 93\u00a0sources"
    )
    order = page.evaluate(
        "[...view.el.querySelectorAll('.qm-step .qm-step .qm-verb')].map((e) => e.textContent)"
    )
    assert [verb.split("\u00a0")[0] for verb in order] == ["Thought for 3", "Searched the web"] * 6


def test_patches_and_a_snapshot_lead_to_the_same_joined_steps(page, give, kernel):
    for until in (20.0, 30.0, 36.0, 60.0):
        talk = kernel(many_sources())
        page.evaluate("view.close(); document.body.replaceChildren();"
                      "window.model = newModel(); window.view = newView(model); 0")  # fmt: skip
        give(talk.snap())
        give(talk.advance(until))
        page.evaluate("window.other = newModel(); window.late = newView(other); 0")
        give(talk.snap(), "other")
        html = "%s.el.querySelector('.qm-main').innerHTML"
        assert page.evaluate(html % "view") == page.evaluate(html % "late")


def test_a_step_that_is_being_read_stays_in_sight_when_it_joins(page, give, kernel):
    talk = kernel(many_sources())
    give(talk.snap())
    give(talk.advance(18.0))
    page.click("text=Searched the web >> nth=0")
    assert page.evaluate("document.activeElement.textContent").startswith("Searched the web")
    give(talk.advance(30.0))
    assert page.locator(".qm-step .qm-step").count() > 0, "it joined"
    assert page.evaluate("document.activeElement.textContent").startswith("Searched the web")
    assert page.evaluate("document.activeElement.checkVisibility()")
    assert page.locator("text=Query").first.is_visible()


def test_keyboard_alone_reaches_every_control(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    give(talk.advance(21.12))
    controls = page.evaluate(
        """() => [...view.el.querySelectorAll("summary, button, a, [tabindex]")]
             .filter((e) => e.checkVisibility({ contentVisibilityAuto: true }) &&
                            !e.closest("details:not([open]) > :not(summary)")).length"""
    )
    reached = set()
    for _ in range(controls + 5):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => {
                  window.known ??= [];
                  const e = document.activeElement;
                  if (!known.includes(e)) known.push(e);
                  return view.el.contains(e) ? known.indexOf(e) : -1;
                }"""
            )
        )
    assert len(reached - {-1}) == controls
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")
    page.focus(".qm-stop")
    page.keyboard.press("Enter")
    assert page.evaluate("model.sent.at(-1).op") == "stop"


@pytest.fixture(scope="module")
def table():
    return next(state for state in all_states() if state.name == "long-table")


@pytest.mark.parametrize("form", ["narrow", "saved"])
def test_a_long_table_scrolls_in_itself_and_keeps_its_head(blank, table, form):
    page = blank
    show(page, table, form)
    top = "(e) => e.getBoundingClientRect().top"
    head, box = page.locator(".qm-table th").first, page.locator(".qm-scroll")
    fade = "e => getComputedStyle(e, '::after').opacity"
    before = head.evaluate(top)
    assert box.evaluate(fade) == "1", "it goes on below"
    box.evaluate("e => { e.scrollTop = 400; }")
    assert abs(head.evaluate(top) - before) < 2
    box.evaluate("e => { e.scrollTop = e.scrollHeight; }")
    page.wait_for_function(f"({fade})(document.querySelector('.qm-scroll')) === '0'")


@pytest.mark.parametrize(("head", "seen"), [("| | |", False), ("| of | |", True)])
def test_a_head_without_words_takes_no_room(page, give, kernel, turns, head, seen):
    talk = kernel(text(f"{head}\n|---|---|\n| mean | 3 |\n"))
    give(talk.snap())
    give(talk.advance())
    assert page.locator(".qm-table :is(th, td)", has_text="mean").is_visible()
    assert page.locator("thead").is_visible() is seen


def test_a_long_fact_of_the_footer_is_whole_in_a_narrow_page(page, give, kernel):
    talk = kernel(text("Hello."))
    page.set_viewport_size({"width": 300, "height": 700})
    give(talk.snap())
    give(talk.advance())
    give(talk.finish(Outcome()))
    words = "planets: 9 rows, 11 columns; schema sent, 1,775 bytes, about 770 tokens"
    foot = page.locator(".qm-foot")
    foot.evaluate("(e, html) => { e.outerHTML = html; }", footer_html(Footer((), (), "", (words,))))
    assert foot.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert foot.inner_text() == words


def test_ten_answers_at_once_are_all_whole(page, give, kernel, turns):
    """Ten views, each with its own stream: what each shows is what a late view would show."""
    page.evaluate(
        """() => {
          document.body.replaceChildren();
          window.models = [...Array(10)].map(newModel);
          window.views = models.map(newView);
        }"""
    )
    talks = [kernel(turns.research_events()) for _ in range(10)]
    for number, talk in enumerate(talks):
        give(talk.snap(), f"models[{number}]")
    for second in (10.0, 16.0, 20.0, 30.0):
        for number, talk in enumerate(talks):
            give(talk.advance(second), f"models[{number}]")
    pages = page.evaluate("views.map((view) => view.el.querySelector('.qm-main').innerHTML)")
    assert len(set(pages)) == 1
    assert "5,489,271.0" in pages[0]
    assert page.evaluate("models.every((model) => model.sent.length === 1)")


def test_a_save_keeps_what_is_out_of_sight(page, give, kernel):
    page.evaluate(
        """() => {
          view.close();
          document.body.innerHTML = "<div style='height: 5000px'></div>";
          window.cell = newNotebook(model, [
            { output_type: "display_data", metadata: {}, data: viewOf("m1") },
          ]);
          window.view = newView(model);
        }"""
    )
    talk = kernel()
    give(talk.snap())
    give(talk.advance(21.0))
    page.wait_for_function("'text/html' in cell.toJSON().outputs[0].data")
    (saved,) = page.evaluate("cell.toJSON().outputs")
    assert "Searched the web" in saved["data"]["text/plain"]
    assert "Searched the web" in saved["data"]["text/html"]

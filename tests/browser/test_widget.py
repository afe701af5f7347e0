"""widget.js in a real browser, on a model that only records."""

import pytest

from qwen_magic.document.footer import Outcome
from qwen_magic.frontends.static import bundle
from qwen_magic.frontends.widget import _CODE, _LOADER, _SHEET
from qwen_magic.protocol.events import TextDelta

pytestmark = pytest.mark.browser

WIDGET_VIEW = ["application/vnd.jupyter.widget-view+json"]
MAIN = "view.el.querySelector('.qm-main').innerHTML"


def sent(page):
    return page.evaluate("model.sent.map((message) => message.op)")


def shown(page, view="view"):
    return page.evaluate(MAIN.replace("view", view))


def fresh(page, give, kernel):
    """What a view shows that begins now."""
    page.evaluate("window.other = newModel(); window.late = newView(other); 0")
    give(kernel.snap(), "other")
    html = shown(page, "late")
    page.evaluate("late.close(); late.el.remove(); 0")
    return html


def test_a_new_view_says_hello_once(page):
    assert sent(page) == ["hello"]


@pytest.mark.parametrize("second", [0.5, 7.0, 16.0, 19.0, 21.0, 30.0])
def test_patches_and_a_snapshot_lead_to_the_same(page, give, kernel, second):
    talk = kernel()
    give(talk.snap())
    give(talk.advance(second))
    assert shown(page) == fresh(page, give, talk)
    assert sent(page) == ["hello"]


@pytest.mark.parametrize("is_known", [False, True])
def test_a_kernel_of_unknown_status_is_known_by_its_beats(page, give, kernel, is_known):
    page.clock.install()
    page.evaluate(
        """(is_known) => {
          view.close();
          view.el.remove();
          const context = is_known ? { sessionContext: {} } : {};
          model.values.layout = { widget_manager: { context } };
          window.view = newView(model);
        }""",
        is_known,
    )
    give(kernel().snap())
    times = page.locator(".qm-run .qm-clock")

    def counted():
        minutes, _, seconds = times.inner_text().rpartition(" min ")
        return 60 * int(minutes or 0) + int(seconds.removesuffix(" s"))

    # The time that the test itself takes is counted too.
    for least in (28, 53):
        page.clock.run_for(25_000)
        assert counted() >= least, "a model may be silent"
        give({"op": "beat"})
    page.clock.run_for(31_000)
    assert ("has ended" in times.inner_text()) == (not is_known)
    give({"op": "beat"})
    page.clock.run_for(1_000)
    assert counted() >= 85


def test_a_missed_batch_is_asked_for_and_healed(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    messages = talk.advance(16.0)
    give([*messages[:3], *messages[4:]])
    assert sent(page) == ["hello", "hello"], "one question, however much comes after the gap"
    before = shown(page)
    give(talk.snap())
    assert shown(page) != before
    assert shown(page) == fresh(page, give, talk)
    give(talk.advance())
    assert shown(page) == fresh(page, give, talk)


def test_one_message_brings_what_is_new_of_many_answers(page, give, kernel):
    talk = kernel()
    page.evaluate(
        """() => {
          widget.initialize({ model });
          window.second = newModel();
          second.values.mid = "m2";
          window.beside = newView(second);
        }"""
    )
    give(talk.snap())
    give(talk.snap(), "second")
    batches = talk.advance(16.0)
    give({"op": "many", "batches": {"m1": batches, "m2": batches, "m3": batches}})
    assert shown(page) == shown(page, "beside") == fresh(page, give, talk)


def test_a_batch_that_did_not_come_is_seen_by_the_beat(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    give({"op": "beat", "seq": talk.seq})
    assert sent(page) == ["hello"]
    give({"op": "beat", "seq": talk.seq + 1})
    assert page.evaluate("model.sent.at(-1)") == {"op": "hello", "value": "missed"}


def test_what_shows_answers_is_asked_for_once_a_page(page):
    """By a widget whose kernel ends before it replies, then by another; one is closed meanwhile."""
    page.clock.install()
    page.evaluate(
        """async (source) => {
          const blob = new Blob([source], { type: "text/javascript" });
          const loader = (await import(URL.createObjectURL(blob))).default;
          window.made = [1, 2, 3].map((number) => {
            const model = newModel();
            model.values.mid = `l${number}`;
            const el = document.createElement("div");
            document.body.append(el);
            loader.initialize({ model });
            return { model, el, close: loader.render({ model, el }) };
          });
          made[2].close();
        }""",
        _LOADER,
    )
    asked = "made.flatMap(({ model }) => model.sent.map(({ op }) => op))"
    assert page.evaluate(asked) == ["code"]
    page.clock.run_for(400)
    # Another asks soon, however long the first is not answered; each more seldom.
    first, *others = page.evaluate("made.map(({ model }) => model.sent.length)")
    assert first == 1
    assert 1 in others
    page.evaluate(
        "([esm, css]) => made[1].model.receive({ op: 'code', esm, css })", [_CODE, _SHEET]
    )
    page.clock.run_for(100)
    page.wait_for_function("made[1].el.firstChild && made[0].el.firstChild")
    assert page.evaluate("made.map(({ el }) => el.childElementCount)") == [1, 1, 0]
    assert page.evaluate(asked).count("hello") == 2
    assert page.locator("style[id^=qwenMagic]").count() == 1


def test_a_patch_without_a_place_is_healed(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    lost = {
        "seq": 1,
        "p": [["replace", "none", "<p></p>"]],
    }
    give(lost)
    assert sent(page) == ["hello", "hello"]
    talk.advance(16.0)
    give(talk.snap())
    assert shown(page) == fresh(page, give, talk)


def test_healing_keeps_what_the_reader_opened(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    give(talk.advance(18.5))
    page.click("text=Searched the web")
    missed = talk.advance(21.0)
    give(missed[1:])
    give(talk.snap())
    assert page.evaluate("document.querySelectorAll('details')[1].open")
    assert page.evaluate("document.activeElement.textContent").startswith("Searched the web")


def test_a_long_answer_leaves_the_reader_alone(page, give, kernel, turns):
    """2,000 deltas: selection, an open panel, focus and scroll position stay."""
    words = [f"word{number} " if number % 40 else "\n\nNew paragraph " for number in range(2000)]
    events = [event for event in turns.research_events() if event[0] < 20.9]
    more = [
        (21.0 + n / 100, TextDelta("output_text", text, "m1", 4)) for n, text in enumerate(words)
    ]
    talk = kernel([*events, *more])
    page.set_viewport_size({"width": 900, "height": 200})
    give(talk.snap())
    give(talk.advance(22.0))
    page.click("text=Searched the web")
    page.evaluate(
        """() => {
          const line = view.el.querySelector(".qm-answer > p").firstChild;
          document.getSelection().setBaseAndExtent(line, 2, line, 30);
          scrollTo(0, 40);
        }"""
    )
    chosen = page.evaluate("document.getSelection().toString()")
    give(talk.advance())
    give(talk.finish(Outcome()))
    assert page.evaluate("document.querySelectorAll('.qm-answer > p').length") == 50
    assert len(chosen) == 28
    assert page.evaluate("document.getSelection().toString()") == chosen
    assert page.evaluate("document.querySelectorAll('details')[1].open")
    assert page.evaluate("document.activeElement.textContent").startswith("Searched the web")
    assert page.evaluate("scrollY") == 40
    assert sent(page) == ["hello"]


def test_a_tail_is_replaced_and_what_is_settled_stays(page, give):
    def extend(seq, html, tail):
        return {"seq": seq, "p": [["extend", "b", 1, html, tail]]}

    add = ["add", "b", "turn", "<ul><li>a</li></ul>"]
    clock = {"seconds": 0, "running": True, "stoppable": True}
    give({"op": "snap", "seq": 0, "p": [add], "state": clock})
    give(extend(1, "", "<b>pro</b>visional"))
    page.evaluate("window.item = view.el.querySelector('li').firstChild; 0")
    give(extend(2, "", "prov"))
    assert shown(page) == "<ul><li>aprov</li></ul>"
    give({"seq": 3, "p": [["grow", "b", "isi"], ["grow", "b", "on<b>al</b>"]]})
    assert shown(page) == "<ul><li>aprovision<b>al</b></li></ul>"
    give([extend(4, " <i>settled</i>", " next"), extend(5, " more", "")])
    assert shown(page) == "<ul><li>a <i>settled</i> more</li></ul>"
    assert page.evaluate("item.isConnected")


def test_stop_is_sent_once(page, give, kernel):
    give(kernel().snap())
    page.click("text=Stop")
    assert page.inner_text(".qm-stop") == "Stopping…"
    page.click(".qm-stop", force=True)
    page.evaluate("view.el.querySelector('.qm-stop').click()")
    assert sent(page) == ["hello", "stop"]


def test_no_stop_where_it_would_not_be_heard(page, give, kernel):
    give(kernel().snap(stoppable=False))
    assert not page.is_visible(".qm-stop")
    assert page.is_visible(".qm-clock")


def test_the_clock_goes_on_from_the_turns_beginning(page, give, kernel):
    give(kernel().snap(seconds=71.5))
    assert page.inner_text(".qm-clock") == "1 min 11 s"
    page.wait_for_function("view.el.querySelector('.qm-clock').textContent === '1 min 12 s'")


def test_two_views_of_one_model(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    give(talk.advance(16.0))
    page.evaluate(
        "window.panel = view.el.querySelector('details'); window.second = newView(model); 0"
    )
    assert sent(page) == ["hello", "hello"]
    give(talk.snap())
    give(talk.advance(21.0))
    assert shown(page) == shown(page, "second")
    assert page.evaluate("panel.isConnected"), "the first view was not rebuilt"


def test_a_closed_view_is_silent(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    page.evaluate("view.close()")
    before = shown(page)
    give(talk.advance())
    assert shown(page) == before


def test_thinking_folds_itself_unless_the_reader_has_a_hand_in_it(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    give(talk.advance(14.0))
    assert page.evaluate("document.querySelector('details').open")
    page.evaluate("window.second = newView(model); 0")
    give(talk.snap())
    page.evaluate(
        """() => {
          const head = second.el.querySelector("summary");
          head.click();
          head.click();
        }"""
    )
    give(talk.advance(15.0))
    assert not page.evaluate("view.el.querySelector('details').open")
    assert page.evaluate("second.el.querySelector('details').open")


def test_thinking_is_followed_only_from_its_end(page, give, kernel, turns):
    long = [f"A thought that takes a line or two, number {number}.\n\n" for number in range(60)]
    added = turns.added("reasoning", "r", 0, summary=[])
    talk = kernel([(0.0, added), *turns.deltas("reasoning_text", "r", 0, long, 1.0, 1.0)])
    left = (
        "(e => e.scrollHeight - e.scrollTop - e.clientHeight)(view.el.querySelector('.qm-think'))"
    )
    give(talk.snap())
    give(talk.advance(30.0))
    assert page.evaluate(left) < 2
    page.hover(".qm-think")
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"{left} > 100")
    top = page.evaluate("view.el.querySelector('.qm-think').scrollTop")
    give(talk.advance())
    assert page.evaluate("view.el.querySelector('.qm-think').scrollTop") == top


def test_a_screen_reader_is_told_states_only(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    page.evaluate(
        """() => {
          window.said = [];
          const line = view.el.querySelector("[role=status]");
          new MutationObserver(() => said.push(line.textContent))
            .observe(line, { childList: true, subtree: true, characterData: true });
        }"""
    )
    give(talk.advance())
    give(talk.finish(Outcome()))
    words = page.evaluate("said")
    assert words[-1] == "Answered"
    assert len(words) <= 6


def test_no_picture_is_loaded_from_elsewhere(page, give):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    html = "<p><img src='http://127.0.0.1:9/a.png' srcset='http://127.0.0.1:9/b.png 2x'></p>"
    add = ["add", "b", "turn", html]
    clock = {"seconds": 0, "running": True, "stoppable": True}
    give({"op": "snap", "seq": 0, "p": [add], "state": clock})
    page.wait_for_timeout(100)
    assert [url for url in asked if not url.startswith("blob:")] == []


TYPESETTER = """() => {
  window.typeset = [];
  const note = (node) => typeset.push(node.textContent.trim().slice(0, 8));
  const manager = { rendermime: { latexTypesetter: { typeset: note } } };
  model.values.layout = { widget_manager: manager };
}"""


def test_maths_is_typeset_when_its_block_is_complete(page, give, kernel):
    page.evaluate(TYPESETTER)
    talk = kernel()
    give(talk.snap())
    give(talk.advance(21.12))
    assert page.evaluate("typeset") == [], "another line may still come"
    give(talk.advance(21.17))
    page.wait_for_function("typeset.length > 0")
    give(talk.advance())
    give(talk.finish(Outcome()))
    page.evaluate("model.set('done', true)")
    assert page.evaluate("typeset") == ["$$\n\\sigm"]


def test_maths_out_of_sight_waits(page, give, kernel):
    """To measure a formula, the typesetter lets the whole page be laid out: for each of hundreds
    that rush by, it would do nothing else."""
    page.evaluate(TYPESETTER)
    page.evaluate("document.querySelector('.qm-turn').style.marginTop = '5000px'")
    talk = kernel()
    give(talk.snap())
    give(talk.advance())
    give(talk.finish(Outcome()))
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("typeset") == []
    page.evaluate("document.querySelector('.qm-math').scrollIntoView()")
    page.wait_for_function("typeset.length > 0")
    assert page.evaluate("typeset") == ["$$\n\\sigm"]


def finished(talk):
    talk.advance()
    talk.finish(Outcome())
    return bundle(talk.document)


ASKED = """{ key: "e1", text: "rows(…) waits in cell [7]", html:
  `<div class="qm-note qm-ask"><div class="qm-choices">
   <button class="qm-choice" value="e1:once">Allow once</button></div></div>` }"""


def test_what_is_out_of_sight_stays_in_reach(page, give, kernel):
    talk = kernel()
    page.evaluate(
        """() => {
          document.body.prepend(Object.assign(document.createElement("div"), { id: "above" }));
          above.style.height = "3000px";
          document.title = "Sales";
          window.heard = [];
          for (const name of ["question", "answered"])
            document.addEventListener(`qwen-magic:${name}`, (event) => {
              heard.push([name, event.detail.id, event.detail.text]);
              if (window.takes) event.preventDefault();
            });
          widget.initialize({ model });
        }"""
    )
    give(talk.snap())
    line = page.locator(".qm-line")
    line.locator(".qm-stop").wait_for()
    assert line.locator(".qm-clock").inner_text().endswith(" s")
    assert not line.locator(".qm-tell").is_visible()
    add = ["add", "q1", "turn", '<div class="qm-ask">?</div>']
    give({"seq": 1, "p": [add]})
    page.evaluate(f"model.set('question', {ASKED})")
    line.get_by_text("rows(…) waits in cell [7]").wait_for()
    assert page.title() == "(?) Sales"
    line.locator(".qm-show").click()
    line.wait_for(state="detached")
    page.evaluate("model.set('question', {})")
    assert page.title() == "Sales"
    (asked, id, text), answered = page.evaluate("heard")
    assert (asked, text, answered[:2]) == (
        "question",
        "rows(…) waits in cell [7]",
        ["answered", id],
    )

    again = ASKED.replace("e1", "e2")
    page.evaluate(f"scrollTo(0, 0); window.takes = true; model.set('question', {again})")
    line.wait_for()
    assert not line.locator(".qm-tell").is_visible(), "somebody else announces it"
    line.locator(".qm-stop").click()
    assert page.locator(".qm-run .qm-stop").text_content() == "Stopping…"
    assert sent(page) == ["hello", "here", "stop"]
    page.evaluate("model.set('done', true)")
    assert line.count() == 0


def test_a_question_that_has_no_view_is_asked_over_the_page(page):
    page.evaluate("view.close(); widget.initialize({ model }); 0")
    page.evaluate(f"model.set('question', {ASKED})")
    strip = page.locator(".qm-strip")
    strip.get_by_text("rows(…) waits in cell [7]").wait_for()
    page.evaluate("document.title = 'Set by the page'")
    page.wait_for_function("document.title.startsWith('(?) Set')")
    strip.get_by_role("button", name="Allow once").click()
    assert page.evaluate("model.sent.at(-1)") == {"op": "choose", "value": "e1:once"}
    page.evaluate("model.set('question', {})")
    assert strip.count() == 0


def test_the_end_hides_clock_and_stop(page, give, kernel):
    give(kernel().snap())
    page.evaluate("model.set('done', true)")
    assert not page.is_visible(".qm-run")


def test_an_answer_whose_display_was_lost_replaces_its_output(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    made = finished(talk)
    page.evaluate(
        """(made) => {
          window.cell = newNotebook(model, [
            { output_type: "stream", name: "stdout", text: "kept" },
            { output_type: "display_data", metadata: {}, data: viewOf("m1") },
            { output_type: "display_data", metadata: {}, data: viewOf("m2") },
          ]);
          widget.initialize({ model });
          model.values.bundle = made;
          model.values.metadata = { qwen_magic: { chat: "main" } };
          model.values.figures = [{ "image/png": "AAAA", "text/html": "<!-- -->" }];
          model.set("done", true);
        }""",
        made,
    )
    page.wait_for_function("cell.outputs[1].data['text/html']")
    outputs = page.evaluate("cell.outputs")
    assert outputs[0]["text"] == "kept"
    assert outputs[1]["data"] == made
    assert outputs[1]["metadata"] == {"qwen_magic": {"chat": "main"}}
    assert outputs[2]["data"] == {"image/png": "AAAA", "text/html": "<!-- -->"}
    assert "application/vnd.jupyter.widget-view+json" in outputs[3]["data"]


def test_a_save_in_mid_stream_keeps_what_came(page, give, kernel):
    talk = kernel()
    page.evaluate(
        """() => {
          window.cell = newNotebook(model, [
            { output_type: "stream", name: "stdout", text: "kept" },
            { output_type: "display_data", metadata: {}, data: viewOf("m1") },
          ]);
          view.close();
          document.body.replaceChildren();
          window.view = newView(model);
        }"""
    )
    give(talk.snap())
    for message in talk.advance(until=20.0):
        give(message)
    page.wait_for_function("'text/html' in cell.toJSON().outputs[1].data")
    kept, saved = page.evaluate("cell.toJSON().outputs")
    assert kept["text"] == "kept"
    assert set(saved["data"]) == {"text/html", "text/plain"}
    assert "Searched the web" in saved["data"]["text/plain"]
    assert "<details" in saved["data"]["text/html"]
    assert "<button" not in saved["data"]["text/html"]
    assert "Saved while it was written" in saved["data"]["text/html"]
    assert "qwen-a1" in saved["data"]["text/html"], "by which a reloaded page knows it"
    in_the_notebook = page.evaluate("cell.outputs[1].data")
    assert "application/vnd.jupyter.widget-view+json" in in_the_notebook, "on the page it lives on"


def test_a_reloaded_page_shows_the_live_view_again(page):
    page.evaluate(
        """() => {
          const part = '<div class="qm-turn qm-saved qwen-a1">so far</div>';
          window.cell = newNotebook(model, [
            { output_type: "display_data", metadata: {}, data: { "text/html": part } },
            { output_type: "display_data", metadata: {}, data: { "text/html": "<p>other</p>" } },
          ]);
          widget.initialize({ model });
        }"""
    )
    page.wait_for_function("'application/vnd.jupyter.widget-view+json' in cell.outputs[0].data")
    assert page.evaluate("cell.outputs[1].data") == {"text/html": "<p>other</p>"}


@pytest.mark.parametrize(("state", "question", "lost"), [
    ("running", "{}", False),  # its output is on its way
    ("idle", "{}", True),
    ("running", ASKED, True),
    (None, "{}", False),
])  # fmt: skip
def test_a_page_that_was_never_told_of_an_output_shows_it(page, state, question, lost):
    page.evaluate(
        f"""(state) => {{
          window.cell = newNotebook(model, []);
          cell.executionState = state;
          model.set("question", {question});
          view.close();
          widget.initialize({{ model }});
        }}""",
        state,
    )
    if lost:
        page.wait_for_function("cell.outputs.length")
    page.wait_for_timeout(200)
    shown = page.evaluate("cell.outputs")
    assert [list(output["data"]) for output in shown] == [WIDGET_VIEW] * lost


@pytest.mark.parametrize(("state", "count"), [("running", 0), ("idle", 1)])
def test_a_cell_that_was_run_again_shows_its_newest_answer_alone(page, state, count):
    """Its output went when it was run again, and the question that was open got one of its own."""
    page.evaluate(
        f"""() => {{
          window.cell = newNotebook(model, []);
          cell.executionState = "running";
          model.set("question", {ASKED});
          view.close();
          widget.initialize({{ model }});
        }}"""
    )
    page.wait_for_function("cell.outputs.length")
    page.evaluate(
        """(state) => {
          cell.executionState = state;
          model.values.bundle = { "text/html": "<p>saved</p>" };
          model.set("done", true);
        }""",
        state,
    )
    page.wait_for_function("!cell.outputs.some((output) => 'isAgain' in output.metadata)")
    assert page.evaluate("cell.outputs.length") == count


def test_without_a_notebook_it_shows_the_saved_form_itself(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    made = finished(talk)
    page.evaluate("(made) => { model.values.bundle = made; model.set('done', true); }", made)
    page.wait_for_selector(".qm-saved")
    assert "5,489,271.0" in page.inner_text(".qm-answer")


def test_a_view_that_begins_after_the_end(page, kernel):
    made = finished(kernel())
    page.evaluate(
        """(made) => {
          window.other = newModel();
          other.values.bundle = made;
          other.values.done = true;
          window.late = newView(other);
        }""",
        made,
    )
    page.wait_for_function("late.el.querySelector('.qm-saved')")
    assert page.evaluate("other.sent") == []


def test_a_view_that_was_replaced_does_nothing(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    made = finished(talk)
    page.evaluate(
        "(made) => { model.values.bundle = made; model.set('done', true); view.el.remove(); }", made
    )
    page.wait_for_timeout(1000)
    assert page.evaluate("view.el.querySelector('.qm-saved')") is None


def test_code_can_be_copied(page, give, kernel):
    page.evaluate(
        """() => Object.defineProperty(navigator, "clipboard", { value:
             { writeText: async (text) => { window.copied = text; } } })"""
    )
    talk = kernel()
    give(talk.snap())
    give(talk.advance())
    page.click(".qm-answer .qm-copy")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("copied").startswith("from sympy import prime\n")


@pytest.mark.parametrize("width", [320, 700, 1200])
def test_nothing_is_wider_than_its_column(page, give, kernel, turns, width):
    page.set_viewport_size({"width": width, "height": 700})
    talk = kernel()
    give(talk.snap())
    give(talk.advance())
    talk.document.figure(turns.FIGURE_URL, turns.png())
    give(talk.finish(Outcome()))
    page.evaluate("for (const panel of document.querySelectorAll('details')) panel.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_motion_can_be_switched_off(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    give(talk.advance(4.0))
    moving = "document.getAnimations().length"
    assert page.evaluate(moving) > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0


def test_print_shows_what_is_folded(page, give, kernel):
    talk = kernel()
    give(talk.snap())
    give(talk.advance())
    thought = "a sieve up to 7919 is enough"
    hidden = f"!document.body.innerText.includes('{thought}')"
    assert page.evaluate(hidden)
    page.emulate_media(media="print")
    height = "document.querySelector('.qm-think').getBoundingClientRect().height"
    assert page.evaluate(height) > 40
    assert not page.is_visible(".qm-run")

"""Words of strangers in every field that can hold them, in every form that shows them.

The words are data (`hostile_texts`), the judge is a parser of HTML5 with the closed list of what
may be there (`html_judge`). `tests/notebook/test_nothing_runs.py` has the same in a real page.
"""

import io
import re

import pytest
from answer_pages import sanitized
from hostile_markup import SHEETS, marked_up, turn_of
from hostile_server import events_of, item
from hostile_texts import CLASSES, EVERY, LIES, PLAIN_WRITING, some
from html_judge import html_faults, markdown_faults, text_faults
from terminal_window import Window

from qwen_magic.answer import Answer
from qwen_magic.batch.rows import MapResult, Row
from qwen_magic.conversation.archive.markdown_form import export_markdown
from qwen_magic.conversation.archive.notebook import turn_metadata
from qwen_magic.conversation.chain import CellKey, Chain, Turn
from qwen_magic.conversation.outline import outline_of
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.html import markup
from qwen_magic.document.markdown import render_markdown
from qwen_magic.document.markdown.written import safe_markdown
from qwen_magic.document.question import Asked, Question, StartQuestion
from qwen_magic.errors import APIError, QwenError
from qwen_magic.frontends.display import edit_html, listed, listing_html
from qwen_magic.frontends.dry_run import DryRun, dry_run_html, dry_run_text
from qwen_magic.frontends.history import history_html, history_text
from qwen_magic.frontends.live_terminal import LiveTerminalView
from qwen_magic.frontends.plain import differences_html
from qwen_magic.frontends.static import bundle
from qwen_magic.frontends.terminal import TerminalView
from qwen_magic.frontends.trace import TracePage, trace_html, trace_text
from qwen_magic.protocol.decode import decode_event
from qwen_magic.protocol.request import RequestPart
from qwen_magic.protocol.state import ResponseState
from qwen_magic.recording.trace import Moment, Span, Trace
from qwen_magic.session.telemetry import log_end

AT_ONCE = 24  # texts in one answer


def portions(texts):
    if EVERY:
        return [(text,) for text in texts]
    return [texts[at : at + AT_ONCE] for at in range(0, len(texts), AT_ONCE)] + [texts[:1]]


def faults_of(document, patches):
    """What is wrong with any form of an answer, with the form's name."""
    forms = bundle(document)
    pieces = dict.fromkeys(
        f"{getattr(each, 'html', '')}{getattr(each, 'tail', '')}" for each in patches
    )
    found = [f"live: {fault}" for piece in pieces for fault in html_faults(piece, maths=None)]
    found += [f"saved: {fault}" for fault in html_faults(forms["text/html"], sheets=SHEETS)]
    found += [
        f"untrusted: {fault}"
        for fault in html_faults(sanitized(forms["text/html"]))
        if "<a> without" not in fault
    ]
    found += [f"Markdown: {fault}" for fault in markdown_faults(forms["text/markdown"])]
    found += [f"Markdown: {fault}" for fault in text_faults(forms["text/markdown"], "\n\t\r\0")]
    return found + [f"plain: {fault}" for fault in text_faults(forms["text/plain"])]


@pytest.mark.parametrize("name", CLASSES)
def test_an_answer_shows_them_and_no_more(name):
    for number, texts in enumerate(portions(CLASSES[name])):
        found = faults_of(*turn_of(*texts, fails=number % 2 == 1))
        assert not found, (found[:5], texts if len(texts) == 1 else number)


@pytest.mark.parametrize("name", CLASSES)
def test_an_answers_text_is_safe_in_each_form(name):
    for text in CLASSES[name]:
        html, markdown = render_markdown(text), safe_markdown(text)
        assert not html_faults(html), (html_faults(html), text)
        assert not markdown_faults(markdown), (markdown_faults(markdown), text)


@pytest.mark.parametrize("name", CLASSES)
def test_a_terminal_gets_text(name):
    """Also where it is drawn: the window refuses every sequence that is not one of ours."""
    for texts in portions(CLASSES[name]):
        window, out = Window(), io.StringIO()
        facts = TurnFacts(*texts[:1])
        run(LiveTerminalView(facts, window, size=window.size, clock=lambda: 0.0), texts)
        run(TerminalView(facts, out), texts)
        assert not text_faults(window.text), texts
        assert not text_faults(out.getvalue()), texts


def run(view, texts):
    """A turn of these texts."""
    view.begin(lambda: None)
    state = ResponseState()
    for now, event in enumerate(events_of(marked_up(*texts), *texts[:1], piece=3)):
        state.apply(decode_event(event, event["type"]))
        view.update(state, now / 100)
    view.finish(state, 1.0, Outcome("failed", *texts[:4]), {})


@pytest.mark.parametrize("name", CLASSES)
def test_pages_that_are_shown_once(name):
    """Prompts come out of imported files, names out of `mcp.json` and other people's modules."""
    for number, text in enumerate(some(CLASSES[name])):
        items = tuple(marked_up(text)) if EVERY or number < 2 else ()
        turn = Turn(key="k", chat=text, status="failed", response_id=text, cell=CellKey(text, 1),
                    prompt=text, text=text, model=text, items=items)  # fmt: skip
        chain = Chain(text, [turn])
        outline = outline_of(chain)
        part = RequestPart(kind="prompt", name=text, text=text, about=text)
        dry = DryRun(
            text, text, text, {"input": text, "x": text}, (part,), {text: text}, "KEY", (text,)
        )
        rows = MapResult([Row(text, {}, 0)] * 2)
        rows.set_answer(0, Answer(text))
        rows.set_error(1, QwenError(text))
        asked = Question(text, text, text, text, True, text)
        start = StartQuestion(text, text, text, text, target=text, passed=(text,))
        trace = Trace((Span("tool", text, 0.0, 1.0),), (Moment(1.0, text, text),), 1.0, 1)
        traced = TracePage(text, (text,), trace, (text,), (dry, dry))
        pages = [
            *(edit_html("qm-id-a", text, text, text + text), trace_html(traced)),
            listed(differences_html(text, text, f"x {text}")),
            *(history_html(outline, now=0.0), dry_run_html(dry), rows._repr_html_()),
            *("".join(markup(Asked(each, text))) for each in (asked, start)),
            listing_html([text], [[text]], text),
        ]
        for page in pages:
            found = html_faults(page, sheets=SHEETS, maths=False)
            assert not found, (found, text)
        error, shown = APIError(text, request_id=text), Answer(text)._repr_mimebundle_()[0]
        told = (history_text(outline, now=0.0), dry_run_text(dry), trace_text(traced), repr(rows))
        for words in (*told, shown["text/plain"]):
            assert not text_faults(words), text
        assert not re.findall("a control|a hidden", str(text_faults(str(error)))), text
        found = markdown_faults(shown["text/markdown"]) + text_faults(
            shown["text/markdown"], "\n\t\r\0"
        )
        assert not found, (found, text)
        exported = export_markdown(chain)
        found = markdown_faults(exported) + text_faults(exported, "\n\t\r\0")
        assert not found, (found, text)


@pytest.mark.parametrize("name", CLASSES)
def test_a_log_has_a_line_for_each_turn(caplog, name):
    """No words of a server end it, or tell a terminal what to do."""
    caplog.set_level("INFO", "qwen_magic")
    for text in CLASSES[name]:
        turn = Turn(key="k", chat="c", status="failed", response_id=text, model=text)
        log_end(turn, APIError(text, request_id=text))
    assert len(caplog.messages) == len(CLASSES[name])
    for line in caplog.messages:
        assert line.isprintable(), line


@pytest.mark.parametrize(("text", "host"), LIES)
def test_a_link_that_lies_names_its_host(text, host):
    html = render_markdown(text)
    assert (f"({host})" in html) is bool(host), html


@pytest.mark.parametrize("text", PLAIN_WRITING, ids=ascii)
def test_writing_stays(text):
    document, _ = turn_of(text)
    for form in bundle(document).values():
        assert text in form


def test_what_is_larger_than_anybody_reads_is_cut_and_said():
    size = 400_000
    text = "a line of a log\n" * (size // 16)
    items = [
        item("code_interpreter_call", code=text, outputs=[{"type": "logs", "logs": text}] * 3),
        item("web_extractor_call", urls=["http://a.example"], goal="g", output=text),
        item("mcp_call", name="f", server_label="s", arguments="{}", output=text),
        item("file_search_call", queries=["q"] * 1000, results=[{"filename": "x", "text": text}]),
    ]
    state, document, patches = ResponseState(), Document(TurnFacts("m")), []
    for event in events_of(items):
        state.apply(decode_event(event, event["type"]))
        patches += document.update(state, 0.0)
    document.finish(state, 1.0, Outcome())
    saved = turn_metadata(
        Turn(key="k", chat="c", status="completed", items=tuple(items)), parent=None, number=1
    )
    forms = bundle(document)
    assert max(len(str(each)) for each in (*patches, *forms.values())) < 3 * size
    assert "more characters)" in forms["text/html"]
    assert max(len(output["logs"]) for output in saved["qwen_magic"]["items"][0]["outputs"]) < size


@pytest.mark.parametrize(
    "many",
    [
        item("code_interpreter_call", code="x", outputs=[{"type": "logs", "logs": "a"}] * 5000),
        item("code_interpreter_call", outputs=[{"type": "logs", "logs": "```\n1\n```\n" * 5000}]),
        item(
            "code_interpreter_call",
            outputs=[{"type": "logs", "logs": "![x](http://a.example/x.png)\n" * 5000}],
        ),
        item("web_extractor_call", urls=["http://a.example"] * 5000),
        item("file_search_call", results=[{"filename": "x", "text": "t"}] * 5000),
        item("web_search_call", action={"type": "search", "queries": ["q"] * 5000}),
        item("mcp_list_tools", server_label="s", tools=[{"name": "t"}] * 5000),
    ],
    ids=lambda item: item["type"],
)
def test_of_many_parts_some_are_shown(many):
    state, document = ResponseState(), Document(TurnFacts("m"))
    for event in events_of([many]):
        state.apply(decode_event(event, event["type"]))
    document.finish(state, 1.0, Outcome())
    forms = bundle(document)
    assert len(forms["text/html"]) < 200_000
    assert re.search(r"… [\d,]+ more", forms["text/html"])

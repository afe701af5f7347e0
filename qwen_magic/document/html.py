"""What an answer shows as safe HTML: one form for the live view and for the saved output.

    markup(value) -> (HTML before what is in the element, HTML behind)     for a tree's values

It reads without any style sheet, since most places that show a saved notebook strip it: verbs are
`<b>`, parts of a line are separated by " · " (out of sight where there is style), indents are
inline `padding`, the only style attribute that every sanitizer of the field keeps. No ids, no
data attributes, no buttons but those of a question, which is never saved. Everything that came from
outside passes `escape`; an address becomes a link only if it is http, https or mailto.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, TypeAlias, assert_never

from qwen_magic.document import blocks
from qwen_magic.document.blocks import Block, NumberedSource, Place, SourceList, Step
from qwen_magic.document.footer import Footer, Note
from qwen_magic.document.highlight import highlight_pieces
from qwen_magic.document.links import by_host, is_picture, link_open
from qwen_magic.document.markdown.render import FIGURE_ALT, CodeHtml, shown_html
from qwen_magic.document.question import Asked, Question
from qwen_magic.document.words import counted, exposed, revealed

SEP: Final = '<span class="qm-sep"> · </span>'
_PADDED: Final = 'style="padding: 2px 0 12px 18px"'
_NOTE_PADDED: Final = 'style="padding: 4px 0 4px 12px"'
_BOXES: Final = {
    "steps": '<div class="qm-steps">',
    "body": f'<div class="qm-body" {_PADDED}>',
    "thought": f'<div class="qm-body qm-think" {_PADDED} tabindex="0" role="region"'
    ' aria-label="Reasoning">',
    "figures": '<div class="qm-figs" style="padding: 2px 0 8px 0">',
    "answer": '<div class="qm-answer">',
}

Value: TypeAlias = Block | Step | Place | Asked | SourceList | Note | Footer
Markup: TypeAlias = tuple[str, str]
NOTHING: Final = blocks.Spoken("")


def markup(value: Value) -> Markup:
    """The element of a value. Of a block of code, the first is a `CodeHtml`."""
    match value:
        case Step():
            return head(value), ""
        case blocks.Panel(is_open=is_open):
            return f'<details class="qm-step"{" open" if is_open else ""}>', "</details>"
        case blocks.Box(kind=kind):
            return _BOXES[kind], "</div>"
        case blocks.LiveLine(text=text):
            return waiting(text), ""
        case blocks.Spoken(text=text):
            return f"<span>{shown_html(text)}</span>", ""
        case Asked(question=question, key=key):
            return question_html(question, key), ""
        case SourceList():
            return sources_html(value), ""
        case Note():
            return note_html(value, announce=True), ""
        case Footer():
            return footer_html(value), ""
        case _:
            return block_html(value), ""


def link(url: str, text: str, kind: str) -> str:
    """A link of this class around `text`; only the text if `url` must not be followed."""
    opening = link_open(url, kind=kind)
    if not opening:
        return f'<span class="{kind}">{shown_html(text)}</span>'
    return f"{opening}{shown_html(text)}</a>"


def head(step: Step) -> str:
    """The line of a step."""
    state = {"live": " qm-is-live", "bad": " qm-is-bad", "done": ""}[step.state]
    parts = [f'<b class="qm-verb">{shown_html(step.verb)}</b>']
    if step.what:
        tag, kind = ("code", " qm-what-code") if step.what_is_code else ("span", "")
        parts.append(f'<{tag} class="qm-what{kind}" dir="auto">{shown_html(step.what)}</{tag}>')
    if step.facts:
        parts.append(f'<span class="qm-took">{shown_html(" · ".join(step.facts))}</span>')
    return f'<summary class="qm-head{state}">{SEP.join(parts)}</summary>'


def waiting(text: str) -> str:
    """A line about current activity that does not open."""
    return (
        f'<p class="qm-head qm-head-flat qm-is-live"><b class="qm-verb">{shown_html(text)}</b></p>'
    )


def block_html(block: Block) -> str:
    """The HTML of a block: one element."""
    match block:
        case blocks.Label(text=text, look=look):
            return f'<p class="qm-{look}"><small>{shown_html(text)}</small></p>'
        case blocks.Text(text=text):
            return f'<p class="qm-p qm-plain" dir="auto">{_lines(text)}</p>'
        case blocks.Lines(texts=texts):
            return f'<ul class="qm-plainlist">{"".join(map(_line, texts))}</ul>'
        case blocks.Link(url=url):
            return f'<p class="qm-p qm-plain">{link(url, url, "qm-a")}</p>'
        case blocks.Code(code=code, language=language):
            code = revealed(code)
            return CodeHtml.of(code, language, highlight_pieces(code, language))
        case blocks.Output(text=text):
            return _pre(escape(revealed(text), quote=False), "Output", " qm-pre-out")
        case blocks.Extract(text=text):
            return (
                '<div class="qm-extract" dir="auto" tabindex="0" role="region"'
                f' aria-label="Extract">{_lines(text)}</div>'
            )
        case blocks.Figure():
            return figure_html(block)
        case blocks.SourceGroups(sources=sources):
            return _groups(sources)
        case blocks.Pending(text=text):
            return f'<p class="qm-wait"><small>{shown_html(text)}</small></p>'
        case _:
            assert_never(block)


def _line(text: str) -> str:
    return f'<li class="qm-li" dir="auto">{shown_html(text)}</li>'


def _lines(text: str) -> str:
    return shown_html(text).replace("\n", "<br>")


def _pre(inside: str, label: str, kind: str = "") -> str:
    return (
        f'<pre class="qm-pre{kind}" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"{inside}</pre>"
    )


def figure_html(figure: blocks.Figure) -> str:
    """The picture if it was fetched; else a plain link, which loads nothing."""
    alt = escape(revealed(figure.alt or FIGURE_ALT))
    if is_picture(figure.data):
        return (
            f'<figure class="qm-fig"><img class="qm-img" src="{escape(figure.data)}" alt="{alt}">'
            "</figure>"
        )
    name = link(figure.url, figure.alt or "Figure", "qm-a")
    reason = shown_html(figure.reason or "not fetched")
    return f'<p class="qm-wait">{name} <small>{reason}</small></p>'


def source_html(source: NumberedSource, *, with_host: bool) -> str:
    """A numbered link to a source."""
    number = f'<span class="qm-nr">[{source.number}]</span> ' if source.number else ""
    host = f' <span class="qm-at">{shown_html(source.host)}</span>' if with_host else ""
    cited = " qm-is-cited" if source.cited else ""
    page = link(source.url, source.title, "qm-src")
    return f'<span class="qm-item{cited}" dir="auto">{number}{page}{host}</span>'


def _groups(sources: Iterable[NumberedSource]) -> str:
    rows = []
    for host, group in by_host(sources).items():
        links = f"{SEP} ".join(source_html(source, with_host=False) for source in group)
        rows.append(
            f'<li class="qm-from"><span class="qm-host">{shown_html(host)}</span>'
            f'<span class="qm-sep">: </span><span class="qm-links">{links}</span></li>'
        )
    return f'<ul class="qm-hosts">{"".join(rows)}</ul>'


def sources_html(listed: SourceList) -> str:
    """The list of sources below an answer: cited ones visible, others folded; empty without any."""
    cited, others = listed.cited, listed.others
    parts = []
    if cited:
        items = "".join(f"<li>{source_html(source, with_host=True)}</li>" for source in cited)
        parts.append('<p class="qm-label"><small>Sources</small></p>')
        parts.append(f'<ul class="qm-cited">{items}</ul>')
    if others:
        more = " more" if cited else ""
        verb = f"{counted(len(others), f'{more} source'.strip())}, not cited"
        step = Step(verb, facts=(counted(len(by_host(others)), "host"),))
        parts.append(
            f'<details class="qm-step">{head(step)}<div class="qm-body" {_PADDED}>'
            f"{_groups(others)}</div></details>"
        )
    if not parts:
        return ""
    return f'<div class="qm-sources" role="region" aria-label="Sources">{"".join(parts)}</div>'


def note_html(note: Note, *, announce: bool = False) -> str:
    """The HTML of a note. `announce`: screen readers announce an error at once, as it is new."""
    kind = " qm-is-error" if note.is_error else ""
    role = ' role="alert"' if announce and note.is_error else ""
    parts = [f'<p class="qm-note-title" dir="auto"><b>{shown_html(note.title)}</b></p>']
    if note.text:
        parts.append(f'<p class="qm-note-text" dir="auto">{shown_html(note.text)}</p>')
    if note.request_id:
        request = shown_html(f"request {note.request_id}")
        parts.append(f'<p class="qm-note-text"><small class="qm-id">{request}</small></p>')
    return f'<div class="qm-note{kind}"{role} {_NOTE_PADDED}>{"".join(parts)}</div>'


def question_html(question: Question, id: str) -> str:
    """A question with its buttons, whose values are `id:choice`. For the live view only."""
    buttons = "".join(
        f'<button type="button" class="qm-btn qm-choice" value="{escape(id)}:{choice}">'
        f"{shown_html(words)}</button>"
        for choice, words in question.words.items()
    )
    title, name = exposed(question.title), exposed(question.name)
    before, _, behind = map(shown_html, title.partition(name))
    return (
        f'<div class="qm-note qm-ask" role="group" aria-label="{escape(title)}"'
        f" {_NOTE_PADDED}>"
        f'<p class="qm-note-title"><b>{before}'
        f'<code class="qm-c">{escape(name)}</code>{behind}</b></p>'
        f'<pre class="qm-pre qm-call" tabindex="0" role="region" aria-label="The call">'
        f"{escape(question.call, quote=False)}</pre>"
        f'<p class="qm-note-text">{shown_html(question.text)}</p>'
        f'<div class="qm-choices">{buttons}</div></div>'
    )


def footer_html(footer: Footer) -> str:
    """The footer's line, which opens to the rest; warnings are always visible."""
    line, rest = _facts(footer.line), _facts(footer.rest)
    request = footer.request and _facts((f"request: {footer.request}",))
    more = "<br>".join(part for part in (rest, request) if part)
    if more and line:
        line = f'<details class="qm-facts"><summary class="qm-sum">{line}</summary>{more}</details>'
    warnings = "<br>".join(_facts((fact,)) for fact in footer.warnings)
    return f'<div class="qm-foot" style="padding: 8px 0 0 0">{line or more}{warnings}</div>'


def _facts(facts: Sequence[str]) -> str:
    shown = (f'<span class="qm-fact">{shown_html(fact)}</span>' for fact in facts)
    return f"<small>{' · '.join(shown)}</small>" if facts else ""

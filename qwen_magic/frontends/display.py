"""What is displayed once, beside live views: an `Answer` asked for again, tables, pages.

In a notebook each is a mime bundle, in a terminal text. IPython is imported when it is needed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from qwen_magic.document.html import SEP
from qwen_magic.document.markdown.render import shown_html
from qwen_magic.document.words import NO_BREAK, counted, revealed
from qwen_magic.frontends.plain import (
    ROOM,
    cells,
    printable,
    source_difference_html,
    source_difference_text,
    window_size,
)

_NUMBER: Final = re.compile(r"[-−+]?[\d.,]+(?:\s?(?:%|[A-Z]{3}|[KM]?B|s|ms|tokens))?|–|—|-|\?")
_STYLE: Final = (
    ".qm-listing.qm-listing{container:qm-listing/inline-size;overflow-x:auto;"
    "padding-inline-start:calc(var(--jp-code-padding,-1px) + 1px);"
    "table{margin:0;border-collapse:collapse;font-size:13px}p{margin:6px 0 0}"
    "tbody tr:nth-child(n){background:none}"
    ":is(td,th){padding:3px 20px 3px 0;text-align:start;vertical-align:baseline}"
    "[align]{text-align:end;font-variant-numeric:tabular-nums}"
    "summary{margin:6px 0 0;font-size:13px}pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    "ins{background:#2a83;text-decoration:none}del{background:#d443}"
    "@container qm-listing (max-width:640px){:is(td,th){padding-inline-end:12px}}"
    "@container qm-listing (max-width:480px){thead{display:none}table,tbody{display:block}"
    "tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr));gap:0 24px;"
    "padding:5px 0;text-align:start}"
    "td{display:block;grid-column:1/-1;padding:0;overflow-wrap:anywhere}"
    "td[align]{display:flex;grid-column:auto;justify-content:space-between}"
    "td:empty{display:none}td:first-child{font-weight:600}"
    "td+td:not([data-label=''])::before{content:attr(data-label) '\\a0';opacity:.7}}}"
)
_SHEET: Final = Path(__file__).with_name("pages.css")
_GAP: Final = "  "  # between two columns of text
_SHORT: Final = 12  # characters
_DEPTH: Final = 15  # frames from the displayhook to an object's display method; about 8 are seen


class Shown(Protocol):
    """The attributes of an `Answer` that are needed here."""

    @property
    def shown_in(self) -> int | None:
        """The execution count of the cell whose live output shows it."""

    def _repr_mimebundle_(self) -> tuple[Mapping[str, str], dict[str, Any]]: ...


def show_answer(answer: Shown) -> None:
    """Display `answer`, but not as the value of the very execution whose output shows it live.

    What `%%capture` keeps of a value cannot be nothing: there the value is kept, in place of the
    output that shows it. Raises `NotImplementedError`, by which IPython goes on to the mime bundle.
    """
    from IPython.core.displayhook import CapturingDisplayHook
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if (
        shell is not None
        and answer.shown_in == shell.execution_count
        and _called_by(shell.displayhook)
    ):
        return
    data, metadata = answer._repr_mimebundle_()
    if shell and isinstance(sys.displayhook, CapturingDisplayHook) and _called_by(sys.displayhook):
        if answer.shown_in == shell.execution_count:
            outputs = sys.displayhook.outputs
            outputs[:] = [each for each in outputs if each["data"] != data]
        raise NotImplementedError
    if shell is None or not hasattr(shell, "kernel"):
        if shell is not None and _called_by(shell.displayhook):
            print()  # noqa: T201 - behind "Out[3]: " begins no table
        _write(data)
        return
    display(dict(data), raw=True, metadata=metadata)  # type: ignore[no-untyped-call]


def _write(data: Mapping[str, str]) -> None:
    """Write to a terminal, formatted if possible, else as plain text.

    Without control characters, by which a model could control the terminal.
    """
    from qwen_magic.frontends.terminal import can_draw

    if sys.stdout.isatty() and can_draw(sys.stdout):
        from qwen_magic.frontends.live_terminal import drawn_markdown

        print(drawn_markdown(data["text/markdown"], window_size(sys.stdout)[0]))  # noqa: T201
    else:
        print(printable(data["text/plain"]))  # noqa: T201


def _called_by(displayhook: Any) -> bool:
    """Whether the call stack contains a call of `displayhook`.

    IPython does not tell an object's display method whether it is the value of an expression or an
    argument of `display(…)`.
    """
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_DEPTH):
        if frame is None:
            return False
        if frame.f_code.co_name == "__call__" and frame.f_locals.get("self") is displayhook:
            return True
        frame = frame.f_back
    return False


def show_html(html: str, plain: str) -> None:
    """Show HTML in a notebook, with its plain text."""
    from IPython.display import display

    display({"text/html": html, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]


def show_edit(mark: str, name: str, old: str, new: str) -> None:
    """Show how the source `new` differs from the source `old` of the cell `name`."""
    plain = source_difference_text(old, new)
    html = edit_html(mark, name, old, new)
    show_html(html, f"A new source for {name}: {_changes(plain)}\n\n{plain}")


def edit_html(mark: str, name: str, old: str, new: str) -> str:
    """The difference as HTML. The page finds it by the class `mark`, and offers to accept it."""
    title = f"A new source for {name}"
    changes = _changes(source_difference_text(old, new))
    lines = (
        '<pre class="qm-pre qm-diff" tabindex="0" role="region" aria-label="The lines">'
        f"{source_difference_html(old, new)}</pre>"
    )
    return page(title, [changes], lines, kind=f" qm-edit {mark}")


def page(title: str, facts: Iterable[str], body: str, *, label: str = "", kind: str = "") -> str:
    """A self-contained page: `title`, beside it the `facts` (HTML), below it the `body` (HTML).

    `label`: its name for screen readers, if not the title; `kind`: further CSS classes.
    """
    told = escape(revealed(label or title))
    return (
        f'<div class="qm-page{kind}" role="region" aria-label="{told}">{page_style()}'
        f'<div class="qm-title"><b class="qm-name" dir="auto">{shown_html(title)}</b>{SEP}'
        f'<small class="qm-meta" dir="auto">{" · ".join(facts)}</small></div>{body}</div>'
    )


@lru_cache(maxsize=1)
def page_style() -> str:
    """The style sheet of such pages."""
    return f"<style>{' '.join(_SHEET.read_text('utf-8').split())}</style>"


def fold(summary: str, inside: str) -> str:
    return (
        f'<details><summary class="qm-head">{summary}</summary>'
        f'<div class="qm-read">{inside}</div></details>'
    )


def pre(text: str, label: str) -> str:
    """Preformatted text without blank lines, which would end an HTML block in Markdown."""
    shown = escape(revealed(text), quote=False).replace("\n", "&#10;")
    opening = f'<pre class="qm-pre" tabindex="0" role="region" aria-label="{escape(label)}">'
    return f"{opening}{shown}</pre>"


def _changes(plain: str) -> str:
    signs = [line[0] for line in plain.split("\n") if line]
    return f"{counted(signs.count('-'), 'line')} out, {signs.count('+')} in"


def _numeric(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each column holds numbers, which are right-aligned."""
    columns = [[row[at] for row in rows if row[at]] for at in range(len(header))]
    return [bool(column) and all(map(_NUMBER.fullmatch, column)) for column in columns]


def listing_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as plain text; in a narrow terminal, a paragraph for each row."""
    lines = [header, *rows]
    are_right = _numeric(header, rows)
    widths = [max(cells(line[column]) for line in lines) for column in range(len(header))]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    if sys.stdout.isatty() and before + min(ROOM, widths[-1]) > window_size(sys.stdout)[0]:
        return "\n".join(_stacked(header, row) for row in rows)
    return "\n".join(_GAP.join(map(_padded, line, widths, are_right)).rstrip() for line in lines)


def _padded(cell: str, width: int, is_right: bool) -> str:
    space = " " * (width - cells(cell))
    return space + cell if is_right else cell + space


def _stacked(header: Sequence[str], row: Sequence[str]) -> str:
    """A row as two lines: the unnamed cells and the first named one; then the others with their
    names.
    """
    named = next((at for at, name in enumerate(header) if name), 0) + 1
    first = " ".join(cell for cell in row[:named] if cell)
    rest = [
        f"{name}: {cell}" if name else cell
        for name, cell in zip(header[named:], row[named:], strict=True)
        if cell
    ]
    return f"{first}\n  {' · '.join(rest)}" if rest else first


def listing_html(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *notes: str,
    drawn: Mapping[int, Sequence[str]] | None = None,
    more: str = "",
) -> str:
    """A table; where there is no room for one, a paragraph for each row, with the words of the
    header. What a cell says may come from a file or a server. `notes`: paragraphs below it.
    `drawn`: HTML of our own in place of a column's cells, by the column's number; `more`: below
    it all."""
    aligned = [' align="right"' if numeric else "" for numeric in _numeric(header, rows)]
    labels = [_cell(name) for name in header]
    heads = "".join(f"<th{a}>{_whole(name)}</th>" for name, a in zip(labels, aligned, strict=True))
    cells = [[_whole(_cell(cell)) for cell in row] for row in rows]
    for at, column in (drawn or {}).items():
        for row, html in zip(cells, column, strict=True):
            row[at] = html
    body = "".join(
        "<tr>"
        + "".join(
            f'<td{a} data-label="{name}">{cell}</td>'
            for name, cell, a in zip(labels, row, aligned, strict=True)
        )
        + "</tr>"
        for row in cells
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    said = "".join(f"<p>{_cell(note)}</p>" for note in notes)
    return listed(f"{table}{said}{more}")


def listed(html: str) -> str:
    """Our own HTML with the style of the tables."""
    return f'<div class="qm-listing"><style>{_STYLE}</style>{html}</div>'


def staged(html: str) -> str:
    """Our own HTML, larger for an audience."""
    return f'<div class="qm-staged"><style>.qm-staged{{zoom:1.4}}</style>{html}</div>'


def _whole(cell: str) -> str:
    """Short ones, such as "14–61 %", go into the next line whole."""
    if len(cell) > _SHORT:
        return cell
    return cell.replace(" ", NO_BREAK).replace("–", "–&NoBreak;")


def _cell(text: str) -> str:
    return shown_html(" ".join(text.split())).replace('"', "&quot;")

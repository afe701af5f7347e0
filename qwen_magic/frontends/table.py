"""Small tables for the magics that list things: Markdown in a notebook, columns elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from IPython.core.getipython import get_ipython
from IPython.display import display

from qwen_magic.frontends.plain import printable
from qwen_magic.frontends.saved_markdown import escaped


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Show `rows` under `header`, then `note` as a paragraph."""
    plain = printable(_columns(header, rows) + (f"\n{note}" if note else ""))
    if hasattr(get_ipython(), "kernel"):
        data = {"text/markdown": _markdown(header, rows, note), "text/plain": plain}
        display(data, raw=True)  # type: ignore[no-untyped-call]
    else:
        print(plain)  # noqa: T201


def show_html(html: str, plain: str) -> None:
    """Show HTML in a notebook, with its plain text."""
    display({"text/html": html, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> str:
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)
    return f"{table}\n\n{_cell(note)}" if note else table


def _cell(text: str) -> str:
    """What a cell says may come from a file or a server, and Markdown may hold HTML."""
    return escaped(printable(text))

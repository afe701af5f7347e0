"""Read files that need a library: tables, pages, documents.

Each library is imported when a file needs it. Nothing in a file is run: formulas are read by their
last values, macros are ignored. Each kind of file has size limits, since a few bytes can stand for
a billion cells.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qwen_magic.context.images import Picture, fitted
from qwen_magic.errors import UsageError

MAX_CELLS: Final = 5_000_000  # of a sheet, empty ones among others
MAX_VALUES: Final = 50_000_000  # of a Parquet file: its columns can be packed a thousandfold
MAX_PACKED: Final = 1_000_000_000  # bytes of its columns, as unpacked
MAX_SHEETS: Final = 20
MAX_PAGES: Final = 500  # of a PDF, as text
SHOWN_PAGES: Final = 20  # as images; the others go as text
_PAGE_EDGE: Final = 1_600  # pixels
# What Qwen3-VL makes a token of: 32 × 32 pixels (its model card, 2025).
_PIXELS_PER_TOKEN: Final = 32 * 32

BETWEEN: Final = "\n\n"  # paragraphs of a DOCX
READ_A_PART: Final = "Read what matters of it yourself, and name that variable with -d."


def too_large(ref: str, size: int, most: int, what: str = "") -> UsageError:
    """The error for a file of `size` bytes where at most `most` are allowed."""
    large = f"{size / 1e6:,.1f} MB{what}, of {most / 1e6:,.0f} MB at most"
    return UsageError(f"The file {ref} is too large: {large}.", hint=READ_A_PART)


# Tables ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileTable:
    """A table of a file as a DataFrame.

    `reads`: Python code that reads the same table; `sheet`: its name if the file has several.
    """

    frame: Any
    reads: str
    sheet: str = ""


def read_csv(ref: str, text: str, encoding: str, *, tabs: bool) -> list[FileTable]:
    """Parse `text` as a table; the separator is a comma, semicolon, bar or tab."""
    import pandas  # type: ignore[import-untyped]

    first = next((line for line in text[:100_000].splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)
    separator = "\t" if tabs else max(",;\t|", key=bare.count)
    given = {"sep": separator} if separator != "," else {}
    if separator == ";" and _has_decimal_commas(text[:100_000]):
        given["decimal"] = ","
    frame = pandas.read_csv(io.StringIO(text), low_memory=False, **given)
    if encoding != "UTF-8":
        given["encoding"] = encoding.lower()
    options = "".join(f", {name}={value!r}" for name, value in given.items())
    return [FileTable(frame, f"pandas.read_csv({ref!r}{options})")]


def _has_decimal_commas(text: str) -> bool:
    with_comma = len(re.findall(r"(?<![\d,.])\d+,\d+(?=[;\r\n]|\Z)", text))
    return with_comma > len(re.findall(r"(?<![\d,.])\d+\.\d+(?=[;\r\n]|\Z)", text))


def read_workbook(ref: str, path: Path) -> list[FileTable]:
    """The visible sheets of a workbook, with the last values of formulas."""
    import openpyxl

    workbook = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        shown = [each for each in workbook.worksheets if each.sheet_state == "visible"]
        if len(shown) > MAX_SHEETS:
            raise UsageError(
                f"{ref} has {len(shown)} sheets, more than {MAX_SHEETS}.", hint=READ_A_PART
            )
        read = [(sheet.title, _frame(ref, sheet)) for sheet in shown]
    finally:
        workbook.close()
    found = [(title, frame) for title, frame in read if frame is not None]
    if not found:
        raise UsageError(f"{ref} has no cells with values.")
    alone = len(found) == 1 and found[0][0] == workbook.sheetnames[0]
    return [
        FileTable(
            frame,
            f"pandas.read_excel({ref!r}{'' if alone else f', sheet_name={title!r}'})",
            "" if alone else title,
        )
        for title, frame in found
    ]


def _frame(ref: str, sheet: Any) -> Any:
    """A sheet as `pandas.read_excel` returns it; None if it is empty.

    Only the used cells are read: one cell in the far corner would make a billion of them.
    """
    from pandas.io.parsers import TextParser  # type: ignore[import-untyped]

    sheet.reset_dimensions()  # what the file says of its size may be wrong
    rows: list[list[Any]] = []
    width, last = 0, 0
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        row = [_cell(value) for value in cells]
        while row and row[-1] == "":
            row.pop()
        rows.append(row)
        if row:
            width, last = max(width, len(row)), number
        if last * width > MAX_CELLS:
            raise UsageError(
                f"The sheet {sheet.title} of {ref} has more than {MAX_CELLS:,} cells.",
                hint=READ_A_PART,
            )
    if not width:
        return None
    filled = [row + [""] * (width - len(row)) for row in rows[:last]]
    return TextParser(filled, header=0, skip_blank_lines=False).read()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_parquet(ref: str, path: Path) -> list[FileTable]:
    import pandas
    import pyarrow.parquet as parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with parquet.ParquetFile(path) as opened:
        metadata = opened.metadata
        values = metadata.num_rows * metadata.num_columns
        groups = [metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)]
    if values > MAX_VALUES:
        raise UsageError(
            f"{ref} has {metadata.num_rows:,} rows and {metadata.num_columns:,} columns, more than "
            f"{MAX_VALUES:,} values.",
            hint=READ_A_PART,
        )
    if sum(groups) > MAX_PACKED:
        raise too_large(ref, sum(groups), MAX_PACKED, " when unpacked")
    return [FileTable(pandas.read_parquet(path), f"pandas.read_parquet({ref!r})")]


# Documents ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a PDF: its text, or its image and the number of tokens that takes."""

    number: int
    text: str = ""
    picture: Picture | None = None
    tokens: int = 0


def read_pdf(ref: str, path: Path, *, sees: bool | None) -> list[Page]:
    """The pages of a PDF, the first as images if the model `sees`, the others as text.

    A model without vision, or not known to have it, gets text, unless there is none (scanned
    pages).
    """
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    try:
        count = len(document)
        if not count:
            raise UsageError(f"The file {ref} has no pages.")
        if count > MAX_PAGES:
            raise UsageError(
                f"The file {ref} has {count:,} pages, more than {MAX_PAGES}.",
                hint="Save the pages that matter as a file of their own.",
            )
        shown = range(min(count, SHOWN_PAGES))
        if sees:
            rest = range(len(shown), count)
            return [_picture(document, n) for n in shown] + [_text(document, n) for n in rest]
        pages = [_text(document, number) for number in range(count)]
        if any(page.text.strip() for page in pages):
            return pages
        return [_picture(document, number) for number in shown] + pages[len(shown) :]
    finally:
        document.close()


def _text(document: Any, number: int) -> Page:
    page = document[number]
    textpage = page.get_textpage()
    try:
        text = str(textpage.get_text_bounded()).replace("\r\n", "\n")
    finally:
        textpage.close()
        page.close()
    return Page(number + 1, text)


def _picture(document: Any, number: int) -> Page:
    page = document[number]
    try:
        scale = min(2.0, _PAGE_EDGE / max(*page.get_size(), 1.0))
        drawn = page.render(scale=scale).to_pil()
    finally:
        page.close()
    tokens = drawn.size[0] * drawn.size[1] // _PIXELS_PER_TOKEN
    return Page(number + 1, picture=fitted(drawn), tokens=tokens)


def read_docx(ref: str, path: Path) -> tuple[str, int]:
    """The text of a document with headings, lists and tables as Markdown; and its number of
    images.
    """
    import docx

    document = docx.Document(str(path))
    text = BETWEEN.join(block for block in _blocks(document) if block)
    if not text:
        raise UsageError(f"The file {ref} has no text.", hint="Save it as PDF to send its pages.")
    return text, len(document.inline_shapes)


def _blocks(document: Any) -> Iterator[str]:
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            yield "\n".join(_table_lines(block))
            continue
        text, style = block.text.strip(), str(getattr(block.style, "name", ""))
        heading = re.fullmatch(r"Heading ([1-6])", style)
        if text and (heading or style == "Title"):
            yield f"{'#' * int(heading[1] if heading else 1)} {text}"
        elif text and style.startswith("List"):
            yield f"- {text}"
        else:
            yield text


def _table_lines(table: Any) -> Iterator[str]:
    for number, row in enumerate(table.rows):
        words, before = [], None
        for cell in row.cells:  # where some are merged, the same one stands there again
            text = "" if cell is before else " ".join(cell.text.split())
            words.append(text.replace("|", "\\|"))
            before = cell
        yield f"| {' | '.join(words)} |"
        if not number:
            yield "|" + "---|" * len(words)

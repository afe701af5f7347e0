"""Code blocks and tables as values, out of the parser's tokens."""

from __future__ import annotations

from qwen_magic.document.markdown.parts import Fence, PipeTable, find_fences, find_tables


def test_fences_keep_their_language_and_their_last_line_break():
    text = "```Python title=x\na\n```\n\n1. x\n\n       indented\n"
    assert find_fences(text) == (Fence("Python", "a\n"), Fence("", "indented\n"))


def test_tables_keep_alignment_and_rows_of_one_length():
    text = "| a | b | c | d |\n|:--|:-:|--:|---|\n| 1 |\n| *x* | y\\|z | `p` | ![alt](u) |\n\ntext"
    assert find_tables(text) == (
        PipeTable(
            ("a", "b", "c", "d"),
            (("1", "", "", ""), ("x", "y|z", "p", "alt")),
            ("left", "center", "right", ""),
        ),
    )


def test_two_tables_are_two():
    text = "| a |\n|---|\n| 1 |\n\nbetween\n\n| b |\n|---|\n"
    assert [table.header for table in find_tables(text)] == [("a",), ("b",)]
    assert [table.rows for table in find_tables(text)] == [(("1",),), ()]

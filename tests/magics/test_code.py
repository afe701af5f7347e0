"""Which code block goes into the next cell, and that it goes there as it is."""

from __future__ import annotations

import pytest

from qwen_magic.document.extract import CodeBlock
from qwen_magic.errors import UsageError
from qwen_magic.magics.asking import offer_code
from qwen_magic.magics.code import choose, read_code_line

BLOCKS = [CodeBlock("sql", "select 1"), CodeBlock("python", "x = 1"), CodeBlock("", "y = 2")]


class Shell:
    """The part of a shell that takes a next cell."""

    def __init__(self):
        self.inserted = []

    def set_next_input(self, text, replace=False):
        self.inserted.append((text, replace))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ("", None)),
        ("main:3", ("main:3", None)),
        ("-1", ("-1", None)),
        ("-n 2", ("", 2)),
        ("-n2 3", ("3", 2)),
        ("-n=-1 -2", ("-2", -1)),
        (" 3  -n  -1 ", ("3", -1)),
    ],
)
def test_lines(line, expected):
    assert read_code_line(line) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [("-n", "needs a value"), ("-n x", "not 'x'"), ("1 2", "'2'"), ("-n 1.5", "not '1.5'")],
)
def test_lines_that_cannot_be_read(line, words):
    with pytest.raises(UsageError, match=words):
        read_code_line(line)


def test_python_is_preferred_where_no_number_is_given():
    assert choose(BLOCKS) == BLOCKS[1]
    assert choose(BLOCKS[:1]) == BLOCKS[0]
    assert [choose(BLOCKS, n) for n in (1, 3, -1, -3)] == [*BLOCKS[::2], *BLOCKS[::-2]]


@pytest.mark.parametrize(
    ("blocks", "number", "words"),
    [
        ([], None, "no code"),
        ([], 1, "no code"),
        (BLOCKS, 4, "3 code blocks, no number 4"),
        (BLOCKS, 0, "no number 0"),
        (BLOCKS, -4, "no number -4"),
        (BLOCKS[:1], 2, "one code block, no number 2"),
    ],
)
def test_there_is_no_such_block(blocks, number, words):
    with pytest.raises(UsageError, match=words):
        choose(blocks, number)


def test_code_is_offered_below_and_only_python():
    shell = Shell()
    assert offer_code(shell, "```sql\nselect 1\n```\n```python\n%pip install x\n{y}\n```")
    assert shell.inserted == [("%pip install x\n{y}", False)]
    assert not offer_code(shell, "```sql\nselect 1\n```")
    assert not offer_code(shell, "nothing")
    assert len(shell.inserted) == 1

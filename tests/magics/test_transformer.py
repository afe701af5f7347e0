"""What the input transformer makes of cells, before IPython's own transformations."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from qwen_magic.magics.transformer import transform


def transformed(cell: str, *, may_await: bool = True) -> str:
    lines = transform(cell.splitlines(keepends=True), may_await=lambda: may_await)
    return "".join(lines)


def through_ipython(cell: str, *, may_await: bool = True) -> str:
    manager = TransformerManager()
    manager.cleanup_transforms.insert(
        0, lambda lines: transform(lines, may_await=lambda: may_await)
    )
    return manager.transform_cell(cell)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%%qwen\nHello", "await __qwen__('', 'Hello\\n')\n"),
        ("%%qwen -t all\nWhy?\nHow?", "await __qwen__('-t all', 'Why?\\nHow?\\n')\n"),
        ("%%qwen --help", "await __qwen__('--help', '')\n"),
        ("# a comment\n\n%%qwen\nHello", "await __qwen__('', 'Hello\\n')\n"),
        ("%%qwen\n>>> print(1)", "await __qwen__('', '>>> print(1)\\n')\n"),
        ("%%qwen\nIn [3]: x", "await __qwen__('', 'In [3]: x\\n')\n"),
        ("%qwen what is this?", "await __qwen__('what is this?')\n"),
        ("x = %qwen what's this?", 'x = await __qwen__("what\'s this?")\n'),
        ('%qwen {a} $b `c` "d"', "await __qwen__('{a} $b `c` \"d\"')\n"),
        ("%qwen", "await __qwen__('')\n"),
        ("%qwen_fix what is this?", "await __qwen_fix__('what is this?')\n"),
    ],
)
def test_top_level_calls_await(cell, expected):
    assert through_ipython(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%%qwen\nHello", "get_ipython().run_cell_magic('qwen', '', 'Hello\\n')\n"),
        ("%%qwen --help", "get_ipython().run_cell_magic('qwen', '--help', '\\n')\n"),
        ("%qwen why?", "get_ipython().run_line_magic('qwen', 'why?')\n"),
    ],
)
def test_where_nothing_can_await_the_call_is_synchronous(cell, expected):
    assert through_ipython(cell, may_await=False) == expected


def test_in_a_terminal_no_empty_prompt_is_printed():
    lines = ["%qwen a?\n", "x = %qwen b?\n"]
    made = transform(lines, may_await=lambda: False, in_terminal=True)
    assert made == [
        "get_ipython().run_line_magic('qwen', 'a?');\n",
        "x = get_ipython().run_line_magic('qwen', 'b?')\n",
    ]


def test_indented_lines_are_synchronous():
    made = through_ipython("for n in range(3):\n    %qwen count {n}?\n")
    assert made == "for n in range(3):\n    get_ipython().run_line_magic('qwen', 'count {n}?')\n"


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1\n",
        "%%bash\n%qwen hello\n",
        "%%time\n%%qwen\nhello\n",
        "%qwen_chat sales\n",
        "%qwen_new\n",
        "%%qwen_chat\nx\n",
        "y = x %qwen\n",
        's = """\n%qwen not a magic\n"""\n',
        "f(\n%qwen\n)\n",
    ],
)
def test_what_is_not_ours_is_left_alone(cell):
    assert transformed(cell) == cell


def test_a_prompt_that_breaks_the_tokenizer_does_not_hide_the_next():
    made = through_ipython("%qwen it's \"open\n%qwen what?\nprint(1)\n")
    assert made == "await __qwen__('it\\'s \"open')\nawait __qwen__('what?')\nprint(1)\n"


@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n\f\v\x00")))
def test_a_line_reaches_the_magic_to_the_letter(text):
    prompt = "say " + text
    if len((prompt + "\n").splitlines()) > 1:
        return  # other line ends end the line for IPython too
    made = transformed(f"%qwen {prompt}\n").removeprefix("await ")
    (argument,) = ast.parse(made.strip(), mode="eval").body.args
    assert ast.literal_eval(argument) == prompt.strip()


@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\x00")))
def test_a_body_reaches_the_magic_to_the_letter(body):
    made = transformed("%%qwen\n" + body).removeprefix("await ")
    _line, argument = ast.parse(made.strip(), mode="eval").body.args
    assert ast.literal_eval(argument) == body

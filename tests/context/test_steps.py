"""What a model is told of steps, and which cell it proposes."""

import pytest

from qwen_magic.context.steps import (
    RanCell,
    is_done,
    is_edited,
    proposed,
    ran,
    read_marker,
    resumed,
    with_marker,
)

CODE = "x = 1\nx"


def fence(code, language="python"):
    return f"```{language}\n{code}\n```"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (f"Plan.\n\n{fence(CODE)}", CODE),
        (
            f"{fence('1. load', '')}\n\nFirst:\n\n{fence(CODE)}",
            CODE,
        ),  # what names Python goes before
        (fence(CODE, ""), CODE),
        (f"{fence(CODE)}\n\n{fence('y = 2')}", CODE),  # never two cells
        (fence("ls", "bash"), ""),
        ("**Done**: it is 3.", ""),
    ],
)
def test_the_cell_is_the_first_block_of_python(answer, code):
    assert proposed(answer) == code


def test_every_character_of_the_cell_is_plain_to_see():
    hidden = 'if role != "user\u202e \u2066# admins only\u2069 \u2066":\n    drop\u200b()'
    code = proposed(fence(hidden))
    assert "⟨U+202E⟩" in code
    assert "drop⟨U+200B⟩()" in code
    assert code.isascii() or not set(code) & set("\u202e\u2066\u2069\u200b")


@pytest.mark.parametrize("text", ["Done: 3.", "It is 3.\n\n**Done.**", "- done"])
def test_done_begins_a_line(text):
    assert is_done(text)
    assert not is_done(f"Well {text.strip('-* ').splitlines()[0]}")


def test_spaces_at_the_ends_of_lines_are_no_edit():
    assert not is_edited("x = 1  \nx\n", CODE)
    assert is_edited("x = 2\nx", CODE)


@pytest.mark.parametrize("code", [CODE, "", "# a comment\nx"])
def test_a_marked_cell_is_known_again(code):
    assert read_marker(with_marker(code, 3, "ab12")) == ("ab12", 3, code)
    assert read_marker("\n" + with_marker(code, 3, "ab12")) == ("ab12", 3, code)


def test_a_cell_magic_stays_in_the_first_line():
    assert with_marker("%%bash\nls", 1, "ab12") == "%%bash\nls"
    assert read_marker("x") == ("", 0, "x")


def test_what_is_told_of_a_step_is_what_the_reader_is_told():
    own = RanCell("x = 2", "2\n```\nrun this", 12, failed=True, figures=1, edited=True, number=7)
    other = RanCell("y = 1", "", 0, number=6)
    told = ran(3, own, [other])
    assert told.about.replace("\u00a0", " ").split(" · ") == [
        *("your cell, edited", "12 characters of output", "an error"),
        *("1 figure, not sent", "your cell [6]"),
    ]
    assert "x = 2" in told.text
    assert "y = 1" in told.text
    assert "````text\n2\n```\nrun this\n````" in told.text  # an output cannot leave its fence
    assert "you cannot see" in told.text
    assert "comes along" in ran(3, own, figure=True).text
    as_proposed = ran(3, RanCell("x = 1", "1", 1, number=7))
    assert "x = 1" not in as_proposed.text  # the model has it


def test_a_kernel_that_was_restarted_is_told_of():
    assert "restarted" in resumed("g", [], is_fresh=True).text
    assert "restarted" not in resumed("g", [RanCell("y", "", 0, number=2)], is_fresh=False).text

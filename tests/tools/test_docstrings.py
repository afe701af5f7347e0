"""Docstrings of three styles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.tools.definition import Docstring, read_docstring

unhurried = settings(deadline=None)

GOOGLE = """Sum up.

    Over two lines.

    Args:
        first (int, optional): the first
            of them.
        *rest: the others

    Returns:
        int: the sum
    """

NUMPY = """Sum up.

    Over two lines.

    Parameters
    ----------
    first : int, optional
        the first
        of them.
    *rest
        the others

    Returns
    -------
    total : int
        The sum.
    """

REST = """Sum up.

    Over two lines.

    :param int first: the first
        of them.
    :param rest: the others
    :type rest: list
    :returns: the sum
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST])
def test_every_style_says_the_same(text):
    assert read_docstring(text) == Docstring(
        "Sum up.\n\nOver two lines.", {"first": "the first of them.", "rest": "the others"}
    )


def test_numpy_entries_of_several_names():
    read = read_docstring("Parameters\n----------\nx, y : float\n    A place.\n")
    assert read == Docstring("", {"x": "A place.", "y": "A place."})


@pytest.mark.parametrize("heading", ["Args", "Arguments", "Keyword Args", "Other Parameters"])
@pytest.mark.parametrize("mark", ["", "- ", "* "])
def test_entries_may_be_a_list(heading, mark):
    text = (
        f"Do it.\n\n    {heading}:\n        {mark}mode: how: one\n            and more\n"
        f"        {mark}other (int): what\n\n    Note:\n        - as: it is"
    )
    assert read_docstring(text) == Docstring(
        "Do it.", {"mode": "how: one and more", "other": "what"}
    )


@pytest.mark.parametrize("text", [None, "", "   "])
def test_no_docstring(text):
    assert read_docstring(text) == Docstring()


def test_prose_with_colons_is_prose():
    text = "Do it.\n\nOne thing: this. Notes on: that."
    assert read_docstring(text) == Docstring(text)


@unhurried
@given(st.text("ab:-\n Args()*", max_size=60))
def test_anything_is_read(text):
    assert isinstance(read_docstring(text), Docstring)


def test_a_list_that_is_not_indented():
    text = """Run.

    Modes:
    - fast: not slow

    Args:
    - mode: How
      it runs.
    - n (int): Count.

    Returns:
        Much.
    """
    found = read_docstring(text)
    assert found.parameters == {"mode": "How it runs.", "n": "Count."}
    assert "- fast: not slow" in found.description
    assert read_docstring("Run.\n\nArgs:\n- mode: How.").parameters == {"mode": "How."}


@pytest.mark.parametrize(
    "text",
    [
        """Run.

        Args:
            mode (Literal["a",
                "b",
                "c"]): How.
            n (int, default="a:b"): Count.
        """,
        "Run.\n\nArgs:\n- `mode`: How.\n- **n** (int): Count.",
        """Run.

        Parameters
        ----------
        mode : {"a",
            "b"}
            How.
        n : int
            Count.
        """,
        """Args:
            mode: How.
            n: Count.
        """,
    ],
)
def test_types_over_lines_and_names_in_marks(text):
    assert read_docstring(text).parameters == {"mode": "How.", "n": "Count."}

"""What a code run printed."""

import pytest

from qwen_magic.document.steps import LogFigure, LogText, find_error, parse_logs


def test_fences_and_figures_are_told_apart():
    logs = "```\nmean 3.2\n```\n\n![fig-001](http://h/a.png?x=1&y=a%2B)\n\n```\nlater\n```"
    assert parse_logs(logs) == (
        LogText("mean 3.2"),
        LogFigure("http://h/a.png?x=1&y=a%2B", "fig-001"),
        LogText("later"),
    )


def test_bare_logs_are_one_text():
    assert parse_logs("a\n\n  b\n") == (LogText("a\n\n  b"),)


def test_an_image_that_was_printed_is_text():
    assert parse_logs("```\n![x](http://h/a.png)\n```") == (LogText("![x](http://h/a.png)"),)


def test_only_http_addresses_are_figures():
    assert parse_logs("![x](javascript:alert(1))") == (LogText("![x](javascript:alert(1))"),)


def test_an_open_fence_reaches_the_end():
    assert parse_logs("```\nno end") == (LogText("no end"),)


def test_nothing_printed():
    assert parse_logs("") == ()
    assert parse_logs("```\n\n```") == ()


def test_text_is_as_a_terminal_leaves_it():
    logs = "```\n\x1b[0;31mred\x1b[0m\n 1%\r50%\r100%\r\n```"
    assert parse_logs(logs) == (LogText("red\n100%"),)


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'", "KeyError: 'a'"),
        (
            "-----\nModuleNotFoundError      Traceback (most recent call last)\n"
            "----> 1 import x\nModuleNotFoundError: No module named 'x'",
            "ModuleNotFoundError: No module named 'x'",
        ),
        ("Traceback (most recent call last):\nmy.BadError: one\ntwo\nthree", "my.BadError: one"),
        ("  File <x>\n    1 +\nSyntaxError: invalid syntax", "SyntaxError: invalid syntax"),
        ("Timeout. No response after 20 seconds.", "Timeout. No response after 20 seconds."),
        ("Traceback (most recent call last):\nKeyError: 'a'\n" + "went on\n" * 20, ""),
        ("Traceback (most recent call last):\n  no such line", ""),
        ("ValueError: this was only printed", ""),
        ("fine", ""),
    ],
)
def test_the_error_that_ended_a_run(printed, error):
    assert find_error(parse_logs(f"```\n{printed}\n```")) == error


def test_an_earlier_error_did_not_end_the_run():
    logs = "```\nTraceback (most recent call last):\nKeyError: 'a'\n```\n```\ndone\n```"
    assert find_error(parse_logs(logs)) == ""


def test_of_a_log_without_end_the_beginning_and_the_end_are_read():
    error = "Traceback (most recent call last):\nValueError: x"
    first, *_, last = parts = parse_logs("first\n```\n" + "\n" * 3_000_000 + error)
    assert first == LogText("first")
    assert last.text.endswith("ValueError: x")
    assert find_error(parts) == "ValueError: x"
    assert "characters are not shown" in last.text

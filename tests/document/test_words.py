"""How numbers, durations and addresses read."""

import pytest

from qwen_magic.document.links import host_of, page_of
from qwen_magic.document.words import counted, duration, fenced, sentence, shorten


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, ""),
        (0.04, ""),
        (2.44, "2.4 s"),
        (9.96, "10 s"),
        (14.2, "14 s"),
        (59.7, "1 min 0 s"),
        (72, "1 min 12 s"),
        (3725, "1 h 2 min"),
    ],
)
def test_duration(seconds, words):
    assert duration(seconds).replace("\u00a0", " ") == words


def test_counted():
    assert counted(1, "search", "searches") == "1\u00a0search"
    assert counted(1284, "token") == "1,284\u00a0tokens"


@pytest.mark.parametrize(
    ("url", "host", "page"),
    [
        ("https://www.example.org/wiki/Prime_number", "example.org", "Prime number"),
        ("https://example.org/", "example.org", "example.org"),
        ("https://example.org/a%20b/", "example.org", "a b"),
        ("https://example.org/%E4%B8%AD", "example.org", "中"),
        ("http://[broken/x", "http://[broken/x", "http://[broken/x"),
        ("not an address", "not an address", "not an address"),
    ],
)
def test_addresses(url, host, page):
    assert host_of(url) == host
    assert page_of(url) == page


def test_shorten_keeps_one_line():
    assert shorten("a\n b", 10) == "a b"
    assert shorten("abcdefghij", 5) == "abcd…"


def test_sentence():
    assert sentence("Try again ") == "Try again."
    assert sentence("Why?") == "Why?"
    assert sentence("") == ""


def test_nothing_in_a_block_closes_its_fence():
    assert fenced("x = 1", "python") == "```python\nx = 1\n```"
    assert fenced("```\na\n````") == "`````\n```\na\n````\n`````"

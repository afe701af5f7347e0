"""Characters that hide or look like others, and links that show another host than their own."""

import sys

import pytest

from qwen_magic.context.description import describe
from qwen_magic.context.interpolation import interpolate
from qwen_magic.document.blocks import Code, Extract, Link, Output, Step, Text
from qwen_magic.document.extract import tables
from qwen_magic.document.highlight import highlight_pieces
from qwen_magic.document.html import markup
from qwen_magic.document.links import is_linkable, link_open, misleads
from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.document.markdown.written import safe_markdown
from qwen_magic.document.question import Question
from qwen_magic.document.steps import find_error, parse_logs
from qwen_magic.document.words import escaped, exposed, revealed
from qwen_magic.frontends.plain import printable
from qwen_magic.masking import redact, without_named

HIDE = [
    *"\u061c\u200b\u200c\u200d\u200e\u200f\u2060\u2063\ufeff\u3164\U000e0041\ufe0f",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    # Ends of lines that no reader sees; what Unicode says to leave out, given to no character yet.
    *"\u2028\u2029\u180b\ufff0\U0001bca0\U000e0080\U000e01f0\U000e0fff",
]
PLACES = [
    *("a{}b", "- a{}b", "> a{}b", "| h |\n|---|\n| a{}b |", "`a{}b`", "```py\na{}b\n```"),
    *("    a{}b", "# a{}b", "**a{}b**", "[a{}b](http://x.example)", "$a{}b$"),
    "![a{}b](http://x.example/p)",
]
KEPT = ["👨‍👩‍👧", "می‌خواهم", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "❤️", "葛󠄀", "क्‍ष", "שלום", "مرحبا", "é", "naïve — “x”"]


@pytest.mark.parametrize("char", HIDE, ids=ascii)
def test_what_hides_is_seen_in_every_form(char):
    for place in PLACES:
        text = place.format(char)
        html = render_markdown(text)
        assert char not in html, text
        assert f"U+{ord(char):04X}" in html, text
        stream = MarkdownStream()
        for piece in text:
            stream.append(piece)
            stream.update()
            assert char not in stream.html
        stream.finish()
        assert stream.html == html
    for value in (Code(f"a{char}", "py"), Output(f"a{char}"), Extract(f"a{char}"), Text(f"a{char}"),
                  Step(f"a{char}", f"a{char}"), Link(f"http://a{char}.example")):  # fmt: skip
        assert char not in "".join(markup(value))
    assert char not in printable(f"a{char}b")
    assert char not in Question("f", f'{{"x": "a{char}b"}}').call


def test_a_joiner_behind_a_name_joins_nothing():
    html = render_markdown("&nbsp;&shy;&zwnj;&zwj;&lrm;")
    assert not set(html) & set("\u200c\u200d")


@pytest.mark.parametrize("text", KEPT, ids=ascii)
def test_what_writing_needs_is_left(text):
    assert revealed(text) == text
    assert text in render_markdown(text)
    stream = MarkdownStream()
    for piece in text:
        stream.append(piece)
        stream.update()
    stream.finish()
    assert text in stream.html


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("/etc/раsswd", "/etc/\\u0440\\u0430sswd"),  # two letters of Cyrillic
        ("сору", "\\u0441\\u043e\\u0440\\u0443"),  # all of them
        ("Ａdmin 𝐱", "\\uff21dmin \\U0001d431"),
        ("ɡo", "\\u0261o"),
        ("a\u0338b e\u0301", "a\\u0338b e\\u0301"),
        ("\u0301x", "\\u0301x"),
        ("a\x1b\r\x07", "a\\x1b\\r\\x07"),
        *((same, same) for same in ("пароль", "查询 rows", "東京tower", "ελλάδα", "हिन्दी", "café")),
    ],
)
def test_who_decides_sees_what_looks_like_something_else(text, seen):
    assert exposed(text) == seen


@pytest.mark.parametrize(
    ("text", "url", "real"),
    [
        ("bank.com", "https://evil.com/bank.com", "evil.com"),
        ("https://bank.com/login", "https://evil.com", "evil.com"),
        ("Go to www.bank.co.uk now", "https://evil.com", "evil.com"),
        ("bank.com@evil.com", "https://bank.com@evil.com", "evil.com"),
        ("here", "https://bank.com@evil.com", "evil.com"),
        ("bank。com", "https://evil.com", "evil.com"),
        ("ｂａｎｋ.com", "https://evil.com", "evil.com"),
        ("bank.com", "https://bank.com.evil.com", "bank.com.evil.com"),
        ("1.2.3.4", "http://5.6.7.8/", "5.6.7.8"),
        ("me@bank.com", "mailto:me@evil.com", "evil.com"),
        ("раypal.com", "https://xn--ypal-43d9g.com", "xn--ypal-43d9g.com"),
        ("bank.cοm", "https://evil.com", "evil.com"),
        ("bank\u00ad.\u200bcom", "https://evil.com", "evil.com"),
        ("bank·com", "https://evil.com", "evil.com"),
        ("https:/bank.com/x", "https://evil.com", "evil.com"),
        ("http:/\\\\bank.com", "https://evil.com", "evil.com"),
        ("hxxps://bank.com", "https://evil.com", "evil.com"),
        ("ftp://bank.com", "https://evil.com", "evil.com"),
        ("//bank.com", "https://evil.com", "evil.com"),
        ("www.bank.museum", "https://evil.com", "evil.com"),
        ("www.bank.py", "https://evil.com", "evil.com"),
        ("bank.insure/login", "https://evil.com", "evil.com"),
        ("bank.sh/login", "https://evil.com", "evil.com"),
        ("me@bank.com", "mailto:me%40evil.com", "evil.com"),
        ("bank.com", "https://bank.com./", ""),
        ("约翰·史密斯", "https://x.com", ""),
        ("np.array", "https://numpy.org/", ""),
        ("http: the module", "https://docs.python.org/", ""),
        ("python.org", "https://docs.python.org/3", ""),
        ("https://bank.com:443/", "https://bank.com/", ""),
        ("bank.com", "https://www.bank.com/", ""),
        ("me@bank.com", "mailto:me@bank.com?subject=x", ""),
        ("train.py", "https://github.com/x/train.py", ""),
        ("numpy.linalg", "https://numpy.org/", ""),
        ("e.g. this", "https://x.com", ""),
        ("例子.中国", "https://xn--fsqu00a.xn--fiqs8s/", ""),
        ("münchen.de", "https://xn--mnchen-3ya.de", ""),
    ],
)
def test_a_link_that_shows_another_host_names_its_own(text, url, real):
    assert misleads(text, url) == real
    html = render_markdown(f"- [**{text[0]}**{text[1:]}][r]\n\n[r]: {url}")
    assert (f"({real})" in html.partition("</a>")[2]) is bool(real)
    written = safe_markdown(f"[**{text[0]}**{text[1:]}](<{url}>)")
    assert written.endswith(f") ({escaped(real)})" if real else ")")
    nested = safe_markdown(f"[a [b] {text}, {'and more ' * 100} [c] d](<{url}>)")
    assert nested.endswith(f") ({escaped(real)})" if real else ")")


@pytest.mark.parametrize(
    "url", ["https://evil.com\\@bank.com", "https:\\\\evil.com/", "http://a\\b"]
)
def test_a_host_that_browsers_read_otherwise_is_none_to_link_to(url):
    assert not is_linkable(url)
    assert link_open(url) == ""


def test_punycode_stays_as_it_is():
    assert ">https://xn--80ak6aa92e.com<" in render_markdown("<https://xn--80ak6aa92e.com>")


def steps(read, text):
    """How many calls it takes, of Python's functions and of C's."""
    counted = 0

    def count(frame, event, arg):
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        read(text)
    finally:
        sys.setprofile(None)
    return counted


PIECES = [
    *("![", "![![[", "[", "[]", "](", "[a](", "`a", "`` ` ", "<", "<sub>", "<!--", "<!--\n", "$a "),
    *("$$", "\\(", "\\[", "$\\frac1{", "a@b.co ", "> ", "  - a\n", "---\n", "|a\n---\n", "|a"),
    *("|a|b|c\n---\n", "**重点：**这", "*a **b ", "~~a", "&lt;", "[a]: b\n", "[^1]: a\n", "\n"),
    *("a\r", "\x1b[31m", "password=", "key: ", "'''", "def f(\n", '{"a":', "\u202e", "а\u0301"),
    *(" ", "{a"),
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
def test_the_steps_to_read_a_text_grow_with_its_length(piece):
    def text(length):
        return (piece * length)[:length] + "]" * 10

    render_markdown(piece * 100)
    assert steps(render_markdown, text(8000)) < 3 * steps(render_markdown, text(4000)) + 2000


WAYS = {
    "written anew": safe_markdown,
    "logs": lambda text: find_error(parse_logs(text)),
    "code": lambda text: highlight_pieces(text, "python"),
    "tables": tables,
    "keys": lambda text: without_named(redact(text)),
    "values": describe,
    "prompts": lambda text: interpolate(text, {"a": 1}),
    "questions": exposed,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_steps_of_each_way_do_too(way):
    read = WAYS[way]
    for piece in PIECES:
        texts = [(piece * size)[:size] for size in (500, 1000)]
        read(texts[0])
        once, twice = (steps(read, text) for text in texts)
        assert twice < 3 * once + 40 * len(texts[1]), piece


def test_nested_brackets_are_read_once_each():
    for opening in ("[", "!["):
        html = render_markdown(opening * 20_000 + "x" + "]" * 20_000)
        assert "<a" not in html
    assert "<a" in render_markdown("[" * 10 + "[x](http://a.example)" + "]" * 10)
    cited = "".join(f"a [{n}] " for n in range(500)) + "[x](http://a.example)"
    assert "<a" in render_markdown(cited)

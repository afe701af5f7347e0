"""Addresses: how they are shown, what an answer may link to or load, and its sources.

This module is the border between text of models and servers and the reader: nothing is followed or
loaded that it does not allow.

`[n]` in an answer is the 1-based index into the sources of all web searches of the response, in
order (checked on recorded DashScope traffic, 2026). OpenAI's `url_citation` annotations name pages
by address.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from typing import Final
from urllib.parse import unquote, urlsplit

from qwen_magic.document.blocks import NumberedSource
from qwen_magic.document.words import HIDDEN, escaped, revealed, script_of, shorten
from qwen_magic.protocol.items import Item, Message, Source, WebSearchCall

# No backslash before the path: browsers read one as a slash (`https://evil.com\@bank.com`).
_LINKABLE: Final = re.compile(r"https?://[^/\s\\][^/?#\\]*(?:[/?#]|$)|mailto:[^\s]", re.IGNORECASE)
# What a reader takes for a host: behind a scheme or `www.` anything, also as it is written wrongly
# or so that nobody follows it (`hxxps:`); else what ends as hosts do, or goes on with a path.
_ENDS: Final = (
    "com org net edu gov mil info dev app cloud shop site online store xyz biz tech bank finance"
    " money pay insure google apple amazon microsoft pro mobi agency company systems software"
    " solutions international club vip website wiki blog studio"
)
_SHOWN_HOST: Final = re.compile(
    r"(?:h(?:tt|xx)ps?:[/\\]*|\b(?:s?ftp|wss?)://|(?<![\w/\\:])//(?=[^\s/]*\.[^\W\d]))"
    r"(?:[^\s/\\?#@]{0,200}@)?(?P<any>[^\s/\\?#@]+)"
    r"|(?<![\w./@:-])(?:[\w.+-]{1,64}@)?(?P<bare>(?:[\w-]+\.)+"
    rf"(?:{'|'.join(_ENDS.split())}|[^\W\d_]{{2}}|(?=[a-z]*[^\W\d_a-z])[^\W\d_]+|xn--[\w-]+)"
    r"|(?:\d+\.){3}\d+|www\.(?:[\w-]+\.)*[^\W\d_]{2,}|(?:[\w-]+\.)+[^\W\d_]{2,}(?=/))"
    r"(?![\w-]|\.\w)",
    re.IGNORECASE,
)
# Points that are none, between letters of ASCII: `bank·com`.
_UNSEEN: Final = re.compile(rf"{HIDDEN.pattern}|⟨U\+[0-9A-F]{{4,6}}⟩")  # as it is, or revealed
_POINT: Final = re.compile(
    r"(?<=[A-Za-z0-9])[\u00b7\u0387\u2022\u2027\u2219\u22c5](?=[A-Za-z])|[。｡]"
)
_FILES: Final = frozenset({"py", "md", "rs", "sh", "js", "ts", "go", "pl", "cc", "so", "ps", "ml"})
_OWN_FILES: Final = ("", "file", "sandbox", "attachment")
_PICTURE: Final = re.compile(
    r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+", re.IGNORECASE
)


def link_open(url: str, title: str = "", kind: str = "qm-a") -> str:
    """The opening tag of a link; "" if `url` must not be followed."""
    if not is_linkable(url):
        return ""
    said = f' title="{escape(revealed(title))}"' if title else ""
    return (
        f'<a class="{kind}" href="{escape(url)}"{said} rel="noopener noreferrer" target="_blank">'
    )


def misleads(text: str, url: str) -> str:
    """The host that `url` really leads to, where its link's `text` shows another one, or one that
    may be taken for another; "" where it does neither.

    `[bank.com](https://evil.com)`, `[bank.com@evil.com](https://bank.com@evil.com)` → evil.com;
    `[раypal.com](…)`, in two scripts → its punycode; `[python.org](https://docs.python.org)` → "".
    """
    real = _ascii_host(_host(url) or unquote(url).rpartition("@")[2].partition("?")[0])
    if "@" in url.partition("://")[2].partition("/")[0]:  # a name before the host
        return real
    said = _POINT.sub(".", unicodedata.normalize("NFKC", _UNSEEN.sub("", text)))
    for found in _SHOWN_HOST.finditer(said) if real else ():
        host = (found["any"] or found["bare"]).rstrip(".")
        is_file = host.rpartition(".")[2].lower() in _FILES and said[found.end() :][:1] != "/"
        if is_file and not found["any"] and not host.lower().startswith("www."):
            continue
        shown = _ascii_host(host.partition(":")[0])
        is_same = real == shown or real.endswith(f".{shown}")
        if not is_same or (not host.isascii() and _is_mixed(host)):
            return real
    return ""


def _ascii_host(host: str) -> str:
    """A host in its canonical form: lower case, punycode, without `www.`."""
    host = host.lower().removeprefix("www.").removesuffix(".")
    if host.isascii():
        return host
    labels = (
        f"xn--{each.encode('punycode').decode()}" if not each.isascii() else each
        for each in host.split(".")
    )
    return ".".join(labels)


def _is_mixed(host: str) -> bool:
    """Whether a host mixes scripts, or uses letters that look like ASCII."""
    scripts = {script_of(char) for char in host} - {""}
    plain = "".join(char for char in unicodedata.normalize("NFD", host) if ord(char) < 0x250)
    if scripts == {"LATIN"}:  # münchen.de, but not ɡoogle.com
        return len(plain) != len(host)
    return len(scripts) > 1 and not scripts <= {"LATIN", "CJK", "HANGUL"}


def markdown_link(url: str, text: str) -> str:
    """A Markdown link around `text`; only the text if `url` must not be followed."""
    if not is_linkable(url):
        return escaped(text)
    target = re.sub(r"[<>\s\\]", lambda found: f"%{ord(found[0]):02X}", url)
    return f"[{escaped(text)}](<{target}>)"


def is_linkable(url: str) -> bool:
    """Whether `url` is http, https or mailto, not empty, and without hidden characters."""
    return (
        revealed(url) == url
        and not re.search(r"[\t\r\n]", url)  # which browsers leave out
        and bool(_LINKABLE.match(url))
        and (_host(url) != "" or url.lower().startswith("mailto:"))
    )


def is_picture(url: str) -> bool:
    """Whether `url` is a `data:` image, which is shown without a request."""
    return bool(_PICTURE.fullmatch(url))


def is_sandbox_file(url: str) -> bool:
    """Whether `url` is a local file of the machine where the text was written."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return not parts.netloc and parts.scheme.lower() in _OWN_FILES


def remote_host(url: str) -> str:
    """The host in `url`, as written; "" if there is none."""
    return unquote(_host(url))


def host_of(url: str) -> str:
    """The host of an address without `www.`; the whole address if it has none."""
    return _host(url).removeprefix("www.") or shorten(url, 60)


def page_of(url: str) -> str:
    """The last part of an address's path as a title; the host if the path is empty."""
    try:
        parts = [part for part in urlsplit(url).path.split("/") if part]
    except ValueError:
        parts = []
    if not parts:
        return host_of(url)
    title = unquote(parts[-1], errors="replace").replace("_", " ")
    return shorten(title, 80) or host_of(url)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def number_sources(items: Iterable[Item]) -> tuple[NumberedSource, ...]:
    """The sources of all searches, numbered from 1 in their order."""
    found = [source for item in items if isinstance(item, WebSearchCall) for source in item.sources]
    return tuple(_numbered(number, source) for number, source in enumerate(found, 1))


def _numbered(number: int, source: Source, cited: bool = False) -> NumberedSource:
    title = source.title or page_of(source.url)
    return NumberedSource(number, source.url, title, host_of(source.url), cited)


def all_sources(items: Sequence[Item], cited: Iterable[int]) -> tuple[NumberedSource, ...]:
    """All sources of a finished response, from searches and annotations.

    Those that the answer cites (`cited`: the numbers in its text) are marked.
    """
    numbers = set(cited)
    annotated = {
        note.url: note.title
        for item in items
        if isinstance(item, Message)
        for note in item.annotations
        if note.url
    }
    searched = number_sources(items)
    marked = [
        replace(source, cited=source.number in numbers or source.url in annotated)
        for source in searched
    ]
    known = {source.url for source in searched}
    named = [
        _numbered(0, Source(url, title), cited=True)
        for url, title in annotated.items()
        if url not in known
    ]
    return (*marked, *named)


def source_line(source: NumberedSource) -> str:
    """A source as an item of a Markdown list."""
    number = f"\\[{source.number}\\] " if source.number else ""
    return f"- {number}{markdown_link(source.url, source.title)} {escaped(source.host)}"


def by_host(sources: Iterable[NumberedSource]) -> dict[str, list[NumberedSource]]:
    """Sources grouped by host, in the order of each host's first source."""
    groups: dict[str, list[NumberedSource]] = {}
    for source in sources:
        groups.setdefault(source.host, []).append(source)
    return groups

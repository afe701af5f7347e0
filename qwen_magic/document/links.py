"""Addresses: how they read, and what an answer may link to or show.

This is the border between what a model or a server wrote and the reader: nothing is followed or
loaded that does not pass here.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final
from urllib.parse import unquote, urlsplit

from qwen_magic.document.words import escaped, shorten

_LINKABLE: Final = re.compile(r"https?://[^/\s]|mailto:[^\s]", re.IGNORECASE)
_OWN_FILES: Final = ("", "file", "sandbox", "attachment")
_PICTURE: Final = re.compile(
    r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+", re.IGNORECASE
)


def link_open(url: str, title: str = "", kind: str = "qm-a") -> str:
    """The opening tag of a link, "" where `url` is nothing a reader may be sent to."""
    if not is_linkable(url):
        return ""
    said = f' title="{escape(title)}"' if title else ""
    return (
        f'<a class="{kind}" href="{escape(url)}"{said} rel="noopener noreferrer" target="_blank">'
    )


def markdown_link(url: str, text: str) -> str:
    """A link in Markdown around `text`, or that alone where `url` is none to follow."""
    if not is_linkable(url):
        return escaped(text)
    target = re.sub(r"[<>\s\\]", lambda found: f"%{ord(found[0]):02X}", url)
    return f"[{escaped(text)}](<{target}>)"


def is_linkable(url: str) -> bool:
    """Whether `url` is http, https or mailto, with something behind it."""
    return bool(_LINKABLE.match(url)) and (_host(url) != "" or url.lower().startswith("mailto:"))


def is_picture(url: str) -> bool:
    """Whether `url` carries a picture in itself, so that showing it asks nobody."""
    return bool(_PICTURE.fullmatch(url))


def is_sandbox_file(url: str) -> bool:
    """Whether `url` names a file of the machine that the text was written on."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return not parts.netloc and parts.scheme.lower() in _OWN_FILES


def remote_host(url: str) -> str:
    """The host that `url` leads to, as it is written; "" where there is none."""
    return unquote(_host(url))


def host_of(url: str) -> str:
    """The host of an address without `www.`; the address itself where it has none."""
    return _host(url).removeprefix("www.") or shorten(url, 60)


def page_of(url: str) -> str:
    """The last part of an address's path as a title; the host where the path is empty."""
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

"""What a Markdown text may link to or show: the border between an answer and the reader."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import unquote, urlsplit

_LINKABLE = re.compile(r"https?://[^/\s]|mailto:[^\s]", re.IGNORECASE)
_OWN_FILES = ("", "file", "sandbox", "attachment")
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+", re.IGNORECASE)


def link_open(url: str, title: str = "", kind: str = "qm-a") -> str:
    """Return the opening tag of a link, "" where `url` is nothing a reader may be sent to."""
    if not is_linkable(url):
        return ""
    said = f' title="{escape(title)}"' if title else ""
    return (
        f'<a class="{kind}" href="{escape(url)}"{said} rel="noopener noreferrer" target="_blank">'
    )


def is_linkable(url: str) -> bool:
    """Tell whether `url` is http, https or mailto, with something behind it."""
    return bool(_LINKABLE.match(url)) and (host_of(url) != "" or url.lower().startswith("mailto:"))


def is_picture(url: str) -> bool:
    """Tell whether `url` carries a picture in itself, so that showing it asks nobody."""
    return bool(_PICTURE.fullmatch(url))


def is_lost(url: str) -> bool:
    """Tell whether `url` names a file of the machine that the text was written on."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return not parts.netloc and parts.scheme.lower() in _OWN_FILES


def host_of(url: str) -> str:
    """Return the host of a URL, "" when it has none."""
    try:
        return unquote(urlsplit(url).hostname or "")
    except ValueError:
        return ""

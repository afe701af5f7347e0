"""HTTP/1.1 as bytes: request heads read, response heads and chunks written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

MAX_HEAD = 64 * 1024


class BadRequestError(Exception):
    """Bytes that are no HTTP request that this server can answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are in lower case; `path` is decoded and without its query."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: str = "HTTP/1.1"

    @property
    def keep_alive(self) -> bool:
        wish = self.headers.get("connection", "").lower()
        return wish == "keep-alive" if self.version == "HTTP/1.0" else wish != "close"


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole response."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def parse_head(head: bytes) -> Request:
    """The request whose head (without the empty line) is given. Raises `BadRequestError`."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequestError("The request line is not HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError("A header line has no name.")
        headers[name.lower()] = value.strip()
    parts = urlsplit(words[1])
    return Request(words[0], unquote(parts.path), parts.query, headers, b"", words[2])


def content_length(headers: Mapping[str, str]) -> int:
    """The length that the head announces, 0 without one. Raises `BadRequestError`."""
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise BadRequestError("Content-Length is not a number.")
    return int(text)


def head_bytes(status: int, headers: Mapping[str, str]) -> bytes:
    phrase = HTTPStatus(status).phrase
    lines = [
        f"HTTP/1.1 {status} {phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def reply_bytes(reply: Reply, *, keep_alive: bool) -> bytes:
    headers = {
        "content-type": reply.content_type,
        "content-length": str(len(reply.body)),
        **({} if keep_alive else {"connection": "close"}),
        **reply.headers,
    }
    return head_bytes(reply.status, headers) + reply.body


def chunk_bytes(data: bytes) -> bytes:
    """One chunk of a chunked body; empty data is the last chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)

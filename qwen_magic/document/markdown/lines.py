"""Text in pieces to complete lines."""

from __future__ import annotations

import re

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def split_lines(text: str) -> list[str]:
    """Cut text into lines, each with its newline."""
    return _LINE.findall(text)


class LineSplitter:
    r"""Cuts text into lines as the parser does: "\r\n" and "\r" end one too, NUL is replaced."""

    def __init__(self) -> None:
        self.partial = ""  # the line that has begun
        self._fed: list[str] = []
        self._whole: list[str] = []
        self._carriage = ""  # an "\r" whose "\n" may be about to come

    def feed(self, text: str) -> None:
        """Add text at the end."""
        if text:
            self._fed.append(text)

    def lines(self) -> list[str] | None:
        """Return the lines completed since the last call, None when nothing came."""
        if not self._fed:
            return None
        text = self._carriage + "".join(self._fed)
        self._fed = []
        self._carriage = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r")
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        self._whole.append(text)
        if "\n" not in text:
            self.partial += text
            return []
        lines = split_lines(self.partial + text)
        self.partial = "" if lines[-1].endswith("\n") else lines.pop()
        return lines

    def finish(self) -> str:
        """Return the whole text."""
        self.lines()
        return "".join(self._whole) + ("\n" if self._carriage else "")

"""The pages that an answer rests on, with the numbers by which it names them.

`[n]` in an answer is the 1-based place in the sources of all web searches of the response, one
after the other (checked on recorded DashScope traffic, 2026). OpenAI's `url_citation` annotations
name pages by address.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from qwen_magic.document.blocks import NumberedSource
from qwen_magic.document.links import host_of, markdown_link, page_of
from qwen_magic.document.words import escaped
from qwen_magic.protocol.items import Item, Message, Source, WebSearchCall


def number_sources(items: Iterable[Item]) -> tuple[NumberedSource, ...]:
    """The sources of all searches in order, numbered from 1."""
    found = [source for item in items if isinstance(item, WebSearchCall) for source in item.sources]
    return tuple(_numbered(number, source) for number, source in enumerate(found, 1))


def _numbered(number: int, source: Source, cited: bool = False) -> NumberedSource:
    title = source.title or page_of(source.url)
    return NumberedSource(number, source.url, title, host_of(source.url), cited)


def all_sources(items: Sequence[Item], cited: Iterable[int]) -> tuple[NumberedSource, ...]:
    """Every source of a finished response: found by search or named by an annotation, with
    those marked that the answer cites (`cited`: the numbers in its text)."""
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
    """A source as a line of a list in Markdown."""
    number = f"\\[{source.number}\\] " if source.number else ""
    return f"- {number}{markdown_link(source.url, source.title)} {escaped(source.host)}"


def by_host(sources: Iterable[NumberedSource]) -> dict[str, list[NumberedSource]]:
    """Sources by host, hosts in the order of their first source."""
    groups: dict[str, list[NumberedSource]] = {}
    for source in sources:
        groups.setdefault(source.host, []).append(source)
    return groups

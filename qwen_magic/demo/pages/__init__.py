"""The three bundled pages that web_search and web_extractor of the offline demo really read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILES = ("primes.md", "variance.md", "responses-api.md")
HOST = "https://demo.invalid"  # a name that can never exist: nobody takes the links for real pages

_WORD = re.compile(r"[a-z][a-z0-9]*")
_COMMON = frozenset(
    word
    for line in (
        "a an and are about at be by can do does find for from get give has have how i in is it",
        "its look me my of on or out page pages please read say says search show source sources",
        "tell than that the them then there these this to up us use using was web we what when",
        "where which who why will with www you your demo invalid https http first compute",
    )
    for word in line.split()
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where it stands, its title, its paragraphs of one or more sentences."""

    url: str
    title: str
    paragraphs: tuple[str, ...]


@cache
def all_pages() -> tuple[Page, ...]:
    return tuple(_read_page(Path(__file__).with_name(name)) for name in FILES)


def _read_page(path: Path) -> Page:
    title, _, text = path.read_text("utf-8").partition("\n")
    blocks = (" ".join(block.split()) for block in text.split("\n\n"))
    paragraphs = tuple(block for block in blocks if block and not block.startswith("#"))
    return Page(f"{HOST}/{path.stem}", title.lstrip("# ").strip(), paragraphs)


def keywords(text: str) -> tuple[str, ...]:
    """The words that say something, without plural endings, each once, in order."""
    found = _WORD.findall(re.sub(r"['’]s\b", "", text.lower()))
    return tuple(dict.fromkeys(_stem(word) for word in found if word not in _COMMON))


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@cache
def _words(text: str) -> tuple[str, ...]:
    return tuple(_stem(word) for word in _WORD.findall(text.lower()))


@cache
def _weight(word: str) -> float:
    """Rare words say more (inverse document frequency over the paragraphs)."""
    texts = [text for page in all_pages() for text in (page.title, *page.paragraphs)]
    return math.log((1 + len(texts)) / (1 + sum(word in _words(text) for text in texts)))


def _score(wanted: Sequence[str], text: str) -> float:
    words = _words(text)
    return sum(_weight(word) * (1 + 0.2 * words.count(word)) for word in wanted if word in words)


def find_pages(queries: Sequence[str]) -> tuple[Page, ...]:
    """The pages that share words with the queries, best first. A title's words count for more."""
    wanted = keywords(" ".join(queries))
    scored = [
        (_score(wanted, page.title) + sum(_score(wanted, text) for text in page.paragraphs), page)
        for page in all_pages()
    ]
    best = max(score for score, _ in scored)
    hits = [(score, page) for score, page in scored if score and 4 * score >= best]
    return tuple(page for _, page in sorted(hits, key=lambda hit: -hit[0]))


def passages(page: Page, goal: str, most: int = 3) -> tuple[str, ...]:
    """The page's paragraphs that serve the goal best, in the page's order."""
    wanted = keywords(goal)
    ranked = sorted(page.paragraphs, key=lambda text: -_score(wanted, text))
    least = _score(wanted, ranked[0]) / 2
    chosen = [text for text in ranked if _score(wanted, text) >= least][:most]
    return tuple(text for text in page.paragraphs if text in chosen)


def best_sentence(text: str, goal: str) -> str:
    """The sentence of it that serves the goal best, the first of equals."""
    wanted = keywords(goal)
    return max(re.split(r"(?<=[.!?])\s", text), key=lambda sentence: _score(wanted, sentence))


def evidence(url: str, goal: str) -> tuple[tuple[tuple[str, ...], bool], str]:
    """((passages, whether there is such a page), the output that web_extractor gives)."""
    page = next((page for page in all_pages() if page.url == url.rstrip("/")), None)
    if page is None:
        text = (
            f"The page {url} could not be read: the offline demo has three pages of its own only."
        )
        return ((), False), text
    found = passages(page, goal)
    body = "\n\n".join(found)
    summary = best_sentence(" ".join(found), goal)
    output = (
        f"The useful information in {url} for user goal {goal} as follows: \n\n"
        f"Evidence in page: \n{body}\n\nSummary: \n{summary}"
    )
    return (found, True), output

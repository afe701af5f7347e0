"""web_search and web_extractor over the bundled pages, cited as the service cites."""

from __future__ import annotations

import re

from qwen_magic.demo.pages import HOST, Page, best_sentence, find_pages, keywords, passages
from qwen_magic.demo.steps import Found, Think, Work, extract, search
from qwen_magic.demo.turn import Turn

_WANTS = re.compile(
    r"\b(?:search|look(?:ing)? up|google|find out|on the (?:web|internet)|web|sources?|cite|news"
    r"|read the page|web ?page|website)\b|https?://",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://[^\s)>\]\"']+")
_PARTS = re.compile(r"\s+and (?:also |then )?(?:for |about )?|[;?]\s*", re.IGNORECASE)


def matches(turn: Turn) -> bool:
    """Whether the prompt asks for the web."""
    return bool(_WANTS.search(turn.prompt))


def matches_loosely(turn: Turn) -> bool:
    """Whether a search is offered and one of the pages is about what is asked."""
    return "web_search" in turn.tools and bool(find_pages(queries(turn.prompt)))


def queries(prompt: str) -> tuple[str, ...]:
    """What to search for: the prompt's keywords, then those of each of its parts."""
    whole = " ".join(keywords(_URL.sub(" ", prompt))[:8]) or "demo"
    parts = [" ".join(keywords(_URL.sub(" ", part))[:6]) for part in _PARTS.split(prompt)]
    return tuple(dict.fromkeys([whole, *(part for part in parts if part)]))[:4]


def work(turn: Turn) -> Work:
    if "web_search" not in turn.tools:
        yield Think("The user wants the web, but no search tool was offered in this request.")
        return (
            "I may not search: no tool was offered. With `-t web_search` (and `web_extractor` to "
            "read a page) I search the three pages that come with the offline demo."
        )
    asked = queries(turn.prompt)
    yield Think(
        f"The user asks: {' '.join(turn.prompt.split())[:200]}\n\n"
        f"I search for {', '.join(f'“{query}”' for query in asked)}. "
        "The offline demo has three pages; I shall see which of them fit."
    )
    finds = [(yield from search(*asked))]
    if len(asked) > 2 and len(finds[0].pages) > 1:
        yield Think("Each part of the question may have a better page of its own: one more search.")
        finds.append((yield from search(asked[-1])))
    links = _URL.findall(turn.prompt)
    if "web_extractor" in turn.tools and (links or finds[0].pages):
        url = links[0].rstrip(".,") if links else finds[0].pages[0].url
        return (yield from _read(turn, finds, url))
    return _cited(turn, finds)


def _read(turn: Turn, finds: list[Found], url: str) -> Work:
    goal = " ".join(_URL.sub(" ", turn.prompt).split())[:300] or "What the page says"
    why = "is named in the prompt" if url in turn.prompt else "looks best"
    yield Think(f"{url} {why}. I read it for what was asked, and leave out the rest.")
    page = yield from extract(url, goal)
    if not page.known:
        yield Think("That page is none of mine. I say so, and tell what the search found.")
        return f"I could not read {url}: the offline demo reads only {HOST}/….\n\n" + _cited(
            turn, finds
        )
    number = _number(finds, url)
    mark = f" [{number}]" if number else ""
    lines = [f"- {text}{mark}" for text in page.passages]
    return f"From the page {url}{mark}:\n\n" + "\n".join(lines)


def _cited(turn: Turn, finds: list[Found]) -> str:
    """What the found pages say, each sentence with the number of its source."""
    lines: list[str] = []
    seen: set[str] = set()
    for found in finds:
        for number, page in enumerate(found.pages, found.first):
            for text in passages(page, turn.prompt, most=2):
                if text not in seen:
                    seen.add(text)
                    lines.append(f"- {_claim(page, text, turn.prompt)} [{number}]")
    if not lines:
        return (
            "The search found nothing: the offline demo has three pages only, about primes, about "
            "variance and about the Responses API."
        )
    return "I searched the demo's three pages and found:\n\n" + "\n".join(lines)


def _claim(page: Page, text: str, prompt: str) -> str:
    return f"**{page.title}**: {best_sentence(text, prompt)}"


def _number(finds: list[Found], url: str) -> int:
    for found in finds:
        for number, page in enumerate(found.pages, found.first):
            if page.url == url.rstrip("/"):
                return number
    return 0

"""Performs an answer's steps: items grow, events go out, code is run.

One `Stage` serves one response. It is where time passes (the pause between deltas) and where faults
of the middle of a stream strike; what the steps say is decided elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias, assert_never
from uuid import uuid4

from qwen_magic.demo import items
from qwen_magic.demo.events import EventWriter
from qwen_magic.demo.pages import evidence, find_pages
from qwen_magic.demo.response import Response
from qwen_magic.demo.sandbox.runner import Run
from qwen_magic.demo.steps import (
    Call,
    Extract,
    Extracted,
    Found,
    Outcome,
    RunCode,
    Say,
    Search,
    Step,
    Steps,
    Think,
)
from qwen_magic.demo.usage import CHARACTERS_PER_TOKEN

JSON: TypeAlias = dict[str, Any]

_PIECE = re.compile(r"\S{1,24}[ \t]*|\s+")


class StrikeError(Exception):
    """The fault of the middle of the stream strikes now."""


class TokenLimitError(Exception):
    """The answer has reached `max_output_tokens`."""


class Audience(Protocol):
    """Who hears the events: a client's stream, or nobody."""

    async def send(self, data: bytes) -> None: ...

    async def pause(self) -> None:
        """The time between two deltas."""


class Stage:
    """Performs steps into `response.output`. `tools` counts the built-in tools used."""

    def __init__(
        self,
        response: Response,
        writer: EventWriter,
        audience: Audience,
        run_python: Callable[[str], Awaitable[Run]],
        *,
        thinks: bool,
        strike_after: int | None = None,
        max_characters: int | None = None,
        deltas: bool = True,
    ) -> None:
        self._response = response
        self._writer = writer
        self._audience = audience
        self._run_python = run_python
        self._thinks = thinks
        self._strike_after = strike_after
        self._room = max_characters
        self._deltas = deltas
        self._sent = 0
        self._sources = 0
        self._message: JSON | None = None
        self._unsaid = ""
        self.tools: Counter[str] = Counter()

    async def perform(self, steps: Steps) -> str:
        """Play to the end. Returns what was left unsaid: empty unless the token limit came."""
        outcome: Outcome = None
        try:
            while True:
                outcome = await self._play(steps.send(outcome))
        except StopIteration:
            if self._strike_after is not None:
                raise StrikeError from None  # the answer was shorter than that
            await self._end_message("completed")
            return ""
        except TokenLimitError:
            await self._end_message("incomplete")
            return self._unsaid
        finally:
            steps.close()

    async def _play(self, step: Step) -> Outcome:
        match step:
            case Think(text):
                if self._thinks:
                    await self._think(text)
                return None
            case Search(queries):
                return await self._search(queries)
            case Extract(url, goal):
                return await self._extract(url, goal)
            case RunCode(code):
                return await self._run(code)
            case Say(text):
                await self._say(text)
                return None
            case Call(name, arguments):
                await self._call(name, arguments)
                return None
            case _:
                assert_never(step)

    async def _begin(self, item: JSON) -> int:
        index = len(self._response.output)
        self._response.output.append(item)
        await self._audience.send(self._writer.item_added(index, item))
        return index

    async def _end(self, index: int, item: JSON) -> None:
        self._response.output[index] = item
        await self._audience.send(self._writer.item_done(index, item))

    async def _phase(self, tool: str, phase: str, index: int, item_id: str) -> None:
        await self._audience.send(self._writer.tool_phase(tool, phase, index, item_id))
        await self._audience.pause()

    async def _tick(self) -> None:
        """Between two deltas."""
        if self._sent == self._strike_after:
            raise StrikeError
        self._sent += 1
        await self._audience.pause()

    async def _think(self, text: str) -> None:
        id = new_item_id()
        index = await self._begin(items.reasoning(id, None))
        heard = ""
        try:
            for piece in pieces(text):
                if self._deltas:
                    await self._tick()
                    await self._audience.send(self._writer.reasoning_delta(index, id, piece))
                heard += piece
        finally:
            self._response.output[index] = items.reasoning(id, heard)
        await self._audience.send(self._writer.reasoning_done(index, id, text))
        await self._end(index, items.reasoning(id, text))

    async def _search(self, queries: tuple[str, ...]) -> Found:
        id = new_item_id()
        index = await self._begin(items.search_begun(id))
        await self._phase("web_search_call", "in_progress", index, id)
        await self._phase("web_search_call", "searching", index, id)
        pages = find_pages(queries)
        await self._phase("web_search_call", "completed", index, id)
        await self._end(index, items.search_done(id, queries, [page.url for page in pages]))
        found = Found(pages, self._sources + 1)
        self._sources += len(pages)
        self.tools["web_search"] += 1
        return found

    async def _extract(self, url: str, goal: str) -> Extracted:
        id = new_item_id()
        index = await self._begin(items.extractor(id, [url], goal, None))
        await self._audience.pause()
        extracted, output = evidence(url, goal)
        await self._audience.pause()
        await self._end(index, items.extractor(id, [url], goal, output))
        self.tools["web_extractor"] += 1
        return Extracted(*extracted)

    async def _run(self, code: str) -> Run:
        id = new_item_id()
        index = await self._begin(items.interpreter(id, None))
        await self._phase("code_interpreter_call", "in_progress", index, id)
        await self._phase("code_interpreter_call", "interpreting", index, id)
        run = await self._run_python(code)
        await self._phase("code_interpreter_call", "completed", index, id)
        await self._end(index, items.interpreter(id, code, run.logs))
        self.tools["code_interpreter"] += 1
        return run

    async def _call(self, name: str, arguments: str) -> None:
        id, call_id = new_item_id(), f"call_{uuid4().hex[:24]}"
        begun = items.function_call(id, name, "", call_id, "in_progress")
        index = await self._begin(begun)
        await self._audience.pause()
        await self._end(index, items.function_call(id, name, arguments, call_id, "completed"))

    async def _say(self, text: str) -> None:
        message = self._message or await self._begin_message()
        index = len(self._response.output) - 1
        said = 0
        for piece in pieces(text):
            self._unsaid = text[said:]
            if self._room is not None and self._room < len(piece):
                raise TokenLimitError
            if self._deltas:
                await self._tick()
                await self._audience.send(self._writer.text_delta(index, message["id"], piece))
            self._room = None if self._room is None else self._room - len(piece)
            said += len(piece)
            message["content"][0]["text"] += piece

    async def _begin_message(self) -> JSON:
        id = new_item_id()
        index = await self._begin(items.message(id, None, "in_progress"))
        await self._audience.send(self._writer.part_added(index, id))
        self._message = items.message(id, "", "in_progress")
        self._response.output[index] = self._message
        return self._message

    async def _end_message(self, status: str) -> None:
        """End the message, if there is one, with what was said."""
        if self._message is None:
            return
        id, text = self._message["id"], self._message["content"][0]["text"]
        index = len(self._response.output) - 1
        await self._audience.send(self._writer.text_done(index, id, text))
        await self._audience.send(self._writer.part_done(index, id, text))
        await self._end(index, items.message(id, text, status))

    async def cut_short(self) -> str:
        """End the message as incomplete, after a strike that means the token limit. Returns the
        rest of it."""
        await self._end_message("incomplete")
        return self._unsaid


def new_item_id() -> str:
    return f"msg_{uuid4()}"


def pieces(text: str) -> list[str]:
    """The text in deltas of about a word."""
    return _PIECE.findall(text)


def characters(max_output_tokens: int | None) -> int | None:
    return None if max_output_tokens is None else max_output_tokens * CHARACTERS_PER_TOKEN

"""Plays an answer's steps: items grow, events go out, code is run.

An answer is a generator. It yields a step, gets its outcome back, and goes on with what really came
of it; so it can only quote a run that has been made. One `ResponseWriter` serves one response. It
is where time passes (the pause between deltas) and where faults of the middle of a stream strike.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never
from uuid import uuid4

from qwen_magic.demo.http import Exchange
from qwen_magic.demo.runner import Run
from qwen_magic.demo.turn import Turn
from qwen_magic.demo.wire import CHARACTERS_PER_TOKEN, JSON, EventWriter, Response, new_item_id
from qwen_magic.demo.wire import item as wire_item

_PIECE = re.compile(r"\S{1,24}[ \t]*|\s+")  # a delta: about a word


@dataclass(frozen=True, slots=True)
class Think:
    """Reasoning; left out when thinking is off."""

    text: str


@dataclass(frozen=True, slots=True)
class Search:
    """A web search, and the sources that it found."""

    queries: tuple[str, ...]
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Pages read for a goal, and what they gave."""

    urls: tuple[str, ...]
    goal: str
    output: str


@dataclass(frozen=True, slots=True)
class RunCode:
    """A lesson's Python, really run with values given to it. Outcome: `Run`. `shown`: as a call of
    the code interpreter."""

    code: str
    given: Mapping[str, Any] = field(default_factory=dict)
    shown: bool = True

    @property
    def shown_code(self) -> str:
        """Below a comment that says what `given` holds of what the code names, where it is short:
        so a reader can run a copy. The run has it as data."""
        named = {
            name: value for name, value in self.given.items() if f'given["{name}"]' in self.code
        }
        comment = f"# given = {json.dumps(named)}"
        return f"{comment}\n\n{self.code}" if named and len(comment) <= 200 else self.code


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the client's to be called; the turn ends after the last."""

    name: str
    arguments: str  # JSON


@dataclass(frozen=True, slots=True)
class Say:
    """Part of the answer's text."""

    text: str


Step: TypeAlias = Think | Search | Read | RunCode | Call | Say
Steps: TypeAlias = Generator[Step, Run | None, None]


class StrikeError(Exception):
    """The fault of the middle of the stream strikes now."""


class TokenLimitError(Exception):
    """The answer has reached `max_output_tokens`."""


class ResponseWriter:
    """Plays steps into `response.output`. `tools` counts the built-in tools used."""

    def __init__(
        self,
        response: Response,
        turn: Turn,
        listener: Exchange | None,  # the client's stream; None for an answer in one piece
        run_code: Callable[[RunCode], Run],
        *,
        strike_after: int | None = None,  # deltas
    ) -> None:
        self._response = response
        self._turn = turn
        self._listener = listener
        self._run_code = run_code
        self._strike_after = strike_after
        self._events = EventWriter(
            agent=turn.thinks or bool(turn.body.get("tools")),
            old_reasoning=turn.switches.reasoning == "old",
        )
        limit = turn.body.get("max_output_tokens")
        self._room = None if limit is None else limit * CHARACTERS_PER_TOKEN
        self._sent = 0
        self._message: JSON | None = None
        self._unsaid = ""
        self.tools: Counter[str] = Counter()

    def tell(self, kind: str) -> None:
        """`response.created`, `.in_progress` and the terminal events."""
        self._send(self._events.lifecycle(f"response.{kind}", self._response))

    def _send(self, event: bytes) -> None:
        if self._listener is not None:
            self._listener.send(event)

    def _pause(self) -> None:
        if self._listener is not None:
            self._listener.pause(self._turn.switches.delay)

    def play(self, steps: Steps) -> str:
        """Play to the end. Returns what was left unsaid: empty unless the token limit came."""
        outcome: Run | None = None
        try:
            while True:
                outcome = self._play(steps.send(outcome))
        except StopIteration:
            if self._strike_after is not None:
                raise StrikeError from None  # the answer was shorter than that
            self._end_message("completed")
            return ""
        except TokenLimitError:
            return self.cut_short(steps)
        finally:
            steps.close()

    def cut_short(self, steps: Steps | None = None) -> str:
        """End the message as incomplete. Returns the rest of it, and of the texts that follow."""
        self._end_message("incomplete")
        rest = [self._unsaid]
        for step in steps or ():
            if not isinstance(step, Say):
                break
            rest.append(step.text)
        return "\n\n".join(rest)

    def _play(self, step: Step) -> Run | None:
        if not isinstance(step, Say):
            self._end_message("completed")
        match step:
            case Think(text):
                if self._turn.thinks:
                    self._think(text)
            case Search(queries, urls):
                sources = [{"type": "url", "url": url} for url in urls]
                action = {"type": "search", "query": queries[0], "queries": list(queries)}
                item = self._begin("web_search_call")
                self._phases(item, "in_progress", "searching", "completed")
                self._end(item, action={**action, "sources": sources})
            case Read(urls, goal, output):
                item = self._begin("web_extractor_call", urls=list(urls), goal=goal)
                self._pause()
                self._end(item, output=output)
            case RunCode():
                return self._run(step)
            case Say(text):
                self._say(text)
            case Call(name, arguments):
                call_id = f"call_{uuid4().hex[:24]}"
                item = self._begin("function_call", name=name, call_id=call_id)
                self._pause()
                self._end(item, arguments=arguments)
            case _:
                assert_never(step)
        return None

    @property
    def _index(self) -> int:
        return len(self._response.output) - 1

    def _begin(self, kind: str, **fields: Any) -> JSON:
        """Add an item; it is the newest of the output until it is ended."""
        id = new_item_id()
        item = wire_item(kind, id=id, container_id=id, status="in_progress", **fields)
        self._response.output.append(item)
        shown = {k: v for k, v in item.items() if (kind, k) != ("web_extractor_call", "output")}
        self._send(self._events.item("added", self._index, shown))
        return item

    def _end(self, item: JSON, status: str = "completed", **fields: Any) -> None:
        item |= {"status": status, **fields} if "status" in item else fields
        if item["type"] not in ("message", "reasoning", "function_call"):
            self.tools[item["type"].removesuffix("_call")] += 1
        self._send(self._events.item("done", self._index, item))

    def _phases(self, item: JSON, *phases: str) -> None:
        for phase in phases:
            self._send(self._events.phase(item["type"], phase, self._index, item["id"]))
            self._pause()

    def _tick(self) -> None:
        """Between two deltas."""
        if self._sent == self._strike_after:
            raise StrikeError
        self._sent += 1
        self._pause()

    def _think(self, text: str) -> None:
        item = self._begin("reasoning")
        for piece in _PIECE.findall(text):
            before = item["summary"][0]["text"] if item["summary"] else ""
            if not self._turn.switches.done_only:
                self._tick()
                self._send(self._events.reasoning("delta", self._index, item["id"], piece))
            item["summary"] = [{"type": "summary_text", "text": before + piece}]
        self._send(self._events.reasoning("done", self._index, item["id"], text))
        self._end(item)

    def _run(self, step: RunCode) -> Run:
        if not step.shown:
            return self._run_code(step)
        item = self._begin("code_interpreter_call")
        self._phases(item, "in_progress", "interpreting")
        run = self._run_code(step)
        self._phases(item, "completed")
        self._end(item, code=step.shown_code, outputs=[{"type": "logs", "logs": run.logs}])
        return run

    def _say(self, text: str) -> None:
        if self._message is None:
            self._message = self._begin("message")
            self._send(self._events.part("added", self._index, self._message["id"], ""))
            self._message["content"] = [wire_item("text")]
        elif self._message["content"][0]["text"]:
            text = f"\n\n{text}"
        id, part = self._message["id"], self._message["content"][0]
        said = 0
        for piece in _PIECE.findall(text):
            self._unsaid = text[said:]
            if self._room is not None and self._room < len(piece):
                raise TokenLimitError
            if not self._turn.switches.done_only:
                self._tick()
                self._send(self._events.text("delta", self._index, id, piece))
            self._room = None if self._room is None else self._room - len(piece)
            said += len(piece)
            part["text"] += piece

    def _end_message(self, status: str) -> None:
        """End the message, if there is one, with what was said."""
        if self._message is None:
            return
        item, self._message = self._message, None
        text = item["content"][0]["text"]
        self._send(self._events.text("done", self._index, item["id"], text))
        self._send(self._events.part("done", self._index, item["id"], text))
        self._end(item, status)

"""Writes one response: items grow, events go out, code is run.

It is where time passes (the pause between deltas), where faults of the middle of a stream strike,
and where the token limit is honoured: what is said beyond it stands in `unsaid`, and goes out when
the user asks to continue.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from uuid import uuid4

from qwen_magic.demo.http import Connection
from qwen_magic.demo.runner import Run
from qwen_magic.demo.turn import AskedTurn
from qwen_magic.demo.wire import CHARACTERS_PER_TOKEN, JSON, EventWriter, Response, like

_PIECE = re.compile(r"\S{1,24}[ \t]*|\s+")  # a delta: about a word


RunCode: TypeAlias = Callable[[str, Mapping[str, Any], Callable[[], None]], Run]


class StrikeError(Exception):
    """A fault in the middle of the stream is due now."""


class ResponseWriter:
    """Adds to `response.output`, and tells each step to a client that streams, until it is `broken`
    off. `tools` counts the built-in tools used."""

    def __init__(
        self,
        response: Response,
        turn: AskedTurn,
        client: Connection,
        run: RunCode,
        strike: Callable[[str], None],
        after: int | None,
    ) -> None:
        """`strike` is called after so many deltas, with what there is still to say."""
        self._response = response
        self._turn = turn
        self._client = client
        self._run_code = run
        self._strike = strike
        self._strike_after = after
        self._agent = turn.thinks or bool(turn.body.get("tools"))
        self._events = EventWriter(agent=self._agent)
        limit = turn.body.get("max_output_tokens")
        self._room = None if limit is None else limit * CHARACTERS_PER_TOKEN
        self._sent = 0
        self.broken = False
        self.message: JSON | None = None  # the one that is being written
        self.unsaid = ""
        self.tools: Counter[str] = Counter()

    def tell(self, kind: str) -> None:
        """`created`, `in_progress` and the terminal events."""
        if self._tells:
            body = self._response.as_json("agent" if self._agent else "plain")
            if not self._agent:
                body["created_at"] = float(body["created_at"])  # as in the samples of a text stream
            self._client.send(self._events.event(kind, response=body))

    def think(self, text: str) -> None:
        """Write reasoning, unless thinking is off."""
        if self._turn.thinks and not self.unsaid:
            old = self._turn.switches.reasoning == "old"
            kind = "reasoning_summary_text" if old else "reasoning_text"
            item = self._begin("reasoning")
            told = ""
            for piece in _PIECE.findall(text):
                self._tick()
                self._send(f"{kind}.delta", delta=piece)
                told += piece
                item["summary"] = [{"type": "summary_text", "text": told}]
            self._send(f"{kind}.done", text=text)
            self._end()

    def use_tool(self, kind: str, begun: JSON, done: JSON, phases: tuple[str, ...] = ()) -> None:
        """An item of another kind: its fields as it is added, those when it is done, and the phases
        that are told between."""
        if not self.unsaid:
            self._begin(kind, **begun)
            self._phases(kind, *phases)
            self._pause()
            self._end(**done)

    def run(self, code: str, given: Mapping[str, Any]) -> Run:
        """Run a lesson's Python: as a call of the code interpreter, where that is offered. Above
        the code stands what `given` holds of what it names, so that a reader can run a copy."""
        kind = "code_interpreter_call"
        if self.unsaid or "code_interpreter" not in self._turn.tools:
            return self._run_code(code, given, self._look)
        self._begin(kind)
        self._phases(kind, "in_progress", "interpreting")
        run = self._run_code(code, given, self._look)
        self._phases(kind, "completed")
        named = {name: value for name, value in given.items() if f'given["{name}"]' in code}
        comment = f"# given = {json.dumps(named)}\n\n" if named else ""
        shown = comment * (len(comment) <= 200) + code
        self._end(code=shown, outputs=[{"type": "logs", "logs": run.logs}])
        return run

    def say(self, text: str) -> None:
        """Write a paragraph of the answer's text."""
        if self.unsaid:
            self.unsaid += f"\n\n{text}"
            return
        if self.message is None:
            self.message = self._begin("message")
            self._send("content_part.added", part=like("items", "text", {}))
            self.message["content"] = [like("items", "text", {})]
        elif self.message["content"][0]["text"]:
            text = f"\n\n{text}"
        part = self.message["content"][0]
        said = 0
        for piece in _PIECE.findall(text):
            if self._room is not None and self._room < len(piece):
                self.unsaid = text[said:]
                return
            self._room = None if self._room is None else self._room - len(piece)
            self._tick(text[said:])
            self._send("output_text.delta", delta=piece)
            said += len(piece)
            part["text"] += piece

    def end(self, status: str = "completed") -> None:
        """End the current message, if there is one."""
        if self.message is not None:
            part = self.message["content"][0]
            self.message = None
            self._send("output_text.done", text=part["text"])
            self._send("content_part.done", part=part)
            self._end(status)

    def _send(self, kind: str, index: int = 0, **fields: Any) -> None:
        """An event of the newest item."""
        if self._tells:
            place = index or len(self._response.output) - 1
            item_id = self._response.output[-1]["id"]
            event = self._events.event(kind, output_index=place, item_id=item_id, **fields)
            self._client.send(event)

    def _begin(self, kind: str, **fields: Any) -> JSON:
        """Add an item; it is the newest of the output until it is ended. Every id is `msg_<uuid>`,
        whatever the type."""
        self.end()
        id = f"msg_{uuid4()}"
        own = {"id": id, "container_id": id, "status": "in_progress", **fields}
        item = like("items", kind, own)
        self._response.output.append(item)
        self._send("output_item.added", item=item)
        return item

    def _end(self, status: str = "completed", **fields: Any) -> None:
        item = self._response.output[-1]
        item |= {"status": status, **fields} if "status" in item else fields
        if item["type"] not in ("message", "reasoning", "function_call"):
            self.tools[item["type"].removesuffix("_call")] += 1
        # As in Alibaba's sample: with the index of the next item after reasoning.
        index = len(self._response.output) if item["type"] == "reasoning" else 0
        self._send("output_item.done", index, item=item)

    def _phases(self, kind: str, *phases: str) -> None:
        for phase in phases:
            self._send(f"{kind}.{phase}")
            self._pause()

    def _tick(self, left: str = "") -> None:
        """Between two deltas; `left` is what there is still to say."""
        if self._sent == self._strike_after:
            self._strike(left)
        self._sent += 1
        self._pause()

    def _pause(self) -> None:
        if self._turn.streams:
            self._wait(self._turn.switches.delay)

    def _look(self) -> None:
        self._wait(0.0)

    def _wait(self, seconds: float) -> None:
        """Raises `ClientGoneError` as soon as the client closes."""
        if not self.broken:
            self._client.pause(seconds)

    @property
    def _tells(self) -> bool:
        return self._turn.streams and not self.broken

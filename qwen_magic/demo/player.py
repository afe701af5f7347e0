"""Answers one request to `/responses`, from its body to the response that is kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from qwen_magic.demo.answering import answer
from qwen_magic.demo.faults import FAULTS, fail, strike
from qwen_magic.demo.http import Exchange, RefusedError
from qwen_magic.demo.lesson import read_lessons
from qwen_magic.demo.request import check_outputs, check_request
from qwen_magic.demo.response_writer import Audience, ResponseWriter, RunCode, StrikeError
from qwen_magic.demo.runner import Run, Runner
from qwen_magic.demo.store import FigureStore, Kept, ResponseStore
from qwen_magic.demo.switches import SwitchError, Switches, prompt_switches
from qwen_magic.demo.turn import input_items, newest_prompt, read_turn
from qwen_magic.demo.wire import JSON, EventWriter, Response, to_json, usage

ELSEWHERE = "http://figures.example.invalid"  # a host that there is not


@dataclass(frozen=True, slots=True)
class Asked:
    """One checked request, with all that its answer depends on."""

    body: JSON
    switches: Switches
    previous: Kept | None
    items: tuple[JSON, ...]  # this turn's own input
    context: list[JSON]  # the whole conversation up to here

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream")) and not self.switches.plain_json

    @property
    def thinks(self) -> bool:
        effort = (self.body.get("reasoning") or {}).get("effort")
        return bool(self.body.get("enable_thinking")) if effort is None else effort != "none"


class Player:
    """Answers requests; `switches` are the server's own, and may be changed while it runs."""

    def __init__(
        self,
        lessons: Sequence[Path],
        switches: Switches,
        runner: Runner,
        figures: FigureStore,
        url: str,
    ) -> None:
        self.store = ResponseStore()
        self.switches = switches
        self._lessons = lessons
        self._runner = runner
        self._figures = figures
        self._url = url
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()

    def change(self, **switches: Any) -> None:
        """Other switches for the requests to come; the count of failures begins anew."""
        self.switches = self.switches.changed(switches)
        self._failures.clear()

    def play(self, exchange: Exchange, body: JSON) -> None:
        """Raises `RefusedError`, `ClientGoneError`, `LessonError`."""
        asked = self._read(body)
        if exchange.record is not None:
            exchange.record.context = asked.context
        rest = asked.previous.rest if asked.previous else ""
        turn = read_turn(body, asked.context, rest, asked.switches)
        steps, lesson = answer(turn, read_lessons(self._lessons))
        fault = self._fault(asked)
        if fault and FAULTS[fault].kind != "stream":
            fail(exchange, fault, asked.switches, streams=asked.streams)
            return
        response = Response(f"resp_{uuid4()}", int(time.time()), body)
        if exchange.record is not None:
            exchange.record.response_id = response.id
            exchange.record.lesson = lesson
        events = EventWriter(
            agent=asked.thinks or bool(body.get("tools")),
            old_reasoning=asked.switches.reasoning == "old",
        )
        audience = Audience(exchange if asked.streams else None, asked.switches.delay)
        writer = ResponseWriter(
            response,
            events,
            audience,
            lambda step: self._run(step, exchange, asked.switches),
            thinks=asked.thinks,
            strike_after=asked.switches.after if fault else None,
            max_output_tokens=body.get("max_output_tokens"),
            deltas=not asked.switches.done_only,
        )
        if asked.streams:
            exchange.open_stream()
        audience.send(events.lifecycle("response.created", response))
        response.status = "in_progress"
        audience.send(events.lifecycle("response.in_progress", response))
        try:
            unsaid = writer.play(steps)
            response.status = "incomplete" if unsaid else "completed"
        except StrikeError:
            unsaid = strike(exchange, writer, response, fault, streams=asked.streams)
        if response.status == "incomplete":
            response.incomplete_reason = "max_output_tokens"
        self._keep(asked, response, writer, unsaid)
        if not asked.streams:
            exchange.reply(response.as_json())
            return
        kind = "completed" if fault == "incomplete-inside" else response.status
        audience.send(events.lifecycle(f"response.{kind}", response))
        if asked.switches.done_marker:
            audience.send(b"data: [DONE]\n\n")
        exchange.end_stream()

    def _read(self, body: JSON) -> Asked:
        check_request(body)
        items = input_items(body["input"])
        demo = body.get("demo") or {}
        if not isinstance(demo, dict):
            raise RefusedError("The request's demo is not an object of switches.")
        try:
            switches = self.switches.changed({**demo, **prompt_switches(newest_prompt(items))})
        except SwitchError as error:
            raise RefusedError(str(error)) from error
        if switches.forget:
            self.store.forget()
        previous = self._previous(body, switches)
        context = [*(previous.items() if previous else ()), *items]
        check_outputs(context)
        return Asked(body, switches, previous, tuple(items), context)

    def _previous(self, body: JSON, switches: Switches) -> Kept | None:
        """The response that is continued; None for a new conversation. Raises `RefusedError`.

        `keeps`: as DashScope. `forgets`: the same, but an id whose chain has `forget_after` turns
        is unknown. `refuses`: 400, as llama.cpp. `ignores`: nothing made of it, as Ollama.
        """
        id = body.get("previous_response_id")
        if not id or switches.chain == "ignores":
            return None
        if switches.chain == "refuses":
            message = "llama.cpp does not support 'previous_response_id'."
            raise RefusedError(message, "invalid_request_error", nested=True)
        kept = self.store.get(id)
        forgets = switches.chain == "forgets"
        if kept is None or (forgets and len(kept.chain()) >= switches.forget_after):
            raise RefusedError(f"Not found previous_response_id: {id}")
        return kept

    def _fault(self, asked: Asked) -> str:
        """The fault that strikes this request; empty when none does (any more)."""
        switches = asked.switches
        if switches.error and switches.fail_first:
            own = switches.fail_first == self.switches.fail_first
            scope = "" if own else newest_prompt(asked.items)
            with self._lock:
                self._failures[scope] += 1
                if self._failures[scope] > switches.fail_first:
                    return ""
        return switches.error

    def _run(self, step: RunCode, exchange: Exchange, switches: Switches) -> Run:
        """The run, with links to its figures in the logs where it is shown."""
        run = self._runner.run(step.code, step.given, lambda: exchange.pause(0))
        if not step.shown:
            return replace(run, figures=())
        host = ELSEWHERE if switches.figures == "elsewhere" else self._url
        links = [
            f"![fig-{n:03}]({host}{self._figures.add(png, time.time(), switches.figures)})"
            for n, png in enumerate(run.figures, 1)
        ]
        return replace(run, logs="\n\n".join([*([run.logs] if run.logs else []), *links]))

    def _keep(self, asked: Asked, response: Response, writer: ResponseWriter, unsaid: str) -> None:
        """Count tokens, name the turn before, and keep the response if it may be continued."""
        told = asked.body.get("instructions") or ""
        counted = usage(asked.context, told, response.output, writer.tools)
        response.usage = {"real": counted, "zero": usage(), "none": None}[asked.switches.usage]
        if asked.previous is not None:
            response.previous_response_id = asked.previous.id
        if asked.body.get("store") is False or response.status == "failed":
            return
        body, output = response.as_json(), tuple(response.output)
        size = len(to_json(body)) + len(to_json(asked.items))
        self.store.keep(Kept(response.id, body, asked.items, output, asked.previous, unsaid, size))

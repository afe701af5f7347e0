"""Answers one request to `/responses`, from its body to the response that is kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from qwen_magic.demo.answering import answer
from qwen_magic.demo.faults import FAULTS, fail, strike
from qwen_magic.demo.http import Exchange, RefusedError
from qwen_magic.demo.lesson import read_lessons
from qwen_magic.demo.request import check_outputs, check_request
from qwen_magic.demo.response_writer import ResponseWriter, RunCode, StrikeError
from qwen_magic.demo.runner import Run, Runner
from qwen_magic.demo.store import Figure, Kept, Store
from qwen_magic.demo.switches import SwitchError, Switches, prompt_switches
from qwen_magic.demo.turn import Turn, newest_prompt, read_turn
from qwen_magic.demo.wire import JSON, Response, to_json, usage

FIGURE_PATH = "/code-interpreter/temp_files/"
FIGURE_SECONDS = 12 * 3600  # as long as the service's links live
ELSEWHERE = "http://figures.example.invalid"  # a host that there is not


class Player:
    """Answers requests; `switches` are the server's own, and may be changed while it runs."""

    def __init__(
        self, lessons: Sequence[Path], switches: Switches, runner: Runner, url: str
    ) -> None:
        self.responses: Store[Kept] = Store()
        self.figures: Store[Figure] = Store()
        self.switches = switches
        self._lessons = lessons
        self._runner = runner
        self._url = url
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()

    def change(self, **switches: Any) -> None:
        """Other switches for the requests to come; the count of failures begins anew."""
        self.switches = self.switches.changed(switches)
        self._failures.clear()

    def play(self, exchange: Exchange, body: JSON) -> None:
        """Raises `RefusedError`, `ClientGoneError`, `LessonError`."""
        turn = self._read(body)
        switches = turn.switches
        exchange.record.context = turn.context
        steps, exchange.record.lesson = answer(turn, read_lessons(self._lessons))
        fault = self._fault(turn)
        if fault and FAULTS[fault].kind != "stream":
            fail(exchange, fault, switches, streams=turn.streams)
            return
        response = Response(f"resp_{uuid4()}", int(time.time()), body)
        exchange.record.response_id = response.id
        writer = ResponseWriter(
            response,
            turn,
            exchange if turn.streams else None,
            lambda step: self._run(step, exchange, switches),
            strike_after=switches.after if fault else None,
        )
        if turn.streams:
            exchange.open_stream()
        writer.tell("created")
        response.status = "in_progress"
        writer.tell("in_progress")
        try:
            unsaid = writer.play(steps)
            response.status = "incomplete" if unsaid else "completed"
        except StrikeError:
            unsaid = strike(exchange, writer, response, fault, streams=turn.streams)
        if response.status == "incomplete":
            response.incomplete_reason = "max_output_tokens"
        self._keep(turn, response, writer, unsaid)
        if not turn.streams:
            exchange.reply(response.as_json())
            return
        writer.tell("completed" if fault == "incomplete-inside" else response.status)
        if switches.done_marker:
            exchange.send(b"data: [DONE]\n\n")
        exchange.end_stream()

    def _read(self, body: JSON) -> Turn:
        check_request(body)
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        demo = body.get("demo") or {}
        if not isinstance(demo, dict):
            raise RefusedError("The request's demo is not an object of switches.")
        try:
            switches = self.switches.changed({**demo, **prompt_switches(newest_prompt(items))})
        except SwitchError as error:
            raise RefusedError(str(error)) from error
        if switches.forget:
            self.responses.forget()
        turn = read_turn(body, items, self._previous(body, switches), switches)
        check_outputs(turn.context)
        return turn

    def _previous(self, body: JSON, switches: Switches) -> Kept | None:
        """The response that is continued; None for a new conversation. Raises `RefusedError`.

        `keeps`: as DashScope. `forgets`: the same, but an id whose chain has `forget_after` turns
        is unknown. `refuses`: 400, as llama.cpp. `ignores`: nothing made of it, and
        nothing kept, as Ollama. `unnamed`: as `keeps`, but no answer names the one before it, as
        llama-stack.
        """
        id = body.get("previous_response_id")
        if not id or switches.chain == "ignores":
            return None
        if switches.chain == "refuses":
            message = "llama.cpp does not support 'previous_response_id'."
            raise RefusedError(message, "invalid_request_error", nested=True)
        kept = self.responses.get(id)
        forgets = switches.chain == "forgets"
        if kept is None or (forgets and len(kept.chain()) >= switches.forget_after):
            raise RefusedError(f"Not found previous_response_id: {id}")
        return kept

    def _fault(self, turn: Turn) -> str:
        """The fault that strikes this request; empty when none does (any more)."""
        most = turn.switches.fail_first
        if turn.switches.error and most:
            scope = "" if most == self.switches.fail_first else newest_prompt(turn.items)
            with self._lock:
                self._failures[scope] += 1
                if self._failures[scope] > most:
                    return ""
        return turn.switches.error

    def _run(self, step: RunCode, exchange: Exchange, switches: Switches) -> Run:
        """The run, with links to its figures in the logs."""
        run = self._runner.run(step.code, step.given, lambda: exchange.pause(0))
        blocks = [run.logs] if run.logs else []
        for number, png in enumerate(run.figures if step.shown else (), 1):
            path, expires = (
                f"{FIGURE_PATH}code-output-{uuid4()}.png",
                int(time.time()) + FIGURE_SECONDS,
            )
            self.figures.keep(path, Figure(png, expires, switches.figures), len(png))
            host = ELSEWHERE if switches.figures == "elsewhere" else self._url
            blocks.append(f"![fig-{number:03}]({host}{path}?Expires={expires})")
        return replace(run, logs="\n\n".join(blocks))

    def _keep(self, turn: Turn, response: Response, writer: ResponseWriter, unsaid: str) -> None:
        """Count tokens, name the turn before, and keep the response if it may be continued."""
        told = turn.body.get("instructions") or ""
        counted = usage(turn.context, told, response.output, writer.tools)
        response.usage = {"real": counted, "zero": usage(), "none": None}[turn.switches.usage]
        chain = turn.switches.chain
        if turn.previous is not None and chain != "unnamed":
            response.previous_response_id = turn.previous.body["id"]
        stores = turn.body.get("store") is not False and chain != "ignores"
        if stores and response.status != "failed":
            body = response.as_json()
            kept = Kept(body, turn.items, turn.previous, unsaid)
            self.responses.keep(response.id, kept, len(to_json([body, turn.items])))

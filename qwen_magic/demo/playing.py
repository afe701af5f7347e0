"""Answers one request to `/responses`, from its body to the response that is kept."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import uuid4

from qwen_magic.demo.chain import find_previous
from qwen_magic.demo.events import EventWriter, to_json
from qwen_magic.demo.exchange import Exchange
from qwen_magic.demo.failing import fail, strike
from qwen_magic.demo.faults import FAULTS
from qwen_magic.demo.intents import answer
from qwen_magic.demo.replies import json_reply
from qwen_magic.demo.response import Response, plain_response
from qwen_magic.demo.sandbox.workshop import Workshop
from qwen_magic.demo.stage import Stage, StrikeError, characters
from qwen_magic.demo.store import Kept, ResponseStore
from qwen_magic.demo.switches import SwitchError, Switches, prompt_switches
from qwen_magic.demo.turn import input_items, newest_prompt, read_turn
from qwen_magic.demo.usage import usage, zero_usage
from qwen_magic.demo.validation import RefusedError, check_request

JSON: TypeAlias = dict[str, Any]


class Listener:
    """Hears a stream's events: the client."""

    def __init__(self, exchange: Exchange, delay: float) -> None:
        self._exchange = exchange
        self._delay = delay

    async def send(self, data: bytes) -> None:
        await self._exchange.send(data)

    async def pause(self) -> None:
        if self._delay:
            await self._exchange.pause(self._delay)
        else:
            await asyncio.sleep(0)  # lets the loop see a close


class Nobody:
    """Hears nothing: for an answer in one piece."""

    async def send(self, data: bytes) -> None:
        pass

    async def pause(self) -> None:
        await asyncio.sleep(0)


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

    @property
    def is_agent(self) -> bool:
        """Whether the stream has the form of the samples with thinking and tools."""
        return self.thinks or bool(self.body.get("tools"))


class Player:
    """Answers requests; `switches` are the server's own, and may be changed while it runs."""

    def __init__(
        self,
        store: ResponseStore,
        switches: Switches,
        workshop: Workshop,
    ) -> None:
        self.switches = switches
        self._store = store
        self._workshop = workshop
        self._failures: Counter[str] = Counter()

    def change(self, **switches: Any) -> None:
        """Other switches for the requests to come; the count of failures begins anew."""
        self.switches = self.switches.changed(switches)
        self._failures.clear()

    async def play(self, exchange: Exchange, body: JSON) -> None:
        """Raises `RefusedError`, `ClientGoneError`."""
        asked = self._read(body)
        if exchange.record is not None:
            exchange.record.context = asked.context
        fault = self._fault(asked)
        if fault and FAULTS[fault].kind != "stream":
            await fail(exchange, fault, asked.switches, streams=asked.streams)
            return
        await self._respond(exchange, asked, fault)

    def _read(self, body: JSON) -> Asked:
        check_request(body)
        items = input_items(body["input"])
        try:
            words = prompt_switches(newest_prompt(items))[1]
            switches = self.switches.changed({**_demo_key(body), **words})
        except SwitchError as error:
            raise RefusedError(str(error)) from error
        if switches.forget:
            self._store.forget()
        previous = find_previous(body, self._store, switches)
        context = [*(previous.items() if previous else ()), *items]
        _check_results(context)
        return Asked(body, switches, previous, tuple(items), context)

    def _fault(self, asked: Asked) -> str:
        """The fault that strikes this request; empty when none does (any more)."""
        switches = asked.switches
        if switches.error and switches.fail_first:
            own = switches.fail_first == self.switches.fail_first
            scope = "" if own else newest_prompt(asked.items)
            self._failures[scope] += 1
            if self._failures[scope] > switches.fail_first:
                return ""
        return switches.error

    async def _respond(self, exchange: Exchange, asked: Asked, fault: str) -> None:
        response = Response(f"resp_{uuid4()}", int(time.time()), asked.body)
        if exchange.record is not None:
            exchange.record.response_id = response.id
        writer = EventWriter(agent=asked.is_agent, reasoning=asked.switches.reasoning)
        listener = Listener(exchange, asked.switches.delay) if asked.streams else Nobody()
        stage = Stage(
            response,
            writer,
            listener,
            lambda code: self._workshop.run(code, exchange, asked.switches.figures),
            thinks=asked.thinks,
            strike_after=asked.switches.after if fault else None,
            max_characters=characters(asked.body.get("max_output_tokens")),
            deltas=not asked.switches.done_only,
        )
        if asked.streams:
            await exchange.open_stream()
        await self._perform(exchange, asked, stage, response, writer, listener, fault)

    async def _perform(
        self,
        exchange: Exchange,
        asked: Asked,
        stage: Stage,
        response: Response,
        writer: EventWriter,
        listener: Listener | Nobody,
        fault: str,
    ) -> None:
        await listener.send(writer.lifecycle("response.created", response))
        response.status = "in_progress"
        await listener.send(writer.lifecycle("response.in_progress", response))
        rest = asked.previous.rest if asked.previous else ""
        turn = read_turn(asked.body, asked.context, rest, asked.switches)
        try:
            unsaid = await stage.perform(answer(turn))
            response.status = "incomplete" if unsaid else "completed"
        except StrikeError:
            unsaid = await strike(exchange, stage, response, fault, streams=asked.streams)
        if response.status == "incomplete":
            response.incomplete_reason = "max_output_tokens"
        self._finish(asked, response, stage, unsaid)
        if not asked.streams:
            await exchange.reply(json_reply(plain_response(response)))
            return
        kind = "completed" if fault == "incomplete-inside" else response.status
        await listener.send(writer.lifecycle(f"response.{kind}", response))
        if asked.switches.done_marker:
            await listener.send(b"data: [DONE]\n\n")
        await exchange.end_stream()

    def _finish(self, asked: Asked, response: Response, stage: Stage, unsaid: str) -> None:
        """Count tokens, name the turn before, and keep the response if it may be continued."""
        instructions = asked.body.get("instructions") or ""
        counted = usage(asked.context, instructions, response.output, stage.tools)
        response.usage = {"real": counted, "zero": zero_usage(), "none": None}[asked.switches.usage]
        if asked.previous is not None:
            response.previous_response_id = asked.previous.id
        if asked.body.get("store") is False or response.status == "failed":
            return
        body = plain_response(response)
        size = len(to_json(body)) + len(to_json(asked.items))
        output = tuple(response.output)
        self._store.keep(Kept(response.id, body, asked.items, output, asked.previous, unsaid, size))


def _demo_key(body: JSON) -> JSON:
    demo = body.get("demo") or {}
    if not isinstance(demo, dict):
        raise SwitchError("The request's demo is not an object of switches.")
    return demo


def _check_results(context: list[JSON]) -> None:
    """A function's output must follow its call."""
    calls: set[Any] = set()
    for item in context:
        if item.get("type") == "function_call":
            calls.add(item.get("call_id"))
        elif item.get("type") == "function_call_output" and item.get("call_id") not in calls:
            raise RefusedError(
                f"No tool call found for function call output: {item.get('call_id')}"
            )

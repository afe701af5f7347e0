"""A running turn: its machine, the open stream, and two drivers for what the machine asks.

    batches_sync    blocks
    batches         awaits, on the caller's event loop

Both yield the events of the turn's streams after the machine was fed with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, assert_never

from qwen_magic.client.reader import Received
from qwen_magic.session.turn import Action, Open, StreamEnd, TurnMachine
from qwen_magic.session.view import TICK
from qwen_magic.tools.execution import ainvoke, approve, interrupt_cancels, invoke
from qwen_magic.tools.loop import Approve, Invoke, Wait
from qwen_magic.tools.policy import ToolPolicy

if TYPE_CHECKING:
    from qwen_magic.client import Stream
    from qwen_magic.session.plan import Plan
    from qwen_magic.session.session import TurnClient
    from qwen_magic.session.telemetry import Watch

_KEPT_WITHIN: Final = 1.5  # seconds


class RunningTurn:
    """A turn's machine together with its open stream."""

    def __init__(
        self,
        machine: TurnMachine,
        client: TurnClient,
        stream: Stream,
        policy: ToolPolicy,
        step: Callable[[], None] | None,
        watch: Watch | None,
    ) -> None:
        """`stream`: the open stream of the machine's first plan. `step` is called at each look.
        `watch` reports the turn to logging and OpenTelemetry, and has reported its start.
        """
        self.machine = machine
        self.client = client
        self.watch = watch
        self._steps = machine.steps()
        self._reply: object = None  # what came of the action that was done last
        self._plan = machine.plan
        self._stream = stream
        self._policy = policy
        self._step = step

    def batches_sync(self, interval: float) -> Iterator[list[Received]]:
        """Drive the machine, blocking. `interval`: the shortest time between two batches, in
        seconds.
        """
        while (action := self._next()) is not None:
            yield self.machine.fetched()
            match action:
                case Open(plan=plan):
                    for batch in self._open(plan).batches_sync(interval):
                        self.machine.feed(batch)
                        self._look()
                        yield batch
                    self._reply = self._stream_end()
                case Approve(question=question):
                    self._reply = approve(question, self._policy.prompt)
                case Invoke():
                    may_nest, warn = self._policy.may_nest, self.machine.warn
                    with self._watched(action):
                        self._reply = invoke(action, self._look, may_nest=may_nest, warn=warn)
                case Wait():
                    time.sleep(TICK)
                    self._look()
                case _:
                    assert_never(action)
        yield self.machine.fetched()

    async def batches(self, interval: float) -> AsyncGenerator[list[Received], None]:
        """Drive the machine on the caller's event loop."""
        while (action := self._next()) is not None:
            yield self.machine.fetched()
            match action:
                case Open(plan=plan):
                    async for batch in self._open(plan).batches(interval):
                        self.machine.feed(batch)
                        self._look()
                        yield batch
                    self._reply = self._stream_end()
                case Approve(question=question):
                    with interrupt_cancels():
                        self._reply = approve(question, self._policy.prompt)
                case Invoke():
                    with interrupt_cancels(), self._watched(action):
                        self._reply = await ainvoke(action, self._look)
                case Wait():
                    await asyncio.sleep(TICK)
                    self._look()
                case _:
                    assert_never(action)
        yield self.machine.fetched()

    def _next(self) -> Action | None:
        """The next action of the machine; None at the end."""
        reply, self._reply = self._reply, None
        try:
            return self._steps.send(reply)
        except StopIteration:
            return None

    def _open(self, plan: Plan) -> Stream:
        """The stream of `plan`."""
        if plan is not self._plan:
            if self.watch is not None:
                self.watch.asks(plan)
            self._plan, self._stream = plan, self.client.open(plan)
            if self.machine.stop_asked:  # just before there was this stream
                self._stream.stop()
        return self._stream

    def _stream_end(self) -> StreamEnd:
        """How the stream ended."""
        if self.watch is not None:
            self.watch.answered(self.machine.state, self._stream.error)
        return StreamEnd(self._stream.error, self._stream.stopped)

    def _watched(self, action: Invoke) -> AbstractContextManager[object]:
        """A context manager around a function call, for telemetry."""
        return self.watch.runs(action) if self.watch is not None else nullcontext()

    def _look(self) -> bool:
        """Tick the machine and call `step`; return whether the turn was stopped.

        Called about thirty times a second.
        """
        self.machine.tick(self._stream.retrying)
        if self._step is not None:
            self._step()
        return self.machine.stop_asked

    def stop(self) -> None:
        """Stop the turn, from any thread."""
        self.machine.stop_asked = True
        self._stream.stop()

    def look(self) -> None:
        """Process what has arrived without waiting for the interval to end; from any thread."""
        self._stream.look()

    def cut_off(self, *, patience: float) -> None:
        """End the turn now and feed what has arrived; wait `patience` seconds for the connection to
        close.
        """
        self.stop()
        self._stream.wait(patience)
        batch, _ended = self._stream.drain()
        self.machine.feed(batch)
        self.machine.cut_off(self._stream_end())

    def wait(self) -> None:
        """Wait until the newest exchange is recorded, milliseconds after the turn's last event."""
        self._stream.wait(_KEPT_WITHIN)

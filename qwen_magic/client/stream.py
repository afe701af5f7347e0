"""One response as it comes: produced on the engine's loop, consumed on any other thread.

    waiting --first output--> streaming --terminal event, failure--> ended
       | ^                        |
       | '- a pause, next attempt |        stop(), at any time --> ended, `stopped`
       '--------------------------'

`ended` is what the consumer sees (the last batch was given); `done` follows it when the
connection is cleaned up.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import aclosing
from types import TracebackType
from typing import Final

from qwen_magic.client.cancelling import Canceller
from qwen_magic.client.engine import Engine
from qwen_magic.client.error_body import request_id
from qwen_magic.client.http import Ask, Http, Reply
from qwen_magic.client.reader import AnswerReader, Received
from qwen_magic.client.redact import hush
from qwen_magic.client.retry import AttemptError, Backoff
from qwen_magic.client.thread_queue import Handoff
from qwen_magic.client.transport_errors import own_fault
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import QwenError, redact

# After the terminal event the server has this long to end the body, so that the connection can be
# used again; after a bare `error`, to send the `response.failed` that belongs to it.
_GRACE: Final = 1.0

Sleep = Callable[[float], Awaitable[object]]


class Stream:
    """The events of one response. `with stream:` stops it at the end of the block.

    - `error`: after the end, what failed, or None;
    - `retrying`: while it waits to try again, one line that says so, else "";
    - `attempts`: how many attempts failed and were followed by another;
    - `first_byte_at`: `time.monotonic` of the first byte of a body, or None;
    - `request_id`: of the newest reply's headers, or "".
    """

    def __init__(
        self,
        engine: Engine,
        ask: Ask,
        endpoint: Endpoint,
        model: str = "",
        *,
        retries: int = 2,
        backoff: Backoff | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.error: QwenError | None = None
        self.retrying = ""
        self.first_byte_at: float | None = None
        self.request_id = ""
        self.attempts = 0
        self._engine = engine
        self._ask = ask
        self._endpoint = endpoint
        self._model = model
        self._retries = retries
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._handoff = Handoff[Received]()
        self._done = threading.Event()
        self._stop_asked = False
        self._complete = False
        self._canceller = Canceller()

    # the consumer: any thread but the engine's

    def drain(self) -> tuple[list[Received], bool]:
        """What came since the last call, and whether it was the last. Never waits."""
        return self._handoff.drain()

    def batches(self, interval: float = 1 / 30) -> AsyncIterator[list[Received]]:
        """What comes, the first at once, then at most every `interval` seconds. An empty batch
        tells that `retrying` has changed."""
        return self._handoff.batches(interval)

    def batches_sync(self, interval: float = 1 / 30) -> Iterator[list[Received]]:
        """What came, every `interval` seconds; often nothing, so that the caller can look at
        other things. An interrupt is raised here at once."""
        return self._handoff.batches_sync(interval)

    def stop(self) -> None:
        """Close the connection soon, and keep what came. Returns at once; idempotent."""
        if not self._stop_asked:
            self._stop_asked = True
            self._engine.call(self._cancel_for_stop)

    @property
    def stopped(self) -> bool:
        """Whether `stop`, or the end of the engine, came before the end of the answer."""
        return (self._stop_asked or self.done) and not self._complete and self.error is None

    @property
    def done(self) -> bool:
        """Whether it has ended, and its connection is cleaned up."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until `done`; False when `timeout` seconds were not enough."""
        return self._done.wait(timeout)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # the producer: the engine's thread

    async def run(self, http: Http) -> None:
        """Answer, with as many attempts as are allowed."""
        self._canceller.bind(asyncio.current_task())
        try:
            while not self._stop_asked:
                failure, held = await self._attempt(http)
                if failure is None or self._stop_asked or not self._may_retry(failure):
                    self._conclude(failure, held)
                    break
                await self._rest(failure)
        except asyncio.CancelledError:
            pass  # by `stop`, or by the engine's close
        finally:
            self._canceller.bind(None)

    def settle(self, future: Future[None]) -> None:
        """The end, whatever its reason; `future` is that of `run`."""
        fault = None if future.cancelled() else future.exception()
        if fault is not None:
            self.error = own_fault(fault)
        self.retrying = ""
        self._handoff.end()
        self._done.set()

    async def _attempt(self, http: Http) -> tuple[AttemptError | None, list[Received]]:
        """One request: what went wrong, and the events that were held back meanwhile."""
        reader: AnswerReader | None = None
        try:
            async with http.open(self._ask, self._canceller.trace) as reply:
                self.request_id = request_id(reply.headers)
                reader = AnswerReader(reply.status, reply.headers, self._endpoint, self._model)
                await self._read(reply, reader)
            self._hand_on(reader.finish(time.monotonic()))
        except AttemptError as failure:
            if reader is None:
                return failure, []
            broken = None if reader.complete else failure
            return reader.failure or broken, reader.release()
        except asyncio.CancelledError:
            if reader is None or not reader.ending:
                raise
            self._canceller.forget()  # all of worth had come
        return reader.failure, reader.release()

    async def _read(self, reply: Reply, reader: AnswerReader) -> None:
        grace: asyncio.TimerHandle | None = None
        try:
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    at = time.monotonic()
                    self.first_byte_at = self.first_byte_at or at
                    self._hand_on(reader.feed(chunk, at))
                    if reader.ending and grace is None:
                        grace = asyncio.get_running_loop().call_later(
                            _GRACE, self._canceller.cancel
                        )
                        self._conclude_early(reader)
                    if reader.enough:
                        return
        finally:
            if grace is not None:
                grace.cancel()

    def _may_retry(self, failure: AttemptError) -> bool:
        return failure.retry is not None and self.attempts < self._retries

    async def _rest(self, failure: AttemptError) -> None:
        """Wait before the next attempt."""
        pause = self._backoff.pause(failure, self.attempts)
        self.attempts += 1
        words = redact(failure.error.message, self._endpoint.key).rstrip(".")
        self.retrying = f"{words}; trying again in {max(1, math.ceil(pause))} s"
        self._handoff.nudge()
        await self._sleep(pause)
        self.retrying = ""
        self._handoff.nudge()

    def _conclude_early(self, reader: AnswerReader) -> None:
        """Let the consumer go at the terminal event, not only at the end of the body."""
        if reader.complete and not (reader.failure and self._may_retry(reader.failure)):
            self._conclude(reader.failure, reader.release())
            self._handoff.end()

    def _conclude(self, failure: AttemptError | None, held: Iterable[Received]) -> None:
        self._hand_on(held)
        self._complete = failure is None
        self.error = hush(failure.error, self._endpoint.key) if failure else None

    def _hand_on(self, events: Iterable[Received]) -> None:
        for received in events:
            self._handoff.put(received)

    def _cancel_for_stop(self) -> None:
        # What is complete needs no stop, and a cancel now could cut short its clean-up.
        if not self._complete:
            self._canceller.cancel()

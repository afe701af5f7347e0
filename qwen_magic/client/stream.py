"""One response as it comes: produced on the engine's loop, consumed on any other thread.

    waiting --first output--> streaming --terminal event, failure--> ended
       | ^                        |
       | '- a pause, next attempt |        stop(), at any time --> ended, `stopped`
       '--------------------------'

`ended` is what the consumer sees (the last batch was given); `done` follows it when the
connection is cleaned up.

A failed attempt is made again only where nothing can have begun: the connection never stood, or the
service turned the request away before any output. A request that may have been taken up is never
sent twice: the answer would be paid twice, and the code in it run twice.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Final

from qwen_magic.client.engine import Engine, ThreadQueue
from qwen_magic.client.error_body import LONGEST_PAUSE, request_id
from qwen_magic.client.http import HttpRequest
from qwen_magic.client.tape import Opener, Response
from qwen_magic.client.transport_errors import unexpected
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import QwenError, RetryReason, redact_error
from qwen_magic.masking import redact

if TYPE_CHECKING:
    from qwen_magic.client.reader import AnswerReader, Received

# After the terminal event the server has this long to end the body, so that the connection can be
# used again; after a bare `error`, to send the `response.failed` that belongs to it.
_LARGE: Final = 512 * 1024  # bytes of a chunk, which the network has none of
_GRACE: Final = 1.0

_ALONG: Final = 0.005  # seconds for reading what came while a stream was not looked at
_BRIEF: Final = 0.001  # seconds after a batch without text

# So many streams are looked at as soon as something comes; each further one makes all looks rarer
# by so many seconds (every 56 ms for 50 streams): a look at each costs more than what is seen.
_FEW: Final = 10
_EACH: Final = 0.0014

# Mean first pause is half of this many seconds; DashScope's rate limits recover within a minute.
_BASE: Final[Mapping[RetryReason, float]] = {"connection": 0.5, "busy": 2.0, "rate": 4.0}
# Trace events of httpcore after which a new connection has no owner until the next event.
_UNOWNED: Final = ("connect_tcp.complete", "start_tls.complete")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter; the server's Retry-After goes before it."""

    random: Callable[[], float] = random.random  # in [0, 1)

    def pause(self, failure: QwenError, attempt: int) -> float:
        """Seconds to wait after `attempt` (0 is the first) failed."""
        if failure.retry_after is not None:
            return min(failure.retry_after, LONGEST_PAUSE)
        base = _BASE[failure.retry or "connection"]
        return self.random() * min(base * 2.0**attempt, LONGEST_PAUSE)


class Stream:
    """The events of one response. `with stream:` stops it at the end of the block.

    - `error`: after the end, what failed, or None;
    - `retrying`: while it waits to try again, one line that says so, else "";
    - `attempts`: how many attempts failed and were followed by another;
    - `first_byte_at`: `time.monotonic` of the first byte of a body, or None;
    - `request_id`: of the newest response's headers, or "";
    - `source`: where the answer comes from, where that is not the server (`tape.Opener`);
    - `started_at`: when it was asked for; `request`, `endpoint`, `opener`: by what, where, how.
    """

    def __init__(
        self,
        engine: Engine,
        opener: Opener,
        request: HttpRequest,
        endpoint: Endpoint,
        model: str = "",
        sent_id: str = "",
        *,
        retries: int = 2,
        backoff: Backoff | None = None,
        beside: Sized = (),
    ) -> None:
        """`beside`: the streams that are open now, this one too."""
        self.source = opener.source
        self.started_at = time.monotonic()
        self._came: list[tuple[float, bytes]] = []
        self._packed: tuple[list[tuple[float, int]], bytes] | None = None  # the same, at the end
        self.error: QwenError | None = None
        self.retrying = ""
        self.first_byte_at: float | None = None
        self.request_id = ""
        self.attempts = 0
        self._engine = engine
        self.opener = opener
        self.request = request
        self.endpoint = endpoint
        self._model = model
        self._sent_id = sent_id
        self._retries = retries
        self._backoff = backoff or Backoff()
        self._beside = beside
        self._queue: ThreadQueue[Received] = ThreadQueue()
        self._done = threading.Event()
        self._sent = threading.Event()
        self._stop_asked = False
        self._complete = False
        self._canceller = Canceller()

    # the consumer: any thread but the engine's

    def drain(self) -> tuple[list[Received], bool]:
        """What came since the last call, and whether it was the last. Never waits."""
        return self._queue.drain()

    def batches(self, interval: float = 1 / 30) -> AsyncIterator[list[Received]]:
        """What came: the first at once, then every `interval` seconds, or less often where many
        streams are open; the end at once. Often nothing, so that the caller can look at other
        things."""
        return self._queue.batches(partial(self._pause_after, interval))

    def batches_sync(self, interval: float = 1 / 30) -> Iterator[list[Received]]:
        """The same for a caller that blocks. An interrupt is raised here at once."""
        return self._queue.batches_sync(partial(self._pause_after, interval))

    def _pause_after(self, interval: float, batch: list[Received]) -> float:
        """Seconds in which nothing follows `batch`. Only text uses up an interval: the first word
        does not wait because an event went before it that shows next to nothing."""
        from qwen_magic.protocol.events import TextDelta

        has_text = any(isinstance(received.event, TextDelta) for received in batch)
        return interval if has_text else min(interval, _BRIEF)

    def look(self) -> None:
        """Have the next batch given at once, also an empty one."""
        self._queue.look()

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

    @property
    def came(self) -> list[tuple[float, bytes]]:
        """The newest body as it came, in pieces with their times (`time.monotonic`)."""
        if self._packed is None:
            return self._came
        sizes, packed = self._packed
        body = BytesIO(zlib.decompress(packed))
        return [(at, body.read(size)) for at, size in sizes]

    def wait_until_sent(self, timeout: float) -> None:
        """Wait until the request is on its way, or `timeout` seconds."""
        self._sent.wait(timeout)

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

    async def run(self) -> None:
        """Answer, with as many attempts as are allowed."""
        self._canceller.bind(asyncio.current_task())
        try:
            while not self._stop_asked:
                failure, held = await self._attempt()
                if failure is None or self._stop_asked or not self._may_retry(failure):
                    self._conclude(failure, held)
                    break
                await self._wait_before_retry(failure)
        except asyncio.CancelledError:
            pass  # by `stop`, or by the engine's close
        finally:
            self._canceller.bind(None)

    def settle(self, future: Future[None]) -> None:
        """The end, whatever its reason; `future` is that of `run`."""
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self.error = unexpected(error)
        self.retrying = ""
        self._queue.end()
        self._sent.set()
        self._done.set()
        # A trace keeps it: 40 KB of text come as a megabyte of events, which packed are 60 KB.
        body = b"".join(piece for _, piece in self._came)
        self._packed = [(at, len(piece)) for at, piece in self._came], zlib.compress(body, 1)
        self._came = []

    async def _attempt(self) -> tuple[QwenError | None, list[Received]]:
        """One request: what went wrong, and the events that were held back meanwhile."""
        reader: AnswerReader | None = None
        self._came.clear()
        try:
            async with self.opener.open(self.request, self._trace) as response:
                # Here, so that the first request of a process need not wait for it.
                from qwen_magic.client.reader import AnswerReader

                self.request_id = request_id(response.headers)
                reader = AnswerReader(
                    response.status,
                    response.headers,
                    self.endpoint,
                    self._model,
                    self._sent_id,
                )
                await self._read(response, reader)
            self._hand_on(reader.finish(time.monotonic()))
        except QwenError as failure:
            if reader is None:
                return failure, []
            broken = None if reader.complete else failure
            return reader.failure or broken, reader.release()
        except asyncio.CancelledError:
            if reader is None or not (reader.ending or reader.enough):
                self._hand_on(reader.release() if reader else [])
                raise
            self._canceller.reset()  # all of worth had come
            if reader.enough:
                reader.finish(time.monotonic())
        return reader.failure, reader.release()

    async def _trace(self, event: str, info: object) -> None:
        if event.endswith("send_request_body.complete"):
            self._sent.set()
        await self._canceller.trace(event, info)

    async def _read(self, response: Response, reader: AnswerReader) -> None:
        """Feed `reader` with what comes. Servers write each event as a chunk of its own; those that
        are there together are taken together, when this task waits for more: the loop calls `take`
        then. Where many streams are open it lets more come first."""
        loop, arrived = asyncio.get_running_loop(), list[bytes]()
        grace: asyncio.TimerHandle | None = None

        def take() -> None:
            nonlocal grace
            if not arrived:
                return
            chunk, at = b"".join(arrived), time.monotonic()
            arrived.clear()
            self.first_byte_at = self.first_byte_at or at
            self._came.append((at, chunk))
            self._hand_on(reader.feed(chunk, at))
            if reader.ending and grace is None:
                grace = loop.call_later(_GRACE, self._canceller.cancel)
                self._conclude_early(reader)
            if reader.enough:
                self._canceller.cancel()

        try:
            async with aclosing(response.chunks()) as chunks:
                pause = 0.0  # the first comes at once
                async for chunk in chunks:
                    if not arrived:
                        if pause:
                            await asyncio.sleep(pause)
                            loop.call_later(_ALONG, take)
                        else:
                            loop.call_soon(take)
                        crowd = max(0, len(self._beside) - _FEW)
                        pause = 0.0 if reader.ending else crowd * _EACH
                    arrived.append(chunk)
                    if len(chunk) >= _LARGE:  # as decompression gives them, without a pause
                        take()
                        await asyncio.sleep(0)
        finally:
            take()
            if grace is not None:
                grace.cancel()

    def _may_retry(self, failure: QwenError) -> bool:
        return failure.retry is not None and self.attempts < self._retries

    async def _wait_before_retry(self, failure: QwenError) -> None:
        """Wait before the next attempt."""
        pause = self._backoff.pause(failure, self.attempts)
        self.attempts += 1
        words = redact(failure.message, self.endpoint.key).rstrip(".")
        self.retrying = f"{words}; trying again in {max(1, math.ceil(pause))} s"
        logging.getLogger("qwen_magic").warning(self.retrying)
        await self.opener.sleep(pause)
        self.retrying = ""

    def _conclude_early(self, reader: AnswerReader) -> None:
        """Let the consumer go at the terminal event, not only at the end of the body."""
        if reader.complete and not (reader.failure and self._may_retry(reader.failure)):
            self._conclude(reader.failure, reader.release())
            self._queue.end()

    def _conclude(self, failure: QwenError | None, held: Iterable[Received]) -> None:
        self._hand_on(held)
        self._complete = failure is None
        self.error = redact_error(failure, self.endpoint.key) if failure else None

    def _hand_on(self, events: Iterable[Received]) -> None:
        self._queue.put(*events)

    def _cancel_for_stop(self) -> None:
        # What is complete needs no stop, and a cancel now could cut short its clean-up.
        if not self._complete:
            self._canceller.cancel()


class Canceller:
    """Cancels one task at most once, and not in the moment when its connection has no owner.

    Both are traps of httpcore (seen in 1.0 and 2): a second cancel, while the first one closes the
    connection, leaves it open and the server writing; and a cancel between the making of the
    connection and the first byte of the request leaves an open socket that nobody owns.

        idle --cancel--> asked, and the task is cancelled     when the connection has an owner
        idle --cancel--> asked                                while it has none …
                           --trace: the next step--> the task is cancelled
        asked --cancel--> asked                               nothing: the first one is at work
        asked --reset--> idle                                 the task caught it and goes on

    Example: Stop is clicked between `connect_tcp.complete` and `send_request_headers.started`.
    `cancel` only notes it; the trace of the latter, 0.1 ms later, cancels, and httpcore, which now
    knows the connection, closes it.

    All of it runs on the task's loop. `trace` is httpcore's `trace` extension of the request.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._unowned = False

    def bind(self, task: asyncio.Task[None] | None) -> None:
        """`task` is the one to cancel from now on; None: it has ended."""
        self._task = task

    def cancel(self) -> None:
        """Cancel the task, or do so as soon as that is safe. Again: nothing."""
        if self._asked or self._task is None:
            return
        self._asked = True
        if not self._unowned:
            self._task.cancel()

    def reset(self) -> None:
        """The task has caught its cancellation, and may be cancelled anew."""
        self._asked = False
        if self._task is not None:
            self._task.uncancel()

    async def trace(self, event: str, info: object) -> None:
        was_unowned, self._unowned = self._unowned, event.endswith(_UNOWNED)
        if was_unowned and not self._unowned and self._asked and self._task is not None:
            self._task.cancel()

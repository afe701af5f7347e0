"""Runs Python for many answers at once, without ever holding up the event loop."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from qwen_magic.demo.figures import FigureMode
from qwen_magic.demo.sandbox.runner import FigureUrl, Limits, PythonRun, Run, new_cache_folder

AT_ONCE = 4


class Waiter(Protocol):
    """Who waits for a run."""

    async def unless_gone(self, work: asyncio.Future[Run]) -> None:
        """Return when the work is done; raise when nobody wants it any more."""


class Workshop:
    """Each run in a daemon thread of its own: a pool's threads would hold up a kernel's end."""

    def __init__(self, limits: Limits, figure_url: Callable[[bytes, FigureMode], str]) -> None:
        self._limits = limits
        self._figure_url = figure_url
        self._places = asyncio.Semaphore(AT_ONCE)
        self._running: dict[PythonRun, threading.Thread] = {}
        self._cache_folder: Path | None = None

    async def run(self, code: str, waiter: Waiter, figures: FigureMode = "served") -> Run:
        """The run's outcome. The run is killed when the waiter's `unless_gone` raises."""
        async with self._places:
            if self._cache_folder is None:
                self._cache_folder = new_cache_folder()
            run = PythonRun(code, self._cache_folder, self._limits)
            work = self._begin(run, lambda png: self._figure_url(png, figures))
            try:
                await waiter.unless_gone(work)
            except BaseException:
                run.kill()
                raise
            return work.result()

    def _begin(self, run: PythonRun, figure_url: FigureUrl) -> asyncio.Future[Run]:
        loop = asyncio.get_running_loop()
        work: asyncio.Future[Run] = loop.create_future()

        def settle(outcome: Run | BaseException) -> None:
            self._running.pop(run, None)
            if work.done():
                return
            if isinstance(outcome, BaseException):
                work.set_exception(outcome)
            else:
                work.set_result(outcome)

        def wait() -> None:
            try:
                outcome: Run | BaseException = run.wait(figure_url)
            except BaseException as error:
                outcome = error
            loop.call_soon_threadsafe(settle, outcome)

        thread = threading.Thread(target=wait, name="qwen-demo-run", daemon=True)
        self._running[run] = thread
        thread.start()
        return work

    def close(self) -> None:
        """Kill what runs, and wait until it has put its folders away."""
        for run, thread in tuple(self._running.items()):
            run.kill()
            thread.join()
        if self._cache_folder is not None:
            shutil.rmtree(self._cache_folder, ignore_errors=True)

"""The notebook for a question (`-n`): read out of the page that shows it, else out of its file,
else out of what the kernel remembers.

A page is asked through the hidden widget of the answers' actions, and is given a bounded time: it
may be closed, busy, or of a front end whose notebook no script can see. Then the file speaks, which
is as old as its last save; in a terminal, and where there is no file, the shell's history.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from qwen_magic.context.cell_text import Masks, figures_in, texts_of
from qwen_magic.context.description import brief
from qwen_magic.context.masked_names import names_patterns
from qwen_magic.context.notebook import (
    FoundCell,
    Seen,
    answer,
    cells_of_file,
    finding,
    finding_failed,
    read_selection,
    reading,
)
from qwen_magic.context.secrets import Secrets, written_secrets
from qwen_magic.context.steps import RanCell, read_marker
from qwen_magic.conversation.scope import read_text
from qwen_magic.document.words import number_of
from qwen_magic.errors import UsageError
from qwen_magic.frontends.jupyter import WAITING
from qwen_magic.frontends.kernel import (
    CommPump,
    cell_id,
    kernel_of,
    request_session,
    stop_reaches_sync_cell,
    takes_input,
)
from qwen_magic.magics.base import NOTEBOOK_NAME, interrupted, scope_of
from qwen_magic.masking import SECRET_NAMES, is_secret_name, known_secrets
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart

if TYPE_CHECKING:
    from qwen_magic.frontends.widget import ActionsWidget, PageRequest
    from qwen_magic.magics.settings import QwenSettings

T = TypeVar("T")
# What is asked of a page, one request after the other; None comes back where none answers.
Steps = Generator[JSON, Any, T]
Search: TypeAlias = Callable[[], Steps[FoundCell | None]]

_TICK: Final = 0.005  # seconds between looks at whether a reply has come
_PATIENCE: Final = 4.0  # seconds for a page that may be busy, or be loading what answers
_NOBODY: Final = 0.3  # seconds where nobody answered before
# Seconds for the page that the cell was run from, where only others are known.
_OTHERS: Final = 0.25


class Page:
    """The pages that show this kernel's notebook. `widget`: what reaches them, or None."""

    def __init__(self, shell: Any, widget: Callable[[], ActionsWidget | None]) -> None:
        self._shell = shell
        self._widget = widget
        self._is_missing = False  # nobody answered the last time

    async def run(self, steps: Steps[T], *, awaits: bool) -> T:
        """What `steps` come to. In a cell that `awaits` the kernel handles messages meanwhile."""
        try:
            request = next(steps)
            while True:
                request = steps.send(await self.ask(request, awaits=awaits))
        except StopIteration as done:
            value: T = done.value
            return value
        except asyncio.CancelledError:  # ipykernel's way of an interrupt
            raise interrupted("nothing more was sent") from None

    async def ask(self, request: JSON, session: str = "", *, awaits: bool = True) -> Any:
        """The reply of the page that the cell was run from, else of another; None without one.
        Where no cell runs, `session` is the page's, and no other answers for it, which may show an
        older notebook."""
        asked: list[PageRequest] = []
        for _ in self._waiting(request, asked, session, blocks=not awaits):
            if awaits:
                await asyncio.sleep(_TICK)
            else:
                time.sleep(_TICK)
        is_theirs = asked and (not session or asked[-1].is_its_own)
        return asked[-1].reply if is_theirs else None

    def _waiting(
        self, request: JSON, made: list[PageRequest], session: str = "", *, blocks: bool
    ) -> Iterator[None]:
        """Ask, and go on until the reply is there or is waited for no longer. What was asked last
        of the pages is in `made`. A page that was loaded again has another session since: where
        nobody answers, the newest page is asked."""
        widget = self._widget() if takes_input(self._shell) else None
        if widget is None or (blocks and not stop_reaches_sync_cell(self._shell, widget)):
            return
        pump = CommPump(self._shell)
        others = math.inf if session else _OTHERS
        session = session or request_session(self._shell)
        try:
            for page in (session, ""):
                asked = widget.request(session=page or widget.newest_page, **request)
                made.append(asked)
                try:
                    yield from self._until(asked, widget, pump.step or (lambda: None), others)
                finally:
                    widget.forget(asked)
                is_answered = asked.is_its_own or (asked.came and others == _OTHERS)
                if is_answered or widget.newest_page in ("", session):
                    break
        finally:
            pump.close()
        self._is_missing = not asked.came

    def _until(
        self, asked: PageRequest, widget: ActionsWidget, step: Callable[[], None], others: float
    ) -> Iterator[None]:
        """`others`: seconds for the page itself, once another has answered."""
        began = time.monotonic()
        came: float | None = None
        while not asked.is_its_own:
            now = time.monotonic()
            if asked.came and came is None:
                came = now
            patience = _NOBODY if self._is_missing and not widget.pages else _PATIENCE
            is_open = asked.message["session"] in widget.pages
            others = max(others, _PATIENCE if is_open else _OTHERS)
            if now - began > patience or (came is not None and now - came > others):
                return
            step()
            yield


class NotebookReader:
    """Reads the notebook for the questions of one shell."""

    def __init__(self, shell: Any, settings: QwenSettings, page: Page) -> None:
        self._shell = shell
        self._settings = settings
        self._page = page

    async def read(self, selection: str, masked: bool, whole: bool, *, awaits: bool) -> RequestPart:
        """What of the notebook goes with the question. `masked`: without what may be a secret;
        `whole`: without a budget. Raises `UsageError`."""
        steps = partial(self._steps, selection, masked, whole)
        seen, source = await self._from_page(steps, awaits), "as the page shows it"
        if seen is None:
            cells, source = self._saved() or self.remembered(1)
            seen = answered(steps(), cells)
        assert seen is not None  # a list of cells answers all that is asked
        from qwen_magic.context.dataframe.describing import estimate_tokens

        about = f"{seen.about}, {source}"
        size = number_of(estimate_tokens(seen.text), "token")
        told = f"notebook {selection}: {about}, about {size}"
        return RequestPart("notebook", selection, seen.text, about, told=told)

    def has_secret(self, source: str) -> bool:
        """Whether anything in a cell's source would be kept back."""
        secrets = self.masks().secrets
        for literal in written_secrets(source):
            secrets.add(literal)
        return secrets.mask(source, code=True) != source

    def named(self, target: str) -> Search:
        """For the cell that somebody names (see `finding`)."""
        return partial(finding, target, cell_id(self._shell))

    def failed(self, number: int | None, source: str) -> Search:
        """For the cell that the new `source` is to replace, where that of this number failed."""
        return partial(finding_failed, number, source)

    async def find(self, search: Search, *, awaits: bool) -> tuple[FoundCell | None, bool]:
        """The cell that is looked for, and whether a page has it. Raises `UsageError`."""
        if found := await self._from_page(search, awaits):
            return found, True
        cells, _ = self._saved() or self.remembered(1)
        return answered(search(), cells), False

    async def _from_page(self, steps: Callable[[], Steps[T | None]], awaits: bool) -> T | None:
        if kernel_of(self._shell) is None:
            return None
        return await self._page.run(steps(), awaits=awaits)

    def _steps(self, selection: str, masked: bool, whole: bool) -> Steps[Seen | None]:
        budget = None if whole else self._settings.notebook_tokens
        masks = self.masks(masked)
        return reading(read_selection(selection), cell_id(self._shell), masks, budget)

    async def ran(self, cells: Sequence[tuple[int, str]], session: str) -> list[RanCell]:
        """Cells that were run, each by the number of its prompt and its id, as the page of that
        session shows them, else as the kernel remembers them."""
        if not cells:
            return []
        reply = await self._page.ask(self._cells_request([id for _, id in cells]), session)
        own = cells[-1][1]
        if not isinstance(reply, list) or not any(each.get("id") == own for each in reply):
            return self.ran_here(cells)
        return [self._ran_cell(each) for each in reply]

    def ran_here(self, cells: Sequence[tuple[int, str]]) -> list[RanCell]:
        """The same as the kernel remembers them."""
        told = answer(
            self.remembered()[0], self._cells_request([f"#{number}" for number, _ in cells])
        )
        return [self._ran_cell(each) for each in told]

    def _cells_request(self, ids: Sequence[str]) -> JSON:
        window, masks = self._settings.step_output, self.masks()
        names = names_patterns((*masks.columns, *masks.names))
        most = 4 * window * len(ids)
        return {"do": "cells", "ids": ids, "most": most, "window": window, "names": names}

    def _ran_cell(self, told: Mapping[str, Any]) -> RanCell:
        outputs = [each for each in told["outputs"] if each["text"] != WAITING]  # our own words
        cell: JSON = {**told, "outputs": outputs}
        source, shown = texts_of(cell, self.masks(), self._settings.step_output)
        size = sum(int(each["size"]) for each in outputs)
        figures, number = figures_in(cell), cell["number"]
        return RanCell(read_marker(source)[2], shown, size, figures=figures, number=number)

    def masks(self, masked: bool = True) -> Masks:
        """What is kept back of the notebook now."""
        columns = tuple(self._settings.masked_columns)
        if not masked:
            return Masks(Secrets(), columns)
        secrets = Secrets(known_secrets())
        users = self._shell.user_ns
        secrets.search({n: users[n] for n in list(users) if is_secret_name(n)})
        return Masks(secrets, columns, SECRET_NAMES)

    def _saved(self) -> tuple[list[JSON], str] | None:
        """The cells of the notebook's file, and how old that is."""
        names = self._shell.user_ns
        if kernel_of(self._shell) is None and NOTEBOOK_NAME not in names:
            return None
        path = Path(scope_of(names))
        if path.suffix != ".ipynb" or not os.path.isfile(path):
            return None
        saved = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        is_today = saved.date() == datetime.now().astimezone().date()
        return cells_of_file(read_text(path)), f"as saved {saved:at %H:%M}" if is_today else (
            f"as saved on {saved:%-d %b %Y at %H:%M}"
        )

    def remembered(self, newest: int = 0) -> tuple[list[JSON], str]:
        """The inputs of this session, but for so many of the `newest`, and what IPython keeps of
        their outputs. Raises `UsageError` where there is no session."""
        history = getattr(self._shell, "history_manager", None)
        if history is None:  # `qwen-magic ask`
            raise UsageError("There is no notebook here.", hint="Name one: --notebook FILE.ipynb.")
        inputs = list(enumerate(history.input_hist_raw))[1:]
        inputs = inputs[: len(inputs) - newest]
        outputs: Mapping[int, Any] = getattr(history, "outputs", {})
        failed: Mapping[int, Any] = getattr(history, "exceptions", {})
        results: Mapping[int, Any] = {} if outputs else self._shell.user_ns.get("Out", {})
        cells: list[JSON] = []
        for number, source in inputs:
            told = [_output(each) for each in outputs.get(number, ())]
            if number in results:
                data = {"text/plain": brief(results[number])}
                told.append({"output_type": "execute_result", "data": data})
            if number in failed:
                told.append({"output_type": "error", **failed[number]})
            cell: JSON = {"id": f"#{number}", "cell_type": "code", "execution_count": number}
            cells.append({**cell, "source": source, "outputs": told})
        return cells, "as this session remembers it"


def answered(steps: Steps[T], cells: Sequence[JSON]) -> T:
    """What `steps` come to, where these cells answer in place of a page."""
    try:
        request = next(steps)
        while True:
            request = steps.send(answer(cells, request))
    except StopIteration as done:
        value: T = done.value
        return value


def _output(kept: Any) -> JSON:
    """What IPython 9 keeps of an output, as a notebook has it."""
    if kept.output_type.endswith("_stream"):
        return {"output_type": "stream", "text": kept.bundle.get("stream", "")}
    return {"output_type": kept.output_type, "data": kept.bundle}

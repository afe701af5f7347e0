"""Read the notebook for a question (`-n`): from the page that shows it, its file, or the kernel.

A page is asked through the hidden widget of the answers' buttons, and given a few seconds: it may
be closed, busy, or a front end whose notebook no script can read. Then the notebook's file is read,
as last saved. In a terminal, or without a file, IPython's history is used.
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
    """The pages that show this kernel's notebook. `widget` returns the widget that reaches them, or
    None.
    """

    def __init__(self, shell: Any, widget: Callable[[], ActionsWidget | None]) -> None:
        self._shell = shell
        self._widget = widget
        self._is_missing = False  # nobody answered the last time

    async def run(self, steps: Steps[T], *, awaits: bool) -> T:
        """Send each request of `steps` to the page; return the result of `steps`.

        A cell that `awaits` lets the kernel handle messages while waiting.
        """
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
        """The reply of the page that the cell was run from, else of another page; None if none
        replies.

        Where no cell runs, `session` names the page, and only its own reply counts: another page
        may show an older state of the notebook.
        """
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
        """Send a request, and yield until a reply has come or the time for one is over.

        Each request sent is appended to `made`. A page that was reloaded has a new session, so if
        the named one does not reply, the newest page is asked.
        """
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
        """Yield until the page replies. `others`: seconds left for it once another page has
        replied.
        """
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
    """Read cells of the notebook for the questions of one shell."""

    def __init__(self, shell: Any, settings: QwenSettings, page: Page) -> None:
        self._shell = shell
        self._settings = settings
        self._page = page

    async def read(self, selection: str, masked: bool, whole: bool, *, awaits: bool) -> RequestPart:
        """The part of the notebook to send with a question.

        `masked`: hide what may be a secret; `whole`: without a limit of tokens. Raises
        `UsageError`.
        """
        steps = partial(self._steps, selection, masked, whole)
        seen, source = await self._from_page(steps, awaits), "as the page shows it"
        if seen is None:
            cells, source = self._saved() or self.remembered(1)
            seen = answered(steps(), cells)
        assert seen is not None  # a list of cells answers all that is asked
        from qwen_magic.context.dataframe.describing import estimate_tokens

        about = f"{seen.about}, {source}"
        size = number_of(estimate_tokens(seen.text), "token")
        summary = f"notebook {selection}: {about}, about {size}"
        return RequestPart("notebook", selection, seen.text, about, summary=summary)

    def has_secret(self, source: str) -> bool:
        """Whether anything in the source of a cell would be masked."""
        secrets = self.masks().secrets
        for literal in written_secrets(source):
            secrets.add(literal)
        return secrets.mask(source, code=True) != source

    def named(self, target: str) -> Search:
        """A search for the cell that the user names (see `context.notebook.finding`)."""
        return partial(finding, target, cell_id(self._shell))

    def failed(self, number: int | None, source: str) -> Search:
        """A search for the failed cell with this number, which the new `source` is to replace."""
        return partial(finding_failed, number, source)

    async def find(self, search: Search, *, awaits: bool) -> tuple[FoundCell | None, bool]:
        """Run a search; return the cell, if it was found, and whether a page shows it. Raises
        `UsageError`.
        """
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
        """Cells that were run, each given by its execution count and id.

        They are read from the page of that session, else from the kernel's history.
        """
        if not cells:
            return []
        reply = await self._page.ask(self._cells_request([id for _, id in cells]), session)
        own = cells[-1][1]
        if not isinstance(reply, list) or not any(each.get("id") == own for each in reply):
            return self.ran_here(cells)
        return [self._ran_cell(each) for each in reply]

    def ran_here(self, cells: Sequence[tuple[int, str]]) -> list[RanCell]:
        """Cells that were run, from the kernel's history."""
        reply = answer(
            self.remembered()[0], self._cells_request([f"#{number}" for number, _ in cells])
        )
        return [self._ran_cell(each) for each in reply]

    def _cells_request(self, ids: Sequence[str]) -> JSON:
        window, masks = self._settings.step_output, self.masks()
        names = names_patterns((*masks.columns, *masks.names))
        most = 4 * window * len(ids)
        return {"do": "cells", "ids": ids, "most": most, "window": window, "names": names}

    def _ran_cell(self, shown_cell: Mapping[str, Any]) -> RanCell:
        outputs = [
            each for each in shown_cell["outputs"] if each["text"] != WAITING
        ]  # our own words
        cell: JSON = {**shown_cell, "outputs": outputs}
        source, shown = texts_of(cell, self.masks(), self._settings.step_output)
        size = sum(int(each["size"]) for each in outputs)
        figures, number = figures_in(cell), cell["number"]
        return RanCell(read_marker(source)[2], shown, size, figures=figures, number=number)

    def masks(self, masked: bool = True) -> Masks:
        """The values and names to mask now."""
        columns = tuple(self._settings.masked_columns)
        if not masked:
            return Masks(Secrets(), columns)
        secrets = Secrets(known_secrets())
        users = self._shell.user_ns
        secrets.search({n: users[n] for n in list(users) if is_secret_name(n)})
        return Masks(secrets, columns, SECRET_NAMES)

    def _saved(self) -> tuple[list[JSON], str] | None:
        """The cells of the notebook's file, and when it was saved, in words."""
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
        """The inputs of this session and what IPython keeps of their outputs.

        The last `newest` inputs are left out. Raises `UsageError` if there is no session.
        """
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
            shown = [_output(each) for each in outputs.get(number, ())]
            if number in results:
                data = {"text/plain": brief(results[number])}
                shown.append({"output_type": "execute_result", "data": data})
            if number in failed:
                shown.append({"output_type": "error", **failed[number]})
            cell: JSON = {"id": f"#{number}", "cell_type": "code", "execution_count": number}
            cells.append({**cell, "source": source, "outputs": shown})
        return cells, "as this session remembers it"


def answered(steps: Steps[T], cells: Sequence[JSON]) -> T:
    """Run `steps` with these cells, instead of a page, answering its requests."""
    try:
        request = next(steps)
        while True:
            request = steps.send(answer(cells, request))
    except StopIteration as done:
        value: T = done.value
        return value


def _output(kept: Any) -> JSON:
    """An output as IPython 9 keeps it, in the notebook's format."""
    if kept.output_type.endswith("_stream"):
        return {"output_type": "stream", "text": kept.bundle.get("stream", "")}
    return {"output_type": kept.output_type, "data": kept.bundle}

"""The live view of a turn in a notebook, and the static output that takes its place.

    begin ── hello ──> patches ─────────────────┐
      └── no hello in 1.5 s ──> throttled HTML ─┼─> finish: html + markdown + plain
                         or ──> a text view ────┘

The widget stands in an output with a display id. While a view listens it gets numbered patches. A
front end without a widget manager never says hello; its output is then updated as a whole, a few
times a second, until a view does. After ten seconds that is without the widget, in whose place a
front end that cannot load it may show an error. At the end the output is replaced by the static
bundle, since a saved widget shows "model not found" to whoever opens the notebook later.

A console of text (`jupyter console`: no cell ids, no hello) updates no output. Where its kernel
writes to the same terminal, the turn goes on there as text (`text_view`), and the next ones begin
so; else the static bundle comes at the end, as an output of its own.

Where nobody sees a widget (a run without a page, which would keep its state; `%%capture`; an
`Output` widget, which keeps what it was shown first) there is the static bundle alone, once.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from IPython.display import display, update_display

from qwen_magic.conversation.archive.notebook import refer_to
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.question import Choice, Question, Verdict, read_choice
from qwen_magic.frontends import static
from qwen_magic.frontends.widget import AnswerWidget, Batches
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.state import ResponseState

if TYPE_CHECKING:
    from qwen_magic.frontends.live_terminal import LiveTerminalView
    from qwen_magic.frontends.terminal import TerminalView
    from qwen_magic.protocol.state import Entry

    TextView: TypeAlias = LiveTerminalView | TerminalView

# Shows an output's data and metadata, in the place of what has the widget of that model id.
Put: TypeAlias = Callable[[dict[str, Any], JSON, str], None]

HELLO_PATIENCE: Final = 1.5  # seconds
BEAT: Final = 5.0  # seconds; the views expect one in 30
# Seconds that a question waits for a first hello: of a notebook's page, which may be loading its
# first widget; and where pages have said hello before, so that one will be opened again.
PAGE_PATIENCE: Final = 10.0
READER_PATIENCE: Final = 60.0
BETWEEN_QUESTIONS: Final = 0.6  # seconds
WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
WAITING: Final = "Qwen is answering…"
_HTML_SHARE: Final = 0.2  # of the time may go into whole-HTML updates


class WidgetShelf:
    """Keeps the newest finished widgets open. `seen`: a page has shown a widget of this kernel;
    `is_blind`: one was given time to, and did not, as where it cannot load the widget's module;
    `is_text`: whoever asks without a cell's id reads text in a terminal; `batches`: what goes to
    those whose answers are being written.

    A page that is reloaded in mid-stream loses the display id, so that the final output does not
    reach it; its restored view then fetches the result from the widget, if that still lives.
    """

    def __init__(self, places: int = 8) -> None:
        self.seen = self.is_blind = self.is_text = False
        self.batches = Batches()
        self._widgets: deque[AnswerWidget] = deque()
        self._places = places

    def add(self, widget: AnswerWidget) -> None:
        self._widgets.append(widget)
        while len(self._widgets) > self._places:
            self._widgets.popleft().close()

    def close(self) -> None:
        while self._widgets:
            self._widgets.popleft().close()


class StaticView:
    """Shows one turn in the running cell's output when it has ended (`session.view.View`)."""

    def __init__(
        self, document: Document, *, is_placed: bool = False, prints_figures: bool = False
    ) -> None:
        """`is_placed`: its output stands there from the beginning, since another cell may run when
        it ends. `prints_figures`: each has an output of its own besides; not where another cell
        may run, which would get them."""
        self._document = document
        self._is_placed = is_placed
        self._prints_figures = prints_figures
        self._figures: list[dict[str, str]] = []
        self._display_id = f"qwen-{uuid.uuid4().hex}"
        self._data: dict[str, Any] = {}
        self._metadata: dict[str, Any] = {}

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        if self._is_placed and not self._data:
            self._send(display, {"text/plain": WAITING}, {})

    def update(self, state: ResponseState, now: float) -> None:
        self._document.update(state, now)

    def tick(self, state: ResponseState, now: float) -> None:
        """Nothing: it is not seen before its end."""

    def notice(self, text: str) -> None:
        self._document.notice(text)

    def settle(self, turn: TurnFacts) -> None:
        """What was not settled when the view was made: the turn's place and number."""
        before = self._document.turn
        self._document.turn = replace(turn, thoughts=before.thoughts, stage=before.stage)

    def tell(self, text: str) -> None:
        turn = self._document.turn
        self._document.turn = replace(turn, warnings=(*turn.warnings, text))

    def restart(self) -> None:
        self._document = Document(self._document.turn, started=self._document.started)

    def figure(self, url: str, data: str, reason: str) -> None:
        self._document.figure(url, data, reason)

    def ask(self, entry: Entry, question: Question) -> Callable[[], Verdict | None] | None:
        """It has no buttons: who asks goes on to a prompt."""
        return None

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        self._document.finish(state, now, outcome)
        bundle = dict(static.bundle(self._document))
        metadata = refer_to(bundle.get("text/markdown", ""), metadata)
        if bundle or self._is_placed:
            self._send(update_display if self._is_placed else display, bundle, metadata)
        if self._prints_figures:
            self._figures = static.figure_bundles(bundle, self._document.turn.key)
        for figure in self._figures:
            display(figure, raw=True)  # type: ignore[no-untyped-call]
        return bundle

    def _send(self, show: Callable[..., Any], data: Mapping[str, Any], metadata: JSON) -> None:
        # The same objects each time: what `%%capture` has kept of the first is what it shows.
        for kept, now in ((self._data, data), (self._metadata, metadata)):
            kept.clear()
            kept.update(now)
        id = {"display_id": self._display_id} if self._is_placed else {}
        show(self._data, raw=True, metadata=self._metadata, **id)


class LiveView(StaticView):
    """Shows one turn in the running cell's output as it grows (`session.view.View`)."""

    def __init__(
        self,
        document: Document,
        *,
        shelf: WidgetShelf,
        clock: Callable[[], float],
        cell_id: str = "",
        session: str = "",
        place: str = "",
        prints_figures: bool = False,
        put: Put | None = None,
        stoppable: Callable[[AnswerWidget], bool] = lambda widget: True,
        text_view: Callable[[TurnFacts], TextView] | None = None,
        may_end_anew: bool = False,
    ) -> None:
        """`session`: of the page that asked. `place`: the cell, as the reader knows it. `stoppable`
        tells whether a click on Stop would be seen while this turn runs. `put` shows the output in
        a cell that does not run; `text_view` makes the view of a console of text."""
        super().__init__(document, is_placed=True, prints_figures=prints_figures)
        self._put = put
        self._shelf = shelf
        self._clock = clock
        self._cell_id = cell_id
        self._session = session
        self._place = place
        self._can_stop = stoppable
        self._text_view = text_view
        self._may_end_anew = may_end_anew
        self._text: TextView | None = None
        self._hello = threading.Event()  # set on whatever thread the front end's message arrives
        self._listening = False
        self._is_held = False  # a page has the widget, whether or not it shows a view
        self._html = _Throttle(_HTML_SHARE)
        self._started = document.started
        self._begun = False
        self._chosen: dict[str, Choice] = {}  # entry key -> what was clicked
        self._quiet_until = 0.0
        self._beat_at = 0.0

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        self._stop, self._look = stop, look
        if self._begun:  # in its cell, before there was a stream
            return
        self._begun = True
        self._widget = AnswerWidget(
            aid=self._display_id,
            cell_id=self._cell_id,
            session=self._session,
            look=static.STAGE if self._document.turn.stage else "",
            on_hello=self._greeted,
            on_here=self._held,
            on_stop=lambda: self._stop(),
            on_choose=self._choose,
        )
        self._stoppable = self._can_stop(self._widget)
        self._show(display)

    def update(self, state: ResponseState, now: float) -> None:
        patches = self._document.update(state, now)
        if self._listening:
            self._shelf.batches.push(self._widget, patches)
        elif self._text is not None:
            self._text.update(state, now)
        elif patches:
            self._html.changed = True

    def tick(self, state: ResponseState, now: float) -> None:
        if self._hello.is_set():
            self._hello.clear()
            self._listening = self._shelf.seen = True
            self._shelf.batches.open.add(self._widget)
            self._widget.snap(
                self._document.snapshot(),
                {
                    "seconds": max(0.0, now - self._started),
                    "running": True,
                    "stoppable": self._stoppable,
                },
            )
        elif self._listening:
            if now >= self._beat_at:
                self._beat_at = now + BEAT
                self._shelf.batches.send()
                self._widget.beat()
            self._shelf.batches.look()
        elif self._text is not None:
            self._text.tick(state, now)
        elif now - self._started > HELLO_PATIENCE and self._text_view is not None:
            self._shelf.is_text = True
            self._text = self._text_view(self._document.turn)
            self._text.begin(self._stop)
            self._text.update(state, now)
        elif now - self._started > HELLO_PATIENCE:
            self._shelf.is_blind |= now - self._started > PAGE_PATIENCE and not self._is_awaited
            self._html.run(lambda: self._show(update_display), self._clock)

    def notice(self, text: str) -> None:
        patches = self._document.notice(text)
        if self._listening:
            self._shelf.batches.push(self._widget, patches)
        elif self._text is not None:
            self._text.notice(text)
        else:
            self._html.changed = True

    def tell(self, text: str) -> None:
        super().tell(text)
        if self._text is not None:
            self._text.tell(text)

    def figure(self, url: str, data: str, reason: str) -> None:
        super().figure(url, data, reason)
        if self._text is not None:
            self._text.figure(url, data, reason)

    def restart(self) -> None:
        super().restart()
        self._widget.forget()
        if self._text is not None:
            self._text.restart()
        if self._listening:
            self._hello.set()  # the next tick sends a snapshot

    def ask(self, entry: Entry, question: Question) -> Callable[[], Verdict | None]:
        """Ask by buttons, for as long as it takes: in the view, or wherever a page has the widget.
        "nobody": there is no such page, or its clicks would not be seen; "absent": there was one.
        A question comes a moment after the one before, so that a double click answers one."""
        shown = False
        asked = self._clock()

        def poll() -> Verdict | None:
            nonlocal shown
            now = self._clock()
            if not (self._listening or self._is_held) or not self._stoppable:
                verdict = self._unseen(now, asked)
                if verdict == "nobody" and self._text is not None:
                    self._text.ask(entry, question)
                return verdict
            if not shown and now >= self._quiet_until:
                shown = True
                self._chosen.clear()  # what was clicked before it could be seen
                patches = self._document.ask(entry, question)
                if self._listening:
                    self._shelf.batches.push(self._widget, patches)
                self._widget.ask(entry.key, question, self._place)
            choice = self._chosen.pop(entry.key, None)
            if choice is not None:
                self._quiet_until = now + BETWEEN_QUESTIONS
                self._widget.question = {}
            return choice

        return poll

    def _unseen(self, now: float, asked: float) -> Verdict | None:
        """What becomes of a question that no page has taken yet. A line of text would block the
        kernel, and where the page is gone for good: so that comes only where there never was one.
        """
        if not self._stoppable:
            return "nobody"
        if self._cell_id and self._shelf.seen:
            return "absent" if now - asked > READER_PATIENCE else None
        patience = PAGE_PATIENCE if self._cell_id else HELLO_PATIENCE
        return "nobody" if now - self._started > patience else None

    def _greeted(self) -> None:
        """A page is there. What came before it was seen by nobody, and goes out now."""
        self._hello.set()
        self._look()

    def _held(self) -> None:
        """A page has the widget. Of a console beside it (no cell's id) that says nothing."""
        if self._cell_id:
            self._is_held = self._shelf.seen = True

    @property
    def _is_awaited(self) -> bool:
        """Whether a page has loaded such a widget, so that it will say hello."""
        return self._is_held or self._shelf.seen

    def _choose(self, value: str) -> None:
        key, _, word = value.partition(":")
        choice = read_choice(word)
        if choice is not None:
            self._chosen[key] = choice

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        if self._text is not None:
            self._text.finish(state, now, outcome, metadata)
        if not self._cell_id and not self._listening:
            self._prints_figures = False
            if self._text is None and self._may_end_anew:
                self._send(update_display, {"text/plain": ""}, {})
                self._is_placed = False
        self._shelf.batches.open.discard(self._widget)
        bundle = super().finish(state, now, outcome, metadata)
        self._widget.finish(dict(self._data), dict(self._metadata), self._figures)
        self._shelf.add(self._widget)
        return bundle

    def _show(self, show: Callable[..., Any]) -> None:
        """The widget, with the turn so far as HTML for front ends that know no widgets."""
        widget = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        view = {
            **({} if self._shelf.is_blind and not self._is_awaited else {WIDGET_VIEW: widget}),
            "text/html": static.turn_html(self._document),
            "text/plain": WAITING,
        }
        self._send(show, view, {})

    def _send(self, show: Callable[..., Any], data: Mapping[str, Any], metadata: JSON) -> None:
        if self._put is None:
            super()._send(show, data, metadata)
        else:
            self._put(dict(data), dict(metadata), str(self._widget.model_id))


class _Throttle:
    """Runs something costly again only when there is something new, and so seldom that it takes
    no more than a given share of the time."""

    def __init__(self, share: float) -> None:
        self.changed = True
        self._share = share
        self._not_before = 0.0

    def run(self, costly: Callable[[], None], clock: Callable[[], float]) -> None:
        began = clock()
        if not self.changed or began < self._not_before:
            return
        self.changed = False
        costly()
        took = clock() - began
        self._not_before = clock() + max(0.25, took / self._share)

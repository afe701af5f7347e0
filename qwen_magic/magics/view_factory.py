"""Choose how a shell shows an answer or a dry run: live view, plain text, buttons below the
answer.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from qwen_magic.answer import Answer
from qwen_magic.context.models import carried_tokens
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.document.words import sentence, shorten
from qwen_magic.frontends.kernel import (
    cell_id,
    is_captured,
    kernel_of,
    message_id,
    request_session,
    stop_reaches_sync_cell,
    takes_input,
    writes_to_terminal,
)
from qwen_magic.frontends.plain import say
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart
from qwen_magic.session.plan import Plan
from qwen_magic.session.transcript import as_items, as_read
from qwen_magic.session.view import NoView, View, facts_of

if TYPE_CHECKING:
    from qwen_magic.context.notebook import FoundCell
    from qwen_magic.conversation.chain import Chain
    from qwen_magic.document.footer import TurnFacts
    from qwen_magic.endpoints import Endpoint
    from qwen_magic.frontends.dry_run import DryRun, Price
    from qwen_magic.frontends.jupyter import Put, StaticView, TextView, WidgetShelf
    from qwen_magic.frontends.trace import TracePage
    from qwen_magic.frontends.widget import ActionsWidget
    from qwen_magic.magics.actions import AnswerActions
    from qwen_magic.recording.file import Exchange
    from qwen_magic.session.session import TracedTurn


class ViewFactory:
    """Makes the views of one shell, and keeps the widgets that outlive a view."""

    def __init__(self, shell: Any, settings: QwenSettings, conversations: Conversations) -> None:
        self._shell = shell
        self._settings = settings
        self._conversations = conversations
        self._shelf: WidgetShelf | None = None
        self._actions: AnswerActions | None = None

    def view(
        self, plan: Plan, started: float, *, quiet: bool, awaited: bool, outlives: bool = False
    ) -> View:
        """The view for a turn that was asked at `started` (`time.monotonic`).

        `awaited`: the cell awaits, so clicks arrive while the answer is written. `outlives`: see
        `live_view`.
        """
        if quiet:
            return NoView()
        if kernel_of(self._shell) is None or not self._settings.live:
            from qwen_magic.frontends.terminal import terminal_view

            return terminal_view(self._shown(facts_of(plan)), sys.stdout, started=started)
        is_text = self._shelf is not None and self._shelf.is_text and not cell_id(self._shell)
        if is_text and not outlives:
            return _text_view(self._shown(facts_of(plan)), started)
        return self.live_view(
            facts_of(plan), started, awaited=awaited, outlives=outlives, may_end_anew=True
        )

    def live_view(
        self,
        facts: TurnFacts,
        started: float,
        *,
        awaited: bool,
        outlives: bool = False,
        put: Put | None = None,
        may_end_anew: bool = False,
    ) -> StaticView:
        """A live view in the running cell's output; a static one where no page can show it.

        `outlives`: the turn may end after other outputs, also of other cells. `put` shows the view
        below another cell than the running one. `may_end_anew`: see `LiveView`.
        """
        from qwen_magic.document.build import Document
        from qwen_magic.frontends.jupyter import LiveView, StaticView, WidgetShelf

        self._shelf = self._shelf or WidgetShelf()
        shell, document = self._shell, Document(self._shown(facts), started=started)
        prints = self._settings.print_figures and not outlives
        if not put and (not self._sees_widgets() or self._is_redirected()):
            return StaticView(document, is_placed=outlives, prints_figures=prints)
        reads_text = not outlives and self._may_be_console
        return LiveView(
            document,
            put=put,
            prints_figures=prints,
            shelf=self._shelf,
            clock=time.monotonic,
            cell_id=cell_id(shell),
            session=request_session(shell),
            place=f"cell [{len(shell.history_manager.input_hist_raw) - 1}]",
            stoppable=lambda widget: awaited or stop_reaches_sync_cell(shell, widget),
            may_end_anew=may_end_anew,
            text_view=partial(_text_view, started=started) if reads_text else None,
        )

    @property
    def _may_be_console(self) -> bool:
        return not cell_id(self._shell) and writes_to_terminal(sys.stdout)

    @property
    def changes_outputs(self) -> bool:
        """Whether an output can still change when its cell has ended.

        It can in a notebook, but not in a terminal or a text console. `jupyter console` counts as
        one until a page shows a widget.
        """
        if kernel_of(self._shell) is None or not self._settings.live:
            return False
        return not self._may_be_console or (self._shelf is not None and self._shelf.seen)

    def _shown(self, facts: TurnFacts) -> TurnFacts:
        """Add the user's display settings to the facts of a turn."""
        settings = self._settings
        return replace(facts, thoughts=settings.show_reasoning, stage=settings.stage)

    def show_dry_run(self, plan: Plan) -> None:
        """Show what the request would be, and send nothing."""
        from qwen_magic.frontends.dry_run import dry_run_html, dry_run_text

        dry = dry_run_of(plan)
        self.show_page(partial(dry_run_html, dry), dry_run_text(dry), has_code=True)

    def show_trace(self, page: TracePage) -> None:
        """Show how a turn went."""
        from qwen_magic.frontends.trace import trace_html, trace_text

        self.show_page(partial(trace_html, page), trace_text(page))

    def show_table(self, header: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> None:
        """Show `rows` under `header`, then `notes`, a paragraph each."""
        from qwen_magic.frontends.display import listing_html, listing_text
        from qwen_magic.frontends.plain import printable

        notes = tuple(filter(None, notes))
        text = printable("\n".join([listing_text(header, rows), *notes]))
        self.show_page(partial(listing_html, header, rows, *notes), text)

    def show_page(self, html: Callable[[], str], plain: str, *, has_code: bool = False) -> None:
        """Show the output of a magic: `html` in a notebook, else `plain`.

        `has_code`: the text is meant to be copied, so its lines are not wrapped.
        """
        from qwen_magic.frontends.display import show_html, staged

        if kernel_of(self._shell) is None:
            (print if has_code else say)(plain)
        else:
            show_html(staged(html()) if self.stage else html(), plain)

    @property
    def stage(self) -> bool:
        """Whether everything is shown larger, for an audience."""
        return self._settings.stage

    def offer(self, answer: Answer) -> None:
        """Add the buttons below an answer in a notebook."""
        if not answer.bundle or not (self._actions or self._sees_widgets()):
            return
        self._page_actions().offer(answer, prints_figures=self._settings.print_figures)

    def moved(self, chain: Chain) -> None:
        """The conversation now continues after another turn: update the answers that say so."""
        if self._actions is not None:
            self._actions.moved(chain)

    def _page_actions(self) -> AnswerActions:
        from qwen_magic.magics.actions import AnswerActions

        self._actions = self._actions or AnswerActions(self._conversations)
        return self._actions

    def show_edit(self, cell: FoundCell, source: str) -> None:
        """Show how `source` differs from that of the cell; a page offers to put it there."""
        from qwen_magic.frontends.display import show_edit
        from qwen_magic.frontends.static import mark_of

        mark = mark_of(uuid4().hex)
        show_edit(mark, cell.name, cell.source, source)
        if (widget := self.page_widget()) is not None:
            widget.offer_edit(mark, cell.id, cell.source, source)

    def page_widget(self) -> ActionsWidget | None:
        """The hidden widget that reaches the pages of the notebook; None where there is no page."""
        return self._page_actions().widget if self._sees_widgets() else None

    def _sees_widgets(self) -> bool:
        """Whether a page can show widgets: input is possible, or one has shown a widget before."""
        return takes_input(self._shell) or (self._shelf is not None and self._shelf.seen)

    def _is_redirected(self) -> bool:
        """Whether output is captured, so that later updates would not reach it."""
        from qwen_magic.frontends.widget import is_in_output_widget

        shell = self._shell
        return is_captured(shell) or is_in_output_widget(message_id(shell))

    def close(self) -> None:
        if self._shelf is not None:
            self._shelf.close()
        if self._actions is not None:
            self._actions.close()


def _text_view(facts: TurnFacts, started: float) -> TextView:
    """The view for a console that runs in the terminal which this kernel writes to."""
    from qwen_magic.frontends.terminal import terminal_view

    return terminal_view(facts, sys.stdout, started=started, is_terminal=True)


def dry_run_of(plan: Plan) -> DryRun:
    """The request of a plan, split into parts that the user knows, with their tokens and price."""
    from qwen_magic.context.dataframe.describing import estimate_tokens
    from qwen_magic.frontends.dry_run import without_keys

    ask, request = plan.ask, plan.request
    body = request.body()
    parts = tuple(
        replace(part, tokens=estimate_tokens(part.text)) if part.text else part
        for part in (*ask.parts, *_settings(body), *_earlier(plan))
    )
    summaries = {part.summary for part in parts}
    tokens = sum(part.tokens or 0 for part in parts if part.kind != "value")
    dry = replace(
        _exact(ask.endpoint, body, request.headers()),
        place=_place_in_words(plan),
        parts=parts,
        notes=(
            *(f"Added: {words}" for words in plan.added),
            *plan.notes,
            *(words for words in ask.expanded if words not in summaries),
        ),
        price=_price(plan, tokens),
    )
    return without_keys(dry, ask.endpoint.key)


def _exact(endpoint: Endpoint, body: JSON, headers: Mapping[str, str] | None = None) -> DryRun:
    """The complete request as it would be sent."""
    from qwen_magic.frontends.dry_run import DryRun

    has_key = bool(endpoint.key) or endpoint.needs_key
    return DryRun(
        f"{endpoint.base_url}/responses",
        str(body.get("model") or ""),
        "",
        body,
        (),
        headers or {},
        key_variable=(endpoint.key_variable or "API_KEY") if has_key else "",
    )


def trace_of(traced: TracedTurn) -> TracePage:
    """The trace of a turn that was answered in this kernel."""
    from qwen_magic.frontends.trace import chain_words
    from qwen_magic.session.exchanges import exchange_of

    plan, turn = traced.plan, traced.turn
    begun = [stream.started_at for stream in traced.streams]
    exchanges = [
        ((at - begun[0]) * 1000, exchange_of(stream))
        for at, stream in zip(begun, traced.streams, strict=True)
    ]
    place = f"turn {plan.number} of {plan.chat}" if plan.chat else "the question"
    facts = (turn.model, turn.status * (turn.status != "completed"), plan.source)
    following = turn.response_id if turn.stored and turn.may_be_head else ""
    chain = chain_words(turn.previous_response_id, len(plan.path), following)
    notes = [sentence(f"{note[:1].upper()}{note[1:]}") for note in plan.notes]
    endpoint, headers = plan.ask.endpoint, plan.request.headers()
    return _page(place, facts, exchanges, (*chain, *notes), endpoint, headers)


def trace_of_recorded(name: str, number: int, asked: Sequence[Exchange]) -> TracePage:
    """The trace of a question in a recording."""
    from qwen_magic.document.words import exposed
    from qwen_magic.frontends.trace import chain_words
    from qwen_magic.recording.replay import answered_model, snapshots
    from qwen_magic.session.exchanges import day, endpoint_of

    first, last = asked[0], asked[-1]
    ids = [str(said.get("id") or "") for said in snapshots(last)]
    facts = (exposed(answered_model(last)), f"recorded {day(first.at)}")
    before = str((first.body or {}).get("previous_response_id") or "")
    chain = chain_words(exposed(before), 0, exposed(ids[-1]) if ids else "")
    place = f"question {number} of {name}"
    return _page(place, facts, [(0.0, each) for each in asked], chain, endpoint_of(first, name))


def _page(
    place: str,
    facts: Iterable[str],
    exchanges: Sequence[tuple[float, Exchange]],
    chain: Iterable[str],
    endpoint: Endpoint,
    headers: Mapping[str, str] | None = None,
) -> TracePage:
    from qwen_magic.frontends.dry_run import without_keys
    from qwen_magic.frontends.trace import TracePage
    from qwen_magic.recording.trace import trace

    requests = [_exact(endpoint, each.body or {}, headers) for _, each in exchanges]
    return TracePage(
        f"How {place} went",
        tuple(filter(None, facts)),
        trace(exchanges),
        tuple(chain),
        tuple(without_keys(each, endpoint.key) for each in requests),
    )


def _place_in_words(plan: Plan) -> str:
    if not plan.chat:
        return "outside any conversation"
    place = f"turn {plan.number} of {plan.chat}{', as before' * plan.ask.as_before}"
    if plan.sibling:
        place += f", answer {plan.sibling[0]}/{plan.sibling[1]}"
    parent = plan.parent
    return (
        f"{place}, after turn {len(plan.path)} “{shorten(parent.prompt, 40)}”" if parent else place
    )


def _settings(body: JSON) -> Iterator[RequestPart]:
    """The parts that are sent with each question: instructions and tools."""
    if instructions := body.get("instructions"):
        yield RequestPart("instructions", text=instructions)
    if tools := body.get("tools"):
        names = ", ".join(str(tool.get("name") or tool.get("type")) for tool in tools)
        text = "\n\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
        yield RequestPart("tools", names, text)


def _earlier(plan: Plan) -> Iterator[RequestPart]:
    """The earlier turns: those that the server keeps, and those sent as text."""
    request, path = plan.request, plan.path
    ids = [turn.response_id for turn in path]
    kept = ids.index(request.previous_response_id) + 1 if request.previous_response_id else 0
    if kept:
        usage = path[kept - 1].usage
        tokens = carried_tokens(usage) if usage else None
        about = f"of {plan.chat}: the server has them"
        yield RequestPart("earlier turns", _numbers(1, kept), about=about, tokens=tokens)
    if kept < len(path) and not isinstance(request.input, str):
        earlier = request.input[: len(request.input) - len(as_items(plan.ask.input))]
        text = "\n\n".join(map(as_read, earlier))
        yield RequestPart("earlier turns", _numbers(kept + 1, len(path)), text, "told as text")


def _numbers(first: int, last: int) -> str:
    return f"{first}–{last}" if first < last else f"{first}"


def _price(plan: Plan, tokens: int) -> Price | None:
    """The price of so many input tokens and of the longest answer; None where it is not known."""
    from qwen_magic.frontends.dry_run import Price

    priced, effort = plan.priced, plan.request.effort
    tier = priced.tier(tokens) if priced else None
    if priced is None or tier is None:
        return None
    thinking = effort not in ("none", "0") if effort else bool(plan.request.enable_thinking)
    token = tier.price("input_token", thinking=thinking)
    answer = tier.price("output_token", thinking=thinking)
    if token is None or answer is None:
        return None
    return Price(token / 1_000_000, answer, priced.currency)

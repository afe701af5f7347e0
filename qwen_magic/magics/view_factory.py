"""Where one shell shows its answers: a live view, plain text, the buttons afterwards."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from qwen_magic.answer import Answer
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.frontends.kernel import cell_id, kernel_of, stop_reaches_sync_cell
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.session.plan import Plan
from qwen_magic.session.view import NoView, View, facts_of

if TYPE_CHECKING:
    from qwen_magic.document.footer import TurnFacts
    from qwen_magic.frontends.jupyter import LiveView, WidgetShelf
    from qwen_magic.magics.actions import AnswerActions


class ViewFactory:
    """Makes the views of a shell, by what it can show, and keeps what outlives them."""

    def __init__(self, shell: Any, settings: QwenSettings, conversations: Conversations) -> None:
        self._shell = shell
        self._settings = settings
        self._conversations = conversations
        self._shelf: WidgetShelf | None = None
        self._actions: AnswerActions | None = None

    def view(self, plan: Plan, started: float, *, quiet: bool, awaited: bool) -> View:
        """The view of a turn that was asked at `started` (`time.monotonic`). `awaited`: its cell
        awaits, so that clicks are seen meanwhile."""
        if quiet:
            return NoView()
        if kernel_of(self._shell) is None or not self._settings.live:
            from qwen_magic.frontends.terminal import TerminalView

            return TerminalView(facts_of(plan), sys.stdout, started=started)
        return self.live_view(facts_of(plan), started, awaited=awaited)

    def live_view(self, facts: TurnFacts, started: float, *, awaited: bool) -> LiveView:
        """A live view in the running cell's output."""
        from qwen_magic.document.build import Document
        from qwen_magic.frontends.jupyter import LiveView, WidgetShelf

        self._shelf = self._shelf or WidgetShelf()
        shell = self._shell
        return LiveView(
            Document(facts, started=started),
            shelf=self._shelf,
            clock=time.monotonic,
            cell_id=cell_id(shell),
            stoppable=lambda widget: awaited or stop_reaches_sync_cell(shell, widget),
        )

    def offer(self, answer: Answer) -> None:
        """Put the actions under an answer that stands in a notebook."""
        if not answer.bundle:
            return
        from qwen_magic.magics.actions import AnswerActions

        self._actions = self._actions or AnswerActions(self._conversations)
        self._actions.offer(answer)

    def close(self) -> None:
        if self._shelf is not None:
            self._shelf.close()
        if self._actions is not None:
            self._actions.close()

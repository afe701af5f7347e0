"""Ask a question and show its answer: what `%%qwen` and `%qwen` share.

    Questions.ask -> Ask -> Asker.answer | background.begin

A cell waits for its answer in one of two ways, and Stop (or Ctrl-C) reaches each differently:

- Awaiting: a top-level `%%qwen` in a kernel, which the input transformer turned into `await …`. The
  kernel's loop keeps running, so that a click on ■ is handled at once. On an interrupt, ipykernel
  cancels the cell's task: `CancelledError`.
- Blocking: nested cells, indented lines, terminals, scripts. An interrupt raises
  `KeyboardInterrupt` in the main thread.

A magic is written once, as a coroutine with the argument `awaits`; `base.blocking` runs it in the
second way.

Either way the session closes the connection and records the partial answer before the exception
leaves it. This module turns both exceptions into one `KeyboardInterrupt` with a message of one
line: only an exception ends Run All. ipykernel 6 handles no comm message while a cell runs, so
`CommPump` does.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qwen_magic.answer import Answer
from qwen_magic.conversation.conversations import DEMO_CHAT, Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.conversation.scope import (
    STORE_NAME,
    data_folder,
)
from qwen_magic.endpoints import DEMO
from qwen_magic.errors import UsageError
from qwen_magic.frontends.kernel import (
    CommPump,
    LastFigure,
    kernel_of,
    takes_input,
)
from qwen_magic.frontends.plain import say
from qwen_magic.frontends.terminal import agreed, ask_value, prompt_for
from qwen_magic.magics.base import (
    UnansweredError,
    UnreadError,
    blocking,
    interrupted,
    scope_of,
    unanswered,
)
from qwen_magic.magics.questions import Questions
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.magics.view_factory import ViewFactory
from qwen_magic.options import Options
from qwen_magic.session.plan import Ask, Plan
from qwen_magic.session.session import Session
from qwen_magic.session.tape import beside
from qwen_magic.session.view import View, facts_of

if TYPE_CHECKING:
    from qwen_magic.frontends.jupyter import StaticView
    from qwen_magic.magics.notebook import NotebookReader, Page
    from qwen_magic.magics.steps import Steps

T = TypeVar("T")

_WATCHED: Final = (
    *("endpoint", "allow_http", "figure_hosts", "budget", "session_cache"),
    *("unattended", "nest_asyncio"),
    *("tool_rounds", "tool_seconds", "tool_bytes", "masked_columns"),
)


class Asker:
    """Ask the questions of one shell; holds the state that outlives a question."""

    def __init__(self, shell: Any, settings: QwenSettings, last_figure: LastFigure) -> None:
        self.shell = shell
        self.settings = settings
        self.last_figure = last_figure
        self.session = Session(
            conversations=_open_conversations(shell.user_ns) if settings.keep else Conversations(),
            figure_hosts=settings.figure_hosts,
        )
        self.views = ViewFactory(shell, settings, self.session.conversations)
        self.questions = Questions(
            shell,
            settings,
            self.session,
            last_figure,
            lambda *selection: blocking(self.notebook.read(*selection, awaits=False)),
        )
        self.listed_models: dict[str, list[str]] = {}  # by endpoint, as its server listed them
        self.running: dict[str, set[asyncio.Future[None]]] = {}  # in the background, by chat
        self._before_demo = self.session.conversations.current
        self._settings_changed()
        self.session.tool_policy.prompt = prompt_for
        self.session.ask_value = ask_value
        self.session.tape.agrees = agreed
        self._replay_beside()
        folders = self.session.server_folders
        self.session.server_folders = (_notebook_folder(shell.user_ns), *folders[1:])
        settings.observe(self._settings_changed, list(_WATCHED))

    @cached_property
    def page(self) -> Page:
        """The pages that show the notebook."""
        from qwen_magic.magics.notebook import Page

        return Page(self.shell, self.views.page_widget)

    @cached_property
    def notebook(self) -> NotebookReader:
        from qwen_magic.magics.notebook import NotebookReader

        return NotebookReader(self.shell, self.settings, self.page)

    @cached_property
    def steps(self) -> Steps:
        """The goals of `--steps`."""
        from qwen_magic.magics.steps import Steps

        return Steps(self)

    def set_aside(self) -> Sequence[str]:
        """Set all conversations aside, with their defaults. Raises `UsageError`."""
        if any(self.running.values()):
            raise UsageError(
                "An answer is still being written in the background.",
                hint="Wait for it, or stop it.",
            )
        aside = self.session.conversations.set_aside()
        self.questions.forget()
        self._before_demo = self.session.conversations.current
        self.endpoint_changed()
        return aside

    def close(self) -> None:
        if "steps" in self.__dict__:
            self.steps.close()
        self.settings.unobserve(self._settings_changed, list(_WATCHED))
        self.session.close()
        self.session.tape.reset()
        self.views.close()

    def list_models(self, endpoint: str) -> list[str]:
        """Ask a server for its models, and let Tab offer them. Raises `QwenError`."""
        from qwen_magic.session.server_probe import model_names

        found = self.session.endpoints.find(endpoint)
        self.listed_models[endpoint] = model_names(self.session.client, found)
        return self.listed_models[endpoint]

    async def prepare(self, begin: Callable[[], T], *, awaits: bool) -> tuple[T, StaticView | None]:
        """Call `begin` when what it needs is there; return its result and a view that is already
        open.

        `begin` may need the notebook's cells (`UnreadError`) or the user's consent to start an MCP
        server (`UnansweredError`). A cell that awaits gets these first, and calls `begin` again.
        Consent is asked in a view, which is returned so that the answer appears in it too.
        """
        if not awaits:
            return begin(), None
        calls = self.questions.calls

        def again() -> T:
            self.questions.calls = calls
            return begin()

        unread: UnreadError | None = None
        self.session.ask_server, self.questions.defers = unanswered, True
        try:
            return begin(), None
        except UnansweredError as error:
            question = error.question
        except UnreadError as error:
            unread = error
        finally:
            self.session.ask_server, self.questions.defers = None, False
        if unread:
            part = await self.notebook.read(*unread.selection, awaits=True)
            self.questions.notebook_parts[unread.selection] = part
            return await self.prepare(again, awaits=True)
        from qwen_magic.magics.background import begin_with_consent

        return await begin_with_consent(self, again, question)

    async def answer(
        self, ask: Ask, options: Options, opened: StaticView | None = None, *, awaits: bool
    ) -> Answer:
        """Ask and wait for the answer, shown in `opened` if that view is already open.

        If `awaits`, a click on Stop is handled while waiting. Raises the error of a failed answer.
        """
        before, pump = self.depends_on(ask), CommPump(self.shell)
        if before and not awaits:
            raise UsageError(
                f"An answer in {ask.chat} is still being written in the background.",
                hint="Wait for it, or ask at the top of a cell of its own, which waits by itself.",
            )
        view = partial(self.view, options=options, opened=opened, awaits=awaits)
        try:
            if before:
                from qwen_magic.magics.background import until_done

                await until_done(before, pump.step)
            plan = self.session.plan(ask)
            answer = (
                await self.session.arun(plan, view, step=pump.step)
                if awaits
                else self.session.run(plan, view, step=pump.step)
            )
            self.views.offer(answer)
        except (asyncio.CancelledError, KeyboardInterrupt):
            # ipykernel turns an interrupt into the cancellation of a cell that awaits; one in a
            # function that the model called comes as that too.
            raise interrupted() from None
        finally:
            pump.close()
        return self._deliver(answer, options, ask.edits)

    def view(
        self,
        plan: Plan,
        started: float,
        *,
        options: Options,
        opened: StaticView | None,
        awaits: bool,
    ) -> View:
        """Return the view for a turn: `opened` if that is already open, else a new one."""
        if opened is None:
            several, quiet = awaits and options.compare is not None, options.quiet
            return self.views.view(plan, started, quiet=quiet, awaited=awaits, outlives=several)
        opened.settle(facts_of(plan))
        opened.notice("")
        return opened

    def handled_at_once(self, ask: Ask, options: Options) -> bool:
        """Handle a question that the cell does not wait for; return whether this was one.

        A dry run is shown here; an answer in the background is started.
        """
        if options.dry_run:
            self.views.show_dry_run(self.session.plan(ask, dry=True))
            return True
        if not options.bg:
            return False
        from qwen_magic.magics.background import begin

        begin(self, ask, options)
        return True

    def depends_on(self, ask: Ask) -> set[asyncio.Future[None]]:
        """The answers in the background that this question continues after, and must wait for."""
        return set(self.running.get(ask.chat, ())) if ask.history and not ask.new else set()

    def show_differences(self, answer: Answer, edits: str) -> None:
        """Show how the text differs from that of the turn it replaces, whose key is `edits`."""
        from qwen_magic.frontends.display import listed
        from qwen_magic.frontends.plain import differences_html, differences_text

        before = self.session.conversations.chain(answer.chat).turns.get(edits)
        texts = (before.text if before else "", answer.text)
        if all(texts):
            words = "The answer before → this one, in words"
            self.views.show_page(
                lambda: listed(differences_html(words, *texts)), differences_text(*texts)
            )

    def bind(self, value: object, options: Options) -> None:
        """Bind the value of a cell to the name of `--out`, and in a terminal to `_` and `Out`.

        In a terminal the transformed call ends with a semicolon, so IPython would not bind it
        itself.
        """
        if options.out:
            self.shell.user_ns[options.out] = value
        if kernel_of(self.shell) is None:
            self.shell.displayhook.update_user_ns(value)

    def _deliver(self, answer: Answer, options: Options, edits: str = "") -> Answer:
        """Bind the answer, also where it failed and is partial; then raise its error, if it has
        one.
        """
        answer = replace(answer, shown_in=self.shell.execution_count)
        self.bind(answer, options)
        if answer.error is not None:
            raise answer.error
        if edits and not options.quiet:
            self.show_differences(answer, edits)
        if options.code and not offer_code(self.shell, answer.text):
            say("--code: the answer has no Python block to put into the next cell.")
        return answer

    def _settings_changed(self, change: Any = None) -> None:
        self.settings.apply_to(self.session)
        self.endpoint_changed()

    def _replay_beside(self) -> None:
        """Replay the recording that lies beside the notebook, unless the user chose
        something else.
        """
        tape, scope = self.session.tape, Path(scope_of(self.shell.user_ns))
        if tape.touched or not (self.settings.replay_beside and tape.is_idle):
            return
        if kernel_of(self.shell) is None:
            return
        if found := beside(scope):
            speed = 1.0 if takes_input(self.shell) else math.inf
            tape.replay(found, speed=speed, is_beside=True)
            self.endpoint_changed()

    def endpoint_changed(self) -> None:
        """Switch to the demo's own conversation when the demo is on, and back when it is off."""
        replayed = self.session.tape.endpoint(self.settings.endpoint)
        endpoint = replayed.name if replayed else self.settings.endpoint
        conversations, on = self.session.conversations, endpoint == DEMO
        if on and conversations.current != DEMO_CHAT:
            self._before_demo = conversations.current
            conversations.switch(DEMO_CHAT)
        elif not on and conversations.current == DEMO_CHAT:
            conversations.switch(self._before_demo)


def offer_code(shell: Any, text: str) -> bool:
    """Put the first Python block of `text` into the next cell (`--code`).

    Return False where there is none; blocks of other languages cannot run in this kernel.
    """
    from qwen_magic.document.extract import first_python

    block = first_python(text)
    if block is not None:
        shell.set_next_input(block.code, replace=False)
    return block is not None


def _open_conversations(namespace: Mapping[str, object]) -> Conversations:
    """Open the conversations of this kernel's notebook from the store.

    Where the file cannot be used they are held in memory only, and one line says why.
    """
    scope = scope_of(namespace)
    store, trouble = open_store(data_folder(os.environ) / STORE_NAME, scope, _warn)
    if trouble:
        _warn(trouble)
    return Conversations(store)


def _notebook_folder(namespace: Mapping[str, object]) -> Path:
    scope = Path(scope_of(namespace))
    return scope if scope.is_dir() else scope.parent


def _warn(line: str) -> None:
    say(line, out=sys.stderr)

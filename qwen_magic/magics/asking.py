"""From options and a prompt to an answer on the screen: what `%%qwen` and `%qwen` share."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qwen_magic.answer import Answer
from qwen_magic.context.instructions import read_instructions
from qwen_magic.context.interpolation import Interpolated, interpolate
from qwen_magic.context.messages import message_list
from qwen_magic.context.tools import resolve_tools
from qwen_magic.conversation.book import DEMO_CHAT
from qwen_magic.conversation.chain import CellKey
from qwen_magic.frontends.kernel import CommPump, cell_id, kernel_of, stop_reaches_sync_cell
from qwen_magic.magics.failure import interrupted
from qwen_magic.magics.options import Options
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.session.endpoints import DEMO
from qwen_magic.session.plan import Ask, Plan
from qwen_magic.session.session import Session
from qwen_magic.session.view import NoView, View


class Asker:
    """Asks for one shell: holds what lasts from question to question."""

    def __init__(self, shell: Any, settings: QwenSettings) -> None:
        self.shell = shell
        self.settings = settings
        self.session = Session(figure_hosts=settings.figure_hosts)
        self.chat_defaults: dict[str, Options] = {}
        self._calls = 0
        self._shelf: Any = None
        self._before_demo = self.session.book.current
        self._follow_endpoint()
        settings.observe(self._settings_changed, ["endpoint", "figure_hosts"])

    def begin_execution(self) -> None:
        """A cell begins: count its calls anew."""
        self._calls = 0

    def close(self) -> None:
        self.settings.unobserve(self._settings_changed, ["endpoint", "figure_hosts"])
        self.session.close()
        if self._shelf is not None:
            self._shelf.close()

    def _settings_changed(self, change: Any) -> None:
        self.session.figure_hosts = tuple(self.settings.figure_hosts)
        self._follow_endpoint()

    def _follow_endpoint(self) -> None:
        """Demo answers live in a conversation of their own; leaving the demo leaves it."""
        book, on = self.session.book, self.settings.endpoint == DEMO
        if on and book.current != DEMO_CHAT:
            self._before_demo = book.current
            book.switch(DEMO_CHAT)
        elif not on and book.current == DEMO_CHAT:
            book.switch(self._before_demo)

    def plan(self, options: Options, prompt: str) -> Plan:
        """What would be sent for `prompt` as typed. Raises `UsageError`, `ConversationError`."""
        chat = options.chat or self.session.book.current
        defaults = self.chat_defaults.get(chat, Options())
        options = options.merged_over(defaults).merged_over(_options(self.settings))
        namespace: Mapping[str, object] = self.shell.user_ns
        given, expanded = self._input(prompt, namespace, raw=options.raw)
        system = read_instructions(options.system or "", namespace)
        return self.session.plan(
            Ask(
                prompt=prompt,
                input=given,
                model=options.model or self.settings.model,
                endpoint=self.session.endpoints.find(self.settings.endpoint),
                chat=chat,
                tools=resolve_tools(options.tools or (), namespace),
                think=options.think,
                effort=options.effort or "",
                system=system.text,
                temperature=options.temperature,
                top_p=options.top_p,
                max_output_tokens=options.max_output_tokens,
                silence=options.timeout or self.settings.timeout,
                new=options.new,
                after=options.after or "",
                history=not options.no_history,
                cell=self._cell_key(),
                expanded=(*expanded, *_told(system)),
            )
        )

    def answer(self, plan: Plan, options: Options) -> Answer:
        """Answer in a synchronous call: nested cells, indented lines, terminals, scripts."""
        pump = CommPump(self.shell)
        view = self._view(plan, options, awaited=False)
        try:
            answer = self.session.run(plan, view, step=pump.step_now)
        except KeyboardInterrupt:
            raise interrupted() from None
        finally:
            pump.close()
        return self._deliver(answer, options)

    async def aanswer(self, plan: Plan, options: Options) -> Answer:
        """Answer in a cell that awaits, so that the kernel handles a click on Stop meanwhile."""
        pump = CommPump(self.shell)
        view = self._view(plan, options, awaited=True)
        try:
            answer = await self.session.arun(plan, view, step=pump.step)
        except asyncio.CancelledError:
            # ipykernel turns an interrupt into the cancellation of the running cell.
            raise interrupted() from None
        finally:
            pump.close()
        return self._deliver(answer, options)

    def _deliver(self, answer: Answer, options: Options) -> Answer:
        """Bind what was asked to be bound, then fail the cell if the answer failed: even then
        the part that came is kept."""
        answer = replace(answer, shown_in=self.shell.execution_count)
        if options.out:
            self.shell.user_ns[options.out] = answer
        if kernel_of(self.shell) is None:
            # The call ends with a semicolon there (see the transformer), which keeps the value
            # from `_` and `Out` as well.
            self.shell.displayhook.update_user_ns(answer)
        if answer.error is not None:
            raise answer.error
        return answer

    def _input(
        self, prompt: str, namespace: Mapping[str, object], *, raw: bool
    ) -> tuple[str | tuple[dict[str, Any], ...], tuple[str, ...]]:
        if raw:
            return prompt, ()
        messages = message_list(prompt, namespace)
        if messages is not None:
            return messages, (f"{prompt.strip()} → {len(messages)} messages",)
        read = interpolate(prompt, namespace)
        return read.text, _told(read)

    def _cell_key(self) -> CellKey | None:
        cell = cell_id(self.shell)
        if not cell:
            return None
        self._calls += 1
        return CellKey(cell, self._calls - 1)

    def _view(self, plan: Plan, options: Options, *, awaited: bool) -> View:
        if options.quiet:
            return NoView()
        from qwen_magic.document.build import Document
        from qwen_magic.document.facts import TurnFacts

        ask = plan.ask
        is_demo = ask.endpoint.family == "demo"
        facts = TurnFacts(
            model=ask.model,
            chat=plan.chat,
            turn_number=plan.number if plan.chat else 0,
            sibling=plan.sibling,
            added=plan.added,
            expanded=ask.expanded,
            notices=("offline demo",) if is_demo else (),
            endpoint="" if is_demo else ask.endpoint.name,
        )
        if kernel_of(self.shell) is None or not self.settings.live:
            from qwen_magic.frontends.terminal import TerminalView

            return TerminalView(facts, sys.stdout, started=time.monotonic())
        from qwen_magic.frontends.jupyter import LiveView, WidgetShelf

        self._shelf = self._shelf or WidgetShelf()
        shell = self.shell
        return LiveView(
            Document(facts, started=time.monotonic()),
            shelf=self._shelf,
            clock=time.monotonic,
            cell_id=cell_id(shell),
            stoppable=lambda widget: awaited or stop_reaches_sync_cell(shell, widget),
        )


def _options(settings: QwenSettings) -> Options:
    """The traits as the options that they are the defaults of."""
    return Options(
        model=settings.model,
        tools=tuple(settings.tools),
        think=settings.think,
        effort=settings.effort,
        system=settings.system or None,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_output_tokens=settings.max_output_tokens,
        timeout=settings.timeout,
    )


def _told(read: Interpolated) -> tuple[str, ...]:
    """What became of a text's braces, in words for the footer."""
    expanded = tuple(f"{{{e.name}}} → {e.chars:,} characters" for e in read.expanded)
    left = tuple(f"{{{name}}} left as typed: not found" for name in read.unknown)
    return expanded + left

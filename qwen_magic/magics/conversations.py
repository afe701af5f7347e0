"""`%qwen_chat` and `%qwen_new`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from IPython.core.magic import line_magic, magics_class, no_var_expand

from qwen_magic.errors import QwenError
from qwen_magic.magics.failure import shortened
from qwen_magic.magics.helptext import chat_help_text
from qwen_magic.magics.over_session import SessionMagics

if TYPE_CHECKING:
    from qwen_magic.conversation.summary import Summary
    from qwen_magic.magics.options import Options


LISTED: Final = 10  # conversations, where not all of them were asked for


@magics_class
class ConversationMagics(SessionMagics):
    """Listing, switching and beginning conversations."""

    @property
    def _defaults(self) -> dict[str, Options]:
        return self._magics.asker.chat_defaults

    @no_var_expand
    @line_magic
    def qwen_chat(self, line: str) -> None:
        """List the conversations, or go on with one.

        %qwen_chat                    list the ones used last
        %qwen_chat --all              list them all
        %qwen_chat sales              switch to `sales`, creating it if it is new
        %qwen_chat sales --think -m qwen3-max -t code_interpreter
                                      the same; the options become its defaults
        """
        from qwen_magic.magics.options import Options, read_chat

        if line.split() == ["--all"]:
            self._list(everything=True)
            return
        try:
            typed = read_chat(line)
            if typed.defaults.help:
                print(chat_help_text())
                return
            if typed.name is None and typed.defaults == Options():
                self._list()
                return
            self._switch(typed.name or self._conversations.current, typed.defaults)
        except QwenError as error:
            raise shortened(error) from error.__cause__

    @no_var_expand
    @line_magic
    def qwen_new(self, line: str) -> None:
        """Begin an empty conversation: %qwen_new [NAME] (unnamed: chat-2, chat-3, …)."""
        from qwen_magic.magics.options import read_new

        try:
            chain = self._conversations.new(read_new(line) or "")
        except QwenError as error:
            raise shortened(error) from error.__cause__
        self._conversations.switch(chain.name)
        print(f"New conversation: {chain.name}")

    def _switch(self, name: str, defaults: Options) -> None:
        self._conversations.switch(name)
        earlier = self._defaults.get(name)
        self._defaults[name] = defaults.merged_over(earlier) if earlier else defaults
        outline = self._conversations.outline(name)
        turns = outline.on_way
        state = f"{turns} turn{'' if turns == 1 else 's'}" if outline.turns else "new"
        said = [f"Conversation: {name} ({state})", *_shown(self._defaults.get(name))]
        print("; ".join(said))

    def _list(self, *, everything: bool = False) -> None:
        from qwen_magic.conversation.summary import Recent
        from qwen_magic.frontends.table import show_table

        conversations = self._conversations
        recent = (
            Recent(tuple(conversations.summaries())) if everything else conversations.recent(LISTED)
        )
        listed: dict[str, Summary | None] = {each.chat: each for each in recent.summaries}
        listed |= {name: None for name in conversations.empty() if name not in listed}
        rows = [self._row(name, summary) for name, summary in listed.items()]
        older = f"and {recent.older:,} older: %qwen_chat --all" if recent.older else ""
        header = ["", "conversation", "turns", "head", "age", "tokens", "defaults"]
        show_table(header, rows, older)

    def _row(self, name: str, summary: Summary | None) -> list[str]:
        """Told from the store's summary: listing loads no conversation."""
        from qwen_magic.frontends.history_rows import age_words

        now = time.time()
        return [
            "→" if name == self._conversations.current else "",
            name,
            f"{summary.turns:,}" if summary else "0",
            _preview(summary.prompt) if summary else "",
            age_words(now - summary.newest) if summary else "",
            f"{summary.tokens:,}" if summary and summary.tokens else "",
            ", ".join(_shown(self._defaults.get(name))),
        ]


def _preview(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= 40 else line[:39] + "…"


def _shown(options: Options | None) -> list[str]:
    if options is None:
        return []
    shown = {
        "-m": options.model,
        "-t": ",".join(options.tools) or "none" if options.tools is not None else None,
        "-e": options.effort,
        "-s": _preview(options.system) if options.system else None,
        "--temperature": options.temperature,
        "--top-p": options.top_p,
        "--max-output-tokens": options.max_output_tokens,
        "--timeout": options.timeout,
    }
    thinking = {True: ["--think"], False: ["--no-think"], None: []}[options.think]
    return thinking + [f"{flag} {value}" for flag, value in shown.items() if value is not None]

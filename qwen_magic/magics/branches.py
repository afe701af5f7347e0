"""`%qwen_fork`, `%qwen_undo`, `%qwen_pick`, `%qwen_history`: where a conversation goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from IPython.core.magic import line_magic, magics_class, no_var_expand

from qwen_magic.errors import QwenError
from qwen_magic.magics.failure import shortened
from qwen_magic.magics.over_session import SessionMagics

if TYPE_CHECKING:
    from qwen_magic.conversation.chain import Chain, Turn


@magics_class
class BranchMagics(SessionMagics):
    """Nothing is ever deleted: these decide which turn comes before the next."""

    @no_var_expand
    @line_magic
    def qwen_fork(self, line: str) -> None:
        """Begin a conversation that continues from an earlier turn, and switch to it.

        %qwen_fork other              from the head of the current conversation
        %qwen_fork other --after 3    from its third turn (or main:3, -1, a response id)
        %qwen_fork other --compact    from a summary that the model writes
        """
        from qwen_magic.magics.branch_lines import read_fork
        from qwen_magic.magics.compact import compact

        try:
            asked = read_fork(line)
            chain, turn = self._turn(asked.after)
            if asked.compact:
                compact(self._magics.asker, asked.name, chain, turn)
            else:
                self._conversations.fork(asked.name, chain, turn)
            self._conversations.switch(asked.name)
        except QwenError as error:
            raise shortened(error) from error.__cause__
        how = "a summary of" if asked.compact else "turn"
        number = len(chain.path(turn))
        place = f"{chain.name} to turn {number}" if asked.compact else f"{number} of {chain.name}"
        print(f"New conversation: {asked.name}, after {how} {place}")

    @no_var_expand
    @line_magic
    def qwen_undo(self, line: str) -> None:
        """Step back: %qwen_undo [N] makes the turn before the last N the head again."""
        from qwen_magic.magics.branch_lines import read_steps

        name = self._conversations.current
        try:
            head = self._conversations.undo(name, read_steps(line))
        except QwenError as error:
            raise shortened(error) from error.__cause__
        print(f"{name} {self._continues(head)}")

    @no_var_expand
    @line_magic
    def qwen_pick(self, line: str) -> None:
        """Make a turn the current one: %qwen_pick REF (3, main:3, -1, or its id from
        %qwen_history). Later turns, and cells below its own, continue after it."""
        from qwen_magic.magics.branch_lines import read_ref

        try:
            chain, turn = self._conversations.find(read_ref(line), self._conversations.current)
            self._conversations.pick(chain, turn)
        except QwenError as error:
            raise shortened(error) from error.__cause__
        print(f"{chain.name} {self._continues(turn)}")

    @no_var_expand
    @line_magic
    def qwen_history(self, line: str) -> None:
        """The conversation as a tree: %qwen_history [NAME]."""
        from qwen_magic.frontends.history import history_html, history_text
        from qwen_magic.frontends.kernel import kernel_of
        from qwen_magic.frontends.table import show_html
        from qwen_magic.magics.branch_lines import read_name

        try:
            outline = self._conversations.outline(read_name(line) or self._conversations.current)
        except QwenError as error:
            raise shortened(error) from error.__cause__
        now = time.time()
        text = history_text(outline, now=now)
        if kernel_of(self.shell) is None:
            print(text)
        else:
            show_html(history_html(outline, now=now), text)

    def _turn(self, ref: str) -> tuple[Chain, Turn]:
        """The turn that REF names, or the head of the current conversation."""
        from qwen_magic.errors import ConversationError

        if ref:
            return self._conversations.find(ref, self._conversations.current)
        chain = self._conversations.chain(self._conversations.current)
        if chain.head is None:
            raise ConversationError(
                f"{chain.name} has no turn to continue from.", hint="%qwen_chat lists others."
            )
        return chain, chain.head

    def _continues(self, head: Turn | None) -> str:
        if head is None:
            return "stands before its first turn."
        prompt = " ".join(head.prompt.split())
        return f"continues after “{prompt if len(prompt) <= 60 else prompt[:59] + '…'}”"

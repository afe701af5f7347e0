"""`%qwen_code`: code out of an answer into the next cell, which is never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from qwen_magic.errors import QwenError, UsageError
from qwen_magic.magics.failure import shortened
from qwen_magic.magics.over_session import SessionMagics

if TYPE_CHECKING:
    from qwen_magic.conversation.chain import Turn
    from qwen_magic.document.extract import CodeBlock


@magics_class
class CodeMagics(SessionMagics):
    """Code from the model's side to the user's: inserted where it can be read first."""

    @no_var_expand
    @line_magic
    def qwen_code(self, line: str) -> None:
        """Put a code block of an answer into the next cell; it is never run.

        %qwen_code             the first Python block of the conversation's last answer
        %qwen_code main:3      of that turn (3, main:3, -1 or a response id)
        %qwen_code -n 2        the second block, of any language; -n -1 is the last
        """
        from qwen_magic.document.extract import code_blocks

        try:
            ref, number = read_code_line(line)
            block = choose(code_blocks(self._turn(ref).text), number)
        except QwenError as error:
            raise shortened(error) from error.__cause__
        put_into_next_cell(self.shell, block)

    def _turn(self, ref: str) -> Turn:
        from qwen_magic.errors import ConversationError

        conversations = self._conversations
        if ref:
            return conversations.find(ref, conversations.current)[1]
        head = conversations.chain(conversations.current).head
        if head is None:
            raise ConversationError(
                f"{conversations.current} has no answer yet.",
                hint="%qwen_chat lists other conversations.",
            )
        return head


def read_code_line(line: str) -> tuple[str, int | None]:
    """REF ("" for the head) and N (None for the first Python block) of `[REF] [-n N]`.

    Raises `UsageError`.
    """
    ref, number = "", None
    words = line.split()
    while words:
        word = words.pop(0)
        if word == "-n":
            number = _number(words.pop(0) if words else "")
        elif word.startswith("-n"):
            number = _number(word[2:].removeprefix("="))
        elif ref:
            raise UsageError(
                f"%qwen_code takes one turn and -n N, and knows nothing to do with {word!r}."
            )
        else:
            ref = word
    return ref, number


def choose(blocks: Sequence[CodeBlock], number: int | None = None) -> CodeBlock:
    """The block of that number, from 1, or from the end where it is negative; without one the
    first of Python, else the first. Raises `UsageError`."""
    if not blocks:
        raise UsageError(
            "There is no code in that answer.", hint="%qwen_code REF takes it from another turn."
        )
    if number is None:
        return next((block for block in blocks if block.is_python), blocks[0])
    if not 1 <= abs(number) <= len(blocks):
        count = "one code block" if len(blocks) == 1 else f"{len(blocks)} code blocks"
        raise UsageError(f"That answer has {count}, no number {number}.")
    return blocks[number - 1 if number > 0 else number]


def put_into_next_cell(shell: Any, block: CodeBlock) -> None:
    """Insert the block below, as it is: reading and running it is left to the user."""
    shell.set_next_input(block.code, replace=False)


def offer_code(shell: Any, text: str) -> bool:
    """What `--code` does with an answer's `text`: put its first Python block into the next cell.

    False where it has none: a block of another language is not for a cell of this kernel.
    """
    block = first_python(text)
    if block is not None:
        put_into_next_cell(shell, block)
    return block is not None


def first_python(text: str) -> CodeBlock | None:
    """The first Python block of an answer's `text`."""
    from qwen_magic.document.extract import code_blocks

    return next((block for block in code_blocks(text) if block.is_python), None)


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(
            "-n needs the number of a code block, from 1; -1 is the last."
            if not word
            else f"-n takes the number of a code block, from 1, not {word!r}."
        ) from None

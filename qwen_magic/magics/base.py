"""The base of the magics: decorators for line magics, the conversations they use, short errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

from IPython.core.magic import Magics, line_magic, no_var_expand

from qwen_magic.errors import ConversationError, QwenError, bare, raising
from qwen_magic.frontends.plain import cut_at_words, say

if TYPE_CHECKING:
    from qwen_magic.conversation.chain import Chain, Turn
    from qwen_magic.conversation.conversations import Conversations
    from qwen_magic.document.question import Question
    from qwen_magic.magics.asking import Asker
    from qwen_magic.magics.qwen import QwenMagics

NOTEBOOK_NAME: Final = "__vsc_ipynb_file__"  # by which a namespace tells its notebook's path
HELP: Final = ("-h", "--help")
_Of = TypeVar("_Of")
_Result = TypeVar("_Result")


def scope_of(namespace: Mapping[str, object]) -> str:
    """The absolute path of the notebook that this shell runs; else the working folder."""
    from qwen_magic.conversation.scope import notebook_scope

    path = str(namespace.get(NOTEBOOK_NAME) or "")
    return notebook_scope(os.environ, Path.cwd(), vscode_notebook=path)


class SessionMagics(Magics):
    """Magics that use the session of `%%qwen` in the same shell. Created when first called."""

    def __init__(self, shell: Any, magics: QwenMagics) -> None:
        super().__init__(shell=shell)
        self._magics = magics

    @property
    def _asker(self) -> Asker:
        return self._magics.asker

    @property
    def _conversations(self) -> Conversations:
        return self._asker.session.conversations

    def _find(self, ref: str) -> tuple[Chain, Turn]:
        """The turn that `ref` names; without one, the turn that the next question continues after.

        Raises `ConversationError`.
        """
        conversations = self._conversations
        if ref:
            return conversations.find(ref, conversations.current)
        chain = conversations.chain(conversations.current)
        if chain.head is None:
            raise ConversationError(
                f"{chain.name} has no answer yet.", hint="%qwen_chat lists other conversations."
            )
        return chain, chain.head


def line_command(method: Callable[[_Of, str], _Result]) -> Callable[[_Of, str], _Result]:
    """Make a line magic that gets its line unchanged and shows errors without a traceback."""
    return no_var_expand(cast("Callable[[_Of, str], _Result]", line_magic(fails_shortly(method))))


def command(method: Callable[[_Of, str], _Result]) -> Callable[[_Of, str], _Result | None]:
    """Make a line magic whose `-h` prints its docstring."""

    @wraps(method)
    def called(self: _Of, line: str) -> _Result | None:
        if line.strip() not in HELP:
            return method(self, line)
        say(getdoc(method) or "")
        return None

    return line_command(called)


def blocking(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine whose awaits all block, and return its result.

    A magic is written once, as a coroutine with the argument `awaits` (see `asking`). Called with
    `awaits=False` it never suspends, so one step runs it to its end.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: _Result = done.value
        return result
    coroutine.close()
    raise RuntimeError("It waited in a call that blocks.")


def shortened(error: BaseException) -> BaseException:
    """Return `error`, set to print two or three lines instead of a traceback, once.

    IPython calls `_render_traceback_` of an exception. Ours deletes itself when called, so that
    `%tb` afterwards prints the full traceback.
    """
    if isinstance(error, QwenError):
        bare(error)
        lines = str(error).split("\n")
        lines[0] = f"{type(error).__name__}: {lines[0]}"
    else:
        lines = [f"{type(error).__name__}: {error}"]

    def render() -> list[str]:
        del error._render_traceback_  # type: ignore[attr-defined]
        return [cut_at_words(line, sys.stdout) for line in lines]

    error._render_traceback_ = render  # type: ignore[attr-defined]
    return error


def short(error: Exception) -> BaseException:
    """How a cell shows this error: a `QwenError` by its message, any other by its traceback."""
    return shortened(error) if isinstance(error, QwenError) else bare(error)


# A method whose failures are short.
fails_shortly: Final = raising(short)


def interrupted(message: str = "the answer was stopped; what came of it is kept") -> BaseException:
    """The exception of an interrupt (■, Ctrl-C): it ends Run All."""
    return shortened(KeyboardInterrupt(message))


class UnreadError(Exception):
    """The notebook has to be read first; `selection` holds the arguments for
    `NotebookReader.read`.
    """

    def __init__(self, *selection: Any) -> None:
        super().__init__(selection[0])
        self.selection = selection


class UnansweredError(Exception):
    """The user has to answer `question` first."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.title)
        self.question = question


def unanswered(question: Question) -> NoReturn:
    raise UnansweredError(question)

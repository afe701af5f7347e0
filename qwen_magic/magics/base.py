"""What the magics share: how a line magic is made, what it works on, how a failure looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

from IPython.core.magic import Magics, line_magic, no_var_expand

from qwen_magic.errors import ConversationError, QwenError, bare, raising
from qwen_magic.frontends.plain import say

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
    """The notebook that this shell runs for, as an absolute path; else the working folder."""
    from qwen_magic.conversation.scope import notebook_scope

    told = str(namespace.get(NOTEBOOK_NAME) or "")
    return notebook_scope(os.environ, Path.cwd(), vscode_notebook=told)


class SessionMagics(Magics):
    """Magics that work on what `%%qwen` of the same shell holds; it is made when one needs it."""

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
        """The turn that REF names, or without one the turn that the next question continues after.
        Raises `ConversationError`."""
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
    """A line magic: it gets its line to the letter, and its failures are short."""
    return no_var_expand(cast("Callable[[_Of, str], _Result]", line_magic(fails_shortly(method))))


def command(method: Callable[[_Of, str], _Result]) -> Callable[[_Of, str], _Result | None]:
    """The same for one without the options of `%qwen`: its `-h` shows its docstring."""

    @wraps(method)
    def called(self: _Of, line: str) -> _Result | None:
        if line.strip() not in HELP:
            return method(self, line)
        say(getdoc(method) or "")
        return None

    return line_command(called)


def blocking(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """What a coroutine gives whose every `await` blocks instead of suspending.

    What a magic does is written once, as a coroutine with the argument `awaits`: whether its cell
    awaits it (see `asking`). Where it does not, one step takes it to its end.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: _Result = done.value
        return result
    coroutine.close()
    raise RuntimeError("It waited in a call that blocks.")


def shortened(error: BaseException) -> BaseException:
    """`error`, set to render itself once as its two or three lines instead of a traceback.

    IPython asks a value for `_render_traceback_`; ours takes itself away when it is called, so
    that the next rendering (`%tb`) is IPython's own and gives the whole.
    """
    if isinstance(error, QwenError):
        bare(error)
        lines = str(error).split("\n")
        lines[0] = f"{type(error).__name__}: {lines[0]}"
    else:
        lines = [f"{type(error).__name__}: {error}"]

    def render() -> list[str]:
        del error._render_traceback_  # type: ignore[attr-defined]
        return lines

    error._render_traceback_ = render  # type: ignore[attr-defined]
    return error


def short(error: Exception) -> BaseException:
    """A failure as a cell shows it."""
    return shortened(error) if isinstance(error, QwenError) else bare(error)


# A method whose failures are short.
fails_shortly: Final = raising(short)


def interrupted(told: str = "the answer was stopped; what came of it is kept") -> BaseException:
    """What an interrupt (■, Ctrl-C) raises, so that Run All stops."""
    return shortened(KeyboardInterrupt(told))


class UnreadError(Exception):
    """Before this can go on, the notebook has to be read (`NotebookReader.read`), as `wanted`."""

    def __init__(self, *wanted: Any) -> None:
        super().__init__(wanted[0])
        self.wanted = wanted


class UnansweredError(Exception):
    """Before this can go on, the user has to be asked."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.title)
        self.question = question


def unanswered(question: Question) -> NoReturn:
    raise UnansweredError(question)

"""What holds for the function calls of all turns: limits, what the user said, who can be asked; and
whether a blocking call may await, below.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import types
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
)

from qwen_magic.context.secrets import attributes
from qwen_magic.errors import UsageError
from qwen_magic.tools.definition import MAX_RESULT_BYTES, FunctionTool

if TYPE_CHECKING:
    from qwen_magic.document.question import Question, Verdict

T = TypeVar("T")
Prompt: TypeAlias = "Callable[[Question], Verdict | None]"
Standing: TypeAlias = Literal["always", "never"]
Unattended: TypeAlias = Literal["refuse", "allow"]


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits on the functions of one question.

    - `rounds`: how often the model continues with results;
    - `seconds`: of all functions together;
    - `size`: bytes of one result;
    - `mask`: columns and keys (names or patterns) whose values are hidden.

    One response may make at most 50 calls. A synchronous function is interrupted at the time limit
    only on POSIX in the main thread.
    """

    rounds: int = 10
    seconds: float = 300.0
    size: int = MAX_RESULT_BYTES
    mask: tuple[str, ...] = ()


class ToolPolicy:
    """Which functions may be called, and how far.

    - `prompt` asks the user where the view cannot, and gives None where nobody can be asked;
    - `unattended`: what holds then;
    - `limits`: of each question;
    - `may_nest`: whether nest_asyncio2 may be used (`run_here`).

    Lasting answers are each for one function in one conversation, for as long as the kernel lives:
    they are never written to a file, and no import or restored notebook brings any.
    """

    def __init__(self) -> None:
        self.prompt: Prompt = lambda question: None
        self.unattended: Unattended = "refuse"
        self.limits = CallLimits()
        self.may_nest = True
        self._standing: dict[tuple[str, str], tuple[Standing, object]] = {}

    def standing(self, chat: str, tool: FunctionTool) -> Standing | None:
        """The lasting verdict on `tool` in this conversation, or None.

        A verdict holds for one function with one state (`fingerprint`), not for its name.
        """
        said, what = self._standing.get((chat, tool.name), (None, None))
        return said if said is not None and what == _identity(tool) else None

    def knows_another(self, chat: str, tool: FunctionTool) -> bool:
        """Whether there is a verdict on another function, or another state, of this name."""
        return (chat, tool.name) in self._standing and self.standing(chat, tool) is None

    def remember(self, chat: str, tool: FunctionTool, said: Standing) -> None:
        self._standing[chat, tool.name] = (said, _identity(tool))

    def keep_up(self, chat: str, tool: FunctionTool) -> None:
        """Apply the verdict on `tool` to its state after it ran.

        It may have changed its own object, such as a counter, which does not make it another
        function.
        """
        if (chat, tool.name) in self._standing:  # not forgotten meanwhile
            self.remember(chat, tool, self._standing[chat, tool.name][0])

    def forget(self) -> int:
        """Forget all verdicts; return how many there were."""
        count = len(self._standing)
        self._standing.clear()
        return count

    def check_blocking(self, functions: Iterable[FunctionTool]) -> None:
        """Raise `UsageError` if an asynchronous function could not run in a blocking call."""
        waits = next((tool.name for tool in functions if tool.is_async), "")
        if waits and not self.may_nest and loop_runs():
            raise UsageError(
                f"{waits} is asynchronous, and this call blocks the event loop that it needs.",
                why="nest_asyncio2, which would help, is forbidden (QwenMagics.nest_asyncio).",
                hint="Ask at the top of a cell with %%qwen, or with await qwen.aask(…).",
            )


def _identity(tool: FunctionTool) -> object:
    return fingerprint(tool.function) if tool.identity is None else tool.identity


class _Identity:
    """Compares equal to the same object only, and keeps it alive so that its `id` is not reused."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._value is other._value

    __hash__ = None  # type: ignore[assignment]  # it stands in lists only


_PLAIN: Final = (types.NoneType, bool, int, float, complex, str, bytes, types.CodeType)
_CONTAINERS: Final = (list, tuple, set, frozenset, dict)
_MOST_VALUES: Final = 10_000  # that one fingerprint looks at


def fingerprint(
    value: Any, _seen: dict[int, tuple[int, object]] | None = None, _deep: bool = True
) -> object:
    """What `value` is and holds, to be compared by `==`: equal as long as a call does the same.

    A function is its code with where it stands in its cell (moving it asks again), its defaults,
    the values that it closes over, its annotations, and its attributes, with the functions that it
    decorates. A method is a function and its object; a partial, a function and what it binds.
    Containers are what they hold. Any other object is itself and no other, with its attributes (and
    those of its class) as they are now: `db.query` is not allowed any more once `db.host` is
    another. The same text, run again in its cell, makes an equal function. What a function finds
    by global names is not looked at. None of the values' own code is run.
    """
    kind = type(value)
    if kind in _PLAIN:
        return kind, value
    seen = {} if _seen is None else _seen
    if id(value) in seen:
        return "seen", seen[id(value)][0]
    if len(seen) >= _MOST_VALUES:
        return _Identity(value)
    seen[id(value)] = len(seen), value  # kept: another one would get the id of what is gone

    def of(*parts: object, deep: bool = _deep) -> object:
        return kind, [fingerprint(part, seen, deep) for part in parts]

    if kind is types.FunctionType:
        closed = [_content(cell) for cell in value.__closure__ or ()]
        kept = (value.__defaults__, value.__kwdefaults__, value.__dict__)
        return of(value.__code__, *kept, closed, _annotations(value))
    if kind is types.MethodType:
        return of(value.__func__, value.__self__)
    if kind is functools.partial:
        return of(value.func, value.args, value.keywords, value.__dict__)
    if kind in _CONTAINERS:
        return of(*(itertools.chain(*value.items()) if kind is dict else value))
    if origin := get_origin(value):  # `list[int]`: made anew each time that it is written
        return of(origin, *get_args(value))
    if not _deep or isinstance(value, types.ModuleType) or hasattr(kind, "shape"):
        return _Identity(value)
    holders = [value] if isinstance(value, type) else [kind]
    held = [*attributes(value), *(item for holder in holders for item in vars(holder).items())]
    return [_Identity(value), of(*itertools.chain(*held), deep=False)]


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not given a value yet
        return None


def _annotations(function: Any) -> object:
    try:
        return function.__annotations__
    except Exception:  # from Python 3.14 on they are read late, and may name what is not there
        return None


# Awaiting inside a synchronous call --------------------------------------------------------------
#
# A synchronous `ask()` in a notebook's cell blocks the kernel's loop; an asynchronous function that
# the model calls may wait for something of that very loop (a lock, a database client), so that
# running it on another loop fails or hangs. nest_asyncio2 makes the loop re-entrant: for the whole
# process and for good, which is why it is applied only here, when it is needed. `await`ing callers
# never need it.


def loop_runs() -> bool:
    """Whether this thread has a running event loop, which our caller blocks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def is_nested() -> bool:
    """Whether the running loop has been made re-entrant already."""
    return hasattr(asyncio.get_running_loop(), "_nest_patched")


def run_here(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` to its end on this thread, making the running loop re-entrant.

    Raises `UsageError` if the loop is not asyncio's own (uvloop).
    """
    if not loop_runs():
        return asyncio.run(coroutine)
    import nest_asyncio2  # type: ignore[import-untyped]

    loop = asyncio.get_running_loop()
    try:
        nest_asyncio2.apply(loop)
    except ValueError as error:
        coroutine.close()
        raise UsageError(
            "An asynchronous function cannot be awaited in this blocking call.",
            why=str(error),
            hint="Ask at the top of a cell with %%qwen, or with await qwen.aask(…).",
        ) from error
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    finally:
        task.cancel()  # nothing, where it has ended

"""What the displayhook shows of an `Answer`: nothing where its live output stands already."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, Protocol

_DEPTH: Final = 15  # frames from the displayhook to an object's display method; about 8 are seen


class Shown(Protocol):
    """What is needed of an `Answer`."""

    @property
    def shown_in(self) -> int | None:
        """The execution whose live output shows it."""

    def _repr_mimebundle_(self) -> tuple[Mapping[str, str], dict[str, Any]]: ...


def show_answer(answer: Shown) -> None:
    """Display `answer`, but not as the value of the very execution whose output shows it live."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if (
        shell is not None
        and answer.shown_in == shell.execution_count
        and _called_by(shell.displayhook)
    ):
        return
    data, metadata = answer._repr_mimebundle_()
    if shell is None or not hasattr(shell, "kernel"):
        _write(data)
        return
    display(dict(data), raw=True, metadata=metadata)  # type: ignore[no-untyped-call]


def _write(data: Mapping[str, str]) -> None:
    """To a terminal: the Markdown drawn by rich, where that is installed; else as plain text.
    Without control characters: with them a model could write to the terminal what it likes."""
    from qwen_magic.frontends.plain import printable

    try:
        from rich.console import Console
        from rich.markdown import Markdown
    except ImportError:
        print(printable(data["text/plain"]))  # noqa: T201
        return
    if sys.stdout.isatty():
        Console(file=sys.stdout).print(Markdown(printable(data["text/markdown"])))
    else:
        print(printable(data["text/plain"]))  # noqa: T201


def _called_by(displayhook: Any) -> bool:
    """Whether we are below a call of `displayhook`. IPython does not tell an object's display
    method whether it is asked as an expression's value or by `display(…)`."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_DEPTH):
        if frame is None:
            return False
        if frame.f_code.co_name == "__call__" and frame.f_locals.get("self") is displayhook:
            return True
        frame = frame.f_back
    return False

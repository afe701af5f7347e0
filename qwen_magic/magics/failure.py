"""How a failure looks in a cell: two or three lines; `%tb` afterwards gives the whole."""

from __future__ import annotations

from qwen_magic.errors import QwenError


def shortened(error: BaseException) -> BaseException:
    """`error`, set to render itself once as its lines instead of a traceback.

    IPython asks a value for `_render_traceback_`; ours takes itself away when it is called, so
    that the next rendering (`%tb`) is IPython's own.
    """
    if isinstance(error, QwenError):
        lines = str(error).split("\n")
        lines[0] = f"{type(error).__name__}: {lines[0]}"
    else:
        lines = [f"{type(error).__name__}: {error}"]

    def render() -> list[str]:
        del error._render_traceback_  # type: ignore[attr-defined]
        return lines

    error._render_traceback_ = render  # type: ignore[attr-defined]
    return error


def interrupted() -> BaseException:
    """What an interrupt (■, Ctrl-C) raises, so that Run All stops."""
    return shortened(KeyboardInterrupt("the answer was stopped; what came of it is kept"))

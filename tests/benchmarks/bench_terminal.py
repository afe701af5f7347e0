"""What drawing an answer in a terminal costs, beside rich's own `Live(Markdown)`."""

from __future__ import annotations

import io

from corpora import deltas, document

from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.protocol.events import TextDelta
from qwen_magic.protocol.state import ResponseState

from .goals import Figure, Figures, benchmark, cpu, without

SIZE, FRAME = 10_000, 1 / 20  # characters; seconds between two drawings, in both
_RATE = 100  # deltas a second


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@benchmark(16, "terminal", "CPU of drawing 10 KB in a terminal as it comes")
def terminal(quick: bool) -> Figures:
    missing = list(without("rich.Live(Markdown)", "rich"))
    yield from missing
    if missing:
        return
    pieces, runs = list(deltas(document("mixed", SIZE))), 1 if quick else 3
    ours = cpu(lambda: _draw(pieces), runs)
    theirs = cpu(lambda: _rich(pieces), runs)
    yield Figure("ours", ours * 1e3, "ms")
    yield Figure("rich.Live(Markdown)", theirs * 1e3, "ms")
    yield Figure("of rich.Live(Markdown)", ours / theirs, "×", at_most=1 / 5)
    sizes = [len(_draw(pieces)), len(_rich(pieces))]
    yield Figure("characters written, of those of rich.Live", sizes[0] / sizes[1], "×")


def _draw(pieces: list[str]) -> str:
    from qwen_magic.frontends.live_terminal import LiveTerminalView

    out, state = _Terminal(), ResponseState()
    view = LiveTerminalView(TurnFacts("m"), out, size=lambda: (100, 40), clock=lambda: 0.0)
    view.begin(lambda: None)
    for number, piece in enumerate(pieces):
        now = number / _RATE
        state.apply(TextDelta("output_text", piece, "m", 0), now)
        view.update(state, now)
    view.finish(state, len(pieces) / _RATE, Outcome(), {})
    return out.getvalue()


def _rich(pieces: list[str]) -> str:
    """As rich's documentation has it, with as many drawings as ours."""
    from rich.console import Console
    from rich.live import Live
    from rich.markdown import Markdown

    out, text, drawn = _Terminal(), "", -1.0
    console = Console(file=out, width=100, height=40, force_terminal=True)
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        for number, piece in enumerate(pieces):
            text += piece
            if number / _RATE >= drawn + FRAME:
                drawn = number / _RATE
                live.update(Markdown(text), refresh=True)
        live.update(Markdown(text), refresh=True)
    return out.getvalue()

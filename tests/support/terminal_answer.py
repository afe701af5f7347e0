"""Draws an answer of about 10 KB in the terminal that it runs in, as it would come, then says so.

Run as a program: the text is always the same; `whole(width)` is what has to stand there then.
"""

import os
import sys
import time

import corpora
from terminal_window import Window

from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.frontends.drawing import Ink
from qwen_magic.frontends.live_terminal import Drawer
from qwen_magic.frontends.pictures import Pictures
from qwen_magic.frontends.terminal import terminal_view
from qwen_magic.protocol.events import TextDelta
from qwen_magic.protocol.state import ResponseState

END = "THE END"
CHINESE = "前一千个质数的方差是 5,489,271.0。样本方差除以 n − 1，因此略大一些；两者的差别随之消失。"
TEXT = (
    f"# 质数 Primes\n\n{CHINESE * 3}\n\n$$\n\\sigma^2 = \\frac{{1}}{{n}}\\sum_i (p_i - m)^2\n$$\n\n"
    "| n | 最大质数 | Variance |\n|--:|:--|--:|\n"
    + "".join(f"| {n} | 质数 {n:03} | {n * n:,} |\n" for n in range(1, 40))
    + f"\n{corpora.document('mixed', 9000)}"
)
TURN = TurnFacts("qwen3-max")


def whole_lines(document, width):
    """The lines of a finished document in a terminal."""
    drawer = Drawer(Ink(has_colour=not os.environ.get("NO_COLOR")), Pictures(sys.stdout))
    return [line.text for part in drawer.parts(document, (width, 24)) for line in part.lines]


def whole(width):
    """What one drawing of it shows."""
    state, document = ResponseState(), Document(TURN, joins=False)
    state.apply(TextDelta("output_text", TEXT, "m", 0), 0.0)
    document.finish(state, 0.0, Outcome())
    window = Window(width)
    window.write("".join(f"{line}\r\n" for line in whole_lines(document, width)))
    return window.text


def main():
    state, view = ResponseState(), terminal_view(TURN, sys.stdout)
    view.begin(lambda: None)
    for at in range(0, len(TEXT), 12):
        state.apply(TextDelta("output_text", TEXT[at : at + 12], "m", 0), 0.0)
        view.update(state, time.monotonic())
        time.sleep(0.002)
    view.finish(state, 0.0, Outcome(), {})
    sys.stdout.write(END)


if __name__ == "__main__":
    main()

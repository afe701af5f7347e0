"""An answer of 10 KB in real terminals of several widths, and in one that is resized meanwhile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rich")

import terminal_answer
from demo_server import demo_server
from real_jupyter import wait_until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")
PROGRAM = Path(terminal_answer.__file__)


@pytest.fixture(scope="module")
def tmux(tmp_path_factory):
    """tmux with the answer in a window of each width."""
    socket = tmp_path_factory.mktemp("tmux") / "socket"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TMUX")}
    environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), str(PROGRAM.parent)])

    def tmux(*words):
        command = ["tmux", "-S", str(socket), "-f", os.devnull, *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        return done.stdout

    for width in (40, 80, 120, 100):
        program = f"{sys.executable} {PROGRAM}; exec sleep 600"
        tmux("new-session", "-d", "-s", f"w{width}", "-x", str(width), "-y", "24", program)
    yield tmux
    tmux("kill-server")


def shown(tmux, width):
    """The window and its history, when the answer has ended."""

    def text():
        return tmux("capture-pane", "-p", "-S", "-", "-t", f"w{width}")

    wait_until(lambda: terminal_answer.END in text(), 60, "the end")
    lines = text().partition(terminal_answer.END)[0].split("\n")
    return "\n".join(line.rstrip() for line in lines).rstrip()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_end_is_one_drawing_of_the_whole(tmux, width):
    if width == 40:  # the other one is resized while it goes on
        for columns, rows in ((62, 20), (117, 30), (55, 24)):
            tmux("resize-window", "-t", "w100", "-x", str(columns), "-y", str(rows))
            tmux("run-shell", "sleep 0.4")
    assert shown(tmux, width) == terminal_answer.whole(width)


def test_a_window_that_was_resized_tells_everything_once(tmux):
    told = "".join(shown(tmux, 100).split())
    for number in range(1, 40):
        assert told.count(f"质数{number:03}") == 1
    assert told.count("".join(terminal_answer.CHINESE.split())) == 3


def test_ctrl_c_stops_and_gives_the_terminal_back(tmux, tmp_path):
    """Keys are not echoed into an answer, and are again when it has ended."""
    ask = "import sys; from qwen_magic.cli import main; sys.exit(main())"
    with demo_server(delay=0.05) as server:
        settings = f"QWEN_MAGIC_ENDPOINT={server.base_url} QWEN_MAGIC_HOME={tmp_path}"
        asked = f"{settings} {sys.executable} -c '{ask}' ask write at length"
        program = f"{asked}; echo status $?; stty -a; exec sleep 600"
        tmux("new-session", "-d", "-s", "w50", "-x", "50", "-y", "40", program)

        def text():
            return tmux("capture-pane", "-p", "-S", "-", "-t", "w50")

        wait_until(lambda: "A long answer" in text(), 40, "an answer")
        tmux("send-keys", "-t", "w50", "typed")
        tmux("send-keys", "-t", "w50", "C-c")
        wait_until(lambda: "-echoprt" in text(), 20, "the end")
    shown = text()
    assert "Stopped after" in shown
    assert "status 130" in shown
    assert "typed" not in shown
    assert " echo " in shown
    assert "# A long" not in shown

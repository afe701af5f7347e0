"""IPython in a terminal: plain text streams to the output, Ctrl-C stops."""

import os
import signal
import subprocess
import sys

import pytest
from real_jupyter import wait_until


class Terminal:
    """`ipython` with its input and output on pipes, or its input on a terminal (`tty`)."""

    def __init__(self, tmp_path, base_url, *, tty=False):
        environ = {**os.environ, "IPYTHONDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        environ.pop("DASHSCOPE_API_KEY", None)
        environ["QWEN_MAGIC_ENDPOINT"] = base_url
        environ["QWEN_MAGIC_HOME"] = str(tmp_path / "home")
        self.out = (tmp_path / "out.txt").open("w+")
        ours, theirs = os.openpty() if tty else (None, subprocess.PIPE)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
            stdin=theirs,
            stdout=self.out,
            stderr=subprocess.STDOUT,
            env=environ,
            text=True,
        )
        if ours is not None:
            os.close(theirs)
        self.input = self.process.stdin or os.fdopen(ours, "w")

    def type(self, *lines):
        for line in lines:
            self.input.write(line + "\n")
        self.input.flush()

    @property
    def text(self):
        with open(self.out.name) as out:
            return out.read()

    def close(self):
        if self.process.stdin is None:
            self.type("exit")
        else:
            self.input.close()
        try:
            assert self.process.wait(20) == 0
        finally:
            self.process.kill()
            self.input.close()
            self.out.close()


@pytest.fixture
def terminal(tmp_path, server):
    started = Terminal(tmp_path, server.base_url)
    started.type("%load_ext qwen_magic")
    yield started
    started.close()


def test_an_answer_is_printed_once(terminal):
    terminal.type("%qwen My name is John", "print('the' + ' end')")
    wait_until(lambda: "the end" in terminal.text, 40, "the end")
    assert terminal.text.count("Hello, John!") == 1
    assert "Out[2]" not in terminal.text, "no empty prompt"
    terminal.type("Out[2].status", "print('the' + ' very end')")
    wait_until(lambda: "the very end" in terminal.text, 20, "the very end")
    assert "'completed'" in terminal.text


def test_the_value_of_an_assignment(terminal, server):
    terminal.type("x = %qwen what is this?", "print(type(x).__name__, x.status)")
    wait_until(lambda: "Answer completed" in terminal.text, 40, "the value")
    assert server.requests[-1].body["input"] == "what is this?"


def test_ctrl_c_stops_and_keeps_what_came(terminal, server):
    server.set(delay=0.05)
    terminal.type("%qwen write at length")
    wait_until(lambda: server.requests and server.requests[-1].events > 24, 40, "streaming")
    terminal.process.send_signal(signal.SIGINT)
    wait_until(lambda: server.requests[-1].closed_at, 5, "the close")
    terminal.type("print('still' + ' here')")
    wait_until(lambda: "still here" in terminal.text, 20, "the next line")
    assert "A long answer" in terminal.text
    assert "Stopped after" in terminal.text
    assert "KeyboardInterrupt" in terminal.text


FUNCTION = "def rows(where: str) -> list: 'Rows that match.'; print('it' + ' ran'); return [where]"


def test_a_function_is_asked_about_at_the_prompt(tmp_path, server):
    terminal = Terminal(tmp_path, server.base_url, tty=True)
    try:
        terminal.type("%load_ext qwen_magic", FUNCTION, "")
        terminal.type('%qwen --raw -t rows call rows(where="a\\u202eb")')
        wait_until(lambda: "never in main: " in terminal.text, 40, "the question")
        assert "Run rows here?" in terminal.text
        assert r'rows(where="a\u202eb")' in terminal.text, "nothing is hidden in the call"
        assert "it ran" not in terminal.text
        terminal.type("perhaps", "y")
        wait_until(lambda: "gave:" in terminal.text, 20, "the answer")
        assert "it ran" in terminal.text
        assert "Called · rows" in terminal.text
        terminal.type("%qwen -t rows call rows(where='b')")
        wait_until(lambda: terminal.text.count("never in main: ") == 3, 20, "the next question")
        terminal.type("n", "print('the' + ' end')")
        wait_until(lambda: "the end" in terminal.text, 20, "the end")
        assert "Refused · rows" in terminal.text
        assert terminal.text.count("it ran") == 1
    finally:
        terminal.close()


def test_without_a_terminal_no_function_runs(terminal):
    terminal.type(FUNCTION, "")
    terminal.type("%qwen -t rows call rows(where='a')", "print('the' + ' end')")
    wait_until(lambda: "the end" in terminal.text, 40, "the end")
    assert "it ran" not in terminal.text
    assert "nobody could be asked" in terminal.text

"""The limits of a run: time, memory, output, files, network, environment."""

import subprocess
import sys
from pathlib import Path

import pytest

from qwen_magic.demo.sandbox import runner
from qwen_magic.demo.sandbox.runner import Limits, PythonRun, fenced, isolation


@pytest.fixture
def run(tmp_path):
    def start(code, **limits):
        return PythonRun(code, tmp_path, Limits(**limits)).wait(lambda png: f"figure:{len(png)}")

    return start


@pytest.fixture(params=["namespaces", "audit hook only"])
def each_way(request, monkeypatch):
    """With the system's help where it gives any, and without."""
    if request.param == "namespaces":
        if not isolation():
            pytest.skip("this system permits no namespaces")
    else:
        monkeypatch.setattr(runner, "isolation", lambda: ())


def test_output_and_the_last_value(run):
    assert run("print(1)\n'two'").logs == "```\n1\n'two'\n```"
    assert run("None").logs == ""


def test_time(run):
    result = run("print('begun', flush=True)\nwhile True: pass", seconds=0.5)
    assert result.timed_out
    assert result.failed
    assert result.logs == "```\nbegun\n```\n\nTimeout. No response after 0.5 seconds."


def test_the_real_limit_of_time():
    assert Limits().seconds == 20


def test_memory(run):
    result = run("x = bytearray(10**9)", memory=500 * 1024**2)
    assert result.stderr.endswith("MemoryError\n")


def test_output(run):
    result = run("for n in range(10**5): print('x' * 100)", output=1000, file_size=10**6)
    assert len(result.stdout) < 1100
    assert "cut: 1,000,000 bytes" in result.stdout
    assert "File too large" in result.stderr


@pytest.mark.usefixtures("each_way")
def test_no_network(run, client):
    code = (
        "import socket, urllib.request\n"
        "for attempt in (\n"
        f"    lambda: socket.create_connection(('127.0.0.1', {client.server.port})),\n"
        "    lambda: socket.socket().connect(('1.1.1.1', 80)),\n"
        "    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53)),\n"
        f"    lambda: urllib.request.urlopen('{client.server.url}'),\n"
        "):\n"
        "    try:\n"
        "        attempt()\n"
        "        print('reached')\n"
        "    except OSError as error:\n"
        "        print('Network is unreachable' in str(error))\n"
    )
    before = len(client.server.requests)
    assert run(code).stdout == "True\n" * 4
    assert len(client.server.requests) == before


@pytest.mark.usefixtures("each_way")
def test_nothing_of_the_parents_environment(run, monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-canary")
    code = (
        "import os, glob\n"
        "print(dict(os.environ))\n"
        "for path in ('/proc/self/environ', f'/proc/{os.getppid()}/environ', '/proc/1/environ'):\n"
        "    try:\n"
        "        print(open(path, 'rb').read())\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)\n"
    )
    result = run(code)
    assert not result.failed, result.stderr
    assert "HOME" in result.stdout
    assert "canary" not in result.logs
    assert result.stdout.endswith("PermissionError\n" * 2)  # its own is no secret


@pytest.mark.usefixtures("each_way")
def test_no_files_but_its_own(run, tmp_path_factory):
    secret = tmp_path_factory.mktemp("user") / "secret.txt"
    secret.write_text("canary")
    code = (
        "import os, pathlib, shutil, tempfile\n"
        "open('own.txt', 'w').write('mine')\n"
        "print(open('own.txt').read())\n"
        "with tempfile.TemporaryFile() as file: file.write(b'x')\n"
        "for attempt in (\n"
        f"    lambda: open('{secret}').read(),\n"
        f"    lambda: os.symlink('{secret}', 'link'),\n"
        f"    lambda: open('{secret}', 'a'),\n"
        f"    lambda: os.remove('{secret}'),\n"
        f"    lambda: os.listdir('{secret.parent}'),\n"
        f"    lambda: shutil.rmtree('{secret.parent}'),\n"
        f"    lambda: os.rename('own.txt', '{secret}'),\n"
        "):\n"
        "    try:\n"
        "        print(attempt())\n"
        "    except PermissionError as error:\n"
        "        print('refused')\n"
    )
    result = run(code)
    assert result.stdout == "mine\n" + "refused\n" * 7, result.logs
    assert secret.read_text() == "canary"


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize(
    "code",
    ["os.system('true')", "subprocess.run(['true'])", "os.fork()", "os.kill(os.getppid(), 9)"],
)
def test_no_other_processes(run, code):
    result = run(f"import os, subprocess\n{code}")
    assert "PermissionError: [Errno 1] The sandbox runs no other programs" in result.stderr
    assert "boot.py" not in result.stderr


def test_figures_left_open_are_shown_and_closed_ones_are_not(run):
    result = run(
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2])\nplt.show()\n"
        "plt.figure()\nplt.plot([3])\nplt.close()\n"
        "plt.figure()\nplt.plot([4])\nplt.savefig('own.png')\n"
    )
    assert not result.failed, result.stderr
    assert [png[:4] for png in result.figures] == [b"\x89PNG"] * 2
    first, second = (len(png) for png in result.figures)
    assert result.logs == f"![fig-001](figure:{first})\n\n![fig-002](figure:{second})"


def test_a_cell_that_does_not_compile(run):
    result = run("def f(:")
    assert result.failed
    assert result.stderr.startswith('  File "<cell>", line 1\n    def f(:\n')
    assert result.stderr.endswith("SyntaxError: invalid syntax\n")


def test_an_exit_is_no_error(run):
    assert not run("import sys; sys.exit(3)").failed
    ended = run("import os; os._exit(1)")
    assert ended.failed
    assert "ended by the system" in ended.logs


def test_causes_of_an_exception_are_told(run):
    result = run("try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e")
    assert "ZeroDivisionError: division by zero\n\nThe above exception" in result.stderr


def test_no_input_is_waited_for(run):
    assert "EOFError" in run("input()").stderr


def test_a_fence_that_the_output_cannot_end():
    assert fenced("a\n````\nb") == "`````\na\n````\nb\n`````"


def test_the_folder_of_a_run_is_gone(tmp_path, monkeypatch, run):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not run("open('left.txt', 'w').write('x')").failed
    assert not list(tmp_path.glob("qwen-demo-run-*"))


def test_a_run_whose_parent_is_gone_ends_by_itself(tmp_path):
    (tmp_path / "cell.py").write_text("import time; time.sleep(60)")
    boot = Path(runner.__file__).with_name("boot.py")
    numbers = ["1000000000", "1000000", "1"]  # memory, file size, seconds
    command = [sys.executable, boot, tmp_path, tmp_path, *numbers]
    assert subprocess.run(command, timeout=30).returncode == 1


def test_killed_before_it_begins(tmp_path):
    never = PythonRun("print(1)", tmp_path, Limits())
    never.kill()
    assert never.wait(str).stdout == ""

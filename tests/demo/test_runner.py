"""A run is a plain subprocess with limits; it gives values, logs and figures as they came."""

import sys

import pytest

from qwen_magic.demo.runner import Limits, Runner, fenced


def run(code, limits=None, **given):
    runner = Runner(limits)
    try:
        return runner.run(code, given, lambda: None)
    finally:
        runner.close()


def test_values_and_logs():
    done = run("print('hello')\nresult(twice=2 * given['n'], text='x')\nprint([1, 2])", n=21)
    assert done.values == {"twice": 42, "text": "x"}
    assert done.logs == "```\nhello\n[1, 2]\n```"
    assert not done.failed
    assert run("3 + 4").logs == ""


def test_values_of_numpy_and_pandas():
    pytest.importorskip("pandas")
    code = (
        "import numpy as np, pandas as pd\n"
        "result(a=np.arange(3), m=np.float64(1.5), s=pd.Series([1, 2]), o={1})\n"
        "result(t=pd.Timestamp('2026-01-02'))"
    )
    values = run(code).values
    assert values == {"a": [0, 1, 2], "m": 1.5, "s": [1, 2], "t": "2026-01-02T00:00:00", "o": [1]}


def test_nothing_of_the_environment_is_there(monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    code = (
        "import os, sys\n"
        "own = {'OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'MPLBACKEND'}\n"
        "own |= {'LC_CTYPE', 'MPLCONFIGDIR'}\n"
        "result(environ=sorted(set(os.environ) - own), isolated=sys.flags.isolated,"
        " here=os.listdir('.'), stdin=sys.stdin.read(), package='qwen_magic' in sys.modules)"
    )
    assert run(code).values == {
        "environ": [],
        "isolated": 1,
        "here": [],
        "stdin": "",
        "package": False,
    }


def test_an_error_is_told_as_a_traceback_of_the_cell():
    done = run("def f():\n    return 1 / 0\nresult(before=1)\nf()")
    assert done.failed
    assert done.values == {"before": 1}
    assert "ZeroDivisionError: division by zero" in done.logs
    assert 'File "<cell>", line 2, in f' in done.logs
    assert "cell.py" not in done.logs
    assert run("import no_such_module").missing == "no_such_module"
    assert "SyntaxError" in run("x =").logs


def test_the_time_is_limited_and_all_that_was_started_ends():
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\ntime.sleep(60)"
    )
    done = run(code, Limits(seconds=1))
    assert done.failed
    assert done.logs == "Timeout. No response after 1 seconds."


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are the system's")
def test_the_memory_is_limited():
    done = run("x = bytearray(10 ** 9)", Limits(memory=300 * 1024**2))
    assert done.failed
    assert "MemoryError" in done.logs


def test_the_output_is_limited():
    done = run("print('a' * 100_000)", Limits(output=1000))
    assert len(done.logs) < 1100
    assert "(cut: 100,001 bytes)" in done.logs
    errors = run("import sys\nprint('e' * 100_000, file=sys.stderr)\n1 / 0", Limits(output=1000))
    assert errors.logs.rstrip("`\n").endswith("ZeroDivisionError: division by zero")
    assert len(errors.logs) < 1100
    big = run("while True: print('a' * 1000)", Limits(file_size=1_000_000, seconds=10))
    assert big.failed


def test_figures_in_their_order_without_the_closed_ones():
    pytest.importorskip("matplotlib")
    code = (
        "import matplotlib.pyplot as plt\n"
        "for n in range(3):\n    plt.figure(figsize=(n + 1, 1)); plt.plot([1, n])\n"
        "plt.close(2)\nplt.show()"
    )
    done = run(code)
    assert [figure[:4] for figure in done.figures] == [b"\x89PNG"] * 2
    assert done.logs == ""


def test_a_fence_that_the_text_cannot_end():
    assert fenced("a\n```\nb") == "````\na\n```\nb\n````"

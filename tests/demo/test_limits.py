"""What a client may take up: time and bytes of every read, and nothing without the key."""

import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest
from real_jupyter import wait_until

from qwen_magic.demo import DemoServer
from qwen_magic.demo.http import ReadLimits

LIMITS = ReadLimits(idle_seconds=0.6, head_seconds=0.5, body_seconds=0.5, body=200_000)
HEAD = b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def limited():
    with DemoServer(delay=0, read_limits=LIMITS) as server:
        yield server


def received(connection):
    connection.settimeout(10)
    try:
        return b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionResetError:
        return b""


def send(server, *parts, pause=0.0):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        return received(connection)


def key_of(server):
    return b"Authorization: Bearer " + server.key.encode() + b"\r\n"


def test_a_head_that_comes_too_slowly(limited):
    began = time.monotonic()
    assert send(limited, *[b"POST /v1", b" HTTP/1.1\r\n"], pause=0.1).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 5


def test_a_head_that_drips_has_no_more_time(limited):
    with socket.create_connection(("127.0.0.1", limited.port)) as connection:
        began = time.monotonic()
        try:
            for _ in range(100):
                connection.sendall(b"G")
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - began < 4


def test_a_body_that_comes_too_slowly(limited):
    head = HEAD + key_of(limited) + b"Content-Length: 1000\r\n\r\n{"
    assert send(limited, head).startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing(limited):
    began = time.monotonic()
    assert send(limited) == b""
    assert time.monotonic() - began < 5


def test_a_head_that_is_too_long(limited):
    assert send(limited, HEAD, b"X: " + b"a" * 100_000).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long(limited, chunked):
    size = 300_000
    if chunked:
        head = HEAD + key_of(limited) + b"Transfer-Encoding: chunked\r\n\r\n"
        body = b"%x\r\n" % size + b"a" * size + b"\r\n0\r\n\r\n"
    else:
        head = HEAD + key_of(limited) + b"Content-Length: %d\r\n\r\n" % size
        body = b"a" * size
    assert send(limited, head, body).startswith(b"HTTP/1.1 413 ")


def test_nothing_is_read_of_who_has_no_key(limited):
    head = HEAD + b"Content-Length: 2000\r\n\r\n"
    answer = send(limited, head)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models"),
        ("POST", "/responses"),
        ("GET", "/responses/resp_1"),
        ("DELETE", "/responses/resp_1"),
    ],
)
def test_no_path_is_open_without_the_key(limited, method, path):
    head = f"{method} /v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert send(limited, f"{head}\r\n".encode()).startswith(b"HTTP/1.1 401 ")
    wrong = f"{head}Authorization: Bearer {limited.key}x\r\n\r\n"
    assert send(limited, wrong.encode()).startswith(b"HTTP/1.1 401 ")


LENGTH = b"Content-Length: "
CHUNKED = b"Transfer-Encoding: chunked\r\n"
# What stands between `Host` and the key on one side, and the body on the other; the body; and the
# status that it gets.
FRAMINGS = {
    "two lengths": (LENGTH + b"2\r\n" + LENGTH + b"5\r\n", b"{}", 400),
    "a negative length": (LENGTH + b"-1\r\n", b"", 400),
    "a length that is no number": (LENGTH + b"+5\r\n", b"{}{}{", 400),
    "a length of 5,000 digits": (LENGTH + b"9" * 5000 + b"\r\n", b"", 400),
    "two encodings": (CHUNKED * 2, b"0\r\n\r\n", 501),
    "another encoding": (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n", 501),
    "a chunk of no size": (CHUNKED, b"zz\r\n{}", 400),
    "a chunk of negative size": (CHUNKED, b"-2\r\n{}", 400),
    "a chunk that does not end": (CHUNKED, b"ffffffffffffffffffff\r\n{", 408),
    "a chunk that is longer than it says": (CHUNKED, b"2\r\n{}XX0\r\n\r\n", 400),
    "an extension without end": (CHUNKED, b"2;" + b"x" * 100_000, (408, 431)),
    "a NUL": (b"X: a\0b\r\n", b"", 400),
    "a name with a space": (b"X : a\r\n", b"", 400),
    "a line without a colon": (b"nonsense\r\n", b"", 400),
    "a second host": (b"Host: localhost\r\n", b"", 400),
    "a second key": (b"Authorization: Bearer wrong\r\n", b"", 400),
    "a length and an encoding": (CHUNKED + LENGTH + b"5\r\n", b"0\r\n\r\n", 400),
    "a length beyond all limits, and nothing of it": (LENGTH + b"9999999999\r\n", b"", 413),
    "a page of another site": (b"oRiGiN: null\r\n", b"", 403),
    "a JSON of 100,000 levels": (LENGTH + b"100000\r\n", b"[" * 100_000, 400),
    "a number of 10,000 digits": (LENGTH + b"10010\r\n", b'{"input": ' + b"9" * 10_000, 400),
    "half a body": (LENGTH + b"100\r\n", b"{", 408),
}
HOSTS = (
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil", "localhost@evil"),
    *("evil@localhost", "localhost/evil", "localhost#evil", "localhost,evil", "", "127.1"),
    *("0.0.0.0", "[::1", "xn--lcalhost-54a", "localhost\\.evil", "localhost:port"),
)
PATHS = (
    *("http://evil/v1/models", "//v1/models", "/v1/../v1/models", "/..%2f..%2fetc/passwd"),
    *("/code-interpreter/temp_files/../../etc/passwd", "/code-interpreter/temp_files/%2e%2e/x"),
    *("/v1/models%00", "/v1/responses/%ff%fe", "/v1/responses/..", "*", "/v1/responses/a/b"),
)


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def asks(server, path="/v1/models", host="localhost", end=b"Connection: close\r\n\r\n"):
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode()
    return head + key_of(server) + end


@pytest.mark.parametrize("name", FRAMINGS)
def test_requests_that_are_not_what_they_say(limited, name):
    head, body, status = FRAMINGS[name]
    answer = send(limited, HEAD + key_of(limited) + head + b"\r\n" + body)
    assert status_of(answer) in (status if isinstance(status, tuple) else (status,))
    assert status_of(send(limited, asks(limited))) == 200


@pytest.mark.parametrize("host", HOSTS)
def test_names_that_are_not_this_machines(limited, host):
    assert status_of(send(limited, asks(limited, host=host))) in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1:8000", "[::1]:80"])
def test_names_of_this_machine(limited, host):
    assert status_of(send(limited, asks(limited, host=host))) == 200


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_lead_nowhere(limited, path):
    assert status_of(send(limited, asks(limited, path))) == 404


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\0\xa5\x01\0", b"\0" * 3000, b"GET /\r\n\r\n"])
def test_what_is_no_request_at_all(limited, junk):
    assert send(limited, junk)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 408")
    assert status_of(send(limited, asks(limited))) == 200


def test_many_requests_at_once_are_answered_in_order(limited):
    answer = send(limited, asks(limited, end=b"\r\n") * 49 + asks(limited, "/none"))
    statuses = [status_of(b"HTTP/1.1" + each) for each in answer.split(b"HTTP/1.1")[1:]]
    assert statuses == [200] * 49 + [404]


def test_connections_that_are_open_hold_nobody_up(limited, monkeypatch):
    threads = threading.active_count()
    with ExitStack() as stack:
        address = ("127.0.0.1", limited.port)
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(200)]
        for each in silent[::2]:
            each.sendall(b"GET /v1/mod")  # half a request
        assert status_of(send(limited, asks(limited))) == 200
        monkeypatch.setattr("qwen_magic.demo.server.MOST_OPEN", 0)
        assert send(limited, asks(limited)) == b"", "there may be no more"
        monkeypatch.undo()
        for each in silent:
            received(each)  # until its time is over
    assert status_of(send(limited, asks(limited))) == 200
    wait_until(lambda: threading.active_count() <= threads)


def test_who_reads_nothing_is_not_written_to_for_ever(limited):
    """Each answer is larger than what lies between two sockets."""
    threads = threading.active_count()
    with socket.create_connection(("127.0.0.1", limited.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        body = b'{"model": "m", "input": "hello", "metadata": {"x": "%s"}}' % (b"x" * 150_000)
        head = HEAD + key_of(limited) + LENGTH + b"%d\r\n\r\n" % len(body)
        with suppress(OSError):
            connection.settimeout(3.0)
            connection.sendall((head + body) * 200)
        wait_until(lambda: threading.active_count() <= threads)
    assert status_of(send(limited, asks(limited))) == 200


def test_each_server_has_a_key_of_its_own():
    servers = [DemoServer(), DemoServer()]
    assert servers[0].key != servers[1].key
    assert all(len(server.key) > 30 for server in servers)
    for server in servers:
        server.close()


def test_the_product_knows_its_servers_key():
    from qwen_magic.session.endpoint_keys import Endpoints

    endpoints = Endpoints({"QWEN_DEMO_DELAY": "0"})
    try:
        endpoint = endpoints.find("demo")
        assert len(endpoint.key) > 30
        assert endpoint.key not in repr(endpoint)
    finally:
        endpoints.close()

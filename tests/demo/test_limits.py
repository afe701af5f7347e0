"""What a client may take up: time and bytes of every read, and nothing without the key."""

import socket
import time

import pytest

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

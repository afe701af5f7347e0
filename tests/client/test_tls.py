"""TLS: which certificates are trusted, and what is said where one is not."""

from __future__ import annotations

import ssl
import subprocess

import pytest
from worded_server import ended, said, worded_server

from qwen_magic.client import Client
from qwen_magic.client.http import tls_context
from qwen_magic.client.transport_errors import not_connected
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import ConnectionFailedError
from qwen_magic.protocol.request import ResponseRequest

HERE = "127.0.0.1"


def certificate(folder):
    """A certificate for this machine and its key, as OpenSSL makes them."""
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=here"),
            *("-addext", f"subjectAltName=IP:{HERE}"),
        ],
        cwd=folder,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("no openssl here")
    return folder / "c.pem", folder / "k.pem"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def asked(certificate, key):
    """A question to a server on this machine that has this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with worded_server(lambda body, n: ended(n, said("Hello"))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        client = Client()
        try:
            url = server.url.replace("http:", "https:")
            stream = client.stream(ResponseRequest("m", "Hi"), Endpoint("x", url), retries=0)
            assert stream.wait(10)
        finally:
            client.close()
    return stream


def refused(stream):
    assert isinstance(stream.error, ConnectionFailedError)
    assert stream.error.retry is None
    return stream.error


def test_a_certificate_of_nobody(files):
    error = refused(asked(*files))
    assert error.why.startswith("Certificate: ")
    assert "SSL_CERT_FILE" in error.hint


def test_the_certificates_that_the_environment_names_count_on_this_machine_too(files, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    assert asked(*files).error is None


def test_another_certificate_than_the_named_one(files, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path)[0]))
    error = refused(asked(*files))
    assert error.why.startswith("Certificate: ")
    assert str(tmp_path) in error.hint


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x30\x82\x01\x02"])
def test_certificates_that_cannot_be_read(files, monkeypatch, tmp_path, variable, content):
    wrong = tmp_path / "ca.pem"
    if content is not None:
        wrong.write_bytes(content)
    monkeypatch.setenv(variable, str(wrong))
    error = refused(asked(*files))
    assert error.message == f"The certificates that {variable} ({wrong}) names cannot be read."
    assert variable in error.hint
    monkeypatch.setenv(variable, "")
    assert tls_context(), "it is looked at anew"


@pytest.mark.parametrize("code", [9, 10])  # it does not hold yet, it holds no longer
def test_a_certificate_whose_time_is_over_or_a_clock_that_is_wrong(code):
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_code, cause.verify_message = code, "certificate has expired"
    assert "clock" in not_connected(cause, "https://there.example/v1").hint

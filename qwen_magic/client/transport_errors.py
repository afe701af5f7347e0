"""Why no answer came: the words and the class of a failure of the network itself.

Takes the exception that the HTTP library raised, by kind, and looks for the system's own cause
behind it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from qwen_magic.client.error_body import one_line
from qwen_magic.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    ProtocolError,
    QwenError,
    SilenceError,
    reason_of,
)

# Which certificates to trust, in the order in which they are looked at.
CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_WRONG_TIME: Final = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED

_TRY_TLS: Final = (
    "Check the base URL: if the server speaks https there, it must begin with https://. "
    "The request is not repeated by itself."
)

# How to start the servers that people run on their own machine, by their usual port.
_LOCAL_SERVERS: Final = {
    11434: "Ollama is not running: start it with `ollama serve`.",
    8000: "Start the server, for instance with `vllm serve MODEL`.",
    1234: "LM Studio's server is not running: start it with `lms server start`.",
    8080: "Start the server, for instance with `llama-server -m MODEL.gguf`.",
    30000: "Start the server, for instance with `python -m sglang.launch_server`.",
}


def not_connected(cause: BaseException, url: str) -> QwenError:
    """The connection never stood."""
    roots = list(_roots(cause))
    for root in roots:
        match root:
            case ssl.SSLError():
                return _no_tls(root, url)
            case socket.gaierror():
                return _no_name(root, url)
    if any(isinstance(root, ConnectionRefusedError) for root in roots):
        return _failed(f"{_place(url)} refused the connection.", hint=_start_hint(url))
    system = next((root for root in roots if isinstance(root, OSError) and root.errno), None)
    why = one_line(reason_of(system)) if system else ""
    return _failed(f"{_place(url)} cannot be reached.", why, _start_hint(url))


def not_connected_in_time(url: str, seconds: float) -> QwenError:
    return _failed(
        f"{_place(url)} did not take the connection within {seconds:g} s.", hint=_start_hint(url)
    )


def proxy_refused(cause: BaseException, url: str) -> QwenError:
    """The proxy would not connect to the host: nothing was sent."""
    words = one_line(str(cause))
    return _failed(
        f"The proxy {proxy_of(url) or 'of the environment'} did not connect to {_host(url)}.",
        without_password(words),
        "It wants a password: put it into the URL in HTTPS_PROXY."
        if "407" in words
        else "Check HTTPS_PROXY, or add the host to NO_PROXY.",
        may_retry=False,
    )


def proxy_unusable(cause: BaseException) -> QwenError:
    """The environment names a proxy that no connection can be made with."""
    return _failed(
        "The proxy that the environment names cannot be used.",
        without_password(one_line(str(cause))),
        "For a SOCKS proxy run `pip install httpx2[socks]`; else check HTTP_PROXY, HTTPS_PROXY "
        "and ALL_PROXY.",
        may_retry=False,
    )


def certificates_unusable(cause: OSError) -> QwenError:
    """The environment names certificates that cannot be read, or the machine has none."""
    named = named_certificates()
    why = reason_of(cause)
    if isinstance(cause, ssl.SSLError):
        why = "It holds no certificate in the form PEM."
    return _failed(
        f"The certificates that {named} names cannot be read."
        if named
        else "The certificates of this machine cannot be read.",
        one_line(why),
        f"Correct {named.partition(' ')[0]}, or unset it: then this machine's own are trusted."
        if named
        else "Name a file of them with SSL_CERT_FILE.",
        may_retry=False,
    )


def named_certificates() -> str:
    """By which variable the environment names the certificates to trust, and which; or empty."""
    for variable in CERTIFICATES:
        if value := os.environ.get(variable, ""):
            return f"{variable} ({one_line(value)})"
    return ""


def silent(url: str, seconds: float) -> QwenError:
    return SilenceError(
        f"No byte came from {_host(url)} for {seconds:g} s.",
        hint="Run the cell again, or allow a longer silence with --timeout.",
    )


def not_taken(url: str, seconds: float) -> QwenError:
    return SilenceError(
        f"{_host(url)} took nothing more of the request for {seconds:g} s.",
        hint="Check the network; send less data or a smaller image.",
    )


def cut(cause: BaseException | None, url: str, *, answered: bool = True) -> QwenError:
    """The connection broke after it stood: the request may have been taken up. `answered`: the
    head of an answer came. (A port of TLS that is asked by http sends an alert, or nothing.)"""
    words = one_line(str(cause or ""))
    may_be_tls = urlsplit(url).scheme == "http" and not answered
    if "too long" in words:
        return ProtocolError(
            f"{_host(url)} sent a line without end.",
            why="No server of HTTP has lines of 100 KB before its answer.",
            hint="Check the base URL: its port, and what stands before the server.",
        )
    if any(sign in words.lower() for sign in ("illegal", "bad ", "conflicting")):
        return ProtocolError(
            f"{_host(url)} does not speak HTTP there.",
            why=words,
            hint=_TRY_TLS
            if may_be_tls
            else "Check the base URL: its port, and http against https.",
        )
    again = "Run the cell again. It is not repeated by itself: the answer may have begun."
    return ConnectionLostError(
        f"{_host(url)} cut the connection before the answer was complete.",
        why=words,
        hint=_TRY_TLS if may_be_tls else again,
    )


def unexpected(error: BaseException) -> QwenError:
    """An exception that nothing here expects. Its frames hold the key, so it is told in words."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    code = frame.tb_frame.f_code if frame else None
    place = f" in {code.co_filename.rsplit('/', 1)[-1]}, {code.co_name}" if code else ""
    return ProtocolError(
        "The answer could not be read.",
        why=f"{type(error).__name__}{place}.",
        hint="This is a fault of qwen_magic: please report these lines.",
    )


def proxy_of(url: str) -> str:
    """Host and port of the proxy that the environment prescribes for `url`, or empty."""
    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return without_password(proxy).split("://")[-1].split("@")[-1].rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether `url` is on this machine: no proxy can reach that."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def without_password(words: str) -> str:
    """`words` with the user part of every URL left out."""
    return re.sub(r"//[^/@\s]*@", "//", words)


def _failed(message: str, why: str = "", hint: str = "", *, may_retry: bool = True) -> QwenError:
    error = ConnectionFailedError(message, why=why, hint=hint)
    error.retry = "connection" if may_retry else None
    return error


def _no_tls(cause: ssl.SSLError, url: str) -> QwenError:
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"Certificate: {cause.verify_message}."
        if cause.verify_code in _WRONG_TIME:
            hint = f"Check the clock of this machine: it says {time.strftime('%Y-%m-%d %H:%M')}."
        elif named := named_certificates():
            hint = f"Only what {named} names is trusted: add the server's, or unset it."
        else:
            hint = "Behind a company proxy, name its certificates with SSL_CERT_FILE."
    else:
        why = one_line((cause.reason or str(cause)).replace("_", " ").lower())
        hint = "The server may not speak https there: check the base URL."
    return _failed(
        f"No secure connection to {_place(url)} could be made.", why, hint, may_retry=False
    )


def _no_name(cause: socket.gaierror, url: str) -> QwenError:
    return _failed(
        f"The name {proxy_of(url) or _host(url)} cannot be resolved.",
        one_line(cause.strerror or ""),
        "Check the endpoint's URL and the network; %qwen_demo on answers offline.",
        may_retry=cause.errno == socket.EAI_AGAIN,
    )


def _place(url: str) -> str:
    proxy = proxy_of(url)
    if proxy:
        return f"{_host(url)}, by way of the proxy {proxy},"
    return _host(url)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _start_hint(url: str) -> str:
    if proxy_of(url):
        return "Check HTTPS_PROXY, or add the host to NO_PROXY."
    if is_loopback(url):
        return _LOCAL_SERVERS.get(
            urlsplit(url).port or 80, "Is the server running, and the port right?"
        )
    return "Check the network and the endpoint's URL; %qwen_demo on answers offline."


def _roots(cause: BaseException) -> Iterator[BaseException]:
    """`cause` and all that stands behind it: causes, contexts and members of groups."""
    waiting, seen = [cause], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        behind = (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))
        waiting.extend(one for one in behind if isinstance(one, BaseException))

"""Fails on request, in each of the documented ways (`faults.yaml` has them, and says what the kinds
are); also with the links of figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import uuid4

import yaml

from qwen_magic.demo.http import ClientGoneError, Exchange, RefusedError
from qwen_magic.demo.wire import EventWriter, Response, to_json

if TYPE_CHECKING:
    from qwen_magic.demo.response_writer import ResponseWriter
    from qwen_magic.demo.store import Figure
    from qwen_magic.demo.switches import Switches

Kind: TypeAlias = Literal["http", "body", "failed", "event", "transport", "stream"]

_HTML = (
    "<!DOCTYPE html>\n<html><head><title>{0}</title></head>\n"
    "<body><center><h1>{0}</h1></center><hr><center>nginx</center></body></html>\n"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail."""

    kind: Kind
    status: int = 200
    code: str = ""
    message: str = ""
    content_type: str = "text/html"
    retry_after: float | None = None
    page: str = ""  # the title of an HTML page, which is the body

    @property
    def body(self) -> str:
        return _HTML.format(self.page) if self.page else self.message


FAULTS: Mapping[str, Fault] = {
    name: Fault(**fields)
    for name, fields in yaml.safe_load(
        Path(__file__).with_suffix(".yaml").read_text("utf-8")
    ).items()
}


HUGE = 50 * 1024 * 1024  # bytes
_PIECE = 256 * 1024
_DRIP = 1.0  # seconds between two bytes: no read timeout sees it, but it takes for ever
_GONE = b"<Error><Code>NoSuchKey</Code><Message>Gone or expired.</Message></Error>"
_LOGIN = b"<!DOCTYPE html>\n<html><body>Please log in to the network.</body></html>\n"


def fail(exchange: Exchange, name: str, switches: Switches, *, streams: bool) -> None:
    """Answer with the fault in place of a response. Raises `ClientGoneError`, `RefusedError`."""
    fault = FAULTS[name]
    match fault.kind:
        case "http":
            seconds = fault.retry_after if switches.retry_after < 0 else switches.retry_after
            headers = {} if seconds is None else {"retry-after": f"{seconds:g}"}
            code, nested = fault.code, switches.nested
            raise RefusedError(fault.message, code, fault.status, nested=nested, headers=headers)
        case "body":
            headers = {"location": "https://elsewhere.invalid/"} if name == "redirect" else {}
            exchange.reply(fault.body.encode(), fault.status, fault.content_type, headers)
        case "failed":
            _failed(exchange, fault, streams=streams)
        case "event":
            _error_event(exchange, fault, named=name == "error-event")
        case "transport" if name == "reset":
            exchange.reset()
        case _:
            exchange.pause(None)


def strike(
    exchange: Exchange, writer: ResponseWriter, response: Response, name: str, *, streams: bool
) -> str:
    """The fault in the middle of a stream. Returns what is left unsaid of an incomplete answer;
    raises `ClientGoneError` when there is nothing more to send."""
    match name:
        case "silence-mid":
            exchange.pause(None)
        case "cut" if streams:
            exchange.end_stream()
            raise ClientGoneError
        case "cut" | "reset-mid":
            exchange.reset()
        case "incomplete" | "incomplete-inside":
            response.status = "incomplete"
            return writer.cut_short()
    response.status = "failed"
    response.error = {"message": FAULTS[name].message, "code": FAULTS[name].code}
    return ""


def _failed(exchange: Exchange, fault: Fault, *, streams: bool) -> None:
    """HTTP 200 all the same: `response.failed` as the first event, or the failed object."""
    response = Response(f"resp_{uuid4()}", int(time.time()), {}, status="failed")
    response.error = {"message": fault.message, "code": fault.code}
    if not streams:
        exchange.reply(response.as_json("agent"))
        return
    exchange.open_stream()
    exchange.send(EventWriter(agent=True).lifecycle("response.failed", response))
    exchange.end_stream()


def _error_event(exchange: Exchange, fault: Fault, *, named: bool) -> None:
    """A stream of one error: named `error`, or as an `{"error": …}` object in plain data."""
    error = {"code": fault.code, "message": fault.message}
    exchange.open_stream()
    if named:
        body = to_json({"type": "error", **error, "param": None, "sequence_number": 0})
        exchange.send(b"event:error\ndata:" + body + b"\n\n")
    else:
        exchange.send(b"data: " + to_json({"error": error}) + b"\n\n")
    exchange.end_stream()


def send_figure(exchange: Exchange, figure: Figure | None) -> None:
    """Answer the request for a figure, or fail to as its mode says; None: it is gone. Raises
    `ClientGoneError`."""
    if figure is None:
        exchange.reply(_GONE, 404, "application/xml")
    elif figure.mode == "html":
        exchange.reply(_LOGIN, content_type="text/html; charset=utf-8")
    elif figure.mode == "down":
        exchange.reset()
    elif figure.mode == "slow":
        exchange.open_stream("image/png")
        for place in range(len(figure.png)):
            exchange.send(figure.png[place : place + 1])
            exchange.pause(_DRIP)
        exchange.end_stream()
    elif figure.mode == "huge":  # a PNG with so much behind it; its length is not announced
        exchange.open_stream("image/png")
        exchange.send(figure.png)
        for _ in range((HUGE - len(figure.png)) // _PIECE + 1):
            exchange.send(bytes(_PIECE))
        exchange.end_stream()
    else:
        exchange.reply(figure.png, content_type="image/png")

"""Fails on request, in each of the documented ways."""

from __future__ import annotations

import time
from uuid import uuid4

from qwen_magic.demo.connection import ClientGoneError
from qwen_magic.demo.events import EventWriter, to_json
from qwen_magic.demo.exchange import Exchange
from qwen_magic.demo.faults import FAULTS, Fault
from qwen_magic.demo.http11 import Reply
from qwen_magic.demo.replies import error_reply, json_reply
from qwen_magic.demo.response import Response, agent_response
from qwen_magic.demo.stage import Stage
from qwen_magic.demo.switches import Switches


async def fail(exchange: Exchange, name: str, switches: Switches, *, streams: bool) -> None:
    """Answer with the fault in place of a response. Raises `ClientGoneError`."""
    fault = FAULTS[name]
    match fault.kind:
        case "http":
            await exchange.reply(_http_error(exchange.id, fault, switches))
        case "body":
            headers = {"location": "https://elsewhere.invalid/"} if name == "redirect" else {}
            reply = Reply(fault.status, fault.message.encode(), fault.content_type, headers)
            await exchange.reply(reply)
        case "failed":
            await _failed(exchange, fault, streams=streams)
        case "event":
            await _error_event(exchange, fault, named=name == "error-event")
        case "transport" if name == "reset":
            exchange.reset()
            raise ClientGoneError
        case _:
            await exchange.silence()


async def strike(
    exchange: Exchange, stage: Stage, response: Response, name: str, *, streams: bool
) -> str:
    """The fault in the middle of a stream. Returns what is left unsaid of an incomplete answer;
    raises `ClientGoneError` when there is nothing more to send."""
    fault = FAULTS[name]
    match name:
        case "reset-mid":
            exchange.reset()
            raise ClientGoneError
        case "silence-mid":
            await exchange.silence()
        case "cut" if streams:
            exchange.keep_alive = False
            await exchange.end_stream()
            raise ClientGoneError
        case "cut":
            exchange.reset()
            raise ClientGoneError
        case "incomplete" | "incomplete-inside":
            response.status = "incomplete"
            return await stage.cut_short()
    response.status = "failed"
    response.error = {"message": fault.message, "code": fault.code}
    return ""


def _http_error(request_id: str, fault: Fault, switches: Switches) -> Reply:
    seconds = fault.retry_after if switches.retry_after is None else switches.retry_after
    reply = error_reply(fault.status, fault.code, fault.message, request_id, nested=switches.nested)
    if seconds is None:
        return reply
    return Reply(reply.status, reply.body, headers={"retry-after": f"{seconds:g}"})


async def _failed(exchange: Exchange, fault: Fault, *, streams: bool) -> None:
    """HTTP 200 all the same: `response.failed` as the first event, or the failed object."""
    response = Response(f"resp_{uuid4()}", int(time.time()), {}, status="failed")
    response.error = {"message": fault.message, "code": fault.code}
    if not streams:
        await exchange.reply(json_reply(agent_response(response)))
        return
    await exchange.open_stream()
    await exchange.send(EventWriter(agent=True).lifecycle("response.failed", response))
    await exchange.end_stream()


async def _error_event(exchange: Exchange, fault: Fault, *, named: bool) -> None:
    """A stream of one error: named `error`, or as an `{"error": …}` object in plain data."""
    error = {"code": fault.code, "message": fault.message}
    await exchange.open_stream()
    if named:
        body = to_json({"type": "error", **error, "param": None, "sequence_number": 0})
        await exchange.send(b"event:error\ndata:" + body + b"\n\n")
    else:
        await exchange.send(b"data: " + to_json({"error": error}) + b"\n\n")
    await exchange.end_stream()

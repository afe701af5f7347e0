"""Which path does what: the routes of the service, answered out of the store."""

from __future__ import annotations

import json
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

from qwen_magic.demo.connection import ClientGoneError, Connection
from qwen_magic.demo.exchange import Exchange
from qwen_magic.demo.figures import PATH as FIGURE_PATH
from qwen_magic.demo.figures import FigureStore
from qwen_magic.demo.http11 import BadRequestError, Reply, Request
from qwen_magic.demo.playing import Player
from qwen_magic.demo.replies import error_reply, json_reply
from qwen_magic.demo.request_log import (
    KeySent,
    RequestLog,
    RequestRecord,
    public_body,
    public_headers,
)
from qwen_magic.demo.response import MODEL
from qwen_magic.demo.serving_figures import send_figure
from qwen_magic.demo.store import ResponseStore
from qwen_magic.demo.validation import RefusedError

JSON: TypeAlias = dict[str, Any]

PREFIXES = ("/compatible-mode/v1", "/api/v2/apps/protocols/compatible-mode/v1", "/v1")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ID = re.compile(r"/responses/([^/]+)(/input_items)?")


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes work on."""

    store: ResponseStore
    figures: FigureStore
    log: RequestLog
    player: Player
    key: Callable[[], str]


async def serve_connection(site: Site, connection: Connection) -> None:
    """Answer one request after the other until either side closes."""
    while True:
        try:
            request = await connection.read_request()
        except BadRequestError as error:
            exchange = Exchange(connection, Request("", "", headers={"connection": "close"}))
            await exchange.reply(error_reply(400, "InvalidParameter", str(error), exchange.id))
            return
        if request is None:
            return
        exchange = Exchange(connection, request)
        await _serve(site, exchange)
        if not exchange.keep_alive:
            return


async def _serve(site: Site, exchange: Exchange) -> None:
    request = exchange.request
    body = _body(request)
    record = RequestRecord(
        method=request.method,
        path=request.path,
        headers=public_headers(request.headers),
        body=None if body is None else public_body(body),
        time=time.time(),
        key=_key_sent(request, site.key()),
        request_id=exchange.id,
    )
    exchange.record = record
    site.log.add(record)
    watch = exchange.watch_close(site.log)
    try:
        await _answer(site, exchange, body)
    except RefusedError as refused:
        await exchange.reply(
            error_reply(
                refused.status, refused.code, refused.message, exchange.id, nested=refused.nested
            )
        )
    except ClientGoneError:
        raise
    except Exception as error:  # a fault of the demo itself: told, and it goes on serving
        record.failure = "".join(traceback.format_exception(error))
        if exchange.started:
            exchange.reset()
        else:
            text = f"The demo server failed: {type(error).__name__}: {error}"
            await exchange.reply(error_reply(500, "InternalError", text, exchange.id))
    finally:
        watch.cancel()
        exchange.note_close()
        site.log.end(record)


async def _answer(site: Site, exchange: Exchange, body: JSON | None) -> None:
    request = exchange.request
    _check_origin(request)
    if request.path.startswith(FIGURE_PATH):
        await send_figure(exchange, site.figures.get(request.path, time.time()))
        return
    prefix = next((p for p in PREFIXES if request.path.startswith(p + "/")), None)
    if prefix is None:
        raise RefusedError("Not support", "Not Found", 404)
    if site.key():
        _check_key(_key_sent(request, site.key()))
    path = request.path.removeprefix(prefix).rstrip("/")
    match request.method, path:
        case "POST", "/responses":
            if body is None:
                raise RefusedError("The request's body is not a JSON object.")
            await site.player.play(exchange, body)
        case "GET", "/models":
            await exchange.reply(json_reply(_models()))
        case _, "/responses" | "/models":
            raise RefusedError("Method Not Allowed", "Method Not Allowed", 405)
        case method, path:
            await exchange.reply(_kept(site.store, method, path))


def _kept(store: ResponseStore, method: str, path: str) -> Reply:
    """`GET` and `DELETE /responses/{id}`, `GET /responses/{id}/input_items`."""
    match = _ID.fullmatch(path)
    if match is None:
        raise RefusedError("Not support", "Not Found", 404)
    id, items = match[1], bool(match[2])
    if method not in ("GET", "DELETE") or (items and method == "DELETE"):
        raise RefusedError("Method Not Allowed", "Method Not Allowed", 405)
    kept = store.get(id)
    if kept is None:  # the service's own words for this one are not documented
        raise RefusedError(f"Response with id '{id}' not found.", "NotFound", 404)
    if method == "DELETE":
        store.delete(id)
        return json_reply({"id": id, "deleted": True})
    if not items:
        return json_reply(kept.body)
    return json_reply(_input_items(kept.input, kept.body["created_at"]))


def _input_items(items: tuple[JSON, ...], created_at: int) -> JSON:
    data = [
        {
            "id": f"msg_{uuid4()}",
            "created_at": created_at * 1000,  # in milliseconds here, as the service has it
            **item,
        }
        for item in items
    ]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, **ends, "has_more": False}


def _models() -> JSON:
    model = {"id": MODEL, "object": "model", "created": 1767225600, "owned_by": "qwen_magic"}
    return {"object": "list", "data": [model]}


def _body(request: Request) -> JSON | None:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _check_origin(request: Request) -> None:
    """Only from this machine: a page of the open web must not reach the server through a browser,
    neither directly nor by a host name that was made to point here (DNS rebinding)."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    names = [urlsplit(f"//{host}").hostname] + ([urlsplit(origin).hostname] if origin else [])
    if any(name not in _LOOPBACK for name in names):
        raise RefusedError("The offline demo answers only to this machine.", "AccessDenied", 403)


def _key_sent(request: Request, key: str) -> KeySent:
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not sent.strip():
        return "none"
    if not key:
        return "unchecked"
    return "right" if sent.strip() == key else "wrong"


def _check_key(sent: KeySent) -> None:
    match sent:
        case "none":
            raise RefusedError("No API-key provided.", "InvalidApiKey", 401)
        case "wrong":
            raise RefusedError("Invalid API-key provided.", "InvalidApiKey", 401)

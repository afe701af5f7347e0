"""Which path does what, and who is answered: only this machine, and only with the key."""

from __future__ import annotations

import json
import re
import secrets
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from qwen_magic.demo.faults import send_figure
from qwen_magic.demo.http import ClientGoneError, Connection, Exchange, RefusedError, Request
from qwen_magic.demo.player import FIGURE_PATH, Player
from qwen_magic.demo.request_log import KeySent, RequestLog, public_body, public_headers
from qwen_magic.demo.store import Kept, Store
from qwen_magic.demo.turn import read_json
from qwen_magic.demo.wire import JSON, MODEL

PREFIXES = ("/compatible-mode/v1", "/api/v2/apps/protocols/compatible-mode/v1", "/v1")
# What stands beside the base URL at the service, with prices in ISO 4217's code for tests.
CATALOGUE = "/api/v1/models"
_CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ID = re.compile(r"/responses/([^/]+)(/input_items)?")


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes work on."""

    log: RequestLog
    player: Player
    key: Callable[[], str]

    def serve(self, connection: Connection) -> None:
        """Answer one request after the other until either side closes."""
        while True:
            try:
                request = connection.read_request(self._is_welcome)
            except RefusedError as error:
                Exchange(connection).refuse(error)
                connection.linger()
                return
            if request is None:
                return
            self._serve(Exchange(connection, request))
            if not connection.keeps_alive:
                return

    def _serve(self, exchange: Exchange) -> None:
        request = exchange.request
        read = read_json(request.body.decode("utf-8", "replace"))
        body = read if isinstance(read, dict) else None
        record = exchange.record
        record.method, record.path = request.method, request.path
        record.headers, record.body = public_headers(request.headers), public_body(body)
        record.time, record.key = time.time(), _key_sent(request, self.key())
        self.log.add(record)
        try:
            try:
                self._answer(exchange, body)
            except RefusedError as refused:
                exchange.refuse(refused)
        except ClientGoneError:
            raise
        except Exception as error:  # a fault of the demo itself: told, and it goes on serving
            record.failure = "".join(traceback.format_exception(error))
            if exchange.started:
                exchange.reset()
            text = f"The demo server failed: {type(error).__name__}: {error}"
            exchange.refuse(RefusedError(text, "InternalError", 500))
        finally:
            exchange.end()

    def _answer(self, exchange: Exchange, body: JSON | None) -> None:
        request = exchange.request
        _check_place(request)
        if request.path.startswith(FIGURE_PATH):  # the link is the key, as the service's is
            figure = self.player.figures.get(request.path)
            expired = figure is None or figure.expires <= time.time()
            send_figure(exchange, None if expired else figure)
            return
        if (request.method, request.path) == ("GET", CATALOGUE):
            _check_key(_key_sent(request, self.key()))
            exchange.reply(json.loads(_CATALOGUE_FILE.read_text("utf-8")))
            return
        prefix = next((p for p in PREFIXES if request.path.startswith(p + "/")), None)
        if prefix is None:
            raise RefusedError("Not support", "Not Found", 404)
        _check_key(_key_sent(request, self.key()))
        path = request.path.removeprefix(prefix).rstrip("/")
        match request.method, path:
            case "POST", "/responses":
                if body is None:
                    raise RefusedError("The request's body is not a JSON object.")
                self.player.play(exchange, body)
            case "GET", "/models":
                model = {"id": MODEL, "object": "model", "created": 1767225600}
                data = [{**model, "owned_by": "qwen_magic"}]
                exchange.reply({"object": "list", "data": data})
            case _, "/responses" | "/models":
                raise RefusedError("Method Not Allowed", "Method Not Allowed", 405)
            case method, path:
                exchange.reply(_kept(self.player.responses, method, path))

    def _is_welcome(self, request: Request) -> bool:
        try:
            _check_place(request)
            _check_key(_key_sent(request, self.key()))
        except RefusedError:
            return False
        return True


def _kept(store: Store[Kept], method: str, path: str) -> JSON:
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
        return {"id": id, "deleted": True}
    if not items:
        return kept.body
    created_at = kept.body["created_at"] * 1000  # in milliseconds here, as the service has it
    data = [{"id": f"msg_{uuid4()}", "created_at": created_at, **item} for item in kept.input]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, **ends, "has_more": False}


def _check_place(request: Request) -> None:
    """No page may reach the server through a browser: neither one that says where it is from
    (`Origin`), nor one whose host name was made to point here (DNS rebinding)."""
    try:
        name = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        name = None
    if "origin" in request.headers or name not in _LOOPBACK:
        raise RefusedError("The offline demo answers only to this machine.", "AccessDenied", 403)


def _key_sent(request: Request, key: str) -> KeySent:
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if not key:
        return "unchecked"
    if scheme.lower() != "bearer" or not sent.strip():
        return "none"
    right = secrets.compare_digest(sent.strip().encode("utf-8", "replace"), key.encode())
    return "right" if right else "wrong"


def _check_key(sent: KeySent) -> None:
    if sent in ("none", "wrong"):
        word = "No" if sent == "none" else "Invalid"
        raise RefusedError(f"{word} API-key provided.", "InvalidApiKey", 401)

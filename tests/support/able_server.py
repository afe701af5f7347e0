"""A small server of the protocol with the abilities that a test gives it, on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hostile_server import message, reasoning

JSON = dict[str, Any]


class AbleServer(ThreadingHTTPServer):
    """Answers "pelican" to whoever asks for the word that it was told before, else "red".

    - `keeps`: whether it knows earlier turns; `names`: whether it names them in its answers;
    - `rejects`: parameters that are a 400, with the words that it says then;
    - `switch`: how its model is kept from thinking: a parameter's name, or "" for never;
    - `formats`: whether it heeds `text.format`; `images`: whether it takes them.
    """

    daemon_threads = True

    def __init__(self, **abilities: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.keeps, self.names, self.formats, self.images = True, True, True, True
        self.rejects: dict[str, str] = {}
        self.switch: str | None = "enable_thinking"
        self.models = ["tiny"]
        self.key = ""
        vars(self).update(abilities)
        self.bodies: list[JSON] = []
        self.looked_up: list[str] = []
        self.kept: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def refusal(self, body: JSON) -> str:
        for name, words in self.rejects.items():
            if name in body:
                return words
        return "image input is not supported" if _has_image(body) and not self.images else ""

    def answer(self, body: JSON) -> JSON:
        previous = body.get("previous_response_id", "")
        said = self.kept.get(previous, "") + json.dumps(body["input"])
        text = "pelican" if "Which word" in said and "pelican" in said else "red"
        if "```json" in said or ("text" in body and self.formats):
            text = '{"word": "red"}'
        id = f"resp_{len(self.bodies)}"
        if self.keeps:
            self.kept[id] = said
        output = [message(text)]
        if self.switch is not None and not _is_off(body, self.switch):
            output.insert(0, reasoning("Hm."))
        named = previous if self.keeps and self.names else None
        whole = {"id": id, "object": "response", "model": "tiny", "status": "completed"}
        return {**whole, "output": output, "usage": None, "previous_response_id": named}


def _is_off(body: JSON, switch: str) -> bool:
    asked = {
        "enable_thinking": body.get("enable_thinking"),
        "effort": body.get("reasoning", {}).get("effort") != "none",
        "chat_template_kwargs": body.get("chat_template_kwargs", {}).get("enable_thinking"),
    }
    return asked.get(switch) is False


def _has_image(body: JSON) -> bool:
    return "input_image" in json.dumps(body["input"])


class _Exchange(BaseHTTPRequestHandler):
    server: AbleServer

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if self.path == "/v1/models":
            models = [{"id": each, "object": "model"} for each in self.server.models]
            return self._reply(200, {"object": "list", "data": models})
        self.server.looked_up.append(name)
        known = name in self.server.kept
        return self._reply(200 if known else 404, {"id": name} if known else {"error": "no"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        if self.server.key and self.headers["authorization"] != f"Bearer {self.server.key}":
            return self._reply(401, {"error": {"message": "Missing bearer", "code": "no_key"}})
        refusal = self.server.refusal(body)
        if refusal:
            return self._reply(400, {"error": {"message": refusal, "code": 400}})
        return self._reply(200, self.server.answer(body))

    def _reply(self, status: int, body: JSON) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def able_server(**abilities: Any) -> Iterator[AbleServer]:
    server = AbleServer(**abilities)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

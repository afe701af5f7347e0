"""What the server was asked: one record a request, readable from any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

JSON: TypeAlias = dict[str, Any]
KeySent: TypeAlias = Literal["none", "right", "wrong", "unchecked"]

MAX_RECORDS = 2000
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie", "x-goog-api-key"}
)


@dataclass(slots=True)
class RequestRecord:
    """One request and what became of it. Times are `time.time()` seconds."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # without those that may hold a key
    body: JSON | None = None  # None when it was no JSON object; without headers of mcp tools
    time: float = 0.0
    key: KeySent = "unchecked"
    status: int = 0  # 0 until the head was sent
    request_id: str = ""
    response_id: str = ""
    lesson: str = ""  # that answered; empty: a rule, or none
    context: list[JSON] = field(default_factory=list)  # joined input items, as the server saw them
    failure: str = ""  # the traceback of a fault of the demo itself
    events: int = 0  # stream events sent
    client_closed: bool = False  # the client closed before the answer had ended
    closed_at: float | None = None  # when the close was seen
    ended_at: float | None = None


class RequestLog:
    """The records in order of arrival, the oldest dropped beyond `MAX_RECORDS`."""

    def __init__(self) -> None:
        self.records: Sequence[RequestRecord] = ()
        self._lock = threading.Lock()

    def add(self, record: RequestRecord) -> None:
        with self._lock:
            self.records = (*self.records, record)[-MAX_RECORDS:]

    def wait(
        self, done: Callable[[Sequence[RequestRecord]], bool], timeout: float = 5.0
    ) -> Sequence[RequestRecord]:
        """The records as soon as `done(records)` is true. Raises `TimeoutError`."""
        end = time.monotonic() + timeout
        while not done(records := self.records):
            if time.monotonic() > end:
                raise TimeoutError(f"The demo server saw nothing of the kind in {timeout} s.")
            time.sleep(0.01)
        return records


def public_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}


def public_body(body: JSON | None) -> JSON | None:
    """The body without what its mcp tools have of keys."""
    tools = body.get("tools") if body else None
    if body is None or not isinstance(tools, list):
        return body
    secret = ("headers", "authorization")
    public = [
        {k: v for k, v in tool.items() if k not in secret} if isinstance(tool, dict) else tool
        for tool in tools
    ]
    return {**body, "tools": public}

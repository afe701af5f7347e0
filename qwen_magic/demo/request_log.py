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

    method: str
    path: str
    headers: dict[str, str]  # names in lower case; those that may hold a key are left out
    body: JSON | None  # None when it was no JSON object; headers of mcp tools are left out
    time: float
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
        self._records: list[RequestRecord] = []
        self._changed = threading.Condition()

    def add(self, record: RequestRecord) -> None:
        with self._changed:
            self._records.append(record)
            del self._records[:-MAX_RECORDS]
            self._changed.notify_all()

    def changed(self) -> None:
        """Wake those who wait, after a record was changed in place."""
        with self._changed:
            self._changed.notify_all()

    def end(self, record: RequestRecord) -> None:
        record.ended_at = time.time()
        self.changed()

    @property
    def records(self) -> Sequence[RequestRecord]:
        with self._changed:
            return tuple(self._records)

    def wait(
        self, done: Callable[[Sequence[RequestRecord]], bool], timeout: float = 5.0
    ) -> Sequence[RequestRecord]:
        """The records as soon as `done(records)` is true. Raises `TimeoutError`."""
        end = time.monotonic() + timeout
        with self._changed:
            while not done(tuple(self._records)):
                if time.monotonic() > end:
                    raise TimeoutError(f"The demo server saw nothing of the kind in {timeout} s.")
                self._changed.wait(0.02)  # counts of events change without a word
            return tuple(self._records)


def public_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}


def public_body(body: JSON) -> JSON:
    """The body without the headers of its mcp tools, which hold keys."""
    tools = body.get("tools")
    if not isinstance(tools, list):
        return body
    return {**body, "tools": [_public_tool(tool) for tool in tools]}


def _public_tool(tool: Any) -> Any:
    if isinstance(tool, dict) and ("headers" in tool or "authorization" in tool):
        return {k: v for k, v in tool.items() if k not in ("headers", "authorization")}
    return tool

"""The error tree: every failure that this package raises.

    QwenError
    ├── UsageError                 what was typed cannot be done; nothing was sent
    │   ├── OptionError              an option of a magic
    │   ├── MissingKeyError          no API key for an endpoint that needs one
    │   └── NotRecordedError         a replayed recording has no such question
    ├── ConversationError          no such turn or conversation, or it belongs to another host
    ├── TransportError             no whole answer came over the network
    │   ├── ConnectionFailedError    refused, not resolved, not established in time, TLS
    │   ├── SilenceError             connected, then no byte for longer than the timeout
    │   ├── ConnectionLostError      cut before a terminal event
    │   └── RedirectRefusedError     the server points to another host
    ├── ProtocolError              the server's bytes are not the Responses API
    └── APIError                   the service itself said no
        ├── AuthenticationError      401
        ├── PermissionDeniedError    403
        ├── NotFoundError            404, an unknown path or model
        ├── UnknownResponseError     `previous_response_id` is not known (any more)
        ├── InvalidRequestError      any other 4xx
        ├── ModerationError          the content filter
        ├── RateLimitError           429, or the same in an HTTP 200
        ├── QuotaError               the account has nothing left
        └── ServerError              5xx, and failures with no better name

An error prints as at most three lines: what happened, why (the server's own words), what to do.
None of them ever holds a key: messages that come from elsewhere pass `redact` first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from qwen_magic.masking import redact

# Why a request may be made again: nothing of it can have begun (no connection; turned away since
# the service is busy, or since too many requests came).
RetryReason: TypeAlias = Literal["connection", "busy", "rate"]
_Raised = TypeVar("_Raised", bound=BaseException)
_Method = TypeVar("_Method", bound=Callable[..., Any])
_SPACES: Final = frozenset("\n\t\u00a0\u2009\u202f")
_PLACES: Final = 8  # of our own that are named of a fault


def redact_pieces(text: str, key: str) -> str:
    """`text` without the key, also where a server repeats a piece of it or masks its middle
    (`sk-ab****wxyz`)."""
    text = re.sub(r"\S*\*{3,}\S*", "[key]", text)
    text = re.sub(r"[\w\-]{6,}", lambda word: "[key]" if word[0] in key else word[0], text)
    return redact(text, key)


def printed(text: str, kept: Container[str] = "") -> str:
    """`text` without keys, and with an escape for each character that is not `kept` and controls a
    terminal, ends a line, or is seen by nobody: files and servers have a say in messages."""
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() or char in kept else ascii(char)[1:-1] for char in text
        )
    return redact(text)


class QwenError(Exception):
    """Base of all. `message`: what happened; `why`: the cause in the server's or system's words;
    `hint`: what to do. Each is one line, or empty.

    `retry`: why the same request may be made again by itself; None: it may not, since it may have
    been taken up, and would be paid and run twice. `retry_after`: seconds that the server asked to
    wait before that, or None.
    """

    retry: RetryReason | None = None
    retry_after: float | None = None

    def __init__(self, message: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = printed(message, _SPACES)
        self.why = printed(why, _SPACES)
        self.hint = printed(hint, _SPACES)

    def __str__(self) -> str:
        return "\n".join(line for line in (self.message, self.why, self.hint) if line)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle by their positional arguments; ours carry the rest as attributes.
        return (_rebuild, (type(self), self.__dict__, self.args))


def redact_error(error: QwenError, key: str) -> QwenError:
    """`error` without the key in any of its texts; in those of the server, without pieces of it.

    Without its frames and causes too: verbose tracebacks show the variables of every frame, so the
    request's headers.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    error.args = tuple(redact(str(each), key) for each in error.args)
    for name, value in vars(error).items():
        if isinstance(value, str) and name != "retry":
            clean = redact if name in ("message", "hint") else redact_pieces
            setattr(error, name, clean(value, key))
    return error


def bare(error: _Raised) -> _Raised:
    """`error` as it leaves this package: no frame of ours is in its traceback, nor in those of its
    causes, and none of a library that we called; those of the notebook stay. A verbose traceback
    writes out the variables of every frame, which here are somebody's values. Of an error that is a
    fault of ours, where it came from is noted."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__suppress_context__ |= isinstance(each, QwenError)  # what led to it says no more
        frames = list(_frames(each.__traceback__))
        ours = [number for number, frame in enumerate(frames) if _is_ours(frame)]
        places = [_place(frames[number]) for number in ours if _module(frames[number]) != __name__]
        if places and not isinstance(each, QwenError | KeyboardInterrupt):
            each.add_note("In qwen_magic: " + " > ".join(places[-_PLACES:]))
        each.__traceback__ = None
        first = ours[0] if ours else len(frames)
        kept = [frame for frame in frames[first:] if _module(frame) == "__main__"]
        for frame in reversed([*frames[:first], *kept]):
            each.__traceback__ = TracebackType(
                each.__traceback__, frame.tb_frame, frame.tb_lasti, frame.tb_lineno
            )
        waiting += [each.__cause__, each.__context__]
    return error


def reason_of(error: Exception) -> str:
    """Why a file could not be used: the system's words without its number, else the error's."""
    return getattr(error, "strerror", None) or str(error)


def raising(clean: Callable[[Exception], BaseException]) -> Callable[[_Method], _Method]:
    """Decorates methods and coroutine methods, which then raise what `clean` makes of their errors,
    and show nothing of what they were given: a verbose traceback has the variables of each frame.
    """

    def decorated(method: _Method) -> _Method:
        @wraps(method)
        def called(*given: Any, **options: Any) -> Any:
            try:
                return method(*given, **options)
            except Exception as error:
                given, options = (), {}
                raise clean(error)  # noqa: B904

        @wraps(method)
        async def awaited(*given: Any, **options: Any) -> Any:
            try:
                return await method(*given, **options)
            except Exception as error:
                given, options = (), {}
                raise clean(error)  # noqa: B904

        return cast("_Method", awaited if iscoroutinefunction(method) else called)

    return decorated


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _module(frame: TracebackType) -> str:
    return str(frame.tb_frame.f_globals.get("__name__"))


def _is_ours(frame: TracebackType) -> bool:
    return _module(frame).partition(".")[0] == "qwen_magic"


def _place(frame: TracebackType) -> str:
    code = frame.tb_frame.f_code
    return f"{code.co_filename.rpartition('qwen_magic/')[2]}:{frame.tb_lineno} {code.co_name}"


def _rebuild(cls: type[QwenError], state: dict[str, object], args: tuple[object, ...]) -> QwenError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(QwenError):
    """What was typed cannot be done. Nothing was sent."""


class OptionError(UsageError):
    """An option of a magic is unknown, lacks its value or has a wrong one."""


class MissingKeyError(UsageError):
    """No API key was found for an endpoint that needs one."""


class NotRecordedError(UsageError):
    """A question that the recording which is replayed does not have."""


class ConversationError(QwenError):
    """A turn or conversation that does not exist, or may not be continued here."""


class TransportError(QwenError):
    """No whole answer came over the network."""


class ConnectionFailedError(TransportError):
    """The connection never stood: nothing can have been received by the server."""


class SilenceError(TransportError):
    """Connected, then no byte for longer than the timeout."""


class ConnectionLostError(TransportError):
    """The stream ended before a terminal event; what came is kept."""


class RedirectRefusedError(TransportError):
    """The server redirects to another host. Keys and prompts are not sent there."""


class _ReplyError(QwenError):
    """What came in place of an answer.

    `status`: HTTP status (200 where a failure came inside the stream), 0 where none came; `code`:
    the service's own code, or empty; `request_id`: of the service or its headers, or empty.
    """

    def __init__(
        self,
        message: str,
        *,
        why: str = "",
        hint: str = "",
        status: int = 0,
        code: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message, why=why, hint=hint)
        self.status = status
        self.code = printed(code)
        self.request_id = printed(request_id)


class ProtocolError(_ReplyError):
    """What the server sent is not the Responses API."""


class APIError(_ReplyError):
    """The service refused or failed; `request_id` is what to quote to the provider's support."""

    def __str__(self) -> str:
        lines = [line for line in (self.message, self.why, self.hint) if line]
        if self.request_id:
            lines[-1] += f" (request id {self.request_id})"
        return "\n".join(lines)


class AuthenticationError(APIError):
    """The key was not accepted (401)."""


class PermissionDeniedError(APIError):
    """The key is valid but may not do this (403)."""


class NotFoundError(APIError):
    """The path or the model does not exist there (404)."""


class UnknownResponseError(APIError):
    """`previous_response_id` names a response that the server does not know (any more)."""


class InvalidRequestError(APIError):
    """The server did not accept the request (4xx)."""


class ModerationError(APIError):
    """The provider's content filter refused the input or the output."""


class RateLimitError(APIError):
    """Too many requests or tokens a minute (429, or the same inside an HTTP 200)."""


class QuotaError(APIError):
    """The account has no quota or balance left; waiting does not help."""


class ServerError(APIError):
    """The service failed (5xx, or a failure with no better name)."""

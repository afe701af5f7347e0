"""Every documented error by name: what a client may get in place of an answer.

Texts and codes: Alibaba Cloud Model Studio's documentation and recorded traffic, 2026. `kind` says
where the fault shows: an HTTP error, HTTP 200 with something else than an answer, the transport, or
the middle of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["http", "body", "failed", "event", "transport", "stream"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    `http`: an error body with `status`. `body`: another body (`content_type`, `message` is it).
    `failed`: HTTP 200, status "failed" (a stream's first event, or the JSON object). `event`: HTTP
    200 and a stream of one error that is no response event. `transport`, `stream`: no error text.
    """

    kind: Kind
    status: int = 200
    code: str = ""
    message: str = ""
    content_type: str = "text/html"
    retry_after: float | None = None


_HTML = (
    "<!DOCTYPE html>\n<html><head><title>{0}</title></head>\n"
    "<body><center><h1>{0}</h1></center><hr><center>nginx</center></body></html>\n"
)
_RATE = "Requests rate limit exceeded, please try again later."
_RATE_200 = "Operation model request rate limit exceeded, please try again later."
_MODERATION = (
    "<400> InternalError.Algo.DataInspectionFailed: "
    "Input text data may contain inappropriate content."
)
_INVALID = "<400> InternalError.Algo.InvalidParameter: "
_LEAK = "1 validation error for Event object\nchoices\n  Field required [type=missing]"


def _http(status: int, code: str, message: str, retry_after: float | None = None) -> Fault:
    return Fault("http", status, code, message, retry_after=retry_after)


def _page(status: int, title: str) -> Fault:
    return Fault("body", status, message=_HTML.format(title))


FAULTS: Mapping[str, Fault] = {
    # HTTP errors, flat or (switch `nested`) nested.
    "400": _http(400, "InvalidParameter", "A parameter is not valid."),
    "missing-model": _http(
        400,
        "InvalidParameter",
        "[400] missing_required_parameter: Missing required parameter: 'model'.",
    ),
    "unsupported-model": _http(400, "InvalidParameter", "Unsupported model: 'demo'"),
    "not-enabled": _http(
        400,
        "InvalidParameter",
        _INVALID + "Agent capabilities are not enabled for the current model.",
    ),
    "too-long": _http(
        400, "InvalidParameter", _INVALID + "Range of input length should be [1, 983616]"
    ),
    "moderation": _http(400, "DataInspectionFailed", _MODERATION),
    "not-found-previous": _http(
        400, "InvalidParameter", "Not found previous_response_id: resp_forgotten"
    ),
    "arrearage": _http(
        400, "Arrearage", "Access denied, please make sure your account is in good standing."
    ),
    "401": _http(401, "InvalidApiKey", "Invalid API-key provided."),
    "no-key": _http(401, "InvalidApiKey", "No API-key provided."),
    "403": _http(403, "AccessDenied", "Access denied."),
    "404": _http(404, "ModelNotFound", "The model does not exist or you do not have access to it."),
    "405": _http(405, "Method Not Allowed", "Method Not Allowed"),
    "429": _http(429, "Throttling.RateQuota", _RATE),
    "429-retry-after": _http(429, "Throttling.RateQuota", _RATE, retry_after=1),
    "429-allocation": _http(429, "Throttling.AllocationQuota", "Allocated quota exceeded."),
    "429-burst": _http(429, "Throttling", "Request rate increased too quickly."),
    "429-quota": _http(429, "insufficient_quota", "You exceeded your current quota."),
    "500": _http(500, "InternalError", "An internal error has occured, please try again later."),
    "old-model": _http(500, "InternalError", _LEAK),
    "503": _http(503, "ServiceUnavailable", "The service is temporarily unavailable."),
    # Other bodies.
    "502": _page(502, "502 Bad Gateway"),
    "504": _page(504, "504 Gateway Time-out"),
    "html": _page(200, "Welcome to the proxy"),
    "empty": Fault("body", 200, message="", content_type="text/event-stream;charset=UTF-8"),
    "not-json": Fault("body", 200, message="Service OK\n", content_type="text/plain"),
    "redirect": Fault("body", 307, message="", content_type="text/plain"),
    # HTTP 200 with status "failed".
    "failed": Fault("failed", code="server_error", message="Internal server error."),
    "rate-limit-200": Fault("failed", code="server_error", message=_RATE_200),
    "too-many": Fault(
        "failed",
        code="server_error",
        message="<429> InternalError.Algo: The request was throttled. [Too many requests.]",
    ),
    "moderation-200": Fault("failed", code="DataInspectionFailed", message=_MODERATION),
    "overflow": Fault("failed", code="server_error", message="Backend buffer overflow"),
    # A stream of one error that is no response event.
    "error-event": Fault("event", code="server_error", message="Internal server error."),
    "error-data": Fault("event", code="server_error", message="Internal server error."),
    # The transport.
    "reset": Fault("transport"),
    "silence": Fault("transport"),
    # The middle of a stream, after the deltas of switch `after`.
    "reset-mid": Fault("stream"),
    "silence-mid": Fault("stream"),
    "cut": Fault("stream"),
    "failed-late": Fault("stream", code="server_error", message="Internal server error."),
    "moderation-late": Fault(
        "stream",
        code="DataInspectionFailed",
        message="Output data may contain inappropriate content.",
    ),
    "incomplete": Fault("stream", code="max_output_tokens"),
    "incomplete-inside": Fault("stream", code="max_output_tokens"),
}

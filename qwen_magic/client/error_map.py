"""What a service's refusal means: the table from its words to one error of the tree.

The first rule that fits is taken. In its texts stand `{host}`, `{model}`, `{status}`, and what the
endpoint's capabilities say of such a refusal (`{key_hint}`, `{path_hint}`). Codes and messages:
responses of Alibaba Cloud Model Studio, OpenAI, vLLM, Ollama and llama.cpp, as documented or seen
up to November 2026.

Which parameter of the request a refusal means (`refused_parameter`), servers say in many words:

    Unknown parameter: 'enable_thinking'.                    OpenAI
    Unsupported fields in the request: {'text', 'include'}   transformers serve
    json: unknown field "text"                               servers in Go
    text: Extra inputs are not permitted                     FastAPI, as `error_body` reads it
    Unrecognized request argument supplied: enable_thinking  gateways
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from qwen_magic.client.error_body import ErrorBody
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import (
    APIError,
    AuthenticationError,
    InvalidRequestError,
    ModerationError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    RetryReason,
    ServerError,
    UnknownResponseError,
    redact_error,
)
from qwen_magic.protocol.fields import JSON


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What some refusals mean.

    It fits where `pattern` is found in "code message", without regard to case, under one of the
    `statuses` (empty: any); or by `or_status` alone. `is_of_id`: only where the request named a
    response to continue after; `or_id`: then also where the server names that id, in any words.
    """

    kind: type[APIError]
    message: str
    hint: str = ""
    pattern: str = ""
    statuses: tuple[int, ...] = ()
    or_status: int = 0
    retry: RetryReason | None = None
    is_of_id: bool = False
    or_id: bool = False


_WAIT = "Limits are counted by the minute: wait that long, then run the cell again."

# nginx, Apache and Go's servers, asked by http at a port of TLS.
PLAIN_HTTP: Final = (
    r"plain http request was sent to https|http request to an https server"
    r"|plain http to an ssl|use the https scheme"
)

RULES: Final[tuple[ErrorRule, ...]] = (
    ErrorRule(
        InvalidRequestError,
        "The request says two things that exclude each other.",
        pattern=r"mutually exclusive",
    ),
    ErrorRule(
        UnknownResponseError,
        "{host} does not know the earlier answer (any more).",
        "Answers are kept 7 days at most; %qwen_new starts afresh.",
        pattern=r"previous[_ ]?response",
        statuses=(200, 400, 404, 422, 501),
    ),
    ErrorRule(
        UnknownResponseError,
        "{host} does not know the earlier answer (any more).",
        "%qwen_new starts afresh.",
        pattern=r"\b(response|conversation)\b.{0,120}\bnot([ _]| be )found|response_not_found"
        r"|parameter: response_id"
        r"|history node|not_found_error(?!.*model)",
        statuses=(200, 400, 404, 410, 422, 501),
        is_of_id=True,
        or_id=True,
    ),
    ErrorRule(
        UnknownResponseError,
        "{host} does not know the call that was answered: it has lost the earlier answer.",
        "%qwen_new starts afresh.",
        pattern=r"no (tool|function|call) (call|use|output|message) found"
        r"|tool.{0,40}must be a response to|expected last role .{0,80}got tool"
        r"|matching tool_?call|number of toolresult|tool result.{0,60}not found"
        r"|no previous assistant message|unexpected .{0,3}tool_use_id|unexpected role .{0,3}tool"
        r"|(call_id|tool_call_id|function_call_output|tool output|function call output)\b.{0,80}"
        r"\b(not found|unknown|without|no matching|does not match|has no)"
        r"|number of function (calls|response)|function response turn",
        statuses=(200, 400, 404, 422, 500),
        is_of_id=True,
    ),
    ErrorRule(
        InvalidRequestError,
        "{host} speaks https there, and was asked by http.",
        "Write https:// in the endpoint's URL.",
        pattern=PLAIN_HTTP,
        statuses=(400,),
        or_status=426,
    ),
    ErrorRule(
        ServerError,
        "{host} gave the request up: it took too long ({status}).",
        "Run the cell again, or ask for less. It is not repeated by itself: the answer may have "
        "begun.",
        statuses=(408,),
    ),
    ErrorRule(
        ModerationError,
        "The provider's content filter refused this.",
        "Word the prompt differently; earlier turns count too, and %qwen_new leaves them out.",
        pattern=r"data_?inspection|inappropriate content|content_(filter|policy)|moderation",
    ),
    ErrorRule(
        QuotaError,
        "The account is in arrears.",
        "Recharge it in the provider's console; it may take some minutes to be seen.",
        pattern=r"arrearage|overdue|in good standing",
    ),
    ErrorRule(
        QuotaError,
        "The free quota of {model} is used up.",
        "Allow paid use in the provider's console, or choose another model (-m).",
        pattern=r"FreeTier|free (tier|quota)|AllocationQuota.*exhaust",
    ),
    ErrorRule(
        QuotaError,
        "The account has no quota left.",
        "Check plan and balance in the provider's console.",
        pattern=r"insufficient[_ ](quota|balance)|quota.*exhausted|exceeded your current quota",
        or_status=402,
    ),
    ErrorRule(
        RateLimitError,
        "The request is larger than the tokens allowed in a minute.",
        "Send less (%qwen_new leaves earlier turns out), or choose another model (-m).",
        pattern=r"request too large",
    ),
    ErrorRule(
        RateLimitError,
        "The limit of a day is reached.",
        "Run the cell again tomorrow, or choose another model (-m).",
        pattern=r"\b(daily|(per|a)[- ]day|[RT]PD)\b|每日|每天",
        statuses=(200, 429),
    ),
    ErrorRule(
        RateLimitError,
        "Too many requests.",
        _WAIT,
        pattern=r"throttling|too many requests|<429>|rate[_ ]?limit|request rate increased"
        r"|allocated quota exceeded",
        or_status=429,
        retry="rate",
    ),
    ErrorRule(
        AuthenticationError,
        "{host} wants an API key, and none was sent.",
        "Give one with %qwen_key; %qwen_demo on answers offline, without one.",
        pattern=r"\bno[_ ]api[-_ ]key|didn't provide an api key|missing (api key|bearer)",
    ),
    ErrorRule(
        AuthenticationError,
        "{host} did not accept the API key.",
        "{key_hint}",
        pattern=r"invalid_?api_?key|incorrect api key",
        or_status=401,
    ),
    ErrorRule(
        PermissionDeniedError,
        "The key may not be used in this workspace.",
        "The workspace domain and the key must be of the same workspace; %qwen_key sets another.",
        pattern=r"workspace",
        statuses=(400, 403, 404),
    ),
    ErrorRule(
        PermissionDeniedError,
        "The key may not do this on {host}.",
        "Check that its workspace may use {model}; a key of another workspace or region is "
        "refused too (%qwen_key).",
        statuses=(403,),
    ),
    ErrorRule(
        NotFoundError,
        "{host} has not got the model {model}.",
        "%qwen_models lists what there is; `ollama pull {model}` fetches one for Ollama.",
        pattern=r"try pulling it",
    ),
    ErrorRule(
        InvalidRequestError,
        "{model} cannot use these tools or this API.",
        "Choose another model with -m, such as qwen3-max.",
        pattern=r"agent capabilities are not enabled|not support (tools?|functions?)\b"
        r"|support tool use",
    ),
    ErrorRule(
        NotFoundError,
        "{host} has not got the model {model}.",
        "%qwen_models lists the known ones; choose with -m.",
        pattern=r"model_?not_?found|unsupported model|model\W.*(not exist|not found|not support)",
    ),
    ErrorRule(
        InvalidRequestError,
        "The conversation is too long for {model}.",
        "%qwen_new starts an empty one; --after REF goes on from an earlier turn.",
        pattern=r"range of input length|context_length|context (length|window|size)"
        r"|(input|prompt) is too long",
    ),
    ErrorRule(
        ServerError,
        "{model} does not work with the Responses API.",
        "Choose another model with -m, such as qwen3-max.",
        pattern=r"validation error for event object",
    ),
    ErrorRule(
        NotFoundError,
        "{host} has nothing at this path.",
        "{path_hint}",
        statuses=(404, 405),
    ),
    ErrorRule(
        InvalidRequestError,
        "{host} does not know `enable_thinking`.",
        "Leave out --think and --no-think; -e LEVEL is the standard way.",
        pattern=r"enable_thinking",
        statuses=(400, 422),
    ),
    ErrorRule(
        InvalidRequestError,
        "The request is too large for {host}.",
        "Send less data or a smaller image.",
        statuses=(413,),
    ),
    ErrorRule(
        InvalidRequestError,
        "{host} wants the password of a proxy.",
        "Put it into the proxy's URL in HTTPS_PROXY, or bypass the proxy with NO_PROXY.",
        statuses=(407,),
    ),
    ErrorRule(
        ServerError,
        "The service failed in passing.",
        "This is known to go away: run the cell again.",
        pattern=r"backend buffer overflow|agent_api_metadata",
    ),
    ErrorRule(
        ServerError,
        "{host} is overloaded or down for the moment ({status}).",
        "Run the cell again in a minute.",
        statuses=(503,),
        retry="busy",
    ),
    ErrorRule(
        ServerError,
        "The gateway of {host} got no answer from the service ({status}).",
        "Run the cell again. It is not repeated by itself: the answer may have begun.",
        statuses=(502, 504),
    ),
    ErrorRule(
        InvalidRequestError,
        "The service did not accept the request.",
        "Change what it names; --dry-run shows the whole request.",
        pattern=r"invalid_?(parameter|request|value)|missing_required|<400>|invalid '",
    ),
)
_CLIENT_ERROR: Final = ErrorRule(
    InvalidRequestError,
    "The service did not accept the request ({status}).",
    "--dry-run shows the whole request.",
)
_SERVER_ERROR: Final = ErrorRule(
    ServerError, "The service failed ({status}).", "Run the cell again in a moment."
)
_STREAM_FAILURE: Final = ErrorRule(
    ServerError, "The service failed.", "Run the cell again in a moment."
)


def classify(body: ErrorBody, endpoint: Endpoint, model: str = "", sent_id: str = "") -> APIError:
    """The error that a service's refusal means, with why the request may be made again. `sent_id`:
    the `previous_response_id` of the request, or empty."""
    rule = find_rule(body, sent_id)
    names = {
        "host": endpoint.server,
        "key_hint": endpoint.capabilities.key_hint.format(name=endpoint.name),
        "path_hint": endpoint.capabilities.path_hint,
        "model": model or "the model",
        "status": body.status,
    }
    error = rule.kind(
        rule.message.format_map(names),
        why=body.message or body.code,
        hint=rule.hint.format_map(names),
        status=body.status,
        code=body.code,
        request_id=body.request_id,
    )
    error.retry = rule.retry
    redact_error(error, endpoint.key)
    return error


def find_rule(body: ErrorBody, sent_id: str = "") -> ErrorRule:
    """The first rule that fits. A status that the message begins with (`<400> …`, `[400] …`)
    counts in place of an HTTP 200."""
    told = re.match(r"[<\[](\d{3})[>\]]", body.message)
    status = int(told[1]) if told and body.status == 200 else body.status
    words = f"{body.code} {body.message}"
    for rule in RULES:
        if status == rule.or_status:
            return rule
        may_fit = not rule.statuses or status in rule.statuses
        if rule.is_of_id:
            may_fit = may_fit and bool(sent_id)
            if may_fit and rule.or_id and sent_id in words:
                return rule
        if may_fit and re.search(rule.pattern, words, re.IGNORECASE):
            return rule
    if status < 300:
        return _STREAM_FAILURE
    return _CLIENT_ERROR if status < 500 else _SERVER_ERROR


# A parameter that is refused ----------------------------------------------------------------------

# What no request can do without, and what healing sees to.
_NEEDED: Final = frozenset({"model", "input", "stream", "previous_response_id"})
_REFUSES: Final = re.compile(
    r"unknown|unrecogni[sz]ed|unsupported|unexpected|unused|extra (?:inputs?|fields?)"
    r"|additional propert|invalid (?:parameter|argument|field)"
    r"|(?:not|n't) (?:be |a |yet )*(?:support|permit|allow|recogni[sz]|know|accept|implement|take)",
    re.IGNORECASE,
)
# Where the parameter's name stands, in order of how surely it is meant. `text` and `tools` are
# words too, so that the bare name counts only after "parameter", or as the subject.
_PLACES: Final = (
    r"['\"`‘’“”«\[]{name}\b",
    r"(?:parameter|argument|field|property|properties|key|option)s?\b[^.]{{0,40}}?\b{name}\b",
    r"(?:^|\bbody[.:\s]+){name}\b\s*[:.]|\b{name}\b (?:is|are) (?:not|un)",
)


def refused_parameter(error: object, body: JSON) -> str:
    """The parameter of the request's `body` that `error` refuses by its name; else empty."""
    if not isinstance(error, APIError) or error.status >= 500:
        return ""
    words = f"{error.code} {error.why}"
    return _named(error.why, body.keys() - _NEEDED) if _REFUSES.search(words) else ""


def _named(words: str, names: Iterable[str]) -> str:
    for place in _PLACES:
        for name in sorted(names):
            if re.search(place.format(name=re.escape(name)), words):
                return name
    return ""

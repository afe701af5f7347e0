"""The table of refusals, row by row, and that every kind comes out of a real reply."""

from __future__ import annotations

import pytest

from qwen_magic import endpoints, errors
from qwen_magic.client.error_body import ErrorBody, read_error_body
from qwen_magic.client.error_map import RULES, classify, find_rule
from qwen_magic.endpoints import Endpoint

DASHSCOPE = Endpoint(
    "beijing", "https://h.example/v1", endpoints.DASHSCOPE, "K", "sk-secret-1234567"
)
OTHER = Endpoint("h.example", "https://h.example/v1", key="token-abcdefgh")
ALGO = "<400> InternalError.Algo"

# status, code, message, class, a piece of the hint
CASES = [
    (401, "InvalidApiKey", "Invalid API-key provided.", "AuthenticationError", "region"),
    (401, "InvalidApiKey", "No API-key provided.", "AuthenticationError", "%qwen_demo"),
    (401, "", "", "AuthenticationError", "%qwen_key"),
    (403, "AccessDenied", "Access denied.", "PermissionDeniedError", "qwen3-max"),
    (403, "Workspace.AccessDenied", "Workspace access denied.", "PermissionDeniedError", "same"),
    (404, "Not Found", "Not support", "NotFoundError", "/compatible-mode/v1"),
    (405, "Method Not Allowed", "x", "NotFoundError", "/compatible-mode/v1"),
    (404, "ModelNotFound", "Model not found", "NotFoundError", "%qwen_models"),
    (400, "InvalidParameter", "Unsupported model: 'x'", "NotFoundError", "%qwen_models"),
    (404, "model_not_found", "The model `x` does not exist", "NotFoundError", "-m"),
    (404, "api_error", 'model "x" not found, try pulling it first', "NotFoundError", "ollama pull"),
    (
        400,
        "",
        f"{ALGO}.InvalidParameter: Agent capabilities are not enabled for the current model.",
        "InvalidRequestError",
        "-m",
    ),
    (400, "Arrearage", "Access denied, account not in good standing", "QuotaError", "Recharge"),
    (429, "insufficient_quota", "You exceeded your current quota", "QuotaError", "balance"),
    (403, "AllocationQuota.FreeTierOnly", "The free tier is exhausted", "QuotaError", "paid"),
    (402, "", "Insufficient Balance", "QuotaError", "balance"),
    (402, "", "", "QuotaError", "balance"),
    (429, "", "", "RateLimitError", "minute"),
    (
        400,
        "InvalidParameter",
        f"{ALGO}.DataInspectionFailed: Input text data may contain inappropriate content.",
        "ModerationError",
        "prompt",
    ),
    (
        400,
        "InvalidParameter",
        "Not found previous_response_id: resp_x",
        "UnknownResponseError",
        "%qwen_new",
    ),
    (
        404,
        "previous_response_not_found",
        "Previous response with id 'resp_x' not found.",
        "UnknownResponseError",
        "",
    ),
    (
        400,
        "",
        "llama.cpp does not support 'previous_response_id'.",
        "UnknownResponseError",
        "",
    ),
    (
        400,
        "",
        "Mutually exclusive parameters: Ensure you are only providing one of: "
        "previous_response_id or conversation.",
        "InvalidRequestError",
        "",
    ),
    (
        400,
        "",
        f"{ALGO}.InvalidParameter: Range of input length should be [1, 983616]",
        "InvalidRequestError",
        "--after REF",
    ),
    (400, "context_length_exceeded", "too many tokens", "InvalidRequestError", "%qwen_new"),
    (500, "", "1 validation error for Event object", "ServerError", "qwen3-max"),
    (429, "Throttling.RateQuota", "Requests rate limit exceeded", "RateLimitError", "minute"),
    (429, "Throttling.AllocationQuota", "Allocated quota exceeded", "RateLimitError", "minute"),
    (429, "", "Request rate increased too quickly", "RateLimitError", "minute"),
    (
        200,
        "server_error",
        "Operation model request rate limit exceeded, please try again later.",
        "RateLimitError",
        "minute",
    ),
    (200, "rate_limit_exceeded", "Request too large for x on TPM", "RateLimitError", "less"),
    (400, "", "previousResponseId does not exist", "UnknownResponseError", ""),
    (429, "", "Rate limit reached for x on requests per day (RPD)", "RateLimitError", "tomorrow"),
    (
        400,
        "",
        "[400] missing_required_parameter: Missing required parameter: 'model'.",
        "InvalidRequestError",
        "--dry-run",
    ),
    (400, "", "Unknown parameter: 'enable_thinking'", "InvalidRequestError", "--think"),
    (408, "", "", "ServerError", "ask for less"),
    (400, "", "Client sent an HTTP request to an HTTPS server.", "InvalidRequestError", "https://"),
    (400, "", "the model does not support tools", "InvalidRequestError", "-m"),
    (413, "", "Payload too large", "InvalidRequestError", "smaller"),
    (407, "", "", "InvalidRequestError", "HTTPS_PROXY"),
    (500, "", "Backend buffer overflow", "ServerError", "again"),
    (503, "", "", "ServerError", "minute"),
    (502, "", "", "ServerError", "not repeated"),
    (504, "", "", "ServerError", "not repeated"),
    (418, "", "short and stout", "InvalidRequestError", "--dry-run"),
    (599, "", "", "ServerError", "again"),
    (200, "server_error", "Something else", "ServerError", "again"),
]


@pytest.mark.parametrize(("status", "code", "message", "kind", "hint"), CASES)
def test_rules(status, code, message, kind, hint):
    error = classify(ErrorBody(status, code, message, "req-1"), DASHSCOPE, "qwen3-max")
    assert type(error).__name__ == kind
    assert hint in error.hint
    assert error.message.endswith((".", ")."))
    assert (error.status, error.code, error.request_id) == (status, code, "req-1")
    assert error.why == (message or code)


def test_every_rule_is_reached():
    reached = {
        id(find_rule(ErrorBody(status, code, message))) for status, code, message, _, _ in CASES
    }
    reached.add(id(find_rule(ErrorBody(400, "InvalidApiKey", ""))))
    reached |= {id(find_rule(ErrorBody(*said), ID)) for said in NO_SUCH_ID}
    assert [rule for rule in RULES if id(rule) not in reached] == []


def test_only_these_may_be_tried_again():
    again = {(s, c, m) for s, c, m, _, _ in CASES if classify(ErrorBody(s, c, m), DASHSCOPE).retry}
    assert {status for status, _, _ in again} == {200, 429, 503}
    assert not any("quota" in code for _, code, _ in again)


def test_a_status_told_in_the_message_counts_inside_a_stream():
    error = classify(ErrorBody(200, "server_error", f"{ALGO}.X: bad"), DASHSCOPE)
    assert isinstance(error, errors.InvalidRequestError)
    assert error.status == 200


def test_a_key_hint_for_other_hosts_says_nothing_of_regions():
    error = classify(ErrorBody(401, "invalid_api_key", "Incorrect API key"), OTHER)
    assert "region" not in error.hint


@pytest.mark.parametrize(
    "echo",
    [
        "Incorrect API key provided: token-abcdefgh.",
        "Incorrect API key provided: token-ab****efgh.",
        "bad header 'Bearer token-abcdefgh'",
        "key ending in bcdefgh is disabled",
        "sk-proj-******************wxyz",
    ],
)
def test_no_piece_of_a_key_is_repeated(echo):
    error = classify(ErrorBody(401, echo, echo), OTHER)
    shown = f"{error} {error!r} {error.code} {error.__dict__}"
    for piece in ("token-ab", "bcdefgh", "efgh", "wxyz"):
        assert piece not in shown


BODIES = [
    (b'{"request_id":"r","code":"C","message":"M"}', ("C", "M", "r")),
    (b'{"error":{"code":"C","message":"M","type":"t"},"request_id":"r"}', ("C", "M", "r")),
    (b'{"error":{"message":"M","type":"T","param":null,"code":null}}', ("T", "M", "head")),
    (b'{"error":"M"}', ("", "M", "head")),
    (b'{"object":"error","message":"M","code":404}', ("404", "M", "head")),
    (b'{"detail":"M"}', ("", "M", "head")),
    (b'{"detail":[{"loc":["body","input"],"msg":"M"}]}', ("", "input: M", "head")),
    (b'{"errors":[{"code":"C","message":"M"}]}', ("C", "M", "head")),
    (b'{"error":{"message":"M","param":"tools[0]"}}', ("", "M (parameter: tools[0])", "head")),
    (b'{"title":"T","detail":"D.","status":400,"type":"about:blank"}', ("", "D.", "head")),
    (
        b'{"title":"T.","errors":{"$.a":["X","Y"]},"type":"https://a/b"}',
        ("", "T. $.a: X; Y", "head"),
    ),
    (b'{"title":"T","errors":[{"detail":"X","pointer":"#/a"}]}', ("", "T: #/a: X", "head")),
    (
        b'{"detail":[{"loc":["body","a",0],"msg":"X"},{"loc":["body","b"],"msg":"Y"}]}',
        ("", "a.0: X; b: Y", "head"),
    ),
    (b'{"detail":["X","Y"]}', ("", "X; Y", "head")),
    (b'{"detail":{"error":{"message":"X","code":"C"}}}', ("C", "X", "head")),
    (
        b'{"error":{"code":400,"message":"Provider returned error","metadata":'
        b'{"raw":"{\\"error\\":{\\"message\\":\\"X\\",\\"code\\":\\"C\\"}}",'
        b'"provider_name":"P"}}}',
        ("C", "Provider returned error: X (P)", "head"),
    ),
    (b'{"error":{"message":"M","metadata":{"raw":"plain words"}}}', ("", "M: plain words", "head")),
    (b'{"error":{"message":"M","metadata":{"raw":{"detail":"X"}}}}', ("", "M: X", "head")),
    (
        b'{"error":{"message":"{\\"error\\":{\\"message\\":\\"X\\"}}","code":500}}',
        ("500", "X", "head"),
    ),
    (b'{"error":{"error":{"error":{"message":"X"}}}}', ("", "X", "head")),
    (b'{"error":"Bad Request","message":"M"}', ("", "M", "head")),
    (b'{"error":"invalid_request","error_description":"M"}', ("", "M", "head")),
    (b'{"error_code":17,"error_msg":"M"}', ("17", "M", "head")),
    (b'{"__type":"ThrottlingException","message":"M"}', ("ThrottlingException", "M", "head")),
    (b'{"fault":{"faultstring":"X"}}', ("", "X", "head")),
    (b'{"message":{"message":"X"}}', ("", "X", "head")),
    (b'{"Message":"X"}', ("", "X", "head")),
    (b'{"error":{"message":null,"code":"C"}}', ("C", "", "head")),
    (b'{"error":[1,{"message":"X"}]}', ("", "X", "head")),
    (b'{"error":7,"detail":null,"errors":[],"metadata":3}', ("", "", "head")),
    (
        b'{"error":{"message":"the beginning of a long body',
        ("", "the beginning of a long body", "head"),
    ),
    (b'[{"error":{"code":"C","message":"M"}}]', ("C", "M", "head")),
    (b'id:1\nevent:error\ndata:{"code":"C","message":"M","request_id":"r"}\n\n', ("C", "M", "r")),
    (
        b'data: {"type":"response.failed","response":{"error":{"code":"C","message":"M"}}}\n\n',
        ("C", "M", "head"),
    ),
    (
        b'{"error":{"message":"{\\"error\\":{\\"message\\":\\"{\\\\\\"message\\\\\\":\\\\\\"X\\\\\\"}\\"}}"}}',
        ("", "X", "head"),
    ),
    (b"upstream\r\nconnect  error\x00", ("", "upstream connect error", "head")),
    (b"", ("", "", "head")),
    (b"\xff\xfe", ("", "��", "head")),
    (b"null", ("", "null", "head")),
    (b'{"error":{}}', ("", "", "head")),
]


@pytest.mark.parametrize(("body", "expected"), BODIES)
def test_error_bodies(body, expected):
    fault = read_error_body(400, {"x-request-id": "head"}, body)
    assert (fault.code, fault.message, fault.request_id) == expected


def test_a_long_message_is_cut():
    fault = read_error_body(400, {}, b'{"message":"%s"}' % (b"x" * 5000))
    assert len(fault.message) == 300


def test_a_refusal_over_the_wire(serve, wire, whole):
    body = {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "r-1"}
    events, stream = whole(serve(wire.reply(401, body)))
    assert events == []
    assert isinstance(stream.error, errors.AuthenticationError)
    assert stream.error.request_id == "r-1"
    assert str(stream.error).count("\n") == 2
    assert str(stream.error).endswith("(request id r-1)")


@pytest.mark.parametrize("header", ["x_request_id", "x_dashscope_request_id"])
def test_the_request_id_of_a_header(serve, wire, whole, header):
    _, stream = whole(serve(wire.reply(500, b"oops", **{header: "r-2"})))
    assert stream.error.request_id == "r-2"
    assert stream.error.why == "oops"


def test_a_failed_event(serve, wire, whole):
    failed = wire.failed("InvalidParameter", "Not found previous_response_id: resp_9")
    _, stream = whole(serve(wire.STREAM + failed))
    assert isinstance(stream.error, errors.UnknownResponseError)
    assert (stream.error.status, stream.error.code) == (200, "InvalidParameter")


def test_a_failure_that_says_nothing(serve, wire, whole):
    event = wire.event({"type": "response.failed", "response": wire.response("failed", output=[])})
    _, stream = whole(serve(wire.STREAM + event))
    assert isinstance(stream.error, errors.ServerError)
    assert stream.error.message == "The service failed."


def test_a_response_that_the_server_cancelled(serve, wire, whole):
    event = wire.event({"type": "response.cancelled", "response": wire.response("cancelled")})
    _, stream = whole(serve(wire.STREAM + event))
    assert stream.error.why == "The response was cancelled."


def test_completed_that_says_failed_inside(serve, wire, whole):
    failed = wire.response("failed", error={"code": "c", "message": "Inner."}, output=[])
    event = wire.event({"type": "response.completed", "response": failed})
    _, stream = whole(serve(wire.STREAM + event))
    assert stream.error.why == "Inner."


def test_an_error_body_with_status_200(serve, wire, whole):
    body = {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "r-3"}
    _, stream = whole(serve(wire.reply(200, body)))
    assert isinstance(stream.error, errors.AuthenticationError)
    assert stream.error.request_id == "r-3"


ID = "resp_68f1ab07"
NO_SUCH_ID = [
    (404, "404", f"Response with id '{ID}' not found."),
    (404, "", f"Response with id {ID} not found"),
    (400, "", f"400: Invalid value: Response with id {ID} not found"),
    (200, "server_error", f"400: Invalid value: Response with id {ID} not found"),
    (200, "", f"Response '{ID}' not found. Use GET /v1/responses to list them."),
    (200, "invalid_request", f"Prediction history node with id '{ID}' not found while building."),
    (404, "not_found_error", f"response {ID} was not found"),
    (404, "not_found_error", "the requested resource was not found"),
    (404, "", "not_found_error: the requested resource was not found"),
    (404, "response_not_found", ""),
    (400, "previous_response_not_found", "No such thing."),
    (422, "", "Unexpected keys in the request: {'previous_response_id'}"),
    (400, "400", "llama.cpp does not support 'previous_response_id'."),
    (410, "gone", f"{ID} has expired"),
    (400, "invalid_value", f"Invalid 'response_id': '{ID}'. Expected an ID that begins with 'r'."),
    (404, "", "Not found (parameter: response_id)"),
    (400, "", f"Aucune réponse {ID}"),
    (404, "", "The response could not be found."),
    (404, "", "Conversation not found"),
    (400, "", "No tool call found for function call output with call_id call_1."),
    (400, "", "No tool call found for custom tool call output with call_id call_1."),
    (400, "", "No tool output found for function call call_1."),
    (400, "InvalidParameter", '<400> InternalError.Algo.InvalidParameter: messages with role "tool"'
     ' must be a response to a preceeding message with "tool_calls".'),
    (400, "", "messages with role 'tool' must be a response to a preceding message with 'tool_c'"),
    (400, "", "unexpected `tool_use_id` found in `tool_result` blocks: call_1"),
    (400, "", "tool_call_id call_1 not found in the previous messages"),
    (500, "", "Message has tool role, but there was no previous assistant message with a tool c"),
    (400, "", "Not the same number of function calls and responses"),
    (400, "", "No call message found for call_1"),
    (400, "", "Expected last role User or Tool (or Assistant with prefix) but got tool"),
    (400, "", "all elements in tool_results must have a matching tool_call"),
    (400, "", "The number of toolResult blocks at messages.2 exceeds that of toolUse blocks."),
    (400, "", "invalid params, tool result's tool id(call_1) not found (2013)"),
]  # fmt: skip
OTHER_FAULTS = [
    (404, "", "Not Found"),
    (404, "Not Found", "Not support"),
    (404, "", "404 page not found"),
    (404, "", "Cannot POST /v2/responses"),
    (404, "model_not_found", "The model qwen9 was not found."),
    (404, "not_found_error", "model: qwen9 was not found"),
    (400, "", "Invalid 'temperature': 5."),
    (401, "", f"Key refused for {ID}"),
    (500, "", f"Internal error while continuing {ID}"),
    (429, "", f"Too many requests after {ID}"),
]


@pytest.mark.parametrize(("status", "code", "message"), NO_SUCH_ID)
def test_an_id_that_is_not_known_in_anyones_words(status, code, message):
    error = classify(ErrorBody(status, code, message), OTHER, "qwen3", ID)
    assert isinstance(error, errors.UnknownResponseError)


@pytest.mark.parametrize(("status", "code", "message"), OTHER_FAULTS)
def test_other_faults_of_a_request_that_sent_an_id(status, code, message):
    error = classify(ErrorBody(status, code, message), OTHER, "qwen9", ID)
    assert not isinstance(error, errors.UnknownResponseError)


@pytest.mark.parametrize(("status", "code", "message"), NO_SUCH_ID)
def test_where_no_id_was_sent_none_is_missing(status, code, message):
    if "previous_response" not in f"{code} {message}":
        error = classify(ErrorBody(status, code, message), OTHER)
        assert not isinstance(error, errors.UnknownResponseError)


def test_a_wrong_path_says_so_in_any_turn():
    error = classify(ErrorBody(404, "", "Not Found"), OTHER, "", ID)
    assert "nothing at this path" in error.message


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (408, "Request Timeout", "took too long (408)"),
        (400, "400 The plain HTTP request was sent to HTTPS port", "speaks https there"),
        (400, "Client sent an HTTP request to an HTTPS server.", "speaks https there"),
        (400, "You're speaking plain HTTP to an SSL-enabled server port.", "speaks https there"),
    ],
)
@pytest.mark.parametrize("form", ["text", "page", "page below its title"])
def test_true_words(serve, wire, whole, status, message, words, form):
    title = "400 Bad Request" if form == "page below its title" else message
    page = f"<html><head><title>{title}</title></head><p>Reason: {message}</p></html>"
    body = (message if form == "text" else page).encode()
    if status == 408 and form != "text":
        pytest.skip("a page of a proxy is told as one")
    _, stream = whole(serve(wire.reply(status, body)))
    assert words in stream.error.message


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("86400", "24 h"),
        ("61", "61 s"),
        ("3600", "60 min"),
        ("1e6", "12 days"),
        ("inf", "for ever"),
        ("Fri, 01 Jan 2100 00:00:00 GMT", "days"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_is_told_and_not_waited_for(serve, wire, whole, pauses, header, words, status):
    server = serve(wire.reply(status, {"error": {"message": "Daily."}}, retry_after=header))
    _, stream = whole(server)
    assert (len(server.seen), pauses) == (1, [])
    assert words in stream.error.hint


@pytest.mark.parametrize("header", ["60", "0", "-5", "nan", "soon", ""])
def test_a_short_wait_is_waited_for(serve, wire, whole, pauses, header):
    reply = wire.reply(429, {"error": {"message": "Slowly."}}, retry_after=header)
    server = serve(reply, wire.answer("Hi"))
    _, stream = whole(server)
    assert stream.error is None
    assert len(pauses) == 1
    assert 0 <= pauses[0] <= 60


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, zstd", "lzma"])
def test_a_compression_that_cannot_be_read(serve, wire, whole, monkeypatch, coding):
    monkeypatch.setattr("qwen_magic.client.http.find_spec", lambda name: None)
    server = serve(wire.reply(200, b"(\xb5/\xfd", content_encoding=coding))
    _, stream = whole(server)
    assert "compressed its answer" in stream.error.message
    assert server.seen[0].headers["accept-encoding"] == "identity"

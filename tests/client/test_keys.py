"""A server that repeats the key, in any form and place: what comes in of it."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import re
from pathlib import Path
from urllib.parse import quote

import httpcore2
import httpx2
import pytest

from qwen_magic import Qwen
from qwen_magic.endpoints import find_endpoint
from qwen_magic.errors import QwenError
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.masking import know, log_without_keys
from qwen_magic.protocol.events import TextDelta

KEY = "Zu7/kanarie4+env9qWx"
FORMS = {
    "to the letter": KEY,
    "as a header": f"Bearer {KEY}",
    "in an address": quote(KEY, safe=""),
    "in base64": base64.b64encode(KEY.encode()).decode(),
    "in base64 of it": base64.b64encode(base64.b64encode(KEY.encode())).decode(),
    "in hexadecimal": KEY.encode().hex(),
    "in an address of an address": quote(quote(KEY, safe=""), safe=""),
    "with escapes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
}


def shows_it(*values: object) -> bool:
    words = " ".join(map(str, values))
    return any(form.rstrip("=")[:-2] in words for form in FORMS.values())


def ask(server, **options):
    with Qwen(endpoint=server.url, api_key=KEY) as qwen:
        return qwen.ask("Which key is it?", **options)


@pytest.mark.parametrize("step", [1, 7, 100])
@pytest.mark.parametrize("end", ["completed", "cut", "reset"])
def test_an_answer_that_spells_it(serve, wire, step, end):
    text = f"It is {KEY}, and again {KEY}."
    pieces = [wire.delta(text[at : at + step]) for at in range(0, len(text), step)]
    whole = wire.response("completed", note=KEY, metadata={KEY: [KEY]})
    ends = {"completed": wire.event({"type": "response.completed", "response": whole}),
            "cut": b"", "reset": wire.RESET}  # fmt: skip
    stream = [wire.STREAM + wire.created(), *pieces, ends[end]]
    server = serve(stream, wire.reply(404), stream, wire.reply(404))
    with Qwen(endpoint=server.url, api_key=KEY) as qwen:
        events = []
        try:
            for event in qwen.stream("Which key is it?", history=False):
                events.append(event)
        except QwenError as error:
            events.append((vars(error), pickle.dumps(error)))
    told = "".join(event.delta for event in events if isinstance(event, TextDelta))
    assert not shows_it(told, events)
    if end != "reset":  # which may take away what was not read
        assert told.count("[key]") == 2
        assert told.endswith("[key].")


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_of_one_piece(serve, wire, form):
    said = FORMS[form]
    content = [{"type": "output_text", "text": said, "annotations": []}]
    body = wire.response("completed", id=said, model=said, note={said: said})
    item = {"id": said, "type": "message", "role": "assistant", "content": content}
    reasoning = {
        "id": "t",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": said}],
    }
    unknown = {"id": "u", "type": "hologram", "data": [said]}
    answer = ask(serve(wire.reply(200, body | {"output": [reasoning, unknown, item]})))
    assert answer.text.count("[key]") == answer.reasoning.count("[key]") == 1, answer.raw
    assert not shows_it(answer, answer.raw, answer.items, answer.metadata, answer.bundle)
    assert not shows_it(pickle.dumps(answer))


def test_what_is_fetched_by_its_id(serve, wire):
    content = [{"type": "output_text", "text": f"Hello {KEY}", "annotations": []}]
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": content}
    rest = wire.response("completed", output=[item], note=KEY)
    cut = [wire.STREAM + wire.created(), wire.delta("Hello "), wire.RESET]
    answer = ask(serve(cut, wire.reply(200, rest)))
    assert answer.text == "Hello [key]"
    assert not shows_it(answer.raw)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_error_that_repeats_it(serve, wire, form, status):
    said, shape = FORMS[form], {400: "message", 401: "code", 403: "request_id"}.get(status, "type")
    body = {"error": {"message": f"No {said}!", shape: said}, "headers": {"authorization": said}}
    headers = {"x_request_id": said, "www_authenticate": f'Bearer realm="{said}"'}
    server = serve(wire.reply(status, body, **headers, retry_after="0"))
    with pytest.raises(QwenError) as failed:
        ask(server)
    error = failed.value
    assert not shows_it(str(error), repr(error), vars(error), pickle.dumps(error))


@pytest.mark.parametrize(
    "reply",
    [
        b"<html><title>%s</title><p>%s</p></html>",
        b"Go away, %s. Or %s.",
        b"data: %s\n\nevent: %s\ndata: x\n\n",
        b'{"sorry": "%s", "%s": 1}',
    ],
)
def test_a_reply_that_is_none(serve, wire, reply):
    with pytest.raises(QwenError) as failed:
        ask(serve(wire.reply(200, reply % (KEY.encode(), KEY.encode()))))
    assert not shows_it(str(failed.value), vars(failed.value))


def test_a_redirect_that_holds_it(serve, wire):
    for status, location in ((307, f"https://evil.example/?k={KEY}"), (302, f"/login?k={KEY}")):
        with pytest.raises(QwenError) as failed:
            ask(serve(wire.reply(status, location=location)))
        assert not shows_it(str(failed.value), vars(failed.value))


def test_each_log_of_the_library_is_looked_through():
    """One tells a proxy's password."""
    for package in (httpx2, httpcore2):
        for module in Path(package.__file__).parent.rglob("*.py"):
            for name in re.findall(r'getLogger\("(.+?)"\)', module.read_text()):
                assert log_without_keys in logging.getLogger(name).filters, name


def test_an_exception_that_is_logged(caplog):
    know(KEY)
    logger = logging.getLogger("qwen_magic.a_library")
    logger.addFilter(log_without_keys)
    try:
        raise ValueError(f"no JSON: {KEY}")
    except ValueError:
        logger.exception("what came was %s", KEY)
    assert "no JSON: [key]" in caplog.text
    assert not shows_it(caplog.text)


def test_what_libraries_log(serve, wire, caplog):
    caplog.set_level(logging.DEBUG)
    head = wire.answer("Hi").replace(b"req-head", KEY.encode())
    ask(serve(head))
    assert "receive_response_headers" in caplog.text
    assert not shows_it(caplog.text)


@pytest.mark.parametrize("option", ["model", "chat", "after"])
def test_a_key_as_an_option(serve, wire, option):
    server = serve(wire.answer("Hi"))
    with pytest.raises(QwenError, match="holds a key") as failed:
        ask(server, **{option: KEY})
    assert not shows_it(str(failed.value))
    assert server.seen == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://Ann:Ur1pass5wort8@h.example/v1", "https://…@h.example/v1"),
        ("https://Ann:Ur1p%40ss5wort8@h.example/v1", "https://…@h.example/v1"),
        ("https://Ur1pass5wort8@h.example/v1", "https://…@h.example/v1"),
        ("https://h.example/v1?api_key=Ur1pass5wort8&x=1", "https://h.example/v1?api_key=…&x=1"),
        ("https://h.example/v1?api-version=1", "https://h.example/v1?api-version=1"),
        ("https://[::1/v1", "https://[::1/v1"),
        ("singapore", "singapore"),
    ],
)
def test_a_setting_shows_none(url, shown):
    settings = QwenSettings(endpoint=url)
    assert settings.endpoint == shown
    if "…@" in shown:
        with pytest.raises(QwenError, match="user name or password"):
            find_endpoint(settings.endpoint, {})


def test_a_recording_of_it(serve, wire, tmp_path):
    """As text, as a name, by escapes, over deltas, in a header: `%qwen_record` keeps none."""
    deltas = [wire.delta(KEY[at : at + 3]) for at in range(0, len(KEY), 3)]
    named = wire.event({"type": "response.hologram", KEY: {KEY: [KEY]}, "x": FORMS["in base64"]})
    spelled = named.replace(b"/", b"\\/")
    head = wire.STREAM.replace(b"req-head", KEY.encode())
    stream = [head + wire.created(), *deltas, named, spelled, wire.completed()]
    file = tmp_path / "kept.jsonl"
    with Qwen(endpoint=serve(stream).url, api_key=KEY) as qwen:
        qwen._session.tape.record(file)
        try:
            qwen.ask("Which key is it?")
        finally:
            qwen._session.tape.reset()
    kept = file.read_text("utf-8")
    assert "[key]" in kept
    assert not shows_it(kept)

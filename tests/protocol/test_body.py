"""Bodies to events: kinds of body, `[DONE]`, errors in place of events, faults."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from fuzz import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qwen_magic.errors import ProtocolError
from qwen_magic.masking import own_keys
from qwen_magic.protocol.body import EventDecoder, joined
from qwen_magic.protocol.decode import decode_event
from qwen_magic.protocol.events import (
    ErrorEvent,
    KeepAlive,
    ResponseEnded,
    ResponseStarted,
    TextDelta,
    TextDone,
    UnknownEvent,
)
from qwen_magic.protocol.response import ResponseError
from qwen_magic.protocol.text import clean

PING = b'data: {"type":"ping"}\n\n'


def test_done_ends_the_stream() -> None:
    decoder = EventDecoder()
    assert decoder.feed(PING + b"data: [DONE]\n\n" + PING) == [KeepAlive()]
    assert decoder.done
    assert decoder.feed(PING) == []
    assert decoder.finish() == []


@pytest.mark.parametrize(
    "data",
    ["nonsense", "ping", "{", "[" * 100_000, "[]", "null", "3", '"text"', '""', "DONE", "<html>"],
)
@pytest.mark.parametrize("name", ["", "heartbeat"])
def test_data_that_is_no_event_is_kept_and_the_stream_goes_on(data: str, name: str) -> None:
    junk = f"event: {name}\ndata: {data}\n\n".encode()
    events = EventDecoder().feed(PING + junk + PING)
    assert events == [KeepAlive(), UnknownEvent(name, {"data": data}), KeepAlive()]


@pytest.mark.parametrize("prefix", ["data:", "data:  ", "data: data: ", "data:\t"])
def test_data_may_have_space_and_its_prefix_before_it(prefix: str) -> None:
    events = EventDecoder().feed(PING + PING.replace(b"data: ", prefix.encode()))
    assert events == [KeepAlive(), KeepAlive()]


@pytest.mark.parametrize("done", ["[DONE]", "[DONE] ", " [DONE]", "data: [DONE]"])
def test_done_may_have_space_around_it(done: str) -> None:
    decoder = EventDecoder()
    assert decoder.feed(f"data: {done}\n\n".encode() + PING) == []
    assert decoder.done


def numbered(*numbers: int | None, delta: str = "ha") -> bytes:
    return b"".join(
        b"data: "
        + json.dumps(
            {"type": "response.output_text.delta", "delta": delta, "sequence_number": number}
        ).encode()
        + b"\n\n"
        for number in numbers
    )


@pytest.mark.parametrize(
    ("numbers", "read"),
    [
        ((1, 1, 2, 2, 3), 3),  # each twice
        ((1, 2, 3, 1, 2, 3), 3),  # the whole twice
        ((None, None, None), 3),
        ((1, 2, 3), 3),
    ],
)
def test_an_event_that_is_sent_twice_is_read_once(
    numbers: tuple[int | None, ...], read: int
) -> None:
    (whole,) = EventDecoder().feed(numbered(*numbers))
    assert whole == TextDelta("output_text", "ha" * read)
    decoder = EventDecoder()
    cut = numbered(*numbers)
    assert len([e for n in range(len(cut)) for e in decoder.feed(cut[n : n + 1])]) == read


def test_where_two_events_have_one_number_the_numbers_say_nothing() -> None:
    body = numbered(0, delta="a") + numbered(0, delta="b") + numbered(0, 0, delta="c")
    assert EventDecoder().feed(body) == [TextDelta("output_text", "abcc")]


def test_the_excerpt_is_short_on_one_line_and_without_keys() -> None:
    page = "{\u2028 sk-0123456789abcdef " + "x" * 500
    decoder = EventDecoder()
    decoder.feed(page.encode())
    with pytest.raises(ProtocolError) as caught:
        decoder.finish()
    excerpt = caught.value.why.removeprefix("It begins: ")
    assert excerpt.startswith("{ [key] xxx")
    assert len(excerpt) == 120


def test_an_event_cut_off_by_the_end_is_dropped() -> None:
    decoder = EventDecoder()
    assert decoder.feed(PING + b'data: {"type":"response.output_te') == [KeepAlive()]
    assert decoder.finish() == []


def test_whole_last_event_without_blank_line_is_kept() -> None:
    decoder = EventDecoder()
    assert decoder.feed(PING.strip()) == []
    assert decoder.finish() == [KeepAlive()]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('{"error":{"code":"c","message":"m"},"request_id":"r"}', ResponseError("c", "m", "r")),
        ('{"code":"c","message":"m","request_id":"r"}', ResponseError("c", "m", "r")),
        ('{"type":"error","code":"c","message":"m"}', ResponseError("c", "m")),
        ('{"type":"error","error":{"type":"t","message":"m"}}', ResponseError("t", "m")),
        ('{"error":"in words"}', ResponseError("", "in words")),
        ('{"object":"error","type":"BadRequest","code":400,"message":"m"}',
         ResponseError("400", "m")),
    ],
)  # fmt: skip
def test_errors_in_place_of_events(data: str, error: ResponseError) -> None:
    assert EventDecoder().feed(f"data: {data}\n\n".encode()) == [ErrorEvent(error)]
    decoder = EventDecoder()
    assert decoder.feed(data.encode()) == []
    assert decoder.finish() == [ErrorEvent(error)]


def test_an_error_event_may_speak_plain_words() -> None:
    assert EventDecoder().feed(b"event: error\ndata: it broke\n\n") == [
        ErrorEvent(ResponseError(message="it broke"))
    ]


def test_the_events_name_serves_where_the_payload_has_no_type() -> None:
    body = b'event: response.output_text.delta\ndata: {"delta":"x"}\n\n'
    assert EventDecoder().feed(body) == [TextDelta("output_text", "x")]


def test_the_payloads_type_wins_over_the_events_name() -> None:
    body = b'event: error\ndata: {"type":"response.refusal.delta","delta":"x"}\n\n'
    assert EventDecoder().feed(body) == [TextDelta("refusal", "x")]


@pytest.mark.parametrize("lead", ["", "\ufeff", " \r\n\t", "\ufeff\n"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [("completed", ResponseEnded), ("failed", ResponseEnded), ("queued", ResponseStarted)],
)
def test_a_plain_response_is_one_event(
    lead: str, status: str, kind: type[ResponseEnded] | type[ResponseStarted]
) -> None:
    response = {"id": "r", "object": "response", "status": status, "output": []}
    body = (lead + json.dumps(response, indent=1)).encode()
    decoder = EventDecoder()
    assert [event for byte in body for event in decoder.feed(bytes([byte]))] == []
    assert decoder.finish() == [kind(status, response)]  # type: ignore[arg-type]


def test_a_plain_response_without_a_status_is_completed() -> None:
    decoder = EventDecoder()
    decoder.feed(b'{"id":"r","output":[]}')
    assert decoder.finish() == [ResponseEnded("completed", {"id": "r", "output": []})]


def test_a_response_object_as_data_is_its_end() -> None:
    body = b'data: {"object":"response","status":"incomplete"}\n\n'
    assert EventDecoder().feed(body) == [
        ResponseEnded("incomplete", {"object": "response", "status": "incomplete"})
    ]


def test_json_that_is_neither_response_nor_error() -> None:
    decoder = EventDecoder()
    decoder.feed(b'{"hello": 1, "sk-0123456789": 2}')
    with pytest.raises(ProtocolError, match="neither a response nor an error") as caught:
        decoder.finish()
    assert "hello, [key]" in caught.value.why


def test_a_plain_body_cut_short() -> None:
    decoder = EventDecoder()
    decoder.feed(b'{"id": "r", "outp')
    with pytest.raises(ProtocolError, match="not JSON"):
        decoder.finish()


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb", b"<html>no</html>", b": comment\n\n"])
def test_bodies_without_events(body: bytes) -> None:
    decoder = EventDecoder()
    assert decoder.feed(body) + decoder.finish() == []


def test_unknown_events_are_kept_whole_and_can_be_encoded() -> None:
    body = b'data: {"type":"response.new.delta","delta":"\\ud83d","x":["\\ude00"]}\n\n'
    raw = {"type": "response.new.delta", "delta": "\ufffd", "x": ["\ufffd"]}
    assert EventDecoder().feed(body) == [UnknownEvent("response.new.delta", raw)]


KEY = "sk-sk-zQ4/w9Rt7"
OTHER = "Hunter2Wald"
LOOP = "ababab"  # its ends overlap


def streamed(deltas: list[str], ends: bool = True) -> str:
    """The deltas as read, with what waited; and that no event before the last told a key."""
    decoder, read = EventDecoder(own_keys(KEY, OTHER, LOOP)), ""
    for delta in deltas:
        kind = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0}
        payload = {**kind, "delta": delta, "content_index": 0}
        for event in decoder.feed(f"data: {json.dumps(payload)}\n\n".encode()):
            assert isinstance(event, TextDelta)
            read += event.delta
        assert not any(key in read for key in (KEY, OTHER, LOOP))
    if ends:
        read += "".join(e.delta for e in decoder.finish() if isinstance(e, TextDelta))
    return read


PIECES = st.lists(
    st.sampled_from([KEY, OTHER, "%2F", "s", "sk", "sk-", "sk-sk-z", "Hunter2", "and ", "\n", "ä"])
)


@settings(max_examples=examples(100))
@given(PIECES, st.data())
def test_no_key_comes_in_however_it_is_cut(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    deltas = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    read = streamed(deltas)
    masked = own_keys(KEY, OTHER).pattern.sub("[key]", text)  # type: ignore[union-attr]
    # Of a key that is cut, two characters may go out; a long part of one at the end goes not.
    without = re.compile(r"[skHu]*\[key\]")
    assert without.sub("", masked).startswith(without.sub("", read))
    assert read.endswith("[key]") or without.sub("", masked) == without.sub("", read)


@given(st.lists(st.text("ab", min_size=1), max_size=20))
def test_no_key_comes_in_whose_ends_overlap(deltas: list[str]) -> None:
    assert LOOP not in streamed(deltas)


def test_a_text_without_a_key_comes_as_it_is_cut() -> None:
    decoder = EventDecoder(own_keys(KEY))
    deltas = ["Use sk-", "learn; or sk", "-", "sk-", "sk-zQ4", "", "!", "sk-s"]
    events = [event for delta in deltas for event in decoder.feed(numbered(None, delta=delta))]
    events += decoder.finish()
    assert [event.delta for event in events if isinstance(event, TextDelta)] == deltas


def test_what_waits_goes_before_the_end_of_its_text() -> None:
    decoder = EventDecoder(own_keys(KEY))
    assert decoder.feed(numbered(None, delta="or sk-")) == []
    done = b'data: {"type": "response.output_text.done", "text": "or sk-"}\n\n'
    assert [type(event) for event in decoder.feed(done)] == [TextDelta, TextDone]


def test_a_long_part_of_a_key_at_the_end_is_no_text() -> None:
    assert streamed(["It is sk-", "sk-zQ4/w9R"]) == "It is [key]"
    assert streamed(["It is sk-", "sk-zQ4/w9R"], ends=False) == ""


def test_other_texts_between_do_not_part_a_key() -> None:
    decoder, read = EventDecoder(own_keys(KEY)), dict[str, str]()
    for at in range(0, len(KEY), 4):
        for item in ("a", "b"):
            event = {"type": "response.output_text.delta", "item_id": item}
            payload = json.dumps({**event, "delta": KEY[at : at + 4]})
            for each in decoder.feed(f"data: {payload}\n\ndata: null\n\n".encode()):
                if isinstance(each, TextDelta):
                    read[each.item_id] = read.get(each.item_id, "") + each.delta
    assert read == {"a": "[key]", "b": "[key]"}


TEXTS = st.text(st.one_of(st.sampled_from('"\\\n\t,:{} é\u2028\x00'), st.characters())) | st.just(
    '","sequence_number":7'
)


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 20), st.sampled_from("ab")), max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_deltas_are_read_as_json_reads_them(deltas, ascii_only, number_first):
    """Of a delta like the one before it only the text and the number are read."""
    seen, data = {}, []
    for text, number, item_id in deltas:
        payload = {"type": "response.output_text.delta", "item_id": item_id, "output_index": 0}
        numbered = {"sequence_number": number}
        payload |= {**numbered, "delta": text} if number_first else {"delta": text, **numbered}
        payload = json.dumps(payload, ensure_ascii=ascii_only, separators=(",", ":"))
        data.append(payload.encode("utf-8", "replace").decode())
        seen.setdefault(number, data[-1])
    assume(all(seen[number] == each for (_, number, _), each in zip(deltas, data, strict=True)))
    body = "".join(f"data:{each}\n\n" for each in dict.fromkeys(data))
    whole = [decode_event(clean(json.loads(each))) for each in dict.fromkeys(data)]
    assert EventDecoder().feed(body.encode()) == joined(whole)


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"response.output_text.delta","delta":"a\\q","sequence_number":2}',
        '{"type":"response.output_text.delta","delta":"a\tb","sequence_number":2}',
        '{"type":"response.output_text.delta","delta":"a","sequence_number":02}',
        '{"type":"response.output_text.delta","delta":"a\\","sequence_number":2}',
    ],
)
def test_a_delta_that_is_no_json_is_none(data):
    first = '{"type":"response.output_text.delta","delta":"x","sequence_number":1}'
    events = EventDecoder().feed(f"data:{first}\n\ndata:{data}\n\n".encode())
    assert [type(event) for event in events] == [TextDelta, UnknownEvent]

"""The event-stream format: lines, fields, and where they may be cut."""

from __future__ import annotations

import pytest

from qwen_magic.errors import ProtocolError
from qwen_magic.protocol.sse import ServerSentEvent, SSEDecoder, read_event


def events(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    texts = [text for piece in pieces for text in decoder.feed(piece)] + decoder.finish()
    return [event for text in texts if (event := read_event(text)) is not None]


def test_dashscope_framing() -> None:
    frame = b'id:3\nevent:response.created\n:HTTP_STATUS/200\ndata:{"a":1}\n\n'
    assert events(frame) == [ServerSentEvent("response.created", '{"a":1}')]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_three_line_ends(end: bytes) -> None:
    body = end.join([b"event: a", b"data: 1", b"", b"data: 2", b"", b""])
    assert events(body) == [ServerSentEvent("a", "1"), ServerSentEvent("", "2")]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_nothing_else_ends_a_line(mark: str) -> None:
    assert events(f"data: a{mark}b\n\n".encode()) == [ServerSentEvent("", f"a{mark}b")]


def test_crlf_cut_in_its_middle_is_one_line_end() -> None:
    assert events(b"data: 1\r", b"\n", b"data: 2\r", b"\n\r", b"\n") == [
        ServerSentEvent("", "1\n2")
    ]


def test_a_lone_cr_dispatches_at_once() -> None:
    assert SSEDecoder().feed(b"data: 1\r\r") == ["data: 1"]


def test_one_space_after_the_colon_is_dropped_and_no_more() -> None:
    assert [event.data for event in events(b"data:x\n\ndata: x\n\ndata:  x\n\n")] == [
        "x",
        "x",
        " x",
    ]


def test_several_data_lines_are_joined() -> None:
    assert events(b"data: a\ndata:\ndata\ndata: b\n\n") == [ServerSentEvent("", "a\n\n\nb")]


def test_comments_and_other_fields_are_left_out() -> None:
    assert events(b": hi\nretry: 9\ndata: 1\n:\nfoo: bar\nbaz\n\n") == [ServerSentEvent("", "1")]


def test_an_event_without_data_is_none_and_its_name_does_not_linger() -> None:
    assert events(b"event: a\nid: 1\n\ndata: 1\n\nevent: b\ndata:\n\n") == [
        ServerSentEvent("", "1")
    ]


def test_a_byte_order_mark_counts_only_at_the_beginning() -> None:
    assert events(b"\xef", b"\xbb", b"\xbfdata: \xef\xbb\xbf1\n\n") == [
        ServerSentEvent("", "\ufeff1")
    ]


def test_a_character_cut_in_its_middle_is_whole() -> None:
    assert events(b"data: \xe4", b"\xbd", b"\xa0\n\n") == [ServerSentEvent("", "你")]


def test_broken_utf8_becomes_replacement_characters() -> None:
    assert events(b"data: a\xffb\xe4\xbd\n\n") == [ServerSentEvent("", "a\ufffdb\ufffd")]


@pytest.mark.parametrize("body", [b"data: 1", b"data: 1\n", b"data: 1\r"])
def test_finish_hands_over_an_event_without_its_blank_line(body: bytes) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(body) == []
    (text,) = decoder.finish()
    assert read_event(text) == ServerSentEvent("", "1")


@pytest.mark.parametrize("piece", [b"data: xxxxxxxxxxxx", b"xxxxxxxx", b"data: xxxx\n"])
def test_an_event_without_end_is_refused(piece: bytes) -> None:
    decoder = SSEDecoder(max_chars=1000)
    pieces = [piece] * 300
    with pytest.raises(ProtocolError, match="without end"):
        list(map(decoder.feed, pieces))


def test_the_limit_is_for_one_event_not_for_the_stream() -> None:
    decoder = SSEDecoder(max_chars=100)
    assert sum(len(decoder.feed(b"id: 1\ndata: xxxxxxxxxxxxxxxx\n\n")) for _ in range(50)) == 50

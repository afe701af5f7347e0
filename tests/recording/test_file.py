"""A recording as text: what goes in comes out, keys do not go in, and what is damaged is named."""

import json
from itertools import pairwise

import pytest
from fuzz import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.errors import ConnectionLostError, UsageError
from qwen_magic.recording import Take, masked_frame
from qwen_magic.recording.file import (
    COMPLETE,
    STOPPED,
    Exchange,
    exchange_line,
    header_line,
    read_recording,
)

HEADER = header_line("qwen_magic 0", "2026-11-12T10:03:20+01:00")
ASKED = Exchange(
    "POST",
    "responses",
    {"model": "qwen3-max", "input": "Hi"},
    "beijing",
    "https://dashscope.aliyuncs.com/compatible-mode/v1",
    "dashscope.aliyuncs.com",
    "2026-11-12T10:03:22+01:00",
)
KEY = "sk-0a1b2c3d4e5f6a7b8c9d0e1f"


def taken(chunks, asked=ASKED, end=COMPLETE, headers=None):
    """The exchange of chunks that come 10 ms apart."""
    take = Take(asked, 100.0)
    take.answered(200, headers or {})
    for number, chunk in enumerate(chunks, 1):
        take.feed(chunk, 100.0 + number / 100)
    return take.ended(100.0 + (len(chunks) + 1) / 100, end)


def read(*lines):
    return read_recording("".join((HEADER, *lines)), "lesson.jsonl")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FRAMES = st.tuples(st.integers(0, 10**7), st.text(st.characters()))
ENDS = st.sampled_from([COMPLETE, STOPPED]) | st.fixed_dictionaries(
    {"error": st.just("SilenceError"), "message": st.text()}, optional={"why": st.text()}
)
EXCHANGES = st.builds(
    Exchange,
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.text(min_size=1),
    st.none() | st.dictionaries(st.text(), JSONS, max_size=4),
    st.text(),
    st.text(),
    st.text(),
    st.text(),
    st.integers(0, 599),
    st.dictionaries(st.sampled_from(["content-type", "retry-after"]), st.text(), max_size=2),
    st.lists(FRAMES, max_size=4).map(tuple),
    ENDS,
    authorized=st.booleans(),
    found=st.dictionaries(st.text(min_size=1), JSONS, max_size=2),
)


class TestTheFile:
    @settings(max_examples=examples(100), deadline=None)
    @given(st.lists(EXCHANGES, max_size=3))
    def test_what_is_written_is_read(self, exchanges):
        lines = [exchange_line(each) for each in exchanges]
        text = "".join(lines)
        assert read_recording(HEADER + text, "x") == tuple(exchanges)
        assert len(text.splitlines()) == len(exchanges)  # no other reader sees more lines
        text.encode("utf-8")

    @settings(max_examples=examples(100), deadline=None)
    @given(st.text(), st.lists(st.integers(0, 200), max_size=5))
    def test_the_frames_joined_are_the_body(self, body, cuts):
        data = body.replace("\n", "\n\n").encode("utf-8", "replace")
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        made = taken([data[a:b] for a, b in pairwise(edges)])
        assert b"".join(made.content(piece) for _, piece in made.stream) == data

    def test_frames_have_the_time_of_the_bytes_that_end_them(self):
        made = taken([b"data: 1\n\ndata:", b" 2\r\n", b"\r\ndata: 3"])
        assert made.stream == (
            (10, "data: 1\n\n"), (30, "data: 2\r\n\r\n"), (40, "data: 3"),
        )  # fmt: skip

    def test_bytes_that_are_no_text(self):
        asked = Exchange("GET", "https://a.example/figure.png", encoding="base64")
        made = taken([b"\x89PNG\r\n", b"\r\n\x00\xff"], asked)
        (again,) = read(exchange_line(made))
        assert b"".join(again.content(piece) for _, piece in again.stream) == (
            b"\x89PNG\r\n\r\n\x00\xff"
        )

    def test_a_failure_is_the_same_failure_again(self):
        made = taken([b"data: 1\n\n"], end=ConnectionLostError("It broke.", why="reset"))
        (again,) = read(exchange_line(made))
        failure = again.failure()
        assert type(failure) is ConnectionLostError
        assert (failure.message, failure.why, failure.retry) == ("It broke.", "reset", None)

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", "JSON"),
            ("[]", "object"),
            ("[" * 100_000, "nested"),
            (f'{{"request": {{"body": {"[" * 500}{"]" * 500}}}}}', "nested"),
            ('{"request": 3}', "request"),
            ('{"request": {"method": "POST"}}', "path"),
            ('{"request": {"method": "GET", "path": "x"}, "status": "ok"}', "status"),
            ('{"request": {"method": "GET", "path": "x"}, "status": 1000}', "status"),
            ('{"request": {"method": "GET", "path": "x"}, "stream": [["1", "x"]]}', "stream"),
            ('{"request": {"method": "GET", "path": "x"}, "stream": [[-1, "x"]]}', "stream"),
            ('{"request": {"method": "GET", "path": "x"}, "stream": [[NaN, "x"]]}', "stream"),
            ('{"request": {"method": "GET", "path": "x"}, "end": "soon"}', "end"),
            (
                '{"request": {"method": "GET", "path": "x"}, "encoding": "base64", '
                '"stream": [[1, "?"]]}',
                "base64",
            ),
        ],
    )
    def test_a_damaged_line_is_named(self, line, said):
        with pytest.raises(UsageError) as raised:
            read(exchange_line(ASKED), line + "\n")
        assert "lesson.jsonl" in raised.value.message
        assert "line 3" in raised.value.message
        assert said in raised.value.message

    @pytest.mark.parametrize(
        "text", ["", "\n", '{"cells": []}', "id,name\n1,2", '{"recording": "x"}']
    )
    def test_a_foreign_file_is_none(self, text):
        with pytest.raises(UsageError, match="line 1"):
            read_recording(text, "data.jsonl")

    def test_a_later_version_is_refused(self):
        with pytest.raises(UsageError, match="qwen_magic 9"):
            read_recording('{"recording": 2, "maker": "qwen_magic 9"}\n', "x")


class TestKeys:
    def test_of_headers_only_harmless_ones_are_kept(self):
        headers = {"content-type": "a/b", "set-cookie": KEY, "x-request-id": "r1", "server": "x"}
        made = taken([b"{}"], headers=headers)
        assert made.headers == {"content-type": "a/b", "x-request-id": "r1"}

    def test_they_are_masked_in_a_request_with_all_that_tools_carry(self, monkeypatch):
        monkeypatch.setenv("BIRD_API_KEY", "Zu7kanarie4env9qWx")
        body = {
            "model": "m",
            "input": f'{KEY} Zu7kanarie4env9qWx {{"password": "tr0ub4dor&3"}}',
            "tools": [
                {"type": "mcp", "server_url": "https://a.example", "authorization": "abc",
                 "headers": {"X-Birds": "plain words"}}
            ],
        }  # fmt: skip
        line = exchange_line(taken([b"{}"], Exchange("POST", "responses", body)))
        for secret in (KEY, "Zu7kanarie4env9qWx", "tr0ub4dor", "abc", "plain words"):
            assert secret not in line
        assert "X-Birds" in line

    def test_they_are_masked_in_a_frame_whose_json_stays_whole(self):
        pem = "-----BEGIN PRIVATE KEY-----\nMIIE"
        frame = f"event:x\ndata:{json.dumps({'delta': f'Use {KEY} and {pem}', 'n': 1})}\n\n"
        masked = masked_frame(frame)
        assert KEY not in masked
        assert "MIIE" not in masked
        lines = masked.split("\n")
        assert lines[0] == "event:x"
        assert json.loads(lines[1].removeprefix("data:")) == {
            "delta": "Use [key] and [key]",
            "n": 1,
        }

    def test_they_are_masked_where_several_deltas_spell_them(self, monkeypatch):
        monkeypatch.setenv("BIRD_API_KEY", "Zu7kanarie4env9qWx")
        words = ["It is ", "Zu7k", "anarie", "4env9qWx, not ", KEY[:5], KEY[5:], "."]
        sent = [
            f"data: {json.dumps({'type': 't', 'item_id': 'm', 'delta': each})}\n\n".encode()
            for each in words
        ]
        made = taken(sent)
        deltas = [json.loads(piece.removeprefix("data: "))["delta"] for _, piece in made.stream]
        assert "".join(deltas) == "It is [key], not [key]."
        assert [at for at, _ in made.stream] == [10, 20, 30, 40, 50, 60, 70]

    def test_a_frame_without_one_stays_to_the_letter(self):
        frame = 'id:1\nevent:x\n:HTTP_STATUS/200\ndata: {"a" : 1,  "b":"\\u00e9"}\n\n'
        assert masked_frame(frame) == frame

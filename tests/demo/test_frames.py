"""The streams are those of Alibaba's samples, to the byte."""

import json
import re
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data" / "demo"
USAGE = re.compile(r'"usage":\{"input_tokens":.*?"total_tokens":\d+\}')


def normal(text):
    """The bytes with ids, times, texts, counts and the model's name replaced."""
    text = re.sub(r'"(id|item_id)":"(?:resp_|msg_)?[0-9a-f-]{36}"', r'"\1":"ID"', text)
    text = re.sub(
        r'"created_at":\d+(\.\d+)?', lambda m: '"created_at":0' + (".0" if m[1] else ""), text
    )
    text = re.sub(r'"(delta|text)":"(?:[^"\\]|\\.)+"', r'"\1":"TEXT"', text)
    text = text.replace('"model":"demo"', '"model":"MODEL"')
    return USAGE.sub('"usage":{}', text)


def without_numbers(text):
    return re.sub(r'^id:\d+|"sequence_number":\d+', "N", text)


def test_the_text_stream_has_the_samples_payloads(client):
    frames = client.frames("My name is John")
    sample = [normal(line) for line in (DATA / "text_stream.jsonl").read_text("utf-8").splitlines()]
    ours = [normal(frame.raw.split("\ndata:", 1)[1]) for frame in frames]
    deltas = [line for line in ours if "output_text.delta" in line]
    assert len(deltas) > 5
    assert {without_numbers(line) for line in deltas} == {without_numbers(sample[4])}
    assert ours[:5] == sample[:5]
    assert [without_numbers(line) for line in ours[-4:]] == [without_numbers(s) for s in sample[5:]]


def test_usage_has_the_samples_keys(client):
    sample = json.loads((DATA / "text_stream.jsonl").read_text("utf-8").splitlines()[-1])
    usage = client.frames("Hello")[-1].payload["response"]["usage"]
    assert list(usage) == list(sample["response"]["usage"])


def test_the_tool_stream_has_the_samples_frames(client):
    tools = [{"type": "web_search"}]
    frames = client.frames("Search for it", tools=tools, enable_thinking=True)
    sample = (DATA / "tool_stream.sse").read_text("utf-8").split("\n\n")[:-1]
    ours = [normal(frame.raw) for frame in frames]
    assert ours[1:4] == sample[:3]
    end = next(n for n, frame in enumerate(frames) if frame.event.endswith("reasoning_text.done"))
    for raw, expected in zip(ours[end : end + 4], sample[3:], strict=True):
        plain = [re.sub(r'^id:\d+|"sequence_number":\d+', "N", t) for t in (raw, expected)]
        assert plain[0] == plain[1]


def test_the_created_frame_is_queued_and_the_next_in_progress(client):
    first, second = client.frames(tools=[{"type": "web_search"}])[:2]
    assert first.payload["response"]["status"] == "queued"
    assert normal(second.raw) == normal(first.raw).replace("id:1", "id:2").replace(
        "response.created", "response.in_progress"
    ).replace('"sequence_number":0', '"sequence_number":1').replace("queued", "in_progress")


@pytest.mark.parametrize("thinking", [False, True])
def test_numbers_run_on_and_ids_are_one_more(client, thinking):
    frames = client.frames("tour", enable_thinking=thinking)
    assert [frame.payload["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert [frame.id for frame in frames] == list(range(1, len(frames) + 1))
    assert all(frame.event == frame.payload["type"] for frame in frames)


def test_the_old_spelling_of_reasoning(client):
    frames = client.frames("Hello\ndemo: reasoning old", enable_thinking=True)
    events = {frame.event for frame in frames if "reasoning" in frame.event}
    assert events == {
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
    }
    delta = next(frame.raw for frame in frames if frame.event.endswith("summary_text.delta"))
    assert normal(delta).split("data:")[1] == (
        '{"delta":"TEXT","sequence_number":3,"output_index":0,'
        '"type":"response.reasoning_summary_text.delta","item_id":"ID","summary_index":0}'
    )


def test_deltas_and_every_later_source_of_the_text_agree(client):
    frames = client.frames("tour")
    text = "".join(f.payload["delta"] for f in frames if f.event == "response.output_text.delta")
    by_event = {frame.event: frame.payload for frame in frames}
    assert by_event["response.output_text.done"]["text"] == text
    assert by_event["response.content_part.done"]["part"]["text"] == text
    assert by_event["response.output_item.done"]["item"]["content"][0]["text"] == text
    assert by_event["response.completed"]["response"]["output"][0]["content"][0]["text"] == text


def test_item_ids_are_msg_ids_whatever_the_type(client):
    tools = [{"type": "web_search"}, {"type": "web_extractor"}, {"type": "code_interpreter"}]
    prompt = "Search, read, then compute the mean of 1, 2, 3"
    output = client.ask(prompt, tools=tools, enable_thinking=True)["output"]
    assert {item["type"] for item in output} == {
        "reasoning",
        "web_search_call",
        "web_extractor_call",
        "code_interpreter_call",
        "message",
    }
    assert all(item["id"].startswith("msg_") for item in output)
    assert len({item["id"] for item in output}) == len(output)

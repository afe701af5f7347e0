"""How a turn went, out of its exchanges."""

import json
from dataclasses import replace

from qwen_magic.recording.file import Exchange
from qwen_magic.recording.trace import EXPLAINED, kinds_of, questions, trace


def exchange(*events):
    """An exchange of (milliseconds, event)."""
    frames = [(at, f"event:{e['type']}\ndata:{json.dumps(e)}\n\n") for at, e in events]
    return Exchange("POST", "responses", {"model": "m"}, status=200, stream=tuple(frames))


def item(kind, id, index, **more):
    return {"item": {"type": kind, "id": id, **more}, "output_index": index}


def added(*given, **more):
    return {"type": "response.output_item.added", **item(*given, **more)}


def done(*given, **more):
    return {"type": "response.output_item.done", **item(*given, **more)}


def delta(kind, id, index, words):
    return {"type": f"response.{kind}.delta", "item_id": id, "output_index": index, "delta": words}


CREATED = {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}}
ENDED = {
    "type": "response.completed",
    "response": {"id": "r1", "status": "completed", "usage": {"total_tokens": 7}},
}
ANSWER = exchange(
    (200, CREATED),
    (500, added("reasoning", "rs", 0)),
    (700, delta("reasoning_text", "rs", 0, "Hm.")),
    (900, done("reasoning", "rs", 0)),
    (900, added("code_interpreter_call", "ci", 1)),
    (1900, done("code_interpreter_call", "ci", 1, status="completed")),
    (1950, added("message", "m", 2)),
    (2000, delta("output_text", "m", 2, "One two")),
    (3000, delta("output_text", "m", 2, " three four")),
    (3000, done("message", "m", 2)),
    (3010, ENDED),
)
GIVEN = replace(ANSWER, body={"input": [{"type": "function_call_output", "call_id": "c"}]})
CALLS = exchange(
    (100, CREATED),
    (100, added("function_call", "fc", 0, name="rows", call_id="c")),
    (300, done("function_call", "fc", 0, name="rows", call_id="c", arguments="{}")),
    (310, ENDED),
)


def rows(made):
    return [(span.kind, span.about, span.start, span.end) for span in made.spans]


def test_a_turn_in_its_parts():
    made = trace([(0.0, ANSWER)])
    assert rows(made) == [
        ("wait", "connection, queue", 0, 200),
        ("read", "what was sent", 200, 500),
        ("think", "thinking", 500, 900),
        ("tool", "code_interpreter", 900, 1900),
        ("write", "answer", 1950, 3000),
    ]
    assert (made.first_word, made.words, made.end) == (2000, 4, 3000)
    assert 3 < made.words_a_second < 5
    assert all(kind in EXPLAINED for kind in kinds_of(made.spans))


def test_functions_run_between_two_requests():
    made = trace([(0.0, CALLS), (1310.0, GIVEN)])
    kinds = [span.kind for span in made.spans]
    assert kinds == ["wait", "write", "yours", "wait", "read", "think", "tool", "write"]
    assert made.spans[1].about == "calls rows"
    assert (made.spans[2].start, made.spans[2].end) == (310, 1310)
    assert made.first_word == 3310


def test_what_was_refused_and_asked_again_ran_nothing_here():
    """As where a server had forgotten the chain, or wanted a pause."""
    refused = Exchange("POST", "responses", {}, status=400, stream=((50, '{"error": {}}'),))
    made = trace([(0.0, refused), (1000.0, ANSWER)])
    assert rows(made)[:3] == [
        ("wait", "refused (400)", 0, 50),
        ("wait", "until it was asked again", 50, 1000),
        ("wait", "connection, queue", 1000, 1200),
    ]
    assert "yours" not in kinds_of(made.spans)


def test_a_replay_that_was_faster_has_the_times_of_the_recording():
    made = trace([(0.0, CALLS), (5.0, GIVEN)])
    assert "yours" not in kinds_of(made.spans)
    assert made.first_word == 2310


def test_the_events_have_their_names_and_what_they_bring():
    told = [(moment.name, moment.says) for moment in trace([(0.0, ANSWER)]).moments]
    assert told[0] == ("response.created", "in_progress")
    assert told[2] == ("response.reasoning_text.delta", "'Hm.'")
    assert told[-1] == ("response.completed", "completed 7 tokens")


def test_what_is_no_stream_has_no_parts():
    told = Exchange("POST", "responses", {}, status=200, stream=((50, "<html>No"),))
    made = trace([(0.0, told), (0.0, Exchange("POST", "responses"))])
    assert (made.spans, made.first_word, made.words_a_second) == ((), None, 0.0)


def test_the_questions_of_a_recording_with_what_each_took():
    def asked(given, status=200):
        return Exchange("POST", "responses", {"input": given}, status=status)

    output = [{"type": "function_call_output", "call_id": "c", "output": "1"}]
    told = [{"role": "user", "content": "A"}, {"role": "user", "content": "B"}]
    figure = Exchange("GET", "https://a.example/f.png")
    one, two, three = [asked("A"), asked(output)], [asked("B", 400), asked(told)], [asked("B")]
    assert questions([*one, figure, *two, *three]) == [one, two, three]
    assert questions([asked(output), figure]) == [[asked(output)]]

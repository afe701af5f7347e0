"""The body holds what was asked, nothing else."""

from __future__ import annotations

from dataclasses import replace

from qwen_magic.protocol.request import ResponseRequest


def test_what_was_not_asked_is_not_sent() -> None:
    request = ResponseRequest("qwen3-max", "Hello")
    assert request.body() == {"model": "qwen3-max", "input": "Hello", "stream": True}


def test_everything_asked() -> None:
    tool = {"type": "web_search"}
    message = {"role": "user", "content": "Hello"}
    request = ResponseRequest(
        "m",
        (message,),
        instructions="Be brief.",
        previous_response_id="resp_1",
        tools=(tool,),
        enable_thinking=False,
        effort="low",
        temperature=0.0,
        top_p=0.5,
        max_output_tokens=16,
        store=False,
        stream=False,
        extra={"tool_choice": "auto"},
    )
    assert request.body() == {
        "model": "m",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello"}],
            }
        ],
        "instructions": "Be brief.",
        "previous_response_id": "resp_1",
        "tools": [tool],
        "enable_thinking": False,
        "reasoning": {"effort": "low"},
        "temperature": 0.0,
        "top_p": 0.5,
        "max_output_tokens": 16,
        "store": False,
        "stream": False,
        "tool_choice": "auto",
    }


def test_extra_wins_and_objects_are_merged() -> None:
    extra = {"reasoning": {"summary": "auto"}, "stream": False, "text": {"format": "x"}}
    body = ResponseRequest("m", "x", effort="high", extra=extra).body()
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    assert body["stream"] is False
    assert body["text"] == {"format": "x"}


def test_the_body_is_the_callers_own() -> None:
    request = ResponseRequest("m", (), tools=({"type": "web_search"},))
    request.body()["tools"].clear()
    assert request.body()["tools"] == [{"type": "web_search"}]


def test_an_effort_in_digits_is_a_budget_of_tokens() -> None:
    body = ResponseRequest("m", "x", effort="2000").body()
    assert body["thinking_budget"] == 2000
    assert "reasoning" not in body


def test_the_session_cache_is_asked_for_on_chained_turns_alone() -> None:
    chained = ResponseRequest("m", "x", previous_response_id="resp_1", session_cache=True)
    assert chained.headers() == {"x-dashscope-session-cache": "enable"}
    assert replace(chained, session_cache=False).headers() == {}
    assert replace(chained, previous_response_id="").headers() == {}

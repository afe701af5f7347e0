"""Items and usage: read from any server's JSON, written as the API takes them back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.protocol.items import (
    Annotation,
    AnswerAttempt,
    CodeInterpreterCall,
    CodeOutput,
    CustomToolCall,
    FileSearchCall,
    FileSearchResult,
    FunctionCall,
    ImageSearchCall,
    Item,
    McpCall,
    McpListTools,
    Message,
    Reasoning,
    Source,
    UnknownItem,
    WebExtractorCall,
    WebSearchCall,
    item_json,
    item_type,
    parse_item,
)
from qwen_magic.protocol.response import Usage, parse_usage

URLS = (Source("https://a.example/"), Source("https://b.example/", "B"))
OUTPUTS = (CodeOutput(logs="4\n"), CodeOutput(image_url="https://a.example/1.png"))
CITATION = Annotation("url_citation", "https://a.example/", "A", 1, 2)
ITEMS: list[Item] = [
    Message("m", "Hello"),
    Message("m", "", "No."),
    Message("m", "Well, ", "no.", (CITATION,), status="completed"),
    Message("", "Hello", role="user"),
    Reasoning("r"),
    Reasoning("r", "Thought.", "gAAAA", "completed"),
    WebSearchCall("s"),
    WebSearchCall("s", ("q1", "q2"), URLS, status="completed"),
    WebSearchCall("s", (), URLS[:1], "open_page"),
    WebSearchCall("s", ("height",), URLS[:1], "find_in_page"),
    WebExtractorCall("e", "Read", ("https://a.example/",), "text", "completed"),
    CodeInterpreterCall("c", "print(4)", OUTPUTS, "c", "completed"),
    FunctionCall("f", "rows", '{"a": 1}', "call_1", "completed"),
    AnswerAttempt("m", "{}", "a: is missing", "completed"),
    CustomToolCall("t", "shell", "ls", "call_2", "completed"),
    McpCall("p", "route", "maps", "{}", "[1]", "", "completed"),
    McpCall("p", "route", "maps", "{}", "", "no route", "failed"),
    McpListTools("l", "maps", ({"name": "route"},), "", "completed"),
    FileSearchCall("g", ("laws",), (FileSearchResult("a.pdf", "…", "f1", 0.5),), "completed"),
    ImageSearchCall("i", "web_search_image_call", "web_search_image", "{}", "[]", "completed"),
    ImageSearchCall("i", "image_search_call", "image_search", "{}", "[]", "completed"),
    UnknownItem("x", "hologram_call", {"type": "hologram_call", "id": "x", "depth": 3}),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_what_is_written_is_read_back(item: Item) -> None:
    written = item_json(item)
    assert parse_item(json.loads(json.dumps(written))) == item
    assert written["type"] == item_type(item)


def test_every_kind_of_item_is_tried() -> None:
    assert {type(item) for item in ITEMS} == set(Item.__args__)


def test_the_input_form_of_a_message_and_of_reasoning() -> None:
    assert item_json(Message("m", "Hi", status="completed")) == {
        "type": "message",
        "id": "m",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
    }
    assert item_json(Message("", "Hi", role="user"))["content"] == [
        {"type": "input_text", "text": "Hi"}
    ]
    assert item_json(Reasoning("r", "T")) == {
        "type": "reasoning",
        "id": "r",
        "summary": [{"type": "summary_text", "text": "T"}],
    }
    assert item_json(Reasoning("r"))["summary"] == []


def test_the_documented_response_with_builtin_tools(read: Callable[[str], bytes]) -> None:
    response = json.loads(read("bodies/builtin_tools.json"))
    first, search, _, extract, answer = [parse_item(raw) for raw in response["output"]]
    assert isinstance(first, Reasoning)
    assert first.text.startswith("The user wants to find the Alibaba Cloud official website")
    assert search == WebSearchCall(
        "",
        ("Alibaba Cloud official website",),
        (Source("https://cn.aliyun.com/"), Source("https://www.alibabacloud.com/zh")),
        status="completed",
    )
    assert extract == WebExtractorCall(
        "",
        "Extract key information from the Alibaba Cloud official website home page",
        ("https://cn.aliyun.com/",),
        "Qwen LLM, complete product system, AI solutions...",
        "completed",
    )
    assert isinstance(answer, Message)
    assert parse_usage(response["usage"]) == Usage(
        40836, 2106, 42942, 0, 677, {"web_extractor": 1, "web_search": 1}
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"content": "in one string"}, Message("", "in one string")),
        ({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}, Message("", "ab")),
        ({"content": None, "role": None}, Message("")),
        ({"content": [None, 3, {"text": 4.5}, {"text": None}]}, Message("", "4.5")),
    ],
)
def test_forms_of_a_message(raw: dict[str, Any], expected: Message) -> None:
    assert parse_item({"type": "message", **raw}) == expected


def test_a_message_without_a_type() -> None:
    raw = {"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    assert parse_item(raw) == Message("", "Hi")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"summary": [{"text": "a"}, {"text": ""}, {"text": "b"}]}, "a\n\nb"),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "c"}]}, "c"),
        ({"summary": [{"text": "a"}], "content": [{"text": "c"}, {"text": "d"}]}, "cd"),
        ({"summary": ["a", "b"]}, "a\n\nb"),
        ({"summary": "a", "content": "c"}, "c"),
        ({"summary": None, "content": None, "encrypted_content": None}, ""),
    ],
)
def test_forms_of_reasoning(raw: dict[str, Any], text: str) -> None:
    assert parse_item({"type": "reasoning", **raw}) == Reasoning("", text)


@pytest.mark.parametrize(
    ("raw", "queries"),
    [
        ({"action": {"type": "search", "query": "Web search"}}, ()),
        ({"action": {"type": "search", "query": "q"}}, ("q",)),
        ({"action": {"type": "search", "query": "q", "queries": ["q", "r"]}}, ("q", "r")),
        ({"action": {"type": "search", "query": "q", "queries": []}}, ("q",)),
        ({"arguments": '{"query":"q"}'}, ("q",)),
        ({"arguments": "nonsense"}, ()),
        ({}, ()),
    ],
)
def test_queries_of_a_search(raw: dict[str, Any], queries: tuple[str, ...]) -> None:
    assert parse_item({"type": "web_search_call", **raw}) == WebSearchCall("", queries)


def test_json_given_as_an_object_where_text_belongs() -> None:
    raw = {"type": "function_call", "arguments": {"a": "ü"}, "name": "f"}
    assert parse_item(raw) == FunctionCall("", "f", '{"a": "ü"}')


def test_a_nested_citation() -> None:
    nested = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "end_index": 2}}
    message = parse_item({"type": "message", "content": [{"text": "x", "annotations": [nested]}]})
    assert isinstance(message, Message)
    assert message.annotations == (Annotation("url_citation", "u", "t", 0, 2),)
    (part,) = item_json(message)["content"]
    assert part["annotations"] == [nested]


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
        {"input_tokens": None, "output_tokens": -3, "input_tokens_details": None},
    ],
)
def test_usage_that_says_nothing(raw: dict[str, Any] | None) -> None:
    usage = parse_usage(raw)
    assert usage == Usage()
    assert not usage.known


def test_usage_in_the_names_of_chat_completions() -> None:
    usage = parse_usage(
        {
            "prompt_tokens": 5,
            "completion_tokens": 6,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
    )
    assert usage == Usage(5, 6, 11, cached_tokens=2, reasoning_tokens=3)


def test_usage_in_both_names_is_of_the_responses_api() -> None:
    raw = {"input_tokens": 5, "prompt_tokens": 7, "output_tokens": 6, "completion_tokens": 8}
    assert parse_usage(raw) == Usage(5, 6, 11)


def test_a_missing_total_is_the_sum() -> None:
    usage = parse_usage({"input_tokens": 2, "output_tokens": 3.0, "x_tools": {"a": {"count": 2}}})
    assert usage == Usage(2, 3, 5, tools={"a": 2})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = sorted({key for item in ITEMS for key in item_json(item)} | {"query", "queries", "text"})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from([item_type(item) for item in ITEMS]),
    fields=st.dictionaries(st.sampled_from(KEYS), VALUES),
)
def test_no_value_of_a_field_makes_reading_fail(kind: str, fields: dict[str, Any]) -> None:
    item = parse_item({**fields, "type": kind})
    assert item_type(item) == kind
    assert item_json(item)["type"] == kind


def test_what_the_session_cache_did() -> None:
    """It alone names a `cache_type`: other cached tokens have another price."""
    detail = {"cached_tokens": 900, "cache_creation_input_tokens": 300, "cache_type": "ephemeral"}
    other = {"prompt_tokens_details": {"cached_tokens": 128}}
    usage = parse_usage(
        {"input_tokens": 1500, "x_details": [{"prompt_tokens_details": detail}, other, {}, "x"]}
    )
    assert (usage.session_cached_tokens, usage.cache_creation_tokens) == (900, 300)
    assert (usage + usage).cache_creation_tokens == 600
    assert parse_usage({"x_details": {"prompt_tokens_details": 1}}) == Usage()

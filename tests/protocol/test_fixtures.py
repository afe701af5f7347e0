"""Every stream and body of tests/data gives the final state that is written here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from qwen_magic.protocol.items import item_type
from qwen_magic.protocol.state import ResponseError, ResponseState

DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Expected:
    """What most streams end in; each case names what differs."""

    text: str = "An answer."
    items: str = "message"
    reasoning: str = ""
    id: str = "resp_1"
    model: str = "qwen3-max"
    status: str = "completed"
    phases: str = "completed"  # of every item, or one for each
    terminal: bool = True
    usage: tuple[int, int, int] | None = (10, 20, 30)
    tools: tuple[tuple[str, int], ...] = ()
    error: ResponseError | None = None
    reason: str = ""
    unknown: str = ""


THOUGHT = "reasoning message"
FOUNDING = (
    "Artificial intelligence (Artificial Intelligence, or AI for short) fields, "
    "and is profoundly changing our lives and work."
)
HELLO = (
    "Hello! I am Qwen, a large-scale language model developed by Tongyi Lab. I can answer "
    "questions, create text, write code, and express opinions. I am committed to providing you "
    "with accurate, useful, and friendly help."
)
SEARCHED = (
    "The user wants to find the Alibaba Cloud official website and extract information..."
    "\n\nThe search results show the URL of the Alibaba Cloud official website..."
)
QUOTA = ResponseError("insufficient_quota", "You exceeded your current quota.")
TOO_MANY = "<429> InternalError.Algo: Too many requests. [Too many requests.]"
LIMIT = "Operation model request rate limit exceeded, please try again later."
FAILED = Expected(text="", items="", status="failed", model="", usage=None, id="", phases="failed")


def failed(code: str, message: str, request_id: str = "", **other: object) -> Expected:
    error = ResponseError(code, message, request_id)
    return Expected(**{**vars(FAILED), "error": error, **other})


CASES = {
    # the documented stream
    "streams/dashscope_text.sse": Expected(
        FOUNDING,
        id="47a71e7d-868c-4204-9693-ef8ff9058xxx",
        model="qwen3-max-2026-01-23",
        usage=(37, 166, 203),
    ),
    # reasoning under all its names and forms
    "streams/reasoning_summary_text.sse": Expected(
        items=THOUGHT, reasoning="First thought.\n\nSecond thought."
    ),
    "streams/reasoning_text.sse": Expected(items=THOUGHT, reasoning="First thought."),
    "streams/reasoning_delta.sse": Expected(items=THOUGHT, reasoning="First thought."),
    "streams/reasoning_growing_index.sse": Expected(items=THOUGHT, reasoning="First thought."),
    "streams/reasoning_done_only.sse": Expected(items=THOUGHT, reasoning="First thought."),
    "streams/reasoning_item_only.sse": Expected(items=THOUGHT, reasoning="First thought."),
    "streams/reasoning_both_channels.sse": Expected(items=THOUGHT, reasoning="First thought."),
    # the sources of text, best first
    "streams/text_replaced.sse": Expected("From deltas."),
    "streams/text_done_only.sse": Expected("From done."),
    "streams/text_part_only.sse": Expected("From the part."),
    "streams/text_item_only.sse": Expected("From the item."),
    "streams/text_response_only.sse": Expected(
        "From the response.", items=THOUGHT, reasoning="Thought."
    ),
    "streams/two_parts.sse": Expected("One. Two. Three."),
    "streams/refusal.sse": Expected("I can't help."),
    # which item an event speaks of
    "streams/never_added.sse": Expected("你好", model="", usage=(5, 2, 7)),
    "streams/done_without_added.sse": Expected(
        "Answer.", "reasoning web_search_call message", "Thought."
    ),
    "streams/ids_rotate.sse": Expected("Answer.", THOUGHT, "Thought.", id="resp_2"),
    "streams/shared_index.sse": Expected(
        "Answer.", "reasoning web_search_call message", "Thought."
    ),
    "streams/open_together.sse": Expected("Answer.", THOUGHT, "Thought."),
    "streams/no_ids.sse": Expected("Answer.", THOUGHT, "Thought."),
    "streams/arguments_before_added.sse": Expected(items="mcp_call message"),
    # tools
    "streams/web_search.sse": Expected(
        "See [1].",
        "web_search_call web_extractor_call message",
        tools=(("web_search", 1), ("web_extractor", 1)),
    ),
    "streams/code_interpreter.sse": Expected(
        "Four.", "code_interpreter_call message", tools=(("code_interpreter", 1),)
    ),
    "streams/code_deltas.sse": Expected("Four.", "code_interpreter_call message"),
    "streams/calls.sse": Expected("", "function_call custom_tool_call"),
    "streams/mcp_and_files.sse": Expected(
        "See it.",
        "mcp_list_tools mcp_call file_search_call message",
        phases="completed failed completed completed",
    ),
    "streams/image_search.sse": Expected(items="web_search_image_call image_search_call message"),
    "streams/open_page.sse": Expected("", " ".join(["web_search_call"] * 4)),
    # habits of servers
    "streams/no_sequence_numbers.sse": Expected(),
    "streams/null_usage.sse": Expected(model="", usage=None),
    "streams/zero_usage.sse": Expected(usage=(0, 0, 0)),
    "streams/names_only.sse": Expected("By name."),
    "streams/unknown.sse": Expected(items="hologram_call message", unknown="response.dream.delta"),
    # endings
    "streams/incomplete.sse": Expected(
        "Half an", status="incomplete", phases="incomplete", reason="max_output_tokens"
    ),
    "streams/completed_says_incomplete.sse": Expected(
        "Half an", status="incomplete", phases="incomplete", reason="max_output_tokens"
    ),
    "streams/failed_first.sse": failed("server_error", TOO_MANY, id="resp_1"),
    "streams/failed_midway.sse": failed(
        "server_error",
        "Backend buffer overflow",
        text="Half an",
        items="message",
        id="resp_1",
        model="qwen3-max",
    ),
    "streams/error_then_failed.sse": failed(
        QUOTA.code, QUOTA.message, id="resp_1", model="qwen3-max"
    ),
    "streams/error_alone.sse": failed(
        "ERR_SOMETHING", "Something went wrong", text="Half an", items="message", id="resp_1"
    ),
    "streams/error_as_data.sse": failed(
        "InvalidParameter", "Unsupported model", "req-1", id="resp_1"
    ),
    "streams/error_event.sse": failed(
        "DataInspectionFailed", "Input text data may contain inappropriate content.", "req-2"
    ),
    "streams/error_words.sse": failed("", "upstream is gone"),
    "streams/no_terminal.sse": Expected(
        "Half an",
        status="in_progress",
        phases="in_progress",
        terminal=False,
        model="",
        usage=None,
    ),
    "streams/cut_in_event.sse": Expected(
        "Half an",
        status="in_progress",
        phases="in_progress",
        terminal=False,
        model="",
        usage=None,
    ),
    "streams/no_last_blank_line.sse": Expected(),
    "streams/after_terminal.sse": Expected(unknown="response.dream.delta"),
    # bytes
    "streams/framing.sse": Expected("a\u2028bc\u2029d\x85e\x0bf\x0cgh"),
    "streams/surrogates.sse": Expected(
        "whole 😀, split 😀, lone \ufffd high, lone \ufffd low, last \ufffd",
        "message function_call",
        model="m\ufffd",
        usage=None,
    ),
    "streams/broken_utf8.sse": Expected("caf\ufffd \ufffd \ufffd\ufffd\ufffd \ufffd ok"),
    # plain JSON bodies
    "bodies/basic.json": Expected(
        HELLO,
        id="b8104cd2-ee57-903d-aae0-93d99254axxx",
        model="qwen3-max-2026-01-23",
        usage=(39, 46, 85),
    ),
    "bodies/second_turn.json": Expected(
        "Yes, John! I remember your name. How can I assist you today?",
        id="4730f70e-6aa3-9315-b4d1-c43c8e509xxx",
        model="qwen3-max-2026-01-23",
        usage=(78, 16, 94),
    ),
    "bodies/builtin_tools.json": Expected(
        "Key information from the Alibaba Cloud official website: Qwen LLM, "
        "cloud computing services...",
        "reasoning web_search_call reasoning web_extractor_call message",
        SEARCHED,
        id="69258b21-5099-9d09-92e8-8492b1955xxx",
        model="",
        usage=(40836, 2106, 42942),
        tools=(("web_extractor", 1), ("web_search", 1)),
    ),
    "bodies/failed.json": failed("server_error", LIMIT, id="resp_1"),
    "bodies/in_progress.json": Expected(
        "", "", status="in_progress", terminal=False, model="", usage=None
    ),
    "bodies/error_flat.json": failed("InvalidApiKey", "Invalid API-key provided.", "req-3"),
    "bodies/error_nested.json": failed(
        "invalid_api_key", "Incorrect API key provided: [key].", "req-4"
    ),
}


def seen(state: ResponseState) -> Expected:
    phases = [entry.phase for entry in state.entries]
    usage = state.usage
    return Expected(
        text=state.text,
        items=" ".join(item_type(item) for item in state.items),
        reasoning=state.reasoning,
        id=state.id,
        model=state.model,
        status=state.status,
        phases=phases[0] if len(set(phases)) == 1 else " ".join(phases),
        terminal=state.terminal,
        usage=(usage.input_tokens, usage.output_tokens, usage.total_tokens) if usage else None,
        tools=tuple(usage.tools.items()) if usage else (),
        error=state.error,
        reason=state.incomplete_reason,
        unknown=" ".join(event.type for event in state.unknown),
    )


def test_every_file_has_its_expectation() -> None:
    files = {str(path.relative_to(DATA)) for path in DATA.glob("*/*") if path.is_file()}
    assert {name for name in files if name.startswith(("streams/", "bodies/"))} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_final_state(name: str, state_of: Callable[[str], ResponseState]) -> None:
    state = state_of(name)
    expected = CASES[name]
    if not expected.items:
        expected = Expected(**{**vars(expected), "phases": ""})
    assert seen(state) == expected
    assert all(entry.done == state.terminal for entry in state.entries)
    assert [entry.key for entry in state.entries] == [str(n) for n in range(len(state.entries))]


@pytest.mark.parametrize("name", CASES)
def test_everything_can_be_encoded(name: str, state_of: Callable[[str], ResponseState]) -> None:
    state = state_of(name)
    repr((state.items, state.raw, state.unknown, state.error, state.model)).encode()
    "".join([state.text, state.reasoning, *(t for e in state.entries for t in e.chunks)]).encode()

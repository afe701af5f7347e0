"""A user's program: the type checker reads it (see pyproject.toml), and a test runs it."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import assert_type

from qwen_magic import Answer, Chat, Qwen
from qwen_magic.protocol.events import Event, ResponseEnded, TextDelta
from qwen_magic.protocol.response import Usage


def written(qwen: Qwen, prompt: str) -> tuple[str, str]:
    """The text of an answer, put together from its stream; and how it ended."""
    text, status = "", ""
    events = qwen.stream(prompt, chat="a")
    assert_type(events, Generator[Event, None, None])
    with closing(events):
        for event in events:
            match event:
                case TextDelta():
                    assert_type(event.delta, str)
                    text += event.delta
                case ResponseEnded():
                    status = event.status
    return text, status


async def awritten(endpoint: str, prompt: str) -> str:
    async with Qwen(endpoint=endpoint) as qwen, aclosing(qwen.chat("b").astream(prompt)) as events:
        assert_type(qwen, Qwen)
        assert_type(events, AsyncGenerator[Event, None])
        return "".join([event.delta async for event in events if isinstance(event, TextDelta)])


def asked(endpoint: str, prompt: str) -> int:
    with Qwen("m", endpoint=endpoint, unattended="refuse") as qwen:
        chat = qwen.chat("c")
        assert_type(chat, Chat)
        answer = chat.ask(prompt, temperature=0.5)
        assert_type(answer, Answer)
        assert_type(answer.usage, Usage | None)
        return answer.usage.total_tokens if answer.usage else 0

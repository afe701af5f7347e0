"""What is asked of the service, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.input_items import input_items


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """One `POST /responses`. Empty and None mean "not asked": the service's own default holds.

    `input`: the prompt, or input items (sent in the form of `input_items.py`); `effort`:
    `reasoning.effort`, or digits: the tokens of `thinking_budget`; `extra`: further parameters of
    the body, which win over those named here (an object is merged with its namesake); `left_out`:
    parameters that this server rejects.
    `session_cache`: whether the server is to keep what it has read of a conversation.
    """

    model: str
    input: str | tuple[JSON, ...]
    instructions: str = ""
    previous_response_id: str = ""
    tools: tuple[JSON, ...] = field(default=(), repr=False)  # may hold keys of their servers
    enable_thinking: bool | None = None
    effort: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    store: bool | None = None
    stream: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    session_cache: bool = False

    @property
    def thinking_budget(self) -> int | None:
        """Tokens, where the effort is given as a number. Undocumented; it took effect on DashScope
        in November 2026."""
        return int(self.effort) if self.effort.isdecimal() else None

    def headers(self) -> dict[str, str]:
        """What goes into the HTTP headers. DashScope's session cache lives for five minutes from
        its last use; reading it costs a tenth, writing it a quarter more (Alibaba Cloud's
        documentation, November 2026), so that it is worth while where a conversation goes on."""
        cached = self.session_cache and self.previous_response_id
        return {"x-dashscope-session-cache": "enable"} if cached else {}

    def body(self) -> JSON:
        """The JSON to send: only what was set, in a fixed order."""
        budget = self.thinking_budget
        asked: JSON = {
            "instructions": self.instructions or None,
            "previous_response_id": self.previous_response_id or None,
            "tools": [_tool(tool) for tool in self.tools] or None,
            "enable_thinking": self.enable_thinking,
            "thinking_budget": budget,
            "reasoning": {"effort": self.effort} if self.effort and budget is None else None,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_output_tokens": self.max_output_tokens,
            "store": self.store,
        }
        body: JSON = {
            "model": self.model,
            "input": self.input if isinstance(self.input, str) else input_items(self.input),
            **{name: value for name, value in asked.items() if value is not None},
            "stream": self.stream,
        }
        for name, value in self.extra.items():
            known = body.get(name)
            both = isinstance(known, dict) and isinstance(value, Mapping)
            body[name] = {**known, **value} if both and known is not None else value
        return {name: value for name, value in body.items() if name not in self.left_out}


@dataclass(frozen=True, slots=True)
class RequestPart:
    """A piece of what the model is to read, as whoever asks knows it: for `--dry-run`.

    `kind`: "prompt", "data", "image", …, or "value" for what a brace of the prompt became, which is
    a part of that one; `name`: which of its kind; `about`: what to know of it, in a few words.
    `text`: as it is sent, empty where the server has it already; `image`: its data URI. `tokens`:
    about how many, None where that is not known. `told`: the line about it in the footer.
    """

    kind: str
    name: str = ""
    text: str = ""
    about: str = ""
    tokens: int | None = None
    image: str = ""
    told: str = ""


def _tool(tool: JSON) -> JSON:
    """A function says that it is not strict, where nothing else is said: the official types want it
    said, and OpenAI would otherwise make every parameter a required one."""
    if tool.get("type") != "function":
        return tool
    return {"parameters": {"type": "object", "properties": {}}, "strict": False, **tool}

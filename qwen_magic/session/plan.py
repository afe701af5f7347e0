"""From a question to the exact request: which conversation, after which turn, with what added.

Nothing is sent here; `--dry-run` shows a plan and stops.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from qwen_magic.context.tools import requirements
from qwen_magic.conversation.book import Book
from qwen_magic.conversation.chain import CellKey, Chain, Turn
from qwen_magic.errors import ConversationError, MissingKeyError
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import ResponseRequest
from qwen_magic.settings import Endpoint


@dataclass(frozen=True, slots=True)
class Ask:
    """One question with everything that shapes it, all defaults settled.

    `prompt` is as typed, `input` as sent: a string or message items. `chat` is the conversation;
    with `new` a fresh one is begun instead, without `history` none is used. `after` is a REF.
    `silence` is the longest time without a byte, in seconds. `expanded`: what braces became.
    """

    prompt: str
    input: str | tuple[JSON, ...]
    model: str
    endpoint: Endpoint
    chat: str
    tools: tuple[JSON, ...] = ()
    think: bool | None = None
    effort: str = ""
    system: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    silence: float = 300.0
    new: bool = False
    after: str = ""
    history: bool = True
    cell: CellKey | None = None
    expanded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A question with its place in a conversation and the request to send.

    `chat` is empty outside any conversation. `number` counts from 1 along the way to this turn;
    `earlier` is how many siblings its cell has made before. `added`: what was not asked for but
    needed, in words.
    """

    ask: Ask
    request: ResponseRequest
    chat: str
    parent: Turn | None
    number: int
    earlier: int
    added: tuple[str, ...]

    @property
    def sibling(self) -> tuple[int, int] | None:
        """(this one, how many), where the cell has been answered before."""
        return (self.earlier + 1, self.earlier + 1) if self.earlier else None

    def describe(self) -> str:
        """The request as it would be sent, for `--dry-run`: without the key, with the sizes."""
        body = json.dumps(self.request.body(), ensure_ascii=False, indent=2)
        place = f"turn {self.number} of {self.chat}" if self.chat else "outside any conversation"
        lines = [f"POST {self.ask.endpoint.base_url}/responses", body, f"Place: {place}."]
        lines += [f"Added: {added}." for added in self.added]
        lines += [f"Expanded: {expanded}" for expanded in self.ask.expanded]
        lines.append(f"Size: {len(body.encode('utf-8', 'replace')):,} bytes. Nothing was sent.")
        return "\n".join(lines)


def plan(ask: Ask, book: Book) -> Plan:
    """Settle where `ask` belongs and what is sent. Raises `UsageError`, `ConversationError`."""
    needs = requirements(
        ask.model,
        ask.tools,
        think=ask.think,
        family=ask.endpoint.family,
        effort=ask.effort or None,
    )
    chain, parent = _place(ask, book)
    previous_id, told = _continue_after(chain, parent)
    request = ResponseRequest(
        model=ask.model,
        input=_input(ask.input, told),
        instructions=ask.system,
        previous_response_id=previous_id,
        tools=needs.tools,
        enable_thinking=needs.think,
        effort=ask.effort,
        temperature=ask.temperature,
        top_p=ask.top_p,
        max_output_tokens=ask.max_output_tokens,
        extra={"include": list(needs.include)} if needs.include else {},
    )
    return Plan(
        ask=ask,
        request=request,
        chat=chain.name if chain else "",
        parent=parent,
        number=chain.number(parent) if chain else 1,
        earlier=len(chain.siblings(ask.cell)) if chain else 0,
        added=(*needs.added, *(f"without {dropped}" for dropped in needs.dropped)),
    )


def check_key(endpoint: Endpoint) -> None:
    """Raises `MissingKeyError` where this endpoint needs a key and none is set."""
    if endpoint.needs_key and not endpoint.key:
        raise MissingKeyError(
            f"There is no API key for {endpoint.name}.",
            why=f"Set one with %qwen_key (kept in this kernel only), or set {endpoint.key_variable}"
            " before the kernel starts.",
            hint="To try everything offline, without a key: %qwen_demo on",
        )


def _place(ask: Ask, book: Book) -> tuple[Chain | None, Turn | None]:
    """The conversation that this turn joins, and the turn that it follows."""
    if not ask.history:
        return None, None
    if ask.new:
        return book.new(), None
    parent: Turn | None
    if ask.after:
        chain, parent = book.find(ask.after, ask.chat)
    else:
        chain = book.chain(ask.chat)
        parent = chain.parent_for(ask.cell)
    if parent is not None and parent.host != ask.endpoint.host:
        raise ConversationError(
            f"The conversation {chain.name} is held with {parent.host}, not {ask.endpoint.host}.",
            why="Its earlier turns are never sent to another host unasked.",
            hint="Begin another conversation (%qwen_new, or --new for this cell only), or go back "
            "to its endpoint.",
        )
    return chain, parent


def _continue_after(chain: Chain | None, parent: Turn | None) -> tuple[str, list[JSON]]:
    """The id to continue after, and what must be told besides: turns that the server cannot
    continue (stopped, failed) go as text."""
    if chain is None:
        return "", []
    told: list[JSON] = []
    for turn in reversed(chain.path(parent)):
        if turn.may_be_head:
            return turn.response_id, told
        told = [*_as_messages(turn), *told]
    return "", told


def _as_messages(turn: Turn) -> list[JSON]:
    asked = [{"role": "user", "content": turn.input}] if isinstance(turn.input, str) else turn.input
    answered = [{"role": "assistant", "content": turn.text}] if turn.text else []
    return [*asked, *answered]


def _input(given: str | tuple[JSON, ...], told: list[JSON]) -> str | tuple[JSON, ...]:
    if not told:
        return given
    asked = ({"role": "user", "content": given},) if isinstance(given, str) else given
    return (*told, *asked)

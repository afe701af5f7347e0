"""Turn a question into a request: which conversation it joins, after which turn, with what added.

Nothing is sent here; `--dry-run` shows a plan and stops.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from qwen_magic.context.catalogue import CataloguedModel
from qwen_magic.context.models import retirement
from qwen_magic.conversation.chain import CellKey, Chain, Turn, is_output
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.usage import Money
from qwen_magic.document.words import own_name
from qwen_magic.endpoints import Endpoint, ThinkingSwitch
from qwen_magic.errors import ConversationError, MissingKeyError, UsageError
from qwen_magic.masking import (
    KEY,
    MASKED,
    know_tools,
    redact,
    redacted,
    typed_key,
    with_texts,
    without_named,
)
from qwen_magic.options import OPTIONS
from qwen_magic.protocol.call_outputs import output_json
from qwen_magic.protocol.fields import JSON, mappings, text
from qwen_magic.protocol.items import FunctionCall, Item
from qwen_magic.protocol.request import RequestPart, ResponseRequest
from qwen_magic.protocol.response import Usage
from qwen_magic.session.transcript import as_items, own_items, transcript
from qwen_magic.tools.selection import requirements

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.tools.answer_schema import Schema
    from qwen_magic.tools.definition import FunctionTool

NOT_FOUND: Final = "left as typed: not found"  # of a name in braces
WITHOUT: Final = "without"  # a parameter that was asked for
_REQUEST_OPTIONS: Final = {option.field: option.long for option in OPTIONS}


@dataclass(frozen=True, slots=True)
class Ask:
    """One question with all its options, defaults applied.

    - `prompt`: as typed; `input`: as sent, a string or message items; `parts`: what it is made of;
    - `chat`: the conversation; `as_before`: the cell stays in it though another is current;
    - `new`: start a fresh one (or restart the one this cell started); `history` False: use none;
    - `after`: the turn to continue after, as typed; `edits`: the key of the turn it replaces;
    - `carry`: the conversation may be sent to another host;
    - `window`: the model's context window in tokens, None if unknown;
    - `effort`: a level of thinking, or a number of tokens for it;
    - `extra`: further parameters of the request, by their names in the protocol;
    - `timeout`: the longest time without a byte, in seconds;
    - `functions`: those of the `tools` that run here;
    - `allow_secrets`: send what looks like a key;
    - `cache`: answer an identical request from the store, unless `fresh`;
    - `schema`: of the object that the answer has to be (set by `asking_for`);
    - `expanded`, `notes`: what replaced braces, and what could not be offered, for the footer;
    - `label`: a heading above the answer, if a question has several;
    - `sent`: in words, which step's result is sent; `proposes`: the answer's code becomes a cell.
    """

    prompt: str
    input: str | tuple[JSON, ...]
    model: str
    endpoint: Endpoint
    chat: str
    tools: tuple[JSON, ...] = field(default=(), repr=False)  # may hold keys of their servers
    think: bool | None = None
    effort: str | int = ""
    system: str = ""
    timeout: float = 300.0
    as_before: bool = False
    new: bool = False
    after: str = ""
    history: bool = True
    carry: bool = False
    allow_secrets: bool = False
    cache: bool = False
    fresh: bool = False
    window: int | None = None
    cell: CellKey | None = None
    expanded: tuple[str, ...] = ()
    extra: JSON = field(default_factory=dict)
    functions: tuple[FunctionTool, ...] = ()
    schema: Schema | None = None
    parts: tuple[RequestPart, ...] = ()
    notes: tuple[str, ...] = ()
    label: str = ""
    sent: str = ""
    proposes: bool = False
    edits: str = ""

    @property
    def retirement(self) -> str:
        """A sentence if the model is retired, else empty. Only for endpoints with Alibaba Cloud's
        model names.
        """
        return retirement(self.model) if self.endpoint.capabilities.has_known_models else ""

    def without_keys(self) -> Ask:
        """The question with keys masked in values and instructions, and a note about it.

        Raises `UsageError` if the user typed a key: a question about `[key]` makes no sense.
        """
        know_tools(self.tools)
        if self.allow_secrets:
            return self
        if typed := typed_key("\n".join((self.prompt, self.model, self.chat, self.after))):
            raise UsageError(
                f"The question holds a key ({typed}), which nobody there needs.",
                hint="Take it out, also out of the notebook; --allow-secrets sends it.",
            )
        given, system = redacted(self.input), redact(self.system)
        # Docstrings and types of functions are texts of the notebook; servers get their headers.
        tools = tuple(redacted(t) if t.get("type") == "function" else t for t in self.tools)
        parts = list(self.parts)
        for place, part in enumerate(parts):
            if part.kind in ("value", "data", "file"):
                clean = without_named(redact(part.text))
                if clean != (seen := redact(part.text)):
                    given = with_texts(given, partial(_replaced, seen, clean))
                parts[place] = replace(part, text=clean, summary=redact(part.summary))
            elif part.text:
                parts[place] = replace(part, text=redact(part.text))
        hidden = [mark for mark in (KEY, MASKED) if mark in f"{given} {system} {tools}"]
        clean_ask = replace(self, input=given, system=system, tools=tools)
        if clean_ask == self and MASKED not in hidden:
            return self
        words = f"{' and '.join(hidden)} for what looks secret (--allow-secrets sends it)"
        expanded = tuple(map(redact, self.expanded))
        return replace(clean_ask, parts=tuple(parts), expanded=(*expanded, words))

    def asking_for(self, schema: Schema) -> Ask:
        """The question with a schema for its answer.

        Alibaba's service ignores `text.format`, so the schema is also written into the prompt. An
        answer that does not fit is requested again (`session.turn`). Keys in the schema are masked
        too: types and their descriptions are text of the notebook.
        """
        words = schema.prompt() if self.allow_secrets else redact(schema.prompt())
        given = (
            f"{self.input}\n\n{words}"
            if isinstance(self.input, str)
            else (*self.input, {"role": "user", "content": words})
        )
        extra = {**self.extra, **self._schema_parameter(schema)}
        parts = (*self.parts, RequestPart("schema", text=words))
        return replace(self, schema=schema, input=given, extra=extra, parts=parts)

    def _schema_parameter(self, schema: Schema) -> JSON:
        """The request's parameter for a schema; empty if the endpoint reads none, or functions
        would not work with it.
        """
        form, capabilities = schema.text_format(), self.endpoint.capabilities
        form = form if self.allow_secrets else redacted(form)
        if form is not None and capabilities.reads("text"):
            return {"text": {"format": form}}
        if form is not None and capabilities.response_format and not self.tools:
            given = {key: value for key, value in form.items() if key != "type"}
            return {"response_format": {"type": form["type"], "json_schema": given}}
        return {}

    def option_behind(self, parameter: str) -> str:
        """The option that set this parameter of the request; empty if the user set none.

        Without an option the parameter was added for convenience (`include`, or thinking for a
        tool).
        """
        switch = {None: "", True: "--think", False: "--no-think"}[self.think]
        behind = {
            "tools": "--tools" if self.tools else "",
            "instructions": "--system" if self.system else "",
            "reasoning": "--effort" if self.effort else switch,
            "thinking_budget": "--effort",
            "enable_thinking": switch,
            "chat_template_kwargs": switch or ("--effort" if self.effort else ""),
        }
        if parameter in self.extra:
            behind[parameter] = _REQUEST_OPTIONS.get(parameter, "")
        return behind.get(parameter, "")

    def parsed(self, answer: Answer) -> Answer:
        """The answer with the object that the schema describes as its `parsed`.

        If the text holds no such object, `error` is a `SchemaMismatchError`. Incomplete answers are
        returned unchanged.
        """
        if self.schema is None or answer.error is not None or answer.status != "completed":
            return answer
        from qwen_magic.tools.validation import SchemaMismatchError

        try:
            return replace(answer, parsed=self.schema.parse(answer.text))
        except SchemaMismatchError as error:
            return replace(answer, error=error)


def _replaced(old: str, new: str, text: str) -> str:
    return text.replace(old, new)


@dataclass(frozen=True, slots=True)
class Plan:
    """A question with its place in a conversation, and the request to send.

    - `chat`: empty outside any conversation; `path`: the turns before this one;
    - `earlier`: how many answers its cell has already;
    - `added`: what was added because it is needed, in words; `notes`: further remarks;
    - `keeps_ids`: the server is assumed to continue after response ids;
    - `key`: identifies this turn in the store;
    - `so_far`: function calls of this turn and their results, as input items, once the model
      continues with them; `shown`: the messages among them with images or a correction to make;
    - `priced`: the host's catalogue entry for the model;
    - `source`: where the answer comes from, in words, if not from the server.
    """

    ask: Ask
    request: ResponseRequest
    chat: str
    path: tuple[Turn, ...]
    earlier: int
    added: tuple[str, ...]
    notes: tuple[str, ...] = ()
    keeps_ids: bool = True
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    so_far: tuple[JSON, ...] = ()
    shown: tuple[JSON, ...] = ()
    priced: CataloguedModel | None = None
    source: str = ""

    @property
    def parent(self) -> Turn | None:
        return self.path[-1] if self.path else None

    @property
    def number(self) -> int:
        return len(self.path) + 1

    @property
    def sibling(self) -> tuple[int, int] | None:
        """(number of this answer, how many there are) if its cell was answered before, else
        None.
        """
        return (self.earlier + 1, self.earlier + 1) if self.earlier else None

    def cost(self, usage: Usage | None) -> Money | None:
        """What these tokens cost; None if they or the host's prices are unknown."""
        if self.priced is None or usage is None or not usage.known:
            return None
        amount = self.priced.cost(usage)
        return None if amount is None else Money(amount, self.priced.currency)

    def with_history_as_text(self, note: str, *, keeps_ids: bool) -> Plan:
        """The plan with the whole conversation sent as text instead of an id.

        `keeps_ids`: whether the server will be able to continue after this answer by its id.
        """
        notes = (*self.notes, note)
        return replace(self, request=self._text_request(), notes=notes, keeps_ids=keeps_ids)

    def without(self, parameter: str, note: str) -> Plan:
        """The plan without one parameter of the request."""
        left_out = (*self.request.left_out, parameter)
        request = replace(self.request, left_out=left_out)
        return replace(self, request=request, notes=(*self.notes, note))

    def going_on(
        self,
        response_id: str,
        items: Sequence[Item],
        answered: Sequence[FunctionCall],
        pictures: tuple[JSON, ...] = (),
        *,
        is_last: bool,
    ) -> Plan:
        """The next request of this turn, with the results of the functions that the model called.

        `items`: all output items of the turn so far; `answered`: the calls with their results;
        `pictures`: messages with their images; `is_last`: forbid further calls.
        """
        shown = (*self.shown, *pictures)
        made = replace(self, so_far=(*own_items(items), *shown), shown=shown)
        if is_last:
            extra = {**self.request.extra, "tool_choice": "none"}
            made = replace(made, request=replace(self.request, extra=extra))
        return made._sending(response_id, (*(output_json(call) for call in answered), *pictures))

    def repaired(self, response_id: str, items: Sequence[Item], text: str, words: str) -> Plan:
        """The next request of this turn, asking by `words` to correct the response `text`.

        `items`: all output items of the turn so far.
        """
        asked: JSON = {"role": "user", "content": words}
        said: list[JSON] = [{"role": "assistant", "content": text}] if text else []
        shown = (*self.shown, *said, asked)
        made = replace(self, so_far=(*own_items(items), *shown), shown=shown)
        return made._sending(response_id, (asked,))

    def _sending(self, response_id: str, given: tuple[JSON, ...]) -> Plan:
        """The plan with a request that sends `given` after that response.

        If the server keeps no responses, everything before is sent too.
        """
        if not (self.keeps_ids and response_id):
            return replace(self, request=self._text_request())
        request = replace(self.request, previous_response_id=response_id, input=given)
        return replace(self, request=request)

    def _text_request(self) -> ResponseRequest:
        kinds = self.ask.endpoint.capabilities.transcript_items
        now = (*as_items(self.ask.input), *self.so_far)
        items = transcript(self.path, kinds, now)
        return replace(self.request, previous_response_id="", input=tuple(items))


def plan(ask: Ask, conversations: Conversations, *, keeps_ids: bool = True) -> Plan:
    """Decide where `ask` belongs and what is sent.

    `keeps_ids`: the endpoint is known or assumed to continue after response ids. Raises
    `UsageError`, `ConversationError`.
    """
    capabilities = ask.endpoint.capabilities
    effort = str(ask.effort)
    needs = requirements(
        ask.model,
        ask.tools,
        think=ask.think,
        capabilities=capabilities,
        effort=effort or None,
    )
    chain, parent = _chain_and_parent(ask, conversations)
    path = tuple(chain.path(parent)) if chain else ()
    elsewhere = _elsewhere(path, ask.endpoint)
    can_continue = keeps_ids and not elsewhere
    previous_id, as_text = _continue_after(path, ask.input, can=can_continue)
    think, added = needs.think, list(needs.added)
    has_switch = capabilities.thinking not in ("effort", "")
    if has_switch and think is None and effort.isdecimal() and int(effort):
        think = True
        added.append(f"thinking (for its budget of {int(effort):,} tokens)")
    thinking = thinking_fields(capabilities.thinking, think, effort)
    include = {"include": list(needs.include)} if needs.include else {}
    request = ResponseRequest(
        model=ask.model,
        input=_input(ask, as_text),
        instructions=ask.system,
        previous_response_id=previous_id,
        tools=needs.tools,
        enable_thinking=thinking.pop("enable_thinking", None),
        effort=thinking.pop("reasoning", {}).get("effort", ""),
        extra={**include, **thinking, **ask.extra},
    )
    _check_images(request.input, ask.endpoint)
    body = request.body()
    rejected = [name for name in capabilities.rejects if name in body]
    request = replace(request, left_out=tuple(rejected))
    secret = [f"{own_name(tool.name)}'s {name}" for tool in ask.functions for name in tool.withheld]
    notes = (
        f"carried over from {elsewhere}" if elsewhere else "",
        ask.retirement,
        *ask.notes,
        f"without the default of {', '.join(secret)}, which looks secret" if secret else "",
    )
    return Plan(
        ask=ask,
        request=request,
        chat=chain.name if chain else "",
        path=path,
        earlier=len(chain.siblings(ask.cell)) if chain else 0,
        added=(
            *added,
            *(f"{WITHOUT} {name} ({capabilities.rejects[name]})" for name in rejected),
        ),
        notes=(*(note for note in notes if note), *_without_effect(ask, think, body)),
        keeps_ids=keeps_ids,
    )


def thinking_fields(switch: ThinkingSwitch, think: bool | None, effort: str = "") -> JSON:
    """The request's parameters that switch thinking on or off, or set its effort."""
    fields: JSON = {}
    match switch:
        case "enable_thinking" if think is not None:
            fields["enable_thinking"] = think
        case "effort" if think is not None and not effort:
            effort = "medium" if think else "none"
        case "chat_template_kwargs" if think is not None or effort == "none":
            fields["chat_template_kwargs"] = {"enable_thinking": bool(think)}
    return {**fields, "reasoning": {"effort": effort}} if effort else fields


def _without_effect(ask: Ask, think: bool | None, body: JSON) -> Iterator[str]:
    """A note for each option that is known to have no effect on this server."""
    capabilities, name = ask.endpoint.capabilities, ask.endpoint.name
    if think is not None and not capabilities.thinking:
        option = "--think" if think else "--no-think"
        yield f"{option} has no effect: {name} has no switch for thinking"
    for parameter in sorted(capabilities.ignores & body.keys()):
        yield f"{ask.option_behind(parameter) or parameter} has no effect: {name} ignores it"


def _check_images(given: str | tuple[JSON, ...], endpoint: Endpoint) -> None:
    """Raise `UsageError` if the request has images and the server takes none."""
    parts = [] if isinstance(given, str) else [item.get("content") for item in given]
    types = {text(part.get("type")) for content in parts for part in mappings(content)}
    if "input_image" in types and not endpoint.capabilities.images:
        raise UsageError(
            f"{endpoint.name} takes no images.",
            hint="Leave out the image, or choose another endpoint.",
        )


def check_key(endpoint: Endpoint) -> None:
    """Raise `MissingKeyError` if the endpoint needs a key and none is set."""
    if endpoint.needs_key and not endpoint.key:
        raise MissingKeyError(
            f"There is no API key for {endpoint.name}.",
            why=f"Set one with %qwen_key (kept in this kernel only), or set {endpoint.key_variable}"
            " before the kernel starts.",
            hint="To try everything offline, without a key: %qwen_demo on",
        )


def _chain_and_parent(ask: Ask, conversations: Conversations) -> tuple[Chain | None, Turn | None]:
    """The conversation that this turn joins, and the turn that it follows; None where there is
    none.
    """
    if not ask.history:
        return None, None
    if ask.new:
        begun = conversations.begun_with(ask.cell, ask.endpoint.host)
        return conversations.chain(begun) if begun else conversations.new(), None
    parent: Turn | None
    if ask.after:
        chain, parent = conversations.find(ask.after, ask.chat)
    elif ask.edits:
        chain = conversations.chain(ask.chat)
        parent = chain.turns.get(chain.turns[ask.edits].parent or "")
    else:
        chain = conversations.chain(ask.chat)
        parent = chain.parent_for(ask.cell)
        if ask.endpoint.recorded and parent is not None and parent.host != ask.endpoint.host:
            return chain, None  # a lesson begins anew: it has nothing of what is asked besides
    if parent is not None and parent.host != ask.endpoint.host and not ask.carry:
        raise ConversationError(
            f"The conversation {chain.name} is held with {parent.host}, not {ask.endpoint.host}.",
            why="Its earlier turns are never sent to another host unasked.",
            hint="--carry takes it along (all of it is sent as text); --new begins another"
            + (", and -c NAME moves this cell." if ask.as_before else "."),
        )
    return chain, parent


def _elsewhere(path: tuple[Turn, ...], endpoint: Endpoint) -> str:
    """The host that the conversation was held with so far, if it is another one; else empty."""
    host = path[-1].host if path else endpoint.host
    return host if host != endpoint.host else ""


def _continue_after(
    path: tuple[Turn, ...], given: str | tuple[JSON, ...], *, can: bool
) -> tuple[str, tuple[Turn, ...]]:
    """The response id to continue after, and the turns to send as text after it.

    As text go the turns that the server does not have (stopped, failed, not stored there), and
    those with function calls that have no result.
    """
    items = () if isinstance(given, str) else given
    answers = {str(item.get("call_id")) for item in items if is_output(item)}
    for place in range(len(path) - 1, -1, -1):
        turn = path[place]
        newest = place == len(path) - 1
        if can and turn.may_be_head and turn.may_continue(answers if newest else ()):
            return turn.response_id, path[place + 1 :]
    return "", path


def _input(ask: Ask, as_text: tuple[Turn, ...]) -> str | tuple[JSON, ...]:
    kinds = ask.endpoint.capabilities.transcript_items
    return tuple(transcript(as_text, kinds, as_items(ask.input))) if as_text else ask.input

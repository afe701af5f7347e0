"""Turn options and a prompt into a question.

Options: typed, then those of a prompt file, of the conversation, of the traits
  + prompt, with the notebook's values in place of its braces
  -> Ask (session/plan.py): a value; nothing is sent yet
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

from qwen_magic.context.interpolation import Interpolated, interpolate, single_reference
from qwen_magic.context.models import window_of
from qwen_magic.context.prompt_files import (
    HINT,
    STEPS,
    PromptFile,
    find_prompt,
    persona_of,
    read_instructions,
)
from qwen_magic.context.request_input import attach, check_size, message_list
from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.conversation.scope import prompt_folders
from qwen_magic.endpoints import DEFAULT_MODEL, Endpoint
from qwen_magic.errors import ConversationError, UsageError
from qwen_magic.frontends.kernel import LastFigure, cell_id
from qwen_magic.magics.base import UnreadError
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.masking import SECRET_NAMES
from qwen_magic.options import Options, ask_fields
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart
from qwen_magic.session.plan import NOT_FOUND, Ask
from qwen_magic.session.session import Session
from qwen_magic.session.transcript import as_read
from qwen_magic.tools.selection import resolve_tools

# What is sent for a prompt, what that is made of, and what became of it, in words.
_Input: TypeAlias = tuple[str | tuple[JSON, ...], tuple[RequestPart, ...], tuple[str, ...]]


class Questions:
    """Makes the questions of one shell.

    - `defaults`: the options of each conversation, by its name;
    - `calls`: how many questions the running cell has asked;
    - `defers`: where the notebook has to be read first, raise `UnreadError`: the caller awaits it.
    """

    defers = False

    def __init__(
        self,
        shell: Any,
        settings: QwenSettings,
        session: Session,
        last_figure: LastFigure,
        read_notebook: Callable[..., RequestPart],
    ) -> None:
        self.defaults: dict[str, Options] = {}
        self._shell = shell
        self._settings = settings
        self._session = session
        self._last_figure = last_figure
        self._read_notebook = read_notebook
        self.begin_execution()

    def begin_execution(self) -> None:
        """A cell starts: reset the counters of its questions and of the conversations it begins."""
        self.calls = self._begun = 0
        self._places: dict[int, str] | None = None  # of its earlier answers, once one is needed
        self.notebook_parts: dict[tuple[Any, ...], RequestPart] = {}  # by their selection

    def forget(self) -> None:
        """Drop what is known of the conversations, which were all set aside."""
        self.defaults.clear()
        self._places = None

    def begins(self) -> CellKey | None:
        """The key of the conversation that the running cell begins now; the same when it runs
        again.
        """
        cell = cell_id(self._shell)
        self._begun += 1
        return CellKey(cell, self._begun - 1) if cell else None

    def ask(
        self,
        options: Options,
        prompt: str,
        local_names: Mapping[str, object] = MappingProxyType({}),
        *,
        file: PromptFile | None = None,
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> Ask:
        """The question, with the current values of the variables that it names.

        Names are looked up in `local_names` (of the function that asks), then in the notebook. With
        `file`, the text sent is the prompt file's with these `fields`, and `prompt` is what the
        user typed. Raises `UsageError`.
        """
        endpoint = self._session.endpoints.find(self._settings.endpoint)
        cell, current = self._cell_key(), self._session.conversations.current
        place = self._chat_of_cell(cell, endpoint)
        in_place = options.history is not False and not options.new
        chat = options.chat or (place if in_place else "") or current
        typed = options
        options, persona = self._with_defaults(options, chat, file)
        namespace = ChainMap(dict(local_names), self._shell.user_ns)
        mask = (*self._settings.masked_columns, *(() if options.allow_secrets else SECRET_NAMES))
        describe = partial(_describe, mask=mask, whole=options.send_all)
        given, parts, expanded = (
            _interpolated_input(file.filled(fields, namespace, describe))
            if file
            else self._input(prompt, namespace, describe, raw=options.raw)
        )
        system = Interpolated("")
        if options.system:
            system = read_instructions(
                options.system, namespace, folders=prompt_folders(os.environ), describe=describe
            )
        for name in [HINT] * bool(options.hint) + [STEPS] * options.steps:
            rules = find_prompt(name, prompt_folders(os.environ)).filled().text
            system = replace(system, text=f"{system.text}\n\n{rules}".strip())
        model = options.model or DEFAULT_MODEL
        attached = attach(
            given,
            namespace,
            model=model,
            data=options.data or (),
            rows=options.rows,
            mask=mask,
            images=options.images or (),
            shown=self._last_figure.value,
            files=options.files or (),
            takes_images=endpoint.capabilities.images,
            file_models=endpoint.capabilities.files,
            whole=options.send_all,
            notebook=self._notebook(options),
        )
        summaries = (*expanded, *_expansions(system), *attached.summaries)
        if (most := self._settings.confirm_tokens) and not options.send_all:
            try:
                check_size(attached.input, system.text, summaries, attached.parts, most=most)
            except UsageError as error:
                if not options.dry_run:
                    raise
                summaries = (*summaries, f"{error.message} {error.hint}")
        by_line = options.quiet or options.bg  # no view, or one that is not of this cell alone
        offer = partial(self._session.offer, start=not options.dry_run, by_line=by_line)
        tools = resolve_tools(options.tools or (), namespace, offer)
        settled = {"model": model, "chat": chat, "system": system.text}
        ask = Ask(
            prompt=prompt,
            input=attached.input,
            parts=(*parts, *attached.parts),
            endpoint=endpoint,
            tools=tools.definitions,
            functions=tools.functions,
            window=self._window(endpoint, model),
            cell=cell,
            as_before=typed.chat is None and chat != current,
            expanded=summaries,
            notes=tools.notes,
            proposes=options.steps,
            edits=self._edited(chat, cell).key if options.edit else "",
            **ask_fields({**asdict(options), **settled}),
        ).without_keys()
        schema = typed.schema or next((f.schema for f in (file, persona) if f), None)
        return self._with_schema(ask, schema, namespace)

    def _notebook(self, options: Options) -> RequestPart | None:
        if options.notebook is None:
            return None
        masked, whole = not options.allow_secrets, options.send_all
        selection = (options.notebook, masked, whole)
        if selection not in self.notebook_parts:
            if self.defers:
                raise UnreadError(*selection)
            self.notebook_parts[selection] = self._read_notebook(*selection)
        return self.notebook_parts[selection]

    def _edited(self, chat: str, cell: CellKey | None) -> Turn:
        """The turn that the next answer replaces (`--edit`). Raises `ConversationError`."""
        chain = self._session.conversations.chain(chat)
        own = chain.siblings(cell)
        if (turn := own[-1] if own else chain.head) is None:
            raise ConversationError(f"{chat} has no answer to edit yet.")
        return turn

    def _with_defaults(
        self, typed: Options, chat: str, file: PromptFile | None
    ) -> tuple[Options, PromptFile | None]:
        """Merge the options: typed, then of the prompt file, of the conversation, of the settings.

        Where the instructions name a persona (a prompt file), its options are merged right after
        the layer that names it. Return the options and the persona.
        """
        options, persona = typed.merged_over(_file_options(file)), None
        for layer in (
            Options(),
            self.defaults.get(chat, Options()),
            Options.of(self._settings),
        ):
            options = options.merged_over(layer)
            if persona is None and options.system:
                persona = persona_of(options.system, prompt_folders(os.environ))
                options = options.merged_over(_file_options(persona))
        return options, persona

    def _with_schema(
        self, ask: Ask, schema: str | JSON | None, namespace: Mapping[str, object]
    ) -> Ask:
        """Add a schema: the name of a variable, or a JSON schema."""
        if schema is None:
            return ask
        name = schema if isinstance(schema, str) else "schema"
        from qwen_magic.tools.answer_schema import Schema, named_type

        asked = named_type(schema, namespace) if isinstance(schema, str) else schema
        return ask.asking_for(Schema.of(asked, name))

    def _input(
        self,
        prompt: str,
        namespace: Mapping[str, object],
        describe: Callable[[object], str],
        *,
        raw: bool,
    ) -> _Input:
        value = None if raw else single_reference(prompt, namespace)
        messages = message_list(value) if isinstance(value, list | tuple) else None
        if messages is not None:
            summary = f"{prompt.strip()} → {len(messages)} messages"
            text = "\n\n".join(map(as_read, messages))
            return (
                messages,
                (RequestPart("messages", text=text, summary=summary),),
                (summary,),
            )
        return _interpolated_input(
            Interpolated(prompt) if raw else interpolate(prompt, namespace, describe=describe)
        )

    def _window(self, endpoint: Endpoint, model: str) -> int | None:
        """The model's context window in tokens, or None if it is not known.

        It comes from the user's setting, the host's catalogue, or the documentation, in this order;
        the last only for endpoints whose model names mean what that documentation says.
        """
        windows = self._settings.windows
        listed = self._session.catalogues.find(endpoint.host, model)
        if model not in windows and listed and listed.window:
            return listed.window
        return (
            window_of(model, windows)
            if endpoint.capabilities.has_known_models
            else windows.get(model)
        )

    def _chat_of_cell(self, cell: CellKey | None, endpoint: Endpoint) -> str:
        """The conversation that the running cell belongs to; empty if it has none yet.

        It is looked up once, before the cell's first question is answered, so that answers of this
        run do not count. A call that the cell did not make before (a new line, a longer loop) joins
        the conversation of the call before it.
        """
        if cell is None:
            return ""
        if self._places is None:
            self._places = self._session.conversations.places(cell.cell_id, endpoint.host)
        before = [call for call in self._places if call <= cell.call]
        call = max(before) if before else min(self._places, default=None)
        return self._places[call] if call is not None else ""

    def _cell_key(self) -> CellKey | None:
        cell = cell_id(self._shell)
        if not cell:
            return None
        self.calls += 1
        return CellKey(cell, self.calls - 1)


def _file_options(file: PromptFile | None) -> Options:
    """The options that a prompt file sets."""
    return Options(model=file.model, tools=file.tools) if file else Options()


def _describe(value: object, *, mask: Sequence[str], whole: bool) -> str:
    from qwen_magic.context.dataframe.describing import describe_value

    return describe_value(value, mask=mask, whole=whole)


def _interpolated_input(read: Interpolated) -> _Input:
    return read.text, (RequestPart("prompt", text=read.text), *_values(read)), _expansions(read)


def _values(read: Interpolated) -> tuple[RequestPart, ...]:
    """The parts of the request that replaced the prompt's braces."""
    return tuple(
        RequestPart(
            "value",
            f"{{{each.name}}}",
            each.value_text,
            each.cut or "in the prompt" + f", {each.count} times" * (each.count > 1),
            summary=f"{{{each.name}}} → {each.chars:,} characters"
            + (f": {each.cut}" * bool(each.cut)),
        )
        for each in read.expanded
    )


def _expansions(read: Interpolated) -> tuple[str, ...]:
    """What replaced the braces, in words for the footer; also the names that were not found."""
    left = tuple(f"{{{name}}} {NOT_FOUND}" for name in read.unknown)
    return (*(part.summary for part in _values(read)), *left)

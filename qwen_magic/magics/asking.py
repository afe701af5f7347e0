"""From options and a prompt to an answer on the screen: what `%%qwen` and `%qwen` share.

    Options (typed, over those of the conversation, over the traits)
      + prompt, with the notebook's values for its braces
      -> Ask (session/plan.py): a value, nothing is sent yet
      -> answer | aanswer | background.begin

There are two ways to wait for an answer, and a click on Stop (or Ctrl-C) reaches each otherwise:

- `aanswer` awaits: a top-level cell in a kernel, where the input transformer made the call. The
  kernel's loop goes on, so that ■ in the answer is seen at once. ipykernel cancels the cell's task
  on an interrupt: `CancelledError`.
- `answer` blocks: nested cells, indented lines, terminals, scripts. An interrupt raises
  `KeyboardInterrupt` wherever the main thread stands.

In both the session has closed the connection and recorded what came before it lets the exception
through. What comes out here is one `KeyboardInterrupt` with one line, since only an exception ends
Run All. ipykernel 6 handles no click while a cell runs; `CommPump` does it in between.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from qwen_magic.answer import Answer
from qwen_magic.context.attachments import attach, check_size
from qwen_magic.context.interpolation import Interpolated, interpolate
from qwen_magic.context.messages import message_list
from qwen_magic.context.models import window_of
from qwen_magic.context.prompt_files import (
    HINT,
    PromptFile,
    find_prompt,
    persona_of,
    read_instructions,
)
from qwen_magic.conversation.chain import CellKey
from qwen_magic.conversation.conversations import DEMO_CHAT, Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.conversation.scope import (
    STORE_NAME,
    config_folder,
    data_folder,
    notebook_scope,
    read_text,
)
from qwen_magic.conversation.usage import read_budget
from qwen_magic.endpoints import DEFAULT_MODEL, DEMO, Endpoint
from qwen_magic.errors import UsageError
from qwen_magic.frontends.kernel import CommPump, LastFigure, cell_id, kernel_of, takes_input
from qwen_magic.magics.base import UnansweredError, interrupted, unanswered
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.magics.view_factory import ViewFactory
from qwen_magic.masking import SECRET_NAMES
from qwen_magic.options import Options, ask_fields
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart
from qwen_magic.session.plan import NOT_FOUND, Ask, Plan
from qwen_magic.session.session import Session
from qwen_magic.session.tape import beside
from qwen_magic.session.transcript import as_read
from qwen_magic.session.view import View, facts_of
from qwen_magic.tools.policy import CallLimits
from qwen_magic.tools.selection import resolve_tools

if TYPE_CHECKING:
    from qwen_magic.document.question import Choice, Question
    from qwen_magic.frontends.jupyter import StaticView

T = TypeVar("T")

_WATCHED: Final = (
    *("endpoint", "allow_http", "figure_hosts", "budget", "session_cache"),
    *("unattended", "nest_asyncio"),
    *("tool_rounds", "tool_seconds", "tool_bytes", "masked_columns"),
)

# What is sent for a prompt, what that is made of, and what became of it, in words.
_Input: TypeAlias = tuple[str | tuple[JSON, ...], tuple[RequestPart, ...], tuple[str, ...]]


class Asker:
    """Asks for one shell: holds what lasts from question to question."""

    def __init__(self, shell: Any, settings: QwenSettings, last_figure: LastFigure) -> None:
        self.shell = shell
        self.settings = settings
        self.session = Session(
            conversations=_open_conversations(shell.user_ns) if settings.keep else Conversations(),
            figure_hosts=settings.figure_hosts,
        )
        self.chat_defaults: dict[str, Options] = {}
        self.listed_models: dict[str, list[str]] = {}  # by endpoint, as its server listed them
        self.begin_execution()
        self.last_figure = last_figure
        self.views = ViewFactory(shell, settings, self.session.conversations)
        self.running: dict[str, set[asyncio.Future[None]]] = {}  # in the background, by chat
        self._before_demo = self.session.conversations.current
        self._settings_changed()
        self.session.tool_policy.prompt = _prompt_for
        self.session.ask_value = _ask_value
        self.session.tape.agrees = _agreed
        self._replay_beside()
        folders = self.session.server_folders
        self.session.server_folders = (_notebook_folder(shell.user_ns), *folders[1:])
        settings.observe(self._settings_changed, list(_WATCHED))

    def begin_execution(self) -> None:
        """A cell begins: count its questions anew, and the conversations that it begins."""
        self._calls = self._begun = 0
        self._places: dict[int, str] | None = None  # of its earlier answers, once one is needed

    def set_aside(self) -> Sequence[str]:
        """Set all conversations aside, with their defaults. Raises `UsageError`."""
        if any(self.running.values()):
            raise UsageError(
                "An answer is still being written in the background.",
                hint="Wait for it, or stop it.",
            )
        aside = self.session.conversations.set_aside()
        self.chat_defaults.clear()
        self._places = None
        self._before_demo = self.session.conversations.current
        self.endpoint_changed()
        return aside

    def begins(self) -> CellKey | None:
        """By what the running cell knows the conversation again that it begins now."""
        cell = cell_id(self.shell)
        self._begun += 1
        return CellKey(cell, self._begun - 1) if cell else None

    def close(self) -> None:
        self.settings.unobserve(self._settings_changed, list(_WATCHED))
        self.session.close()
        self.session.tape.reset()
        self.views.close()

    @property
    def prompt_folders(self) -> tuple[Path, ...]:
        """Where prompt files are looked for, the notebook's own first."""
        return Path(), Path("prompts"), config_folder(os.environ) / "prompts"

    def ask(
        self,
        options: Options,
        prompt: str,
        local_names: Mapping[str, object] = MappingProxyType({}),
        *,
        file: PromptFile | None = None,
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> Ask:
        """The question as it stands now, with the values that it names; those of the function that
        it is asked in come before the notebook's. `file`: what is asked is its text with those
        `fields`, and `prompt` is how that was typed. Raises `UsageError`."""
        endpoint = self.session.endpoints.find(self.settings.endpoint)
        cell, current = self._cell_key(), self.session.conversations.current
        place = self._place(cell, endpoint)
        in_place = options.history is not False and not options.new
        chat = options.chat or (place if in_place else "") or current
        typed = options
        options, persona = self._settled(options, chat, file)
        namespace = ChainMap(dict(local_names), self.shell.user_ns)
        mask = (*self.settings.masked_columns, *(() if options.allow_secrets else SECRET_NAMES))
        describe = partial(_describe, mask=mask, whole=options.send_all)
        given, parts, expanded = (
            _read(file.filled(fields, namespace, describe))
            if file
            else self._input(prompt, namespace, describe, raw=options.raw)
        )
        folders = self.prompt_folders
        system = read_instructions(
            options.system or "", namespace, folders=folders, describe=describe
        )
        if options.hint:
            hint = find_prompt(HINT, folders).filled().text
            system = replace(system, text=f"{system.text}\n\n{hint}".strip())
        model = options.model or DEFAULT_MODEL
        attached = attach(
            given,
            namespace,
            model=model,
            data=options.data or (),
            rows=options.rows,
            mask=mask,
            images=options.images or (),
            shown=self.last_figure.value,
            files=options.files or (),
            takes_images=endpoint.capabilities.images,
            file_models=endpoint.capabilities.files,
            whole=options.send_all,
        )
        told = (*expanded, *_told(system), *attached.told)
        if (most := self.settings.confirm_tokens) and not options.send_all:
            try:
                check_size(attached.input, system.text, told, attached.parts, most=most)
            except UsageError as error:
                if not options.dry_run:
                    raise
                told = (*told, f"{error.message} {error.hint}")
        by_line = options.quiet or options.bg  # no view, or one that is not of this cell alone
        offer = partial(self.session.offer, start=not options.dry_run, by_line=by_line)
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
            expanded=told,
            notes=tools.notes,
            **ask_fields({**asdict(options), **settled}),
        ).without_keys()
        schema = typed.schema or next((f.schema for f in (file, persona) if f), None)
        return self._with_schema(ask, schema, namespace)

    def list_models(self, endpoint: str) -> list[str]:
        """What that server lists, which Tab offers from now on. Raises `QwenError`."""
        from qwen_magic.session.server_probe import model_names

        found = self.session.endpoints.find(endpoint)
        self.listed_models[endpoint] = model_names(self.session.client, found)
        return self.listed_models[endpoint]

    def answer(self, ask: Ask, options: Options) -> Answer:
        """Answer in a synchronous call: nested cells, indented lines, terminals, scripts."""
        if self.depends_on(ask):
            raise UsageError(
                f"An answer in {ask.chat} is still being written in the background.",
                hint="Wait for it, or ask at the top of a cell of its own, which waits by itself.",
            )
        pump = CommPump(self.shell)

        def view(plan: Plan, started: float) -> View:
            return self.views.view(plan, started, quiet=options.quiet, awaited=False)

        try:
            answer = self.session.ask(ask, view, step=pump.step, each=self.views.offer)
        except KeyboardInterrupt:
            raise interrupted() from None
        finally:
            pump.close()
        return self._deliver(answer, options)

    async def begun(self, begin: Callable[[], T]) -> tuple[T, StaticView | None]:
        """What `begin` gives, in a cell that awaits. Whether an MCP server may be started for it is
        asked in a view, which comes along, to show the answer too."""
        calls = self._calls

        def again() -> T:
            self._calls = calls
            return begin()

        self.session.ask_server = unanswered
        try:
            return begin(), None
        except UnansweredError as error:
            question = error.question
        finally:
            self.session.ask_server = None
        from qwen_magic.magics.background import begin_after

        return await begin_after(self, again, question)

    async def aanswer(self, ask: Ask, options: Options, begun: StaticView | None = None) -> Answer:
        """Answer in a cell that awaits, so that the kernel handles a click on Stop meanwhile; in
        the view that is `begun`, if one is."""
        pump = CommPump(self.shell)

        def view(plan: Plan, started: float) -> View:
            return self.awaited_view(plan, started, options, begun)

        try:
            if before := self.depends_on(ask):
                from qwen_magic.magics.background import until_done

                await until_done(before, pump.step)
            answer = await self.session.aask(ask, view, step=pump.step, each=self.views.offer)
        except asyncio.CancelledError:
            # ipykernel turns an interrupt into the cancellation of the running cell; one in a
            # function that the model called comes as that too.
            raise interrupted() from None
        finally:
            pump.close()
        return self._deliver(answer, options)

    def awaited_view(
        self, plan: Plan, started: float, options: Options, begun: StaticView | None
    ) -> View:
        """The view of a cell that awaits: the one that is `begun`, if one is."""
        if begun is None:
            several, quiet = options.compare is not None, options.quiet
            return self.views.view(plan, started, quiet=quiet, awaited=True, outlives=several)
        begun.settle(facts_of(plan))
        begun.notice("")
        return begun

    def _settled(
        self, typed: Options, chat: str, file: PromptFile | None
    ) -> tuple[Options, PromptFile | None]:
        """What was typed, over what a prompt file says, over the conversation's defaults, over the
        settings; and the persona, if the instructions name one: what its file says stands above
        the defaults that are more general than the place that names it."""
        options, persona = typed.merged_over(_said_in(file)), None
        for layer in (
            Options(),
            self.chat_defaults.get(chat, Options()),
            Options.of(self.settings),
        ):
            options = options.merged_over(layer)
            if persona is None and options.system:
                persona = persona_of(options.system, self.prompt_folders)
                options = options.merged_over(_said_in(persona))
        return options, persona

    def _with_schema(
        self, ask: Ask, schema: str | JSON | None, namespace: Mapping[str, object]
    ) -> Ask:
        """`schema`: a name of the notebook, or a JSON schema itself."""
        if schema is None:
            return ask
        name = schema if isinstance(schema, str) else "schema"
        from qwen_magic.tools.answer_schema import Schema, named_type

        asked = named_type(schema, namespace) if isinstance(schema, str) else schema
        return ask.asking_for(Schema.of(asked, name))

    def held_back(self, ask: Ask, options: Options) -> bool:
        """Whether nothing is to be waited for: a dry run, which is shown here, or an answer in the
        background, which is begun."""
        if options.dry_run:
            self.views.show_dry_run(self.session.plan(ask, dry=True))
        elif options.bg:
            from qwen_magic.magics.background import begin

            begin(self, ask, options)
        return options.dry_run or options.bg

    def depends_on(self, ask: Ask) -> set[asyncio.Future[None]]:
        """The running answers that this question must wait for."""
        return set(self.running.get(ask.chat, ())) if ask.history and not ask.new else set()

    def _deliver(self, answer: Answer, options: Options) -> Answer:
        """Bind what was asked to be bound, then fail the cell if the answer failed: even then
        the part that came is kept."""
        answer = replace(answer, shown_in=self.shell.execution_count)
        if options.out:
            self.shell.user_ns[options.out] = answer
        if kernel_of(self.shell) is None:
            # The call ends with a semicolon there (see the transformer), which keeps the value
            # from `_` and `Out` as well.
            self.shell.displayhook.update_user_ns(answer)
        if answer.error is not None:
            raise answer.error
        if options.code and not offer_code(self.shell, answer.text):
            print("--code: the answer has no Python block to put into the next cell.")
        return answer

    def _settings_changed(self, change: Any = None) -> None:
        self.session.figure_hosts = tuple(self.settings.figure_hosts)
        self.session.endpoints.allow_http = self.settings.allow_http
        self.session.spending.budget = read_budget(self.settings.budget)
        self.session.session_cache = self.settings.session_cache
        allows = self.settings.unattended == "allow"
        policy = self.session.tool_policy
        policy.unattended = "allow" if allows else "refuse"
        policy.may_nest = self.settings.nest_asyncio
        policy.limits = CallLimits(
            self.settings.tool_rounds,
            self.settings.tool_seconds,
            self.settings.tool_bytes,
            tuple(self.settings.masked_columns),
        )
        self.endpoint_changed()

    def _replay_beside(self) -> None:
        """Answer from the recording that lies beside the notebook, where one does and nothing else
        was said."""
        tape, scope = self.session.tape, Path(_scope(self.shell.user_ns))
        if tape.touched or not (self.settings.replay_beside and tape.is_idle):
            return
        if kernel_of(self.shell) is None:
            return
        if found := beside(scope):
            speed = 1.0 if takes_input(self.shell) else math.inf
            tape.replay({path.name: read_text(path) for path in found}, speed=speed)

    def endpoint_changed(self) -> None:
        """Demo answers live in a conversation of their own; leaving the demo leaves it."""
        replayed = self.session.tape.endpoint(self.settings.endpoint)
        endpoint = replayed.name if replayed else self.settings.endpoint
        conversations, on = self.session.conversations, endpoint == DEMO
        if on and conversations.current != DEMO_CHAT:
            self._before_demo = conversations.current
            conversations.switch(DEMO_CHAT)
        elif not on and conversations.current == DEMO_CHAT:
            conversations.switch(self._before_demo)

    def _input(
        self,
        prompt: str,
        namespace: Mapping[str, object],
        describe: Callable[[object], str],
        *,
        raw: bool,
    ) -> _Input:
        messages = None if raw else message_list(prompt, namespace)
        if messages is not None:
            told = f"{prompt.strip()} → {len(messages)} messages"
            text = "\n\n".join(map(as_read, messages))
            return messages, (RequestPart("messages", text=text, told=told),), (told,)
        return _read(
            Interpolated(prompt) if raw else interpolate(prompt, namespace, describe=describe)
        )

    def _window(self, endpoint: Endpoint, model: str) -> int | None:
        """The model's context window: as the user says, as the host's own catalogue says, or as
        documented, where the name means what that documentation says."""
        said = self.settings.windows
        listed = self.session.catalogues.find(endpoint.host, model)
        if model not in said and listed and listed.window:
            return listed.window
        return window_of(model, said) if endpoint.capabilities.has_known_models else said.get(model)

    def _place(self, cell: CellKey | None, endpoint: Endpoint) -> str:
        """The conversation that the running cell belongs to; empty where it has none yet.

        It is looked up before the cell's first question is answered, since what the cell does now
        says nothing of its next line. A question that it did not ask before (a line more, a longer
        loop) joins the one before it.
        """
        if cell is None:
            return ""
        if self._places is None:
            self._places = self.session.conversations.places(cell.cell_id, endpoint.host)
        before = [call for call in self._places if call <= cell.call]
        call = max(before) if before else min(self._places, default=None)
        return self._places[call] if call is not None else ""

    def _cell_key(self) -> CellKey | None:
        cell = cell_id(self.shell)
        if not cell:
            return None
        self._calls += 1
        return CellKey(cell, self._calls - 1)


def _said_in(file: PromptFile | None) -> Options:
    """What a prompt file says of the question."""
    return Options(model=file.model, tools=file.tools) if file else Options()


def offer_code(shell: Any, text: str) -> bool:
    """What `--code` does with an answer's `text`: put its first Python block into the next cell.

    False where it has none: a block of another language is not for a cell of this kernel.
    """
    from qwen_magic.document.extract import first_python

    block = first_python(text)
    if block is not None:
        shell.set_next_input(block.code, replace=False)
    return block is not None


def _open_conversations(namespace: Mapping[str, object]) -> Conversations:
    """Those of the notebook that this kernel runs for, out of the file; or of memory, with a line
    that says why, where the file cannot be used."""
    store, trouble = open_store(data_folder(os.environ) / STORE_NAME, _scope(namespace), _warn)
    if trouble:
        _warn(trouble)
    return Conversations(store)


def _scope(namespace: Mapping[str, object]) -> str:
    vscode = str(namespace.get("__vsc_ipynb_file__") or "")
    return notebook_scope(os.environ, Path.cwd(), vscode_notebook=vscode)


def _notebook_folder(namespace: Mapping[str, object]) -> Path:
    scope = Path(_scope(namespace))
    return scope if scope.is_dir() else scope.parent


def _describe(value: object, *, mask: Sequence[str], whole: bool) -> str:
    from qwen_magic.context.dataframe.describing import describe_value

    return describe_value(value, mask=mask, whole=whole)


def _prompt_for(question: Question) -> Choice | None:
    from qwen_magic.frontends.terminal import prompt_for

    return prompt_for(question)


def _agreed(lines: Iterable[str], question: str) -> bool | None:
    from qwen_magic.frontends.terminal import agreed

    return agreed(lines, question)


def _ask_value(about: str, secret: bool) -> str | None:
    from qwen_magic.frontends.terminal import ask_value

    return ask_value(about, secret)


def _warn(line: str) -> None:
    print(line, file=sys.stderr)


def _read(read: Interpolated) -> _Input:
    return read.text, (RequestPart("prompt", text=read.text), *_values(read)), _told(read)


def _values(read: Interpolated) -> tuple[RequestPart, ...]:
    """What a text's braces became."""
    return tuple(
        RequestPart(
            "value",
            f"{{{each.name}}}",
            each.value_text,
            each.cut or "in the prompt" + f", {each.count} times" * (each.count > 1),
            told=f"{{{each.name}}} → {each.chars:,} characters"
            + (f": {each.cut}" * bool(each.cut)),
        )
        for each in read.expanded
    )


def _told(read: Interpolated) -> tuple[str, ...]:
    """The same in words for the footer, with what was left as typed."""
    left = tuple(f"{{{name}}} {NOT_FOUND}" for name in read.unknown)
    return (*(part.told for part in _values(read)), *left)

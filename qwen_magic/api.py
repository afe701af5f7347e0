"""`Qwen`: the same conversations from Python code, in cells, scripts and async programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from qwen_magic.answer import Answer
from qwen_magic.context.attachments import attach
from qwen_magic.context.messages import check_messages
from qwen_magic.context.schema import Schema
from qwen_magic.context.tools import Tools, resolve_tools
from qwen_magic.conversation.book import DEMO_CHAT, FIRST_CHAT
from qwen_magic.conversation.chain import Turn
from qwen_magic.errors import UsageError
from qwen_magic.frontends.prompt import prompt_for
from qwen_magic.session.calls import CallLimits, Prompt
from qwen_magic.session.endpoints import DEMO
from qwen_magic.session.permissions import Unattended
from qwen_magic.session.plan import Ask, Plan, check_key
from qwen_magic.session.session import Session
from qwen_magic.session.view import NoView
from qwen_magic.session.wishes import NoWish, SchemaWish
from qwen_magic.settings import DEFAULT_MODEL, default_endpoint_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen_magic.protocol.events import Event
    from qwen_magic.session.mapping.asker import Asker
    from qwen_magic.session.mapping.result import MapResult

_SILENCE: Final = 300.0  # seconds


class Qwen:
    """A model behind one endpoint, with conversations of its own.

    `endpoint` is a name (`singapore`, `beijing`, …, `ollama`, `demo`) or a base URL; None takes
    `DASHSCOPE_BASE_URL`, else Singapore. `api_key` None takes the environment's.

    Functions among the `tools` are run here when the model calls them, each call after a question
    at the terminal or the cell's input. `approve` answers in place of that ("once", "always",
    "never" or "no" for a `Question` with its `name` and `arguments`; None: nobody can be asked);
    `unattended` ("refuse" or "allow") is what holds where nobody can, `limits` what the functions
    may take. `may_nest`: in a blocking `ask` in a notebook,
    an asynchronous function may make the kernel's event loop re-entrant (`session.nesting`).
    A function that is offered as a bare dict is the caller's to answer: where the model calls one,
    the turn ends with its calls unanswered.

    Further keywords of the methods: `tools` (names, tool dicts, functions), `think`, `effort`,
    `system`, `temperature`, `top_p`, `max_output_tokens`, `timeout` (longest silence, seconds),
    `chat` (a conversation's name), `new`, `after` (a REF), `history` (False: outside any
    conversation), `carry` (True: take the conversation along to another host), `data` (names and
    values to describe), `rows` (of them: a number or "all"), `images` (paths, addresses, figures,
    arrays), `schema` (a dataclass, TypedDict, pydantic model or JSON schema: the answer's
    `parsed`).

    Use it as a context manager, or call `close`, to end its connections.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        endpoint: str | None = None,
        *,
        api_key: str | None = None,
        approve: Prompt = prompt_for,
        unattended: Unattended = "refuse",
        limits: CallLimits | None = None,
        may_nest: bool = True,
    ) -> None:
        self.model = model
        self.mapped: MapResult | None = None  # of the newest `map`, as far as it has come
        self._session = Session()
        self._session.prompt = approve
        self._session.permissions.unattended = unattended
        self._session.limits = limits or CallLimits()
        self._session.may_nest = may_nest
        self._endpoint = endpoint or default_endpoint_name()
        if api_key is not None:
            found = self._session.endpoints.find(self._endpoint)
            self._session.endpoints.remember_key(found, api_key)

    def ask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """The answer to `prompt` (text, or a list of messages), continuing the conversation.

        Blocks. Raises `QwenError`; a Ctrl-C closes the connection and records what came.
        """
        wish = self._wish(prompt, options)
        answer = self._session.run(self._session.plan(wish.ask), NoView())
        while (repair := wish.repair(answer)) is not None:
            answer = self._session.run(self._session.plan(repair), NoView())
        return _checked(wish.fulfilled(answer))

    async def aask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """The same for async code. Cancelling the task closes the connection."""
        wish = self._wish(prompt, options)
        answer = await self._session.arun(self._session.plan(wish.ask), NoView())
        while (repair := wish.repair(answer)) is not None:
            answer = await self._session.arun(self._session.plan(repair), NoView())
        return _checked(wish.fulfilled(answer))

    def stream(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Iterator[Event]:
        """The events of the answer as they come (`qwen_magic.protocol.events`).

        The turn is recorded when the stream has ended; leaving the loop early stops it.
        """
        plan = self._plan(prompt, options)
        check_key(plan.ask.endpoint)
        return self._session.events(plan)

    def map(
        self,
        prompts: object,
        *,
        template: str | None = None,
        concurrency: int = 8,
        progress: bool = True,
        resume: str | Path | None = None,
        **options: Any,
    ) -> MapResult:
        """Ask many prompts, each outside any conversation, `concurrency` at once at most.

        `prompts`: texts or lists of messages; with a `template` ("Translate {word}": braces name
        columns) a DataFrame or dicts. `resume`: a name or a path of a file that keeps every
        finished row, so that the same call asks only the others, also after a crash. `options`:
        those of `ask`, without those of a conversation, and without functions as tools. With a
        `schema` each row has its object (`parsed`) or a `SchemaMismatchError`; none is repaired.

        Blocks, also in a cell. A row's error is in the result; where the service limits the rate,
        all rows slow down. Raises `QwenError` for what ends the whole map, such as a used-up quota;
        then, and after a Ctrl-C, `mapped` has what was done.
        """
        from qwen_magic.session.mapping import kept, mapping, pace, result
        from qwen_magic.session.mapping import prompts as given
        from qwen_magic.session.mapping.progress import make_progress

        mapping.check_options(options)
        mapping.check_concurrency(concurrency)
        rows = given.read_rows(prompts, template)
        wishes = [self._wish(row.prompt, {**options, "history": False}) for row in rows]
        plans = [self._session.plan(wish.ask) for wish in wishes]
        mapping.check_plans(plans)
        wished = wishes[0].fulfilled if wishes and "schema" in options else None
        self.mapped = result.MapResult(rows, fulfilled=wished)
        with kept.keeping(resume) as answers:
            mapping.run_map(
                self._session,
                plans,
                self.mapped,
                pace=pace.Pace(concurrency),
                progress=lambda: make_progress(len(rows), wanted=progress),
                kept=answers,
            )
        return self.mapped

    def asker(self, **options: Any) -> Asker:
        """A picklable function of one prompt with these settings, for Dask and other schedulers.

        It carries no key: each worker reads its own environment. `options` are those of `map`.
        """
        from qwen_magic.session.mapping.asker import Asker
        from qwen_magic.session.mapping.mapping import check_plans

        endpoint = self._endpoint
        if "://" in endpoint:  # without what else the URL may hold
            endpoint = self._session.endpoints.find(endpoint).base_url
        # What is wrong with the options is told here, not there.
        wish = self._wish("", {**options, "history": False})
        check_plans([self._session.plan(wish.ask)])
        return Asker(type(self), self.model, endpoint, options)

    def chat(self, name: str = FIRST_CHAT) -> Chat:
        """The conversation of that name."""
        return Chat(self, name)

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Qwen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _plan(self, prompt: str | Sequence[Mapping[str, Any]], options: dict[str, Any]) -> Plan:
        return self._session.plan(self._ask(prompt, options))

    def _wish(
        self, prompt: str | Sequence[Mapping[str, Any]], options: dict[str, Any]
    ) -> SchemaWish | NoWish:
        schema = options.pop("schema", None)
        ask = self._ask(prompt, options)
        return NoWish(ask) if schema is None else SchemaWish(ask, Schema.of(schema))

    def _ask(self, prompt: str | Sequence[Mapping[str, Any]], options: dict[str, Any]) -> Ask:
        endpoint = self._session.endpoints.find(self._endpoint)
        chat = options.pop("chat", DEMO_CHAT if self._endpoint == DEMO else FIRST_CHAT)
        given = prompt if isinstance(prompt, str) else check_messages(prompt)
        model = options.pop("model", self.model)
        tools = _tools(options.pop("tools", ()))
        images = _images(options.pop("images", ()))
        data: Mapping[str, object] = options.pop("data", {})
        attached = attach(
            given,
            {**data, **images},
            model=model,
            data=tuple(data),
            rows=options.pop("rows", None),
            images=tuple(images),
        )
        return Ask(
            prompt=prompt if isinstance(prompt, str) else "",
            input=attached.input,
            model=model,
            endpoint=endpoint,
            chat=chat,
            tools=tools.definitions,
            functions=tools.functions,
            silence=options.pop("timeout", _SILENCE),
            **_known(options),
        )


class Chat:
    """One conversation of a `Qwen`: `ask`, `aask` and `stream` continue it."""

    def __init__(self, qwen: Qwen, name: str) -> None:
        self._qwen = qwen
        self.name = name

    def ask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        return self._qwen.ask(prompt, chat=self.name, **options)

    async def aask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        return await self._qwen.aask(prompt, chat=self.name, **options)

    def stream(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Iterator[Event]:
        return self._qwen.stream(prompt, chat=self.name, **options)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns from the first to the head."""
        chain = self._qwen._session.book.chain(self.name)
        return tuple(chain.path(chain.head))


_OPTIONS: Final = frozenset(
    (
        "think",
        "effort",
        "system",
        "temperature",
        "top_p",
        "max_output_tokens",
        "new",
        "after",
        "history",
        "carry",
    )
)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise UsageError(
            f"There is no option {unknown[0]!r}.",
            hint="The options are: chat, data, images, model, rows, schema, timeout, tools, "
            + ", ".join(sorted(_OPTIONS)),
        )
    return options


def _tools(given: str | Sequence[str | Mapping[str, Any] | Callable[..., Any]]) -> Tools:
    """Names of built-in tools, tool dicts and functions, mixed."""
    if isinstance(given, str):
        given = given.split(",")
    named: dict[str, object] = {f"tool {n}": tool for n, tool in enumerate(given)}
    names = [tool.strip() if isinstance(tool, str) else name for name, tool in named.items()]
    return resolve_tools(names, named)


def _images(given: Sequence[object]) -> dict[str, object]:
    """Images by a name to call them: paths and addresses by themselves."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        given = [given]
    return {
        image if isinstance(image, str) else f"image {number}": (
            None if isinstance(image, str) else image
        )
        for number, image in enumerate(given, 1)
    }


def _checked(answer: Answer) -> Answer:
    if answer.error is not None:
        raise answer.error
    return answer

"""`Qwen`: the same conversations from Python code, in cells, scripts and async programs."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn
from weakref import WeakKeyDictionary

from qwen_magic.answer import Answer
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.conversations import DEMO_CHAT, FIRST_CHAT
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.conversation.scope import STORE_NAME, data_folder
from qwen_magic.endpoints import DEFAULT_MODEL, DEMO, find_endpoint
from qwen_magic.errors import UsageError, bare, raising
from qwen_magic.frontends.kernel import check_threads, running_shell
from qwen_magic.frontends.terminal import ask_value, prompt_for
from qwen_magic.magics.settings import shared_settings
from qwen_magic.masking import Secret
from qwen_magic.options import Options, with_defaults
from qwen_magic.session.endpoint_keys import Endpoints
from qwen_magic.session.host_facts import CATALOGUES
from qwen_magic.session.keywords import read_ask, read_schema, read_system, read_tools
from qwen_magic.session.plan import Ask, Plan, check_key
from qwen_magic.session.session import Session
from qwen_magic.tools.policy import CallLimits, Prompt, Unattended

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen_magic.batch.evaluate import Evaluation
    from qwen_magic.batch.map import AskFunction
    from qwen_magic.batch.rows import MapResult
    from qwen_magic.protocol.events import Event


# A method that raises errors without what is inside this package, and what it was given.
_bare_errors = raising(bare)


class Qwen:
    """A model behind one endpoint, with conversations of its own.

    What is None is as the magics of the running shell have it (`%config QwenMagics`, and the
    defaults of questions too); without a shell, as the environment says: `QWEN_MAGIC_MODEL`,
    `QWEN_MAGIC_ENDPOINT` and so on.

    `endpoint` is a name (`singapore`, `beijing`, …, `ollama`, `demo`) or a base URL; without any,
    `DASHSCOPE_BASE_URL`, else Singapore. `api_key` None takes the one that was typed in the shell,
    else the environment's, or the keyring's; over plain http it goes to another machine only with
    `allow_http`.

    Functions among the `tools` are run here when the model calls them, each call after a question
    at the terminal or the cell's input. `approve` answers in place of that ("once", "always",
    "never" or "no" for a `Question` with its `name` and `arguments`; None: nobody can be asked);
    `unattended` ("refuse" or "allow") is what holds where nobody can, `limits` what the functions
    may take. `may_nest`: in a blocking `ask` in a notebook,
    an asynchronous function may make the kernel's event loop re-entrant (`tools.policy.run_here`).
    A function that is offered as a bare dict is the caller's to answer: where the model calls one,
    the turn ends with its calls unanswered. `mcp:NAME` among the tools is a server of `mcp.json`
    (of the working folder, then the user's): `approve` gets a `StartQuestion` before it starts.

    Further keywords of the methods: `tools` (names, tool dicts, functions), `think`, `effort`
    (a level, or a number of tokens), `system`, `temperature`, `top_p`, `max_output_tokens`,
    `timeout` (longest silence, seconds), `chat` (a conversation's name), `new`, `after` (a REF),
    `history` (False: outside any conversation), `carry` (True: take the conversation along to
    another host), `data` (names and values to describe), `rows` (of them: a number or "all"),
    `images` (paths, addresses, figures, arrays), `files` (paths, addresses), `allow_secrets` (True:
    what looks like a key is sent), `schema` (a dataclass, TypedDict, pydantic model or JSON schema:
    the answer's `parsed`).

    Use it as a context manager (`with`, `async with`), or call `close` or `aclose`, to end its
    connections; one that is dropped leaves nothing open. Threads and event loops may share one, and
    a forked child may use its parent's: it asks over connections of its own.
    """

    @_bare_errors
    def __init__(
        self,
        model: str | None = None,
        endpoint: str | None = None,
        *,
        api_key: str | None = None,
        approve: Prompt = prompt_for,
        unattended: Unattended | None = None,
        limits: CallLimits | None = None,
        may_nest: bool | None = None,
        allow_http: bool | None = None,
    ) -> None:
        check_threads()
        api_key = None if api_key is None else Secret(api_key)
        settings, shared = shared_settings(running_shell())
        options = Options.of(settings)
        system = read_system(options.system or "", hint=bool(options.hint))
        self._options = replace(options, model=None, hint=None, system=system or None)
        self._mask = tuple(settings.masked_columns)
        self.model = model or options.model or DEFAULT_MODEL
        self.mapped: MapResult | None = None  # of the newest `map`, as far as it has come
        self.evaluated: Evaluation | None = None  # the newest `evaluate` likewise
        self._session = Session(endpoints=Endpoints(shared=shared))
        settings.apply_to(self._session)
        if allow_http is not None:
            self._session.endpoints.allow_http = allow_http
        policy = self._session.tool_policy
        policy.prompt, policy.unattended = approve, unattended or policy.unattended
        self._session.ask_value = ask_value
        policy.limits = limits or policy.limits
        policy.may_nest = policy.may_nest if may_nest is None else may_nest
        self._endpoint = endpoint or settings.endpoint
        find_endpoint(self._endpoint, os.environ, allow_http=True)  # a wrong name is told here
        if api_key is not None:
            found = self._session.endpoints.find(self._endpoint)
            self._session.endpoints.remember_key(found, api_key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r})"

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "A Qwen holds connections and keys, and cannot be pickled.",
            hint="qwen.asker() is a function of one prompt that can.",
        )

    @_bare_errors
    def ask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """The answer to `prompt` (text, or a list of messages and outputs of calls), continuing the
        conversation.

        Blocks. Raises `QwenError`; a Ctrl-C closes the connection and records what came.
        """
        return _checked(self._session.run(self._next(prompt, options)))

    @_bare_errors
    async def aask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """The same for async code. Cancelling the task closes the connection."""
        return _checked(await self._session.arun(self._next(prompt, options)))

    @_bare_errors
    def stream(
        self, prompt: str | Sequence[Mapping[str, Any]], **options: Any
    ) -> Generator[Event, None, None]:
        """The events of the answer as they come (`qwen_magic.protocol.events`).

        The turn is recorded when the stream has ended; leaving the loop early stops it.
        """
        plan = self._next(prompt, options)
        check_key(plan.ask.endpoint)
        events = self._session.events(plan)
        _open_streams[events] = os.getpid()
        return events

    @_bare_errors
    def astream(
        self, prompt: str | Sequence[Mapping[str, Any]], **options: Any
    ) -> AsyncGenerator[Event, None]:
        """The same for async code: `async for event in qwen.astream(…)`. Cancelling the task stops
        it; where the loop is left early, `contextlib.aclosing` around it stops it at once."""
        plan = self._next(prompt, options)
        check_key(plan.ask.endpoint)
        return self._session.aevents(plan)

    @_bare_errors
    def map(
        self,
        prompts: object,
        *,
        template: str | None = None,
        concurrency: int = 8,
        progress: bool = True,
        resume: str | Path | None = None,
        retry_errors: int = 0,
        **options: Any,
    ) -> MapResult:
        """Ask many prompts, each outside any conversation, `concurrency` at once at most.

        `prompts`: texts or lists of messages; with a `template` ("Translate {word}": braces name
        columns) a DataFrame or dicts. `resume`: a name or a path of a file that keeps every
        finished row, so that the same call asks only the others, also after a crash.
        `retry_errors`: how often a row that failed is asked again, after all others; of the rows
        that are kept, those without the object that was asked for are asked again too. `options`:
        those of `ask`, without those of a conversation. With a `schema` each row has its object
        (`parsed`), asked for again where it does not fit, or a `SchemaMismatchError`. Functions
        among the `tools` need `unattended="allow"`, or an `approve` of one's own: they run on the
        map's thread, one at a time unless they are asynchronous.

        Blocks, also in a cell. A row's error is in the result; where the service limits the rate,
        all rows slow down. Raises `QwenError` for what ends the whole map, such as a used-up quota;
        then, and after a Ctrl-C, `mapped` has what was done.

            table = qwen.map(reviews, template="Is this kind? {text}", schema=Verdict)
            table.to_frame()  # the reviews, with what was answered beside them
        """
        from qwen_magic.batch.map import MapSettings, run_map
        from qwen_magic.batch.rows import MapResult, read_rows

        settings = MapSettings(concurrency, progress, resume, retry_errors, self._decides)
        options = self._for_all(options)
        rows = read_rows(prompts, template)
        plans = [self._plan(row.prompt, options) for row in rows]
        self.mapped = MapResult(rows, plans)
        run_map(self._session, plans, self.mapped, settings)
        return self.mapped

    @_bare_errors
    def evaluate(
        self,
        cases: object,
        score: object = "contains",
        *,
        prompts: str | Sequence[str] | Mapping[str, str] | None = None,
        models: str | Sequence[str] | None = None,
        name: str = "",
        concurrency: int = 8,
        progress: bool = True,
        resume: str | Path | None = None,
        retry_errors: int = 0,
        **options: Any,
    ) -> Evaluation:
        """Ask `cases` with several prompts or models, and score the answers.

        `cases`: a DataFrame or dicts, with what is `expected` and the columns that the `prompts`
        name in braces: one template or several, best by name; None: the column `prompt`. `models`:
        several names; None: this one's. `score`: `"exact"`, `"contains"`, `"regex"` (the expected
        is a pattern), `"numeric"` (the last number), `"schema"` (it fits the `schema`), with
        settings `numeric(0.01)` or `judge("model", "criterion")`, or any function of the answer (a
        text with all of an `Answer`) and the expected that gives True, False or a number from 0 to
        1, of which one half passes; of a list, the lowest counts. `name`: compares with the last
        run of that name, and keeps this one. The rest is as in `map`.

        A case that fails counts as an error, neither right nor wrong. Blocks, and raises, as `map`
        does; `evaluated` then has what was done.

            cases = [{"country": "France", "expected": "Paris"}, …]
            qwen.evaluate(cases, prompts={"short": "Capital of {country}?", "long": "…"}, name="c")
        """
        from qwen_magic.batch.evaluate import Evaluation
        from qwen_magic.batch.map import MapSettings

        settings = MapSettings(concurrency, progress, resume, retry_errors, self._decides)
        options = self._for_all(options)
        model = options.pop("model", self.model)
        self.evaluated = Evaluation(
            cases,
            score,
            prompts=prompts,
            models=[models] if isinstance(models, str) else models or [model],
            name=name,
            has_schema=options.get("schema") is not None,
        )
        self.evaluated.run(self._session, self._plan, options, settings)
        return self.evaluated

    @_bare_errors
    def asker(self, **options: Any) -> AskFunction:
        """A picklable function of one prompt with these settings, for Dask and other schedulers.

        It carries no key: each worker reads its own environment. `options` are those of `map`.
        """
        from qwen_magic.batch.map import AskFunction, check_functions

        endpoint = self._endpoint
        if "://" in endpoint:  # without what else the URL may hold
            endpoint = self._session.endpoints.find(endpoint).base_url
        # What is wrong with the options is told here, not there.
        check_functions([self._plan("", options)], decided=False)
        return AskFunction(type(self), self.model, endpoint, with_defaults(options, self._options))

    def chat(self, name: str = FIRST_CHAT) -> Chat:
        """The conversation of that name."""
        return Chat(self, name)

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Qwen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """`close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> Qwen:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _next(self, prompt: str | Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Plan:
        """Of the next question of a conversation."""
        if prompt == "" and options.keys().isdisjoint(("data", "files", "images")):
            raise UsageError("There is no prompt.")
        return self._session.plan(self._read(prompt, options))

    def _read(self, prompt: str | Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Ask:
        return read_ask(
            prompt,
            with_defaults(options, self._options),
            endpoint=self._session.endpoints.find(self._endpoint),
            model=self.model,
            chat=DEMO_CHAT if self._endpoint == DEMO else FIRST_CHAT,
            offer=self._session.offer,
            mask=self._mask,
        )

    def _plan(self, prompt: str | Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Plan:
        """Of a question outside any conversation, such as a row, which may be empty."""
        return self._session.plan(self._read(prompt, {**options, "history": False}))

    def _for_all(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of many questions, with what is read once for all of them; and the prices of
        their host recalled. Raises `UsageError`."""
        from qwen_magic.batch.map import check_options

        check_options(options)
        if options.get("schema") is not None:
            options["schema"] = read_schema(options["schema"])
        given = options.get("tools", self._options.tools or ())
        self._recall_prices()
        return {**options, "tools": read_tools(given, self._session.offer)}

    @property
    def _decides(self) -> bool:
        """Whether calls of functions are decided by other code than our question at the terminal,
        so that many prompts may ask it, on another thread."""
        return self._session.tool_policy.prompt is not prompt_for

    def _recall_prices(self) -> None:
        """Know the price list that a notebook of this machine has asked for."""
        host = self._session.endpoints.find(self._endpoint).host
        if (file := data_folder(os.environ) / STORE_NAME).is_file():
            with closing(open_store(file, "")[0]) as store:
                self._session.catalogues.recall(host, store.fact(CATALOGUES, host))


class Chat:
    """One conversation of a `Qwen`: `ask`, `aask`, `stream` and `astream` continue it."""

    def __init__(self, qwen: Qwen, name: str) -> None:
        self._qwen = qwen
        self.name = name

    def __repr__(self) -> str:
        return f"{self._qwen!r}.chat({self.name!r})"

    @_bare_errors
    def ask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        return self._qwen.ask(prompt, chat=self.name, **options)

    @_bare_errors
    async def aask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        return await self._qwen.aask(prompt, chat=self.name, **options)

    @_bare_errors
    def stream(
        self, prompt: str | Sequence[Mapping[str, Any]], **options: Any
    ) -> Generator[Event, None, None]:
        return self._qwen.stream(prompt, chat=self.name, **options)

    @_bare_errors
    def astream(
        self, prompt: str | Sequence[Mapping[str, Any]], **options: Any
    ) -> AsyncGenerator[Event, None]:
        return self._qwen.astream(prompt, chat=self.name, **options)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns from the first to the head."""
        chain = self._qwen._session.conversations.chain(self.name)
        return tuple(chain.path(chain.head))


def _checked(answer: Answer) -> Answer:
    if answer.error is not None:
        raise answer.error
    return answer


# Each with the process that opened it: a fork has copies.
_open_streams: Final[WeakKeyDictionary[Generator[Event, None, None], int]] = WeakKeyDictionary()


@atexit.register
def _leave_streams() -> None:
    """What a program leaves open at its end is recorded as stopped, while Python still can."""
    for stream, process in list(_open_streams.items()):
        if process == os.getpid():
            with suppress(ValueError):  # another thread is reading it
                stream.close()

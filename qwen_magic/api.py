"""`Qwen`: the same conversations from Python code, in cells, scripts and async programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from qwen_magic.answer import Answer
from qwen_magic.context.messages import check_messages
from qwen_magic.context.tools import resolve_tools
from qwen_magic.conversation.book import DEMO_CHAT, FIRST_CHAT
from qwen_magic.conversation.chain import Turn
from qwen_magic.errors import UsageError
from qwen_magic.session.endpoints import DEMO
from qwen_magic.session.plan import Ask, Plan, check_key
from qwen_magic.session.session import Session
from qwen_magic.session.view import NoView
from qwen_magic.settings import DEFAULT_MODEL, default_endpoint_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen_magic.protocol.events import Event

_SILENCE: Final = 300.0  # seconds


class Qwen:
    """A model behind one endpoint, with conversations of its own.

    `endpoint` is a name (`singapore`, `beijing`, …, `ollama`, `demo`) or a base URL; None takes
    `DASHSCOPE_BASE_URL`, else Singapore. `api_key` None takes the environment's. Further keywords
    of the methods: `tools` (names or tool dicts), `think`, `effort`, `system`, `temperature`,
    `top_p`, `max_output_tokens`, `timeout` (longest silence, seconds), `chat` (a conversation's
    name), `new`, `after` (a REF), `history` (False: outside any conversation), `carry` (True: take
    the conversation along to another host).

    Use it as a context manager, or call `close`, to end its connections.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        endpoint: str | None = None,
        *,
        api_key: str | None = None,
    ) -> None:
        self.model = model
        self._session = Session()
        self._endpoint = endpoint or default_endpoint_name()
        if api_key is not None:
            found = self._session.endpoints.find(self._endpoint)
            self._session.endpoints.remember_key(found, api_key)

    def ask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """The answer to `prompt` (text, or a list of messages), continuing the conversation.

        Blocks. Raises `QwenError`; a Ctrl-C closes the connection and records what came.
        """
        answer = self._session.run(self._plan(prompt, options), NoView())
        return _checked(answer)

    async def aask(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """The same for async code. Cancelling the task closes the connection."""
        answer = await self._session.arun(self._plan(prompt, options), NoView())
        return _checked(answer)

    def stream(self, prompt: str | Sequence[Mapping[str, Any]], **options: Any) -> Iterator[Event]:
        """The events of the answer as they come (`qwen_magic.protocol.events`).

        The turn is recorded when the stream has ended; leaving the loop early stops it.
        """
        plan = self._plan(prompt, options)
        check_key(plan.ask.endpoint)
        return self._session.events(plan)

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
        endpoint = self._session.endpoints.find(self._endpoint)
        chat = options.pop("chat", DEMO_CHAT if self._endpoint == DEMO else FIRST_CHAT)
        given = prompt if isinstance(prompt, str) else check_messages(prompt)
        ask = Ask(
            prompt=prompt if isinstance(prompt, str) else "",
            input=given,
            model=options.pop("model", self.model),
            endpoint=endpoint,
            chat=chat,
            tools=_tools(options.pop("tools", ())),
            silence=options.pop("timeout", _SILENCE),
            **_known(options),
        )
        return self._session.plan(ask)


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
            hint="The options are: chat, model, tools, timeout, " + ", ".join(sorted(_OPTIONS)),
        )
    return options


def _tools(given: str | Sequence[str | Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Names of built-in tools and tool dicts, mixed."""
    if isinstance(given, str):
        given = given.split(",")
    named: dict[str, object] = {f"tool {n}": tool for n, tool in enumerate(given)}
    names = [tool.strip() if isinstance(tool, str) else name for name, tool in named.items()]
    return resolve_tools(names, named)


def _checked(answer: Answer) -> Answer:
    if answer.error is not None:
        raise answer.error
    return answer

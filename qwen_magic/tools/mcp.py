"""MCP servers as tools: `mcp:NAME` of `mcp.json`, by the official SDK on the engine's loop.

    not started --(asked: once | always)--> starting --> running --(crash, close)--> ended
         |                                     |
         +--(refused: nothing is offered)      +--> failed

A server is started when a question first names it, and serves every later question of the kernel.
Its tools are `FunctionTool`s like those of the notebook: asked about, limited, shown and kept as
those are. Each server lives in one task of the engine, which enters and leaves the SDK's client;
its process is in a group of its own, which ends with that task, at the latest by SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from qwen_magic.context.secrets import Secrets
from qwen_magic.document.question import StartQuestion, Verdict
from qwen_magic.document.words import clipped, wire_name
from qwen_magic.endpoints import is_open
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.masking import MASKED, know, log_without_keys, with_texts
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.definition import LONGEST_DESCRIPTION, FunctionTool
from qwen_magic.tools.execution import approve, wait_for_future
from qwen_magic.tools.mcp_format import (
    ServerConfig,
    images_of,
    parameters_of,
    read_servers,
    reference_value,
    value_of,
    with_distinct_names,
)
from qwen_magic.tools.mcp_transport import TO_END, Program, over_http
from qwen_magic.tools.policy import ToolPolicy
from qwen_magic.tools.results import Pictured
from qwen_magic.tools.selection import SERVER_PREFIX as PREFIX

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

T = TypeVar("T")
Submit: TypeAlias = Callable[[Coroutine[Any, Any, Any]], "Future[Any]"]

logging.getLogger("mcp").addHandler(logging.NullHandler())  # not to stderr, into some cell

_LOGGERS: Final = ("mcp", "client")  # those of the library, and all below them
_TO_START: Final = 60.0  # seconds: a package may have to be downloaded first
_TO_LIST: Final = 10.0
_TO_READ: Final = 0.05
_MOST_PAGES: Final = 100
_TOLD_LINES: Final = 5
_SURELY_SECRET: Final = 8  # characters; shorter values (`true`) stand in results by chance


class ToolServerError(QwenError):
    """An MCP server could not be started, ended, or refused a call."""


@dataclass(frozen=True, slots=True)
class Offered:
    """The tools of a server; `note` says why there are none, for the footer."""

    tools: tuple[FunctionTool, ...] = ()
    note: str = ""


class ToolServers:
    """The MCP servers of one session.

    - `submit` runs a coroutine on the engine;
    - `folders`: where `mcp.json` is looked for, the notebook's first;
    - `ask` asks the user whether a server may be started, `ask_value` asks for an input (its
      description; whether it is secret). Both return None if nobody can be asked.
    """

    def __init__(self, submit: Submit, policy: ToolPolicy, folders: tuple[Path, ...]) -> None:
        self.folders = folders
        self.ask: Callable[[StartQuestion], Verdict | None] = self.ask_by_line
        self.ask_value: Callable[[str, bool], str | None] = lambda about, secret: None
        self._submit = submit
        self._policy = policy
        self._servers: dict[str, _Server] = {}
        self._said: dict[str, tuple[ServerConfig, Verdict]] = {}
        self._inputs: dict[tuple[Path, str], str] = {}

    def ask_by_line(self, question: StartQuestion) -> Verdict | None:
        return approve(question, self._policy.prompt)

    def offer(self, reference: str, *, start: bool = True, by_line: bool = False) -> Offered:
        """The tools that `mcp:NAME` or `mcp:NAME/tool` refers to.

        Unless `start` is False, a server that is not running is started after asking the user
        (`by_line`: not in a view). Blocks; ■ ends the wait. Raises `UsageError`, `ToolServerError`.
        """
        config, wanted = self._find(reference.removeprefix(PREFIX))
        server = self._servers.get(config.name)
        if server is not None and server.config != config:
            server.close()
            server = None
        if server is not None and server.is_running:
            with suppress(ToolServerError, TimeoutError):  # those listed before stay
                server.list_tools()
        if server is None or not server.is_running:
            if not start:
                return Offered((), f"{PREFIX}{config.name} does not run: its tools are not known")
            refused = self._refusal(config, self.ask_by_line if by_line else self.ask)
            if refused:
                return Offered((), f"{PREFIX}{config.name} was not started: {refused}")
            server = self._servers[config.name] = _Server(config, self._submit)
            server.start(*config.filled(lambda name: self._value(config, name)), self.folders[0])
        if not wanted:
            return Offered(tuple(server.tools.values()))
        if wanted not in server.tools:
            raise _unknown(f"{config.name} has no tool {wanted!r}.", wanted, server.tools)
        return Offered((server.tools[wanted],))

    def states(self) -> Iterator[tuple[str, str, str]]:
        """The name, description and state of each server. Raises `UsageError`."""
        for name, config in read_servers(self.folders).items():
            server = self._servers.get(name)
            about, state = config.shown, "not started"
            if server is not None and server.config == config:
                state = server.state
                if server.is_running:
                    about = ", ".join(server.tools) or "no tools"
            elif self._said.get(name, (None, ""))[1] == "never":
                state = "refused"
            yield PREFIX + name, about, state

    def names(self) -> list[str]:
        """The names for Tab: servers, and tools of running servers."""
        try:
            known = read_servers(self.folders)
        except UsageError:
            return []
        of_servers = [
            f"{name}/{tool}"
            for name, server in self._servers.items()
            if name in known and server.is_running
            for tool in server.tools
        ]
        return [PREFIX + name for name in (*known, *of_servers)]

    def forget(self) -> int:
        """Forget all verdicts on starting servers; return how many there were."""
        count = len(self._said)
        self._said.clear()
        return count

    def close(self) -> None:
        """End every server."""
        servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.stop()
        for server in servers:
            server.close()

    def _find(self, reference: str) -> tuple[ServerConfig, str]:
        known = read_servers(self.folders)
        for name, config in known.items():
            if reference == name or reference.startswith(f"{name}/"):
                return config, reference[len(name) + 1 :]
        if known:
            raise _unknown(f"There is no MCP server {reference!r}.", reference, known)
        raise UsageError(
            f"There is no MCP server {reference!r}: no mcp.json names any.",
            hint=f"Looked for in {' and '.join(map(str, self.folders))}.",
        )

    def _refusal(self, config: ServerConfig, ask: Callable[[StartQuestion], Verdict | None]) -> str:
        """Why this server must not be started; empty if it may."""
        if find_spec("mcp") is None:
            raise UsageError(
                "MCP servers need the package mcp.", hint='pip install "qwen-magic[mcp]"'
            )
        before, verdict = self._said.get(config.name, (None, None))
        if before != config:
            verdict = ask(_question(config, is_other=before is not None))
        if verdict in ("always", "never"):
            self._said[config.name] = (config, verdict)
        if verdict in ("once", "always"):
            return ""
        if verdict in ("no", "never"):
            return "you refused it" + " (%qwen_tools --forget asks again)" * (verdict == "never")
        if self._policy.unattended == "allow":
            return ""
        return "nobody could be asked (%config QwenMagics.unattended = 'allow' lets it)"

    def _value(self, config: ServerConfig, reference: str) -> str:
        """The value of `${reference}`. Raises `UsageError`."""
        name = reference.removeprefix("input:")
        if name != reference:
            return self._input(config, name)
        value = reference_value(reference, self.folders[0], os.environ)
        if value is None:
            raise UsageError(
                f"The MCP server {config.name} needs {name.removeprefix('env:')}, which is not set "
                "in the kernel's environment.",
                hint=f"{config.file} names it.",
            )
        return value

    def _input(self, config: ServerConfig, name: str) -> str:
        """The value that the user typed for an input; asked once in a kernel."""
        asked = config.inputs.get(name, {})
        key = (config.file, name)
        if key not in self._inputs:
            about = str(asked.get("description") or name)
            typed = self.ask_value(f"{PREFIX}{config.name}: {about}", bool(asked.get("password")))
            if typed is None:
                raise UsageError(
                    f"The MCP server {config.name} needs the input {name}, and nobody could be "
                    "asked."
                )
            self._inputs[key] = typed or str(asked.get("default") or "")
        return self._inputs[key]


def _question(config: ServerConfig, *, is_other: bool) -> StartQuestion:
    named = {"url": config.shown} if config.url else {"command": config.shown}
    written = json.dumps({**named, "passed": config.passed}, ensure_ascii=False)
    return StartQuestion(
        PREFIX + config.name,
        written,
        str(config.file),
        is_other=is_other,
        target=config.shown,
        passed=config.passed,
        is_remote=bool(config.url),
    )


def _unknown(message: str, wanted: str, known: Mapping[str, object]) -> UsageError:
    near = get_close_matches(wanted, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known) or 'none'}."
    return UsageError(message, hint=hint)


# One server --------------------------------------------------------------------------------------


class _Server:
    """A server from start to end. Its `async` methods run on the engine."""

    def __init__(self, config: ServerConfig, submit: Submit) -> None:
        self.config = config
        self.tools: dict[str, FunctionTool] = {}  # by their own names
        self.state = "not started"
        self._submit = submit
        self._secrets: list[str] = []
        self._program = Program()
        self._client: Client | None = None
        self._life: Future[Any] | None = None
        self._over = threading.Event()

    @property
    def is_running(self) -> bool:
        return self._client is not None

    def start(self, filled: ServerConfig, secrets: list[str], folder: Path) -> None:
        """Start the server, and list its tools. Raises `UsageError`, `ToolServerError`."""
        import mcp  # noqa: F401  # takes a second, which the engine's streams need not wait

        for name in [*logging.root.manager.loggerDict]:
            if name.partition(".")[0] in _LOGGERS:
                logging.getLogger(name).addFilter(log_without_keys)
        self._secrets = secrets
        know(*(each for each in secrets if re.search(r"\d", each) and len(each) >= _SURELY_SECRET))
        _check(filled)
        ready: Future[None] = Future()
        self.state = "starting"
        self._life = self._submit(self._live(filled, folder, ready))
        try:
            wait_for_future(ready, _TO_START)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise self._error(f"did not answer within {_TO_START:.0f} s") from None
            raise

    def list_tools(self) -> None:
        """List the tools again, as they may change. Raises `ToolServerError`, `TimeoutError`."""
        wait_for_future(self._submit(self._list()), _TO_LIST)

    def stop(self) -> None:
        """Ask the server to end."""
        self._client = None
        if self._life is not None:
            self._life.cancel()

    def close(self) -> None:
        """End the server, by signals if it does not end by itself."""
        self.stop()
        if self._life is not None and not self._over.wait(3 * TO_END) and self._program.pid:
            self._program.signal(signal.SIGKILL)  # the engine is stuck, or no more
        self.state = "failed" if self.state == "starting" else "ended"

    async def _live(self, config: ServerConfig, folder: Path, ready: Future[None]) -> None:
        from mcp import Client

        try:
            transport = over_http(config) if config.url else self._program.streams(config, folder)
            async with Client(transport) as client:
                self._client = client
                await self._list()
                self.state = "running"
                if not ready.done():
                    ready.set_result(None)
                await asyncio.Event().wait()  # until this task is cancelled
        except Exception as error:  # whatever the SDK, the system or the network raises
            if not ready.done():
                ready.set_exception(self._error("could not be started", error))
        finally:
            self._client = None
            self._over.set()

    async def _list(self) -> None:
        client, found = self._client, []
        if client is None:
            raise self._error("has ended")
        page = await self._answered(client.list_tools())
        found += page.tools
        for _ in range(_MOST_PAGES):
            if not page.next_cursor:
                break
            page = await self._answered(client.list_tools(cursor=page.next_cursor))
            found += page.tools
        made = with_distinct_names(
            {tool.name: self._tool(tool) for tool in found}, self.config.name
        )
        # One that is as it was is the very same, also for a list of tools that names it twice.
        kept = {
            own: tool
            for own, tool in self.tools.items()
            if own in made and made[own].identity == tool.identity
        }
        self.tools = {**made, **kept}

    async def _call(self, name: str, arguments: JSON) -> object:
        if self._client is None:
            raise self._error("has ended")
        result = await self._answered(self._client.call_tool(name, arguments))
        value = self._without_secrets(value_of(result))
        if result.is_error:
            raise ToolServerError(value if isinstance(value, str) else json.dumps(value))
        images = images_of(result)
        return Pictured(value, images) if images else value

    async def _answered(self, request: Coroutine[Any, Any, T]) -> T:
        """The server's reply to a request. Raises `ToolServerError`."""
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        try:
            return await request
        except MCPError as error:
            if error.code != CONNECTION_CLOSED:
                raise self._error("refused", error) from None
        except Exception as error:  # of the network, or an answer that is none
            raise self._error("gave no answer", error) from None
        self.state, self._client = "ended", None
        if self._life is not None:
            self._life.cancel()
        await asyncio.sleep(_TO_READ)  # its last words
        raise self._error("ended before it answered")

    def _tool(self, tool: Tool) -> FunctionTool:
        name = tool.name

        def call(**arguments: Any) -> Future[Any]:
            return self._submit(self._call(name, arguments))

        told = self._without_secrets(tool.description or tool.title or "")
        schema = parameters_of(tool.input_schema)
        return FunctionTool(
            wire_name(f"{self.config.name}__{name}"),
            str(told)[:LONGEST_DESCRIPTION],
            schema,
            call,
            identity=(self.config, name, told, schema),
            server=self.config.name,
        )

    def _error(self, what: str, cause: BaseException | None = None) -> ToolServerError:
        """What happened, its cause, and the server's last line on stderr; without secrets."""
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        mask = Secrets(self._secrets).mask
        words = f"{cause}" or type(cause).__name__
        lines = [mask(line) for line in self._program.lines][-_TOLD_LINES:]
        return ToolServerError(
            f"The MCP server {self.config.name} {what}.",
            why=clipped(mask(words), 1_000) if cause is not None else "",
            hint=f"It wrote: {' | '.join(lines)}" if lines else "",
        )

    def _without_secrets(self, value: Any) -> Any:
        """`value` (JSON) without what `mcp.json` gave the server to keep."""
        secrets = sorted(self._secrets, key=len, reverse=True)
        found = "|".join(re.escape(each) for each in secrets if len(each) >= _SURELY_SECRET)
        return with_texts(value, lambda text: re.sub(found, MASKED, text)) if found else value


def _check(config: ServerConfig) -> None:
    """Raise `UsageError` for a configuration that cannot be started."""
    if config.url:
        if not config.url.startswith(("https://", "http://")):
            raise UsageError(f"The address of the MCP server {config.name} is none of HTTP.")
        if config.headers and is_open(config.url):
            raise UsageError(
                f"The headers of the MCP server {config.name} would go over plain http, which "
                "others can read.",
                hint="Use https.",
            )
        return
    if not config.command:
        raise UsageError(f"The MCP server {config.name} has neither a command nor a url.")
    path = config.env.get("PATH")
    if "/" not in config.command and shutil.which(config.command, path=path) is None:
        raise UsageError(f"The command of the MCP server {config.name} is not installed.")

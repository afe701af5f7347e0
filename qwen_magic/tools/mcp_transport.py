"""The ways to an MCP server: what the SDK's `Client` takes as its transport."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from qwen_magic.document.words import clipped
from qwen_magic.tools.mcp_format import ServerConfig

TO_END: Final = 1.0  # seconds for a server to end by itself, and again after each signal
_TICK: Final = 0.01
_KEPT_LINES: Final = 20  # of a server's stderr
_LONGEST_LINE: Final = 300  # characters
_LARGEST_MESSAGE: Final = 64 * 1024 * 1024  # bytes


@asynccontextmanager
async def over_http(config: ServerConfig) -> AsyncIterator[Any]:
    """Streamable HTTP, by the SDK."""
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    try:
        client = create_mcp_http_client(headers=dict(config.headers))
    except OSError as error:  # what the environment names in place of the machine's own
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        why = error.strerror or error
        raise OSError(f"The certificates in {named} cannot be read: {why}.") from error
    async with (
        client as http,
        streamable_http_client(config.url, http_client=http) as streams,
    ):
        yield streams


class Program:
    """A server as a program: messages on its stdin and stdout, a line each.

    In the place of the SDK's `stdio_client`, which takes seconds for a message of megabytes (it
    joins all that came with every piece), hides the process, and lets it live for four seconds.
    """

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)  # the last ones of stderr
        self.pid = 0

    @asynccontextmanager
    async def streams(self, config: ServerConfig, folder: Path) -> AsyncIterator[Any]:
        """Start it, hand out the streams that the SDK takes, and end it."""
        from anyio import create_memory_object_stream
        from mcp.client.stdio import get_default_environment

        process = await asyncio.create_subprocess_exec(
            config.command,
            *config.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=config.cwd or folder,
            env={**get_default_environment(), **config.env},  # no keys of the kernel's
            start_new_session=True,
            limit=_LARGEST_MESSAGE,
        )
        self.pid = process.pid
        to_client, incoming = create_memory_object_stream[Any](0)
        outgoing, to_server = create_memory_object_stream[Any](0)
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._read(process.stdout, to_client),
                self._write(process.stdin, to_server, to_client),
                self._keep(process.stderr),
            )
        ]
        try:
            yield incoming, outgoing
        finally:
            for task in tasks[:2]:
                task.cancel()
            for stream in (to_client, incoming, outgoing, to_server):
                stream.close()
            if process.stdin is not None:
                process.stdin.close()
            await self._end()
            with suppress(TimeoutError):  # of one that no signal ended
                # Its group is gone; the loop hears of it from another thread, a moment later.
                await asyncio.wait_for(process.wait(), TO_END)
            tasks[2].cancel()

    async def _read(self, stdout: Any, to_client: Any) -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        async with to_client:
            try:
                async for line in stdout:
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError:  # what a careless server prints
                        self._add(line)
                        continue
                    await to_client.send(SessionMessage(message))
            except ValueError:  # of the stream
                self._add(f"(a message of more than {_LARGEST_MESSAGE:,} bytes)".encode())

    async def _write(self, stdin: Any, to_server: Any, to_client: Any) -> None:
        with suppress(ConnectionError):
            async for message in to_server:
                told = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                stdin.write(f"{told}\n".encode())
                await stdin.drain()
        to_client.close()  # so that nobody waits for what cannot come

    async def _keep(self, stderr: Any) -> None:
        rest = b""
        while piece := await stderr.read(65_536):
            *whole, rest = (rest + piece).split(b"\n")
            rest = rest[-_LONGEST_LINE:]
            for line in whole:
                self._add(line)
        self._add(rest)

    def _add(self, line: bytes) -> None:
        text = " ".join(line[: 4 * _LONGEST_LINE].decode("utf-8", "replace").split())
        if text:
            self.lines.append(clipped(text, _LONGEST_LINE))

    async def _end(self) -> None:
        """Wait for it, and all that it started: by itself, after SIGTERM, after SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL, None):
            for _ in range(int(TO_END / _TICK)):
                if not self.signal(0):
                    return
                await asyncio.sleep(_TICK)
            if number is not None:
                self.signal(number)

    def signal(self, number: int) -> bool:
        """Send its group a signal (0: none); whether there is any of it left."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # of zombies, on some systems
            return True
        return True

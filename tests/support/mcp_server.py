"""A real MCP server, written with the official SDK: over stdio, or over HTTP on a free port.

python mcp_server.py            speaks on stdin and stdout
python mcp_server.py http       prints its address first
python mcp_server.py stubborn   neither ends with its stdin nor by SIGTERM
"""

import asyncio
import os
import signal
import socket
import sys
import time

import uvicorn
from mcp.server.mcpserver import Image, MCPServer

server = MCPServer("tests")
LONG = {"rows": [{"city": "Bern", "secret_column": 1}]}


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


@server.tool(name="say.it")
def say(text: str) -> str:
    """Says it."""
    return text


@server.tool(name="say_it")
def say_again(text: str) -> str:
    """Says it twice."""
    return text * 2


@server.tool()
def rows() -> dict[str, list[dict[str, int | str]]]:
    """Some rows."""
    return LONG


@server.tool()
def environment() -> str:
    """Tells what it should not."""
    return f"{os.environ.get('SERVICE_KEY')} {os.environ.get('DASHSCOPE_API_KEY')}"


@server.tool()
def fails() -> str:
    """Fails."""
    raise ValueError(f"no luck with {os.environ.get('SERVICE_KEY')}")


@server.tool()
def megabytes(count: int) -> str:
    """A long text."""
    return "x" * (count * 1_000_000)


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=b"\x89PNG\r\n\x1a\n", format="png")


@server.tool()
async def slow(for_seconds: float) -> str:
    """Takes its time."""
    await asyncio.sleep(for_seconds)
    return "at last"


@server.tool()
def crash() -> str:
    """Ends the server in the middle of the call."""
    sys.stderr.write(f"about to crash, with {os.environ.get('SERVICE_KEY')}\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool()
def grow() -> str:
    """Offers one more tool from now on."""
    server.add_tool(lambda: "new", name="grown", description="A new one.")
    return "grown"


@server.tool()
def pid() -> int:
    """The process."""
    return os.getpid()


if __name__ == "__main__":
    how = sys.argv[1] if len(sys.argv) > 1 else ""
    if how == "broken":
        sys.exit("cannot start: " + os.environ.get("SERVICE_KEY", ""))
    if how == "http":
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # before its address is told
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
        sys.stdout.flush()
        config = uvicorn.Config(server.streamable_http_app(), log_level="error")
        uvicorn.Server(config).run(sockets=[listener])
        sys.exit()
    sys.stderr.write("ready\n" * 50)
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server.run("stdio")
    while how == "stubborn":
        time.sleep(1)

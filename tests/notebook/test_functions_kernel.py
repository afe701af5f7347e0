"""Functions of the notebook as tools, in real kernels without a front end."""

import time

import pytest
from demo_server import asked
from fuzz import patience
from real_jupyter import wait_until

pytestmark = pytest.mark.kernel

TOOLS = '''
import asyncio, threading, time
from qwen_magic import tool
ran = []
bound = asyncio.Event()  # of this kernel's loop, once somebody waits for it

@tool
def rows(where: str) -> list[str]:
    """Rows that match."""
    ran.append((where, threading.current_thread() is threading.main_thread()))
    return [where]

@tool
async def waits(x: int) -> int:
    """Waits for a task of the kernel's own loop."""
    async def sets():
        await asyncio.sleep(0.05)
        bound.set()
    task = home.create_task(sets())
    await bound.wait()
    await task
    ran.append(asyncio.get_running_loop() is home)
    return 2 * x

@tool
def sleeps(seconds: float) -> str:
    """Blocks."""
    time.sleep(seconds)
    return "awake"

@tool
def draws() -> object:
    """Draws."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(1, 1))
    figure.subplots()
    return [figure]

@tool
async def quits() -> str:
    """Ends the process, as a command-line library does."""
    raise SystemExit(3)

@tool
async def idles(seconds: float) -> str:
    """Waits."""
    await asyncio.sleep(seconds)
    return "awake"
'''
BIND = """
home = asyncio.get_running_loop()
bound = asyncio.Event()
try:
    await asyncio.wait_for(bound.wait(), 0.01)
except TimeoutError:
    pass
"""


@pytest.fixture
def kernel(process, server):
    process.forget()
    process.ok("%reload_ext qwen_magic")
    process.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
    process.ok('%config QwenMagics.unattended = "refuse"')  # a reload keeps what was configured
    process.ok("%config QwenMagics.nest_asyncio = True")
    process.ok(TOOLS)
    process.ok(BIND)
    yield process
    process.ok("%unload_ext qwen_magic")


@pytest.fixture
def allowing(kernel):
    kernel.ok('%config QwenMagics.unattended = "allow"')
    return kernel


def value(kernel, expression):
    return kernel.ok(expression).result["text/plain"]


def test_a_figure_that_a_function_gives_stands_in_the_saved_output(allowing):
    ran = allowing.ok("%%qwen -t draws\ncall draws()")
    assert ran.final["text/html"].count('src="data:image/png;base64,') == 1
    assert "figure: returned by draws" in ran.final["text/plain"]
    assert "base64" not in ran.final["text/markdown"]
    assert "base64" not in str([metadata for _, _, metadata in ran.displays])  # of the turn


@pytest.mark.parametrize("cell", ["%%qwen -t rows\n", "%%time\n%%qwen -t rows\n"])
def test_where_nobody_can_be_asked_nothing_runs(kernel, cell):
    ran = kernel.ok(cell + "call rows(where='a')")
    assert value(kernel, "ran") == "[]"
    plain = ran.final["text/plain"]
    assert "Refused" in plain
    assert "nobody could be asked" in plain
    assert "QwenMagics.unattended" in plain


def test_a_cell_that_awaits_runs_functions_on_the_main_thread(allowing):
    ran = allowing.ok("%%qwen -t rows,waits\ncall rows(where='a') and waits(x=21)")
    assert value(allowing, "ran") == "[('a', True), True]"
    assert 'Called · rows(where="a") → ["a"]' in ran.final["text/plain"]
    assert "Called · waits(x=21) → 42" in ran.final["text/plain"]
    assert "nest_asyncio2" not in ran.final["text/plain"]


def test_an_asynchronous_function_in_a_blocking_cell_and_all_that_must_work_afterwards(
    allowing, server
):
    ran = allowing.ok("%%time\n%%qwen -t waits\ncall waits(x=21)")
    assert "Called · waits(x=21) → 42" in ran.final["text/plain"]
    assert "nest_asyncio2 made this event loop re-entrant" in ran.final["text/plain"]
    assert value(allowing, "ran") == "[True]", "on the kernel's own loop"

    again = allowing.ok("%%time\n%%qwen -t waits\ncall waits(x=4)")
    assert "nest_asyncio2" not in again.final["text/plain"], "said once"
    api = "from qwen_magic import Qwen; qwen = Qwen(endpoint={!r}, unattended='allow')"
    allowing.ok(api.format(server.base_url))
    assert value(allowing, "qwen.ask('call waits(x=5)', tools=[waits]).tool_calls[0].output") == (
        "'10'"
    )
    assert value(allowing, "await asyncio.sleep(0.01, 'await')") == "'await'"
    assert (
        "Called · waits(x=6) → 12"
        in allowing.ok("%%qwen -t waits\ncall waits(x=6)").final["text/plain"]
    )

    server.set(delay=0.05)
    for cell in ("%%qwen\n", "%%time\n%%qwen\n"):
        count = len(asked(server))
        message = allowing.send(cell + "write at length")
        wait_until(lambda n=count: len(asked(server)) > n and asked(server)[-1].events > 8)
        allowing.interrupt()
        ran = allowing.collect(message)
        assert (ran.status, bool(asked(server)[-1].closed_at)) == ("error", True)
        assert "KeyboardInterrupt" in "".join(ran.traceback)
    server.set(delay=0.0)
    order = [allowing.send(f"ran.append({n})") for n in range(3)]
    for message in order:
        assert allowing.collect(message).status == "ok"
    assert value(allowing, "ran[-3:]") == "[0, 1, 2]"


def test_nesting_can_be_forbidden(allowing, server):
    allowing.ok("%config QwenMagics.nest_asyncio = False")
    ran = allowing.run("%%time\n%%qwen -t waits\ncall waits(x=21)")
    assert ran.status == "error"
    assert "waits is asynchronous" in ran.traceback[0]
    assert "%%qwen" in "".join(ran.traceback)
    assert asked(server) == []
    allowing.ok("%%qwen -t waits\ncall waits(x=21)")


@pytest.mark.parametrize("call", ["sleeps(seconds=30)", "idles(seconds=30)"])
@pytest.mark.parametrize("cell", ["%%qwen", "%%time\n%%qwen"])
def test_an_interrupt_reaches_a_function(allowing, server, call, cell):
    name = call.partition("(")[0]
    message = allowing.send(f"{cell} -t {name}\ncall {call}")
    wait_until(lambda: asked(server) and asked(server)[-1].ended_at, 20, "the call")
    time.sleep(0.4)
    pressed = time.monotonic()
    allowing.interrupt()
    ran = allowing.collect(message)
    assert time.monotonic() - pressed < patience(10)
    assert ran.status == "error"
    assert "KeyboardInterrupt" in "".join(ran.traceback)
    assert "Stopped after" in ran.final["text/plain"]
    assert "stopped" in ran.final["text/plain"]
    assert len(asked(server)) == 1
    done = allowing.ok("%%qwen -t rows\ncall rows(where='a')")
    assert "Called" in done.final["text/plain"]
    assert "previous_response_id" not in asked(server)[1].body, "a stopped turn is no head"


@pytest.mark.parametrize(
    "cell",
    [
        "await asyncio.gather(*[qwen.aask('call sleeps(seconds=30)', tools=[sleeps])])",
        "await asyncio.ensure_future(qwen.aask('call sleeps(seconds=30)', tools=[sleeps]))",
    ],
)
def test_an_interrupt_of_a_task_leaves_the_kernel_alive(allowing, server, cell):
    allowing.ok(f"from qwen_magic import Qwen\nqwen = Qwen(endpoint={server.base_url!r},"
                " unattended='allow')")  # fmt: skip
    message = allowing.send(cell)
    wait_until(lambda: asked(server) and asked(server)[-1].ended_at, 20, "the call")
    time.sleep(0.4)
    allowing.interrupt()
    assert allowing.collect(message).status == "error"
    assert value(allowing, "1 + 1") == "2"
    assert "Called" in allowing.ok("%%qwen -t rows\ncall rows(where='a')").final["text/plain"]


@pytest.mark.parametrize("cell", ["%%qwen", "%%time\n%%qwen"])
def test_a_function_cannot_end_the_kernel(allowing, cell):
    ran = allowing.ok(f"{cell} -t quits\ncall quits()")
    assert "Function failed" in ran.final["text/plain"]
    assert "SystemExit: 3" in ran.final["text/plain"]
    assert value(allowing, "1 + 1") == "2"


@pytest.mark.parametrize("cell", ["%%qwen", "%%time\n%%qwen"])
def test_a_question_at_the_cells_input(kernel, server, cell):
    """Where no view listens, but the front end takes input."""
    message = kernel.send(f"{cell} -t rows\ncall rows(where='a')", stdin=True)
    kernel.client.get_stdin_msg(timeout=20)
    pressed = time.monotonic()
    kernel.interrupt()
    ran = kernel.collect(message)
    assert time.monotonic() - pressed < patience(10)
    assert ran.status == "error"
    assert "Run rows here?" in ran.stdout
    assert value(kernel, "ran") == "[]"
    assert len(asked(server)) == 1

    message = kernel.send(f"{cell} -t rows\ncall rows(where='b')", stdin=True)
    kernel.client.get_stdin_msg(timeout=20)
    kernel.client.input("y")
    assert "Called" in kernel.collect(message).final["text/plain"]
    assert value(kernel, "[where for where, _ in ran]") == "['b']"


def test_the_list_of_tools_and_their_completion(kernel):
    shown = kernel.ok("%qwen_tools").displays[0][1]["text/plain"]
    assert "Rows that match." in shown
    assert "your approval" in shown
    assert "rows" in kernel.complete("%%qwen -t ro")
    assert "Forgotten: 0" in kernel.ok("%qwen_tools --forget").stdout


def test_a_function_that_cannot_be_a_tool_says_so(kernel, server):
    kernel.ok("def many(*names): ...")
    ran = kernel.run("%%qwen -t many\nhello")
    assert "many cannot be a tool: it takes *names" in ran.traceback[0]
    assert asked(server) == []

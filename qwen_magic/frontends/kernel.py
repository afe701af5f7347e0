"""What the running kernel can do, found by ability: cell ids, comm messages during a cell.

Each mechanic stands here once, with what happens where it is missing:

- no cell id (terminal, scripts, some front ends): "" — a turn is then always appended;
- a comm message cannot be handled while a cell runs: Stop is then not offered by the caller.

The private names used are ipykernel's own (6.29 to 7.4 read); each is looked for, never assumed.
"""

from __future__ import annotations

import base64
import inspect
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TextIO

from IPython.core.displaypub import CapturingDisplayPublisher

TOGETHER: Final = 0.1  # seconds between requests that nobody made one by one
EXTENSION: Final = "_qwen_magic"  # where a shell keeps its extension


def running_shell() -> Any:
    """The IPython shell of this process, or None; IPython is not imported for it."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def kernel_of(shell: Any) -> Any | None:
    """The kernel that runs `shell`; None in a terminal or script."""
    return getattr(shell, "kernel", None)


def check_threads() -> None:
    """Raise `UsageError` if Python has no threads, which every answer needs."""
    try:
        threading.Thread(target=int, name="qwen-probe").start()
    except RuntimeError as error:  # Pyodide's words: "can't start new thread"
        from qwen_magic.errors import UsageError

        raise UsageError(
            "qwen_magic cannot run here: this Python has no threads.",
            why=f"{error} (as where Python runs in the browser, in JupyterLite)",
            hint="Use JupyterLab, Notebook 7 or a script with a Python of their own.",
        ) from None


def cell_id(shell: Any) -> str:
    """The id of the cell being executed, as JupyterLab, Notebook 7 and VS Code send it."""
    return str((_request(shell).get("metadata") or {}).get("cellId") or "")


def message_id(shell: Any) -> str:
    """The id of the request being executed."""
    return str((_request(shell).get("header") or {}).get("msg_id") or "")


def request_session(shell: Any) -> str:
    """The session of the page that sent the request being executed."""
    return str((_request(shell).get("header") or {}).get("session") or "")


def cell_mark(shell: Any) -> Mapping[str, Any]:
    """What the page reports about the executing cell if it is a proposed step or starts a goal.

    `step`, `cell`, `open`: its metadata; `run`: "alone" or "together" with others
    (labextension/static/steps.js).
    """
    mark = (_request(shell).get("metadata") or {}).get("qwen")
    return mark if isinstance(mark, Mapping) else {}


class Requests:
    """Tells whether cells are run one by one or together (Run All).

    Together, the requests are milliseconds apart by the page's clock; people take a fifth of a
    second.
    """

    def __init__(self) -> None:
        self.are_together = False
        self._newest: tuple[str, datetime | None] = ("", None)

    def look(self, shell: Any) -> None:
        """Called before a cell runs."""
        header = _request(shell).get("header") or {}
        id, date = message_id(shell), header.get("date")
        if id == self._newest[0]:
            return
        last, self._newest = self._newest[1], (id, date if isinstance(date, datetime) else None)
        gap = (self._newest[1] - last).total_seconds() if self._newest[1] and last else math.inf
        said = cell_mark(shell).get("run")
        self.are_together = said == "together" if said else abs(gap) < TOGETHER


def takes_input(shell: Any) -> bool:
    """Whether the sender of the cell can be asked for input.

    A front end can; nbclient, papermill, `jupyter execute` and Voila cannot, and nobody sees what
    they run. Messages of widgets do not say; ipykernel keeps the last cell's setting.
    """
    said = (_request(shell).get("content") or {}).get("allow_stdin")
    return bool(getattr(kernel_of(shell), "_allow_stdin", True) if said is None else said)


def writes_to_terminal(out: TextIO) -> bool:
    """Whether the process itself writes to a terminal, as a kernel does that `jupyter console`
    started (and one of a server that was started in a terminal); ipykernel keeps where that is."""
    try:
        return os.isatty(out.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def is_captured(shell: Any) -> bool:
    """Whether output is being captured (`%%capture`, `capture_output`)."""
    return isinstance(shell.display_pub, CapturingDisplayPublisher)


class LastFigure:
    """The figure that the notebook showed last, for `-i last`.

    matplotlib closes figures when their cell ends, so what was published is kept: ipykernel passes
    each message through hooks. Without a kernel only results are seen.
    """

    def __init__(self, shell: Any) -> None:
        self.value: object = None  # bytes, or the object that was a cell's result
        self._publisher = shell.display_pub
        if hasattr(self._publisher, "register_hook"):
            self._publisher.register_hook(self._published)

    def close(self) -> None:
        self.value = None
        if hasattr(self._publisher, "unregister_hook"):
            self._publisher.unregister_hook(self._published)

    def _published(self, message: Any) -> Any:
        data = message.get("content", {}).get("data") or {}
        shown = data.get("image/png") or data.get("image/jpeg")
        if isinstance(shown, str):
            try:
                self.value = base64.b64decode(shown)
            except ValueError:  # whatever a library published
                return message
        return message


def _request(shell: Any) -> Mapping[str, Any]:
    kernel = kernel_of(shell)
    if kernel is None or not hasattr(kernel, "get_parent"):
        return {}
    try:
        return kernel.get_parent("shell") or {}
    except TypeError:  # of kernels with one channel, as Pyodide's
        return kernel.get_parent() or {}


def keep_requests(shell: Any) -> Callable[[], None]:
    """Make each execution end as its own; gives what undoes that.

    While a cell awaits, ipykernel 7.4 handles a widget's message beside it and puts back afterwards
    the request that was running when the message came. Where one cell ended and the next began
    meanwhile, that is the wrong one: the idle status of the next cell says that the earlier one is
    done, and a page shows the next one as running for ever.
    """
    kernel = kernel_of(shell)
    handlers = getattr(kernel, "shell_handlers", None)
    if kernel is None or handlers is None or "execute_request" not in handlers:
        return lambda: None
    plain = handlers["execute_request"]

    async def execute(stream: Any, ident: Any, request: Any) -> None:
        try:
            done = plain(stream, ident, request)
            if inspect.isawaitable(done):
                await done
        finally:
            kernel.set_parent(ident, request, "shell")

    def undo() -> None:
        if handlers["execute_request"] is execute:
            handlers["execute_request"] = plain

    handlers["execute_request"] = execute
    return undo


def let_pages_in(shell: Any) -> Callable[[], None]:
    """Make comm messages arrive while a cell awaits, as in ipykernel 7.4; gives what undoes that.

    ipykernel 7.0 to 7.3 hold all that comes to the main shell until the cell ends; with it what a
    page that was loaded again asks for the kernel's widgets. A subshell gets only what is sent to
    a widget that the page knows.
    """
    kernel = kernel_of(shell)
    lock = getattr(kernel, "_main_asyncio_lock", None)
    manager = getattr(getattr(kernel, "shell_channel_thread", None), "manager", None)
    plain = getattr(kernel, "shell_main", None)
    if kernel is None or lock is None or manager is None or plain is None:
        return lambda: None
    if "concurrent" in inspect.signature(kernel.dispatch_shell).parameters:
        return lambda: None  # it does so itself

    async def receive(subshell: str | None, frames: Any) -> None:
        if not (subshell is None and lock.locked() and _answer_comm(kernel, frames)):
            await plain(subshell, frames)

    manager.set_on_recv_callback(receive)
    return lambda: manager.set_on_recv_callback(plain)


def _answer_comm(kernel: Any, frames: Any) -> bool:
    """Handle a message of the shell channel at once if it is a comm's; return whether it was.

    Its handlers never suspend, so no cell starts or ends meanwhile.
    """
    session = kernel.session
    try:
        ident, signed = session.feed_identities(frames, copy=False)
        name = session.deserialize(signed, content=False, copy=False)["header"]["msg_type"]
        if name not in ("comm_open", "comm_msg", "comm_close"):
            return False
        message = session.deserialize(signed, copy=False)
    except Exception:
        return False  # not a message of the shell channel: the kernel's own business
    running = kernel._get_shell_context_var(kernel._shell_parent_ident), kernel.get_parent("shell")
    kernel.set_parent(ident, message, "shell")
    try:
        kernel._publish_status("busy", "shell")
        kernel.shell_handlers[name](None, ident, message)
    finally:
        kernel._publish_status("idle", "shell")
        kernel.set_parent(*running, "shell")
    return True


def stop_reaches_sync_cell(shell: Any, widget: Any) -> bool:
    """Make comm messages of `widget` arrive while a synchronous cell blocks the main thread.

    ipykernel 7.4 sends replies to the (sub)shell that last *sent* on the comm, which is the
    blocked one; shadowing that choice lets them go to a subshell's thread. ipykernel 6 has no
    subshells: `CommPump` fetches them. False: neither is there, so a Stop button could not work.
    """
    comm = getattr(widget, "comm", None)
    if comm is not None and hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
        return True
    kernel = kernel_of(shell)
    return bool(getattr(kernel, "_supports_kernel_subshells", False)) or CommPump.works(kernel)


class CommPump:
    """Answers the comm messages that wait in ipykernel 6's queue while a cell runs.

    ipykernel 6 handles one shell message at a time, so that a click waits for the cell's end.
    `step` dispatches the waiting `comm_*` messages and holds all others, `close` puts those back in
    their order. Elsewhere (ipykernel 7, no kernel) there is nothing to do: `step` is None.
    """

    def __init__(self, shell: Any) -> None:
        kernel = kernel_of(shell)
        self._kernel = kernel if self.works(kernel) else None
        self._held: list[tuple[Any, Any, Any]] = []
        self.step = self._step if self._kernel is not None else None

    @staticmethod
    def works(kernel: Any) -> bool:
        return all(
            hasattr(kernel, name)
            for name in ("msg_queue", "shell_stream", "session", "set_parent", "_parent_ident")
        )

    def _step(self) -> None:
        """Dispatch the waiting messages. ipykernel 6's comm handlers never suspend, so none is
        awaited.
        """
        coroutine = self._dispatch()
        try:
            coroutine.send(None)
        except StopIteration:
            return
        coroutine.close()

    async def _dispatch(self) -> None:
        self._kernel.shell_stream.flush()  # type: ignore[union-attr]
        for item in self._waiting():
            _index, dispatch, args = item
            if not self._is_comm(args):
                self._held.append(item)
                continue
            with self._same_parent():
                await dispatch(*args)

    def close(self) -> None:
        """Put back the messages that were held. Call it before the cell ends."""
        for item in self._held:
            self._kernel.msg_queue.put_nowait(item)  # type: ignore[union-attr]
        self._held.clear()

    def _waiting(self) -> Iterator[tuple[Any, Any, Any]]:
        queue = self._kernel.msg_queue  # type: ignore[union-attr]
        items = []
        while queue.qsize():
            items.append(queue.get_nowait())
        return iter(items)

    def _is_comm(self, args: Any) -> bool:
        session = self._kernel.session  # type: ignore[union-attr]
        try:
            _idents, frames = session.feed_identities(args[0], copy=False)
            message = session.deserialize(frames, content=False, copy=False)
            return str(message["header"]["msg_type"]).startswith("comm_")
        except Exception:
            return False  # not a message of the shell channel: the kernel's own business

    @contextmanager
    def _same_parent(self) -> Iterator[None]:
        """Dispatching makes the comm message the parent of outputs; ours is still the cell."""
        kernel = self._kernel
        assert kernel is not None
        ident = dict(kernel._parent_ident).get("shell")
        parent = kernel.get_parent("shell")
        try:
            yield
        finally:
            kernel.set_parent(ident, parent, "shell")

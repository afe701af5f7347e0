"""Loading and unloading: everything that the extension puts into a shell, and takes out again."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.magic import MAGIC_NO_VAR_EXPAND_ATTR

from qwen_magic.frontends.kernel import (
    EXTENSION,
    LastFigure,
    Requests,
    cell_mark,
    check_threads,
    keep_requests,
    kernel_of,
    let_pages_in,
    takes_input,
)
from qwen_magic.magics.transformer import ASYNC_NAMES, transform

if TYPE_CHECKING:
    from qwen_magic.magics.qwen import QwenMagics

# The classes of our magics, which are imported when one of their magics is first used: loading the
# extension costs a notebook that never asks next to nothing.
MAGICS: Final[Mapping[str, tuple[str, ...]]] = {
    "qwen.QwenMagics": ("qwen",),
    "conversations.ConversationMagics": (
        *("qwen_chat", "qwen_new", "qwen_fork", "qwen_reset", "qwen_undo", "qwen_pick"),
        "qwen_history",
    ),
    "files.FileMagics": (
        *("qwen_export", "qwen_import", "qwen_restore", "qwen_record", "qwen_replay"),
    ),
    "code.CodeMagics": ("qwen_code", "qwen_fix", "qwen_edit", "qwen_trace"),
    "files.PromptMagics": ("qwen_prompt",),
    "service.ServiceMagics": (
        *("qwen_models", "qwen_tools", "qwen_key", "qwen_demo", "qwen_local", "qwen_doctor"),
        "qwen_usage",
    ),
    "steps.StepMagics": ("qwen_step",),
}
_LEFT_OUT: Final = (
    "Qwen proposes this cell, and nobody has run it yet: where several cells are run, it is left "
    "out. Run it by itself, or delete it."
)
_PLAIN: Final = (bool, int, float, complex, str, type(None))  # results that are no figure
_REGISTERED: Final = (
    *(("line", name) for names in MAGICS.values() for name in names),
    ("cell", "qwen"),
)
# What the first answer imports, in an order of small steps, so that no cell waits long for one.
_WARM: Final = (
    "qwen_magic.magics.asking",
    "qwen_magic.client.http",
    "qwen_magic.client",
    "qwen_magic.client.reader",
    "qwen_magic.document.build",
    "qwen_magic.document.markdown",
    "qwen_magic.frontends.jupyter",
    "qwen_magic.magics.actions",
    "qwen_magic.session.turn",
)
_AFTER_LOAD: Final = 0.2  # seconds: what is asked at once needs no competitor
_SWITCH: Final = 0.0005  # seconds after which a cell that wants to run interrupts the warm-up


class _Waiting:
    # A magic whose class is imported when it is called, or when its help is asked for.

    needs_local_scope = True

    def __init__(self, find: Callable[[str], Any], name: str) -> None:
        self._find = find
        self.__name__ = name
        setattr(self, MAGIC_NO_VAR_EXPAND_ATTR, True)

    def __call__(self, *given: Any, local_ns: Any = None) -> Any:
        found = self._find(self.__name__)
        own = {"local_ns": local_ns} if getattr(found, "needs_local_scope", False) else {}
        return found(*given, **own)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        doc: str | None = self._find(self.__name__).__doc__
        return doc


class Extension:
    """What is installed in one shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.last_figure = LastFigure(shell)
        self._requests = Requests()
        self._left_out = False  # the running cell is a proposal that nobody has run
        self._error: BaseException | None = None  # of the last cell before our first magic
        self._made: dict[str, Any] = {}  # the instances of `MAGICS`
        self._awaited = {called: self._awaitable(name) for name, called in ASYNC_NAMES.items()}
        self._complete = self._matcher()
        self._depth = 0
        self._cold = threading.Event()  # nothing is to be warmed up, or no more
        self._warming = threading.Lock()  # held while something is

    def load(self) -> None:
        shell = self.shell
        for kind, name in _REGISTERED:
            shell.magics_manager.register_function(_Waiting(self._find, name), kind, name)
        shell.input_transformers_cleanup.insert(0, self._transform)
        shell.events.register("pre_run_cell", self._pre_run_cell)
        shell.events.register("post_run_cell", self._post_run_cell)
        shell.user_ns.update(self._awaited)
        shell.user_ns_hidden.update(self._awaited)
        shell.Completer.custom_matchers.append(self._complete)
        atexit.register(self._close)
        self._releases = keep_requests(shell), let_pages_in(shell)

        if self._may_warm_up():
            threading.Thread(target=self._warm_up, name="qwen-warm-up", daemon=True).start()

    @property
    def magics(self) -> QwenMagics:
        found: QwenMagics = self._find("qwen").__self__
        return found

    def _find(self, magic: str) -> Any:
        """The method that is `%magic`. Its class is imported and registered at the first call."""
        (place,) = (place for place, names in MAGICS.items() if magic in names)
        if place not in self._made:
            self._warm_no_more()
            module, _, name = place.partition(".")
            cls = getattr(import_module(f"qwen_magic.magics.{module}"), name)
            own = (self.last_figure, self._requests)
            made = self._made[place] = cls(self.shell, *own if module == "qwen" else [self.magics])
            self.shell.register_magics(made)
            if module == "code" and self._error is not None:
                made.remember(self._error)
        return getattr(self._made[place], magic)

    def _awaitable(self, magic: str) -> Callable[..., Any]:
        """The coroutine function that a top-level `%magic` becomes."""

        def awaited(*given: str) -> Any:
            return getattr(self._find(magic).__self__, f"a{magic}")(*given)

        return awaited

    def unload(self) -> None:
        """Restore the shell as it was before loading. An open stream ends as stopped."""
        shell = self.shell
        self._cold.set()
        shell.Completer.custom_matchers.remove(self._complete)
        shell.input_transformers_cleanup.remove(self._transform)
        shell.events.unregister("pre_run_cell", self._pre_run_cell)
        shell.events.unregister("post_run_cell", self._post_run_cell)
        for name in self._awaited:
            shell.user_ns.pop(name, None)
            shell.user_ns_hidden.pop(name, None)
        for kind, name in _REGISTERED:
            shell.magics_manager.magics[kind].pop(name, None)
        for made in self._made.values():
            _unregister(shell, made)
        atexit.unregister(self._close)
        for release in self._releases:
            release()
        self._close()

    def _close(self) -> None:
        if self._made:
            self.magics.close()
        self.last_figure.close()

    def _transform(self, lines: list[str]) -> list[str]:
        if self._depth == 0:
            self._requests.look(self.shell)
            is_seen = takes_input(self.shell) and not self._requests.are_together
            self._left_out = not is_seen and bool(cell_mark(self.shell).get("open"))
            if self._left_out:
                return [f"print({_LEFT_OUT!r})\n"]
        in_terminal = kernel_of(self.shell) is None
        return transform(lines, may_await=self._may_await, in_terminal=in_terminal)

    # Whether Enter ends a cell is found out without it: one of ours ends as any, in a blank line.
    _transform.has_side_effects = True  # type: ignore[attr-defined]

    def _may_await(self) -> bool:
        """Whether a cell can await: a kernel runs it on an event loop, at top level, and it is not
        disabled.
        """
        shell = self.shell
        return bool(kernel_of(shell) is not None and shell.autoawait and self._depth == 0)

    # IPython transforms a cell before it fires pre_run_cell, so that while one runs whatever is
    # transformed is nested in it.
    def _pre_run_cell(self, info: Any) -> None:
        cell = str(info.raw_cell)
        if "QwenMagics" in cell:  # %config finds what is registered
            self._find("qwen")
        if "qwen" in cell.lower():  # it imports what it needs, in its own order
            self._warm_no_more()
        if self._depth == 0 and self._made:
            self.magics.begin_execution()
        self._depth += 1

    def _post_run_cell(self, result: Any) -> None:
        self._depth = max(0, self._depth - 1)
        is_own = self._depth == 0 and not self._left_out and result.info.store_history
        if is_own and ("qwen.QwenMagics" in self._made or cell_mark(self.shell)):
            self.magics.after(result)
        if (error := result.error_in_exec or result.error_before_exec) is not None:
            if self._made:
                self._find("qwen_fix").__self__.remember(error)
            else:  # it cannot be one of ours
                self._error = error
        elif not isinstance(result.result, _PLAIN):
            from qwen_magic.context.images import may_be_image

            if may_be_image(result.result):
                self.last_figure.value = result.result

    def _matcher(self) -> Callable[[CompletionContext], SimpleMatcherResult]:
        """The completer that IPython calls beside its own; `completion` decides what Tab offers."""

        @context_matcher(identifier="qwen_magic")  # type: ignore[untyped-decorator]
        def match(context: CompletionContext) -> SimpleMatcherResult:
            text = context.full_text
            if "QwenMagics" in text:  # IPython's own completion of %config follows
                self._find("qwen")
            if "%qwen" not in text:
                return {"completions": []}
            from qwen_magic.context.models import MODEL_NAMES
            from qwen_magic.magics.completion import Choices, complete
            from qwen_magic.tools.selection import TOOL_NAMES, tool_variables

            lines = text.split("\n")
            cursor = sum(len(line) + 1 for line in lines[: context.cursor_line])
            cursor += context.cursor_position
            names = self.shell.user_ns
            choices = Choices(
                models=self.magics.asker.listed_models.get(self.magics.endpoint, MODEL_NAMES),
                tools=[
                    *TOOL_NAMES,
                    *tool_variables(names),
                    *self.magics.asker.session.servers.names(),
                ],
                chats=self.magics.asker.session.conversations.names(),
                names=lambda: list(names),
                prompts=self._find("qwen_prompt").__self__.fields,
            )
            found = complete(text, cursor, choices)
            result: SimpleMatcherResult = {
                "completions": [SimpleCompletion(text=match) for match in found.matches]
            }
            if found.matches:
                result["matched_fragment"] = text[found.start : cursor]
                result["suppress"] = True
            return result

        matcher: Callable[[CompletionContext], SimpleMatcherResult] = match
        return matcher

    def _may_warm_up(self) -> bool:
        """The setting `warm_up`, read without creating all the settings."""
        said = os.environ.get("QWEN_MAGIC_WARM_UP", "true")
        configured = self.shell.config.get("QwenMagics", {}).get("warm_up", said)
        return str(configured).lower() in ("true", "1")

    def _warm_no_more(self) -> None:
        """Wait for the import under way, and start no other.

        If two threads import one package from two ends (a module of it, and the package that
        imports it), Python can hand one of them a partly initialized module.
        """
        self._cold.set()
        with self._warming:
            pass

    def _warm_up(self) -> None:
        """Import what the first answer needs, on a thread.

        The thread yields to a cell after half a millisecond (`_SWITCH`) rather than Python's usual
        five.
        """
        if self._cold.wait(_AFTER_LOAD):
            return
        from qwen_magic.conversation import uncollected
        from qwen_magic.errors import QwenError

        interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        try:
            with uncollected():
                for module in _WARM:
                    self._cold.wait(0.01)
                    with self._warming:
                        if self._cold.is_set():
                            return
                        import_module(module)
                with suppress(QwenError):  # which the first question tells
                    import_module("qwen_magic.client.http").tls_context()
        finally:
            sys.setswitchinterval(interval)


def load(shell: Any) -> None:
    """Load into `shell`; loading again starts over. Raises `UsageError`, also where threads are
    missing.
    """
    if shell is None:  # as in marimo, whose `get_ipython` gives nothing
        from qwen_magic.errors import UsageError

        raise UsageError(
            "There are no magics here, since no IPython runs this code.",
            hint='The same from Python: from qwen_magic import Qwen; Qwen().ask("…")',
        )
    unload(shell)
    try:
        check_threads()
    except Exception as error:
        from qwen_magic.magics.base import shortened

        raise shortened(error) from None
    extension = Extension(shell)
    extension.load()
    setattr(shell, EXTENSION, extension)


def unload(shell: Any) -> None:
    """Unload from `shell`, if it is loaded there."""
    extension = getattr(shell, EXTENSION, None)
    if extension is not None:
        delattr(shell, EXTENSION)
        extension.unload()


def _unregister(shell: Any, magics: Any) -> None:
    """Undo `register_magics`, for which IPython has no function."""
    shell.magics_manager.registry.pop(type(magics).__name__, None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)

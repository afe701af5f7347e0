"""Loading and unloading: everything that the extension puts into a shell, and takes out again."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any, Final

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from qwen_magic.frontends.kernel import keep_requests, kernel_of
from qwen_magic.magics.code import CodeMagics
from qwen_magic.magics.conversations import ConversationMagics
from qwen_magic.magics.files import FileMagics
from qwen_magic.magics.local import LocalMagics
from qwen_magic.magics.prompts import PromptMagics
from qwen_magic.magics.qwen import QwenMagics
from qwen_magic.magics.service import ServiceMagics
from qwen_magic.magics.transformer import ASYNC_NAMES, transform

_ATTRIBUTE: Final = "_qwen_magic"  # where a shell keeps its extension
# What the first answer imports, in an order of small steps, so that no cell waits long for one.
_WARM: Final = (
    "qwen_magic.magics.asking",
    "qwen_magic.client",
    "qwen_magic.document",
    "qwen_magic.document.markdown",
    "qwen_magic.frontends.jupyter",
)


class Extension:
    """What is installed in one shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.magics = QwenMagics(shell)
        self._code = CodeMagics(shell, self.magics)
        self._prompts = PromptMagics(shell, self.magics)
        self._awaited = {
            ASYNC_NAMES["qwen"]: self.magics.aqwen,
            ASYNC_NAMES["qwen_fix"]: self._code.aqwen_fix,
            ASYNC_NAMES["qwen_prompt"]: self._prompts.aqwen_prompt,
        }
        self._all = [
            self.magics,
            ConversationMagics(shell, self.magics),
            FileMagics(shell, self.magics),
            self._code,
            self._prompts,
            ServiceMagics(shell, self.magics),
            LocalMagics(shell, self.magics),
        ]
        self._complete = self._matcher()
        self._depth = 0
        self._unloading = threading.Event()

    def load(self) -> None:
        shell = self.shell
        for magics in self._all:
            shell.register_magics(magics)
        shell.input_transformers_cleanup.insert(0, self._transform)
        shell.events.register("pre_run_cell", self._pre_run_cell)
        shell.events.register("post_run_cell", self._post_run_cell)
        shell.user_ns.update(self._awaited)
        shell.user_ns_hidden.update(self._awaited)
        shell.Completer.custom_matchers.append(self._complete)
        atexit.register(self.magics.close)
        self._release_requests = keep_requests(shell)
        if self.magics.warm_up:
            threading.Thread(target=self._warm_up, name="qwen-warm-up", daemon=True).start()

    def unload(self) -> None:
        """Put everything back. A stream that is open ends as stopped."""
        shell = self.shell
        self._unloading.set()
        shell.Completer.custom_matchers.remove(self._complete)
        shell.input_transformers_cleanup.remove(self._transform)
        shell.events.unregister("pre_run_cell", self._pre_run_cell)
        shell.events.unregister("post_run_cell", self._post_run_cell)
        for name in self._awaited:
            shell.user_ns.pop(name, None)
            shell.user_ns_hidden.pop(name, None)
        for magics in self._all:
            _unregister(shell, magics)
        atexit.unregister(self.magics.close)
        self._release_requests()
        self.magics.close()

    def _transform(self, lines: list[str]) -> list[str]:
        in_terminal = kernel_of(self.shell) is None
        return transform(lines, may_await=self._may_await, in_terminal=in_terminal)

    def _may_await(self) -> bool:
        """A cell can await where a kernel runs it on a loop, at the top, unless that is off."""
        shell = self.shell
        return bool(kernel_of(shell) is not None and shell.autoawait and self._depth == 0)

    # IPython transforms a cell before it fires pre_run_cell, so that while one runs whatever is
    # transformed is nested in it.
    def _pre_run_cell(self, info: object) -> None:
        if self._depth == 0:
            self.magics.begin_execution()
        self._depth += 1

    def _post_run_cell(self, result: Any) -> None:
        self._depth = max(0, self._depth - 1)
        if (error := result.error_in_exec or result.error_before_exec) is not None:
            self._code.remember(error)
        elif result.result is not None:
            from qwen_magic.context.images import may_be_image

            if may_be_image(result.result):
                self.magics.last_figure.value = result.result

    def _matcher(self) -> Callable[[CompletionContext], SimpleMatcherResult]:
        """What joins the shell's own completers; `completion` says what Tab offers."""

        @context_matcher(identifier="qwen_magic")  # type: ignore[untyped-decorator]
        def match(context: CompletionContext) -> SimpleMatcherResult:
            text = context.full_text
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
                prompts=self._prompts.fields,
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

    def _warm_up(self) -> None:
        for module in _WARM:
            if self._unloading.wait(0.05):
                return
            __import__(module)


def load(shell: Any) -> None:
    """Load into `shell`; loading again begins anew."""
    unload(shell)
    extension = Extension(shell)
    extension.load()
    setattr(shell, _ATTRIBUTE, extension)


def unload(shell: Any) -> None:
    """Unload from `shell`, if it is loaded there."""
    extension = getattr(shell, _ATTRIBUTE, None)
    if extension is not None:
        delattr(shell, _ATTRIBUTE)
        extension.unload()


def _unregister(shell: Any, magics: Any) -> None:
    """IPython has no call for this: take back what `register_magics` put in."""
    manager = shell.magics_manager
    manager.registry.pop(type(magics).__name__, None)
    for kind, names in magics.magics.items():
        for name in names:
            manager.magics[kind].pop(name, None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)

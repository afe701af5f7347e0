"""Tab completion in IPython: hooks the pure `completion.complete` into its completer."""

from __future__ import annotations

from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from qwen_magic.magics.qwen import QwenMagics


class TabCompletion:
    """One matcher among the shell's own."""

    def __init__(self, shell: Any, magics: QwenMagics) -> None:
        self._shell = shell
        self._magics = magics

        @context_matcher(identifier="qwen_magic")  # type: ignore[untyped-decorator]
        def matcher(context: CompletionContext) -> SimpleMatcherResult:
            return self._match(context)

        self._matcher = matcher

    def install(self) -> None:
        self._shell.Completer.custom_matchers.append(self._matcher)

    def remove(self) -> None:
        self._shell.Completer.custom_matchers.remove(self._matcher)

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        text = context.full_text
        if "%qwen" not in text:
            return {"completions": []}
        from qwen_magic.context.models import MODEL_NAMES
        from qwen_magic.magics.completion import complete
        from qwen_magic.tools.selection import TOOL_NAMES, tool_variables

        lines = text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[: context.cursor_line])
        cursor += context.cursor_position
        found = complete(
            text,
            cursor,
            models=MODEL_NAMES,
            tools=[*TOOL_NAMES, *tool_variables(self._shell.user_ns)],
            chats=self._magics.asker.session.conversations.names(),
            names=lambda: list(self._shell.user_ns),
        )
        result: SimpleMatcherResult = {
            "completions": [SimpleCompletion(text=match) for match in found.matches]
        }
        if found.matches:
            result["matched_fragment"] = text[found.start : cursor]
            result["suppress"] = True
        return result

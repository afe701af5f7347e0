"""An answer as an object: asked for in the prompt, checked here, repaired at most twice.

The service ignores `text.format`, so the schema goes into the prompt; endpoints that honour it get
both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from qwen_magic.answer import Answer
from qwen_magic.protocol.fields import JSON
from qwen_magic.session.plan import Ask
from qwen_magic.tools.answer_schema import Schema
from qwen_magic.tools.validation import SchemaMismatchError

REPAIRS: Final = 2


class NoWish:
    """A question whose answer is text."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask

    def repair(self, answer: Answer) -> Ask | None:
        return None

    def fulfilled(self, answer: Answer) -> Answer:
        return answer


class SchemaWish:
    """A question whose answer is to be an object."""

    def __init__(self, ask: Ask, schema: Schema) -> None:
        self._schema = schema
        self._repairs = 0
        self.ask = replace(
            ask,
            input=_with(ask.input, self._schema.prompt()),
            extra={**ask.extra, **self._format(ask)},
        )

    def repair(self, answer: Answer) -> Ask | None:
        """The question that asks for a better one; None where it fits, or enough was tried."""
        if answer.status != "completed" or self._repairs == REPAIRS:
            return None
        try:
            self._schema.parse(answer.text)
        except SchemaMismatchError as error:
            self._repairs += 1
            words = self._schema.repair(error)
            chat = answer.chat or self.ask.chat
            cell = self.ask.cell
            if cell is not None:  # one more call of the same cell
                cell = replace(cell, call=cell.call + 1000 * self._repairs)
            return replace(
                self.ask, prompt=words, input=words, chat=chat, new=False, after="", cell=cell
            )
        return None

    def fulfilled(self, answer: Answer) -> Answer:
        """The answer with its object; with the mismatch as its error where it has none."""
        if answer.error is not None or answer.status != "completed":
            return answer
        try:
            return replace(answer, parsed=self._schema.parse(answer.text))
        except SchemaMismatchError as error:
            return replace(answer, error=error)

    def _format(self, ask: Ask) -> JSON:
        wanted = self._schema.text_format()
        return {"text": wanted} if wanted and ask.endpoint.capabilities.reads("text") else {}


def _with(given: str | tuple[JSON, ...], words: str) -> str | tuple[JSON, ...]:
    """The prompt with `words` below it."""
    if isinstance(given, str):
        return f"{given}\n\n{words}"
    return (*given, {"role": "user", "content": words})

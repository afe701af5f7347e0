"""An answer as an object: asked for in the prompt, checked here, asked for again at most twice.

Alibaba's service ignores `text.format`, so the schema goes into the prompt; endpoints that honour
it get both. Where an answer does not fit, the same turn goes on with a request for a better one
(`session.turn`); what did not fit is folded in the view, and is no part of the answer:

    Ask --with the schema--> a response --parse--> an object
                               ^            '--does not fit--> retry_prompt, the next response
                               '----------------------------------------------'
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from qwen_magic.answer import Answer
from qwen_magic.endpoints import Endpoint
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.answer_schema import Schema
from qwen_magic.tools.validation import SchemaMismatchError

RETRIES: Final = 2


@dataclass(frozen=True, slots=True)
class StructuredOutput:
    """What an answer is to look like, and how often a better one may be asked for."""

    schema: Schema
    retries: int = RETRIES

    def prompt(self, given: str | tuple[JSON, ...]) -> str | tuple[JSON, ...]:
        """The prompt with the schema below it."""
        words = self.schema.prompt()
        if isinstance(given, str):
            return f"{given}\n\n{words}"
        return (*given, {"role": "user", "content": words})

    def parameters(self, endpoint: Endpoint, *, may_call: bool) -> JSON:
        """The request's parameter with the schema, by the name under which this endpoint reads it;
        nothing where it reads none, or where that would keep the model from the tools that it
        `may_call`."""
        form = self.schema.text_format()
        if form is None:
            return {}
        if endpoint.capabilities.reads("text"):
            return {"text": {"format": form}}
        if endpoint.capabilities.response_format and not may_call:
            schema = {key: value for key, value in form.items() if key != "type"}
            return {"response_format": {"type": form["type"], "json_schema": schema}}
        return {}

    def parse(self, answer: Answer) -> Answer:
        """The answer with its object as `parsed`; with a `SchemaMismatchError` as its `error`,
        where its text has none that fits. An answer that is not complete stays as it is."""
        if answer.error is not None or answer.status != "completed":
            return answer
        try:
            return replace(answer, parsed=self.schema.parse(answer.text))
        except SchemaMismatchError as error:
            return replace(answer, error=error)

    def mismatch(self, text: str, tried: int) -> SchemaMismatchError | None:
        """Why a better answer than `text` is to be asked for; None where it fits, or so many
        tries were enough."""
        if tried > self.retries:
            return None
        try:
            self.schema.parse(text)
        except SchemaMismatchError as error:
            return error
        return None

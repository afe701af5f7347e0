"""`Answer`: what one turn gave, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qwen_magic.conversation.chain import TurnStatus
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import Item, Message, Reasoning, Source, WebSearchCall
from qwen_magic.protocol.response import Usage

if TYPE_CHECKING:
    from qwen_magic.document.extract import CodeBlock
    from qwen_magic.errors import QwenError


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one prompt. It prints as its text, shows itself richly, and pickles.

    - `text`: Markdown, as the model wrote it; whatever came, where the turn was stopped or failed;
    - `reasoning`: the thinking, empty where none was sent;
    - `tool_calls`: the other output items, in order (`protocol.items`); the `output` of a function
      call is what was sent back for it;
    - `sources`: the pages that web searches found; `[n]` in the text is the n-th of them, from 1;
    - `figures`: PNG (or JPEG, GIF, WebP) bytes of the code interpreter's figures, in order;
    - `usage`: tokens and tool calls, or None where the server gave none;
    - `status`: `completed`, `incomplete` (token limit), `failed` or `stopped`;
    - `id`: the response id; `raw`: the terminal response object as it came;
    - `drawn`: the same figures as data URIs, by the address that the text or a run names;
    - `error`: what failed, where it was asked not to raise;
    - `parsed`: the object that a schema asked for;
    - `code_blocks`: the fenced code of the text; `tables`: its tables as pandas DataFrames, with
      types inferred (`document.extract` has the rules).
    """

    text: str
    reasoning: str = ""
    items: tuple[Item, ...] = ()
    figures: tuple[bytes, ...] = ()
    usage: Usage | None = None
    id: str = ""
    status: TurnStatus = "completed"
    model: str = ""
    chat: str = ""
    seconds: float = 0.0
    raw: JSON = field(default_factory=dict, repr=False, compare=False)
    drawn: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    bundle: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    metadata: JSON = field(default_factory=dict, repr=False, compare=False)
    error: QwenError | None = None
    parsed: object = None
    # The execution whose live output shows this answer: its displayhook need not show it again.
    shown_in: int | None = field(default=None, repr=False, compare=False)

    @property
    def tool_calls(self) -> tuple[Item, ...]:
        return tuple(i for i in self.items if not isinstance(i, Message | Reasoning))

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(s for i in self.items if isinstance(i, WebSearchCall) for s in i.sources)

    @property
    def code_blocks(self) -> tuple[CodeBlock, ...]:
        from qwen_magic.document.extract import code_blocks

        return code_blocks(self.text)

    @property
    def tables(self) -> list[Any]:
        from qwen_magic.document.extract import tables

        return tables(self.text)

    def __llm__(self) -> str:
        """What `{answer}` in a prompt becomes."""
        return self.text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else self.text[:57] + "…"
        return f"Answer({text!r}, status={self.status!r}, model={self.model!r})"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[Mapping[str, str], JSON]:
        return self.bundle or self._made_bundle(), self.metadata

    def _made_bundle(self) -> Mapping[str, str]:
        """The safe forms of an answer that no notebook has shown: the text itself as Markdown would
        load what it names."""
        from qwen_magic.document.footer import Outcome, TurnFacts
        from qwen_magic.document.markdown.written import safe_markdown
        from qwen_magic.document.words import revealed
        from qwen_magic.frontends.plain import printable
        from qwen_magic.frontends.static import bundle_of
        from qwen_magic.protocol.call_outputs import items_json

        message = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": self.text, "annotations": []}],
        }
        output = [*items_json(self.items)] if self.items else [message]
        response = {**self.raw, "status": "completed", "output": output}
        facts = TurnFacts(self.model, self.chat)
        made = bundle_of(response, facts, Outcome(self.status), self.seconds, self.drawn)
        markdown, plain = revealed(safe_markdown(self.text)), printable(self.text)
        return {**made, "text/markdown": markdown, "text/plain": plain}

    def _ipython_display_(self) -> None:
        from qwen_magic.frontends.display import show_answer

        show_answer(self)

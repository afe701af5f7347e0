"""What can be done with an answer that stands in the page: one hidden widget for a kernel.

    tell(key)            -> `answers`: what each answer offers        (the page decorates it)
    a click, {op, key}   -> on_action(op, key, argument) -> a reply   (the page shows it)

The static outputs are plain HTML. The widget's script looks for them by their class (`mark_of`)
and puts buttons under those that this kernel knows, also after the page was loaded again. Without
this kernel, or this script, nothing of it is there: a saved file holds no dead button.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict

import traitlets

from qwen_magic.document.highlight import python_labels
from qwen_magic.errors import QwenError
from qwen_magic.frontends.static import mark_of
from qwen_magic.frontends.widget import OwnWidget

_HERE: Final = Path(__file__).parent


class AnswerFacts(TypedDict, total=False):
    """What an answer offers: `sibling` (its place from 1, how many there are) where its cell was
    run more than once; `cell`, the id of its cell; `fork`: whether it can be continued; `keep`:
    whether its cell gave several to one question, of which it may be the one to go on after."""

    sibling: tuple[int, int]
    cell: str
    fork: bool
    keep: bool


@dataclass(frozen=True, slots=True)
class Say:
    """A line under the answer: what was done, or what to do."""

    text: str


@dataclass(frozen=True, slots=True)
class Copied:
    """Text for the clipboard."""

    text: str


@dataclass(frozen=True, slots=True)
class Show:
    """Another answer to stand in this one's place: an output's mime bundle and metadata; the
    bundles of the outputs that follow it, for its figures."""

    bundle: Mapping[str, str]
    metadata: Mapping[str, Any]
    figures: Sequence[Mapping[str, str]] = ()


Reply: TypeAlias = Say | Copied | Show


class ActionsWidget(OwnWidget):
    """The actions under all answers of a kernel. Never displayed: to make it is enough.

    `on_action(op, key, argument)` is called on whatever thread the front end's messages arrive.
    `op`, and its reply: "copy" (`Copied`: the turn as Markdown), "sibling" (`Show`; `argument` is
    the place, from 1), "fork" and "keep" (`Say`). Running a cell again is the page's own doing. A
    `QwenError` is told under the answer. `describe(key)` is asked at each `tell`.
    """

    _esm = (_HERE / "actions.js").read_text("utf-8")
    _css = (_HERE / "widget.css").read_text("utf-8")

    answers = traitlets.Dict().tag(sync=True)  # mark -> AnswerFacts
    python = traitlets.List(python_labels()).tag(sync=True)  # labels of code that is a cell's

    def __init__(
        self,
        *,
        on_action: Callable[[str, str, object], Reply | None],
        describe: Callable[[str], AnswerFacts],
    ) -> None:
        super().__init__()
        self._on_action = on_action
        self._describe = describe
        self._keys: dict[str, str] = {}  # mark -> the turn's key
        self.on_msg(self._receive)

    def tell(self, *keys: str) -> None:
        """Offer the actions of these turns, or what has changed of them (a new sibling)."""
        told = {mark_of(key): key for key in keys}
        self._keys |= told
        facts = {mark: self._describe(key) for mark, key in told.items()}
        self.answers = {**self.answers, **facts}

    def _receive(self, _widget: object, content: Mapping[str, Any], _buffers: object) -> None:
        op, number = str(content.get("op", "")), content.get("id")
        if op == "hello":  # a page asks whether this kernel is still there
            self.send({"op": "here", "id": number})
            return
        try:
            reply = self._reply(op, content)
        except Exception as error:
            self.send({"op": "error", "id": number, "text": f"That failed: {type(error).__name__}"})
            raise
        self.send({"id": number, **reply})

    def _reply(self, op: str, content: Mapping[str, Any]) -> dict[str, Any]:
        key = self._keys.get(str(content.get("key", "")))
        if key is None:
            return {"op": "error", "text": "This kernel does not know the answer."}
        try:
            return _json(self._on_action(op, key, content.get("argument")))
        except QwenError as error:
            return {"op": "error", "text": " ".join(filter(None, (error.message, error.hint)))}


_OPS: Final[Mapping[type[Reply], str]] = {Say: "say", Copied: "text", Show: "show"}


def _json(reply: Reply | None) -> dict[str, Any]:
    return {"op": "done"} if reply is None else {"op": _OPS[type(reply)], **asdict(reply)}

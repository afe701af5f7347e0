"""The widgets: that of one answer, with its typed messages; and one hidden widget for a kernel, of
what can be done with an answer that stands in the page.

    tell(key)            -> `answers`: what each answer offers        (the page decorates it)
    a click, {op, key}   -> on_action(op, key, argument) -> a reply   (the page shows it)

The static outputs are plain HTML. The widget's script looks for them by their class (`mark_of`)
and puts buttons under those that this kernel knows, also after the page was loaded again. Without
this kernel, or this script, nothing of it is there: a saved file holds no dead button.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict

import anywidget
import traitlets
from ipywidgets import Output
from ipywidgets.widgets import widget as registry

from qwen_magic.document.highlight import python_labels
from qwen_magic.document.html import markup
from qwen_magic.document.patches import ViewPatch
from qwen_magic.document.question import Asked, Question
from qwen_magic.errors import QwenError
from qwen_magic.frontends.static import mark_of

_HERE: Final = Path(__file__).parent
_FEW: Final = 4  # answers
_TOGETHER: Final = 0.025  # seconds


def without_comments(code: str) -> str:
    """Our JavaScript as it is sent: without its comments and indentation."""
    return re.sub(r"^\s*/\*(?s:.*?)\*/\s*|^[ \t]+|^//.*\n| // .*$", "", code, flags=re.MULTILINE)


class ClockState(TypedDict):
    """`seconds` since the turn began; `running`: the clock ticks and Stop is shown;
    `stoppable`: whether a Stop click would reach the kernel."""

    seconds: float
    running: bool
    stoppable: bool


class PatchMessage(TypedDict):
    """To the views: the next batch `p` of patches, each as of `patch_json`; with `op` and `state`,
    the whole view as of the last one. Short names: thirty of these are sent a second."""

    op: NotRequired[Literal["snap"]]
    seq: int
    p: list[list[Any]]
    state: NotRequired[ClockState]


class SharedMessage(TypedDict):
    """To the page of one answer: the next batches of several, by their widgets' `mid`."""

    op: Literal["many"]
    batches: dict[str, list[PatchMessage]]


class ResultMessage(TypedDict):
    """To a view whose output was not replaced when the turn was over: the mime bundle that takes
    its place, its metadata, and the bundles of the figures that follow it."""

    op: Literal["result"]
    bundle: dict[str, str]
    metadata: dict[str, Any]
    figures: list[dict[str, str]]


class ViewMessage(TypedDict):
    """From a view: `hello` asks for a snapshot (a new view, or one that missed a batch; its value
    is "missed" where a `beat` told it so), `choose` says which button of a question was clicked.
    From a page, with or without a view: `here`; `result`, which asks for the saved form; `code`,
    for what shows answers."""

    op: Literal["hello", "here", "stop", "choose", "result", "code"]
    value: NotRequired[str]


def is_in_output_widget(message_id: str) -> bool:
    """Whether an `ipywidgets.Output` takes what that execution shows (`with output:`). ipywidgets
    has no public list of widgets; without its private one, none is known to."""
    widgets = list(getattr(registry, "_instances", {}).values())
    return any(isinstance(each, Output) and each.msg_id == message_id for each in widgets)


class OwnWidget(anywidget.AnyWidget):
    """Closes its layout, a model of its own, which ipywidgets leaves open for good."""

    def close(self) -> None:
        layout = self.layout
        super().close()
        layout.close()


_CODE: Final = without_comments((_HERE / "widget.js").read_text("utf-8"))
_SHEET: Final = (_HERE / "widget.css").read_text("utf-8")
# What each answer brings, in place of the 42 KB that show it: the first of a page asks its kernel
# for those, and all use them. Neither function waits for them: anywidget gives it two seconds.
# Where no reply comes another asks: the kernel of the first may have ended.
_VERSION: Final = sha256(f"{_CODE}{_SHEET}".encode()).hexdigest()[:8]
_LOADER: Final = (
    f'const name = "qwenMagic{_VERSION}";'
    + """
const there = (window[name] ??= { code: null, askAt: 0, asked: {} });
async function load({ esm, css }) {
  const style = { id: name, textContent: css };
  document.head.append(Object.assign(document.createElement("style"), style));
  const code = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  return { css, ...code.default };
}
const when = (what) => ({ model, ...given }) => {
  let end = () => {};
  // Each model for itself: one whose kernel is gone gets no reply, and holds up no other.
  const mine = (there.asked[model.get("mid")] ??= { askAt: 0, pause: 1000 });
  const take = (message) => message.op === "code" && (there.code ??= load(message));
  const leave = () => {
    clearInterval(looking);
    model.off("msg:custom", take);
  };
  const look = async () => {
    if (there.code) {
      leave();
      const code = await there.code;
      if (end) end = code[what]({ model, css: code.css, ...given });
    } else if (Date.now() > Math.max(mine.askAt, there.askAt)) {
      there.askAt = Date.now() + 300; // one reply is for all
      mine.askAt = Date.now() + mine.pause;
      mine.pause = Math.min(2 * mine.pause, 30000);
      model.send({ op: "code" });
    }
  };
  model.on("msg:custom", take);
  const looking = setInterval(look, 30);
  look();
  return () => {
    leave();
    end?.();
    end = null;
  };
};
export default { initialize: when("initialize"), render: when("render") };
"""
)


class AnswerWidget(OwnWidget):
    """One answer, shown by any number of views.

    `on_hello`, `on_here`, `on_stop` and `on_choose` are called on whatever thread the front end's
    messages arrive: they may only set a flag or wake the loop. `done` tells the views that the turn
    is over; a view that was not replaced by then asks for the saved form, and replaces its output
    itself, through `layout` and `cell_id`.
    """

    _esm = _LOADER

    aid = traitlets.Unicode().tag(sync=True)
    mid = traitlets.Unicode().tag(sync=True)  # this model's id, which a view is not told
    cell_id = traitlets.Unicode().tag(sync=True)
    session = traitlets.Unicode().tag(sync=True)  # of the page that asked
    label = traitlets.Unicode().tag(sync=True)
    look = traitlets.Unicode().tag(sync=True)  # a class besides
    # What is asked now: `key`, that it waits, as `text`, and the whole question as `html`. A
    # page that is loaded again finds it here, whatever messages it has missed.
    question = traitlets.Dict().tag(sync=True)
    done = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        *,
        aid: str,
        label: str = "Answer",
        cell_id: str = "",
        session: str = "",
        look: str = "",
        on_hello: Callable[[], None],
        on_stop: Callable[[], None],
        on_here: Callable[[], None] = lambda: None,
        on_choose: Callable[[str], None] = lambda value: None,
    ) -> None:
        """`aid` names the answer; `label` is what a screen reader calls it."""
        mid = uuid.uuid4().hex  # in the message that opens the widget: a page begins with that
        given = {"aid": aid, "label": label, "cell_id": cell_id, "look": look}
        super().__init__(model_id=mid, mid=mid, session=session, **given)
        self.seq = 0  # of the last batch
        self.is_alone = False  # a view of it was not reached by what other widgets carry
        self._result: ResultMessage | None = None
        self._on_hello = on_hello
        self._on_here = on_here
        self._on_stop = on_stop
        self._on_choose = on_choose
        self.on_msg(self._receive)

    def batch(self, patches: Sequence[ViewPatch]) -> PatchMessage:
        """The next batch, to be sent."""
        self.seq += 1
        return self._message(patches)

    def beat(self) -> None:
        """Tell all views that the kernel is there, which a page may not know, and what it sent."""
        self.send({"op": "beat", "seq": self.seq})

    def snap(self, patches: Sequence[ViewPatch], state: ClockState) -> None:
        """Answer a `hello`: the whole view, as of the last batch sent."""
        self.send({"op": "snap", **self._message(patches), "state": state})

    def _message(self, patches: Sequence[ViewPatch]) -> PatchMessage:
        return {"seq": self.seq, "p": [patch_json(patch) for patch in patches]}

    def ask(self, key: str, question: Question, place: str = "") -> None:
        """Ask about the call of the entry `key`, on every page that has this widget. `place`: where
        the question stands, in words."""
        text = question.waits + (f" in {place}" if place else "")
        html = "".join(markup(Asked(question, key)))
        self.question = {"key": key, "text": text, "html": html}

    def forget(self) -> None:
        """What was sent is no longer so: the next snapshot takes its place in every view."""
        self.seq += 1

    def finish(
        self,
        bundle: dict[str, str],
        metadata: dict[str, Any],
        figures: Sequence[dict[str, str]] = (),
    ) -> None:
        """Tell the views that the turn is over, after the output was replaced by `bundle`. Nothing
        that shows the turn is held any longer."""
        self._result = ResultMessage(
            op="result", bundle=bundle, metadata=metadata, figures=list(figures)
        )
        self._on_hello = self._on_here = self._on_stop = lambda: None
        self._on_choose = lambda value: None
        with self.hold_sync():
            self.question = {}
            self.done = True

    def _receive(self, _widget: object, content: ViewMessage, _buffers: object) -> None:
        match content.get("op"):
            case "code":
                self.send({"op": "code", "esm": _CODE, "css": _SHEET})
                self._on_here()
            case "hello":
                self.is_alone |= content.get("value") == "missed"
                self._on_hello()
            case "here":
                self._on_here()
            case "result" if self._result is not None:
                self.send(self._result)
            case "stop":
                self._on_stop()
            case "choose":
                self._on_choose(str(content.get("value", "")))


class Batches:
    """What changes in the views of a kernel, in as few messages as can be: one costs the kernel
    more than the patches in it.

    Of up to `_FEW` answers each sends its own, at once. Where more are written, what comes within
    `_TOGETHER` seconds goes in one message of one of their widgets, whose page hands it out. A
    view that this did not reach (of a front end with a document for each output) sees it by the
    number in the next beat and asks; from then on its answer sends its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.open: set[AnswerWidget] = set()  # with a view that listens
        self._waiting: dict[AnswerWidget, list[PatchMessage]] = {}
        self._clock = clock
        self._due = 0.0

    def push(self, widget: AnswerWidget, patches: Sequence[ViewPatch]) -> None:
        """Send the next batch to all views of a widget; nothing where there are no patches."""
        if not patches:
            return
        batch = widget.batch(patches)
        if widget.is_alone or len(self.open) <= _FEW:
            self.send()  # what waited for that goes first
            widget.send(batch)
        else:
            self._waiting.setdefault(widget, []).append(batch)
            self.look()

    def look(self) -> None:
        """Send what has waited long enough."""
        if self._waiting and self._clock() >= self._due:
            self.send()

    def send(self) -> None:
        """Send what waits. A widget that was closed needs it no more."""
        waiting, self._waiting = self._waiting, {}
        batches = {widget.mid: sent for widget, sent in waiting.items() if widget in self.open}
        if batches:
            self._due = self._clock() + _TOGETHER
            carrier = next(widget for widget in waiting if widget in self.open)
            carrier.send(SharedMessage(op="many", batches=batches))


def patch_json(patch: ViewPatch) -> list[Any]:
    """What a patch does, and its fields in order: `["add", id, parent, html]`."""
    return [type(patch).__name__.lower(), *(getattr(patch, each.name) for each in fields(patch))]


class AnswerFacts(TypedDict, total=False):
    """What an answer offers: `sibling` (its place from 1, how many there are) where its cell was
    run more than once; `cell`, the id of its cell; `fork`: whether it can be continued; `keep`:
    where its cell gave several to one question, whether it is the one to go on after ("kept"), or
    may be ("may"); else empty."""

    sibling: tuple[int, int]
    cell: str
    fork: bool
    keep: Literal["", "may", "kept"]


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
_MOST_EDITS: Final = 20  # that are offered at a time


@dataclass(slots=True)
class PageRequest:
    """What the pages that show the notebook were asked, and the reply that counts: that of the page
    from which the cell that asks was run (`is_its_own`), before it that of any other."""

    message: dict[str, Any]
    reply: Any = None
    came: bool = False
    is_its_own: bool = False

    def take(self, content: Mapping[str, Any]) -> None:
        if content.get("mine") or (not self.is_its_own and content.get("reply") is not None):
            self.reply, self.is_its_own = content.get("reply"), bool(content.get("mine"))
        self.came = True


class ActionsWidget(OwnWidget):
    """The actions under all answers of a kernel, and what the kernel asks of the notebook that the
    page shows (`request`, see notebook.js). Never displayed: to make it is enough.

    `on_action(op, key, argument)` is called on whatever thread the front end's messages arrive.
    `op`, and its reply: "copy" (`Copied`: the turn as Markdown), "sibling" (`Show`; `argument` is
    the place, from 1), "fork" and "keep" (`Say`). Running a cell again is the page's own doing. A
    `QwenError` is told under the answer. `describe(key)` is asked at each `tell`. `on_step(what,
    step)`: a button over a proposed cell was pressed.
    """

    _esm = without_comments(
        "\n".join((_HERE / name).read_text("utf-8") for name in ("notebook.js", "actions.js"))
    )
    _css = (_HERE / "widget.css").read_text("utf-8")

    answers = traitlets.Dict().tag(sync=True)  # mark -> AnswerFacts
    edits = traitlets.Dict().tag(sync=True)  # mark -> the cell, the source it `was`, the new one
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
        self._requests: dict[int, PageRequest] = {}
        self._asked = 0
        self.pages: set[str] = set()  # that have the model, by the session of their messages
        self.on_step: Callable[[str, str], None] = lambda what, step: None
        self.newest_page = ""  # the session of the one that was loaded last
        self.on_msg(self._receive)

    def request(self, **asked: Any) -> PageRequest:
        """Ask the pages; the reply comes by and by, on whatever thread messages arrive. `forget` it
        when it is no longer waited for."""
        self._asked += 1
        made = PageRequest({"op": "notebook", "id": self._asked, **asked})
        self._requests[self._asked] = made
        self.send(made.message)
        return made

    def offer_edit(self, mark: str, cell: str, was: str, source: str) -> None:
        """Offer to put `source` into the cell of that id, in the place of the one that it `was`."""
        kept = list(self.edits.items())[1 - _MOST_EDITS :]
        self.edits = {**dict(kept), mark: {"cell": cell, "was": was, "source": source}}

    def forget(self, request: PageRequest) -> None:
        self._requests.pop(request.message["id"], None)

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
        if op == "page":  # what was sent before it was there was lost
            self.pages.add(str(content.get("session") or ""))
            self.newest_page = str(content.get("session") or "")
            for request in list(self._requests.values()):
                self.send(request.message)
            return
        if op == "step":
            self.on_step(str(content.get("do")), str(content.get("step")))
            return
        if op == "notebook":
            if isinstance(number, int) and number in self._requests:
                self._requests[number].take(content)
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

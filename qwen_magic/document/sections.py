"""The places of the view that grow: one per output item, steps and prose.

A section turns its entry's changes into patches through the tree. Ids: `e{key}` the panel of a
step, with `.h` its line, `.b` its body, `.f` its figures; `a{key}` the prose of a message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from qwen_magic.document import html
from qwen_magic.document.blocks import Step
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.steps import StepContext, make_step
from qwen_magic.document.tree import Tree
from qwen_magic.document.wire import ViewPatch
from qwen_magic.protocol.items import CodeInterpreterCall, Message, Reasoning

if TYPE_CHECKING:
    from qwen_magic.protocol.state import Entry

GroupKind: TypeAlias = Literal["steps", "answer"]
Citation: TypeAlias = Callable[[int], str | None]

# Longer than any fence that code is likely to hold: code in mid-stream is shown by the Markdown
# renderer, which highlights a fence as it grows.
_FENCE: Final = "`" * 24


class GrowingText:
    """An entry's text as a Markdown stream that is fed with what came since the last time."""

    def __init__(self, tree: Tree, parent: str, citation: Citation | None = None) -> None:
        self._tree = tree
        self._parent = parent
        self._citation = citation
        self._revision = 0
        self._fed = 0
        self._finished = False
        self._stream: MarkdownStream | None = None

    @property
    def html(self) -> str:
        return self._stream.html if self._stream is not None else ""

    def update(self, entry: Entry, *, before: str = "", ended: bool) -> list[ViewPatch]:
        """Feed what is new; `before` goes in front of all. `ended`: nothing more will come."""
        patches: list[ViewPatch] = []
        if self._stream is None or entry.revision != self._revision:
            patches += self._begin(entry.revision, before)
        assert self._stream is not None
        if self._fed < len(entry.chunks):
            self._stream.append("".join(entry.chunks[self._fed :]))
            self._fed = len(entry.chunks)
            self._finished = False
        patches += self._stream.update()
        return patches + (self.finish() if ended else [])

    def finish(self) -> list[ViewPatch]:
        """The one whole parse."""
        if self._stream is None or self._finished:
            return []
        self._finished = True
        return list(self._stream.finish())

    def _begin(self, revision: int, before: str) -> list[ViewPatch]:
        patches = self._tree.unmount(self._parent)
        prefix = f"{self._parent}.{revision}."
        self._stream = MarkdownStream(self._parent, prefix, citation=self._citation)
        self._tree.mount(self._parent, self._stream)
        self._revision, self._fed, self._finished = revision, 0, False
        if before:
            self._stream.append(before)
        return patches


class ThoughtSection:
    """A reasoning item: its panel is open while it thinks and folds itself when it is done."""

    kind: GroupKind = "steps"

    def __init__(self, tree: Tree, key: str) -> None:
        self.id = f"e{key}"
        self.step = Step("Thinking", state="live")
        self.source = ""
        self._tree = tree
        self._text = GrowingText(tree, f"{self.id}.b")

    @property
    def thought_html(self) -> str:
        return self._text.html

    @property
    def is_empty(self) -> bool:
        return not self.source.strip() and self.step.state != "live"

    def update(self, entry: Entry, group: str, context: StepContext) -> list[ViewPatch]:
        self.step = make_step(entry, context)
        ended = entry.done or bool(context.cut)
        if ended:
            self.source = entry.text
        if self.is_empty:
            return self._tree.drop(self.id)
        patches: list[ViewPatch] = []
        if not entry.chunks and not ended:  # a line that opens to nothing is no panel
            return self._tree.put(self.id, group, html.waiting(self.step.verb))
        if f"{self.id}.h" not in self._tree:
            patches += self._tree.put(self.id, group, html.details(is_open=True))
        patches += self._tree.put(f"{self.id}.h", self.id, html.head(self.step))
        if entry.chunks:
            patches += self._tree.put(f"{self.id}.b", self.id, html.THOUGHT)
            patches += self._text.update(entry, ended=ended)
        return patches + (self._tree.fold(self.id) if ended else [])

    def add_fact(self, fact: str) -> list[ViewPatch]:
        """Put a fact at the end of the line."""
        self.step = replace(self.step, facts=(fact,))
        return self._tree.put(f"{self.id}.h", self.id, html.head(self.step))


class ToolSection:
    """A call: its line, the blocks it opens to, and the figures it drew."""

    kind: GroupKind = "steps"

    def __init__(self, tree: Tree, key: str) -> None:
        self.id = f"e{key}"
        self.step = Step("", state="live")
        self._tree = tree
        self._code: GrowingText | None = None

    @property
    def is_empty(self) -> bool:
        return False

    def update(self, entry: Entry, group: str, context: StepContext) -> list[ViewPatch]:
        self.step = make_step(entry, context)
        patches: list[ViewPatch] = []
        if self.id not in self._tree:
            patches += self._tree.put(self.id, group, html.details())
            if isinstance(entry.item, CodeInterpreterCall):  # its place, before the next step's
                patches += self._tree.put(f"{self.id}.f", group, html.FIGURES)
        patches += self._tree.put(f"{self.id}.h", self.id, html.head(self.step))
        if not (entry.done or context.cut) and self._is_code(entry):
            return patches + self._stream_code(entry)
        patches += self._end_code()
        body = [html.block_html(block) for block in self.step.blocks]
        patches += self._tree.put(f"{self.id}.b", self.id, html.BODY)
        patches += self._tree.put_list(f"{self.id}.b", body)
        return patches + self._figures()

    @staticmethod
    def _is_code(entry: Entry) -> bool:
        return isinstance(entry.item, CodeInterpreterCall) and bool(entry.chunks)

    def _stream_code(self, entry: Entry) -> list[ViewPatch]:
        patches = self._tree.put(f"{self.id}.s", self.id, html.BODY)
        if self._code is None:
            patches = self._tree.drop(f"{self.id}.b") + patches
            patches += self._tree.unfold(self.id)
            self._code = GrowingText(self._tree, f"{self.id}.s")
        return patches + self._code.update(entry, before=f"{_FENCE}python\n", ended=False)

    def _end_code(self) -> list[ViewPatch]:
        if self._code is None:
            return []
        self._code = None
        return self._tree.drop(f"{self.id}.s") + self._tree.fold(self.id)

    def _figures(self) -> list[ViewPatch]:
        shown = [html.figure_html(figure) for figure in self.step.figures]
        return self._tree.put_list(f"{self.id}.f", shown) if shown else []


class ProseSection:
    """A message: the answer's Markdown, or one of its parts."""

    kind: GroupKind = "answer"

    def __init__(self, tree: Tree, key: str, citation: Citation) -> None:
        self.id = f"a{key}"
        self.source = ""
        self._tree = tree
        self._text = GrowingText(tree, self.id, citation)
        self._ended = False

    @property
    def html(self) -> str:
        return self._text.html

    @property
    def is_empty(self) -> bool:
        return self._ended and not self.source.strip()

    def update(self, entry: Entry, group: str, context: StepContext) -> list[ViewPatch]:
        self._ended = entry.done or bool(context.cut)
        if self._ended:
            self.source = entry.text
        if not entry.chunks:
            return []
        patches = self._tree.put(self.id, group, html.ANSWER)
        return patches + self._text.update(entry, ended=self._ended)


StepSection: TypeAlias = ThoughtSection | ToolSection
Section: TypeAlias = StepSection | ProseSection


def section_type(entry: Entry) -> type[Section]:
    """What kind of place an entry takes."""
    match entry.item:
        case Message():
            return ProseSection
        case Reasoning():
            return ThoughtSection
        case _:
            return ToolSection


def make_section(tree: Tree, entry: Entry, citation: Citation) -> Section:
    kind = section_type(entry)
    if kind is ProseSection:
        return ProseSection(tree, entry.key, citation)
    return (
        ThoughtSection(tree, entry.key) if kind is ThoughtSection else ToolSection(tree, entry.key)
    )

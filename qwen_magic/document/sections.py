"""The sections of the answer: one for each output item, and how they stand together.

A section is the place of a step or of prose. It turns its entry's changes into patches through the
tree. Ids: `e{key}` the panel of a step, with `.h` its line, `.b` its body (`.s` while its code
streams), `.f` its figures; `a{key}` the prose of a message.

Neighbours of a kind share one wrapper. What was thought between two steps, if it was short or both
ran code, is no line of its own: it goes into the panel of the second. A timeline of forty lines is
no longer read. So where more than `MANY` steps of one group are done, neighbours join in a panel,
in their order; its line counts them by kind ("6 searches, 92 sources · 5 thoughts"). The newest
`RECENT` stand apart while the group may still grow, so that the reader sees what has just happened,
and the height of the timeline stays the same. What was drawn to be seen, and what still runs, never
joins; nothing joins across it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

from qwen_magic.document.blocks import Box, LiveLine, Panel, SourceGroups, Step
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.markdown.parser import Citation
from qwen_magic.document.patches import ViewPatch
from qwen_magic.document.steps import StepContext, make_step
from qwen_magic.document.tree import ROOT, Tree
from qwen_magic.document.words import NO_BREAK, counted, duration
from qwen_magic.protocol.items import CodeInterpreterCall, FunctionCall, Message, Reasoning

if TYPE_CHECKING:
    from qwen_magic.protocol.state import Entry

# Longer than any fence that code is likely to hold: code in mid-stream is shown by the Markdown
# renderer, which highlights a fence as it grows.
_FENCE: Final = "`" * 24

MANY: Final = 8  # finished steps that are shown one by one
RECENT: Final = 3
SHORT: Final = 2.0  # seconds of thought that are not worth a line
FEWEST: Final = 2  # that are worth a panel


class EntryText:
    """An entry's text as a Markdown stream, which is fed with new chunks."""

    def __init__(self, tree: Tree, parent: str, citation: Citation | None = None) -> None:
        self._tree = tree
        self._parent = parent
        self._citation = citation
        self._revision = -1
        self._fed = 0
        self._finished = False
        self.stream = MarkdownStream()

    @property
    def is_begun(self) -> bool:
        """Whether any of it is in the tree."""
        return self._revision >= 0

    def update(self, entry: Entry, *, before: str = "", ended: bool) -> list[ViewPatch]:
        """Feed new chunks; `before` goes in front. `ended`: no more follow, so the whole is parsed
        once.
        """
        patches: list[ViewPatch] = []
        if entry.revision != self._revision:
            patches += self._begin(entry.revision, before)
        if self._fed < len(entry.chunks):
            self.stream.append("".join(entry.chunks[self._fed :]))
            self._fed = len(entry.chunks)
            self._finished = False
        patches += self.stream.update()
        if ended and not self._finished:
            self._finished = True
            patches += self.stream.finish()
        return patches

    def _begin(self, revision: int, before: str) -> list[ViewPatch]:
        patches = self._tree.unmount(self._parent)
        prefix = f"{self._parent}.{revision}."
        self.stream = MarkdownStream(self._parent, prefix, citation=self._citation)
        self._tree.mount(self._parent, self.stream)
        self._revision, self._fed, self._finished = revision, 0, False
        self.stream.append(before)
        return patches


class _StepPlace:
    """The place of a step: its panel with the line."""

    def __init__(self, tree: Tree, key: str, citation: Citation) -> None:
        self.id = f"e{key}"
        self.parent = ""  # until it is placed
        self.panel = ""  # the one that it is joined in
        self.step = Step("", state="live")
        self.is_empty = False
        self.is_inside = False  # the panel of the step after it, without a line of its own
        self._tree = tree
        self._text = EntryText(tree, f"{self.id}.b")


class ThoughtSection(_StepPlace):
    """A reasoning item: its panel is open while the model thinks, then closes."""

    def go_into(self, step: ToolSection) -> list[ViewPatch]:
        """Move the text to the top of another step's content."""
        self.is_inside = True
        patches = self._tree.move(f"{self.id}.b", step.id)
        patches += self._tree.move(f"{step.id}.b", step.id)
        return patches + self._tree.drop(self.id)

    def update(self, entry: Entry, context: StepContext) -> list[ViewPatch]:
        self.step = make_step(entry, context)
        ended = entry.done or bool(context.cut)
        self.is_empty = self.step.state != "live" and not entry.text.strip()
        if self.is_empty:
            return self._tree.drop(self.id)
        if self.is_inside:
            return self._text.update(entry, ended=ended) if f"{self.id}.b" in self._tree else []
        patches: list[ViewPatch] = []
        if not entry.chunks and not ended:  # a line that opens to nothing is no panel
            return self._tree.put(self.id, self.parent, LiveLine(self.step.verb))
        if f"{self.id}.h" not in self._tree:
            patches += self._tree.put(self.id, self.parent, Panel(is_open=True))
        patches += self._tree.put(f"{self.id}.h", self.id, self.step)
        if entry.chunks:
            source = entry.text if ended else ""
            patches += self._tree.put(f"{self.id}.b", self.id, Box("thought", source))
            patches += self._text.update(entry, ended=ended)
        return patches + (self._tree.fold(self.id) if ended else [])

    def add_fact(self, fact: str) -> list[ViewPatch]:
        """Append a fact to the line."""
        if self.is_inside:
            return []
        self.step = replace(self.step, facts=(fact,))
        return self._tree.put(f"{self.id}.h", self.id, self.step)


class ToolSection(_StepPlace):
    """A call: its line, the blocks it opens to, and its figures."""

    is_run = False
    _code: EntryText | None = None  # while it streams

    def update(self, entry: Entry, context: StepContext) -> list[ViewPatch]:
        self.step = make_step(entry, context)
        is_run = self.is_run = isinstance(entry.item, CodeInterpreterCall)
        patches: list[ViewPatch] = []
        if self.id not in self._tree:
            patches += self._tree.put(self.id, self.parent, Panel())
            if isinstance(entry.item, CodeInterpreterCall | FunctionCall):
                # Its figures' place, before the next step's.
                patches += self._tree.put(f"{self.id}.f", self.parent, Box("figures"))
        patches += self._tree.put(f"{self.id}.h", self.id, self.step)
        if is_run and entry.chunks and not (entry.done or context.cut):
            return patches + self._stream_code(entry)
        if self._code is not None:
            self._code = None
            patches += self._tree.drop(f"{self.id}.s") + self._tree.fold(self.id)
        patches += self._tree.put(f"{self.id}.b", self.id, Box("body"))
        patches += self._tree.put_list(f"{self.id}.b", self.step.blocks)
        if self.step.figures:
            patches += self._tree.put_list(f"{self.id}.f", self.step.figures)
        return patches

    def _stream_code(self, entry: Entry) -> list[ViewPatch]:
        patches = self._tree.put(f"{self.id}.s", self.id, Box("body"))
        if self._code is None:
            patches = self._tree.drop(f"{self.id}.b") + patches
            patches += self._tree.unfold(self.id)
            self._code = EntryText(self._tree, f"{self.id}.s")
        return patches + self._code.update(entry, before=f"{_FENCE}python\n", ended=False)


class ProseSection:
    """A message: Markdown of the answer."""

    def __init__(self, tree: Tree, key: str, citation: Citation) -> None:
        self.id = f"a{key}"
        self.parent = ROOT
        self.is_empty = False
        self._tree = tree
        self._text = EntryText(tree, self.id, citation)

    @property
    def is_shown(self) -> bool:
        return bool(self._text.stream.blocks)

    @property
    def cited(self) -> set[int]:
        """The source numbers that it cites, once it has ended."""
        return self._text.stream.cited

    @property
    def images(self) -> list[str]:
        """The sandbox files that it shows as images, once it has ended."""
        return [image.address for image in self._text.stream.images]

    def show_figures(self, figures: Mapping[str, str]) -> list[ViewPatch]:
        """Replace these images by figures (data URIs), by address."""
        return list(self._text.stream.show_figures(figures))

    def update(self, entry: Entry, context: StepContext) -> list[ViewPatch]:
        ended = entry.done or bool(context.cut)
        self.is_empty = ended and not entry.text.strip()
        if not entry.chunks:
            return []
        patches: list[ViewPatch] = []
        if ended or not self._text.is_begun:
            source = entry.text if ended else ""
            patches += self._tree.put(self.id, self.parent, Box("answer", source))
        return patches + self._text.update(entry, ended=ended)


StepSection: TypeAlias = ThoughtSection | ToolSection
Section: TypeAlias = StepSection | ProseSection


def section_type(entry: Entry) -> type[Section]:
    """The section class for an entry."""
    match entry.item:
        case Message():
            return ProseSection
        case Reasoning():
            return ThoughtSection
        case _:
            return ToolSection


class Groups:
    """All sections in order. Those with the same `parent` form a group; prose has no wrapper."""

    def __init__(self, tree: Tree) -> None:
        self.sections: list[Section] = []
        self._tree = tree
        self._made = 0

    def place(self, section: Section) -> list[ViewPatch]:
        """Append the section, in a group of its kind."""
        last = self.sections[-1] if self.sections else None
        self.sections.append(section)
        if isinstance(section, ProseSection):
            return []
        if last is None or isinstance(last, ProseSection):
            section.parent = self._new_id("g")
        else:
            section.parent = last.parent
        return self._tree.put(section.parent, ROOT, Box("steps"))

    def take_out(self, section: Section) -> list[ViewPatch]:
        """Remove the section, and its wrapper if that is empty."""
        self.sections.remove(section)
        patches = self._tree.drop(section.id)
        if isinstance(section, ProseSection):
            return patches
        if section.panel and all(each.panel != section.panel for each in self._steps()):
            patches += self._tree.drop(section.panel)
        if all(each.parent != section.parent for each in self.sections):
            patches += self._tree.drop(section.parent)
        return patches

    def join(self, *, is_over: bool) -> list[ViewPatch]:
        """Join steps that have become many since the last call. `is_over`: no more will follow."""
        patches: list[ViewPatch] = []
        for parent, group in groupby(self._steps(), key=lambda section: section.parent):
            steps = list(group)
            patches += _thoughts_inside(steps)
            steps = [each for each in steps if not each.is_inside]
            is_closed = is_over or parent != self.sections[-1].parent
            for run in runs_to_join([each.step for each in steps], is_closed=is_closed):
                patches += self._join([steps[at] for at in run])
        return patches

    def _join(self, run: Sequence[StepSection]) -> list[ViewPatch]:
        """Move a run of steps behind a common line; steps that are there already stay."""
        patches: list[ViewPatch] = []
        panel = run[0].panel
        if not panel:
            panel = self._new_id("j")
            patches += self._tree.put_before(panel, run[0].id, Panel(is_joined=True))
        patches += self._tree.put(f"{panel}.h", panel, joined_step([each.step for each in run]))
        patches += self._tree.put(f"{panel}.b", panel, Box("body"))
        for section in run:
            if not section.panel:
                section.panel = panel
                patches += self._tree.move(section.id, f"{panel}.b")
                patches += self._tree.drop(f"{section.id}.f")  # where no figure came
        return patches

    def _steps(self) -> list[StepSection]:
        """The sections with a line of their own."""
        steps = (each for each in self.sections if not isinstance(each, ProseSection))
        return [step for step in steps if not step.is_inside]

    def _new_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}{self._made}"


def _thoughts_inside(steps: Sequence[StepSection]) -> list[ViewPatch]:
    patches: list[ViewPatch] = []
    for before, thought, after in zip(steps, steps[1:], steps[2:], strict=False):
        if (
            isinstance(before, ToolSection)
            and isinstance(thought, ThoughtSection)
            and isinstance(after, ToolSection)
            and not (thought.panel or after.panel)
            and "live" not in (thought.step.state, after.step.state)
            and (thought.step.seconds < SHORT or (before.is_run and after.is_run))
        ):
            patches += thought.go_into(after)
    return patches


def runs_to_join(steps: Sequence[Step], *, is_closed: bool) -> list[range]:
    """The steps to join, as a range of indexes for each panel. `is_closed`: no step will be
    added.
    """
    live = next((at for at, step in enumerate(steps) if step.state == "live"), len(steps))
    if live <= MANY:
        return []
    end = live if is_closed else live - RECENT
    runs: list[range] = []
    start = 0
    for at in range(end + 1):
        if at == end or steps[at].figures:
            if at - start >= FEWEST:
                runs.append(range(start, at))
            start = at + 1
    return runs


def joined_step(steps: Sequence[Step]) -> Step:
    """The line for joined steps: counts by kind in the order of first occurrence, thoughts last."""
    counts: dict[str, tuple[int, str]] = {}
    for step in steps:
        tally = step.tally
        counts[tally.one] = (counts.get(tally.one, (0, ""))[0] + tally.count, tally.many)
    thoughts = counts.pop("thought", None)
    if thoughts is not None:
        counts["thought"] = thoughts
    sources = sum(map(_sources, steps))
    parts = [counted(count, one, many) for one, (count, many) in counts.items()]
    if sources:
        place = next((at for at, one in enumerate(counts) if one == "search"), 0)
        parts[place] += f", {counted(sources, 'source')}"
    failed = sum(step.state == "bad" for step in steps)
    if failed:
        parts.append(f"{failed}{NO_BREAK}failed")
    took = duration(sum(step.seconds for step in steps))
    return Step(parts[0], " · ".join(parts[1:]), facts=(took,) if took else ())


def _sources(step: Step) -> int:
    return sum(len(block.sources) for block in step.blocks if isinstance(block, SourceGroups))

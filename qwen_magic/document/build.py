"""The reader's view of one turn, as it grows.

    Document.update(state) -> patches      at most 30 times a second, while the response streams
    Document.finish(state) -> patches      once
    Document.snapshot()    -> patches      for a view that begins late or missed a batch

The same document, finished, is what the saved forms are made of: they walk its `tree`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote

from qwen_magic.document.blocks import (
    Code,
    Label,
    LiveLine,
    NumberedSource,
    SourceList,
    Spoken,
    Step,
)
from qwen_magic.document.footer import Outcome, OutcomeStatus, TurnFacts, turn_end
from qwen_magic.document.links import all_sources, is_picture, number_sources
from qwen_magic.document.patches import ViewPatch
from qwen_magic.document.question import Asked, Question
from qwen_magic.document.sections import (
    Groups,
    ProseSection,
    Section,
    ThoughtSection,
    ToolSection,
    section_type,
)
from qwen_magic.document.steps import FigureState, StepContext, figure_urls
from qwen_magic.document.tree import ROOT, SAY, Tree
from qwen_magic.document.words import counted
from qwen_magic.protocol.items import Reasoning, WebSearchCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qwen_magic.protocol.state import Entry, ResponseState

_CUT: Final[Mapping[OutcomeStatus, str]] = {
    "completed": "no end was seen",
    "incomplete": "cut off",
    "failed": "did not finish",
    "stopped": "stopped",
}
_ENDED: Final[Mapping[OutcomeStatus, str]] = {
    "completed": "Answered",
    "incomplete": "Cut off",
    "failed": "Failed",
    "stopped": "Stopped",
}


_S = TypeVar("_S", bound=Section)


def _question_id(entry: Entry) -> str:
    return f"q{entry.key}"


class Document:
    """One turn as the reader sees it: steps and prose in the order in which they happened, then
    sources, a note about how it ended, and a footer.

    `started`: when the turn began, in the unit of `now` and of the state's `at` (seconds). `joins`:
    many steps are joined behind one line, short thoughts are put into the step after them.
    """

    def __init__(self, turn: TurnFacts, *, started: float = 0.0, joins: bool = True) -> None:
        self.turn = turn
        self._joins = joins
        self.started = started
        self.seconds = 0.0
        self.tree = Tree()
        self.status = f"Waiting for {turn.model}"
        self._said = ""
        self._outcome: Outcome | None = None
        self._groups = Groups(self.tree)
        self._sections: dict[str, Section] = {}  # by entry key
        self._seen: dict[str, int] = {}  # entry key -> the version that is shown
        self._figures: dict[str, FigureState] = {}
        self._drawn_by: dict[str, str] = {}  # figure address -> the key of the run that drew it
        self._numbered: tuple[NumberedSource, ...] = ()
        self._starts: dict[str, int] = {}  # search's entry key -> how many sources come before
        self._asked: set[str] = set()  # the keys of entries whose question stands
        if turn.label:
            self.tree.put("label", ROOT, Label(turn.label))
        self._tell_sent()
        self._wait(self.status)

    def figure(self, url: str, data: str = "", reason: str = "") -> None:
        """A figure has arrived (`data`: its data URI), or cannot (`reason`: why, in a few words).

        The next `update` or `finish` shows it.
        """
        self._figures[url] = FigureState(data, reason)
        self._seen.pop(self._drawn_by.get(url, ""), None)

    def notice(self, text: str) -> list[ViewPatch]:
        """Show a line about the connection ("Trying again in 4 s"); an empty text removes it."""
        if text or not self._sections:
            return self._wait(text or f"Waiting for {self.turn.model}")
        return self._wait("")

    def ask(self, entry: Entry, question: Question) -> list[ViewPatch]:
        """Ask whether a function call may run. The question disappears when the call continues."""
        self._asked.add(entry.key)
        return self.tree.put(_question_id(entry), ROOT, Asked(question, entry.key))

    def update(self, state: ResponseState, now: float) -> list[ViewPatch]:
        """The patches since the last call. The cost depends on what changed, not on the total
        size.
        """
        self.seconds = max(0.0, now - self.started)
        patches = self._tell_sent() + self._update_entries(state)
        if self._sections and not state.newest:  # after function calls
            patches += self._wait(f"Waiting for {self.turn.model}")
        return patches + self._say(self._activity(state))

    def finish(self, state: ResponseState, now: float, outcome: Outcome) -> list[ViewPatch]:
        """The last patches: close what is open, add sources, note and footer.

        May be called again when a figure has arrived since.
        """
        self.seconds = max(0.0, now - self.started)
        self._outcome = outcome
        self._seen = {entry.key: entry.version for entry in state.entries if self._is_shown(entry)}
        patches = self._update_entries(state)
        patches += self._wait("")
        patches += self._thought_tokens(state)
        patches += self._show_sandbox_images()
        patches += self._mark_cited(state)
        patches += self._join(is_over=True)
        patches += self._end(state, outcome)
        return patches + self._say(_ENDED[outcome.status])

    def snapshot(self) -> list[ViewPatch]:
        """The patches that build the whole view from nothing, as of the last call."""
        return self.tree.snapshot()

    def _is_shown(self, entry: Entry) -> bool:
        return (
            entry.done
            and entry.phase != "incomplete"
            and self._seen.get(entry.key) == entry.version
        )

    def _update_entries(self, state: ResponseState) -> list[ViewPatch]:
        patches = self._make_room(state)
        changed = [entry for entry in state.entries if self._seen.get(entry.key) != entry.version]
        if any(isinstance(entry.item, WebSearchCall) for entry in changed):
            self._number(state)
        is_prose = all(isinstance(self._sections.get(e.key), ProseSection) for e in changed)
        for entry in changed:
            if isinstance(entry.item, Reasoning) and not self.turn.thoughts:
                patches += [] if self._sections else self._wait("Thinking")
            else:
                patches += self._update_entry(entry)
            self._seen[entry.key] = entry.version
        return patches if is_prose else patches + self._join(is_over=False)

    def _join(self, *, is_over: bool) -> list[ViewPatch]:
        return self._groups.join(is_over=is_over) if self._joins else []

    def _make_room(self, state: ResponseState) -> list[ViewPatch]:
        """Move a message below the thinking that was found in its text.

        That thinking has an entry of its own before the message, so the message is removed and
        added again.
        """
        patches: list[ViewPatch] = []
        for entry, after in pairwise(state.entries):
            section = self._sections.get(after.key)
            is_new = bool(entry.chunks) and entry.key not in self._sections
            if is_new and isinstance(entry.item, Reasoning) and isinstance(section, ProseSection):
                patches += self._groups.take_out(section)
                del self._sections[after.key]
                self._seen.pop(after.key, None)
        return patches

    def _update_entry(self, entry: Entry) -> list[ViewPatch]:
        patches: list[ViewPatch] = []
        section = self._sections.get(entry.key)
        if section is not None and type(section) is not section_type(entry):
            patches += self._groups.take_out(section)
            section = None
        if section is None:
            patches += self._wait("")
            section = section_type(entry)(self.tree, entry.key, self._cite)
            self._sections[entry.key] = section
            patches += self._groups.place(section)
        if isinstance(section, ToolSection):
            for url in figure_urls(entry.item):
                self._drawn_by.setdefault(url, entry.key)
        patches += section.update(entry, self._context(entry))
        if entry.key in self._asked and (entry.phase != "asking" or self._outcome is not None):
            self._asked.remove(entry.key)
            patches += self.tree.drop(_question_id(entry))
        if section.is_empty:
            patches += self._groups.take_out(section)
            del self._sections[entry.key]
        return patches

    def _tell_sent(self) -> list[ViewPatch]:
        """Show above the answer which step's result it answers, once that is known."""
        if not self.turn.sent or "sent" in self.tree:
            return []
        label, below = Label(f"Sent: {self.turn.sent}", "sent"), self.tree.root.children
        if below:
            return self.tree.put_before("sent", below[0].id, label)
        return self.tree.put("sent", ROOT, label)

    def _wait(self, text: str) -> list[ViewPatch]:
        if not text:
            return self.tree.drop("wait")
        return self.tree.put("wait", ROOT, LiveLine(text))

    def _context(self, entry: Entry) -> StepContext:
        sources: tuple[NumberedSource, ...] = ()
        if isinstance(entry.item, WebSearchCall):
            start = self._starts.get(entry.key, 0)
            sources = self._numbered[start : start + len(entry.item.sources)]
        is_cut = not entry.done or entry.phase == "incomplete"
        cut = _CUT[self._outcome.status] if self._outcome is not None and is_cut else ""
        return StepContext(sources, self._figures, cut)

    def _number(self, state: ResponseState) -> None:
        self._numbered = number_sources(entry.item for entry in state.entries)
        before = 0
        for entry in state.entries:
            if isinstance(entry.item, WebSearchCall):
                self._starts[entry.key] = before
                before += len(entry.item.sources)

    def _cite(self, number: int) -> str | None:
        """The address that `[number]` refers to."""
        found = 1 <= number <= len(self._numbered)
        return self._numbered[number - 1].url if found else None

    def _show_sandbox_images(self) -> list[ViewPatch]:
        """Show figures from code runs where the prose has images of the sandbox's files."""
        prose = self._of_type(ProseSection)
        addresses = [address for section in prose for address in section.images]
        if not addresses:
            return []
        drawn = drawn_figures(section.step for section in self._of_type(ToolSection))
        figures = meant_figures(addresses, drawn)
        return [patch for section in prose for patch in section.show_figures(figures)]

    def _mark_cited(self, state: ResponseState) -> list[ViewPatch]:
        """Mark the sources that the prose cites, in the list and in the searches that found them.

        Without prose there are no sources to list.
        """
        prose = [section for section in self._of_type(ProseSection) if section.is_shown]
        if not prose:
            return []
        cited = {number for section in prose for number in section.cited}
        sources = all_sources([entry.item for entry in state.entries], cited)
        self._numbered = tuple(source for source in sources if source.number)
        patches: list[ViewPatch] = []
        for entry in state.entries:
            if isinstance(entry.item, WebSearchCall):
                patches += self._update_entry(entry)
        if sources:
            patches += self.tree.put("sources", ROOT, SourceList(sources))
        return patches

    def _of_type(self, kind: type[_S]) -> list[_S]:
        return [section for section in self._groups.sections if isinstance(section, kind)]

    def _activity(self, state: ResponseState) -> str:
        """The current activity, in the words of the last unfinished section."""
        for entry in reversed(state.entries):
            section = self._sections.get(entry.key)
            if section is not None and not entry.done:
                return "Writing" if isinstance(section, ProseSection) else section.step.verb
        return self.status

    def _say(self, status: str) -> list[ViewPatch]:
        if status == self._said:
            return []
        self.status = self._said = status
        return self.tree.put("say.0", SAY, Spoken(status))

    def _thought_tokens(self, state: ResponseState) -> list[ViewPatch]:
        """Show the reasoning tokens on the only thought; for several, the tokens of each are
        unknown.
        """
        thoughts = self._of_type(ThoughtSection)
        tokens = state.usage.reasoning_tokens if state.usage is not None else 0
        if len(thoughts) != 1 or not tokens:
            return []
        return thoughts[0].add_fact(counted(tokens, "token"))

    def _end(self, state: ResponseState, outcome: Outcome) -> list[ViewPatch]:
        if outcome.is_raised and not self._sections:
            return []
        note, footer = turn_end(self.turn, outcome, state, self.seconds)
        patches = self.tree.put("note", ROOT, note) if note is not None else []
        return patches + self.tree.put("foot", ROOT, footer)


# Figures in the place of files of the sandbox -----------------------------------------------------
#
# A model that saved a figure as `chart.png` often writes `![…](chart.png)`, which nobody can
# follow: the file was in the sandbox. The figure itself is at hand, since it was also drawn.
# Which is meant is told by the file's name, where the code of one run saved it; else by the order.

_SAVED: Final = re.compile(
    r"\b(?:savefig|save|write_image|imsave|imwrite)\(\s*[rbfu]?([\"'])([^\"'\n]+)\1"
)
_SHOWN: Final = re.compile(r"\bshow\(")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of a code run: its data URI (empty if it failed), the file names it was saved
    under.
    """

    data: str
    names: tuple[str, ...] = ()


def drawn_figures(steps: Iterable[Step]) -> list[Drawn]:
    """The figures of the steps, in order."""
    drawn: list[Drawn] = []
    for step in steps:
        code = next((block.code for block in step.blocks if isinstance(block, Code)), "")
        names = saved_names(code, len(step.figures))
        drawn += [Drawn(figure.data, of) for figure, of in zip(step.figures, names, strict=True)]
    return drawn


def saved_names(code: str, count: int) -> list[tuple[str, ...]]:
    """The file names under which `code` saved each of its `count` figures."""
    saved = _saved_names(code)
    parts = _SHOWN.split(code)[:-1]
    if count == 1:
        return [saved]
    if len(parts) == count:
        return [_saved_names(part) for part in parts]
    if len(saved) == count:
        return [(name,) for name in saved]
    return [()] * count


def _saved_names(code: str) -> tuple[str, ...]:
    return tuple(_file_name(found[2]) for found in _SAVED.finditer(code))


def _file_name(address: str) -> str:
    return unquote(address).replace("\\", "/").rpartition("/")[2]


def meant_figures(addresses: Iterable[str], drawn: Sequence[Drawn]) -> dict[str, str]:
    """Map image addresses in the prose to the data URIs of the figures they refer to.

    Addresses without a figure, or whose figure failed, are left out.
    """
    lost = dict.fromkeys(addresses)
    meant = {
        address: figure
        for address in lost
        if (figure := _figure_saved_as(address, drawn)) is not None
    }
    others = iter([each for each in drawn if all(each is not taken for taken in meant.values())])
    for address in lost:
        if address not in meant and (figure := next(others, None)) is not None:
            meant[address] = figure
    return {address: figure.data for address, figure in meant.items() if is_picture(figure.data)}


def _figure_saved_as(address: str, drawn: Sequence[Drawn]) -> Drawn | None:
    """The figure saved under this name; the last one if there are several."""
    name = _file_name(address)
    return next((figure for figure in reversed(drawn) if name in figure.names), None)

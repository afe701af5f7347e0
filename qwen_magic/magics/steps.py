"""`--steps` and `%qwen_step`: an agent that proposes one cell at a time, and never runs one.

    %%qwen --steps ──> a plan ──> proposed ──the reader runs the cell──> asking ──> proposed …
                                     │ skip: asking; another cell in its place
                                     │ stop: stopped; the cell is one as any other
                       asking ends: proposed, or `done` (the model says so), or `waiting` (no cell
                       came, the answer was stopped or failed, the limit is reached: resume goes on)

A goal has at most one open proposal. The page marks its cell (labextension/static/steps.js), and
sends the mark along when the cell is run; where no page does (terminals, consoles) its first line
says what it is. What was said below a cell is kept, and shown again when that cell is run again.

Nothing here may fail into the user's own output: what goes wrong in a hook is one line.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import magics_class
from IPython.display import display

from qwen_magic.context.steps import (
    ASKED,
    GOAL,
    Goal,
    RanCell,
    State,
    StepReport,
    changed,
    is_edited,
    ran,
    read_marker,
    resumed,
    skipped,
    with_marker,
)
from qwen_magic.conversation.archive.notebook import METADATA_KEY
from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.document.footer import TurnFacts
from qwen_magic.document.words import shorten
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.frontends.kernel import CommPump, cell_id, cell_mark, kernel_of, request_session
from qwen_magic.frontends.plain import say
from qwen_magic.magics.base import SessionMagics, command
from qwen_magic.masking import with_texts
from qwen_magic.options import Options
from qwen_magic.protocol.fields import JSON

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.magics.asking import Asker
    from qwen_magic.session.plan import Ask, Plan
    from qwen_magic.session.view import View

_PLACE: Final = "⟨what came of it⟩"  # in a question, until that is read
_KEPT: Final = 200  # cells whose words are kept
_TRIES: Final = 4  # of seconds each, to reach a page that is being loaded again
_BETWEEN: Final = 5  # cells of the reader's own that go along


class Steps:
    """The goals of one shell (`--steps`)."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._shell = asker.shell
        self._goals: dict[str, Goal] = {}  # the newest last
        self._options: dict[str, Options] = {}  # by goal: those of its questions
        self._asking: dict[str, asyncio.Task[None]] = {}  # by goal: what asks in the background
        self._kept: OrderedDict[str, list[Answer]] = OrderedDict()  # by the cell they stand below
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._figure: object = None  # the one shown last, as of the cell before

    # A goal begins -----------------------------------------------------------------------------

    async def begin(self, ask: Ask, options: Options, answer: Answer, *, awaits: bool) -> None:
        """Start a goal from the model's plan, and propose its first cell.

        In a call that cannot await, the cell is proposed after the call has returned.
        """
        goal = self._begin_goal(ask, options, answer)
        is_for_page = goal.state == "proposed" and goal.paged
        if is_for_page and not awaits:
            self._later(self._propose(goal))
        elif not (is_for_page and await self._propose(goal)):
            self._offer(goal)

    def _begin_goal(self, ask: Ask, options: Options, answer: Answer) -> Goal:
        home = cell_id(self._shell)
        for other in list(self._goals.values()):
            if home and other.home == home:  # asked again: that one is over
                self.end(other)
                del self._goals[other.id]
        goal = self._make_goal(ask.prompt.removeprefix(GOAL), options, answer.chat)
        goal.home = home
        goal.sees = "last" in (options.images or ())
        self._take_answer(goal, answer)
        return goal

    def _make_goal(self, words: str, options: Options, chat: str) -> Goal:
        """Make a goal in the running cell. Data and files of its first question are not
        sent again.
        """
        once = dict.fromkeys(("after", "data", "rows", "files", "images", "out"))
        kept = replace(options, **once, chat=chat, raw=True, new=False, edit=False, steps=True)  # type: ignore[arg-type]
        goal = Goal(words, chat)
        self._options[goal.id] = kept
        self._move_here(goal)
        in_notebook = kernel_of(self._shell) is not None and bool(goal.below)
        widget = self._asker.views.page_widget() if in_notebook else None
        goal.paged = widget is not None and self._asker.settings.live
        if widget is not None:
            widget.on_step = self.pressed
            self._loop = asyncio.get_running_loop()
        return goal

    def _move_here(self, goal: Goal) -> None:
        """Show what comes next below the running cell."""
        goal.below, goal.session = cell_id(self._shell), request_session(self._shell)
        self._goals[goal.id] = self._goals.pop(goal.id, goal)
        self._kept.pop(goal.below, None)

    def close(self) -> None:
        for goal in self._goals.values():
            self.end(goal)

    # What the model said ------------------------------------------------------------------------

    def _take_answer(self, goal: Goal, answer: Answer | None) -> None:
        """Update the goal by the model's answer; None means that nothing was asked."""
        if goal.state == "stopped":
            return
        goal.state = "waiting"
        if answer is None:
            return
        if goal.below:
            self._keep(goal.below, answer)
        if answer.error is not None or answer.status == "stopped":
            return
        goal.take_answer(answer.text, str(answer.metadata.get(METADATA_KEY, {}).get("key", "")))

    async def _propose(
        self, goal: Goal, instead: str = "", was: str = "", *, patient: bool = False
    ) -> bool:
        """Insert the proposed cell in the page; return whether a page did so.

        It goes below the newest answer, or replaces the cell `instead` if its source is still
        `was`. `patient`: try several times, as the page may be reloading.
        """
        given = {
            "source": goal.code,
            "mark": {"step": goal.step, "goal": shorten(goal.words, 120), "open": True},
        }
        cell, step = None, goal.step
        for _ in range(_TRIES if patient else 1):
            if instead:
                cell = await self._ask_page(goal, do="swap", cell=instead, was=was, **given)
            if not cell and goal.below:
                cell = await self._ask_page(goal, do="insert", after=goal.below, **given)
            if cell or (goal.step, goal.state) != (step, "proposed"):
                break
        goal.cell, goal.paged = str(cell or ""), bool(cell)
        return goal.paged

    def _offer(self, goal: Goal) -> None:
        """Put the proposal into the next input, for front ends where no page can insert a cell."""
        if goal.state != "proposed":
            return
        goal.cell, goal.paged = "", False
        self._shell.set_next_input(with_marker(goal.code, goal.number, goal.id), replace=False)
        say(
            f"Step {goal.number} is in the next cell, not run: read it, edit it, run it, or "
            "%qwen_step skip. Where there is none, %qwen_code puts it there."
        )

    def _keep(self, cell: str, answer: Answer) -> None:
        self._kept.setdefault(cell, []).append(answer)
        self._kept.move_to_end(cell)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    # What the reader did ------------------------------------------------------------------------

    def after(self, result: Any, *, is_alone: bool) -> None:
        """Called after a cell and all its output. `is_alone`: it was not run together with
        others.
        """
        cell, source = cell_id(self._shell), str(result.info.raw_cell)
        number = int(result.execution_count or 0)
        shown = self._asker.last_figure.value
        has_figure, self._figure = shown is not self._figure, shown
        mark = cell_mark(self._shell)
        ours = (goal for goal in self._goals.values() if goal.is_proposal(source, cell, mark))
        goal = next(ours, None) if is_alone else None
        error = result.error_in_exec or result.error_before_exec
        if goal is None:
            self._after_other_cell(source, cell, number, is_alone=is_alone)
        elif isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            say(f"Step {goal.number} was interrupted: nothing is sent. Run it again, or skip it.")
            if goal.cell:
                self._later(self._ask_page(goal, do="mark", step=goal.step, open=True))
        else:
            self._after_step(goal, source, number, failed=error is not None, has_figure=has_figure)

    def _after_other_cell(self, source: str, cell: str, number: int, *, is_alone: bool) -> None:
        """Handle a cell that is not the proposed step: the user's own, or an earlier step run
        again.

        An earlier one loses its output when it runs, so the answers below it are shown again.
        """
        kept: Sequence[Answer] = self._kept.get(cell, ())
        if kept and kept[-1].shown_in == self._shell.execution_count:
            return  # it has just been shown
        if is_alone and "%qwen" in source:  # which has shown what is there now
            self._kept.pop(cell, None)
        elif kept or (cell and cell_mark(self._shell)):
            words = [(each.bundle, each.metadata) for each in kept] or self._said_before(cell)
            for bundle, metadata in words:
                display(dict(bundle), raw=True, metadata=metadata)  # type: ignore[no-untyped-call]
        elif "%qwen" not in source:
            for goal in self._goals.values():
                if goal.is_live:
                    goal.between = [*goal.between, (number, cell)][-_BETWEEN:]

    def _said_before(self, cell: str) -> Iterator[tuple[Mapping[str, str], JSON]]:
        """The answers that stood below a cell in an earlier kernel, from the stored
        conversation.
        """
        from qwen_magic.frontends.static import bundle
        from qwen_magic.magics.actions import document_of

        asker = self._asker
        host = asker.session.endpoints.find(asker.settings.endpoint).host
        for call, chat in sorted(asker.session.conversations.places(cell, host).items()):
            chain = asker.session.conversations.chain(chat)
            for turn in chain.siblings(CellKey(cell, call))[-1:]:
                facts = TurnFacts(turn.model, chat, len(chain.path(turn)), key=turn.key)
                sent = "" if turn.prompt.startswith(GOAL) else turn.prompt.partition(": ")[2]
                if turn.prompt.startswith(ASKED):
                    facts = replace(facts, sent=sent, proposes=True)
                    yield bundle(document_of(turn, facts)), {}

    def _after_step(
        self, goal: Goal, source: str, number: int, *, failed: bool, has_figure: bool
    ) -> None:
        """The proposed cell was run: ask for the next step with its result."""
        if goal.cell:
            self._later(self._ask_page(goal, do="mark", step=goal.step, open=False))
        self._move_here(goal)
        edited = is_edited(read_marker(source)[2], goal.code)
        cells = [*goal.between, (number, goal.below)]
        step, sends = goal.number, goal.sees and has_figure
        known = self._parent_of_next(goal)[1]

        def report(read: list[RanCell]) -> StepReport:
            *between, own = read
            own = replace(own, edited=edited, failed=failed, known=known)
            return ran(step, own, between, figure=sends)

        self._go_on(goal, report, cells, sends_figure=sends)

    def pressed(self, what: str, step: str) -> None:
        """A button of a proposed cell was pressed. Called on any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._press, what, step)

    def _press(self, what: str, step: str) -> None:
        goal = self._goals.get(step.partition(":")[0])
        if goal is None or goal.step != step or goal.state != "proposed":
            if goal is not None:
                self._later(self._ask_page(goal, do="mark", step=step))
        elif what == "stop":
            self.end(goal)
        elif what == "skip":
            self.skip(goal, in_page=True)

    # What the reader says -----------------------------------------------------------------------

    def newest(self, *states: State) -> Goal:
        """The most recent goal in one of these states. Raises `UsageError`."""
        found = [goal for goal in self._goals.values() if goal.state in states]
        if not found:
            raise UsageError(
                self.standing(), hint="" if self._goals else "%%qwen --steps begins a goal."
            )
        return found[-1]

    def standing(self) -> str:
        """The state of all goals in words, the newest first.

        A proposal that no page shows is put into the next input again.
        """
        for goal in self._goals.values():
            if goal.state == "proposed" and not goal.cell:
                self._offer(goal)
        lines = [goal.standing() for goal in reversed(self._goals.values())]
        return "\n".join(lines) or "There is no goal."

    def end(self, goal: Goal) -> None:
        """Stop the goal: nothing more is sent, and the proposed cell becomes an ordinary one."""
        if goal.state == "proposed" and goal.cell:
            self._later(self._ask_page(goal, do="mark", step=goal.step))
        if goal.id in self._asking:
            self._asking[goal.id].cancel()
        if goal.is_live:
            goal.state = "stopped"

    def skip(self, goal: Goal, *, in_page: bool = False) -> None:
        """Ask for another cell in place of the proposed one. `in_page`: by a button, so no cell is
        running.
        """
        if not in_page:
            self._move_here(goal)
        report = skipped(goal.number)
        self._go_on(goal, lambda read: report, instead=True, in_page=in_page)

    def change(self, goal: Goal, words: str) -> None:
        """Replace the goal's words, and ask for a step towards the new goal."""
        goal.words = words
        self._move_here(goal)
        self._go_on(goal, lambda read: changed(words), instead=goal.state == "proposed")

    def resume(self) -> None:
        """Continue a goal that has halted. Raises `UsageError`.

        After a restart of the kernel, or in a fork, the goal is restored from the current
        conversation.
        """
        current, is_fresh = self._asker.session.conversations.current, not self._goals
        is_here = any(goal.chat == current for goal in self._goals.values())
        goal = None if is_here else self._goal_of_conversation()
        goal = goal or self.newest("waiting", "stopped")
        goal.asked = 0
        self._move_here(goal)
        words = goal.words
        self._go_on(goal, lambda read: resumed(words, read, is_fresh=is_fresh), goal.between)

    def _goal_of_conversation(self) -> Goal | None:
        """The goal that the current conversation was last about, or None."""
        conversations = self._asker.session.conversations
        chain = conversations.chain(conversations.current)
        path = chain.path(chain.head)
        while path and path[-1].prompt.startswith(ASKED) and not path[-1].prompt.startswith(GOAL):
            path.pop()
        if chain.head is None or not path or not path[-1].prompt.startswith(GOAL):
            return None
        goal = self._make_goal(path[-1].prompt.removeprefix(GOAL), Options(), chain.name)
        goal.last, goal.number = chain.head.key, len(chain.path(chain.head)) - len(path) + 1
        return goal

    # Asking -------------------------------------------------------------------------------------

    def _go_on(
        self,
        goal: Goal,
        report: Callable[[list[RanCell]], StepReport],
        cells: Sequence[tuple[int, str]] = (),
        *,
        sends_figure: bool = False,
        instead: bool = False,
        in_page: bool = False,
    ) -> None:
        """Ask for the next step, and show the answer in the output of the running cell.

        `report` makes the text to send from the `cells` as they are read. `instead`: the next
        proposal replaces the open one. `in_page`: no cell is running.
        """
        settings, begun = self._asker.settings, goal.asked
        if begun >= settings.step_limit:
            goal.state, goal.asked = "waiting", 0
            self._say(f"{begun} steps: nothing is sent. %qwen_step resume goes on.", in_page)
            return
        before = (goal.cell, goal.code) if instead else ("", "")
        goal.state = "asking"
        try:
            ask = self._question(goal, sends_figure)
            if goal.paged:
                read = partial(self._asker.notebook.ran, cells, goal.session)
                self._in_background(goal, ask, read, report, before, in_page)
            else:
                cells_read = self._asker.notebook.ran_here(cells)
                self._ask_here(goal, _filled(ask, goal, report(cells_read)))
        except QwenError as error:
            goal.state = "waiting"
            self._say(f"Nothing was sent. {error.message} {error.hint}", in_page)

    def _question(self, goal: Goal, sends_figure: bool) -> Ask:
        """The next question of a goal, with a placeholder for the result of the last step."""
        after, _ = self._parent_of_next(goal)
        options = replace(
            self._options[goal.id],
            after=(after.response_id or None) if after else None,
            images=("last",) if sends_figure else None,
        )
        return self._asker.questions.ask(options, _PLACE)

    def _parent_of_next(self, goal: Goal) -> tuple[Turn | None, bool]:
        """The turn that the goal's next question continues after, and whether its newest turn is
        before it.

        That is the newest turn of the conversation that follows the goal's last one, so the user's
        own questions in between count; undone turns do not.
        """
        chain = self._asker.session.conversations.chain(goal.chat)
        last, head = chain.turns.get(goal.last), chain.head
        if last is None or last in chain.path(head):
            return head, last is not None
        is_undone = head is None or head in chain.path(last)
        return (head, False) if is_undone else (last, True)

    def _in_background(
        self,
        goal: Goal,
        ask: Ask,
        read: Callable[[], Awaitable[list[RanCell]]],
        report: Callable[[list[RanCell]], StepReport],
        before: tuple[str, str],
        in_page: bool,
    ) -> None:
        from qwen_magic.magics.background import begin

        async def settled() -> Ask:
            return _filled(ask, goal, report(await read()))

        def ended(answer: Answer | None) -> None:
            self._take_answer(goal, answer)
            if goal.state == "proposed":
                self._later(self._propose(goal, *before, patient=True))
            elif before[0] and goal.state != "stopped":
                self._later(self._ask_page(goal, do="mark", step=goal.step))

        put = partial(self._put_output, goal, goal.below) if in_page else None
        self._asking[goal.id] = begin(
            self._asker, ask, self._options[goal.id], settle=settled, ended=ended, put=put
        )

    def _ask_here(self, goal: Goal, ask: Ask) -> None:
        """Ask without a page: wait for the answer, then put the proposal into the next input."""
        asker, answer = self._asker, None
        pump = CommPump(self._shell)

        def view(plan: Plan, started: float) -> View:
            return asker.views.view(plan, started, quiet=False, awaited=False)

        try:
            answer = asker.session.run(asker.session.plan(ask), view, step=pump.step)
            asker.views.offer(answer)
        except KeyboardInterrupt:
            say("Stopped. %qwen_step resume goes on.")
        finally:
            pump.close()
            self._take_answer(goal, answer)
        if answer is not None and answer.error is not None:
            raise answer.error
        self._offer(goal)

    # The page -----------------------------------------------------------------------------------

    async def _ask_page(self, goal: Goal, **request: Any) -> Any:
        return await self._asker.page.ask(request, session=goal.session)

    def _put_output(self, goal: Goal, cell: str, data: JSON, metadata: JSON, model: str) -> None:
        """Show an output below a cell that is not running."""
        output = {"output_type": "display_data", "data": data, "metadata": metadata}
        self._later(self._ask_page(goal, do="output", cell=cell, output=output, model=model))

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        assert self._loop is not None  # a page has the goal
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, text: str, in_page: bool) -> None:
        if not in_page:
            say(text)


def _filled(ask: Ask, goal: Goal, report: StepReport) -> Ask:
    """Replace the question's placeholder by the report of the step."""

    def fill(text: str) -> str:
        return text.replace(_PLACE, report.text)

    parts = tuple(replace(part, text=fill(part.text)) for part in ask.parts)
    words = f"{ASKED} {goal.number}: {report.about}".replace("\u00a0", " ")
    given = with_texts(ask.input, fill)
    return replace(ask, prompt=words, sent=report.about, input=given, parts=parts).without_keys()


@magics_class
class StepMagics(SessionMagics):
    """Commands about a goal, besides running its cells."""

    @command
    def qwen_step(self, line: str) -> None:
        """Steps towards a goal, of which you run each yourself. %%qwen --steps begins.

        %qwen_step              where it stands
        %qwen_step skip         another cell in place of the one that is proposed
        %qwen_step stop         end it: the proposed cell is one as any other
        %qwen_step resume       go on after it stopped, failed, or the kernel was restarted
        %qwen_step goal WORDS   another goal from here on
        """
        word, _, rest = line.strip().partition(" ")
        steps = self._asker.steps
        match word:
            case "":
                say(steps.standing())
            case "skip" | "resume" | "goal" if not self._magics.has_reader:
                say("Nothing was asked: run this cell by itself, and not with others.")
            case "skip" if not rest:
                steps.skip(steps.newest("proposed"))
            case "stop" if not rest:
                steps.end(steps.newest("asking", "proposed", "waiting"))
            case "resume" if not rest:
                steps.resume()
            case "goal" if rest.strip():
                steps.change(steps.newest("proposed", "waiting", "done", "stopped"), rest.strip())
            case _:
                raise UsageError(
                    "%qwen_step takes skip, stop, resume, or goal and its words.",
                    hint="%%qwen --steps begins a goal.",
                )

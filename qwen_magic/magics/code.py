"""`%qwen_code`, `%qwen_fix`, `%qwen_edit`, `%qwen_trace`: code, exceptions, and how a turn went."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import magics_class

from qwen_magic.document.words import counted, fenced
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.frontends.kernel import takes_input
from qwen_magic.frontends.plain import say
from qwen_magic.magics.base import SessionMagics, blocking, command, fails_shortly, line_command
from qwen_magic.magics.qwen import QwenMagics, help_text
from qwen_magic.protocol.request import RequestPart

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.context.exception_report import ExceptionReport
    from qwen_magic.context.notebook import FoundCell
    from qwen_magic.document.extract import CodeBlock
    from qwen_magic.options import Options
    from qwen_magic.session.plan import Ask

_TASK: Final = """\
My notebook raised the exception below. Explain in a few sentences what went wrong, then give the \
corrected code of the cell in one Python code block that can replace it whole. Where the fault is \
in code of another cell, correct that one, and say which it is. Do not guess at data that you \
cannot see. [masked] stands for a secret that is not shown."""
_EDIT: Final = """\
Change the cell of my notebook below as I ask. Give its whole new source in one Python code block, \
which is to replace it; say in a sentence or two what you changed. Leave the rest as it is."""
_TARGET: Final = re.compile(r"\s*(this(?=\s|\Z)|cells:\S*)?\s*(.*)", re.DOTALL)
_OWN_LINE: Final = re.compile(r"^[ \t]*(?:\w+[ \t]*=[ \t]*)?%qwen_edit\b.*\n?", re.MULTILINE)


@magics_class
class CodeMagics(SessionMagics):
    """Magics that move code between the model and the user's cells. They never run it.

    `%qwen_fix` is the only magic that sends values which the user did not name: it lists them.
    """

    def __init__(self, shell: Any, magics: QwenMagics) -> None:
        super().__init__(shell, magics)
        self._last: BaseException | None = None  # of the user's cells

    @command
    def qwen_code(self, line: str) -> None:
        """Put a code block of an answer into the next cell; it is never run.

        %qwen_code             the first Python block of the conversation's last answer
        %qwen_code main:3      of that turn (3, main:3, -1 or a response id)
        %qwen_code -n 2        the second block, of any language; -n -1 is the last
        """
        from qwen_magic.document.extract import code_blocks

        ref, number = read_code_line(line)
        block = choose(code_blocks(self._find(ref)[1].text), number)
        self.shell.set_next_input(block.code, replace=False)  # type: ignore[union-attr]

    @command
    def qwen_trace(self, line: str) -> None:
        """How a turn went: %qwen_trace [REF], or of a recording %qwen_trace FILE.jsonl [N].

        The waterfall of its time, each part in a sentence, the chain of ids, the events, and the
        request as it was sent, as `curl` and for the `openai` package. It knows the last fifty
        turns that were answered in this kernel, and each question of a recording, which it lists.
        """
        from qwen_magic.magics.line import read_words
        from qwen_magic.magics.view_factory import trace_of

        takes = "a turn (3, main:3, -1), or a recording and a number"
        words, _ = read_words("qwen_trace", line, takes, most=2)
        kept = self._asker.session.traced
        if words and (words[0].endswith(".jsonl") or len(words) == 2):
            self._trace_recorded(Path(os.path.expanduser(words[0])), *words[1:])
            return
        if words:
            key = self._find(words[0])[1].key
            found = next((each for each in kept if each.turn.key == key), None)
        else:
            found = kept[-1] if kept else None
        if found is None:
            raise UsageError(
                "Of that turn there is no trace." if words else "Nothing was asked here yet.",
                hint="The last fifty turns that were answered in this kernel have one, and each "
                "question of a recording: %qwen_trace FILE.jsonl",
            )
        self._asker.views.show_trace(trace_of(found))

    def _trace_recorded(self, path: Path, number: str = "") -> None:
        """Show how a question of a recording went; without a number, where it has several, list
        them. Raises `UsageError`."""
        from qwen_magic.conversation.scope import read_text
        from qwen_magic.document.words import exposed
        from qwen_magic.frontends.trace import seconds
        from qwen_magic.magics.view_factory import trace_of_recorded
        from qwen_magic.recording.file import read_recording
        from qwen_magic.recording.replay import question_of, shortened
        from qwen_magic.recording.trace import questions

        found = questions(read_recording(read_text(path), path.name))
        if number and not (number.isdecimal() and 1 <= int(number) <= len(found)):
            raise UsageError(f"{path.name} has {counted(len(found), 'question')}, no {number}.")
        if number or len(found) == 1:
            place = int(number or 1)
            self._asker.views.show_trace(trace_of_recorded(path.name, place, found[place - 1]))
            return
        rows = [
            [
                str(place),
                exposed(shortened(question_of(asked[0].body or {}))),
                exposed(asked[0].model),
                seconds(sum(each.stream[-1][0] for each in asked if each.stream)),
            ]
            for place, asked in enumerate(found, 1)
        ]
        note = f"%qwen_trace {path} N shows how one went"
        self._asker.views.show_table(["", "question", "model", "took"], rows, note)

    @line_command
    def qwen_fix(self, line: str) -> Answer | None:
        """Explain and fix the last exception: %qwen_fix [options] [words].

        It sends the failing cell, the traceback and the values that the failing lines name (cut
        short, without what looks like a secret), and says so. The options are those of %qwen;
        %qwen_fix --dry-run shows all that would be sent. Words are for the model, as typed.
        """
        return blocking(self._fix(line, awaits=False))

    @fails_shortly
    async def aqwen_fix(self, line: str) -> Answer | None:
        """`%qwen_fix` in a cell that awaits."""
        return await self._fix(line, awaits=True)

    async def _fix(self, line: str, *, awaits: bool) -> Answer | None:
        question, view = await self._asker.prepare(partial(self._begin, line), awaits=awaits)
        if not question:
            return None
        ask, options, cell = question
        answer = await self._asker.answer(ask, options, view, awaits=awaits)
        if block := _block_of(answer):
            notebook = self._asker.notebook
            found = await notebook.find(notebook.failed(cell, block.code), awaits=awaits)
            self._offer(block.code, *found)
        return answer

    @line_command
    def qwen_edit(self, line: str) -> Answer | None:
        """Have a cell changed: %qwen_edit [options] [cells:N | this] words.

        The cell with the number N, this one, or without a word for it the one above. What is
        proposed is shown as a difference, with Accept (which replaces the source, and can be
        undone) and Discard; where no page can do that it goes into the next cell. It is never run.
        The options are those of %qwen.
        """
        return blocking(self._edit(line, awaits=False))

    @fails_shortly
    async def aqwen_edit(self, line: str) -> Answer | None:
        """`%qwen_edit` in a cell that awaits."""
        return await self._edit(line, awaits=True)

    async def _edit(self, line: str, *, awaits: bool) -> Answer | None:
        if not (edit := self._read_edit(line)):
            return None
        options, target, words = edit
        notebook = self._asker.notebook
        cell, is_on_page = await notebook.find(notebook.named(target), awaits=awaits)
        begin = partial(self._begin_edit, line, options, words, cell)
        question, view = await self._asker.prepare(begin, awaits=awaits)
        if not question:
            return None
        answer = await self._asker.answer(*question, view, awaits=awaits)
        if block := _block_of(answer):
            self._offer(block.code, cell, is_on_page)
        else:
            say("The answer has no code to put into the cell.")
        return answer

    def _read_edit(self, line: str) -> tuple[Options, str, str] | None:
        """Read the options, the cell, and the request. None if help was asked for. Raises
        `UsageError`.
        """
        from qwen_magic.magics.line import read_line

        options, rest = read_line(line)
        if options.help:
            say(f"{getdoc(CodeMagics.qwen_edit)}\n\n{help_text()}")
            return None
        found = _TARGET.fullmatch(rest)
        assert found is not None  # it takes any text
        if not found[2].strip():
            raise UsageError(
                "What is to become of the cell?", hint="%qwen_edit cells:4 use a set instead"
            )
        return options, found[1] or "", found[2].strip()

    def _begin_edit(
        self, line: str, options: Options, words: str, cell: FoundCell | None
    ) -> tuple[Ask, Options] | None:
        """The question of `%qwen_edit`; None where nothing is left to wait for (dry run,
        background).
        """
        if cell is None:
            raise UsageError("There is no such cell.")
        source = _OWN_LINE.sub("", cell.source)
        if not options.allow_secrets and self._asker.notebook.has_secret(source):
            raise UsageError(
                f"What looks like a secret stands in {cell.name}: kept back, it would be lost.",
                hint="Take it out of the cell; --allow-secrets sends it.",
            )
        parts = (
            RequestPart("task", text=_EDIT),
            RequestPart("prompt", text=words),
            RequestPart(
                "cell", cell.name.removeprefix("cell "), f"The cell:\n{fenced(source, 'python')}"
            ),
        )
        text = "\n\n".join(part.text for part in parts)
        ask = self._asker.questions.ask(replace(options, raw=True), text)
        added = (part for part in ask.parts if part.kind != "prompt")
        ask = replace(
            ask, prompt=f"%qwen_edit {line}".strip(), parts=(*parts, *added), proposes=True
        )
        return None if self._asker.handled_at_once(ask, options) else (ask, options)

    def _offer(self, source: str, cell: FoundCell | None, is_on_page: bool) -> None:
        """Offer `source` as the cell's new text: as a difference with buttons where a page shows
        the notebook, else in the next cell. Where nobody can take it (nbconvert, CI) only the
        difference is shown.
        """
        shell: Any = self.shell
        if cell is not None and cell.source.rstrip() == source.rstrip():
            say(f"That is what stands in {cell.name} already.")
        elif cell is not None and (is_on_page or not takes_input(shell)):
            self._asker.views.show_edit(cell, source)
        else:
            shell.set_next_input(source, replace=False)
            say("The new source is in the next cell. It was not run.")

    def _begin(self, line: str) -> tuple[Ask, Options, int | None] | None:
        """The question of `%qwen_fix`; None where nothing is left to wait for (help, dry run,
        background).
        """
        from qwen_magic.magics.line import read_line

        options, words = read_line(line)
        if options.help:
            say(f"{getdoc(CodeMagics.qwen_fix)}\n\n{help_text()}")
            return None
        report = self._report()
        asker = self._asker
        parts = [
            RequestPart("task", text=_TASK),
            RequestPart("prompt", text=words.strip()),
            RequestPart("exception", text=report.text, about=report.contents),
        ]
        parts = [part for part in parts if part.text]
        # Braces in code are no references to values.
        ask = asker.questions.ask(
            replace(options, raw=True), "\n\n".join(part.text for part in parts)
        )
        added = (part for part in ask.parts if part.kind != "prompt")  # by -d and the like
        ask = replace(ask, prompt=f"%qwen_fix {line}".strip(), parts=(*parts, *added))
        if not options.dry_run:
            say(f"Sent with it: {report.contents}. (%qwen_fix --dry-run shows it all.)")
        return None if asker.handled_at_once(ask, options) else (ask, options, report.cell)

    def _report(self) -> ExceptionReport:
        from qwen_magic.context.exception_report import exception_report
        from qwen_magic.masking import known_secrets

        shell: Any = self.shell
        inputs = shell.history_manager.input_hist_raw
        key = self._asker.session.endpoints.find(self._magics.endpoint).key
        return exception_report(
            self._last_exception(),
            # Private to IPython, and in all its versions since 7.23: without it the cells of a
            # traceback have no numbers.
            cells=dict(getattr(shell.compile, "_filename_map", {})),
            typed=dict(enumerate(inputs)),
            last_input=inputs[-2] if len(inputs) > 1 else "",  # before the one that asks
            secrets=[*known_secrets(), *([key] if key else [])],
        )

    def _last_exception(self) -> BaseException:
        """The last exception of the user's code, ignoring later ones of this package."""
        last = sys.exc_info()[1] or getattr(sys, "last_value", None)
        if last is not None and not _is_ours(last):
            return last
        if self._last is not None:
            return self._last
        if last is not None:
            raise UsageError(
                f"The last exception, {type(last).__name__}, is one of qwen_magic's own.",
                hint="Its lines say what to do. Run the cell to be fixed again, then %qwen_fix.",
            )
        raise UsageError(
            "There is no exception to fix.", hint="Run the failing cell, then %qwen_fix."
        )

    def remember(self, error: BaseException) -> None:
        """Keep the exception of a failed cell, in case one of this package follows it."""
        if not _is_ours(error):
            self._last = error


def read_code_line(line: str) -> tuple[str, int | None]:
    """Read `[REF] [-n N]`: REF is "" for the last answer, N None for the first Python block.

    Raises `UsageError`.
    """
    from qwen_magic.magics.line import read_words

    words, given = read_words("qwen_code", line, "one turn", most=1)
    number = given.get("n")
    return "".join(words), number if isinstance(number, int) else None


def choose(blocks: Sequence[CodeBlock], number: int | None = None) -> CodeBlock:
    """The block with that number, counted from 1, or from the end if negative.

    Without a number: the first Python block, else the first one. Raises `UsageError`.
    """
    if not blocks:
        raise UsageError(
            "There is no code in that answer.", hint="%qwen_code REF takes it from another turn."
        )
    if number is None:
        return next((block for block in blocks if block.is_python), blocks[0])
    if not 1 <= abs(number) <= len(blocks):
        count = "one code block" if len(blocks) == 1 else f"{len(blocks)} code blocks"
        raise UsageError(f"That answer has {count}, no number {number}.")
    return blocks[number - 1 if number > 0 else number]


def _is_ours(error: BaseException) -> bool:
    """Whether this package raised the exception, or it is the interrupt of an answer."""
    if isinstance(error, QwenError):
        return True
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    module = str(step.tb_frame.f_globals.get("__name__", "")) if step is not None else ""
    return isinstance(error, KeyboardInterrupt) and module.startswith("qwen_magic")


def _block_of(answer: Answer) -> CodeBlock | None:
    """The code of an answer that can stand in a cell: its first Python block, or its only block."""
    from qwen_magic.document.extract import code_blocks

    blocks = code_blocks(answer.text)
    return choose(blocks) if blocks else None

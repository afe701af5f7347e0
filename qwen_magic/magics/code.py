"""`%qwen_code`, `%qwen_fix`, `%qwen_trace`: code out of an answer, an answer to an exception, and
how an answer came about."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import magics_class

from qwen_magic.errors import QwenError, UsageError
from qwen_magic.magics.base import SessionMagics, command, shortened
from qwen_magic.magics.qwen import QwenMagics, help_text
from qwen_magic.protocol.request import RequestPart

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.context.exception.report import ExceptionReport
    from qwen_magic.document.extract import CodeBlock
    from qwen_magic.options import Options
    from qwen_magic.session.plan import Ask

_TASK: Final = """\
My notebook raised the exception below. Explain in a few sentences what went wrong, then give the \
corrected code of the cell in one Python code block that can replace it whole. Where the fault is \
in code of another cell, correct that one, and say which it is. Do not guess at data that you \
cannot see. [masked] stands for a secret that is not shown."""
_HINT: Final = "%qwen_code puts the code into the next cell."


@magics_class
class CodeMagics(SessionMagics):
    """Code between the model and the user: it is put where it can be read first, and never run.

    `%qwen_fix` is the one magic that sends values that nobody typed: it says which.
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
        """How a turn went: %qwen_trace [REF].

        The waterfall of its time, each part in a sentence, the chain of ids, the events, and the
        request as it was sent, as `curl` and for the `openai` package. It knows the last fifty
        turns that were answered in this kernel, also those of a recording.
        """
        from qwen_magic.magics.line import read_words

        words, _ = read_words("qwen_trace", line, "a turn, such as 3, main:3 or -1", most=1)
        kept = self._asker.session.traced
        if words:
            key = self._find(words[0])[1].key
            found = next((each for each in kept if each.turn.key == key), None)
        else:
            found = kept[-1] if kept else None
        if found is None:
            raise UsageError(
                "Of that turn there is no trace." if words else "Nothing was asked here yet.",
                hint="The last fifty turns that were answered in this kernel have one; a recording "
                "has one for each turn that is replayed.",
            )
        self._asker.views.show_trace(found)

    @command
    def qwen_fix(self, line: str) -> Answer | None:
        """Explain and fix the last exception: %qwen_fix [options] [words].

        It sends the failing cell, the traceback and the values that the failing lines name (cut
        short, without what looks like a secret), and says so. The options are those of %qwen;
        %qwen_fix --dry-run shows all that would be sent. Words are for the model, as typed.
        """
        begun = self._begin(line)
        return _with_hint(self._asker.answer(*begun)) if begun else None

    async def aqwen_fix(self, line: str) -> Answer | None:
        """The same, awaited, so that the kernel handles a click on Stop meanwhile."""
        try:
            begun = self._begin(line)
            return _with_hint(await self._asker.aanswer(*begun)) if begun else None
        except QwenError as error:
            raise shortened(error) from error.__cause__

    def _begin(self, line: str) -> tuple[Ask, Options] | None:
        """What to ask; None where that is done: help, a dry run, in the background."""
        from qwen_magic.magics.line import read_line

        options, words = read_line(line)
        if options.help:
            print(f"{CodeMagics.qwen_fix.__doc__}\n{help_text()}")
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
            print(f"Sent with it: {report.contents}. (%qwen_fix --dry-run shows it all.)")
        return None if asker.held_back(ask, options) else (ask, options)

    def _report(self) -> ExceptionReport:
        from qwen_magic.context.exception.report import exception_report
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
        """That of the user's code; our own failures since are no matter for a model."""
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
        """A cell failed: keep its exception, for when one of our own comes after it."""
        if not _is_ours(error):
            self._last = error


def read_code_line(line: str) -> tuple[str, int | None]:
    """REF ("" for the head) and N (None for the first Python block) of `[REF] [-n N]`.

    Raises `UsageError`.
    """
    from qwen_magic.magics.line import read_words

    words, given = read_words("qwen_code", line, "one turn", most=1)
    number = given.get("n")
    return "".join(words), number if isinstance(number, int) else None


def choose(blocks: Sequence[CodeBlock], number: int | None = None) -> CodeBlock:
    """The block of that number, from 1, or from the end where it is negative; without one the
    first of Python, else the first. Raises `UsageError`."""
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
    """A failure of this package, or its stopping of an answer."""
    if isinstance(error, QwenError):
        return True
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    module = str(step.tb_frame.f_globals.get("__name__", "")) if step is not None else ""
    return isinstance(error, KeyboardInterrupt) and module.startswith("qwen_magic")


def _with_hint(answer: Answer) -> Answer:
    """`answer`, after a line that says where its code can go."""
    from qwen_magic.document.extract import first_python

    if first_python(answer.text) is not None:
        print(_HINT)
    return answer

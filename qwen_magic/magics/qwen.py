"""`%%qwen` and `%qwen`, with their help.

Loading the extension imports this module and little more; what a question needs is imported when
it is asked, or before in the background.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from qwen_magic.conversation import uncollected
from qwen_magic.frontends.kernel import Requests, cell_mark, takes_input
from qwen_magic.frontends.plain import say
from qwen_magic.magics.base import blocking, fails_shortly, interrupted, short
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.options import OPTIONS, Option

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.frontends.kernel import LastFigure
    from qwen_magic.magics.asking import Asker
    from qwen_magic.magics.comparing import Comparison
    from qwen_magic.options import Options
    from qwen_magic.session.plan import Ask


_WIDTH: Final = 80
_COLUMN: Final = 27  # where the explanations begin

_USAGE: Final = """\
%%qwen [options]            and the prompt in the lines below
%qwen [options] prompt      the same in one line; x = %qwen … assigns the Answer"""

_NOTES: Final = """\
The first word that is no option begins the prompt, which is taken to the
letter; -- ends the options. {name}, {name.attr}, {name[0]} and {name["key"]}
are replaced by values of the notebook, outside code and $maths$."""

_NO_STEPS: Final = "Nothing was asked: run this cell by itself, and not with others."

EXAMPLES: Final = (
    "%qwen What is a prime number?",
    "%qwen -t web_search,web_extractor What is new in Python this month?",
    "%qwen -t code_interpreter -m qwen3-max Plot the first 100 primes",
    '%qwen -s "You are a patient teacher" --new Explain {error}',
    "%qwen -e high -o plan How would you test {function}?",
)


def help_text() -> str:
    """What `%qwen -h` prints and `%%qwen?` shows, at most 80 columns wide."""
    examples = "\n".join(f"  {example}" for example in EXAMPLES)
    return f"{_USAGE}\n\n{options_table('qwen')}\n\n{_NOTES}\n\nExamples\n{examples}\n"


def options_table(magic: str) -> str:
    """The options of `%magic` with their help, a line or more each."""
    return "\n".join(_help_row(option) for option in OPTIONS if magic in option.magics)


def _help_row(option: Option) -> str:
    names = f"{option.short}, {option.long}" if option.short else f"    {option.long}"
    head = f"  {names} {option.metavar}".rstrip()
    about, width = option.help.replace("`", ""), _WIDTH - _COLUMN
    lines = textwrap.wrap(about, width, break_long_words=False, break_on_hyphens=False)
    if len(head) > _COLUMN - 2:
        lines.insert(0, "")
    return head.ljust(_COLUMN if lines[0] else 0) + ("\n" + " " * _COLUMN).join(lines)


def _names_of_caller() -> Mapping[str, object]:
    """The local variables of the function that called `run_cell_magic`, which IPython does not
    give to cell magics."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "run_cell_magic":
        frame = frame.f_back
    caller = frame and frame.f_back
    return caller.f_locals if caller is not None else {}


@magics_class
class QwenMagics(Magics, QwenSettings):
    """The defaults of %%qwen and %qwen."""

    def __init__(
        self, shell: Any, last_figure: LastFigure, requests: Requests | None = None
    ) -> None:
        super().__init__(shell=shell, parent=shell)
        self._last_figure = last_figure
        self._requests = requests or Requests()
        self.apply_environment(shell.config.get("QwenMagics", {}))

    @cached_property
    def asker(self) -> Asker:
        with uncollected():
            from qwen_magic.magics.asking import Asker

        return Asker(self.shell, self, self._last_figure)

    def close(self) -> None:
        """Stop everything that questions have started."""
        if "asker" in self.__dict__:
            self.asker.close()

    def begin_execution(self) -> None:
        """Called before a cell runs."""
        if "asker" in self.__dict__:
            self.asker.questions.begin_execution()

    @property
    def has_reader(self) -> bool:
        """Whether a user runs this cell alone, and so could run a proposed cell afterwards."""
        return takes_input(self.shell) and not self._requests.are_together

    def after(self, result: Any) -> None:
        """Called after a cell has run."""
        has_goals = "asker" in self.__dict__ and "steps" in self.asker.__dict__
        if has_goals or cell_mark(self.shell):
            self.asker.steps.after(result, is_alone=not self._requests.are_together)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @fails_shortly
    def qwen(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, object] | None = None
    ) -> Answer | Comparison | None:
        names = (local_ns if cell is None else _names_of_caller()) or {}
        return blocking(self._ask(line, cell, names, awaits=False))

    async def aqwen(self, line: str, cell: str | None = None) -> Answer | Comparison | None:
        """`%%qwen` in a cell that awaits: what the input transformer calls at top level in a
        kernel.
        """
        try:  # as `fails_shortly`, which every delta would pass
            return await self._ask(line, cell, {}, awaits=True)
        except Exception as error:
            line, cell = "", None
            raise short(error)  # noqa: B904

    async def _ask(
        self, line: str, cell: str | None, names: Mapping[str, object], *, awaits: bool
    ) -> Answer | Comparison | None:
        begin = partial(self._begin, line, cell, names)
        (asks, options), view = await self.asker.prepare(begin, awaits=awaits)
        if not asks:
            return None
        if options.compare:
            from qwen_magic.magics.comparing import compare

            return await compare(self.asker, options, asks, view, awaits=awaits)
        answer = await self.asker.answer(asks[0], options, view, awaits=awaits)
        if options.steps:
            await self.asker.steps.begin(asks[0], options, answer, awaits=awaits)
        return answer

    def _begin(
        self, line: str, cell: str | None, names: Mapping[str, object]
    ) -> tuple[list[Ask], Options]:
        """The questions of a cell: one, or one for each variant of `--compare`.

        None is left where nothing is to be waited for (help, dry run, background). `names`: the
        local variables of the function that the line stands in.
        """
        from qwen_magic.context.steps import GOAL
        from qwen_magic.magics.line import read_cell

        options, prompt = read_cell(line, cell or "")
        if options.help:
            say(help_text())
            return [], options
        if options.steps and not self.has_reader:
            say(_NO_STEPS)
            return [], options
        asked = options
        if options.steps and self._last_figure.value is None:  # figures to come are meant
            asked = replace(options, images=tuple(i for i in options.images or () if i != "last"))
        of = [("", asked)]
        if options.compare:
            from qwen_magic.magics.comparing import variants

            of = variants(options)
        try:
            asks = [
                replace(self.asker.questions.ask(variant, prompt, names), label=label)
                for label, variant in of
            ]
        except KeyboardInterrupt:
            raise interrupted("nothing was sent") from None
        if options.steps:
            asks = [replace(ask, prompt=f"{GOAL}{prompt}") for ask in asks]
        return [ask for ask in asks if not self.asker.handled_at_once(ask, options)], options


QwenMagics.qwen.__doc__ = f"Ask the model; the answer is shown as it is written.\n\n{help_text()}"

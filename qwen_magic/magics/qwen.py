"""`%%qwen` and `%qwen`.

Loading the extension imports this module and little more; what a question needs is imported when
it is asked, or before in the background.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from qwen_magic.errors import QwenError
from qwen_magic.magics.failure import shortened
from qwen_magic.magics.helptext import docstring, help_text
from qwen_magic.magics.settings import QwenSettings

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.magics.asking import Asker
    from qwen_magic.magics.options import Options
    from qwen_magic.session.plan import Ask


@magics_class
class QwenMagics(Magics, QwenSettings):
    """The defaults of %%qwen and %qwen."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell=shell, parent=shell)
        self.apply_environment(shell.config.get("QwenMagics", {}))

    @cached_property
    def asker(self) -> Asker:
        from qwen_magic.magics.asking import Asker

        return Asker(self.shell, self)

    def close(self) -> None:
        """End what the questions so far have begun."""
        if "asker" in self.__dict__:
            self.asker.close()

    def begin_execution(self) -> None:
        """A cell begins."""
        if "asker" in self.__dict__:
            self.asker.begin_execution()

    @no_var_expand
    @line_cell_magic
    def qwen(self, line: str, cell: str | None = None) -> Answer | None:
        try:
            begun = self._begin(line, cell)
            return self.asker.answer(*begun) if begun else None
        except QwenError as error:
            raise shortened(error) from error.__cause__

    async def aqwen(self, line: str, cell: str | None = None) -> Answer | None:
        """The same, awaited: what a top-level `%%qwen` becomes in a kernel."""
        try:
            begun = self._begin(line, cell)
            return await self.asker.aanswer(*begun) if begun else None
        except QwenError as error:
            raise shortened(error) from error.__cause__

    def _begin(self, line: str, cell: str | None) -> tuple[Ask, Options] | None:
        """What to ask; None where that is done: help, a dry run, in the background."""
        from qwen_magic.magics.options import read_cell, read_prompt

        options, prompt = read_prompt(line) if cell is None else read_cell(line, cell)
        if options.help:
            print(help_text())
            return None
        ask = self.asker.ask(options, prompt)
        if options.dry_run:
            print(self.asker.session.plan(ask).describe())
            return None
        if options.bg:
            self.asker.begin(ask, options)
            return None
        return ask, options


QwenMagics.qwen.__doc__ = docstring()

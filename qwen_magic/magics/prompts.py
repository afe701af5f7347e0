"""`%qwen_prompt`: a question out of a file, with its fields filled in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from IPython.core.magic import magics_class

from qwen_magic.errors import QwenError, UsageError
from qwen_magic.magics.base import SessionMagics, command, shortened

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.context.prompt_files import PromptFile
    from qwen_magic.options import Options
    from qwen_magic.session.plan import Ask


@magics_class
class PromptMagics(SessionMagics):
    """Prompts that are kept in files."""

    @command
    def qwen_prompt(self, line: str) -> Answer | None:
        """Ask what a prompt file says: %qwen_prompt [options] NAME field=value ….

        A value with spaces stands in quotes; {name} in it is a value of the notebook. The options
        are those of %qwen, and come before what the file says itself. Without a name the files are
        listed; `--system @NAME` takes one as instructions.
        """
        begun = self._begin(line)
        return self._asker.answer(*begun) if begun else None

    async def aqwen_prompt(self, line: str) -> Answer | None:
        """The same, awaited, so that the kernel handles a click on Stop meanwhile."""
        try:
            begun, view = await self._asker.begun(partial(self._begin, line))
            return await self._asker.aanswer(*begun, view) if begun else None
        except QwenError as error:
            raise shortened(error) from error.__cause__

    def _begin(self, line: str) -> tuple[Ask, Options] | None:
        """What to ask; None where that is done: help, a list, a dry run, in the background."""
        from qwen_magic.context.prompt_files import find_prompt
        from qwen_magic.magics.line import read_prompt_line
        from qwen_magic.magics.qwen import help_text

        options, words = read_prompt_line(line)
        if options.help:
            print(f"{PromptMagics.qwen_prompt.__doc__}\n{help_text()}")
            return None
        if not words:
            self._list()
            return None
        name, *given = words
        file = find_prompt(name, self._asker.questions.prompt_folders)
        ask = self._asker.questions.ask(
            options, f"%qwen_prompt {line}".strip(), file=file, fields=_fields(given)
        )
        return None if self._asker.held_back(ask, options) else (ask, options)

    def fields(self) -> dict[str, tuple[str, ...]]:
        """The fields of each prompt file, by its name."""
        return {file.name: tuple(file.fields) for file in self._found([])}

    def _found(self, faults: list[UsageError]) -> list[PromptFile]:
        from qwen_magic.context.prompt_files import list_prompts

        return list(list_prompts(self._asker.questions.prompt_folders, faults.append))

    def _list(self) -> None:
        from qwen_magic.frontends.display import show_table

        faults: list[UsageError] = []
        found = self._found(faults)
        rows = [[f"@{file.name}", file.description, _takes(file), _place(file)] for file in found]
        notes = ["-s @NAME takes one as instructions", "%qwen_prompt NAME asks what it says"]
        notes += [f"{fault.message} {fault.why}".strip() for fault in faults]
        show_table(["prompt", "", "fields", "where"], rows, "; ".join(notes))


def _fields(words: list[str]) -> dict[str, str]:
    """`field=value` each. Raises `UsageError`."""
    fields: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name in fields:
            what = f"gives {name} twice" if equals else f"has {word!r}, which is no field=value"
            raise UsageError(
                f"The line {what}.", hint='A value with spaces stands in quotes: topic="two words".'
            )
        fields[name] = value
    return fields


def _takes(file: PromptFile) -> str:
    return " ".join(
        f"{name}=…" if default is None else f"{name}={default}"
        for name, default in file.fields.items()
    )


def _place(file: PromptFile) -> str:
    from qwen_magic.context.prompt_files import BUNDLED

    return "qwen_magic" if file.path.parent == BUNDLED else str(file.path)

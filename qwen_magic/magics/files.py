"""Files: `%qwen_export`, `_import` and `_restore` for conversations, `_record` and `_replay` for
what servers sent, `_prompt` for questions.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Final

from IPython.core.magic import magics_class

from qwen_magic.conversation.scope import prompt_folders, read_text, write_text
from qwen_magic.document.words import counted, exposed, plural, revealed, sentence
from qwen_magic.errors import UsageError
from qwen_magic.frontends.plain import say
from qwen_magic.magics.base import SessionMagics, blocking, command, fails_shortly, line_command
from qwen_magic.options import MISSING

_SHOWN: Final = 200  # characters of what a turn sends beside its prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen_magic.answer import Answer
    from qwen_magic.context.prompt_files import PromptFile
    from qwen_magic.conversation.chain import Conversation
    from qwen_magic.options import Options
    from qwen_magic.session.plan import Ask


@magics_class
class FileMagics(SessionMagics):
    """Write conversations and recordings to files, and read them back."""

    @command
    def qwen_export(self, line: str) -> None:
        """Write a conversation to a file: %qwen_export FILE [NAME].

        A name that ends in .md gives a document to read, .json a file that %qwen_import takes back
        whole.
        """
        from qwen_magic.conversation.archive.json_form import export_json
        from qwen_magic.conversation.archive.markdown_form import export_markdown

        path, name = _file("qwen_export", line)
        name = name or self._conversations.current
        chain = self._conversations.known(name)
        if path.suffix == ".md":
            text = export_markdown(chain, zone=datetime.now().astimezone().tzinfo or UTC)
        elif path.suffix == ".json":
            text = export_json(self._conversations.conversation(name))
        else:
            raise UsageError(
                f"{path.name} ends neither in .md nor in .json.",
                hint=".md gives a document to read, .json a file for %qwen_import.",
            )
        write_text(path, text)
        say(f"{name} is in {revealed(str(path))}")

    @command
    def qwen_import(self, line: str) -> None:
        """Take back what %qwen_export wrote to a .json file: %qwen_import FILE [NAME]."""
        from qwen_magic.conversation.archive.json_form import import_json

        path, name = _file("qwen_import", line)
        made = self._adopt(import_json(read_text(path)), name)
        self._conversations.switch(made)
        say(f"Imported: {made}")

    @command
    def qwen_restore(self, line: str) -> None:
        """Rebuild the conversations that a notebook's outputs tell: %qwen_restore FILE.ipynb."""
        from qwen_magic.conversation.archive.notebook import read_notebook

        path, _name = _file("qwen_restore", line)
        restored = read_notebook(read_text(path))
        made = [self._adopt(one, "") for one in restored.conversations]
        self._conversations.switch(made[0])
        say(f"Restored: {', '.join(made)}")
        for note in restored.notes:
            say(note)

    @command
    def qwen_record(self, line: str) -> None:
        """Keep what servers answer, with its timing and without keys: %qwen_record FILE.jsonl | off

        %qwen_replay answers from the file, with no network and no key. A recording that is there is
        replaced when the first answer has come. Without a word it says what is the case.
        """
        path = _word("qwen_record", line)[0]
        tape = self._asker.session.tape
        if path == "off":
            state = tape.describe()
            tape.end_recording()
            say(state.replace("Recording into", "Recorded into").replace(" so far", ""))
            return
        if path:
            tape.record(Path(os.path.expanduser(path)))
        say(tape.describe())

    @command
    def qwen_replay(self, line: str) -> None:
        """Answer from a recording, offline: %qwen_replay FILE.jsonl | off [--speed S] [--missing M]

        `--speed`: original, a factor such as 2, or instant (all at once). `--missing`: what becomes
        of a question that it does not have: ask (you), live (to the network) or fail. Without a
        word it says what is the case.
        """
        word, given = _word("qwen_replay", line)
        session = self._asker.session
        speed, missing = _speed(str(given.get("speed", "original"))), given.get("missing", "ask")
        if missing not in MISSING:
            raise UsageError(f"--missing takes ask, live or fail, not {missing!r}.")
        if word == "off":
            session.tape.end_replay()
        elif word:
            session.tape.replay([Path(os.path.expanduser(word))], speed=speed, missing=str(missing))
            session.forget_recorded()
        elif given:
            raise UsageError("%qwen_replay needs the file that is to be replayed.")
        self._asker.endpoint_changed()
        say(session.tape.describe())

    def _adopt(self, conversation: Conversation, name: str) -> str:
        """Store an imported conversation under `name`, its own name, or a new one if that
        is taken.
        """
        from uuid import uuid4

        from qwen_magic.conversation.conversations import plain_name

        conversation = _reviewed(conversation)
        for line in _unshown(conversation):
            say(line)
        conversations = self._conversations
        wanted = name or plain_name(conversation.name)
        if not name and wanted in conversations.names() and conversations.chain(wanted).turns:
            wanted = conversations.fresh_name()
        records = conversation.adopted(wanted, lambda: uuid4().hex, conversations.held_ids())
        conversations.adopt(wanted, records)
        return wanted


def _reviewed(conversation: Conversation) -> Conversation:
    """Remove everything but text from the turns' inputs, unless the user agrees to send it."""
    from qwen_magic.conversation.chain import Turn
    from qwen_magic.frontends.terminal import agreed
    from qwen_magic.protocol.fields import json_text
    from qwen_magic.session.transcript import as_items, beyond_words

    def spared(turn: Turn) -> Turn:
        kept = [item for item in as_items(turn.input) if not beyond_words(item)]
        return turn if isinstance(turn.input, str) else replace(turn, input=tuple(kept))

    turns = list(conversation.turns)
    found = [
        f"  turn {number}: {exposed(json_text(item))}"
        for number, turn in enumerate(turns, 1)
        for item in as_items(turn.input)
        if beyond_words(item)
    ]
    if not found:
        return conversation
    items = counted(len(found), "item")
    lines = (
        f"The file has {items} besides questions and answers; each would be sent to the model:",
        *found,
    )
    if agreed(lines, "Send them?"):
        return conversation
    are = plural(len(found), "is", "are")
    say(f"Left out: {items} that {are} neither a question nor an answer")
    records = tuple(
        spared(each) if isinstance(each, Turn) else each for each in conversation.records
    )
    return replace(conversation, records=records, base=tuple(map(spared, conversation.base)))


def _unshown(conversation: Conversation) -> Iterator[str]:
    """A line for each turn whose input has more of the user's text than its prompt shows.

    Lists and exports show only the prompt. The rest was data, or was written into the file by
    somebody.
    """
    from qwen_magic.document.words import clipped
    from qwen_magic.session.transcript import words_beside

    for number, turn in enumerate(conversation.turns, 1):
        if words := words_beside(turn):
            shown = exposed(" ".join(clipped(words, _SHOWN).split()))
            size = counted(len(words), "character")
            yield f"Turn {number} sends {size} more than its prompt shows (--dry-run): {shown}"


def _file(magic: str, line: str) -> tuple[Path, str]:
    """Read a file name, and a conversation's name if there is one. Raises `UsageError`."""
    from qwen_magic.magics.line import read_words
    from qwen_magic.magics.values import check_chat_name

    words, _ = read_words(magic, line, "a file and a conversation's name", most=2)
    if not words:
        raise UsageError(f"%{magic} needs a file, and perhaps a conversation's name after it.")
    return Path(os.path.expanduser(words[0])), check_chat_name(
        words[1], aside=magic == "qwen_export"
    ) if len(words) == 2 else ""


def _word(magic: str, line: str) -> tuple[str, dict[str, object]]:
    """Read a line of at most one word, and its options. Raises `UsageError`."""
    from qwen_magic.magics.line import read_words

    words, given = read_words(magic, line, "FILE.jsonl or off", most=1)
    return (words[0] if words else ""), given


def _speed(said: str) -> float:
    """Read `--speed` as a factor of the recorded speed. Raises `UsageError`."""
    named = {"original": 1.0, "instant": math.inf}
    try:
        speed = named[said] if said in named else float(said)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise UsageError(f"--speed takes original, instant or a number above 0, not {said!r}.")
    return speed


@magics_class
class PromptMagics(SessionMagics):
    """Questions that are stored in prompt files."""

    @line_command
    def qwen_prompt(self, line: str) -> Answer | None:
        """Ask what a prompt file says: %qwen_prompt [options] NAME field=value ….

        A value with spaces stands in quotes; {name} in it is a value of the notebook. The options
        are those of %qwen, and come before what the file says itself. Without a name the files are
        listed; `--system @NAME` takes one as instructions.
        """
        return blocking(self._ask(line, awaits=False))

    @fails_shortly
    async def aqwen_prompt(self, line: str) -> Answer | None:
        """`%qwen_prompt` in a cell that awaits."""
        return await self._ask(line, awaits=True)

    async def _ask(self, line: str, *, awaits: bool) -> Answer | None:
        question, view = await self._asker.prepare(partial(self._begin, line), awaits=awaits)
        return await self._asker.answer(*question, view, awaits=awaits) if question else None

    def _begin(self, line: str) -> tuple[Ask, Options] | None:
        """The question of a prompt file; None where nothing is left to wait for (help, list, dry
        run, background).
        """
        from qwen_magic.context.prompt_files import find_prompt
        from qwen_magic.magics.line import read_prompt_line
        from qwen_magic.magics.qwen import help_text

        options, words = read_prompt_line(line)
        if options.help:
            say(f"{getdoc(PromptMagics.qwen_prompt)}\n\n{help_text()}")
            return None
        if not words:
            self._list()
            return None
        name, *given = words
        file = find_prompt(name, prompt_folders(os.environ))
        if not file.text:
            raise UsageError(
                f"The prompt {name} has no text.", hint=f"It stands below the --- in {file.path}."
            )
        ask = self._asker.questions.ask(
            options, f"%qwen_prompt {line}".strip(), file=file, fields=_fields(given)
        )
        return None if self._asker.handled_at_once(ask, options) else (ask, options)

    def fields(self) -> dict[str, tuple[str, ...]]:
        """The fields of each prompt file, by its name."""
        return {file.name: tuple(file.fields) for file in self._prompt_files([])}

    def _prompt_files(self, faults: list[UsageError]) -> list[PromptFile]:
        from qwen_magic.context.prompt_files import list_prompts

        return list(list_prompts(prompt_folders(os.environ), faults.append))

    def _list(self) -> None:

        faults: list[UsageError] = []
        found = self._prompt_files(faults)
        rows = [
            [f"@{file.name}", file.description, _takes(file), _source_of(file)] for file in found
        ]
        notes = ["-s @NAME takes one as instructions; %qwen_prompt NAME asks what it says"]
        notes += [f"{fault.message} {sentence(fault.why)}".strip() for fault in faults]
        self._asker.views.show_table(["prompt", "", "fields", "where"], rows, *notes)


def _fields(words: list[str]) -> dict[str, str]:
    """Read words of the form `field=value`. Raises `UsageError`."""
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


def _source_of(file: PromptFile) -> str:
    from qwen_magic.context.prompt_files import BUNDLED

    return "qwen_magic" if file.path.parent == BUNDLED else str(file.path)

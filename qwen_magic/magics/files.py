"""`%qwen_export`, `%qwen_import`, `%qwen_restore`, `%qwen_usage`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from IPython.core.magic import line_magic, magics_class, no_var_expand

from qwen_magic.errors import QwenError
from qwen_magic.magics.failure import shortened
from qwen_magic.magics.over_session import SessionMagics

if TYPE_CHECKING:
    from pathlib import Path

    from qwen_magic.conversation.archive.conversation import Conversation


@magics_class
class FileMagics(SessionMagics):
    """Conversations in and out of files, and what they have used."""

    @no_var_expand
    @line_magic
    def qwen_export(self, line: str) -> None:
        """Write a conversation to a file: %qwen_export FILE [NAME].

        A name that ends in .md gives a document to read, .json a file that %qwen_import takes back
        whole.
        """
        from qwen_magic.magics.branch_lines import read_file

        try:
            path, name = read_file(line, "qwen_export")
            self._export(path, name or self._conversations.current)
        except QwenError as error:
            raise shortened(error) from error.__cause__

    @no_var_expand
    @line_magic
    def qwen_import(self, line: str) -> None:
        """Take back what %qwen_export wrote to a .json file: %qwen_import FILE [NAME]."""
        from qwen_magic.conversation.archive.json_form import import_json
        from qwen_magic.magics.branch_lines import read_file
        from qwen_magic.magics.reading_files import read_text

        try:
            path, name = read_file(line, "qwen_import")
            made = self._adopt(import_json(read_text(path)), name)
        except QwenError as error:
            raise shortened(error) from error.__cause__
        self._conversations.switch(made)
        print(f"Imported: {made}")

    @no_var_expand
    @line_magic
    def qwen_restore(self, line: str) -> None:
        """Rebuild the conversations that a notebook's outputs tell: %qwen_restore FILE.ipynb."""
        from qwen_magic.conversation.archive.notebook import read_notebook
        from qwen_magic.magics.branch_lines import read_file
        from qwen_magic.magics.reading_files import read_text

        try:
            path, _name = read_file(line, "qwen_restore")
            restored = read_notebook(read_text(path))
            made = [self._adopt(one, "") for one in restored.conversations]
        except QwenError as error:
            raise shortened(error) from error.__cause__
        self._conversations.switch(made[0])
        print(f"Restored: {', '.join(made)}")
        for note in restored.notes:
            print(note)

    @no_var_expand
    @line_magic
    def qwen_usage(self, line: str) -> None:
        """Tokens and tool calls of this notebook's turns: %qwen_usage [model|conversation|day]."""
        from qwen_magic.magics.usage import show_usage

        try:
            show_usage(self._conversations, line.strip(), self._magics.budget)
        except QwenError as error:
            raise shortened(error) from error.__cause__

    def _export(self, path: Path, name: str) -> None:
        from qwen_magic.conversation.archive.json_form import export_json
        from qwen_magic.conversation.archive.markdown_form import export_markdown
        from qwen_magic.errors import UsageError
        from qwen_magic.magics.reading_files import local_zone, write_text

        chain = self._conversations.known(name)
        if path.suffix == ".md":
            text = export_markdown(chain, zone=local_zone())
        elif path.suffix == ".json":
            text = export_json(self._conversations.conversation(name))
        else:
            raise UsageError(
                f"{path.name} ends neither in .md nor in .json.",
                hint=".md gives a document to read, .json a file for %qwen_import.",
            )
        write_text(path, text)
        print(f"{name} is in {path}")

    def _adopt(self, conversation: Conversation, name: str) -> str:
        """Keep it under `name`, its own name, or a fresh one where that is taken."""
        conversations = self._conversations
        wanted = name or conversation.name
        if not name and wanted in conversations.names() and conversations.chain(wanted).turns:
            wanted = conversations.fresh_name()
        conversations.adopt(wanted, conversation.adopted(wanted, lambda: uuid.uuid4().hex))
        return wanted

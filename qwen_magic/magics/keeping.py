"""Opening the conversations of the notebook that this kernel runs for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.conversation.scope import STORE_NAME, data_folder, notebook_scope


def open_conversations(namespace: Mapping[str, object]) -> Conversations:
    """Those of the file; or of memory, with a line that says why, where the file cannot be used."""
    vscode = str(namespace.get("__vsc_ipynb_file__") or "")
    scope = notebook_scope(os.environ, Path.cwd(), vscode_notebook=vscode)
    store, trouble = open_store(data_folder(os.environ) / STORE_NAME, scope, _warn)
    if trouble:
        _warn(trouble)
    return Conversations(store)


def _warn(line: str) -> None:
    print(line, file=sys.stderr)

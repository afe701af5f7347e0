"""The finished rows of a map in a file, so that none is paid for twice.

Each row is stored as JSON under a hash of its request. Not as a pickle, since opening a file must
not run code; and without the terminal response (`raw`), which may repeat the headers of a tool, and
so a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from qwen_magic.answer import Answer
from qwen_magic.conversation.archive import load
from qwen_magic.conversation.archive.json_form import read_as, read_items
from qwen_magic.conversation.chain import TurnStatus
from qwen_magic.conversation.database import open_database, transaction
from qwen_magic.conversation.scope import data_folder
from qwen_magic.errors import ConversationError, UsageError, reason_of
from qwen_magic.protocol.call_outputs import items_json, parse_items
from qwen_magic.protocol.response import Usage
from qwen_magic.session.figures import MOST_FIGURES
from qwen_magic.session.plan import Plan

T = TypeVar("T")

_APPLICATION: Final = 0x71776D70  # "qwmp": what kind of SQLite file this is
_VERSION: Final = 1
_NAME: Final = re.compile(r"\w[\w.-]*")
_ENDINGS: Final = (".sqlite3", ".sqlite", ".db")


def cache_path(resume: str | Path, folder: Path) -> Path:
    """The path that `resume` means: a path as it is; a name as a file in `maps` in the data
    `folder`.

    A string with a separator or a database's suffix is a path. Raises `UsageError`.
    """
    if isinstance(resume, Path):
        return resume
    if "/" in resume or os.sep in resume or resume.endswith(_ENDINGS):
        return Path(os.path.expanduser(resume))
    if not _NAME.fullmatch(resume):
        raise UsageError(
            f"{resume!r} cannot be the name of a map.",
            hint="Use letters, digits, '_', '-' and '.', or give a path.",
        )
    return folder / "maps" / f"{resume}.sqlite3"


@contextmanager
def open_cache(resume: str | Path | None) -> Iterator[ResultCache | None]:
    """Open the file that `resume` means for the block; None gives None. Raises `UsageError`."""
    if resume is None:
        yield None
        return
    cache = ResultCache(cache_path(resume, data_folder(os.environ)))
    try:
        yield cache
    finally:
        cache.close()


class ResultCache:
    """Answers by `request_key`.

    An answer is durable once `keep` returns, even if the process is killed. Several processes may
    use one file. Not for several threads at once.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or create it for the user alone. Raises `UsageError`."""
        self.path = path
        self._connection = self._reported(self._open)

    def find(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The stored answers to these keys."""
        return self._reported(lambda: dict(self._read_answers(keys)))

    def keep(self, key: str, answer: Answer) -> None:
        """Store an answer, unless there is one. Raises `UsageError` if the file fails."""
        written = answer_json(answer)
        self._reported(
            lambda: self._connection.execute(
                "INSERT OR IGNORE INTO answers (key, answer) VALUES (?, ?)", (key, written)
            )
        )

    def forget(self, keys: Iterable[str]) -> None:
        """Delete the answers to these keys."""
        given = [(key,) for key in keys]
        self._reported(
            lambda: self._connection.executemany("DELETE FROM answers WHERE key = ?", given)
        )

    def close(self) -> None:
        self._connection.close()

    def _read_answers(self, keys: Iterable[str]) -> Iterable[tuple[str, Answer]]:
        for key in keys:
            query = "SELECT answer FROM answers WHERE key = ?"
            for (written,) in self._connection.execute(query, (key,)):
                yield key, read_answer(written)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_database(self.path, _prepare)

    def _reported(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except (sqlite3.Error, OSError, ValueError) as error:
            raise UsageError(
                f"The answers of this map cannot be kept in {self.path}.",
                why=reason_of(error),
                hint="Give another name or path as resume=, or leave it out.",
            ) from error


def _prepare(connection: sqlite3.Connection) -> None:
    """Create the table in an empty file; refuse other files."""
    with transaction(connection):
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not kind and not version and not tables:
            connection.execute(
                "CREATE TABLE answers (key TEXT NOT NULL PRIMARY KEY, answer TEXT NOT NULL)"
            )
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif kind != _APPLICATION:
            raise ValueError("It is a database of something else.")
        elif version > _VERSION:
            raise ValueError("It was made by a newer qwen_magic.")


def request_key(plan: Plan, repeat: int = 0) -> str:
    """The key of a row: a hash of its complete request and of the host.

    `repeat`: how many rows before it send the same request. Raises `UsageError` for values that
    JSON cannot represent.
    """
    body = {name: value for name, value in plan.request.body().items() if name != "stream"}
    asked = {"host": plan.ask.endpoint.host, "repeat": repeat, "body": body}
    try:
        text = json.dumps(asked, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "The request holds a value that JSON cannot carry.",
            why=str(error),
            hint="Look at the tools and parameters that were given.",
        ) from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def answer_json(answer: Answer) -> str:
    """The JSON of an answer in ASCII, as half of a surrogate pair has no UTF-8."""
    return json.dumps(
        {
            "text": answer.text,
            "reasoning": answer.reasoning,
            "items": list(items_json(answer.items)),
            "figures": [base64.b64encode(figure).decode("ascii") for figure in answer.figures],
            "usage": asdict(answer.usage) if answer.usage else None,
            "id": answer.id,
            "status": answer.status,
            "model": answer.model,
            "seconds": answer.seconds,
        }
    )


def read_answer(text: str) -> Answer:
    """Parse a stored answer. Raises `ValueError` if it is invalid: the file need not be ours."""
    if not isinstance(text, str):
        raise ValueError("an answer that is no text")
    try:
        said = load(text, "An answer", exact=True)
        status: Any = said.get("status").one_of(get_args(TurnStatus))
        usage, figures = said.get("usage"), said.get("figures").each(MOST_FIGURES)
        return Answer(
            text=said.get("text").text(),
            reasoning=said.get("reasoning").text(),
            items=parse_items(read_items(said.get("items"))),
            figures=tuple(base64.b64decode(figure.text()) for figure in figures),
            usage=read_as(Usage, usage) if usage.present else None,
            id=said.get("id").id(),
            status=status,
            model=said.get("model").id(),
            seconds=said.get("seconds").number(),
        )
    except ConversationError as error:
        raise ValueError(error.message) from None

"""One SQLite file that several threads and processes use at once, or one database in memory.

Write-ahead logging: readers never wait, writers wait for each other. `synchronous=NORMAL`: a killed
process loses nothing that was committed; a power cut may lose the last moments, never the file.
A write begins with `BEGIN IMMEDIATE`, so that it waits for the lock at its start and cannot fail
for another writer later on.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PATIENCE: Final = 10.0  # seconds that a write waits for the others
_EFFECTIVE: Final = os.access in os.supports_effective_ids
# What a value that cannot have been written by us leads to.
FOREIGN: Final = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
LARGEST_VALUE: Final = 256 * 1024 * 1024  # bytes of one value, or of one row
_PAUSE: Final = 0.02  # seconds between two attempts to open


class FileLostError(OSError):
    """The file is no longer the one that was opened; `strerror` says what happened."""


class Database:
    """A SQLite file with this process's connection to it; without a path, a database in memory.

    One connection under a lock serves all threads; they seldom write at once. It is closed while
    the process forks: SQLite holds its locks by process, so a child with an inherited connection
    would take its parent's locks for its own. SQLite keeps writing to a file that was deleted or
    replaced, so the file is checked before each write, which raises `FileLostError`. Reading
    continues.
    """

    def __init__(self, path: Path | None, prepare: Callable[[sqlite3.Connection], None]) -> None:
        """Opens it, see `open_database`."""
        self.path = path
        self._prepare = prepare
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None  # which file it was: device and number
        self._use()
        if hasattr(os, "register_at_fork"):
            _let_go_at_forks(weakref.ref(self))

    @contextmanager
    def writing(self, patience: float = PATIENCE) -> Iterator[sqlite3.Connection]:
        """A transaction; not nestable. Waits `patience` seconds for other writers before
        `sqlite3.OperationalError`.
        """
        with self._locked() as connection:
            self._check_file()
            connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            with transaction(connection):
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A consistent read transaction; not nestable.

        Raises `sqlite3.DatabaseError` for values that this package cannot have written.
        """
        with self._locked() as connection, transaction(connection, "BEGIN"), as_damage():
            yield connection

    def close(self) -> None:
        """Close the file. The next use opens it again."""
        with self._lock:
            if self._connection is not None and self.path is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._use()

    def before_fork(self) -> None:
        """Wait for running transactions, and close the file until the fork is done."""
        self._lock.acquire()
        self.close()

    def after_fork(self, *, in_child: bool) -> None:
        if in_child:
            self._lock = threading.RLock()  # the old one may count threads that are not here
        else:
            self._lock.release()

    def _use(self) -> sqlite3.Connection:
        if self._connection is None:
            self._check_file()
            self._connection = open_database(self.path, self._prepare)
            if self.path is None:  # closing it would lose what is in it
                # Not at the end of the process, where a turn that is left then is still recorded.
                weakref.finalize(self, self._connection.close).atexit = False
            else:
                self._opened = _identity(self.path)
        elif self._connection.in_transaction:  # an interrupt came between its BEGIN and our `try`
            self._connection.execute("ROLLBACK")
        return self._connection

    def _check_file(self) -> None:
        """Raise `FileLostError` if the file is not the one first opened, or is no longer
        writable.
        """
        if self.path is None or self._opened is None:
            return
        if (found := _identity(self.path)) is None:
            raise FileLostError(errno.ENOENT, "was deleted while it was in use")
        if found != self._opened:
            raise FileLostError(errno.ESTALE, "was replaced while it was in use")
        if not os.access(self.path, os.W_OK, effective_ids=_EFFECTIVE):
            raise FileLostError(errno.EACCES, "was made read-only while it was in use")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _let_go_at_forks(reference: weakref.ref[Database]) -> None:
    """Python has no way to take this back, hence the weak reference."""

    def before() -> None:
        if database := reference():
            database.before_fork()

    def after(*, in_child: bool) -> None:
        if database := reference():
            database.after_fork(in_child=in_child)

    os.register_at_fork(
        before=before,
        after_in_parent=lambda: after(in_child=False),
        after_in_child=lambda: after(in_child=True),
    )


@contextmanager
def as_damage() -> Iterator[None]:
    """Report errors caused by values of unexpected types as a damaged file."""
    try:
        yield
    except FOREIGN as error:
        raise sqlite3.DatabaseError(f"it holds what was never kept: {error}") from error


def check_plain(connection: sqlite3.Connection, *, triggers: bool = False) -> None:
    """Raise `sqlite3.DatabaseError` if the file has views, virtual tables, or (with `triggers`)
    triggers.

    They are code that somebody put into the file, would run with every use, and may never end.
    Values are limited in size too.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    query = "SELECT type, sql FROM main.sqlite_master"
    for kind, sql in connection.execute(query).fetchall():
        is_virtual = str(sql).upper().startswith("CREATE VIRTUAL")
        if is_virtual or kind == "view" or (triggers and kind == "trigger"):
            raise sqlite3.DatabaseError(f"it has a {'virtual table' if is_virtual else kind}")


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Commit at the end of the block, or roll back if an exception ends it."""
    connection.execute(begin)
    try:
        yield
        if connection.in_transaction:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself takes some back, such as on a full disk
            connection.execute("ROLLBACK")
        raise


def open_database(
    path: Path | None, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """A connection in autocommit mode, with rows by name, that any thread may use. The file is made
    for the user alone where it is missing, and kept from others where it had become open to them;
    None: a database in memory.

    `prepare` makes the tables, in a transaction of its own; it refuses what is no file of its kind
    by raising, before anything is written. It may be called again: while others open the same new
    file, all of this is tried for `PATIENCE` seconds, since switching it to write-ahead logging
    needs it alone for a moment, and does not wait by itself. Raises `sqlite3.Error`, `OSError` and
    what `prepare` does.
    """
    if path is not None:
        _keep_private(path)
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = sqlite3.connect(
            path or ":memory:", timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            prepare(connection)
            check_plain(connection, triggers=True)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            return connection
        except BaseException as error:
            connection.close()
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def _keep_private(path: Path) -> None:
    """Make the file where it is missing. Raises `OSError` where somebody else put a link there."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    user = getattr(os, "getuid", lambda: None)()  # Windows has none, nor such modes
    if user is None:
        return
    if path.is_symlink() and path.lstat().st_uid != user:
        raise PermissionError(errno.EPERM, "a link that another user has put there", str(path))
    found = path.stat()
    if found.st_uid == user and found.st_mode & 0o077:
        path.chmod(found.st_mode & 0o700)  # SQLite gives its other files the same mode


def primary_code(error: BaseException) -> int:
    """SQLite's result code of an error without its details; 0 where it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: BaseException) -> bool:
    """Whether another process was in the way."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

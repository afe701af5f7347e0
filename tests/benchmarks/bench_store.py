"""The store: what a turn adds to its file, and what 10,000 kept turns cost `%qwen_chat` and
`%qwen_history` in milliseconds of CPU time.

The magics' own functions are run, with all that they format and display; only the wire is left out.
The turns stand in one conversation, or in conversations of 100 turns each. `first` is the first
look of a kernel, `again` the next one, with nothing loaded yet; `loaded` comes after the
conversation was gone on with. Every tenth turn was asked again in its cell, so there are branches.
"""

import tempfile
import time
from contextlib import closing
from pathlib import Path

from corpora import document
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.frontends.kernel import LastFigure
from qwen_magic.magics.conversations import ConversationMagics
from qwen_magic.magics.qwen import QwenMagics
from qwen_magic.protocol.response import Usage

from .goals import Figure, Figures, benchmark

MOST = 100.0  # milliseconds


class NotebookShell(InteractiveShell):
    """A shell that displays as in a notebook, and keeps what it displays."""

    kernel = object()  # all that is asked is whether there is one

    def init_display_pub(self) -> None:
        self.display_pub = CapturingDisplayPublisher(parent=self)


def filled(folder: Path, turns: int, each: int) -> Path:
    """A file of so many turns, `each` in a conversation."""
    path = folder / f"{turns}-{each}.sqlite3"
    store, failure = open_store(path, "scope")
    assert not failure
    for number in range(turns):
        chat, place = divmod(number, each)
        stopped = place % 10 == 9  # then asked again: it is left beside the way
        parent = place - (2 if place % 10 == 0 else 1)
        cell = (place + 1) // 10 if place % 10 in (0, 9) else turns + place
        store.append(
            Turn(
                f"{chat}-{place}", f"chat-{chat}", "stopped" if stopped else "completed",
                f"{chat}-{parent}" if place else None, f"resp_{number:08x}",
                cell=CellKey(f"cell-{cell}"),
                prompt=f"question {number}", input=f"question {number}", text="answer " * 40,
                items=({"type": "message"},), usage=Usage(100, 100, 200), created_at=1e9 + number,
                model="qwen3-max",
            )
        )  # fmt: skip
    store.close()
    return path


def kernel(shell: NotebookShell, path: Path, *, loaded: bool = False) -> QwenMagics:
    """What a kernel holds that has just opened the file."""
    magics = QwenMagics(shell, LastFigure(shell))
    magics.keep = False  # the file of who measures stays as it is
    conversations = magics.asker.session.conversations = Conversations(open_store(path, "scope")[0])
    conversations.current = "chat-0"
    if loaded:
        conversations.chain(conversations.current)
    return magics


def took(shell: NotebookShell, magic: str, magics: QwenMagics) -> float:
    """Milliseconds of one run."""
    run = getattr(ConversationMagics(shell, magics), magic)
    began = time.process_time()
    run("")
    seconds = time.process_time() - began
    (shown,) = shell.display_pub.outputs
    assert len(shown["data"]) == 2, "HTML or Markdown, beside the text"
    shell.display_pub.outputs.clear()
    return seconds * 1000


def compared(
    shell: NotebookShell, magic: str, look: str, paths: list[Path], runs: int
) -> list[float]:
    """The medians for each file, taken by turns so that a busy moment meets them all."""
    kept = [kernel(shell, path, loaded=look == "loaded") for path in paths]
    for magics in kept:
        took(shell, magic, magics)
    times: list[list[float]] = [[] for _ in paths]
    for _ in range(runs):
        for path, magics, row in zip(paths, kept, times, strict=True):
            if look != "first":
                row.append(took(shell, magic, magics))
            else:
                with closing(kernel(shell, path)) as fresh:
                    row.append(took(shell, magic, fresh))
    for magics in kept:
        magics.close()
    return [sorted(row)[runs // 2] for row in times]


@benchmark(0, "history", "10,000 kept turns")
def history(quick: bool) -> Figures:
    shell = NotebookShell.instance()
    with tempfile.TemporaryDirectory() as name:
        count, runs = (200, 3) if quick else (10_000, 21)
        sizes = ((100, 100), (count, count), (count, 100))
        paths = [filled(Path(name), turns, each) for turns, each in sizes]
        for magic in ("qwen_chat", "qwen_history"):
            for look in ("first", "again", "loaded"):
                _, one, many = compared(shell, magic, look, paths, runs)
                yield Figure(f"`%{magic}`, {look}, in one", one, "ms", at_most=MOST)
                yield Figure(f"`%{magic}`, {look}, in many", many, "ms", at_most=MOST)


@benchmark(15, "store", "what a turn adds to the file")
def store(quick: bool) -> Figures:
    """Each turn is kept as one is in a kernel: begun, checkpointed once a second, ended."""
    for size in (2_000, 5_000, 40_000):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "kept.sqlite3"
            store, failure = open_store(path, "scope")
            assert not failure
            before = path.stat().st_size
            text_size = 0
            for number in range(20 if quick else 100):
                text = document("mixed", size, seed=number)
                text_size += len(text.encode())
                for running, share in ((True, 0), (True, 0.3), (True, 0.6), (False, 1)):
                    store.append(_answered(number, text[: int(len(text) * share)]), running=running)
            store.close()
            times = (path.stat().st_size - before) / text_size
            goal = 1.3 if size >= 5_000 else None  # a short one's ids, usage and times weigh more
            yield Figure(f"answers of {size // 1000} KB", times, "× the text", at_most=goal)


def _answered(number: int, text: str) -> Turn:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": f"msg_{number:036x}", "type": "message", "role": "assistant"}
    return Turn(
        f"{number:032x}", "main", "completed", f"{number - 1:032x}" if number else None,
        f"resp_{number:036x}", cell=CellKey(f"cell-{number:032x}"), prompt="Tell me all of it",
        input="Tell me all of it", text=text, model="qwen3-max",
        items=({**item, "status": "completed", "content": [part]},),
        usage=Usage(100, len(text) // 4, 100 + len(text) // 4), created_at=1e9 + number,
        host="dashscope-intl.aliyuncs.com",
    )  # fmt: skip

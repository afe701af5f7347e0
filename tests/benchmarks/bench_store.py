"""What 10,000 kept turns cost `%qwen_chat` and `%qwen_history`, in milliseconds of the processor:
what else a busy machine does does not count.

    python tests/benchmarks/bench_store.py

The magics' own functions are run, with all that they format and display; only the wire is left out.
The turns stand in one conversation, or in conversations of 100 turns each. `first` is the first
look of a kernel, `again` the next one, with nothing loaded yet; `loaded` comes after the
conversation was gone on with. Every tenth turn was asked again in its cell, so there are branches.
"""

import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.magics.conversations import ConversationMagics
from qwen_magic.protocol.response import Usage

RUNS = 21
MOST = 100.0  # milliseconds


class NotebookShell(InteractiveShell):
    """A shell that displays as in a notebook, and keeps what it displays."""

    kernel = object()  # all that is asked is whether there is one

    def init_display_pub(self) -> None:
        self.display_pub = CapturingDisplayPublisher(parent=self)


def filled(folder: Path, turns: int, each: int) -> Path:
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


def kernel(path: Path, *, loaded: bool = False) -> SimpleNamespace:
    """What the magics ask of a kernel that has just opened the file."""
    conversations = Conversations(open_store(path, "scope")[0])
    conversations.current = "chat-0"
    if loaded:
        conversations.chain(conversations.current)
    asker = SimpleNamespace(session=SimpleNamespace(conversations=conversations), chat_defaults={})
    return SimpleNamespace(asker=asker)


def took(shell: NotebookShell, magic: str, magics: SimpleNamespace) -> float:
    """Milliseconds of one run."""
    owner = ConversationMagics
    run = getattr(owner(shell, magics), magic)
    began = time.process_time()
    run("")
    seconds = time.process_time() - began
    (shown,) = shell.display_pub.outputs
    assert len(shown["data"]) == 2, "HTML or Markdown, beside the text"
    shell.display_pub.outputs.clear()
    return seconds * 1000


def compared(shell: NotebookShell, magic: str, look: str, paths: list[Path]) -> list[float]:
    """The medians for each file, taken by turns so that a busy moment meets them all."""
    kept = [kernel(path, loaded=look == "loaded") for path in paths]
    for magics in kept:
        took(shell, magic, magics)
    times: list[list[float]] = [[] for _ in paths]
    for _ in range(RUNS):
        for path, magics, row in zip(paths, kept, times, strict=True):
            row.append(took(shell, magic, kernel(path) if look == "first" else magics))
    return [sorted(row)[RUNS // 2] for row in times]


def main() -> None:
    shell = NotebookShell.instance()
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        sizes = ((100, 100), (10_000, 10_000), (10_000, 100))
        paths = [filled(Path(name), turns, each) for turns, each in sizes]
        print("                          100 turns   10,000 in one       10,000 in 100")
        for magic in ("qwen_chat", "qwen_history"):
            for look in ("first", "again", "loaded"):
                small, one, many = compared(shell, magic, look, paths)
                worst = max(worst, one, many)
                print(
                    f"%{magic + ', ' + look:22} {small:8.2f} ms {one:8.2f} ms {one / small:4.1f}x"
                    f" {many:8.2f} ms {many / small:4.1f}x"
                )
    print(f"at most {MOST:.0f} ms {'holds' if worst <= MOST else 'is MISSED'}: {worst:.1f} ms")


if __name__ == "__main__":
    main()

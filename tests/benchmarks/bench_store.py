"""What 10,000 kept turns cost `%qwen_chat` and `%qwen_history`, as ratios to 100 turns in one run.

    python tests/benchmarks/bench_store.py

The turns stand in one conversation (`one`) or in conversations of 100 turns each (`many`).
"""

import tempfile
import time
from pathlib import Path

from qwen_magic.conversation.book import Book
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.kept import open_store
from qwen_magic.frontends.history import history_html
from qwen_magic.protocol.items import Usage


def filled(folder: Path, turns: int, each: int) -> Path:
    path = folder / f"{turns}-{each}.sqlite3"
    store, trouble = open_store(path, "scope")
    assert not trouble
    for number in range(turns):
        chat, place = divmod(number, each)
        parent = f"{number - 1}" if place else None
        store.append(
            Turn(
                f"{number}", f"chat-{chat}", "completed", parent, f"resp_{number:08x}",
                prompt=f"question {number}", input=f"question {number}", text="answer " * 40,
                items=({"type": "message"},), usage=Usage(100, 100, 200), created_at=1e9 + number,
            )
        )  # fmt: skip
    store.close()
    return path


def best(action, runs: int = 7) -> float:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return sorted(times)[runs // 2] * 1000


def measured(path: Path) -> dict[str, float]:
    book = Book(open_store(path, "scope")[0])

    def chat() -> None:
        book.names()
        book.summaries()

    def history() -> None:
        chain = book.chain("chat-0")
        history_html(chain, now=2e9, current=chain.current_keys)

    began = time.perf_counter()
    history()
    first = (time.perf_counter() - began) * 1000
    figures = {"%qwen_chat": best(chat), "%qwen_history": best(history), "first history": first}
    book.close()
    return figures


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = measured(filled(folder, 100, 100))
        for shape, each in (("one", 10_000), ("many", 100)):
            large = measured(filled(folder, 10_000, each))
            for what, took in large.items():
                ratio = took / small[what]
                print(f"{shape:5} {what:15} {small[what]:7.2f} ms -> {took:7.2f} ms  {ratio:6.1f}x")


if __name__ == "__main__":
    main()

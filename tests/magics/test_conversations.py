"""What `%qwen_chat` lists, in a real kernel over a real file."""

import os
from contextlib import closing

import pytest
from real_kernel import PYTHONS, Kernel

from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.sqlite import SqliteStore

pytestmark = pytest.mark.kernel


@pytest.fixture
def kernel(tmp_path):
    """A kernel that finds thirteen conversations of one turn each, `chat-12` the newest."""
    notebook = tmp_path / "many.ipynb"
    (tmp_path / "home").mkdir()
    with closing(SqliteStore(tmp_path / "home" / "conversations.sqlite3", str(notebook))) as store:
        for number in range(13):
            store.append(
                Turn(
                    f"{number}", f"chat-{number}", "completed", None, f"resp_{number:08}",
                    prompt=f"question {number}", text="x", created_at=1e9 + number,
                )
            )  # fmt: skip
    kernel = Kernel(
        PYTHONS["this"],
        {
            **{n: v for n, v in os.environ.items() if not n.startswith("DASHSCOPE")},
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "QWEN_MAGIC_HOME": str(tmp_path / "home"),
            "JPY_SESSION_NAME": str(notebook),
        },
    )
    kernel.ok("%load_ext qwen_magic")
    yield kernel
    kernel.close()


def listed(kernel, line):
    """The names that a line of `%qwen_chat` lists, the current one's with its arrow; the note."""
    text = kernel.ok(line).displays[0][1]["text/plain"]
    head, *rows = text.splitlines()
    assert " ".join(head.split()) == "conversation turns continues after age tokens defaults"
    note = rows.pop() if rows[-1].startswith("and ") else ""
    return [row.split("  1  ")[0].split("  0")[0].strip() for row in rows], note


def test_the_ones_used_last_are_listed_and_all_on_demand(kernel):
    newest = [f"chat-{number}" for number in range(3, 13)]
    assert listed(kernel, "%qwen_chat") == (
        [*newest, "→  main"],
        "and 3 older: %qwen_chat --all",
    )
    names, note = listed(kernel, "%qwen_chat --all")
    assert names == [*(f"chat-{number}" for number in range(13)), "→  main"]
    assert note == ""
    assert kernel.ok("%qwen_chat chat-1").stdout.strip() == "Conversation: chat-1 (1 turn)"
    names, note = listed(kernel, "%qwen_chat")
    assert names == ["→  chat-1", *newest], "the current one is listed however old it is"
    assert note == "and 2 older: %qwen_chat --all"
    ran = kernel.run("%qwen_chat --all -m qwen3-max")
    assert "UsageError" in "".join(ran.traceback) or "OptionError" in "".join(ran.traceback)


def test_one_that_was_begun_here_is_listed_without_turns(kernel):
    kernel.ok("%qwen_new fresh")
    assert kernel.ok("%qwen_chat other").stdout.strip() == "Conversation: other (new)"
    names, _ = listed(kernel, "%qwen_chat")
    assert names[-2:] == ["fresh", "→  other"]


def test_the_history_of_one_that_is_not_loaded(kernel):
    shown = kernel.ok("%qwen_history chat-7").displays[0][1]
    assert shown["text/plain"].startswith("chat-7 · 1 turn")
    assert "question 7" in shown["text/html"]
    ran = kernel.run("%qwen_history nobody")
    assert "no conversation 'nobody'" in "".join(ran.traceback)

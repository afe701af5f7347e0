"""Finished rows in a file, and a map's result as people read it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qwen_magic.answer import Answer
from qwen_magic.batch.result_cache import (
    ResultCache,
    answer_json,
    cache_path,
    open_cache,
    read_answer,
)
from qwen_magic.batch.rows import MapResult, read_rows
from qwen_magic.errors import ServerError, UsageError
from qwen_magic.protocol.items import Message
from qwen_magic.protocol.response import Usage

ANSWER = Answer("text", items=(Message("msg_1", "text"),), figures=(b"\x89PNG\0",), id="resp_1")


@pytest.mark.parametrize(
    ("resume", "path"),
    [
        ("words", Path("/data/maps/words.sqlite3")),
        ("v1.2", Path("/data/maps/v1.2.sqlite3")),
        ("./words", Path("words")),
        ("words.sqlite3", Path("words.sqlite3")),
        (Path("words"), Path("words")),
    ],
)
def test_names_and_paths(resume, path):
    assert cache_path(resume, Path("/data")) == path


@pytest.mark.parametrize("name", ["", "..", "a b", "a\0b"])
def test_what_is_no_name(name):
    with pytest.raises(UsageError):
        cache_path(name, Path("/data"))


def test_a_name_is_below_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path))
    with open_cache("words") as kept:
        kept.keep("k", ANSWER)
    assert (tmp_path / "maps" / "words.sqlite3").is_file()
    with open_cache(None) as kept:
        assert kept is None


def test_kept_answers_come_back(tmp_path):
    path = tmp_path / "r.sqlite3"
    with closing(ResultCache(path)) as one, closing(ResultCache(path)) as other:
        one.keep("k", ANSWER)
        other.keep("k", Answer("later"))
        assert other.find(["k", "none"]) == {"k": ANSWER}, "the first stays"


@pytest.mark.parametrize("text", ["", "half \ud83d", "nul \0", "Ü 🙂"])
def test_any_text_is_kept(text):
    assert read_answer(answer_json(Answer(text, reasoning=text))) == Answer(text, reasoning=text)


@pytest.mark.parametrize("written", ["", "[]", "{}", '{"status": "completed"}', "null"])
def test_what_is_no_answer(written):
    with pytest.raises(ValueError):  # noqa: PT011
        read_answer(written)


def test_what_is_no_such_file(tmp_path):
    text, other, newer = tmp_path / "text", tmp_path / "other", tmp_path / "newer"
    text.write_text("not a database, but long enough to be looked at" * 50)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE chats (id)")
    ResultCache(newer).close()
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 9")
    for path, why in ((text, "not a database"), (other, "something else"), (newer, "newer")):
        with pytest.raises(UsageError, match=why):
            ResultCache(path)
    with pytest.raises(UsageError, match="cannot be kept"):
        ResultCache(text / "below")


def table(count, prompt="<b>prompt</b>"):
    rows = MapResult(read_rows([prompt] * count))
    rows.set_answer(0, Answer("<script>", usage=Usage(3, 4, 7, tools={"web_search": 1})))
    rows.set_answer(1, Answer("kept", usage=Usage(1, 1, 2, tools={"web_search": 2})), reused=True)
    rows.set_error(2, ServerError("The service failed."))
    return rows


def test_the_columns_of_a_result():
    rows = table(4)
    assert rows.texts == ["<script>", "kept", None, None]
    assert [type(error).__name__ for error in rows.errors] == ["NoneType"] * 2 + [
        "ServerError", "NoneType",
    ]  # fmt: skip
    assert rows.usage == Usage(4, 5, 9, tools={"web_search": 3})
    assert [row.number for row in rows] == [0, 1, 2, 3]
    assert [row.number for row in rows[1:3]] == [1, 2]


def test_a_result_in_words():
    assert repr(table(4)).splitlines() == [
        "MapResult of 4 rows: 2 answered (1 kept from before), 1 failed, 1 not answered; 9 tokens",
        "    0  <b>prompt</b> -> <script>",
        "    1  <b>prompt</b> -> kept",
        "    2  <b>prompt</b> -> ServerError: The service failed.",
        "    3  <b>prompt</b> -> not answered",
    ]


def test_a_long_result_is_cut():
    shown = repr(table(500, "word " * 1000))
    assert len(shown.splitlines()) == 12
    assert "    …" in shown
    assert "  499  word word" in shown
    assert max(map(len, shown.splitlines())) < 160


def test_html_is_escaped():
    shown = table(500)._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown
    assert shown.count("<tr>") == 12

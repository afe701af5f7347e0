"""Prompt files: found, checked, filled in; `--system`: text, values, files, personas."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_magic.context.prompt_files import (
    BUNDLED,
    MAX_FILE_BYTES,
    find_prompt,
    list_prompts,
    read_instructions,
)
from qwen_magic.errors import UsageError


def test_text_is_interpolated() -> None:
    assert read_instructions("Speak {language}.", {"language": "German"}).text == "Speak German."


def test_a_file_is_taken_to_the_letter(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("\ufeffBe {language}, näher.\n", encoding="utf-8")
    read = read_instructions("@./p.md", {"language": "German"}, folders=[tmp_path])
    assert read.text == "Be {language}, näher.\n"
    assert read_instructions(f"@{tmp_path}/p.md", {}).text == read.text


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    for name, said in [
        ("nope.md", "cannot be read"),
        ("bytes", "is not UTF-8"),
        ("large", "1,000,000 bytes"),
        ("", "cannot be read"),
        ("a\0b", "cannot be read"),
    ]:
        with pytest.raises(UsageError, match=said):
            read_instructions(f"@{name}", {}, folders=[tmp_path])


EXPLAIN = """\
---
description: Explains one idea
model: qwen3-max
tools: code_interpreter, web_search
fields: {topic: , level: beginner}
---
Explain {topic} to a {level}: {other}, {"a": {topic}}.

```python
print("{topic}")
```
"""


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "user").mkdir()
    (tmp_path / "here" / "explain.md").write_text(EXPLAIN)
    (tmp_path / "here" / "README.md").write_text("# No prompt\n\n---\nmodel: x\n---\n")
    return [tmp_path / "here", tmp_path / "missing", tmp_path / "user"]


def faulty(error):
    pytest.fail(str(error))


def test_a_prompt_is_found_with_what_its_head_says(folders):
    found = find_prompt("explain", folders)
    assert (found.model, found.tools) == ("qwen3-max", ("code_interpreter", "web_search"))
    assert found.fields == {"topic": None, "level": "beginner"}
    assert found.description == "Explains one idea"


def test_fields_are_filled_in_everywhere_and_nothing_else_is(folders):
    secret = {"other": "SECRET", "level": "SECRET", "these": [1, 2]}
    filled = find_prompt("explain", folders).filled({"topic": "sums of {these}"}, secret)
    topic = "sums of [1, 2]"
    assert filled.text == (
        f'Explain {topic} to a beginner: {{other}}, {{"a": {topic}}}.\n\n'
        f'```python\nprint("{topic}")\n```'
    )
    assert [each.name for each in filled.expanded] == ["these"]


def test_a_value_that_looks_like_a_field_is_text(folders):
    filled = find_prompt("explain", folders).filled({"topic": "{level} {topic}"})
    assert filled.text.startswith("Explain {level} {topic} to a beginner")


@pytest.mark.parametrize(
    ("values", "said"),
    [({}, "needs topic="), ({"topic": "x", "levl": "y"}, "no field 'levl'")],
)
def test_fields_that_are_missing_or_unknown(folders, values, said):
    with pytest.raises(UsageError, match=said) as failed:
        find_prompt("explain", folders).filled(values)
    assert "topic=… level=…" in failed.value.hint


def test_the_first_folder_wins_and_the_bundled_come_last(folders):
    for folder, text in ((folders[2], "user's"), (folders[0], "notebook's")):
        (folder / "tutor.md").write_text(f"---\n---\nThe {text}")
        assert find_prompt("tutor", folders).text == f"The {text}"
    names = [each.name for each in list_prompts(folders, faulty)]
    assert names == ["explain", "tutor", "analyst", "hint", "reviewer", "steps"]


def test_the_bundled_personas_need_no_field():
    for persona in list_prompts([], faulty):
        assert persona.path.parent == BUNDLED
        assert persona.description
        assert "{" not in persona.filled().text


@pytest.mark.parametrize("name", ["explane", "../explain", "README", "", "a\0", "explain.md"])
def test_what_is_not_there(folders, name):
    with pytest.raises(UsageError, match="There is no prompt"):
        find_prompt(name, folders)


@pytest.mark.parametrize(
    "head",
    [
        "nope: 1",
        "- a list",
        "model: [a]",
        "tools: {a: b}",
        "tools: [1]",
        "schema: 1",
        "fields: {'not a name': x}",
        "fields: {a: [1]}",
        "a: b: c",
        "x: !!python/object/apply:os.system [true]",
        "&a [*a]",
        "[" * 3000,
        "",  # it does not end
    ],
)
def test_front_matter_that_cannot_be_read(folders, head):
    (folders[0] / "bad.md").write_text(f"---\n{head}\n---\ntext" if head else "---\nmodel: m\ntext")
    with pytest.raises(UsageError, match=r"bad\.md"):
        find_prompt("bad", folders)
    faults = []
    assert "explain" in [each.name for each in list_prompts(folders, faults.append)]
    assert len(faults) == 1


def test_a_persona_is_taken_as_instructions(folders):
    read = read_instructions("@tutor", {"level": "SECRET"}, folders=folders)
    assert "a beginner" in read.text
    (folders[0] / "tutor").write_text("a file of that very name")
    assert read_instructions("@tutor", {}, folders=folders).text == "a file of that very name"
    with pytest.raises(UsageError, match="tutr") as failed:
        read_instructions("@tutr", {}, folders=folders)
    assert "tutor" in failed.value.hint

"""A lesson's file is read strictly; its texts take values, and nothing else."""

import pytest
from lesson_check import check

from qwen_magic.demo.lesson import (
    BUNDLED,
    LessonError,
    MissingValueError,
    as_json,
    fill,
    parse_lesson,
    read_lessons,
)

HEAD = "---\nprompts: [Hello]\n{}---\n"
SAY = "## say\nHello.\n"


def test_the_bundled_lessons_are_in_order():
    lessons = read_lessons([BUNDLED])
    assert lessons
    assert check(lessons) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello", "begins with a head"),
        ("---\n[\n---\n" + SAY, "expected node content"),
        ("---\n- a\n---\n" + SAY, "other keys than"),
        (HEAD.format("colour: red\n") + SAY, "other keys than"),
        ("---\nneeds: [a]\n---\n" + SAY, "no prompts"),
        ("---\nprompts: ['?!']\n---\n" + SAY, "without a word"),
        (HEAD.format("slots: {n: what}\n") + SAY, "slot n: a slot's type is"),
        (HEAD.format("slots: {n: {min: 3}}\n") + SAY, "slot n: a slot's type is"),
        (HEAD.format("slots: {n: {type: word, most: 3}}\n") + SAY, "argument 'most'"),
        (HEAD.format("slots: [n]\n") + SAY, "a mapping of names"),
        (HEAD.format("rank: first\n") + SAY, "invalid literal"),
        (HEAD.format("") + "Hello.\n" + SAY, "before the first step"),
        (HEAD.format("") + "## say\n\n", "is empty"),
        (HEAD.format("") + "## run\nprint(1)\n", "holds one fence"),
        (HEAD.format("") + "## run\n```python\nprint(1)\n```\nand more\n", "holds one fence"),
        (HEAD.format("") + "## say\n```\nHello\n", "a fence is not closed"),
    ],
)
def test_what_is_no_lesson(tmp_path, text, words):
    (tmp_path / "bad.md").write_text(text, "utf-8")
    with pytest.raises(LessonError, match=r"bad\.md: ") as caught:
        read_lessons([tmp_path])
    assert words in str(caught.value)


def test_headings_in_fences_and_others_are_text():
    text = "## say\n## Summary\n```\n## think\n```\n~~~\n## run\n~~~\n## Say it\n"
    (step,) = parse_lesson("a", HEAD.format("") + "<!-- a note -->\n" + text).steps
    assert step.body == text.removeprefix("## say\n").rstrip()


def test_a_file_is_read_again_when_it_changes(tmp_path):
    file = tmp_path / "a.md"
    file.write_text(HEAD.format("") + SAY, "utf-8")
    (before,) = read_lessons([tmp_path])
    assert read_lessons([tmp_path]) == [before]
    file.write_text(HEAD.format("rank: 3\n") + SAY, "utf-8")
    assert [lesson.rank for lesson in read_lessons([tmp_path])] == [3]


def test_one_name_twice_and_no_folder(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "same.md").write_text(HEAD.format("") + SAY, "utf-8")
    with pytest.raises(LessonError, match="another lesson same"):
        read_lessons([tmp_path])
    with pytest.raises(LessonError, match="no folder of lessons"):
        read_lessons([tmp_path / "c"])


def test_what_check_finds():
    bodies = {
        "first": HEAD.format("after: nobody\n") + "## say\n{{nothing}} {{1 + 1}}\n",
        "second": HEAD.format("") + "## run\n```python\nx =\n```\n" + SAY,
        "third": HEAD.format("") + "## run\n```python\nresult(a=1)\n```\n## say\n{{a}}\n",
    }
    problems = check([parse_lesson(name, text) for name, text in bodies.items()])
    assert any("first: after nobody" in problem for problem in problems)
    assert any("names nothing" in problem for problem in problems)
    assert any("names {{1 + 1}}" in problem for problem in problems)
    assert any("does not compile" in problem for problem in problems)
    assert any("third: 'Hello' is second's too" in problem for problem in problems)
    assert len(problems) == 5


VALUES = {
    "n": 1234.5,
    "word": 'a "b"',
    "rows": [{"a": 1, "b c": None}, {"a": 2.5, "b c": "x|y"}],
    "yes": True,
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{n}} {{ n:,.2f }}", "1234.5 1,234.50"),
        ("{{word}}", 'a "b"'),
        ('{{rows[0]["a"]}} {{rows[-1]["b c"]}}', "1 x|y"),
        ("{{len(rows)}} {{len(rows[0]):03d}}", "2 002"),
        ("{{yes}} {{rows[0]}}", 'true {"a": 1, "b c": null}'),
        ("{{rows:table}}", "| a | b c |\n| ---: | --- |\n| 1 |  |\n| 2.5 | x\\|y |"),
        ("{n} {{n + 1}} {{n.real}} {{print()}}", "{n} {{n + 1}} {{n.real}} {{print()}}"),
    ],
)
def test_a_text_with_values(text, filled):
    assert fill(text, VALUES) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{{m}}",
        "{{n[0]}}",
        "{{rows[9]}}",
        '{{rows["a"]}}',
        "{{word:,.2f}}",
        "{{n:table}}",
    ],
)
def test_a_value_that_there_is_not(text):
    with pytest.raises(MissingValueError):
        fill(text, VALUES)


def test_values_as_json_and_as_literals():
    assert (
        fill('{"a": {{word}}, "b": {{rows[0]}}}', VALUES, as_json)
        == '{"a": "a \\"b\\"", "b": {"a": 1, "b c": null}}'
    )
    assert fill("f({{word}}, {{yes}})", VALUES, repr) == "f('a \"b\"', True)"

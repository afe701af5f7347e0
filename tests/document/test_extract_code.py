"""Code blocks out of an answer."""

from __future__ import annotations

import pytest

from qwen_magic.document.extract import CodeBlock, code_blocks


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("no code, only `inline`", ()),
        ("```python\nx = 1\n```", (CodeBlock("python", "x = 1"),)),
        ("~~~ Py\nx = 1\n\n~~~\n", (CodeBlock("py", "x = 1\n"),)),
        ("````md\n```python\nx\n```\n````", (CodeBlock("md", "```python\nx\n```"),)),
        ("- a\n\n  ```sql\n  select 1\n  ```\n", (CodeBlock("sql", "select 1"),)),
        ("> ```\n> x\n> ```\n", (CodeBlock("", "x"),)),
        ("```Python title=x\na\n```", (CodeBlock("python", "a"),)),
        ("1. x\n\n       indented\n", (CodeBlock("", "indented"),)),
        ("text\n\n    indented\n", (CodeBlock("", "indented"),)),
        ("```{.python .numberLines}\nx\n```", (CodeBlock("python", "x"),)),
        ("```python:main.py\nx\n```", (CodeBlock("python", "x"),)),
        ("```python\nx = 1\ny", (CodeBlock("python", "x = 1\ny"),)),
        ("```python\n```\n```r\nz\n```", (CodeBlock("r", "z"),)),
    ],
)
def test_blocks_in_order(markdown, expected):
    assert code_blocks(markdown) == expected


def test_what_may_be_python():
    assert [CodeBlock(name, "x").is_python for name in ("python", "", "sql")] == [True, True, False]
    assert str(CodeBlock("python", "x = 1")) == "x = 1"


@pytest.mark.parametrize(
    "before",
    [
        "$$\nE = mc^2\n\n",
        "\\[\nE\n\n",
        "\\(x\n\n",
        "$$ never closes\n",
        "$$\\begin{aligned}\n",
        "\\begin{align}\nx\n\n",
        "It costs $5 and $$\n\n",
        "| a |\n|---|\n| $x |\n\n",
        "<details>\n<summary>x</summary>\n\n",
        "- $$\n- x\n\n",
    ],
)
@pytest.mark.parametrize("mark", ["```", "~~~", "`````"])
def test_a_block_survives_what_never_closes(before, mark):
    for after in ("", "\n\n$$\n", "\nand \\] so on"):
        text = f"{before}{mark}python\nprint(1)\n{mark}{after}"
        assert [(b.language, b.code) for b in code_blocks(text)] == [("python", "print(1)")]
    quoted = "".join(
        f"> {line}\n" for line in f"{before}{mark}python\nprint(1)\n{mark}".split("\n")
    )
    assert [b.code for b in code_blocks(quoted)] == ["print(1)"]

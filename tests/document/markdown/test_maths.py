"""Formulas: where they begin and end, whole and as they arrive; what a typesetter is given."""

from __future__ import annotations

import re

import pytest

from qwen_magic.document.extract import code_blocks, find_tables
from qwen_magic.document.markdown import MarkdownStream, render_markdown

DISPLAY = re.compile(r'<div class="qm-math" dir="ltr">(.*?)</div>', re.DOTALL)
FORMULA = re.compile(r'<(?:div class="qm-math"|span) dir="ltr">(.*?)</', re.DOTALL)
REST = "\n\nNext **bold**.\n\n```python\nprint(1)\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
MARKS = [("$$", "$$"), ("\\[", "\\]"), ("\\begin{align*}", "\\end{align*}")]


def rendered(text: str) -> str:
    """The HTML, which is the same however the text was cut."""
    html = render_markdown(text)
    for step in (1, 5):
        stream = MarkdownStream()
        for position in range(0, len(text), step):
            stream.append(text[position : position + step])
            stream.update()
        stream.finish()
        assert stream.html == html
    return html


@pytest.mark.parametrize(("opening", "closing"), MARKS)
@pytest.mark.parametrize("behind", ["", ".", ",", "。", " where *E* is", ", where *E* is"])
@pytest.mark.parametrize("prefix", ["", "> ", "  "])
def test_what_stands_behind_the_closing_mark_lives(
    opening: str, closing: str, behind: str, prefix: str
) -> None:
    lines = f"Then\n\n{opening}\nE = mc^2\n{closing}{behind}\nand on" + REST
    item = "- first\n\n" if prefix == "  " else ""
    text = item + "".join(f"{prefix}{line}\n" for line in lines.split("\n"))
    html = rendered(text)
    (formula,) = DISPLAY.findall(html)
    assert formula.startswith(f"{opening}\nE = mc^2")
    assert formula.endswith(closing)
    assert ("<em>E</em> is\nand on</p>" in html) == ("where" in behind)
    assert "<strong>bold</strong>" in html
    assert len(code_blocks(text)) == len(find_tables(text)) == 1


@pytest.mark.parametrize(
    "formula",
    [
        "$$ f(x) = x^2\n+ 3x\n- 2 $$",
        "\\[ f(x) = x^2\n1. 2 \\]",
        "$$\\begin{aligned}\na &= b \\\\\n- c &= 1\n\\end{aligned}$$",
        "$$\\begin{aligned}" + "a &= b \\\\ " * 120 + "\\end{aligned}$$",
        "\\begin{cases}\n+ a & b \\\\\n> c\n\\end{cases}",
        "\\begin{pmatrix} a & \\begin{pmatrix} b \\end{pmatrix} \\end{pmatrix}",
        "$$\na_1\n\nb_*c*_\n$$",
    ],
)
@pytest.mark.parametrize("around", [("", ""), ("Then:\n", "\nso"), ("Then: ", ""), ("- ", "")])
def test_a_formula_is_one_whatever_its_lines_begin_with(
    formula: str, around: tuple[str, str]
) -> None:
    if "\n\n" in formula and around[0].endswith(" "):
        return  # inside a paragraph it ends with that
    if "\n" in formula and around[0] == "- ":
        formula = formula.replace("\n", "\n  ")
    html = rendered(around[0] + formula + around[1])
    assert "\n\n" not in html.strip()  # it would end there in a page of Markdown
    html = html.replace("&amp;", "&").replace("&gt;", ">").replace("&#10;", "\n")
    assert FORMULA.findall(html) == [formula.replace("\n  ", "\n")]
    assert "<em>" not in html


@pytest.mark.parametrize("opening", ["$$", "\\[", "\\begin{gather}"])
@pytest.mark.parametrize(
    "following", ["Text **lives**.", "- **lives**", "# **lives**", "`a` **b**"]
)
def test_one_that_is_never_closed_ends_with_a_blank_line(opening: str, following: str) -> None:
    html = rendered(f"{opening}\nE = mc^2\n\n{following}\n")
    assert DISPLAY.findall(html) == [f"{opening}\nE = mc^2"]
    assert "<strong>" in html


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("$5 ($x$ each)", ["$x$"]),
        ("$10，公式$x_1$", ["$x_1$"]),
        ("$5/$x$ and US$7（约$y$）", ["$x$", "$y$"]),
        ("**$5** and $x$, $1.5M ($z_1$)", ["$x$", "$z_1$"]),
        ("Price: $100 ($\\alpha$)", ["$\\alpha$"]),
        ("$1,000 + $x$ or $20–$30", ["$x$"]),
        ("it is $3x$, $2$, $10$个, $2^n$, $10\\%$", ["$3x$", "$2$", "$10$", "$2^n$", "$10\\%$"]),
        ("$0.5 < p < 1$", ["$0.5 &lt; p &lt; 1$"]),
    ],
)
def test_money_beside_maths_keeps_its_dollar(text: str, formulas: list[str]) -> None:
    html = rendered(text)
    assert FORMULA.findall(html) == formulas
    assert html.count("<span>$</span>") == text.count("$") - 2 * len(formulas)


@pytest.mark.parametrize(
    "text", ["so $a_i * b_j * c$ is", "so \\(a * b*c\\) is", "so $$a\n+ *b* c$$", "$x*y*z$"]
)
def test_a_formula_that_arrives_does_not_show_as_markdown(text: str) -> None:
    stream = MarkdownStream()
    for letter in text:
        stream.append(letter)
        stream.update()
        assert "<em>" not in stream.html
        assert "<ul" not in stream.html


def shown(tex: str) -> str:
    return " ".join(FORMULA.findall(render_markdown(tex)))


@pytest.mark.parametrize("definer", ["\\def\\frac#1", "\\gdef\\frac", "\\let\\frac=", "\\def\\,"])
def test_a_macro_has_a_name_of_its_own(definer: str) -> None:
    """So that no formula of another answer on the page changes."""
    first, second = shown(f"$${definer}{{a}}$$").split("\n")[0], shown("$\\frac12$ $a\\,b$")
    assert not re.search(r"\\(frac|,)(?![a-z])", first)
    assert second == "$\\frac12$ $a\\,b$"


def test_a_macro_is_known_in_the_formulas_that_follow_in_its_answer() -> None:
    html = rendered("$\\newcommand{\\R}{\\mathbb R}\\R$\n\n$$\n\\R^2 \\Re\n$$\n\n- $\\R$\n")
    (name,) = set(re.findall(r"\\Rq[a-z]+", html))
    assert html.count(name) == 4
    assert "\\Re" in html


def test_what_would_define_a_macro_only_when_it_runs_defines_none() -> None:
    assert "\\def" not in shown("$\\def\\x{\\def#1{no}}\\x\\frac$").replace("\\def\\xq", "")
    assert "\\let" not in shown("$\\let\\d=\\def \\d\\frac{no}$")


def test_lengths_and_sizes_are_bounded() -> None:
    tex = "\\rule{9999em}{9999em}\\kern9999pt\\hspace{50cm}\\\\[999ex]"
    assert max(map(float, re.findall(r"[\d.]+(?=em|cm)", shown(f"${tex}$")))) <= 20
    assert "\\rule" not in shown("$\\newcommand\\r[1]{\\rule{#1em}{1em}}\\r{999}$")
    assert shown("${\\Huge{\\Huge{\\Huge{\\Huge x}}}}$").count("Huge") == 1
    fine = "$\\rule{1em}{2pt} a\\\\[2pt] {\\large b}$"
    assert shown(fine) == fine


@pytest.mark.parametrize("below", [">\n$$", "> b\n$$ z", "$$\n\\] so ", "- b\n$$", "# b\n$$"])
@pytest.mark.parametrize("above", ["x $$\npt PT\n", "$$$\nof it\n", "x $$\na\n", "x ```\nb \\[\n"])
def test_what_turned_out_to_be_prose_ends_where_another_block_begins(
    above: str, below: str
) -> None:
    """Also in a text that came whole: a mark further down takes nothing back."""
    stream = MarkdownStream()
    for letter in above + below:
        stream.append(letter)
        stream.update()
    stream.finish()
    assert stream.html == render_markdown(above + below)

"""Which cells of a notebook a model is told, how much of each, and what it is never told."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.context.cell_text import Masks
from qwen_magic.context.dataframe.describing import count_tokens
from qwen_magic.context.notebook import (
    answer,
    cells_of_file,
    finding,
    finding_failed,
    read_selection,
    reading,
)
from qwen_magic.context.secrets import Secrets
from qwen_magic.errors import UsageError
from qwen_magic.masking import SECRET_NAMES

CANARY = "sk-canary0123456789abcdef"
PNG = "iVBORw0KGgo" * 50


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def result(plain, **others):
    data = {"text/plain": plain, **{key.replace("_", "/"): value for key, value in others.items()}}
    return {"output_type": "execute_result", "data": data}


def code(number, source, *outputs):
    cell = {"id": f"c{number}", "cell_type": "code", "execution_count": number or None}
    return {**cell, "source": source, "outputs": list(outputs)}


def words(name, source):
    return {"id": name, "cell_type": "markdown", "source": source}


def run(steps, cells):
    """What comes of `steps` where a page with these cells answers."""
    try:
        request = next(steps)
        while True:
            request = steps.send(answer(cells, request))
    except StopIteration as done:
        return done.value


def see(cells, selection, at="", *, budget=6_000, columns=(), secrets=(), names=()):
    masks = Masks(Secrets(secrets), columns, names)
    return run(reading(read_selection(selection), at, masks, budget), cells)


NOTEBOOK = [
    words("intro", "# Planets\n\nWhat we look at.\n\n## Data"),
    code(3, "import pandas as pd"),
    words("between", "Now the sizes."),
    code(4, "sizes = read()\nsizes", result("[1, 2]")),
    code(5, "sizes['x']", {"output_type": "error", "ename": "TypeError", "evalue": "no",
                           "traceback": ["\x1b[31mTypeError\x1b[0m: no"]}),
    code(0, "plot()"),
    code(7, "show()", result("<Figure size 1x1>", image_png=PNG), stream("10 %\r100 %\n")),
    {**code(0, "  "), "id": "empty"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("selection", "at", "there", "away"),
    [
        ("last", "c7", ["Cell [4]", "Cell [5]", "Cell, not run"], ["Cell [7]", "Now the sizes"]),
        ("last:2", "c5", ["Cell [3]", "Now the sizes", "Cell [4]"], ["# Planets", "Cell [5]"]),
        ("errors", "c7", ["Cell [5]", "TypeError: no"], ["Cell [4]", "\x1b"]),
        ("cells:4-7", "", ["Cell [4]", "Cell [5]", "Cell [7]"], ["Cell [3]", "Planets"]),
        ("cells:7", "", ["[figure]\n100 %"], ["Figure size", PNG, "10 %\r"]),
        ("all", "c4", ["What we look at", "Cell [3]", "Cell [7]"], ["Cell [4]"]),
        ("outline", "", ["# Planets\n## Data\n[3] import", "[5] sizes['x']  (it failed)"],
         ["What we look at", "TypeError"]),
    ],
)  # fmt: skip
def test_what_is_told(selection, at, there, away):
    seen = see(NOTEBOOK, selection, at)
    assert all(part in seen.text for part in there)
    assert not any(part in seen.text for part in away)


@pytest.mark.parametrize(
    ("selection", "cells"),
    [("cells:1-2", NOTEBOOK), ("errors", NOTEBOOK[:4]), ("last", NOTEBOOK[:1]), ("all", [])],
)
def test_nothing_is_there(selection, cells):
    with pytest.raises(UsageError):
        see(cells, selection)


@pytest.mark.parametrize("text", ["", "last:0", "last:-1", "cells", "cells:", "cells:5-2", "every"])
def test_selections_that_cannot_be_read(text):
    with pytest.raises(UsageError):
        read_selection(text)


def test_selections_are_read_as_they_are_written():
    for text in ("outline", "errors", "last:7", "cells:2-9", "cells:4", "all"):
        assert str(read_selection(text)) == text


def test_the_nearest_come_first_and_the_rest_is_counted():
    cells = [code(n, f"x{n} = {n}", stream("word " * 400)) for n in range(1, 41)]
    seen = see(cells, "all", "c20", budget=1_200)
    told = [int(n) for n in re.findall(r"Cell \[(\d+)\]", seen.text)]
    assert {19, 21} <= set(told)
    assert told == sorted(told)
    assert max(abs(n - 20) for n in told) <= len(told)
    assert f"{len(told)} of 40 cells, {39 - len(told)} more left out" in seen.about.replace(
        "\xa0", " "
    )
    gaps = sum(map(int, re.findall(r"\[… (\d+) cells? left out", seen.text)))
    assert gaps + len(told) == 39


def test_long_outputs_have_two_ends():
    seen = see([code(1, "go()", stream("first\n" + "more\n" * 100_000 + "last\n"))], "all")
    assert re.search(r"first\n[\s\S]*characters left out …\]\n[\s\S]*last", seen.text)


texts = st.text(st.characters(codec="utf-8"), max_size=3_000)
outputs = st.one_of(
    texts.map(stream),
    st.builds(result, texts, text_html=texts, image_png=st.just(PNG)),
    texts.map(lambda t: {"output_type": "error", "ename": "E", "evalue": t, "traceback": [t]}),
)
notebooks = st.lists(
    st.tuples(st.booleans(), texts, st.lists(outputs, max_size=3)), min_size=2, max_size=8
)


@given(notebooks, st.sampled_from(["outline", "last:3", "all"]), st.integers(200, 2_000))
@settings(max_examples=60, deadline=None)
def test_it_keeps_to_its_budget(drawn, selection, budget):
    cells = [
        code(at + 1, f"x\n{text}", *given) if is_code else words(f"w{at}", f"# {text}")
        for at, (is_code, text, given) in enumerate([*drawn, (True, "asks", [])])
    ]
    try:
        seen = see(cells, selection, cells[-1]["id"], budget=budget)
    except UsageError:
        return  # no cell of code above
    assert count_tokens(seen.text) <= budget
    assert PNG not in seen.text


SHOWN = [
    stream(f"the key is {CANARY}"),
    stream(f"{'x ' * 2_990}{CANARY}{' y' * 9_000}"),  # where a long text is cut
    stream(f'{{"a":"{"b" * 5_980}","k":"{CANARY}","c":"{"d" * 9_000}"}}'),
    result("{'password': 'hunter2secret'}"),
    result("  password\n0 hunter2secret"),
    result("<Styler>", text_html="<table><th>api_key</th><td>hunter2secret</td></table>"),
    stream("   salary\n0   98765"),
    {"output_type": "error", "ename": "E", "evalue": "", "traceback": [f"api_key='{CANARY}'"]},
]


@pytest.mark.parametrize("output", SHOWN)
@pytest.mark.parametrize("whole", [True, False])
def test_a_secret_in_an_output_is_not_told(output, whole):
    cell = code(1, f"token = '{CANARY[::-1]}'\ndf['salary'] = [98765]\nshow()", output)
    seen = see([cell], "all", budget=None if whole else 6_000, columns=["sal*"], names=SECRET_NAMES)
    for secret in (CANARY, CANARY[3:], CANARY[:12], CANARY[-12:], CANARY[::-1], "98765", "hunter2"):
        assert secret not in seen.text
    assert "show()" in seen.text


def test_what_a_masked_column_gave_is_left_out():
    named = ", ".join(name.strip("*") for name in SECRET_NAMES)  # among many others
    cells = [code(1, f"{named}\ndf.salary.max()", result("98765")), code(2, "age", result("41"))]
    seen = see(cells, "all", columns=["salary"], names=SECRET_NAMES)
    assert "98765" not in seen.text
    assert "41" in seen.text
    assert "may show salary" in seen.text


def test_what_html_says_has_its_spaces_and_lines():
    html = (
        "<p>It <b>is</b> <i>so</i>.</p>\n<pre>a\n b</pre><table>\n<tr>\n<td> 1</td> <td>2</td></tr>"
    )
    seen = see([code(1, "x", result("<object>", text_html=html))], "all")
    assert "It is so.\na\nb\n1\t2\n" in seen.text


def test_files_of_any_age():
    old = json.dumps({"cells": [{"cell_type": "code", "source": ["a = 1\n", "b"], "outputs": [],
                                 "execution_count": 1, "metadata": {}}]})  # fmt: skip
    assert "a = 1\nb" in see(cells_of_file(old), "last").text
    for bad in ("", "[]", "{}", '{"cells": 3}', '{"cells": [4]}'):
        with pytest.raises(UsageError):
            cells_of_file(bad)


def test_nobody_answers():
    steps = reading(read_selection("all"), "", Masks(Secrets()), 1_000)
    next(steps)
    with pytest.raises(StopIteration) as done:
        steps.send(None)
    assert done.value.value is None


def test_one_cell_is_found():
    assert run(finding("cells:4", ""), NOTEBOOK).source == "sizes = read()\nsizes"
    assert run(finding("", "c5"), NOTEBOOK).number == 4
    assert run(finding("this", "c5"), NOTEBOOK).number == 5
    for target, at in (("cells:4-5", "c7"), ("this", "elsewhere"), ("cells:99", "c7"), ("all", "")):
        with pytest.raises(UsageError):
            run(finding(target, at), NOTEBOOK)


def test_code_goes_to_the_cell_that_it_is_of():
    cells = [code(1, "def half(x):\n    return x / 0"), code(2, "print(half(3))"), code(3, "1 / 0")]
    assert run(finding_failed(2, "print(half(4))\nprint(half(3))"), cells).number == 2
    assert run(finding_failed(2, "def half(x):\n    return x / 2"), cells).number == 1
    assert run(finding_failed(3, "1 / 1"), cells).number == 3
    assert run(finding_failed(9, "1 / 1"), cells) is None

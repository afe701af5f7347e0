"""`%qwen_fix`: the report that the product writes is understood, and the cell mended by rules."""

import ast
import linecache

import pytest

from qwen_magic.context.exception.report import exception_report
from qwen_magic.demo.mending.failure import read_failure
from qwen_magic.demo.mending.rules import RULES, mend

LEAD = "My notebook raised the exception below. Explain it.\n\n"


class Notebook:
    """Runs cells in one namespace, and reports what they raise."""

    def __init__(self, **namespace):
        self.namespace = namespace
        self.cells = {}

    def run(self, source):
        name = f"<demo cell {id(self)} {len(self.cells) + 1}>"
        self.cells[name] = len(self.cells) + 1
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            exec(compile(source, name, "exec"), self.namespace)
        except Exception as error:
            return error
        return None

    def report(self, source):
        error = self.run(source)
        assert error is not None, "it runs"
        return exception_report(error, cells=self.cells, last_input=source).text


def mended(source, **namespace):
    failure = read_failure(LEAD + Notebook(**namespace).report(source))
    found = mend(failure)
    return None if found is None else found.source


CELLS = {
    "total = 3\nprint(totl + 1)": "total = 3\nprint(total + 1)",
    "pint('a')": "print('a')",
    "x = math.sqrt(4)": "import math\nx = math.sqrt(4)",
    "np.array([1])": "import numpy as np\nnp.array([1])",
    "name = 'nme'\nnme": "name = 'nme'\nname",
    "prices = {'apple': 3}\nprices['aple']": "prices = {'apple': 3}\nprices['apple']",
    "prices = {'apple': 3}\nfruit = \"aple\"\nprices[fruit]":
        "prices = {'apple': 3}\nfruit = \"apple\"\nprices[fruit]",
    "prices = {'apple': 3}\nx = prices['zzz']": "prices = {'apple': 3}\nx = prices.get('zzz')",
    "a, b = 1, 0\nc = a / b": "a, b = 1, 0\nc = (a / b if b else float(\"nan\"))",
    "b = 0\nif 1 // b > 2:\n    pass": "b = 0\nif (1 // b if b else float(\"nan\")) > 2:\n    pass",
    "x = 1 / 0": "x = float(\"nan\")",
    "n = 3\ntext = 'é' + n": "n = 3\ntext = 'é' + str(n)",
    "n = 3\ntext = n + 'a' + f'{n}'": "n = 3\ntext = str(n) + 'a' + f'{n}'",
    "'a'.uper()": "'a'.upper()",
    "import math\nmath.sqroot(2)": "import math\nmath.sqrt(2)",
    "xs = [1, 2]\ni = 5\ny = xs[i]":
        "xs = [1, 2]\ni = 5\ny = (xs[i] if -len(xs) <= i < len(xs) else None)",
    "import jsn": "import json",
    "import no_such_thing": "# First, once, in a cell of its own: %pip install no_such_thing\n"
                            "import no_such_thing",
    "x = (1 + 2\ny = 3": "x = (1 + 2)\ny = 3",
    "if True\n    x = 1": "if True:\n    x = 1",
}  # fmt: skip


@pytest.mark.parametrize(("source", "wanted"), CELLS.items())
def test_the_cell_is_mended(source, wanted):
    assert mended(source) == wanted
    ast.parse(wanted)


def test_every_rule_is_tried_by_one_of_these():
    kinds = {type(Notebook().run(source)).__name__ for source in CELLS}
    assert kinds | {"UnboundLocalError"} == set(RULES)


@pytest.mark.parametrize(
    "source",
    [
        "int('x')",
        "qqqqqqq",
        "None.shape",
        "{}['a'] = {}['b']",
        "len(5)",
        "import math\nmath.zzzzzzz",
        "[1][5], [2][6]",
        "x = = 2",
        "raise KeyError",
        "raise NameError('of mine')",
        "raise AttributeError('of mine')",
        "raise ModuleNotFoundError('of mine')",
        "raise ZeroDivisionError",
    ],
)
def test_what_no_rule_mends_stays(source):
    assert mended(source) is None


def test_a_missing_column():
    pd = pytest.importorskip("pandas")
    df = pd.DataFrame({"body_mass": [1.0], "odd (name)": [2]})
    assert mended("df['body_mas'].mean()", df=df) == "df['body_mass'].mean()"
    assert mended('df[["body_mas"]]', df=df) == 'df[["body_mass"]]'
    assert mended("df.body_mas", df=df) == "df.body_mass"
    assert mended("df.groupb('body_mass')", df=df) == "df.groupby('body_mass')"


def test_what_is_read_out_of_a_report():
    notebook = Notebook()
    notebook.run("def share(part, whole):\n    return part / whole")
    failure = read_failure(notebook.report("x = 3\n\nshare(x, 0)"))
    assert (failure.kind, failure.message) == ("ZeroDivisionError", "division by zero")
    assert (failure.cell, failure.place) == ("cell 2", "cell 1, line 2")
    assert failure.lines == ("x = 3", "", "share(x, 0)")
    assert failure.marked == {3}
    assert failure.values["whole"] == "int = 0"
    assert failure.whole


def test_a_prompt_without_a_report_is_none():
    assert read_failure("What does the exception:\n\nKeyError mean?") is None


def test_the_answer_explains_and_has_one_cell(client):
    text = client.say(LEAD + Notebook().report("xs = {'apple': 1}\nxs['aple']"))
    assert "**KeyError**: a dict has no such key" in text
    assert "nearest that I see is `apple`" in text
    assert "```python\nxs = {'apple': 1}\nxs['apple']\n```" in text
    assert text.count("```python") == 1
    assert "Offline demo" in text


def test_without_a_rule_the_cell_comes_back_with_a_remark(client):
    text = client.say(LEAD + Notebook().report("x = 1\nint('x')"))
    assert "**ValueError**" in text
    assert "```python\n# ValueError in line 2: still to be mended\nx = 1\nint('x')\n```" in text


def test_an_exception_of_the_users_own_is_not_explained(client):
    source = "class OddError(Exception): ...\nraise OddError('why?')"
    text = client.say(LEAD + Notebook().report(source))
    assert "an exception that I know nothing about" in text
    assert "“why?”" in text


def test_the_fault_in_another_cell_is_named(client):
    notebook = Notebook()
    notebook.run("def share(part, whole):\n    return part / whole")
    text = client.say(LEAD + notebook.report("share(1, 0)"))
    assert "raised in cell 1, line 2" in text
    assert "# ZeroDivisionError in cell 1, line 2: still to be mended\nshare(1, 0)" in text


def test_a_cell_with_lines_left_out_is_not_mended(client):
    source = "\n".join([f"x{n} = {n}" for n in range(2000)] + ["1 / 0"])
    failure = read_failure(Notebook().report(source))
    assert not failure.whole
    text = client.say(LEAD + Notebook().report(source))
    assert "lines are missing" in text
    assert "```python" not in text


def test_code_with_fences_of_its_own(client):
    text = client.say(LEAD + Notebook().report("x = '''\n```\n'''\n1 / 0"))
    assert "````python\nx = '''\n```\n'''\nfloat(\"nan\")\n````" in text


def test_a_secret_that_was_kept_back_is_spoken_of(client):
    text = client.say(LEAD + Notebook().report("api_key = 'sk-0123456789abcdef0123'\n1 / 0"))
    assert "Put your secret back where `[masked]` stands" in text


def test_functions_named_in_the_report_are_not_called(client):
    tools = [{"type": "function", "name": "share", "parameters": {}}]
    report = Notebook().report("share = 1\nshare / 0")
    assert client.ask(LEAD + report, tools=tools)["output"][-1]["type"] == "message"

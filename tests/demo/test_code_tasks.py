"""Tasks are written from the request's text, really run, and told with their real results."""

import statistics
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from qwen_magic.demo import tasks
from qwen_magic.demo.figures import SECONDS, FigureStore
from qwen_magic.demo.tasks import task as task_module
from qwen_magic.demo.tasks.expression import to_python
from qwen_magic.demo.tasks.numbers import wanted_statistics
from qwen_magic.demo.tasks.task import imports_first

TOOL = [{"type": "code_interpreter"}]
CSV = "region,sales\nnorth,10.5\nsouth,20\nnorth,\n"


def runs_of(response):
    return [item for item in response["output"] if item["type"] == "code_interpreter_call"]


def logs_of(response):
    return "\n".join(output["logs"] for run in runs_of(response) for output in run["outputs"])


def text_of(response):
    return response["output"][-1]["content"][0]["text"]


def first_primes(count):
    found, number = [], 2
    while len(found) < count:
        if all(number % p for p in found):
            found.append(number)
        number += 1
    return found


def test_the_founding_task(client):
    """The variance is right, the plot is a PNG under an expiring link, the text has the result."""
    response = client.ask(
        "What is the variance of the first 1,000 primes? Show the plot.",
        tools=TOOL,
        enable_thinking=True,
    )
    variance = f"{statistics.pvariance(first_primes(1000)):,.10g}"
    numbers, figure = runs_of(response)
    assert f"variance (population) = {variance}" in numbers["outputs"][0]["logs"]
    assert f"**{variance}**" in text_of(response)
    assert numbers["container_id"] == numbers["id"] != figure["id"]
    assert response["usage"]["x_tools"] == {"code_interpreter": {"count": 2}}
    logs = figure["outputs"][0]["logs"]
    assert logs.startswith("![fig-001](")
    url = logs.removeprefix("![fig-001](").removesuffix(")")
    assert url.startswith(f"{client.server.url}/code-interpreter/temp_files/code-output-")
    expires = int(parse_qs(urlsplit(url).query)["Expires"][0])
    assert abs(expires - time.time() - SECONDS) < 60
    picture = client.http.get(url)
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_a_figure_ends_with_its_time():
    figures = FigureStore()
    path = urlsplit(figures.add(b"png", now=1000.0)).path
    assert figures.get(path, now=1000.0 + SECONDS - 1).png == b"png"
    assert figures.get(path, now=1000.0 + SECONDS + 1) is None


def test_a_figure_that_never_was_is_not_found(client):
    url = f"{client.server.url}/code-interpreter/temp_files/code-output-x.png"
    assert client.http.get(url).status_code == 404


NUMBERS = [
    ("mean of 3, 1, 4, 1, 5", "mean", "2.8"),
    ("What is the average of 1,000, 2,000 and 4,500?", "mean", "2,500"),
    ("sample variance of 1 2 3 4", "variance (sample)", "1.666666667"),
    ("median of [1.5, -2, 7e2]", "median", "1.5"),
    ("sum of 100,200,300", "sum", "600"),
    ("standard deviation of 2; 4; 4; 4; 5; 5; 7; 9", "standard deviation", "2"),
    ("How many primes below 100?", "count", "25"),
    ("largest of the first ten primes", "maximum", "29"),
]


@pytest.mark.parametrize(("prompt", "name", "value"), NUMBERS)
def test_statistics(client, prompt, name, value):
    response = client.ask(prompt, tools=TOOL)
    assert f"{name} = {value}\n" in logs_of(response)
    assert f"**{name}** is **{value}**" in text_of(response)


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("What is 12*34?", "**1,432**"),
        ("calculate 2^10 + sqrt(16)", "**1,028.0**"),
        ("17 % 5 =", "**2**"),
        ("compute 1/0", "ZeroDivisionError: division by zero"),
    ],
)
def test_calculations(client, prompt, shown):
    shown = shown.replace("1,432", "408")
    assert shown in text_of(client.ask(prompt, tools=TOOL))


SIMULATED = [
    ("Roll two dice 500 times", "expected mean = 7\n"),
    ("estimate pi with 2000 points", "estimate of π = 3."),
    ("a random walk of 100 steps", "distance expected (square root of the steps) = 10\n"),
    ("Flip a coin 100 times and plot it", "share of heads = "),
    ("Plot x^2 and 2x+1 from -3 to 3", "largest value of 2*x+1 = 7\n"),
    ("Plot 1/x between -1 and 1", "largest value of 1/x = 400\n"),
    ("Draw a histogram of 1, 2, 2, 3, 3, 3", "median = 2.5\n"),
]


@pytest.mark.parametrize(("prompt", "line"), SIMULATED)
def test_simulations_and_functions(client, monkeypatch, prompt, line):
    monkeypatch.setattr(task_module, "has", lambda library: False)  # characters are drawn faster
    logs = logs_of(client.ask(prompt, tools=TOOL))
    assert line in logs
    assert "|####" in logs


def test_every_kind_of_figure_is_drawn(client):
    prompts = [*(prompt for prompt, _ in SIMULATED), "Plot 3, 1, 4", f"Plot\n```csv\n{CSV}```"]
    prompts.append("Plot\n```csv\na,b\n1,2\n3,4\n```")
    codes = [tasks.write(prompt).codes[-1] for prompt in prompts]
    prompt = "```python\n" + "\n".join(codes) + "```"
    response = client.ask(prompt, tools=TOOL)
    assert logs_of(response).count("![fig-") == len(prompts)
    assert "Error" not in logs_of(response)


@pytest.mark.parametrize(
    "prompt", [f"Sales by region\n```csv\n{CSV}```", f"Sales by region\n\n{CSV}"]
)
def test_a_table(client, prompt):
    logs = logs_of(client.ask(prompt, tools=TOOL))
    assert "rows = 3\n" in logs
    assert "sales: mean = 15.25\n" in logs
    assert "sales of north = 10.5\nsales of south = 20\n" in logs


def test_a_table_with_quotes_backslashes_and_unicode(client):
    csv = 'name,"a ""b"""\n"x\\n, y",1\n"""""""",2\n你好,3\n'
    response = client.ask(f"Describe\n```csv\n{csv}```", tools=TOOL)
    assert 'a "b": sum = 6\n' in logs_of(response)
    assert "different values = 3" in logs_of(response)


def test_data_of_an_earlier_turn(client):
    first = client.ask("Here are numbers: 3, 1, 4", tools=TOOL)
    assert not runs_of(first)
    later = client.ask(
        "What is the mean of these numbers?", tools=TOOL, previous_response_id=first["id"]
    )
    assert "mean = 2.666666667" in logs_of(later)


def test_code_of_the_prompt_runs_as_it_stands(client):
    code = "import math\nprint('hello')\nmath.factorial(5)\n"
    response = client.ask(f"run\n```python\n{code}```", tools=TOOL)
    (run,) = runs_of(response)
    assert run["code"] == code
    assert run["outputs"] == [{"type": "logs", "logs": "```\nhello\n120\n```"}]
    assert "```\nhello\n120\n```" in text_of(response)


def test_two_blocks_are_two_runs_and_keep_nothing(client):
    prompt = "```python\nx = 1\n```\n```python\nprint(x)\n```"
    response = client.ask(prompt, tools=TOOL)
    assert len(runs_of(response)) == 2
    assert "NameError: name 'x' is not defined" in logs_of(response)


def test_an_exception_leaves_the_item_completed(client):
    response = client.ask("```python\nprint('before')\n1/0\n```", tools=TOOL)
    (run,) = runs_of(response)
    assert run["status"] == "completed"
    assert run["outputs"][0]["logs"] == (
        "```\nbefore\n```\n\n```\nTraceback (most recent call last):\n"
        '  File "<cell>", line 2, in <module>\n    1/0\n    ~^~\n'
        "ZeroDivisionError: division by zero\n```"
    )
    assert "ended with an error" in text_of(response)


def test_the_added_item_has_no_code_yet(client):
    frames = client.frames("3*4", tools=TOOL)
    (added,) = [
        frame.payload["item"]
        for frame in frames
        if frame.event == "response.output_item.added"
        and frame.payload["item"]["type"] == "code_interpreter_call"
    ]
    assert (added["code"], added["outputs"], added["status"]) == ("", [], "in_progress")
    assert added["container_id"] == added["id"]
    phases = [f.event.rpartition(".")[2] for f in frames if "code_interpreter_call." in f.event]
    assert phases == ["in_progress", "interpreting", "completed"]


def test_a_dead_link_on_request(client):
    response = client.ask("Plot x^2\ndemo: dead link", tools=TOOL)
    assert "](demo_chart.png)" in text_of(response)
    assert "![fig-001](http://" in logs_of(response)


def test_without_numpy_and_matplotlib(client, monkeypatch):
    for module in (tasks.numbers, task_module):
        monkeypatch.setattr(module, "has", lambda library: False)
    response = client.ask("Mean of 1, 2, 6? Plot them", tools=TOOL)
    logs = logs_of(response)
    assert "numpy" not in runs_of(response)[0]["code"]
    assert "mean = 3\n" in logs
    assert "matplotlib is not installed here: a sketch in characters instead" in logs
    assert "           6 |" + "#" * 40 in logs
    assert "![" not in logs


def test_the_code_reads_as_if_typed():
    code = "def f():\n    return 1\n\n\nimport numpy as np\nimport csv\n\n\n\n\nvalues = f()"
    assert imports_first(code) == (
        "import csv\n\nimport numpy as np\n\n\ndef f():\n    return 1\n\n\nvalues = f()\n"
    )
    for prompt, _ in SIMULATED:
        for written in tasks.write(prompt).codes:
            lines = written.splitlines()
            imports = [n for n, line in enumerate(lines) if line.startswith(("import", "from"))]
            assert imports
            assert all(not line or n in imports for n, line in enumerate(lines[: imports[-1]]))


@pytest.mark.parametrize(
    ("formula", "python"),
    [
        ("x^2", "x**2"),
        ("2x + 3sin(x)", "2*x + 3*sin(x)"),
        ("ln(x)/log10(x)", "log(x)/log10(x)"),
        ("π x²", None),
        ("2π", "2*pi"),
        ("1e5", "1e5"),
        ("1,000 × 2", "1000 * 2"),
        ("the population", None),
        ("__import__('os')", None),
        ("x.real", None),
        ("[x]", None),
        ("x if x else 1", None),
        ("'a'*3", None),
        ("(lambda: 1)()", None),
        ("", None),
    ],
)
def test_formulas(formula, python):
    assert to_python(formula, ("x",)) == python


def test_statistics_are_told_in_the_order_asked():
    assert wanted_statistics("the median, then the mean") == ("median", "mean")


@pytest.mark.parametrize("text", ["", "a, b\nc, d", "1", "first 10 people", "plot", "x" * 5000])
def test_what_is_no_task(text):
    assert tasks.write(text) is None

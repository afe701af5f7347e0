"""Frames of the notebook: rebuilt before every run, or answered with code for the notebook.

The prompts are those that the product writes.
"""

import csv
import io

import pytest

from qwen_magic.demo.intents.output_tables import MAX_ROWS, read_tables, without_tables
from qwen_magic.demo.tables.asking import take_apart
from qwen_magic.demo.tables.frames import read_frames, without_frames
from qwen_magic.demo.tables.operations import operations, quoted
from qwen_magic.demo.tasks.frame_figures import figure

pd = pytest.importorskip("pandas")

from qwen_magic.context.dataframe.describing import describe_data  # noqa: E402 (it needs pandas)

TOOL = [{"type": "code_interpreter"}]


@pytest.fixture(scope="module")
def penguins():
    return pd.DataFrame(
        {
            "species": pd.Categorical(["Adelie", "Adelie", "Gentoo", "Gentoo"]),
            "body_mass_g": [3750.25, 3800.5, 5000.0, None],
            "year": [2007, 2007, 2008, 2009],
            "day": pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-02", "2024-01-05"]),
            "it's: odd | name": ["a|b", 'c"d', "e\nf", None],
        }
    )


@pytest.fixture(scope="module")
def rows(penguins):
    return describe_data("penguins", penguins, rows="all").text


@pytest.fixture(scope="module")
def schema(penguins):
    return describe_data("penguins", penguins).text


def runs_of(response):
    return [item for item in response["output"] if item["type"] == "code_interpreter_call"]


def logs_of(response):
    return "\n".join(run["outputs"][0]["logs"] for run in runs_of(response))


def text_of(response):
    return response["output"][-1]["content"][0]["text"]


def markdown_rows(text):
    """The cells of every table's lines, without the marks."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_what_is_read_out_of_a_prompt(rows, schema):
    (rebuilt,) = read_frames(f"Question\n\n{rows}")
    (described,) = read_frames(f"Question\n\n{schema}")
    for frame in (rebuilt, described):
        assert (frame.name, frame.variable) == ("penguins", "penguins")
        assert frame.kind == "pandas DataFrame, 4 rows, 5 columns"
        assert [c.label for c in frame.columns][-1] == "it's: odd | name"
        assert [c.is_number for c in frame.columns] == [False, True, True, False, False]
        assert frame.columns[0].dtype == "category"
    assert not described.preamble
    assert rebuilt.preamble.startswith("# rebuilds penguins: ")
    for told in (rows, schema):
        assert without_frames(f"Question\n\n{told}\n\nMore") == "Question\n\nMore"


def test_levels_of_an_index_and_odd_names(penguins):
    text = describe_data("a.b", penguins.set_index("species")[["year"]], rows="all").text
    (frame,) = read_frames(text)
    assert (frame.name, frame.variable) == ("a.b", "a_b")
    assert [(c.label, c.level) for c in frame.columns] == [("species", True), ("year", False)]


def test_what_is_no_table_stays_in_the_question():
    text = describe_data("numbers", [3, 1, 4]).text
    assert read_frames(text) == ()
    assert without_frames(text) == text


def test_a_block_that_cannot_be_read_has_no_columns():
    (frame,) = read_frames("```python\n# rebuilds df: 1 rows, 1 columns\nCOLUMNS = [open('x')\n```")
    assert frame.columns == ()


QUESTIONS = {
    "mean of body_mass_g": "penguins[\"body_mass_g\"].mean()",
    "Average of `BODY MASS G`?": "penguins[\"body_mass_g\"].mean()",
    "sum the years": "penguins[\"year\"].sum()",
    "largest body-mass-g": "penguins[\"body_mass_g\"].max()",
    "std of 'year'": "penguins[\"year\"].std()",
    "how many different species": "penguins[\"species\"].nunique()",
    "the median": "penguins[[\"body_mass_g\", \"year\"]].median()",
    "mean body_mass_g by species":
        "penguins.groupby(\"species\", observed=True)[\"body_mass_g\"].mean()",
    "mean and max of year for each species":
        "penguins.groupby(\"species\", observed=True)[\"year\"].agg([\"mean\", \"max\"])",
    "mean body_mass_g by species and year":
        "penguins.groupby([\"species\", \"year\"], observed=True)[\"body_mass_g\"].mean()",
    "which species has the highest year":
        "penguins.groupby(\"species\", observed=True)[\"year\"].max()",
    "sum by day": "penguins.groupby(\"day\")[[\"body_mass_g\", \"year\"]].sum()",
    "How many rows are there?": "len(penguins)",
    "how many by year": "penguins.groupby(\"year\").size()",
    "how many of each species": "penguins.groupby(\"species\", observed=True).size()",
    "count of species": "penguins[\"species\"].value_counts()",
    "Summarise it": "penguins.describe(include=\"all\")",
    "describe year": "penguins[[\"year\"]].describe()",
    "correlation of body_mass_g and year": "penguins[\"body_mass_g\"].corr(penguins[\"year\"])",
    "correlations": "penguins[[\"body_mass_g\", \"year\"]].corr()",
    "missing values?": "penguins.isna().sum()",
    "show the first 3 rows": "penguins.head(3)",
    "hash": "str(pd.util.hash_pandas_object(penguins).sum())",
}  # fmt: skip


@pytest.mark.parametrize(("question", "code"), QUESTIONS.items())
def test_what_a_question_asks_to_compute(schema, question, code):
    found = operations(take_apart(question, read_frames(schema)))
    assert [each.code for each in found] == [code]


@pytest.mark.parametrize("question", ["hello", "What do you think of the species?", "year"])
def test_what_is_not_recognised(schema, question):
    asked = take_apart(question, read_frames(schema))
    assert operations(asked) == ()
    assert figure(asked) is None


@pytest.mark.parametrize("flavour", ["rows", "schema"])
def test_every_such_code_runs(flavour, request, penguins):
    """Over the real frame, as it would be in the notebook."""
    frames = read_frames(request.getfixturevalue(flavour))
    for question in QUESTIONS:
        for each in operations(take_apart(question, frames)):
            assert eval(each.code, {"pd": pd, "penguins": penguins}) is not None


FIGURES = {
    "plot body_mass_g": 'ax.plot(penguins["body_mass_g"].to_numpy()',
    "a chart of species": 'penguins["species"].value_counts()',
    "histogram of year": 'ax.hist(penguins["year"].dropna()',
    "plot the distribution": 'ax.hist(penguins["body_mass_g"].dropna()',
    "plot body_mass_g against year": 'ax.scatter(penguins["year"], penguins["body_mass_g"]',
    "scatter year and body_mass_g": 'ax.scatter(penguins["year"], penguins["body_mass_g"]',
    "line plot of year over day": 'ax.plot(ordered["day"], ordered["year"]',
    "chart of year and body_mass_g over day": "ax.legend()",
    "bar chart of body_mass_g by species": "ax.bar([str(label) for label in heights.index]",
    "plot how many by species": ".size()",
}


@pytest.mark.parametrize(("question", "code"), FIGURES.items())
def test_what_figure_a_question_asks_for(schema, question, code):
    assert code in figure(take_apart(question, read_frames(schema))).draw


def test_every_such_figure_is_drawn(client, rows):
    frames = read_frames(rows)
    codes = [figure(take_apart(question, frames)).code for question in FIGURES]
    program = "\n".join(codes)
    response = client.ask(f"```python\n{program}\n```\n\n{rows}", tools=TOOL)
    assert logs_of(response).count("![fig-") == len(FIGURES)
    assert "Error" not in logs_of(response)


def test_a_grouped_mean_is_a_table_of_the_real_output(client, penguins, rows):
    response = client.ask(f"Mean body_mass_g by species, and how many rows?\n\n{rows}", tools=TOOL)
    (run,) = runs_of(response)
    (preamble,) = (frame.preamble for frame in read_frames(rows))
    assert run["code"].startswith(preamble.rstrip())
    means = penguins.groupby("species", observed=True)["body_mass_g"].mean()
    table = markdown_rows(text_of(response))
    assert table[0] == ["species", "body_mass_g"]
    assert [(name, float(mean)) for name, mean in table[1:]] == list(means.items())
    assert "the **number of rows** is **4**" in text_of(response)


def test_the_hash_is_that_of_the_frame(client, penguins, rows):
    wanted = pd.util.hash_pandas_object(penguins).sum()
    assert f"hash of penguins = {wanted}\n" in logs_of(client.ask(f"hash\n\n{rows}", tools=TOOL))


def test_text_that_could_break_a_table(client, rows):
    response = client.ask(f"the first 3 rows\n\n{rows}", tools=TOOL)
    assert "a\\|b" in text_of(response)
    assert len(markdown_rows(text_of(response))) == 4


def test_numbers_and_a_figure_are_two_runs_with_the_same_preamble(client, rows):
    response = client.ask(f"Plot body_mass_g by species\nand the mean year\n\n{rows}", tools=TOOL)
    starts = {run["code"][:200] for run in runs_of(response)}
    assert len(runs_of(response)) == 2
    assert len(starts) == 1
    assert "![fig-001](" in logs_of(response)


def test_the_prompts_own_code_runs_with_the_preamble_before_it(client, rows):
    prompt = "```python\nprint(penguins.shape)\n```\n```python\nprint(penguins.year.sum())\n```"
    response = client.ask(f"{prompt}\n\n{rows}", tools=TOOL)
    assert [run["outputs"][0]["logs"] for run in runs_of(response)] == [
        "```\n(4, 5)\n```",
        "```\n8031\n```",
    ]


def test_a_frame_of_an_earlier_turn(client, rows):
    first = client.ask(f"How many rows?\n\n{rows}", tools=TOOL)
    later = {"previous_response_id": first["id"], "tools": TOOL}
    assert "mean of year = 2,007.75\n" in logs_of(client.ask("And the mean year?", **later))
    assert "result = 12\n" in logs_of(client.ask("What is 3*4?", **later))
    assert "(4, 5)" in logs_of(client.ask("```python\npenguins.shape\n```", **later))
    assert not runs_of(client.ask("Thank you", **later))


def test_two_frames_are_both_there(client, penguins, rows):
    other = describe_data("other", pd.DataFrame({"price": [1, 2]}), rows="all").text
    response = client.ask(f"sum of price\n\n{rows}\n\n{other}", tools=TOOL)
    assert "sum of price = 3\n" in logs_of(response)
    assert "# rebuilds penguins" in runs_of(response)[0]["code"]


def test_a_question_that_is_not_understood_gets_the_usual(client, rows, schema):
    response = client.ask(f"Tell me a story of penguins\n\n{rows}", tools=TOOL)
    assert "did not understand" in text_of(response)
    assert "summary of penguins:\n" in logs_of(response)
    text = client.say(f"Tell me a story of penguins\n\n{schema}")
    assert "did not understand" in text
    assert '```python\npenguins.describe(include="all")\n```' in text
    text = client.say(f"A story by species\n\n{schema}")
    assert 'groupby("species", observed=True)[["body_mass_g", "year"]].mean()' in text


def test_a_restriction_is_said_not_to_be_understood(client, rows, schema):
    question = "mean body_mass_g where year > 2007"
    assert "some of the rows only" in text_of(client.ask(f"{question}\n\n{rows}", tools=TOOL))
    assert "some of the rows only" in client.say(f"{question}\n\n{schema}")


@pytest.mark.parametrize("tools", [[], TOOL])
def test_without_rows_the_code_is_for_the_notebook(client, schema, tools):
    response = client.ask(f"mean body_mass_g by species\n\n{schema}", tools=tools)
    assert not runs_of(response)
    code = 'penguins.groupby("species", observed=True)["body_mass_g"].mean()'
    assert f"```python\n{code}\n```" in text_of(response)
    assert "Offline demo" in text_of(response)


def test_without_the_tool_rows_are_not_run(client, rows):
    response = client.ask(f"median of year\n\n{rows}")
    assert not runs_of(response)
    assert "-t code_interpreter" in text_of(response)
    assert '```python\npenguins["year"].median()\n```' in text_of(response)


def test_several_results_are_displayed_and_the_figure_shown(client, schema):
    text = client.say(f"hash and plot year, how many rows?\n\n{schema}")
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "<answer>", "exec")
    assert code.startswith("import pandas as pd\n\ndisplay(len(penguins))\n")
    assert code.endswith("plt.show()\n")


def test_a_series_becomes_a_frame_first(client, penguins):
    text = client.say(f"mean year\n\n{describe_data('s', penguins['year']).text}")
    assert '```python\ntable = s.to_frame()\ntable["year"].mean()\n```' in text


def test_other_kinds_of_tables_become_pandas_first(client, schema):
    foreign = schema.replace("(pandas DataFrame", "(polars DataFrame")
    text = client.say(f"how many rows\n\n{foreign}")
    assert "```python\ntable = penguins.to_pandas()\nlen(table)\n```" in text


def test_a_sample_is_not_taken_for_the_whole(client, schema):
    """Only five rows stand in a description: nothing is computed of them."""
    response = client.ask(f"Tell me of sums\n\n{schema}", tools=TOOL)
    assert not runs_of(response)


def test_without_pandas_the_run_fails_with_its_traceback(client):
    block = "```python\n# rebuilds df: 1 rows, 1 columns\nimport no_such_pandas as pd\n```"
    response = client.ask(f"how many rows\n\n{block}", tools=TOOL)
    assert "ModuleNotFoundError: No module named 'no_such_pandas'" in logs_of(response)
    assert "ended with an error: `ModuleNotFoundError" in text_of(response)


@pytest.mark.parametrize("label", ["a", 'a"b', "a\\b", "a\nb", "é", 0, None, ("a", 1), 1.5, True])
def test_labels_are_written_as_python(label):
    assert eval(quoted(label)) == label


def test_long_tables_are_cut_and_said_so():
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([["n"], *([n] for n in range(MAX_ROWS + 5))])
    stdout = f"a = 1\nall:\n{written.getvalue()}\nb = 2\n"
    (table,) = read_tables(stdout, ["all", "none"])
    assert table.endswith(
        f"| {MAX_ROWS - 1} |\n\nand 5 more rows, which stand in the run's output."
    )
    assert without_tables(stdout, ["all"]) == "a = 1\n\nb = 2\n"

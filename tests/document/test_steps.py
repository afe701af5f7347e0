"""The words of every kind of step, while it runs, when it is done, and when it was cut."""

import pytest

from qwen_magic.document.blocks import (
    Code,
    Extract,
    Figure,
    Label,
    Output,
    Pending,
    SourceGroups,
)
from qwen_magic.document.links import number_sources
from qwen_magic.document.steps import FigureState, StepContext, make_step
from qwen_magic.protocol.entry import Entry
from qwen_magic.protocol.items import parse_item


def entry(kind, *, done=True, phase="", took=1.2, **fields):
    made = Entry("0", parse_item({"type": kind, "id": "x", **fields}), 10.0, added=True)
    if phase:
        made.progress(phase)
    if done:
        made.finish("completed", 10.0 + took)
    return made


def step(kind, context=StepContext(), **fields):  # noqa: B008 - it is frozen
    return make_step(entry(kind, **fields), context)


def words(step):
    parts = [part for part in (step.verb, step.what, *step.facts) if part]
    return " · ".join(parts).replace("\u00a0", " ")


SEARCH = {
    "action": {
        "type": "search",
        "queries": ["first", "second"],
        "sources": [{"url": "https://a.org/x"}, {"url": "https://b.org/y"}],
    }
}
PAGE = {"goal": "the date", "urls": ["https://www.a.org/x"], "output": "It was in 1848."}
RUN = {
    "code": "import math\nx = math.pi  # pi\nprint(x)\n",
    "outputs": [{"logs": "```\n3.14\n```"}],
}
TRACEBACK = "```\nTraceback (most recent call last):\nKeyError: 'a'\n```"


@pytest.mark.parametrize(
    ("kind", "fields", "live", "done"),
    [
        ("reasoning", {}, "Thinking", "Thought for 1 s"),
        ("web_search_call", SEARCH, "Searching the web", "Searched the web · “first” and 1 more"),
        (
            "web_search_call",
            {"action": {"type": "open_page", "url": "https://a.org/x"}},
            "Opening a page",
            "Opened a page · a.org",
        ),
        ("web_extractor_call", PAGE, "Reading a page", "Read a page · a.org · the date"),
        (
            "web_extractor_call",
            {"urls": ["https://a.org/x", "https://b.org"]},
            "Reading 2 pages",
            "Read 2 pages · a.org, b.org",
        ),
        ("code_interpreter_call", RUN, "Writing Python", "Ran Python · x = math.pi → 3.14"),
        (
            "function_call",
            {"name": "rows", "arguments": '{"where": "a = 1"}'},
            "Asking for a function",
            'Asked for a function · rows(where="a = 1")',
        ),
        (
            "custom_tool_call",
            {"name": "sql", "input": "select 1"},
            "Asking for a tool",
            "Asked for a tool · sql(select 1)",
        ),
        (
            "mcp_call",
            {"name": "map", "server_label": "amap", "arguments": "{}", "output": "[1]"},
            "Calling amap",
            "Called amap · map()",
        ),
        (
            "mcp_list_tools",
            {"server_label": "amap", "tools": [{"name": "map"}]},
            "Asking amap for its tools",
            "Asked amap for its tools · 1 tool",
        ),
        (
            "file_search_call",
            {"queries": ["q"], "results": [{"filename": "a.pdf", "text": "t", "score": 0.9}]},
            "Searching files",
            "Searched files · “q” · 1 passage",
        ),
        (
            "web_search_image_call",
            {
                "arguments": '{"queries": ["cat"]}',
                "output": '[{"title": "A cat", "url": "https://a.org/cat.jpg", "index": 1}]',
            },
            "Searching images",
            "Searched images · “cat” · 1 image",
        ),
        ("image_search_call", {}, "Searching by image", "Searched by image"),
        ("shell_call", {"anything": 1}, "Using a tool", "Used a tool · shell"),
    ],
)
def test_words(kind, fields, live, done):
    assert words(step(kind, done=False, **fields)).startswith(live)
    assert step(kind, done=False, **fields).state == "live"
    finished = step(kind, **fields)
    assert words(finished).removesuffix(" · 1.2 s") == done
    assert finished.state == "done"


def test_a_search_shows_queries_and_numbered_sources():
    made = entry("web_search_call", **SEARCH)
    sources = number_sources([made.item])
    shown = make_step(made, StepContext(sources))
    assert words(shown).endswith("2 sources · 1.2 s")
    assert shown.blocks[-1] == SourceGroups(sources)


def test_a_page_opens_to_goal_address_and_extract():
    labels = [block.text for block in step("web_extractor_call", **PAGE).blocks[::2]]
    assert [label.replace("\u00a0", " ") for label in labels] == [
        "Goal",
        "Page",
        "Extract · 15 characters",
    ]
    assert step("web_extractor_call", **PAGE).blocks[-1] == Extract("It was in 1848.")


def test_a_run_opens_to_code_and_output():
    assert step("code_interpreter_call", **RUN).blocks == (
        Code(RUN["code"]),
        Label("Output"),
        Output("3.14"),
    )


def test_a_run_without_output_claims_nothing():
    assert step("code_interpreter_call", code="x = 1").blocks[-1] == Pending("No output was sent")


def test_a_failed_run_is_known_by_its_traceback():
    failed = step("code_interpreter_call", code="d['a']", outputs=[{"logs": TRACEBACK}])
    assert (failed.verb, failed.what, failed.state) == ("Python failed", "KeyError: 'a'", "bad")


ROWS = """\
# rebuilds df: 1 row, 1 column
import csv
def frame(data, columns, layout, arrange):
    return data
DATA = \"\"\"\\
df = 3
\"\"\"
LAYOUT = {"rows": 1}
df = frame(DATA, COLUMNS, LAYOUT, plain)
"""


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (ROWS + 'print(df["a"].mean())', 'print(df["a"].mean())'),
        (ROWS + "\n\nimport numpy\n\n# the mean\ndf.mean()", "df.mean()"),
        (ROWS + "def show(name):\n    print(name)\n\n\nshow(df.a)", "show(df.a)"),
        (ROWS + "def show(name):\n    print(name)", "def show(name):"),
        (ROWS + "\n" + ROWS.replace("df", "b") + "df.join(b)", "df.join(b)"),
        (ROWS, "rebuilds df"),
        (ROWS + ROWS.replace("df", "b"), "rebuilds b"),
        (ROWS[: ROWS.index("LAYOUT")], "rebuilds df"),
        (ROWS[:60], "rebuilds df"),
        ("# rebuilds df: by hand\ndf = pd.read_csv(x)\ndf.sum()", "df.sum()"),
        ("x = 1\n" + ROWS, "x = 1"),
    ],
)
def test_a_run_that_rebuilds_a_frame_is_told_by_what_comes_after(code, what):
    assert step("code_interpreter_call", code=code).what == what


def test_the_rows_of_the_prompt_are_skipped():
    pd = pytest.importorskip("pandas")
    from qwen_magic.context.dataframe.row_block import write_rows

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "df = 1"], "c": [1.5, None]}, index=[3, 4])
    block = write_rows("df", frame).text.removeprefix("```python\n").removesuffix("```")
    outputs = [{"logs": "```\na = 1.5\n```"}]
    ran = step("code_interpreter_call", code=f"{block}\nshow(df.a.mean())", outputs=outputs)
    assert ran.what == "show(df.a.mean()) → a = 1.5"


def test_a_figure_is_a_link_until_its_picture_comes():
    fields = {"code": "plot()", "outputs": [{"logs": "![fig](http://h/a.png)"}]}
    assert step("code_interpreter_call", **fields).figures == (Figure("http://h/a.png", "fig"),)
    known = StepContext(figures={"http://h/a.png": FigureState("data:image/png;base64,AA==")})
    (figure,) = step("code_interpreter_call", known, **fields).figures
    assert figure.data == "data:image/png;base64,AA=="


def test_a_running_call_shows_running_when_the_sandbox_has_it():
    assert step("code_interpreter_call", done=False, phase="interpreting", **RUN).verb == (
        "Running Python"
    )


@pytest.mark.parametrize("kind", ["web_search_call", "code_interpreter_call", "mcp_call"])
def test_a_step_that_was_cut_claims_nothing(kind):
    cut = step(kind, StepContext(cut="stopped"), done=False)
    assert cut.verb.split()[0] in ("Searching", "Running", "Calling")
    assert cut.what.endswith("stopped")
    assert cut.state == "done"
    assert not any("comes" in getattr(block, "text", "") for block in cut.blocks)


def test_a_failed_call_is_red():
    failed = step("web_search_call", status="failed")
    assert (failed.verb, failed.state) == ("Search failed", "bad")
    failed = step("mcp_call", server_label="amap", error="no such tool")
    assert (failed.verb, failed.state) == ("amap failed", "bad")


def test_arguments_that_are_no_json_stay_as_written():
    assert words(step("function_call", name="f", arguments="{bad", took=0)) == (
        "Asked for a function · f({bad)"
    )


def test_a_thought_of_no_duration_names_none():
    assert step("reasoning", took=0).verb == "Thought"
    assert step("reasoning", took=72).verb.replace("\u00a0", " ") == "Thought for 1 min 12 s"

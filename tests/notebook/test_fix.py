"""`%qwen_fix` and `%qwen_code` in a real kernel, against the demo server."""

import json
import os
import re

import pytest
from demo_server import demo_server
from real_kernel import PYTHONS, Kernel, request_in

pytestmark = pytest.mark.kernel

KEY = "sk-canary0123456789abcdef"


@pytest.fixture(scope="module")
def server():
    with demo_server() as demo:
        yield demo


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("fix")
    started = Kernel(
        PYTHONS["this"],
        {
            **{n: v for n, v in os.environ.items() if not n.startswith("DASHSCOPE")},
            "IPYTHONDIR": str(folder / "ipython"),
            "QWEN_MAGIC_HOME": str(folder / "home"),
            "QWEN_MAGIC_ENDPOINT": server.base_url,
            "SOME_API_TOKEN": KEY,
        },
    )
    yield started
    started.close()


@pytest.fixture
def fresh(kernel, server):
    """The kernel with the extension loaded anew, and no exception so far."""
    kernel.ok("import sys\nsys.last_type = sys.last_value = sys.last_traceback = None")
    kernel.ok("%reload_ext qwen_magic\n%qwen_new")
    return kernel


def fail(kernel, code):
    ran = kernel.run(code)
    assert ran.status == "error"
    return ran


def last_request(server):
    return [r for r in server.requests if r.path.endswith("/responses")][-1]


def test_there_is_nothing_to_fix(fresh):
    ran = fail(fresh, "%qwen_fix")
    assert "There is no exception to fix" in "".join(ran.traceback)
    ran = fail(fresh, "%qwen_fix")
    assert "qwen_magic's own" in "".join(ran.traceback)


def dry_run(kernel, code="%qwen_fix --dry-run"):
    """The forms that a dry run shows."""
    return kernel.ok(code).displays[0][1]


def test_a_dry_run_shows_what_a_real_one_sends(fresh, server):
    fresh.ok(f"import os\napi_key = '{KEY}'\nprices = dict(apple=3)")
    fail(fresh, "fruit = 'pear'\ntotal = prices[fruit], api_key")
    before = len(server.requests)
    dry = dry_run(fresh, "%qwen_fix --dry-run use {fruit}")
    assert len(server.requests) == before
    number = re.search(r"exception .*cell (\d+), the traceback, the values of", dry["text/plain"])[
        1
    ]
    shown = request_in(dry)
    ran = fresh.ok("%qwen_fix use {fruit}")
    sent = last_request(server).body
    assert sent["input"] == shown["input"]
    assert (
        f"Sent with it: cell {number}, the traceback, the values of prices, fruit, api_key"
        in ran.stdout
    )
    assert ran.final["text/plain"], "it is answered"
    for part in (
        "use {fruit}",
        ">>   2  total = prices[fruit]",
        "KeyError: 'pear'",
        'prices: dict = {"apple": 3}',
        "fruit: str = pear",
        "api_key: str = [masked]",
    ):
        assert part in sent["input"]
    for place in (json.dumps(sent), str(dry), str(ran)):
        assert KEY not in place
        assert KEY[3:] not in place


def test_the_turn_is_named_by_what_was_typed(fresh):
    fail(fresh, "1 / 0")
    fresh.ok("%qwen_fix please")
    assert "%qwen_fix please" in fresh.ok("%qwen_history").displays[0][1]["text/plain"]


def test_failures_of_our_own_are_no_matter(fresh, server):
    fail(fresh, "x = 0\n1 / x")
    fail(fresh, "%qwen --after 99 hello")
    fail(fresh, "%qwen_fix --modle x")
    assert "ZeroDivisionError" in dry_run(fresh)["text/plain"]
    server.set(error="429")
    try:
        fail(fresh, "%qwen_fix")
    finally:
        server.set(error="")
    assert "x: int = 0" in dry_run(fresh)["text/plain"]


def test_unloading_takes_all_of_it_back(fresh):
    fresh.ok("%unload_ext qwen_magic")
    ran = fresh.ok(
        "shell = get_ipython()\n"
        "print([f for f in shell.events.callbacks['post_run_cell'] if 'qwen' in f.__module__])\n"
        "print([name for name in shell.magics_manager.magics['line'] if 'qwen' in name])"
    )
    assert ran.stdout == "[]\n[]\n"
    assert fresh.run("%qwen_fix").stderr.startswith("UsageError: Line magic function")


def test_inside_a_handler_it_is_the_one_being_handled(fresh):
    fail(fresh, "1 / 0")
    code = "try:\n    int('x')\nexcept ValueError:\n    %qwen_fix --dry-run"
    assert "ValueError: invalid literal" in dry_run(fresh, code)["text/plain"]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("x = (\ny = 2", ">>   1  x = ("),
        ("import asyncio\nawait asyncio.sleep(0)\n{}['a']", ">>   3  {}['a']"),
        ("%time pass\nx = 1\n1 / 0", "     1  %time pass\n     2  x = 1\n>>   3  1 / 0"),
        ("!echo hello\n1 / 0", "     1  !echo hello"),
    ],
)
def test_cells_of_all_kinds(fresh, code, shown):
    fail(fresh, code)
    shown_text = request_in(dry_run(fresh))["input"]
    assert shown in shown_text
    assert "IPython/core" not in shown_text
    assert "get_ipython" not in shown_text


def test_awaited_and_bound(fresh):
    fail(fresh, "1 / 0")
    ran = fresh.ok("answer = await __qwen_fix__('-o bound')\nprint(bound is answer, answer.status)")
    assert "True completed" in ran.stdout


def test_code_into_the_next_cell(fresh, server):
    ran = fail(fresh, "%qwen_code")
    assert "has no answer yet" in "".join(ran.traceback)
    fresh.ok("%qwen hello")
    ran = fail(fresh, "%qwen_code")
    assert "no code in that answer" in "".join(ran.traceback)
    fresh.ok("%qwen write at length")
    ran = fresh.ok(
        "%qwen_code -1\nprint(repr(get_ipython().payload_manager.read_payload()))\n"
        "get_ipython().payload_manager.clear_payload()"
    )
    (payload,) = eval(ran.stdout)
    assert payload["source"] == "set_next_input"
    assert payload["replace"] is False
    assert payload["text"]
    ran = fail(fresh, "%qwen_code -n 99")
    assert "no number 99" in "".join(ran.traceback)


# What else goes along of the notebook, and what comes back for one of its cells


def next_input(kernel, code, *, stdin=True):
    """What the kernel puts into the next cell when it runs `code`. `stdin`: somebody is there."""
    code += (
        "\nprint(repr(get_ipython().payload_manager.read_payload()))\n"
        "get_ipython().payload_manager.clear_payload()"
    )
    ran = kernel.collect(kernel.send(code, stdin=stdin))
    assert ran.status == "ok", ran.traceback
    payload = eval(ran.stdout.strip().split("\n")[-1])
    return [(each["text"], each["replace"]) for each in payload], ran


def test_a_session_without_a_page_goes_along_as_it_is_remembered(fresh, server):
    fresh.ok("hidden_token = 'a canary of ours'")
    fresh.ok(f"print('{KEY}', hidden_token)\n%config QwenMagics.masked_columns = ['salary']")
    fresh.ok("import pandas as pd\npd.DataFrame({'name': ['Ann'], 'salary': [98765]})")
    fail(fresh, f"int('{KEY}')")
    dry = dry_run(fresh, "%%qwen -n last:4 --dry-run\nwhat is here?")
    assert re.search(r"notebook last:4 .* as this session remembers it", dry["text/plain"])
    shown = request_in(dry)["input"]
    ran = fresh.ok("%%qwen -n last:5\nwhat is here?")
    sent = last_request(server).body["input"]
    assert shown.removesuffix("```") in sent, "the dry run is one cell more"
    assert re.search(r"notebook last:5: 5 of \d+.cells, .*, about \d+.tokens", str(ran.final))
    for part in ("Cell [", "hidden_token", "import pandas", "may show salary", "ValueError"):
        assert part in sent
    for secret in (KEY, KEY[3:], "a canary of ours", "98765"):
        assert secret not in json.dumps(last_request(server).body)
    fresh.ok("%config QwenMagics.masked_columns = []")
    fresh.ok("%%time\n%%qwen -n errors\nwhat failed?")
    assert "pandas" not in last_request(server).body["input"]
    ran = fail(fresh, "%%qwen -n cells:9000\nwhat is it?")
    assert "No cell has the number 9000" in "".join(ran.traceback)


def test_the_size_of_the_notebook_is_confirmed(fresh):
    fresh.ok("%config QwenMagics.confirm_tokens = 50\nprint('word ' * 300)")
    ran = fail(fresh, "%%qwen -n last\nHello")
    assert "This would send about" in "".join(ran.traceback)
    fresh.ok("%config QwenMagics.confirm_tokens = 20_000")


def test_a_changed_cell_goes_into_the_next_one_where_no_page_is(fresh):
    cell = 'planets.groupby("kind")["density"].mean()'
    fail(fresh, cell)
    sources, _ = next_input(fresh, "%qwen_edit sort it, the densest first")
    assert [replace for _, replace in sources] == [False]
    assert ".sort_values(ascending=False)" in sources[0][0]
    fail(fresh, cell)
    sources, ran = next_input(fresh, "%qwen_edit sort it, the densest first", stdin=False)
    assert not sources, "nobody is there to take it"
    assert ".sort_values(ascending=False)" in ran.displays[-1][1]["text/html"]
    fresh.ok("x = 1")
    sources, ran = next_input(fresh, "%qwen_edit make it short")
    assert not sources
    assert "no code" in ran.stdout
    fail(fresh, 'ringed = {}\nprint("Worlds with rings: " + len(ringed))')
    dry = dry_run(fresh, "%qwen_edit --dry-run use an f-string")
    assert "len(ringed)" in request_in(dry)["input"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "What is to become"),
        ("this", "What is to become"),
        ("cells:1-2 x", "One cell"),
        ("cells:x y", "takes outline"),
        ("this x", "Which cell this is"),
        ("cells:9000 x", "No cell has the number 9000"),
        ("shorter", "looks like a secret"),
    ],
)
def test_cells_that_cannot_be_edited(fresh, server, line, words):
    fresh.ok("password = 'hunter2 secret'")
    before = len(server.requests)
    assert words in "".join(fail(fresh, f"%qwen_edit {line}").traceback)
    assert len(server.requests) == before

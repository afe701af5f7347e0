"""The extension in a real kernel, without a front end: nobody says hello to the widgets."""

import base64
import os
import time

import pytest
from demo_server import asked, demo_server
from fuzz import patience
from real_jupyter import wait_until
from real_kernel import PYTHONS, Kernel, request_in

pytestmark = pytest.mark.kernel

BUNDLE = {"text/html", "text/markdown", "text/plain"}
KEY = "sk-canary0123456789abcdef0123456789"


@pytest.fixture
def kernel(process, server):
    process.forget()
    process.ok("%reload_ext qwen_magic")
    process.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
    yield process
    process.ok("%unload_ext qwen_magic")


def test_the_output_ends_as_the_static_bundle(kernel):
    ran = kernel.ok("%%qwen --think\nMy name is John")
    assert set(ran.final) == BUNDLE
    assert "Hello, John!" in ran.final["text/markdown"]
    assert not ran.result, "the live output is the display"
    assert not ran.stdout
    assert not ran.stderr


def test_the_value_is_silent_once_and_then_shows_itself(kernel):
    kernel.ok("x = %qwen My name is John")
    assert "Hello, John!" in kernel.ok("x").displays[-1][1]["text/html"]
    assert "Hello, John!" in kernel.ok("display(x)").displays[-1][1]["text/html"]
    assert kernel.ok("print(x)").stdout.startswith("Hello, John!")
    assert kernel.ok("x.status, x.usage.total_tokens > 0").result["text/plain"] == (
        "('completed', True)"
    )
    assert (
        kernel.ok("import pickle; pickle.loads(pickle.dumps(x)) == x").result["text/plain"]
        == "True"
    )


def test_the_value_in_out(kernel):
    kernel.ok("%%qwen\nMy name is John")
    assert kernel.ok("_.text[:6]").result["text/plain"] == "'Hello,'"


def test_out_binds_a_name(kernel):
    kernel.ok("%%qwen -o named --quiet\nMy name is John")
    assert kernel.ok("named.text[:6]").result["text/plain"] == "'Hello,'"


def test_qwen_goes_by_the_settings_and_the_keys_of_the_notebook(kernel, server):
    kernel.ok("%config QwenMagics.model = 'of-config'\n%config QwenMagics.top_p = 0.5")
    kernel.ok("import qwen_magic; qwen_magic.Qwen().ask('before the first question').text")
    kernel.ok("%qwen hello")
    server.key = KEY
    kernel.ok(
        "endpoints = get_ipython()._qwen_magic.magics.asker.session.endpoints\n"
        f"endpoints.remember_key(endpoints.find({server.base_url!r}), {KEY!r})"
    )
    kernel.ok("with qwen_magic.Qwen() as qwen:\n    qwen.ask('hello', top_p=1.0)")
    kernel.ok("%qwen hello")
    bodies = [record.body for record in asked(server)]
    assert [body["model"] for body in bodies] == ["of-config"] * 4
    assert [body["top_p"] for body in bodies] == [0.5, 0.5, 1.0, 0.5]
    kernel.ok("get_ipython().config.pop('QwenMagics')")


def test_quiet_shows_nothing(kernel):
    ran = kernel.ok("%%qwen --quiet\nhello")
    assert (ran.displays, ran.stdout, ran.result) == ([], "", {})


def test_a_prompt_of_a_file_and_a_persona(kernel, server, tmp_path):
    (tmp_path / "asked.md").write_text(
        "---\nmodel: qwen3.8-max\ntools: web_search\nfields: [name]\n---\nMy name is {name}"
    )
    kernel.ok(f"%cd -q {tmp_path}")
    kernel.ok("who = 'John'")
    assert "Hello, John!" in kernel.ok("%qwen_prompt asked name={who}").final["text/markdown"]
    kernel.ok("%qwen_prompt asked -m qwen3-max name=Ann")
    kernel.ok("%qwen_chat taught -s @tutor --hint")
    kernel.ok("%qwen Do you remember my name?")
    first, second, third = (record.body for record in asked(server))
    assert (first["model"], first["tools"]) == ("qwen3.8-max", [{"type": "web_search"}])
    assert (second["model"], second["input"]) == ("qwen3-max", "My name is Ann")
    assert second["previous_response_id"]
    assert "patient tutor" in third["instructions"]
    assert "Give a hint" in third["instructions"]
    assert "tools" not in third


def test_an_edited_answer_takes_the_place_of_the_one_before(kernel, server):
    kernel.ok("%qwen My name is John")
    kernel.ok("%qwen Explain variance")
    ran = kernel.ok("%qwen --edit My name is Ann")
    kernel.ok("%qwen Do you remember my name?")
    first, _, edited, after = asked(server)
    assert edited.body["previous_response_id"] == first.response_id
    assert after.body["previous_response_id"] == edited.response_id
    html = ran.displays[-1][1]["text/html"]
    assert "<ins>" in html
    assert "<del>" in html
    assert kernel.run("%qwen --edit --new x").status == "error"


def test_a_question_mark_is_part_of_the_prompt(kernel, server):
    kernel.ok("%qwen what is {this}?")
    kernel.ok("x = %qwen what's `that` $HOME?")
    assert [r.body["input"] for r in asked(server)] == [
        "what is {this}?", "what's `that` $HOME?",
    ]  # fmt: skip


def test_names_in_braces_expand(kernel, server):
    kernel.ok("items = {'a': [1, 2]}; name = 'x{items}'")
    kernel.ok('%%qwen\n{name} {items["a"]} {nothing} `{name}` {{name}}')
    assert asked(server)[-1].body["input"] == "x{items} [1, 2] {nothing} `{name}` {name}"
    kernel.ok("%%qwen --raw\n{name}")
    assert asked(server)[-1].body["input"] == "{name}"


def test_the_figure_shown_last_goes_along(kernel, server):
    def sent():
        (message,) = asked(server)[-1].body["input"]
        return base64.b64decode(message["content"][1]["image_url"].partition(",")[2])

    kernel.ok("%matplotlib inline\nimport matplotlib.pyplot as plt; from PIL import Image")
    shown = kernel.ok("fig, ax = plt.subplots(); ax.plot([1, 2]);").displays[-1][1]["image/png"]
    kernel.ok("%%qwen -m qwen3.7-plus -i last\nWhat is this?")
    assert sent() == base64.b64decode(shown), "as the notebook shows it, to the byte"
    kernel.ok("Image.new('L', (3, 2))")
    kernel.ok("%%qwen -m qwen3.7-plus -i last\nWhat is this?")
    assert len(sent()) < len(shown) / 10, "a result counts as well"


def test_a_list_of_messages_is_sent_as_such(kernel, server):
    kernel.ok("talk = [dict(role='system', content='Be terse.'), dict(role='user', content='Hi')]")
    kernel.ok("%%qwen\n{talk}")
    assert [m["role"] for m in asked(server)[-1].body["input"]] == ["system", "user"]


def test_a_cell_that_runs_again_makes_a_sibling(kernel, server):
    kernel.ok("%%qwen\nMy name is John", "cell-1")
    kernel.ok("%%qwen\nDo you remember my name?", "cell-2")
    kernel.ok("%%qwen\nMy name is Ada", "cell-1")
    ran = kernel.ok("%%qwen\nDo you remember my name?", "cell-2")
    first, _second, third, fourth = asked(server)
    assert "previous_response_id" not in first.body
    assert "previous_response_id" not in third.body
    assert fourth.body["previous_response_id"] == third.response_id
    assert "Yes, Ada!" in ran.final["text/plain"]


def test_without_a_cell_id_turns_are_appended(kernel, server):
    for _ in range(2):
        kernel.ok("%%qwen\nhello")
    first, second = asked(server)
    assert second.body["previous_response_id"] == first.response_id


def test_a_loop_of_line_magics_is_a_chain_and_its_rerun_another(kernel, server):
    loop = "for n in range(2):\n    %qwen number {n}"
    kernel.ok(loop, "loop")
    kernel.ok(loop, "loop")
    a, b, c, d = asked(server)
    assert b.body["previous_response_id"] == a.response_id
    assert "previous_response_id" not in c.body
    assert d.body["previous_response_id"] == c.response_id


def test_conversations(kernel, server):
    kernel.ok("%%qwen\nMy name is John")
    assert "chat-2" in kernel.ok("%qwen_new").stdout
    kernel.ok("%%qwen\nhello")
    assert "previous_response_id" not in asked(server)[-1].body
    kernel.ok("%qwen_chat main")
    kernel.ok("%%qwen\nhello again")
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[0].response_id
    kernel.ok("%%qwen -c chat-2\nhello there")
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[1].response_id
    kernel.ok("%%qwen --no-history\nalone")
    assert "previous_response_id" not in asked(server)[-1].body
    kernel.ok("%%qwen --after 1\nfrom the first")
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[0].response_id
    listed = kernel.ok("%qwen_chat").displays[0][1]["text/plain"]
    assert "main" in listed
    assert "chat-2" in listed


def test_a_conversations_defaults(kernel, server):
    kernel.ok("%qwen_chat sales -m other-model --think -s 'Be {mood}' --temperature 0.5")
    kernel.ok("mood = 'kind'")
    kernel.ok("%%qwen\nhello")
    body = asked(server)[-1].body
    assert (body["model"], body["enable_thinking"], body["temperature"]) == (
        "other-model",
        True,
        0.5,
    )
    assert body["instructions"] == "Be kind"
    kernel.ok("%%qwen -m third\nhello")
    assert asked(server)[-1].body["model"] == "third", "a flag goes before the default"
    kernel.ok("%qwen_chat main")
    kernel.ok("%%qwen\nhello")
    assert asked(server)[-1].body["model"] == "qwen3-max"


def test_a_dry_run_sends_nothing(kernel, server):
    kernel.ok("word = 'tree'")
    kernel.ok("from dataclasses import dataclass\n@dataclass\nclass Tree:\n    name: str")
    question = "-t web_search --schema Tree -s 'Be kind' -d word\nabout {word}"
    shown = kernel.ok(f"%%qwen --dry-run {question}").displays[0][1]
    assert "value {word}" in shown["text/plain"]
    assert "othing was sent" in shown["text/plain"]
    assert not asked(server)
    kernel.run(f"%%qwen {question}")  # the demo knows no schema
    assert request_in(shown) == asked(server)[0].body


def test_help(kernel):
    assert "--max-output-tokens" in kernel.ok("%%qwen -h").stdout
    assert "--no-history" in kernel.ok("%qwen --help").stdout


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%qwen --modle x\nhello", "--model"),
        ("%%qwen\n \n", "There is no prompt"),
        pytest.param("%%qwen -e huge\nhello", "xhigh", marks=pytest.mark.wrong_request),
        ("%%qwen --after 9\nhello", "no turn 9"),
        ("%%qwen -t web_serch\nhello", "web_search"),
        ("%%qwen\nhello\ndemo: error 401", "key"),
        ("%%qwen -m no-such-model\nhello", "Unsupported model"),
        ("%%qwen\nhello\ndemo: error html", "web page"),
        ("%%qwen\nhello\ndemo: error cut, chain ignores", "answer"),
        ("%%qwen\nhello\ndemo: error moderation", "filter"),
    ],
)
def test_errors_are_short_and_fail_the_cell(kernel, cell, says):
    ran = kernel.run(cell)
    assert ran.status == "error"
    lines = "\n".join(ran.traceback).split("\n")
    assert 1 <= len(lines) <= 4, lines
    assert says in "\n".join(lines)
    whole = kernel.run("%tb")
    assert len("\n".join([*whole.traceback, whole.stdout, whole.stderr]).split("\n")) > 6
    kernel.ok("1 + 1")


def test_what_came_before_a_failure_is_kept(kernel):
    lost = "demo: error cut, after 40, chain ignores"
    ran = kernel.run(f"%%qwen -o partial\nwrite at length\n{lost}")
    assert ran.status == "error"
    assert set(ran.final) == BUNDLE
    assert kernel.ok("len(partial.text) > 50, partial.status").result["text/plain"] == (
        "(True, 'failed')"
    )


def test_an_answer_whose_connection_broke_is_whole(kernel, server):
    ran = kernel.ok("%%qwen -o whole\nwrite at length\ndemo: error reset-mid, after 40")
    assert set(ran.final) == BUNDLE
    assert "the rest came from what the server keeps" in ran.final["text/plain"]
    kept = next(reversed(server.player.responses.values())).body
    assert kept["output"][0]["content"][0]["text"][-80:] in ran.final["text/markdown"]
    assert (
        kernel.ok("whole.status, whole.id").result["text/plain"] == f"('completed', '{kept['id']}')"
    )
    assert len(asked(server)) == 1


FAULTS = (
    *("401", "429, retry after 0", "html", "not-json", "redirect", "failed", "error-event"),
    *("reset", "reset-mid", "cut", "cut, chain ignores", "failed-late", "silence-mid"),
)
OPEN = """
import asyncio, comm, gc, os, threading
gc.collect()
files = [os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")]
files = [each for each in files if "history.sqlite" not in each]  # IPython writes when it likes
print(threading.active_count(), len(files), len(asyncio.all_tasks()),
      len(comm.get_comm_manager().comms))
"""


def test_nothing_stays_open_after_faults(kernel, server):
    """Threads, descriptors, tasks and comms of a kernel whose front end shows widgets. The widgets
    of the newest answers stay until the extension goes."""

    def opened():
        for fault in FAULTS:
            cell = f"%%qwen --new --timeout 0.3\nhello\ndemo: error {fault}, after 2"
            kernel.collect(kernel.send(cell, stdin=True))
        count = len(asked(server))
        stopped = kernel.send("%%qwen --new\nwrite at length\ndemo: delay 0.05", stdin=True)
        wait_until(lambda: len(asked(server)) > count and asked(server)[-1].events > 5)
        kernel.interrupt()
        kernel.collect(stopped)
        kernel.ok("%unload_ext qwen_magic")
        left = [int(each) for each in kernel.ok(OPEN).stdout.split()]
        kernel.ok("%load_ext qwen_magic")
        kernel.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
        return left

    first = opened()
    again = opened()
    # What was left open by each of the faults would be many; a descriptor more is the kernel's own.
    assert all(later <= before + 2 for later, before in zip(again, first, strict=True)), (
        first,
        again,
    )


def test_without_a_key(kernel):
    kernel.ok('%config QwenMagics.endpoint = "singapore"')
    ran = kernel.run("%%qwen\nhello")
    said = "\n".join(ran.traceback)
    assert "%qwen_key" in said
    assert "%qwen_demo" in said


def test_a_server_that_is_not_running(kernel):
    kernel.ok('%config QwenMagics.endpoint = "http://127.0.0.1:9/v1"')
    ran = kernel.run("%%qwen\nhello", timeout=90)
    assert "127.0.0.1:9" in "\n".join(ran.traceback)


def test_a_key_is_checked_and_never_shown(kernel, server):
    server.key = KEY
    kernel.ok(f"import os; os.environ['DASHSCOPE_API_KEY'] = '{KEY[:-1]}x'")
    kernel.ok(f"os.environ['DASHSCOPE_BASE_URL'] = '{server.base_url}'")
    ran = kernel.run("%%qwen\nhello")
    said = "\n".join(ran.traceback) + str(ran.displays)
    assert ran.status == "error"
    assert "canary" not in said
    kernel.ok(f"os.environ['DASHSCOPE_API_KEY'] = '{KEY}'")
    assert "canary" not in str(kernel.ok("%%qwen\nhello").displays)
    assert "canary" not in kernel.ok("%qwen_doctor").stdout
    assert "canary" not in kernel.ok("%config QwenMagics").stdout
    assert "canary" not in str(kernel.ok("%%qwen --dry-run\nhello").displays)
    kernel.ok("del os.environ['DASHSCOPE_API_KEY'], os.environ['DASHSCOPE_BASE_URL']")


def test_the_demo_has_a_conversation_of_its_own(kernel, server):
    kernel.ok("%%qwen\nhello")
    assert "is on" in kernel.ok("%qwen_demo on").stdout
    ran = kernel.ok("%%qwen\nMy name is John\ndemo: delay 0")
    assert "ffline demo" in ran.final["text/plain"]
    assert "is off" in kernel.ok("%qwen_demo off").stdout
    kernel.ok("%%qwen\nhello again")
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[0].response_id


def test_another_host_gets_nothing_of_a_conversation(kernel, server):
    kernel.ok("%%qwen\nhello")
    with demo_server() as other:
        kernel.ok(f'%config QwenMagics.endpoint = "{other.base_url}"')
        ran = kernel.run("%%qwen\nhello")
        assert "--new" in "\n".join(ran.traceback)
        assert not other.requests


def test_lists_and_doctor(kernel):
    assert "Listed by" in kernel.ok("%qwen_models").displays[0][1]["text/plain"]
    assert "code_interpreter" in kernel.ok("%qwen_tools").displays[0][1]["text/plain"]
    said = kernel.ok("%qwen_doctor").stdout
    assert "✗" not in said
    assert "Round trip" in said


def test_traits_show_themselves(kernel):
    said = kernel.ok("%config QwenMagics").stdout
    for trait in ("model", "endpoint", "tools", "timeout", "max_output_tokens", "figure_hosts"):
        assert f"QwenMagics.{trait}=" in said
    kernel.ok("%config QwenMagics.max_output_tokens = 99")
    shown = kernel.ok("%%qwen --dry-run\nx").displays[0][1]
    assert request_in(shown)["max_output_tokens"] == 99
    kernel.ok("%config QwenMagics.max_output_tokens = None")


def test_tab(kernel):
    kernel.ok("some_long_name = 1")
    assert "--temperature" in kernel.complete("%qwen --temp")
    assert "qwen3-max" in kernel.complete("%%qwen -m qwen3-m\nhello", len("%%qwen -m qwen3-m"))
    assert "code_interpreter" in kernel.complete("%qwen -t web_search,code_i")[0]
    assert any("some_long_name" in match for match in kernel.complete("%%qwen\nuse {some_l"))
    assert "main" in kernel.complete("%qwen_chat ma")
    assert "some_long_name" in kernel.complete("some_lo"), "IPython's own completion goes on"


def test_nested_in_time_and_capture(kernel):
    ran = kernel.ok("%%time\n%%qwen\nMy name is John")
    assert "Wall time" in ran.stdout
    assert set(ran.displays[-1][1]) == BUNDLE


CAPTURES = {
    "a cell": "%%capture kept\n%%qwen\nMy name is John",
    "a line": "%%capture kept\n%qwen My name is John",
    "an assignment": "%%capture kept\nx = %qwen My name is John",
    "a timed cell": "%%capture kept\n%%time\n%%qwen\nMy name is John",
    "a block": "from IPython.utils.capture import capture_output\n"
    "with capture_output() as kept:\n    %qwen My name is John",
    "captured twice": "from IPython.utils.io import capture_output\n"
    "with capture_output() as outer:\n"
    "    with capture_output() as kept:\n        %qwen My name is John\n"
    "assert not outer.outputs",
}


@pytest.mark.parametrize("cell", CAPTURES.values(), ids=CAPTURES)
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
def test_what_is_captured_is_shown_once(kernel, cell, seen):
    ran = kernel.collect(kernel.send(cell, stdin=seen))
    assert (ran.status, ran.displays, ran.result) == ("ok", [], {})
    ran = kernel.ok("kept.show()")
    ((_transient, data, metadata),) = ran.displays
    assert set(data) == BUNDLE
    assert metadata["qwen_magic"]["prompt"] == "My name is John"


def test_other_values_are_captured_as_they_are(kernel):
    kernel.ok("x = %qwen My name is John")
    kernel.ok("%%capture kept\ndisplay(x)\nx")
    assert [set(data) for _, data, _ in kernel.ok("kept.show()").displays] == [BUNDLE, BUNDLE]


def test_in_the_background_what_is_captured_ends_as_the_answer(kernel):
    kernel.ok("%%capture kept\n%%qwen --bg -o late\nMy name is John")
    kernel.ok("import asyncio\nwhile 'late' not in globals(): await asyncio.sleep(0.02)")
    ((_transient, data, _metadata),) = kernel.ok("kept.show()").displays
    assert set(data) == BUNDLE


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
def test_an_output_widget_shows_the_answer_once(kernel, seen):
    kernel.ok("import ipywidgets, threading\nplace = ipywidgets.Output()")
    block = "with place:\n    %qwen My name is John"
    ran = kernel.collect(kernel.send(block, stdin=seen))
    ((transient, data, _metadata),) = ran.displays
    assert (transient, set(data)) == ({}, BUNDLE)
    ran = kernel.collect(kernel.send("%%qwen\nMy name is John", stdin=seen))
    # Its widget, the end of that, and the answer: without cell ids it may be a console.
    assert len(ran.displays) == (3 if seen else 1), "beside it as everywhere"
    kernel.ok("place.close()")


def test_where_nobody_sees_it_no_widget_is_opened(kernel):
    ran = kernel.ok("%%qwen --think\nMy name is John")
    ((transient, data, _metadata),) = ran.displays
    assert (transient, set(data)) == ({}, BUNDLE)
    assert (
        "qwen"
        not in kernel.ok(
            "import ipywidgets.widgets.widget as w\n"
            "print([type(each).__module__ for each in w._instances.values()])"
        ).stdout
    )


LOCALS = {
    "a function": "def f(topic):\n    %qwen about {topic}\nf('cats')",
    "an assignment": "def f(topic):\n    x = %qwen about {topic}\n    return x\nf('cats')",
    "a shadowed global": "topic = 'dogs'\ndef f(topic):\n    %qwen about {topic}\nf('cats')",
    "a global": "topic = 'cats'\ndef f():\n    %qwen about {topic}\nf()",
    "a closure": "def f(topic):\n    def g():\n        topic\n        %qwen about {topic}\n"
    "    g()\nf('cats')",
    "a class": "class C:\n    topic = 'cats'\n    %qwen about {topic}",
    "a default": "def f(ask=lambda topic='cats': get_ipython().run_line_magic('qwen', "
    "'about {topic}')):\n    ask()\nf()",
    "a comprehension": "[get_ipython().run_line_magic('qwen', 'about {topic}') for topic in "
    "['cats']];",
    "a cell in a function": "topic = 'dogs'\ndef f(topic):\n"
    "    get_ipython().run_cell_magic('qwen', '', 'about {topic}')\nf('cats')",
    "async": "async def f(topic):\n    %qwen about {topic}\nawait f('cats')",
    "an option": "def f(topic):\n    %qwen -s {topic} hello\nf('about cats')",
}


@pytest.mark.parametrize("cell", LOCALS.values(), ids=LOCALS)
def test_names_of_a_function_expand_in_it(kernel, server, cell):
    kernel.ok(cell)
    body = asked(server)[-1].body
    assert "about cats" in (body.get("instructions"), body["input"])


def test_without_autoawait(kernel):
    kernel.ok("%autoawait False")
    try:
        ran = kernel.ok("%%qwen\nMy name is John")
        assert set(ran.final) == BUNDLE
    finally:
        kernel.ok("%autoawait asyncio")


def test_without_widgets_html_is_updated_until_the_end(kernel, server):
    cell = "%%qwen\nwrite at length\ndemo: delay 0.02"
    ran = kernel.collect(kernel.send(cell, stdin=True))  # of a front end, if not of a page
    *shown, (_transient, emptied, _metadata), final = ran.displays[1:]
    assert emptied == {"text/plain": ""}, "a console updates none: the answer has its own output"
    updates = [data["text/html"] for _transient, data, _metadata in (*shown, final)]
    assert len(updates) >= 3, "no hello came, so the output was updated as a whole"
    assert len(updates[-2]) < len(updates[-1])
    assert len(updates) <= 5 * ran.seconds + 2, "throttled"


SLOW_COMMS = """
import asyncio
handlers = get_ipython().kernel.shell_handlers
at_once = handlers["comm_msg"]

async def slowly(*given):
    await asyncio.sleep(0.3)
    at_once(*given)

handlers["comm_msg"] = slowly
"""


def test_queued_cells_end_each_for_itself(kernel):
    """A page takes a cell for running until an idle status with its own request as parent; a page
    also speaks to the widgets meanwhile, and what it says may take into the next cell."""
    kernel.ok(SLOW_COMMS)
    sent = [kernel.send("%%qwen --think\nhello", f"c{n}", stdin=True) for n in range(8)]
    client, ended = kernel.client, []
    while len(ended) < len(sent):
        message = client.get_iopub_msg(timeout=20)
        content, parent = message["content"], message["parent_header"].get("msg_id")
        if message["msg_type"] == "comm_open":
            hello = {"method": "custom", "content": {"op": "hello"}}
            data = {"comm_id": content["comm_id"], "data": hello}
            client.shell_channel.send(client.session.msg("comm_msg", data))
        if content.get("execution_state") == "idle" and parent in sent:
            ended.append(parent)
    assert ended == sent
    replies = [client.get_shell_msg(timeout=10)["parent_header"]["msg_id"] for _ in sent]
    assert replies == sent
    kernel.ok("handlers['comm_msg'] = at_once")


def test_without_live_widgets_text_is_printed(kernel):
    kernel.ok("%config QwenMagics.live = False")
    ran = kernel.ok("%%qwen\nMy name is John")
    assert "Hello, John!" in ran.stdout
    assert not ran.displays
    kernel.ok("%config QwenMagics.live = True")


def test_python_in_a_cell_that_awaits(kernel, server):
    kernel.ok("from qwen_magic import Qwen")
    kernel.ok(f"q = Qwen(endpoint='{server.base_url}')")
    assert "John" in kernel.ok("(await q.aask('My name is John')).text").result["text/plain"]
    assert "Yes, John" in kernel.ok("q.ask('Do you remember my name?').text").result["text/plain"]
    kernel.ok("q.close()")


def test_an_interrupt_of_a_synchronous_call(kernel, server):
    server.set(delay=0.05)
    message = kernel.send("for n in range(1):\n    %qwen write at length")
    wait_until(lambda: asked(server) and asked(server)[-1].events > 2, 20, "streaming")
    kernel.interrupt()
    pressed = time.time()
    ran = kernel.collect(message)
    assert ran.status == "error"
    assert "KeyboardInterrupt" in "".join(ran.traceback)
    wait_until(lambda: asked(server)[-1].closed_at, 5, "the close of the stream")
    assert asked(server)[-1].closed_at - pressed < patience(0.5)


def test_unloading_puts_everything_back(process, server):
    process.forget()
    process.ok("import threading, sys")
    process.ok("shell = get_ipython()")
    before = """[sorted(shell.magics_manager.magics["line"]),
        sorted(shell.magics_manager.magics["cell"]),
        len(shell.input_transformers_cleanup), len(shell.Completer.custom_matchers),
        [c for c in shell.configurables if "qwen" in type(c).__module__]]"""
    clean = process.ok(before).result["text/plain"]
    process.ok("%load_ext qwen_magic")
    process.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
    process.ok("%%qwen\nhello")
    process.ok("%unload_ext qwen_magic")
    assert process.ok(before).result["text/plain"] == clean
    assert process.ok("'__qwen__' in globals()").result["text/plain"] == "False"
    alive = process.ok("[t.name for t in threading.enumerate() if 'qwen' in t.name]")
    assert alive.result["text/plain"] == "[]"


def test_a_shutdown_with_an_open_stream(tmp_path):
    with demo_server(delay=0.2) as server:
        kernel = Kernel(
            PYTHONS["this"], {**os.environ, "IPYTHONDIR": str(tmp_path), "QWEN_MAGIC_KEEP": "False"}
        )
        kernel.ok("%load_ext qwen_magic")
        kernel.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
        kernel.send("%%qwen\nwrite at length")
        wait_until(lambda: asked(server) and asked(server)[-1].events > 4, 20, "streaming")
        kernel.close()
        wait_until(lambda: asked(server)[-1].closed_at, 5, "the close of the stream")


def test_reloading_in_mid_stream(kernel, server):
    """The old stream ends as stopped, the next question is answered."""
    server.set(delay=0.05)
    kernel.ok("import asyncio; task = asyncio.ensure_future(__qwen__('', 'write at length'))")
    wait_until(lambda: asked(server) and asked(server)[-1].events > 4, 20, "streaming")
    kernel.ok("%reload_ext qwen_magic")
    wait_until(lambda: asked(server)[-1].closed_at, 5, "the close of the stream")
    kernel.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
    server.set(delay=0.0)
    ran = kernel.ok("(await task).status")
    assert ran.result["text/plain"] == "'stopped'"
    assert "Hello" in kernel.ok("%%qwen\nMy name is John").final["text/plain"]


def test_loading_imports_next_to_nothing(kernel):
    code = (
        "import os, subprocess, sys\n"
        "code = '''import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        'shell.run_line_magic("load_ext", "qwen_magic")\n'
        'heavy = ("httpx2", "markdown_it", "ipywidgets", "anywidget", "asyncio")\n'
        "print([name for name in heavy if name in sys.modules])'''\n"
        "environ = {**os.environ, 'QWEN_MAGIC_WARM_UP': 'False'}\n"
        "print(subprocess.run([sys.executable, '-c', code], env=environ, text=True,\n"
        "    capture_output=True).stdout)\n"
    )
    assert kernel.ok(code).stdout.strip() == "[]"

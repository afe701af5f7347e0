"""Nothing that a model or a server says is ever run without the user's word.

A hostile server tries every way in: its words reach the kernel as answers, calls, arguments, files
and errors. Whatever of them were run would leave a file, the canary.
"""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
from hostile_markup import marked_up
from hostile_server import function_call, hostile_server, item, message
from hostile_texts import CLASSES, CSS, MARKUP, TEX, some
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter, MarkdownExporter
from real_jupyter import wait_until
from real_kernel import PYTHONS, Kernel, fresh_environ
from ways_in import FENCE, SAID, TRAPS, WAYS, harmful


class Noting(Kernel):
    """Keeps each execution's whole reply, with the cells it would fill."""

    reply: dict = {}  # noqa: RUF012

    def _reply(self, message_id):
        self.reply = super()._reply(message_id)
        return self.reply

    @property
    def next_inputs(self):
        return [p for p in self.reply["payload"] if p["source"] == "set_next_input"]


# To set the title, to have the terminal type its state, to clear it.
ESCAPES = "\x1b]0;canary \x1b[5n \x9b5n \x1b[2J"
TERMINAL = ("a = %qwen hello", "a", "%qwen_chat", "%qwen_history", "%qwen_usage", "repr(a)")
LISTS = ("%qwen_chat", "%qwen_history", "%qwen_usage", "%qwen_usage conversation", "%qwen_tools")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cage")


@pytest.fixture(scope="module")
def canary(folder):
    return folder / "canary"


@pytest.fixture(scope="module")
def process(folder, canary):
    kernel = Noting(PYTHONS["this"], fresh_environ(folder / "ipython"))
    kernel.ok(TRAPS.format(canary=str(canary)))
    kernel.ok("%load_ext qwen_magic")
    yield kernel
    kernel.close()


@pytest.fixture(scope="module")
def server():
    with hostile_server() as hostile:
        yield hostile


@pytest.fixture
def kernel(process, server, canary):
    canary.unlink(missing_ok=True)
    process.ok(f'%config QwenMagics.endpoint = "{server.url}"\nserver_url = "{server.url}"')
    process.ok(
        '%config QwenMagics.unattended = "refuse"\n%config QwenMagics.live = True\n%qwen_new'
    )
    return process


@pytest.mark.kernel
@pytest.mark.parametrize("name", WAYS)
def test_nothing_is_run(kernel, server, canary, name):
    way = WAYS[name].caged(canary)
    server.say(*way.replies, **way.server)
    kernel.ok(f"%config QwenMagics.live = {way.live}")
    for cell in way.cells:
        ran = kernel.run(cell)
        last = cell is way.cells[-1]
        assert ran.status == (way.status if last else "ok"), (cell, ran.traceback)
    shown = [ran.stdout, *map(str, ran.traceback), str(ran.result), str(ran.displays)]
    assert way.sees.partition("'")[0] in "".join(shown)  # a repr may escape the quotes
    assert way.sent in _texts(server.seen[-1])
    filled = [payload["text"].strip() for payload in kernel.next_inputs]
    assert filled == ([] if way.fills is None else [way.fills])
    assert all(payload["replace"] is False for payload in kernel.next_inputs)
    assert not canary.exists()


def _texts(value):
    """All the texts of a request, whole: JSON's escapes would hide their quotes."""
    if isinstance(value, dict):
        return " ".join([*value, *map(_texts, value.values())])
    if isinstance(value, list):
        return " ".join(map(_texts, value))
    return str(value)


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["takes", "takes_model", "marked"])
def test_the_canary_sings_once_a_call_is_allowed(kernel, server, canary, name):
    """The traps are no dummies: with the user's word the same call touches the canary."""
    given = {"takes": {"trap": {"x": "y"}}, "takes_model": {"model": {"x": "y"}}, "marked": {}}
    server.say([function_call(name, given[name])], SAID)
    kernel.ok('%config QwenMagics.unattended = "allow"\n%config QwenMagics.live = False')
    kernel.ok(f"%%qwen -t {name}\nhello")
    assert canary.exists()


@pytest.mark.kernel
def test_a_hostile_export_is_only_read(kernel, server, canary, folder):
    """What `%qwen_export` wrote is changed by an enemy before `%qwen_import` reads it."""
    server.say([message(FENCE), item("local_shell_call", action={"command": ["SHELL"]})])
    kernel.ok("%%qwen\nPROMPT")
    path = folder / "talk.json"
    kernel.ok(f"%qwen_export {path}\n%qwen_export {folder / 'talk.md'}")
    text = path.read_text("utf-8").replace("PROMPT", "{sing()} %%bash\\nSHELL\\n!SHELL")
    path.write_text(harmful(text.replace('"m"', '"CODE"'), canary), "utf-8")
    kernel.ok(f"%qwen_import {path} imported")
    for cell in ("%qwen_history", "%qwen_chat", "%qwen_usage", "%%qwen\ngo on",
                 f"%qwen_export {folder / 'again.md'}"):  # fmt: skip
        kernel.ok(cell)
    ran = kernel.ok("%qwen_code imported:1")
    assert not ran.displays
    assert len(kernel.next_inputs) == 1
    assert not canary.exists()


@pytest.mark.kernel
def test_a_hostile_notebook_is_only_read(kernel, server, canary, folder):
    """`%qwen_restore` takes turns out of outputs; it runs no cell, and nothing of an output."""
    server.say([message(FENCE)])
    ran = kernel.ok("%%qwen\nPROMPT")
    data, metadata = ran.displays[-1][1:]
    text = json.dumps(metadata).replace("PROMPT", "{sing()} %%bash\\nSHELL")
    metadata = json.loads(harmful(text, canary))
    cell = nbformat.v4.new_code_cell(harmful("CODE\n!SHELL", canary))
    data = {**data, "application/javascript": "window.__canary = 1"}
    cell.outputs = [nbformat.v4.new_output("display_data", data, metadata=metadata)]
    path = folder / "hostile.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    ran = kernel.ok(f"%qwen_restore {path}")
    assert "Restored" in ran.stdout
    assert not ran.displays
    assert not kernel.next_inputs
    kernel.ok("%qwen_history")
    kernel.ok("%%qwen\ngo on")
    assert not canary.exists()


def test_no_escape_code_reaches_a_terminal(server, folder):
    """A terminal does what escape codes say: it can be made to type, or to hide what it shows."""
    terminal = Terminal(folder, server.url)
    try:
        assert terminal.shows("print('\\x1b]0;canary')"), "a code that is let through is seen"
        terminal.shows("%load_ext qwen_magic")
        server.say(marked_up(ESCAPES), model=ESCAPES, id=ESCAPES, tools=ESCAPES)
        told = [line for line in TERMINAL if terminal.shows(line)]
        server.say(SAID, error=ESCAPES, model=ESCAPES)
        told += ["an error"] if terminal.shows("%qwen hello") else []
    finally:
        terminal.close()
    assert told == []


class Terminal:
    """`ipython` in a terminal of its own."""

    def __init__(self, folder, url):
        pty = pytest.importorskip("pty")
        environ = {**os.environ, "IPYTHONDIR": str(folder / "terminal"), "TERM": "xterm"}
        environ |= {"QWEN_MAGIC_ENDPOINT": url, "QWEN_MAGIC_KEEP": "False"}
        self.end, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
            stdin=other, stdout=other, stderr=other, env=environ,
        )  # fmt: skip
        os.close(other)
        self.lines = 0

    def shows(self, line):
        """Whether the line's output holds one of `ESCAPES`."""
        self.lines += 1
        end = f"end {self.lines} of line"
        words = " ".join(f"'{word}'," for word in end.split())
        os.write(self.end, f"{line}\nprint({words})\n".encode())
        shown = b""
        while end.encode() not in shown:
            shown += os.read(self.end, 65536)
        return any(code.encode() in shown for code in ESCAPES.split())

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.end)


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_nothing_is_run_or_loaded_by_a_page(open_page, server, canary):
    """Hostile texts of every class in every field of every item, and together as answers: while it
    streams, when it has ended, opened again by who trusts it and by who does not, converted, shown.
    The button puts code into a cell, and leaves it at that."""
    canary.unlink(missing_ok=True)
    replies = [harmful(hostile_turn(some(texts, 40)), canary) for texts in CLASSES.values()]
    server.say(*replies, model=MARKUP[0], id=MARKUP[8])
    page = open_page("lab", "hostile.ipynb", [
        loading(server),
        f"for n in range({len(replies)}):\n    %qwen hello",
        "%%qwen\nhello",
    ])  # fmt: skip
    watch = Watch(page)
    page.run(0)
    page.run(1, timeout=120)
    ended = page.output(1).locator(".qm-saved")
    wait_until(lambda: ended.count() == len(replies), 60, "the ends")
    page.page.wait_for_timeout(1000)  # for the typesetter
    watch.check()
    server.say(harmful(hostile_turn((*MARKUP, *TEX[:40])), canary), model=MARKUP[0], id=MARKUP[8])
    server.pause = 1.0
    page.run(2, wait=False)
    page.output(2).locator(".qm-turn:not(.qm-saved) .qm-step").first.wait_for(state="attached")
    watch.check()
    server.pause = 0.0
    page.wait_for_cell(2)
    page.output(2).get_by_role("button", name="Insert code below").click()
    inserted = page.cell(3).locator(".cm-content")
    wait_until(lambda: str(canary) in inserted.inner_text(), 10, "the code's cell")
    assert not any(character.isdigit() for character in page.prompt(3)), "it was not run"
    saved = page.save()
    watch.end()
    page.close()

    stranger = nbformat.from_dict({**saved, "metadata": {**saved.metadata, "of": "a stranger"}})
    stranger.cells[1].source += "  # not signed here"
    nbformat.write(stranger, page.jupyter.folder / "work" / "stranger.ipynb")
    for name in ("hostile.ipynb", "stranger.ipynb"):
        page = open_page("lab", name, kernel=False)
        watch = Watch(page)
        page.output(1).locator(".qm-saved, .qm-turn").first.wait_for()
        page.page.wait_for_timeout(1000)
        watch.end()
        page.close()

    reader = Watch(page)
    page.page.route("http*://**", lambda route: route.abort())  # MathJax and RequireJS of nbconvert
    for converted in (HTMLExporter().from_notebook_node(saved)[0], *previews(saved)):
        page.page.set_content(converted, wait_until="domcontentloaded")
        reader.check(but=("https://cdnjs.cloudflare.com/",))
    page.page.unroute("http*://**")
    page.page.close()
    assert not canary.exists()


def hostile_turn(texts):
    """In every field, and all of them as answers."""
    parts = [texts[at : at + 40] for at in range(0, len(texts), 40)]
    said = ["\n\n".join(part) for part in parts]
    return [*marked_up(*texts), *(message(text, f"all-{at}") for at, text in enumerate(said))]


def previews(notebook):
    """Its saved Markdown, and what nbconvert makes of it, as a reader of Markdown shows them."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    yield reader.render(MarkdownExporter().from_notebook_node(notebook)[0])
    for output in notebook.cells[1].outputs:
        yield reader.render(output["data"]["text/markdown"])


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_nothing_is_run_or_loaded_by_a_list(open_page, server):
    """Markup in prompts, which an imported file may hold, and in what the server calls itself."""
    server.say(SAID, model=MARKUP[0], id=MARKUP[8], tools=MARKUP[0])
    prompts = [f"%qwen_new\n%qwen --raw {text}" for text in (MARKUP[0], MARKUP[8], TEX[0], CSS[0])]
    page = open_page("lab", "lists.ipynb", [loading(server), "\n".join(prompts), *LISTS])
    watch = Watch(page)
    page.run(0)
    page.run(1)
    for index, _magic in enumerate(LISTS, 2):
        page.run(index)
        wait_until(lambda at=index: page.text(at).strip(), 10, "the list")
        watch.check()
    watch.end()


def loading(server):
    return f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.url}"'


class Watch:
    """What a page does that none of its reader's clicks asked for."""

    def __init__(self, page):
        self.page = page.page
        self.home = page.jupyter.url
        self.dialogs, self.requests = [], []
        self.page.on("dialog", self._note_dialog)
        self.page.on("request", self._note_request)

    def end(self):
        """Leave the tab to the next test."""
        self.check()
        self.page.remove_listener("dialog", self._note_dialog)
        self.page.remove_listener("request", self._note_request)

    def _note_request(self, request):
        self.requests.append(request.url)

    def _note_dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def check(self, but=()):
        """`but`: addresses that may be asked besides the notebook's own."""
        self.page.wait_for_timeout(200)  # for what comes after a load
        seen = self.page.evaluate(SEEN)
        assert not seen["ran"], "JavaScript of theirs ran"
        assert self.dialogs == []
        own = (self.home, self.home.replace("http", "ws", 1), "data:", "blob:", "about:", *but)
        assert [url for url in self.requests if not url.startswith(own)] == []
        assert self.page.url.startswith((self.home, "about:")), "it led the reader away"
        usual = re.compile("https?://|mailto:|#cell-id=|#(?:mjx-.*)?$", re.IGNORECASE)
        assert [href for href in seen["links"] if not usual.match(href)] == []
        assert seen["over"] == [], "what stands over the page, or is larger than one"


# What of an answer or a list is seen on the page: addresses of its links, and elements that stand
# over what is not theirs, or are larger than any text.
SEEN = """() => {
  const roots = [...document.querySelectorAll(".qm-turn, .qm-page, .jp-RenderedMarkdown")];
  const all = roots.flatMap((root) => [...root.querySelectorAll("*")]);
  const isOver = (element) => {
    const { position, display } = getComputedStyle(element);
    const { width, height } = element.getBoundingClientRect();
    const isFormula = element.closest("mjx-container");
    return position === "fixed" || (isFormula && (height > 1500 || width > 20000));
  };
  const ran = window.__canary !== undefined;
  delete window.__canary;
  return {
    ran,
    links: all.filter((element) => element.matches("a")).map((a) => a.getAttribute("href") ?? ""),
    over: all.filter(isOver).map((element) => element.outerHTML.slice(0, 300)),
  };
}"""

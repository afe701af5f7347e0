"""A page that shows widget.js with a model of its own, without Jupyter."""

import importlib.util
import json
from pathlib import Path

import pytest

from qwen_magic.document.build import Document
from qwen_magic.document.footer import TurnFacts
from qwen_magic.frontends.widget import patch_json
from qwen_magic.protocol.state import ResponseState

FRONTENDS = Path(__file__).parents[2] / "qwen_magic" / "frontends"

HARNESS = """
class Model {
  constructor(values) { this.values = values; this.handlers = {}; this.sent = []; }
  get(name) { return this.values[name]; }
  set(name, value) { this.values[name] = value; this.call(`change:${name}`); }
  on(event, handler) { (this.handlers[event] ??= new Set()).add(handler); }
  off(event, handler) { this.handlers[event]?.delete(handler); }
  send(message) {
    const { bundle, metadata, figures = [] } = this.values;
    if (message.op !== "result") this.sent.push(message);
    else setTimeout(() => this.receive({ op: "result", bundle, metadata, figures }), 0);
  }
  call(event, ...args) {
    for (const handler of [...(this.handlers[event] ?? [])]) handler(...args);
  }
  receive(message) { this.call("msg:custom", structuredClone(message), []); }
}
window.newModel = () => new Model({ label: "Answer", done: false, bundle: {}, metadata: {},
                                    aid: "qwen-a1", mid: "m1", cell_id: "c1", question: {} });
// A notebook whose cell c1 holds these outputs; setOutputs is what an answer may do to it.
window.newNotebook = (model, outputs) => {
  const cell = {
    id: "c1", outputs,
    getOutputs() { return this.outputs; },
    setOutputs(made) { this.outputs = made; },
    toJSON() { return { outputs: this.outputs }; },
  };
  const manager = { context: { model: { sharedModel: { cells: [{ id: "c0" }, cell] } } } };
  model.values.layout = { widget_manager: manager };
  return cell;
};
window.viewOf = (id) => ({ "application/vnd.jupyter.widget-view+json": { model_id: id } });
window.newView = (model) => {
  const el = document.createElement("div");
  document.body.append(el);
  const close = widget.render({ model, el });
  return { el, close };
};
"""


@pytest.fixture(scope="session")
def turns():
    path = Path(__file__).parents[1] / "document" / "conftest.py"
    spec = importlib.util.spec_from_file_location("browser_turns", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tab(browser):
    """For all tests of a module: a new one takes longer than most of them."""
    tab = browser.new_page()
    yield tab
    tab.close()


@pytest.fixture
def blank(tab):
    """A page with nothing on it, as it comes. Errors on it fail the test."""
    tab.goto("about:blank")
    tab.set_viewport_size({"width": 900, "height": 700})
    tab.emulate_media(media="null", reduced_motion="null")
    tab.mouse.move(0, 0)
    problems = []

    def note(error):
        problems.append(str(error))

    tab.on("pageerror", note)
    yield tab
    tab.remove_listener("pageerror", note)
    assert problems == []


@pytest.fixture
def page(blank):
    """A page with `model` and one view of it, `view`."""
    page = blank
    css = (FRONTENDS / "widget.css").read_text("utf-8")
    source = json.dumps((FRONTENDS / "widget.js").read_text("utf-8"))
    page.set_content(f"<!doctype html><style>{css}</style><body></body>")
    page.evaluate(
        f"""async () => {{
          const blob = new Blob([{source}], {{ type: "text/javascript" }});
          window.widget = (await import(URL.createObjectURL(blob))).default;
          {HARNESS}
          window.model = newModel();
          window.view = newView(model);
        }}"""
    )
    return page


class Kernel:
    """The kernel's side of one answer: a document whose patches become messages."""

    def __init__(self, events):
        self.events = list(events)
        self.document = Document(TurnFacts("qwen3-max", "main", 4))
        self.state = ResponseState()
        self.seq = 0

    def advance(self, until=float("inf")):
        """The messages of the events up to that second, one each."""
        messages = []
        while self.events and self.events[0][0] <= until:
            at, event = self.events.pop(0)
            self.state.apply(event, at)
            messages += self.batch(self.document.update(self.state, at))
        return messages

    def finish(self, outcome):
        return self.batch(self.document.finish(self.state, 22.0, outcome))

    def batch(self, patches):
        if not patches:
            return []
        self.seq += 1
        return [{"seq": self.seq, "p": [patch_json(each) for each in patches]}]

    def snap(self, *, running=True, stoppable=True, seconds=3.0):
        return {
            "op": "snap",
            "seq": self.seq,
            "p": [patch_json(each) for each in self.document.snapshot()],
            "state": {"seconds": seconds, "running": running, "stoppable": stoppable},
        }


@pytest.fixture
def kernel(turns):
    return lambda events=None: Kernel(turns.research_events() if events is None else events)


@pytest.fixture
def give(page):
    """give(messages): the model receives them, in one task; then the view comes to rest."""

    def receive(messages, model="model"):
        page.evaluate(
            f"""async (messages) => {{
              for (const message of messages) {model}.receive(message);
              await new Promise((rested) => requestAnimationFrame(() => setTimeout(rested, 0)));
            }}""",
            messages if isinstance(messages, list) else [messages],
        )

    return receive

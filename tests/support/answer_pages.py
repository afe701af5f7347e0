"""An answer, or what is shown once, in the places where people see it, each as a page without
Jupyter around it.

live, dark, narrow   a notebook's cell output: the widget while it runs, then the saved form
                     with its actions
saved                the saved form on a trusted page, without a kernel
untrusted            after JupyterLab's sanitizer: no style sheet, no ids, no data attributes
nbconvert            in a notebook converted to HTML
markdown             in a notebook converted to Markdown, as a page of plain CommonMark
"""

import json
import re
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter, MarkdownExporter

from qwen_magic.document.highlight import python_labels
from qwen_magic.frontends.static import bundle, mark_of
from qwen_magic.frontends.widget import ActionsWidget, patch_json

FRONTENDS = Path(__file__).parents[2] / "qwen_magic" / "frontends"
NBCONVERT = Path(sys.prefix) / "share" / "jupyter" / "nbconvert" / "templates" / "lab" / "static"
FORMS = ("light", "dark", "narrow", "saved", "untrusted", "nbconvert")
PICTURED = (*FORMS, "markdown")
WIDTHS = {"narrow": 320}
WIDTH = 900

# What a model is to a widget's script: values, events, and messages that are only recorded.
MODEL = """
window.Model = class {
  constructor(values) { this.values = values; this.handlers = {}; this.sent = []; }
  get(name) { return this.values[name]; }
  set(name, value) { this.values[name] = value; this.call(`change:${name}`); }
  on(event, handler) { (this.handlers[event] ??= new Set()).add(handler); }
  off(event, handler) { this.handlers[event]?.delete(handler); }
  send(message) { this.sent.push(message); this.onSend?.(message); }
  call(event, ...args) {
    for (const handler of [...(this.handlers[event] ?? [])]) handler(...args);
  }
  receive(message) { this.call("msg:custom", structuredClone(message), []); }
};
window.load = async (source) => {
  const blob = new Blob([source], { type: "text/javascript" });
  return (await import(URL.createObjectURL(blob))).default;
};
"""


def notebook_css(theme):
    """The style of a notebook, as nbconvert carries it."""
    sheets = [NBCONVERT / "index.css", NBCONVERT / f"theme-{theme}.css"]
    return "\n".join(sheet.read_text("utf-8") for sheet in sheets)


def snap(state):
    """The message that builds the whole view."""
    patches = [patch_json(patch) for patch in state.document.snapshot()]
    clock = {"seconds": state.seconds, "running": state.is_running, "stoppable": True}
    return {"op": "snap", "seq": 0, "p": patches, "state": clock}


def show(page, state, form):
    """Bring `page` to show the state in this form."""
    page.set_viewport_size({"width": WIDTHS.get(form, WIDTH), "height": 800})
    if form in ("light", "dark", "narrow"):
        _show_cell(page, state, "dark" if form == "dark" else "light")
    elif form == "saved":
        page.set_content(_cell("light", _saved(state)))
    elif form == "untrusted":
        page.set_content(f"{_PLAIN}<article>{sanitized(_saved(state))}</article>")
    elif form == "markdown":
        text = MarkdownIt("commonmark", {"html": True}).render(converted(state, MarkdownExporter))
        page.set_content(f"{_PLAIN}<article>{text}</article>")
    else:
        page.route("http*://**", lambda route: route.abort())  # MathJax, RequireJS
        page.set_content(converted(state), wait_until="domcontentloaded")


def _saved(state):
    return _bundle(state)["text/html"]


def _bundle(state):
    return {"text/html": state.html} if state.html else bundle(state.document)


_PLAIN = """<!doctype html><html lang="en"><title>Answer</title><style>
article { font: 16px/1.5 sans-serif; max-width: 900px; padding: 16px; }
table { border-collapse: collapse; display: block; overflow: auto } td, th { border: 1px solid #ccc; padding: 6px 13px }
pre { background: #f6f8fa; padding: 16px; overflow: auto } code { font: 13px monospace }
</style>"""  # noqa: E501


def _cell(theme, content):
    return f"""<!doctype html><html lang="en"><title>Answer</title>
<style>{notebook_css(theme)}</style>
<style>body {{ margin: 0; padding: 8px; background: var(--jp-layout-color0); }}</style>
<body data-jp-theme-light="{str(theme == "light").lower()}">
<main class="jp-RenderedHTMLCommon jp-RenderedHTML" style="overflow: auto">{content}</main>"""


def _show_cell(page, state, theme):
    saved = "" if state.is_running else _saved(state)
    page.set_content(_cell(theme, saved))
    page.evaluate(f"() => {{ {MODEL} }}")
    page.add_style_tag(content=(FRONTENDS / "widget.css").read_text("utf-8"))
    if state.is_running:
        _run_widget(page, state)
    elif state.document:
        run_actions(page, {mark_of(state.document.turn.key): state.facts})


def _run_widget(page, state):
    page.evaluate(
        f"""async (message) => {{
          const widget = await load({json.dumps((FRONTENDS / "widget.js").read_text("utf-8"))});
          const model = new Model({{ label: "Answer", done: false }});
          document.querySelector("main").replaceChildren();
          widget.render({{ model, el: document.querySelector("main") }});
          model.receive(message);
          await new Promise((rested) => requestAnimationFrame(() => setTimeout(rested, 0)));
        }}""",
        snap(state),
    )


def run_actions(page, answers):
    """Give the answers on the page their actions; the model is `actions`."""
    page.evaluate(
        f"""async (answers) => {{
          const widget = await load({json.dumps(ActionsWidget._esm)});
          window.actions = new Model({{ answers, edits: {{}}, python: {python_labels()} }});
          window.endActions = widget.initialize({{ model: actions }});
          await new Promise((rested) => setTimeout(rested, 0));
          actions.sent = []; // that the page is there
        }}""",
        answers,
    )


def converted(state, exporter=HTMLExporter):
    """What nbconvert makes of a notebook with this answer."""
    output = nbformat.v4.new_output("display_data", _bundle(state))
    cell = nbformat.v4.new_code_cell("%%qwen\nA question", outputs=[output], execution_count=1)
    page, _ = exporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    return page


# What JupyterLab 4's sanitizer leaves of a saved answer, as far as our HTML goes.
_TAGS = frozenset(
    """a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4
    h5 h6 hr i img li ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr
    ul wbr""".split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """alt class dir href open src start title scope colspan rowspan align rel target role tabindex
    aria-label""".split()  # noqa: SIM905
)
_STYLES = re.compile(r"(?:padding|text-align): *[\w %]+;?")
_VOID = {"br", "hr", "img", "wbr"}


class _Sanitizer(HTMLParser):
    def __init__(self):
        super().__init__()
        self.out, self.skipped = [], 0

    def handle_starttag(self, tag, attrs):
        if tag in ("style", "script"):
            self.skipped += 1
        elif tag in _TAGS and not self.skipped:
            kept = [
                f' {name}="{escape(value or "")}"' for name, value in attrs if _stays(name, value)
            ]
            self.out.append(f"<{tag}{''.join(kept)}>")

    def handle_endtag(self, tag):
        if tag in ("style", "script"):
            self.skipped -= 1
        elif tag in _TAGS and tag not in _VOID:
            self.out.append(f"</{tag}>")

    def handle_data(self, data):
        if not self.skipped:
            self.out.append(escape(data, quote=False))


def _stays(name, value):
    return name in _ATTRIBUTES or (name == "style" and bool(_STYLES.fullmatch(value or "")))


def sanitized(html):
    """What an untrusted notebook shows of `html`."""
    sanitizer = _Sanitizer()
    sanitizer.feed(html)
    sanitizer.close()
    return "".join(sanitizer.out)

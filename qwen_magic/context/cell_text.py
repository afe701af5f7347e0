"""What one cell of a notebook says, as text for a model, given as a page tells it (notebook.js):

    {"kind": "code", "number": 3, "edited": false, "source": piece, "outputs": [output, …]}
    piece    {"text": …, "tail": …, "size": …, "names": […]}: of a long text its two ends
    output   a piece with its "kind" (text, html, error) and "mimes"

What nobody typed is looked through for secrets, as in `context.secrets`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any, Final

from qwen_magic.context.masked_names import is_masked
from qwen_magic.context.secrets import Secrets, without_written, written_secrets
from qwen_magic.document.words import fenced, plural

_MASKED_NAMES: Final = 5

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FIGURES: Final = re.compile(r"image/|application/vnd\.(?:plotly|vega|bokeh|holoviews)")
_WIDGET: Final = "application/vnd.jupyter.widget-view+json"
_OF_FIGURES: Final = re.compile(r"<(?:Figure size|PIL\.|Axes|[\w.]*(?:Figure|Image)\b)[^\n]*>")
_BESIDE_WORDS: Final = frozenset(" \t\n\r\f\v\"'`,;(){}[]<>")


@dataclass(frozen=True, slots=True)
class Masks:
    """What is masked: `secrets` are texts; `columns` are names or patterns (`*_email`) that the
    user set; `names` are others that may hold a secret.
    """

    secrets: Secrets
    columns: Collection[str] = ()
    names: Collection[str] = ()

    def source(self, text: str) -> str:
        """Code with its secrets masked."""
        if self.columns:
            text = without_written(text, lambda name: is_masked(name, self.columns))
        return self.secrets.mask(text, code=True)

    def learn(self, code: str) -> None:
        """Mask the secrets written in `code` wherever else they occur."""
        for literal in written_secrets(clean(code)):
            self.secrets.add(literal)


def cell_text(
    cell: Mapping[str, Any], source: str, outputs: str, of_source: int, of_outputs: int
) -> str:
    """The text of a cell: its number and state, its `source` and its `outputs`, each cut to a limit
    of characters.
    """
    if cell.get("kind") != "code":
        kind = "Markdown" if cell.get("kind") == "markdown" else "Raw text"
        return f"{kind}:\n{fenced(_ends(source, of_source), 'markdown')}"
    run = f"Cell [{cell['number']}]" if cell.get("number") else "Cell, not run"
    state = ", edited since it ran" * bool(cell.get("edited"))
    text = f"{run}{state}:\n{fenced(_ends(source, of_source), 'python')}"
    shown = f"\nIts output:\n{fenced(_ends(outputs, of_outputs), 'text')}" if outputs else ""
    return text + shown


def _ends(text: str, limit: int) -> str:
    """The beginning and end of a text that is longer than `limit`."""
    if len(text) <= limit:
        return text
    head, tail = head_of(text, limit * 2 // 3), tail_of(text, limit // 3)
    return f"{head}\n[… {len(text) - len(head) - len(tail):,} characters left out …]\n{tail}"


def _pieces(piece: Mapping[str, Any], mask: Callable[[str], str]) -> str:
    text, tail = mask(clean(str(piece["text"]))), mask(clean(str(piece["tail"])))
    missing = int(piece["size"]) - len(piece["text"]) - len(piece["tail"])
    if missing <= 0:
        return text.rstrip()
    return f"{text}\n[… {missing:,} characters left out …]\n{tail}".rstrip()


def clean(text: str) -> str:
    """The text as a terminal would show it: no colours, overwritten text, or control characters."""
    text = _ESCAPES.sub("", text) if "\x1b" in text else text
    if "\r" in text:
        lines = text.replace("\r\n", "\n").split("\n")
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return _CONTROL.sub("", text)


def source_text(cell: Mapping[str, Any], masks: Masks) -> str:
    is_code = cell.get("kind") == "code"
    return _pieces(cell["source"], masks.source if is_code else masks.secrets.mask)


def outputs_text(cell: Mapping[str, Any], masks: Masks) -> str:
    """The text of a cell's outputs.

    An output that contains a masked name is left out entirely, as the values below it cannot be
    told from the rest; so are all outputs of code that names a masked column.
    """
    named = {name for name in cell["source"]["names"] if is_masked(name, masks.columns)}
    texts: list[str] = []
    for output in cell["outputs"]:
        found = named | set(output["names"]) if output["kind"] != "error" else ()
        if found:
            names = ", ".join(sorted(found)[:_MASKED_NAMES])
            is_are = plural(len(found), "which is", "which are")
            texts.append(f"[left out: it may show {names}, {is_are} masked]")
        else:
            texts.append(_output_text(output, masks))
    return "\n".join(filter(None, texts))


def _output_text(output: Mapping[str, Any], masks: Masks) -> str:
    mimes = output.get("mimes") or ()
    has_figure = any(_FIGURES.match(str(mime)) for mime in mimes)
    if output["kind"] == "html":
        output = {
            **output,
            "text": words_of_html(output["text"]),
            "tail": words_of_html(output["tail"]),
        }
        output["size"] = len(output["text"]) + len(output["tail"])
    text = _pieces(output, masks.secrets.mask)
    if has_figure and _OF_FIGURES.fullmatch(text):
        text = ""
    if _WIDGET in mimes and not has_figure:
        return "[widget]" if "\n" not in text else text
    return "\n".join(filter(None, ("[figure]" if has_figure else "", text)))


def texts_of(cell: Mapping[str, Any], masks: Masks, most: int) -> tuple[str, str]:
    """The source of a cell and the text of its outputs, each of at most about `most` characters."""
    masks.learn(cell["source"]["text"])
    return _ends(source_text(cell, masks), most), _ends(outputs_text(cell, masks), most)


def figures_in(cell: Mapping[str, Any]) -> int:
    """How many outputs of a cell are figures."""
    outputs = cell["outputs"]
    return sum(any(map(_FIGURES.match, each.get("mimes") or ())) for each in outputs)


def head_of(text: str, window: int) -> str:
    """The first `window` characters, up to a word's end: a cut word could be part of a key."""
    while 0 < window < len(text) and text[window] not in _BESIDE_WORDS:
        window -= 1
    return text[:window]


def tail_of(text: str, window: int) -> str:
    start = max(len(text) - window, 0)
    while 0 < start < len(text) and text[start - 1] not in _BESIDE_WORDS:
        start += 1
    return text[start:]


# The words of HTML --------------------------------------------------------------------------------

_SPACES: Final = re.compile(r"\s+")
_BESIDE_TABS: Final = re.compile(r" ?\t ?")
# Each match ends before the next `<`, or behind one text in quotes: `<a <a <a …` costs its length.
_TAG: Final = re.compile(
    r"<!--|<(?P<end>/?)(?P<name>[a-zA-Z][^\s/<>]*)(?:[^<>\"']|\"[^\"]*\"|'[^']*')*+>|<[!?][^<>]*+>"
)
_UNSEEN: Final = {
    "<!--": re.compile("-->"),
    "script": re.compile(r"</script[^<>]*>", re.IGNORECASE),
    "style": re.compile(r"</style[^<>]*>", re.IGNORECASE),
}
_NEW_LINE: Final = frozenset(("br", "p", "div", "tr", "li", "h1", "h2", "h3", "pre"))


def words_of_html(html: str) -> str:
    """The text of HTML: table cells end with a tab, rows and blocks with a line break."""
    parts, here, in_pre = list[str](), 0, 0
    while found := _TAG.search(html, here):
        parts.append(_between_tags(html[here : found.start()], is_kept=in_pre > 0))
        here, name, is_end = found.end(), (found["name"] or "").lower(), found["end"] == "/"
        closing = None if is_end else _UNSEEN.get(name or found[0])
        if closing is not None:
            closed = closing.search(html, here)
            here = closed.end() if closed else len(html)
        elif is_end and name in ("td", "th"):
            parts.append("\t")
        elif not is_end and name in _NEW_LINE:
            parts.append("\n")
        if name == "pre":
            in_pre = max(0, in_pre + (-1 if is_end else 1))
    parts.append(_between_tags(html[here:], is_kept=in_pre > 0))
    lines = _BESIDE_TABS.sub("\t", "".join(parts)).split("\n")
    return "\n".join(line.strip() for line in lines if line.strip())


def _between_tags(text: str, *, is_kept: bool) -> str:
    """Text between two tags; `is_kept`: with its spaces and line breaks."""
    if not text.strip() and "\n" in text:  # between two tags that stand in lines of their own
        return ""
    return unescape(text) if is_kept else _SPACES.sub(" ", unescape(text))

"""What may stand in anything that qwen_magic shows: the closed list of elements, attributes and
addresses, told by a parser of HTML5 as browsers have one.

    html_faults(html)          what a page may not have
    markdown_faults(text)      the same of what readers of Markdown make of a text
    text_faults(text)          what a terminal or the eye would obey

Each gives a list of sentences, empty where all is well.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode
from xml.etree import ElementTree

import mistune
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser

_TEXT = ("class", "dir")
ELEMENTS: dict[str, set[str]] = {
    **{
        tag: set()
        for tag in ("em", "strong", "s", "br", "thead", "tbody", "sup", "sub", "kbd", "ins", "del")
    },
    "b": {*_TEXT},
    **{tag: {"class"} for tag in ("i", "hr", "table", "tr", "mark", "figure", "style")},
    "span": {*_TEXT, "style"},
    **{tag: {*_TEXT} for tag in ("p", "small", "h1", "h2", "h3", "h4", "h5", "h6")},
    **{tag: {*_TEXT} for tag in ("ul", "blockquote", "code")},
    "li": {*_TEXT, "style"},
    "ol": {*_TEXT, "start"},
    "div": {*_TEXT, "style", "tabindex", "role", "aria-label"},
    "pre": {"class", "tabindex", "role", "aria-label"},
    "details": {"class", "open", "style"},
    "summary": {"class"},
    "th": {"class", "scope", "style", "align"},
    "td": {"class", "style", "align", "data-label"},
    "a": {*_TEXT, "href", "title", "rel", "target"},
    "img": {"class", "src", "alt", "width", "height"},
    "button": {"type", "class", "value"},
}
STYLES = re.compile(
    r"text-align:center|list-style-type: none|padding: [\d px]+;?|color: #[0-9a-f]{6}"
)
HREF = re.compile(r"(?:https?://[^/\s]|mailto:\S)[^\x00-\x1f\x7f]*|#cell-id=[\w-]+", re.IGNORECASE)
SRC = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]+", re.IGNORECASE)
DRAWN = {"svg", "text", "line", "rect"}  # all that a waterfall is made of
VALUES = {
    "class": re.compile(r"(?:(?:qm-[\w-]+|[a-z][a-z0-9]?) ?)+"),
    "dir": re.compile("auto|ltr"),
    "style": STYLES,
    "href": HREF,
    "src": SRC,
    "rel": re.compile("noopener noreferrer"),
    "target": re.compile("_blank"),
    "role": re.compile("region|group|status|alert"),
    "tabindex": re.compile("0"),
    "type": re.compile("button"),
    "open": re.compile(""),
    "align": re.compile("right"),
    "scope": re.compile("col"),
    "start": re.compile(r"\d{1,9}"),
}
_UNUSUAL = re.compile(r"[^\x20-\x7e\n\t]")
# What a typesetter leaves alone, and what ends a text for it (mathjax-full, `HTMLDomStrings`).
_UNSET = ("script", "noscript", "style", "textarea", "pre", "code")
# What it takes for maths (`FindTeX`, as JupyterLab sets it).
_MATHS = re.compile(
    r"(?<!\\)(?P<dollar>\$\$?)|\\(?P<bracket>[(\[])|\\begin\s*\{(?P<environment>[^}]*)\}"
)
_UNTAMED = re.compile(
    r"\\(?:href|style|class|cssId|data|require|mmlToken|includegraphics|input)(?![a-zA-Z])"
    r"|\\(?:unicode|bbox)\s*\[|\d{3,}\s*(?:em|ex|px|mu)"
)
_ENDS = {"(": r"\)", "[": r"\]"}


def html_faults(html: str, *, sheets: tuple[str, ...] = (), maths: bool | None = True) -> list[str]:
    """`sheets`: the style sheets that it may have; `maths`: whether formulas may stand in it, where
    the answer's text has them (None: a piece does not tell). A piece is read where such a piece
    stands."""
    faults: list[str] = []
    context = re.match(r"\s*<(tr|t[hd]|thead|tbody)\b", html)
    if context:
        html = {"tr": "<table><tbody>", "thead": "<table>", "tbody": "<table>"}.get(
            context[1], "<table><tbody><tr>"
        ) + html
    root = LexborHTMLParser(html).root
    assert root is not None
    for node in root.traverse(include_text=True):
        tag = node.tag
        if tag in ("html", "head", "body") and not node.attributes:
            continue
        if tag == "-text":
            text = node.text_content or ""
            if node.parent is not None and node.parent.tag == "style":
                if text not in sheets:
                    faults.append(f"a style sheet: {text[:80]!r}")
            else:
                faults += _text_faults(text, "text")
            continue
        if tag not in ELEMENTS:
            faults.append(f"an element <{tag}>")
            continue
        for name, value in node.attributes.items():
            if name not in ELEMENTS[tag]:
                faults.append(f"an attribute {name} of <{tag}>")
            elif name in VALUES and not VALUES[name].fullmatch(value or ""):
                faults.append(f"{name}={value!r} of <{tag}>")
            elif name == "src" and "svg" in (value or ""):
                drawn = ElementTree.fromstring(b64decode((value or "").partition(",")[2]))
                names = {each.tag.partition("}")[2] for each in drawn.iter()} - DRAWN
                faults += [f"an element <{each}> in a picture" for each in names]
            elif name != "value":
                faults += _text_faults(value or "", f"{name} of <{tag}>")
        if tag == "a" and (node.attributes.get("href") or "#")[0] != "#":
            faults += [f"<a> without {each}" for each in ("rel", "target")
                       if each not in node.attributes]  # fmt: skip
    return faults if maths is None else faults + _maths_faults(root, maths)


def _text_faults(text: str, where: str) -> list[str]:
    return [f"{fault} in {where}" for fault in text_faults(text, lines="\n\t\r\x0c")]


def text_faults(text: str, lines: str = "\n\t") -> list[str]:
    """What hides in a text, or tells a terminal what to do; `lines` are the control characters that
    may stand there. Joiners and tags are left where writing needs them: behind what is no letter of
    Latin."""
    faults = []
    for found in _UNUSUAL.finditer(text):
        at, char = found.start(), found[0]
        before = text[at - 1] if at else ""
        category = unicodedata.category(char)
        needed = before != "" and ord(before) > 0x2FF
        if category == "Cc" and char not in lines:
            faults.append(f"a control {char!r}")
        elif category == "Cf" and not (needed and (char in "\u200c\u200d" or char > "\U000e0020")):
            faults.append(f"a hidden {char!a}")
        elif char in "\u115f\u1160\u3164\uffa0\u034f":
            faults.append(f"a blank {char!a}")
    return faults


def _maths_faults(root, allowed: bool) -> list[str]:
    """Formulas that a typesetter would find where none was meant."""
    faults = []
    for text, element in _strings(root):
        for found in _MATHS.finditer(text):
            rest = text[found.end() :]
            end = found["dollar"] or _ENDS.get(found["bracket"] or "") or (
                f"\\end{{{found['environment']}}}"
            )  # fmt: skip
            closed = (
                end in rest
                if found["environment"] is None
                else re.search(rf"\\end\s*\{{{re.escape(found['environment'])}\}}", rest)
            )
            if closed and not (allowed and _is_formula(element)):
                faults.append(f"a formula {text[found.start() : found.start() + 40]!r}")
                break
            if closed and (obeyed := _UNTAMED.search(text, found.end(), text.find(end))):
                faults.append(f"a formula with {obeyed[0]}")
    return faults


def _is_formula(element) -> bool:
    attributes = element.attributes
    return (element.tag == "div" and "qm-math" in (attributes.get("class") or "")) or (
        element.tag == "span" and attributes == {"dir": "ltr"}
    )  # fmt: skip


def _strings(root):
    """The texts in which it looks for formulas, each with its element. A `<br>` is a line's end."""
    found = []

    def walk(node, here) -> list:
        child = node.child
        while child is not None:
            if child.tag == "-text":
                here[0] += child.text_content or ""
            elif child.tag == "br":
                here[0] += "\n"
            elif child.tag != "-comment":
                found.append((here[0], here[1]))
                if child.tag not in _UNSET:
                    inner = walk(child, ["", child])
                    found.append((inner[0], inner[1]))
                here[0] = ""
            child = child.next
        return here

    last = walk(root, ["", root])
    return [(text, element) for text, element in [*found, tuple(last)] if text.strip()]


# Markdown -----------------------------------------------------------------------------------------

_READERS = (
    MarkdownIt("commonmark", {"html": True}).render,
    MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render,
    mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "footnotes"]),
)
_OF_MARKDOWN = {*ELEMENTS, "del", "section"} - {"style", "button", "figure", "mark"} | {"mark"}
_KEPT = {"href", "title", "start", "align", "class", "id", "style"}
_TAMED = {
    "class": re.compile(r"(?:language-.*|footnote.*|)", re.DOTALL),
    "id": re.compile(r"fn(?:ref)?-.*", re.DOTALL),
    "style": re.compile(r"text-align: ?(?:left|right|center);?"),
    "href": re.compile(
        r"(?:https?://|mailto:).*|(?![/\\\x00-\x20])(?![a-z][a-z0-9+.-]*:).*",
        re.IGNORECASE | re.DOTALL,
    ),
    "align": re.compile("left|right|center"),
}


def markdown_faults(text: str) -> list[str]:
    """What some reader of Markdown would load or run of it, who takes raw HTML."""
    faults = []
    for reader in _READERS:
        html = str(reader(text.encode("utf-8", "replace").decode()))
        root = LexborHTMLParser(html).root
        assert root is not None
        for node in root.traverse(include_text=False):
            tag, attributes = node.tag, node.attributes
            if tag in ("html", "head", "body") and not attributes:
                continue
            if tag == "img" and not re.match(r"(?!//)[\w./ %:-]*$", attributes.get("src") or "x"):
                faults.append(f"a picture {attributes.get('src')!r}")
            elif tag not in _OF_MARKDOWN:
                faults.append(f"an element <{tag}>")
            for name, value in attributes.items() if tag != "img" else ():
                rule = _TAMED.get(name)
                if name not in _KEPT or (rule and not rule.fullmatch(value or "")):
                    faults.append(f"{name}={value!r} of <{tag}>")
    return faults

"""Block tokens to HTML.

Between elements there is no whitespace but one newline after each top-level block, so that what a
view builds from patches is the tree that a browser builds from the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TypeAlias

from markdown_it.token import Token

from qwen_magic.document.highlight import highlight, language_label
from qwen_magic.document.markdown.inline import inline_html, text_html

CodeHtml: TypeAlias = Callable[[str, str], str]

PARAGRAPH_OPEN = '<p class="qm-p" dir="auto">'
ITEM_OPEN = '<li class="qm-li">'
QUOTE_OPEN = '<blockquote class="qm-quote" dir="auto">'
BULLETS_OPEN = '<ul class="qm-list" dir="auto">'
TABLE_OPEN = '<div class="qm-scroll" tabindex="0"><table class="qm-table">'
TABLE_CLOSE = "</table></div>"
MATHS_OPEN = '<div class="qm-math" dir="ltr">'
CODE_CLOSE = "</code></pre></div>"

_FIXED = {
    "paragraph_open": PARAGRAPH_OPEN,
    "paragraph_close": "</p>",
    "bullet_list_open": BULLETS_OPEN,
    "bullet_list_close": "</ul>",
    "ordered_list_close": "</ol>",
    "list_item_open": ITEM_OPEN,
    "list_item_close": "</li>",
    "blockquote_open": QUOTE_OPEN,
    "blockquote_close": "</blockquote>",
    "hr": '<hr class="qm-hr">',
    "table_open": TABLE_OPEN,
    "table_close": TABLE_CLOSE,
    "thead_open": "<thead>",
    "thead_close": "</thead>",
    "tbody_open": "<tbody>",
    "tbody_close": "</tbody>",
    "tr_open": '<tr class="qm-tr">',
    "tr_close": "</tr>",
    "th_close": "</th>",
    "td_close": "</td>",
}
_ALIGNED = {  # what follows the class names, and the rest of the tag
    "text-align:right": (" qm-num", ' align="right"'),
    "text-align:center": ("", ' style="text-align:center"'),
}
_HEADING_CLASS = {"h1": "qm-h1", "h2": "qm-h2"}
_TASK = re.compile(r"\[([ xX])\] ")
_LANGUAGE = re.compile(r"\{?\.?([^\s{},]*)")


def render_blocks(tokens: Sequence[Token]) -> str:
    """Return the HTML of block tokens, each top-level block with a newline behind it."""
    return "".join(f"{html}\n" for html in block_htmls(tokens))


def block_htmls(tokens: Iterable[Token], code_html: CodeHtml = highlight) -> list[str]:
    """Return the HTML of each block at the level of the first token.

    `code_html` turns (code, language) into HTML; one that remembers gives what `highlight` gives.
    """
    blocks: list[str] = []
    out: list[str] = []
    task = 0  # 2 behind a list item's opening, 1 behind the paragraph's in it
    depth = 0
    for token in tokens:
        depth += token.nesting
        if token.type == "inline":
            html = inline_html(token.children or [])
            out.append(_task_box(html, token.content) if task == 1 else html)
        elif token.type == "fence":
            language = fence_language(token.info)
            out.append(code_open(language) + code_html(token.content, language) + CODE_CLOSE)
        elif not token.hidden:
            out.append(_FIXED.get(token.type) or _element(token))
        task = 2 if token.type == "list_item_open" else task - 1
        if depth == 0 and out:
            blocks.append("".join(out))
            out = []
    return blocks


def _task_box(html: str, content: str) -> str:
    """Draw the box of a task list's item."""
    found = _TASK.match(content)
    if found is None or not html.startswith(found.group()):
        return html
    return ("☐ " if found.group(1) == " " else "☑ ") + html[found.end() :]


def _element(token: Token) -> str:
    match token.type:
        case "heading_open":
            return f'<{token.tag} class="{_HEADING_CLASS.get(token.tag, "qm-h3")}" dir="auto">'
        case "heading_close":
            return f"</{token.tag}>"
        case "ordered_list_open":
            return ordered_open(int(token.attrs.get("start", 1)))
        case "th_open" | "td_open":
            return cell_open(token.tag, str(token.attrs.get("style", "")))
        case "code_block":
            return code_open("") + escape(token.content, quote=False) + CODE_CLOSE
        case "maths_block":
            return f"{MATHS_OPEN}{escape(token.content, quote=False)}</div>"
        case "plain_block":
            return f"{PARAGRAPH_OPEN}{text_html(token.content)}</p>"
        case _:
            raise ValueError(f"a block token without a form: {token.type}")


def ordered_open(start: int) -> str:
    """Return the opening tag of an ordered list whose first number is `start`."""
    return '<ol class="qm-list" dir="auto"' + (f' start="{start}">' if start != 1 else ">")


def fence_language(info: str) -> str:
    """Return the language that a fence's info string names, "" for none."""
    found = _LANGUAGE.match(info.strip())
    return found.group(1) if found else ""


def code_open(language: str) -> str:
    """Return all that stands before the code of a code block."""
    label = escape(language_label(language)) if language else ""
    return (
        f'<div class="qm-code"><div class="qm-bar"><span class="qm-lang">{label}</span></div>'
        '<pre class="qm-pre" tabindex="0"><code>'
    )


def cell_open(tag: str, style: str) -> str:
    """Return the opening tag of a table's cell (`th` or `td`) aligned by `style`."""
    name, rest = _ALIGNED.get(style, ("", ""))
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag} class="qm-cell qm-{tag}{name}"{scope}{rest}>'

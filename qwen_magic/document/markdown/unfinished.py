"""Marks that a piece of text opens and does not close.

While a paragraph arrives, its end may stand in the middle of `**bold`, `[a link](htt` or a span of
code. `presentable` closes such marks for the eye; `pending` tells from the tokens of a piece
whether text that comes later could still change how the piece reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.token import Token

from qwen_magic.document.markdown.maths import (
    LONGEST_INLINE,
    closing_mark,
    formula_end,
    looks_like_tex,
)

MOST_MARKS = 3  # that are closed; a text that leaves more open is not about to close them
_OPENING = "*_~`[\\<"
_ENTITY = re.compile(r"&#?\w{0,8}$")
_MARKED = re.compile(r"(?!\s)(?:\d[^$*]*[\\^_{]|[^$\d][^$]*[\\^_*{]|\\)[^$]*$", re.DOTALL)
LONGEST_RUN = 60  # marks at the end that are not shown yet; of more, some were shown
SHORT = 40  # characters of a last line that is not shown yet
_UNDERLINE = re.compile(r"[ \t>]*(?:[-+*]|-+|=+|\d{1,2}[.)])[ \t]*")
_FENCE_BEGUN = re.compile(r"[ >]*(?:(?:[-+*]|\d{1,9}[.)]) +)*(?:`{3,}|~{3,})[^`]*")
_SPECIAL = re.compile(r"[\\`*~_\[\]$<!]")
LONGEST_ADDRESS = 300
_END_ADDRESS = ("**", "***", "~~")
_ADDRESS = re.compile(r"://[^\s<>\[\]()]*\Z")
_BRACKETED = re.compile(r"<(?:https?:?[^\s<>]*|htt?|h)\Z")  # an address in angle brackets
_BEGUN = re.compile(  # an element, a mark of a footnote, the box of a task, maths, a definition
    r"(?:<(?:/?[a-z]{0,4}/?|(?:br|su[bp]|kbd|mark)\s[^<>]{0,40}|!-?)|\[\^[^\]\s\[]{0,40}"
    r"|(?m:^)[ >]*\[\^[^\]\s\[]{1,40}\]|(?<=[-+*.)] )\[[ xX]?\]? ?"
    r"|(?<!\\)\\b[a-z]{0,4}(?:\{\w{0,12}\*?)?"
    r"|(?m:^)[ >]*\[[^\]\[\n^]{1,30}\]:[ \t]*(?:https?:?/?|htt?|h)?)\Z",
    re.IGNORECASE,
)
_NOTE_NAME = re.compile(r"\d+|(?!\w-\w)[^\W\d_][\w.:-]{2,}")  # not `a-z`, a set of characters
_TICKS = re.compile(r"`+")
_SCAN = re.compile(
    r"(?P<tex>\\[(\[]|\\begin\{\w+\*?\}|\$\$?)"
    r"|\\."
    r"|(?P<tick>`+)"
    r"|(?P<mark>\*{1,3}|~~|(?<![^\W_])_{1,3}|_{1,3}(?![^\W_]))"
    r"|<(?P<tag>/?(?:sub|sup|kbd|mark))>"
    r"|(?P<open>!?\[)"
    r"|(?P<target>\]\()"
    r"|(?P<close>\])",
    re.DOTALL,
)
_OPENER = re.compile(
    r"(?<![^\W_])_+(?=[^\s_])|\*+(?=[^\s*])|~~(?=[^\s~])|`+|<(?=[a-zA-Z!])|\$(?=[^\s])|\\[(\[]|\\begin"
)


def pending(tokens: Sequence[Token]) -> str:
    """Return a mark in the text of these inline tokens that a later one may close, else ""."""
    depth = 0
    said = "".join(token.content for token in tokens if token.type == "text")
    target = said.rfind("](")
    if target >= 0 and ")" not in said[target:]:  # `[x](https://a.b "its`
        return "["
    for token in reversed(tokens):
        if token.type == "html_close" and not token.markup:  # an element that is not closed
            return f"<{token.tag}"
        if token.type != "text":
            continue
        text = token.content
        openers: list[str] = _OPENER.findall(text)
        if openers:
            return openers[-1]
        if "[" in text or "]" in text:
            for char in reversed(text):
                depth += (char == "]") - (char == "[")
                if depth < 0:
                    return "["
    return ""


def openers(tokens: Sequence[Token]) -> int:
    """How many marks in the text of these inline tokens a later one may close."""
    texts = [token.content for token in tokens if token.type == "text"]
    return sum(len(_OPENER.findall(text)) + text.count("[") + text.count("](") for text in texts)


def is_note(label: str) -> bool:
    """Whether `[^label]` reads as the mark of a footnote, also before that has come."""
    return bool(_NOTE_NAME.fullmatch(label))


def presentable(text: str) -> str:
    """Return `text` with the marks it leaves open closed, or out of sight.

    So is a last line that may be the beginning of a list as well as what makes a heading of the
    line above.
    """
    newest = text[-50:]
    if "<" in newest or "[" in newest or "\\b" in newest:
        text = text[:-50] + _BEGUN.sub("", newest)
    above, _, last = text.rpartition("\n")
    if _FENCE_BEGUN.fullmatch(last):
        return presentable(above) if above else ""
    if above and len(last) < SHORT and not above[-1].isspace() and _UNDERLINE.fullmatch(last):
        text = above
    stripped = text.rstrip(_OPENING)
    text = stripped if len(text) - len(stripped) < LONGEST_RUN else text
    opened = text.rfind("<", -LONGEST_ADDRESS)
    if opened >= 0 and _BRACKETED.match(text, opened):
        text = text[:opened] + text[opened + 1 :]
    comment = text.rfind("<!--")
    if comment >= 0 and text.find("-->", comment) < 0 and text.find("\n\n", comment) < 0:
        text = text[:comment]
    if "&" in text[-10:]:
        text = text[:-10] + _ENTITY.sub("", text[-10:])
    marks: list[str] = []
    brackets: list[tuple[int, int]] = []  # where a `[` stands, how many marks were open there
    position = 0
    has_address = "://" in text
    blank = text.rfind("\n\n")  # no mark goes over a blank line
    unclosed = -1  # up to where no formula is looked for, since one that began is not closed
    while (special := _SPECIAL.search(text, position)) is not None:
        if 0 <= blank < special.start():
            marks, brackets, blank = [], [], -1
        found = _SCAN.match(text, special.start())
        position = found.end() if found else special.end()
        if found is None:
            continue
        ends_address = found["mark"] in _END_ADDRESS
        if has_address and not ends_address and _is_in_address(text, special.start()):
            continue
        if tick := found["tick"]:
            end = _closing_tick(text, tick, position)
            if end < 0 and (blank < 0 or len(tick) > 2):
                return _closed(text, [*marks, tick])
            position = max(position, end)
        elif found["tex"] and position > unclosed:
            end = formula_end(text, found.start(), len(text))
            if end < 0 and len(text) - position > LONGEST_INLINE:
                unclosed = position + LONGEST_INLINE
            if end < 0 and (closing := _unclosed(found["tex"], text[position:])) is not None:
                if not closing:
                    return _closed(text[: found.start()], marks)
                if closing == "$$" and text[-1] == "$":  # the first of the two that close
                    text = text[:-1]
                return _closed(text, [*marks, closing])
            position = max(position, end)
        elif mark := found["mark"]:
            _toggle(marks, mark, text, found.start(), position)
        elif tag := found["tag"]:
            _toggle_tag(marks, tag)
        elif found["open"]:
            brackets.append((found.start(), position))
        elif found["target"] and brackets:
            opened, inner = brackets.pop()
            end = text.find(")", position)
            if end < 0:
                return _closed(text[:opened] + text[inner : found.start()], marks)
            position = end + 1
        elif found["close"] and brackets:
            opened, inner = brackets.pop()
            label = text[inner : found.start()]
            is_mark = label.isdigit() or (label[:1] == "^" and is_note(label[1:]))
            if position == len(text) and not is_mark:  # perhaps `(` comes next
                return _closed(text[:opened] + label, marks)
    if blank >= 0:
        return text
    if brackets and len(text) - brackets[-1][0] < 200:
        opened, inner = brackets[-1]
        text = text[:opened] + text[inner:]
    return _closed(text, marks)


def _unclosed(opening: str, text: str) -> str | None:
    """The mark that closes a formula which has begun, "" where nothing of it has come. None: `text`
    is no formula."""
    if not text.strip():
        return ""
    if "\n\n" in text or len(text) > LONGEST_INLINE:
        return None
    # After one dollar, only what would be read as Markdown otherwise.
    is_sure = opening != "$" or _MARKED.match(text)
    return closing_mark(opening) if is_sure and looks_like_tex(text) else None


def _is_in_address(text: str, place: int) -> bool:
    return _ADDRESS.search(text, max(0, place - LONGEST_ADDRESS), place) is not None


def _closing_tick(text: str, tick: str, position: int) -> int:
    """Return where the code span that `tick` opens ends, -1 when it does not."""
    for found in _TICKS.finditer(text, position):
        if found.group() == tick:
            return found.end()
    return -1


def _toggle(marks: list[str], mark: str, text: str, start: int, end: int) -> None:
    opens = end < len(text) and not text[end].isspace()
    closes = start > 0 and not text[start - 1].isspace()
    while closes and mark:
        found = _opened_by(marks, mark, is_inside=opens)
        if found < 0:
            break
        opening = marks[found]
        used = min(len(opening), len(mark))
        marks[found:] = [opening[used:]] if used < len(opening) else []
        mark = mark[used:]
    if opens and mark:
        marks.append(mark)


def _opened_by(marks: list[str], mark: str, is_inside: bool) -> int:
    """Which of the open marks is closed by this one, or by a part of it, or is in part: `***`
    closes a `*` in a `**`, and either closes a part of `***`. -1: none. `is_inside`: it stands in a
    word, and by CommonMark's rule of three may begin something there."""
    for place in reversed(range(len(marks))):
        if marks[place] == mark:
            return place
    for place in reversed(range(len(marks))):
        size = len(marks[place])
        fits = size < len(mark) or size == 3
        if marks[place][0] == mark[0] and fits and not (is_inside and (size + len(mark)) % 3 == 0):
            return place
    return -1


def _toggle_tag(marks: list[str], tag: str) -> None:
    if not tag.startswith("/"):
        marks.append(f"</{tag}>")
    elif f"<{tag}>" in marks:
        del marks[len(marks) - 1 - marks[::-1].index(f"<{tag}>") :]


def _closed(text: str, marks: Sequence[str]) -> str:
    marks = marks[-MOST_MARKS:]
    if not marks:
        return text
    body = text.rstrip()
    while marks and body.endswith(marks[-1]):  # nothing stands between the mark and the end
        body, marks = body[: -len(marks[-1])].rstrip(), marks[:-1]
    return body + "".join(reversed(marks))

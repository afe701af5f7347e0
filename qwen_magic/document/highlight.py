"""Highlighting of code, line by line.

A line's HTML depends on the lines before it only through the state a `LineHighlighter` carries,
so that code which is still arriving and code which is complete get the same HTML by construction.
Pygments lexers carry their stack of states from line to line; comments that most lexers match by
one expression over several lines (`/* … */`, `<!-- … -->`) are carried here. A line longer than
`LONGEST_PIECE` is lexed in pieces of that length, so that no line costs more than its length.

Three things are marked: `<b>` keywords, `<span>` strings, `<i>` comments. They need no classes:
nothing else is marked inside code, and a saved answer is the shorter for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape

from pygments.lexer import ExtendedRegexLexer, Lexer, LexerContext, RegexLexer  # type: ignore[import-untyped]
from pygments.lexers import find_lexer_class, get_all_lexers  # type: ignore[import-untyped]
from pygments.lexers.data import YamlLexer, YamlLexerContext  # type: ignore[import-untyped]
from pygments.token import Comment, Generic, Keyword, Operator, String, _TokenType  # type: ignore[import-untyped]

LONGEST_PIECE = 500
LONGEST_LABEL = 24

_PIECE = re.compile(rf"[^\n]{{0,{LONGEST_PIECE}}}\n|[^\n]{{1,{LONGEST_PIECE}}}")
_MARKUP = {
    "": ("", ""),
    "keyword": ("<b>", "</b>"),
    "string": ("<span>", "</span>"),
    "comment": ("<i>", "</i>"),
}
_SLASHED = frozenset(
    (
        *("C", "C++", "C#", "CSS", "CUDA", "D", "Dart", "GLSL", "Go", "Groovy", "Java"),
        *("JavaScript", "JSX", "Kotlin", "LessCss", "Objective-C", "PHP", "Rust", "SCSS"),
        *("Scala", "SQL", "Swift", "TSX", "TypeScript"),
    )
)
# What counts as Python. A console's session or a traceback (`pycon`, `pytb`) is none to run.
_PYTHON = frozenset(("", "python", "py", "python3", "py3", "ipython", "ipython3", "pyspark"))
_ANGLED = frozenset(("HTML", "XML", "Vue", "Svelte"))
_SPELLINGS = {"Text only": "Text", "Bash Session": "Console"}


def highlight_pieces(code: str, language: str) -> list[str]:
    """The HTML of each of the code's `pieces`; only escaped for an unknown language."""
    highlighter = LineHighlighter(language)
    return [highlighter.line(piece) for piece in pieces(code)]


def pieces(code: str) -> list[str]:
    """Split code into the pieces that a highlighter takes: lines, with long ones split again."""
    return _PIECE.findall(code)


def is_python(language: str) -> bool:
    """Whether a code block with this label (`py`; "" for none) can run as Python."""
    return language.lower() in _PYTHON


def python_labels() -> list[str]:
    """The lower-case labels of Python code blocks, for the page."""
    return sorted({language_label(language).lower() for language in _PYTHON})


def language_label(language: str) -> str:
    """Return the name a reader knows a language by ("Python" for "py"), else the word itself."""
    name = _lexer_names().get(language.lower())
    if name is None:
        return language[:LONGEST_LABEL]
    return _SPELLINGS.get(name, name)


class LineHighlighter:
    """Turns the pieces of one code block into HTML, in order.

    `line(piece)` takes what `pieces` yields: a line with its newline, or at most `LONGEST_PIECE`
    characters of a longer one. `preview(piece)` gives the HTML of a piece that may still grow
    and leaves the state as it was. A long one is lexed again when it is longer by half; meanwhile
    what is new of it is plain.
    """

    def __init__(self, language: str) -> None:
        self._lexer = _lexer(language.lower())
        self._context: LexerContext | None = None
        self._until = ""  # the end of the comment we are inside
        self._comment = _comment_marks(self._lexer)
        self._previewed = "", ""  # a piece, and its HTML
        if isinstance(self._lexer, RegexLexer):
            of_yaml = isinstance(self._lexer, YamlLexer)
            self._context = (YamlLexerContext if of_yaml else LexerContext)("", 0)

    def line(self, text: str) -> str:
        """Return the HTML of the next piece. A blank line's newline is a reference: in a page of
        Markdown, which nbconvert makes of a saved answer, a blank line would end the HTML."""
        self._previewed = "", ""
        marked = [("", text)] if self._lexer is None else self._marked(text)
        html = _markup(marked)
        return html.replace("\n", "&#10;") if text.isspace() else html

    def preview(self, text: str) -> str:
        """Return the HTML of a piece that is not complete."""
        shown, html = self._previewed
        if len(text) < 1.5 * len(shown) and text.startswith(shown):
            return html + escape(text[len(shown) :], quote=False)
        before = _copy(self._context), self._until
        try:
            html = self.line(text)
        finally:
            self._context, self._until = before
        self._previewed = text, html
        return html

    def _marked(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield (kind, text), kind "" for plain."""
        if self._until:
            end = text.find(self._until)
            if end < 0:
                yield "comment", text
                return
            end += len(self._until)
            yield "comment", text[:end]
            text, self._until = text[end:], ""
        start = self._comment_start(text)
        yield from self._lexed(text[:start])
        if start < len(text):
            self._until = self._comment[1]
            yield "comment", text[start:]

    def _comment_start(self, text: str) -> int:
        """Return where a comment begins that this piece does not end, else its length."""
        opening, closing = self._comment
        start = text.rfind(opening) if opening else -1
        if start < 0 or closing in text[start + len(opening) :]:
            return len(text)
        before = self._context, self._until
        self._context = _copy(self._context)
        kinds = list(self._lexed(text[:start] + "x"))
        self._context, self._until = before
        inside = kinds and kinds[-1][0] in ("string", "comment")
        return len(text) if inside else start

    def _lexed(self, text: str) -> Iterator[tuple[str, str]]:
        if not text or self._lexer is None:
            return
        ended = text.endswith("\n") or len(text) >= LONGEST_PIECE
        try:
            found = list(self._tokens(text if ended else text + "\n"))
        except Exception:  # a lexer's callback that cannot work on one line; the text matters more
            found = []
            if self._context is not None:
                self._context.stack = ["root"]
        if not ended and found and found[-1][1].endswith("\n"):  # many rules need a line's end
            found[-1] = (found[-1][0], found[-1][1][:-1])
        if "".join(value for _, value in found) != text:
            found = [("", text)]
        yield from ((kind, value) for kind, value in found if value)

    def _tokens(self, text: str) -> Iterator[tuple[str, str]]:
        if self._context is None:
            assert self._lexer is not None
            for _, kind, value in self._lexer.get_tokens_unprocessed(text):
                yield _kind(kind), value
            return
        context = self._context
        context.text, context.pos, context.end = text, 0, len(text)
        for _, kind, value in ExtendedRegexLexer.get_tokens_unprocessed(
            self._lexer, context=context
        ):
            yield _kind(kind), value


def _copy(context: LexerContext | None) -> LexerContext | None:
    """Return a context that lexing can change while the other stays as it is. (`copy.copy` takes as
    long as lexing half a line.)"""
    if context is None:
        return None
    twin = object.__new__(type(context))
    for name, value in vars(context).items():
        setattr(twin, name, value.copy() if isinstance(value, list) else value)
    return twin


def _markup(tokens: Iterable[tuple[str, str]]) -> str:
    """Join neighbours of one kind and wrap them."""
    out: list[str] = []
    run: list[str] = []
    last = ""
    for kind, value in tokens:
        if kind != last and (not kind or value.strip()):
            out.append(_wrapped(last, run))
            run.clear()
            last = kind
        run.append(value)
    return "".join([*out, _wrapped(last, run)])


def _wrapped(kind: str, run: list[str]) -> str:
    opening, closing = _MARKUP[kind] if run else ("", "")
    return f"{opening}{escape(''.join(run), quote=False)}{closing}"


@lru_cache(maxsize=1024)
def _kind(token: _TokenType) -> str:
    """Of a difference (`diff`): what was put in, what was taken out, and its headings."""
    if token in Comment.Preproc or token in Generic.Deleted:
        return "keyword"
    if token in Comment.PreprocFile or token in String or token in Generic.Inserted:
        return "string"
    if token in Comment or token in Generic.Heading or token in Generic.Subheading:
        return "comment"
    return "keyword" if token in Keyword or token in Operator.Word else ""


def _comment_marks(lexer: Lexer | None) -> tuple[str, str]:
    name = lexer.name if lexer is not None else ""
    if name in _SLASHED:
        return "/*", "*/"
    return ("<!--", "-->") if name in _ANGLED else ("", "")


@lru_cache(maxsize=1)
def _lexer_names() -> dict[str, str]:
    return {
        alias: name for name, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases
    }


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    name = _lexer_names().get(language)
    found = find_lexer_class(name) if name and name != "Text only" else None
    if found is None:
        return None
    options = {"startinline": True} if name == "PHP" else {}
    return found(ensurenl=False, stripnl=False, **options)

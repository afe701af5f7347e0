"""A Markdown text that arrives piece by piece.

Theory. CommonMark's blocks are decided line by line, and what ends a block is a line behind it. So
the text is a row of blocks of which all but the last are *closed*: their HTML is that of a whole
parse, and no later line changes it (but for link references used before they are defined, which
`finish` puts right). The last is *open*: any next line may still belong to it, or make it something
else ("Title" is a paragraph, until "=====" comes below).

States. The open block begins at the first line of `_source`. Who has it is one of:

    nobody      it is small, or of a kind that is rendered whole: every update parses it again, or,
                when it is large, only after it has grown by an eighth (meanwhile what is new of
                it shows as plain text)
    a renderer  (`rules`) takes its lines one by one, settles HTML through a writer, shows the rest
                as a tail: the work of an update does not grow with the block
    finish      one whole parse of the whole text, the last word

Transitions. Complete lines that came go to the renderer, if there is one. Where there is none, or
it meets a line which is not its own, `_settle` parses `_source`: every block of it that has another
behind it is closed (`closed_count`), `_source` begins anew at the last, and a renderer is looked
for. Where such a parse closes nothing although a renderer had the block, the renderer was wrong
about it, and nobody has the block any more (`_odd`).

Example, three updates:

    append "# Sum\n\nIt is"     h1 closed; a paragraph open: nobody, parsed at each update
    append " **4**, and …"      160 characters on, a ParagraphRenderer settles up to a space
    append "…\n\n- a"           its line ends it; `_settle` closes the paragraph; a list is open
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from io import IncrementalNewlineDecoder
from typing import Any, Final

from qwen_magic.document.links import is_linkable
from qwen_magic.document.markdown.maths import opened_in
from qwen_magic.document.markdown.parser import (
    Bound,
    Citation,
    ParsedBlock,
    Token,
    blocks_of,
    drawn,
    new_env,
    parse,
)
from qwen_magic.document.markdown.render import (
    AS_WRITTEN,
    PARAGRAPH_OPEN,
    RenderedBlock,
    SandboxImage,
    as_written,
    block_htmls,
    render_blocks,
    text_html,
)
from qwen_magic.document.markdown.rules import start_block
from qwen_magic.document.markdown.rules.fence import FenceRenderer
from qwen_magic.document.markdown.rules.renderer import (
    BlockRenderer,
    Context,
    Highlights,
    due,
    is_blank,
    is_paragraph,
    looks_like_table,
    paragraph_html,
)
from qwen_magic.document.markdown.sent import MarkdownBlock, SentBlock, Writer
from qwen_magic.document.markdown.unfinished import presentable
from qwen_magic.document.patches import Patch, Remove
from qwen_magic.document.words import revealed

LARGE: Final = 1000  # characters from which a block that nobody has is rendered only now and then
LONGEST_LINE: Final = 4096  # … from here on, what was shown of it is put away
LONG_LINE: Final = 160  # a line that has begun and is this long counts as a line
MOST_BLANK: Final = 30  # blank lines in a row
_FROM_BEHIND: Final = re.compile(r"\[\^|<!--")  # of what may change blocks that are closed
_CUT: Final = "\0\n"  # ends the line behind which nothing is drawn; no text holds it
_NO_FENCE: Final = Token("fence", "code", 0, markup="\0\0\0", info="text")  # which no line closes
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")


class MarkdownStream:
    """Turns a growing Markdown text into patches of its HTML.

    `append` only stores; `update` does the work and returns what changed since the last call.
    `parent` is the id of the element that holds the text, `prefix` begins the ids of its blocks.
    `citation` maps the number of a `[n]` to a URL, or None.
    """

    def __init__(
        self, parent: str = "", prefix: str = "b", citation: Citation | None = None
    ) -> None:
        self._parent = parent
        self._prefix = prefix
        self._citation = citation
        self._urls: dict[int, str | None] = {}  # the addresses of citations, as they were first
        self._env = new_env(citation and self._cite, arrives=True)
        self._highlights = Highlights()
        self._splitter = LineSplitter()
        self._entries: list[SentBlock] = []
        self._closed = 0  # how many entries are closed
        self._sent = 0  # how many of them every view has
        self._numbered = 0
        self._gone: list[SentBlock] = []
        self._source: list[str] = []  # the complete lines from the open block's first
        self._size = 0  # their characters
        self._blank_lines = 0  # the last of them in a row
        self._is_all_seen = True  # no blank line, which counts in code, was left out
        self._due = 0.0  # the size from which they are parsed again
        self._shown = 0  # how much of them the open entries show, when nobody has the block
        self._renderer: BlockRenderer | None = None
        self._writer: Writer | None = None
        self._committed = False  # the source holds a line in pieces
        self._odd = False  # a renderer was wrong about the open block
        self._is_rest = False  # the open block is what is not drawn (`parser.Bound`)
        self._begun: tuple[str, list[str]] = "", []  # a line below the open block, as it is shown
        self._plain: Writer | None = None  # text of a large block that is not rendered yet
        self._plain_size = 0
        self._finished = False
        self._last = 0  # where the last block begins in the text, where `finish` knows it
        self.cited: set[int] = set()  # the numbers of the citations in closed blocks

    @property
    def blocks(self) -> Sequence[MarkdownBlock]:
        """The blocks as they stand after the last update."""
        return [entry.block(index < self._closed) for index, entry in enumerate(self._entries)]

    @property
    def html(self) -> str:
        """The whole as it stands; after `finish`, what `render_markdown` gives."""
        return "".join(f"{entry.html}\n" for entry in self._entries)

    def append(self, text: str) -> None:
        """Add text at the end."""
        self._splitter.feed(text)

    def update(self) -> list[Patch]:
        """Return the patches that lead from the last call to the text as it is now."""
        lines = self._splitter.lines()
        if lines is not None:
            self._take(lines)
            self._show()
        return self._patches()

    def finish(self) -> list[Patch]:
        """What has come is the whole: return the patches that lead there.

        What is closed stands; but the whole is parsed once where the text has what changes a block
        from behind.
        """
        lines, last = self._splitter.end()
        self._take(lines)
        if not self._finished:
            self._end(last)
        if self._finished or not self._stands():
            self._closed = self._sent = self._last = 0
            self._env = new_env(self._citation)
            self.cited = set()
            text, rest = drawn(self._splitter.whole)
            self._close_all(text)
            if rest:
                self._close(AS_WRITTEN)
                self._close(as_written(rest, self._highlights))
            self._drop_open()
        self._finished = True
        self._source = []
        self._highlights.known.clear()
        return self._patches()

    def _end(self, last: str) -> None:
        """Close all that has come, the end of which is `last`, no whole line."""
        if self._renderer is not None and last:
            self._renderer.line(last + "\n")
        self._end_renderer()
        self._last = self._splitter.length - self._size - len(last)
        text = "".join([*self._source, last])
        if self._is_rest:
            self._close(as_written(text, self._highlights))
        else:
            self._close_all(text)
        self._drop_open()

    def _close_all(self, text: str) -> None:
        for block in blocks_of(parse(text, self._child_env())):
            self._close_block(block)
        self._env["settled"].clear()

    def _begin_rest(self, last: str) -> None:
        """All that is drawn has come, its end being `last`; what follows is shown as it is."""
        self._end(last)
        self._source, self._size, self._is_rest = [], 0, True
        self._close(AS_WRITTEN)
        self._writer = Writer()
        context = Context(self._writer, self._env, self._highlights, start_block)
        self._renderer = FenceRenderer(context, _NO_FENCE, "")

    def _stands(self) -> bool:
        """Whether a whole parse gives the closed blocks: the text has no definitions, footnotes and
        comments, which mean something for what is before, all citations are what they were, and no
        character looked as if it was hidden only because its neighbours came later."""
        splitter, env = self._splitter, self._env
        return self._is_all_seen and not (
            env["references"]
            or env["macros"]
            or _FROM_BEHIND.search(splitter.whole)
            or len(splitter.whole) != splitter.length
            or any(self._cite(number) != url for number, url in self._urls.items())
        )

    def _cite(self, number: int) -> str | None:
        """The citation callback, whose first answers are kept."""
        url = self._citation(number) if self._citation is not None else None
        self._urls.setdefault(number, url)
        return url

    def last_start(self, source: str) -> int:
        """After `finish`: where the last block begins in `source`, the text as it came; 0 where
        nobody knows."""
        return self._last if self._splitter.whole == source else 0

    @property
    def images(self) -> list[SandboxImage]:
        """The images that are files of the sandbox, in order, in closed blocks."""
        return [piece for piece in self.pieces if isinstance(piece, SandboxImage)]

    @property
    def pieces(self) -> list[str]:
        """The HTML in the renderer's pieces; of an open block it is one."""
        return [
            piece for entry in self._entries for piece in (*(entry.pieces or (entry.html,)), "\n")
        ]

    def show_figures(self, figures: Mapping[str, str]) -> list[Patch]:
        """Put figures in the place of the sandbox's files (`figures`: a data URI by address), after
        `finish`."""
        for entry in self._entries:
            entry.show_figures(figures)
        self._sent = 0
        return self._patches()

    def _take(self, lines: list[str]) -> None:
        """Take complete lines."""
        before = len(self._source)
        for line in lines:
            if line.endswith(_CUT):
                self._begin_rest(line.removesuffix(_CUT))
                continue
            if self._renderer is not None and self._renderer.line(line):
                self._end_renderer()
                before = len(self._source)
            self._blank_lines = self._blank_lines + 1 if is_blank(line) else 0
            if self._renderer is None and self._blank_lines > MOST_BLANK:
                self._is_all_seen = False
                continue
            self._source.append(line)
            self._size += len(line)
        if self._renderer is None and self._size >= self._due:
            # A blank line begins no block, nor does the first line of a paragraph end one.
            new = [line for line in self._source[before:] if not is_blank(line)]
            alone = before == 0 and len(lines) == 1 and is_paragraph(lines[0])
            if new and not (alone and self._size < LONG_LINE):
                self._settle()

    def _end_renderer(self) -> None:
        """Let the renderer finish; its writer goes on showing the block until it is closed."""
        if self._renderer is not None and self._writer is not None:
            self._renderer.close()
            self._renderer = None
            self._due = 0
            self._writer.tail = ""

    def _settle(self, partial: str = "") -> None:
        """Close the blocks that are closed; find somebody for the open one.

        `partial` counts as a line.
        """
        lines = [*self._source, partial] if partial else self._source
        if self._committed:
            self._committed = False
            lines = _LINE.findall("".join(lines))
            self._source = lines[:-1] if partial else lines
        found = blocks_of(parse("".join(lines), self._child_env()))
        count = closed_count(found, lines)
        for block in found[:count]:
            self._close_block(block)
        self._env["settled"].clear()
        self._odd = count == 0 and (self._odd or self._writer is not None)
        self._writer = self._plain = None
        self._source = found[count].onwards(self._source) if found else []
        self._size = sum(map(len, self._source))
        self._due = self._size * 1.12 if self._size > LARGE else 0
        self._shown = 0
        if len(found) == count + 1 and not partial:
            self._start(found[-1], "")

    def _start(self, block: ParsedBlock, partial: str) -> None:
        """Hand the open block to a renderer, if there is one for it."""
        if self._odd:
            return
        env = self._child_env()
        writer = Writer()
        context = Context(writer, env, self._highlights, start_block)
        self._renderer = start_block(block, self._source, partial, context, False, 0)
        self._writer = writer if self._renderer is not None else None

    def _show(self) -> None:
        """Show the open block."""
        partial = self._splitter.partial
        if self._writer is None and not self._waits():
            self._show_parsed(partial)
        if self._writer is None:
            return
        tail = "" if is_blank(partial) else None
        if self._renderer is not None:
            tail = self._renderer.show(partial)
        if tail is None and len(partial) > LONG_LINE and is_paragraph(partial):
            self._end_renderer()
            self._settle(partial)
            self._show()
            return
        if self._renderer is not None:
            self._writer.tail = (self._renderer.show("") or "") if tail is None else tail
            if len(partial) > LONGEST_LINE and tail is not None and self._renderer.commit(partial):
                self._source.append(partial)
                self._size += len(partial)
                self._splitter.partial = ""
                self._committed = True
        self._open_entries([self._writer, *(self._htmls(partial) if tail is None else [])])

    def _show_parsed(self, partial: str) -> None:
        """Show an open block that nobody has, or find somebody for it."""
        text = "".join(self._source) + partial
        if len(text) < LONG_LINE and self._is_line(partial):
            self._open_entries([paragraph_html(presentable(text), self._env)])
            return
        found = blocks_of(parse(presentable(text), self._child_env())) if text else []
        if len(found) == 1 and partial:
            self._start(found[0], partial)
        if self._renderer is None:
            self._open_entries(self._visible(found))
            self._shown = len(text)
            self._plain = None

    def _is_line(self, partial: str) -> bool:
        """Tell whether all there is is one line, and it can only be a paragraph."""
        if not self._source:
            return is_paragraph(partial)
        rest = [*self._source[1:], partial]
        return is_paragraph(self._source[0]) and all(map(is_blank, rest))

    def _waits(self) -> bool:
        """Show what is new of a large block as plain text until it is parsed again."""
        size = self._size + len(self._splitter.partial)
        if not self._shown or size >= due(self._shown, LARGE):
            return False
        if self._plain is None:
            self._plain = Writer()
            self._plain.open(PARAGRAPH_OPEN, "</p>")
            self._plain_size = self._shown
            shown = [entry.content for entry in self._entries[self._closed :]]
            self._open_entries([*shown, self._plain])
        text = "".join(self._source)[self._plain_size :] if self._size > self._plain_size else ""
        begun = self._splitter.partial[max(0, self._plain_size - self._size) :]
        self._plain.settle(text_html(text + begun))
        self._plain_size = size
        return True

    def _htmls(self, text: str) -> list[str]:
        """The blocks of a line that has begun below the open block."""
        if is_blank(text):
            return []
        shown, htmls = self._begun
        if not text.startswith(shown) or len(text) >= due(len(shown), LARGE):
            htmls = self._visible(blocks_of(parse(presentable(text), self._child_env())))
            self._begun = text, htmls
        return htmls

    def _visible(self, found: Sequence[ParsedBlock]) -> list[str]:
        shown = found[:-1] if found and looks_like_table(found[-1]) else found
        return [html for block in shown for html in block_htmls(block.tokens, self._highlights)]

    def _child_env(self) -> dict[str, Any]:
        """Return an env whose new references do not count until their block is closed."""
        return {**self._env, "references": ChainMap({}, self._env["references"])}

    def _close_block(self, block: ParsedBlock) -> None:
        for token in block.tokens:
            if token.type == "definition":
                for label, target in token.meta.items():
                    self._env["references"].setdefault(label, target)
            for child in token.children or ():
                if child.type == "citation" and is_linkable(str(child.attrs["href"])):
                    self.cited.add(child.meta["number"])
        for rendered in render_blocks(block.tokens, self._highlights):
            self._close(rendered)

    def _close(self, rendered: RenderedBlock) -> None:
        """Give the first open entry its last HTML."""
        if self._closed == len(self._entries):
            self._entries.append(self._new_entry())
        self._entries[self._closed].close(rendered)
        self._closed += 1

    def _open_entries(self, contents: Sequence[str | Writer]) -> None:
        """Let the entries behind the closed ones show these."""
        for index, content in enumerate(contents, self._closed):
            if index == len(self._entries):
                self._entries.append(self._new_entry())
            self._entries[index].show(content)
        self._drop_open(len(contents))

    def _drop_open(self, kept: int = 0) -> None:
        self._gone.extend(self._entries[self._closed + kept :])
        del self._entries[self._closed + kept :]

    def _new_entry(self) -> SentBlock:
        self._numbered += 1
        return SentBlock(f"{self._prefix}{self._numbered}")

    def _patches(self) -> list[Patch]:
        patches: list[Patch] = [Remove(entry.id) for entry in self._gone if entry.is_shown]
        self._gone = []
        for entry in self._entries[self._sent :]:
            patches.extend(entry.patches(self._parent))
        for entry in self._entries[self._sent : self._closed]:
            patches += entry.freeze()
        self._sent = self._closed
        return patches


def closed_count(found: Sequence[ParsedBlock], lines: Sequence[str]) -> int:
    """Return how many of the blocks of these complete lines no later line can change.

    All but the last; but text right below a definition may still turn out to be its title, and
    lines below a paragraph in which display maths has begun may turn out to be of that.
    """
    count = len(found) - 1
    for index in range(count):
        block, following = found[index], found[index + 1]
        is_text = block.kind == "paragraph_open" or block.tokens[0].markup in ("=", "-")
        if is_text and following.start == block.end and opened_in(block.tokens[1].content):
            count = index
            break
    while (
        count > 0
        and found[count - 1].kind == "definition"
        and found[count].start == found[count - 1].end
        and lines[found[count].start].lstrip()[:1] in ('"', "'", "(")
    ):
        count -= 1
    return max(0, count)


class LineSplitter:
    r"""Cuts text into lines as the parser does: "\r\n" and "\r" end one too, NUL is replaced.

    Characters that hide have their names instead (`words.revealed`), all of which a look at the
    whole may take back: the tags of a flag that came in pieces. A line that ends with `_CUT` is
    the last that is drawn."""

    def __init__(self) -> None:
        self._bound = Bound()
        self.partial = ""  # the line that has begun
        self.length = 0  # of what came, as it was revealed
        self._fed: list[str] = []
        self._last = ""  # the last character that came
        self._whole: list[str] = []
        self._newlines = IncrementalNewlineDecoder(None, translate=True)  # keeps a last "\r"

    def feed(self, text: str) -> None:
        """Add text at the end."""
        if text:
            self._fed.append(text)

    def lines(self, final: bool = False) -> list[str] | None:
        """Return the lines completed since the last call, None when nothing came."""
        if not self._fed:
            return None
        text = self._newlines.decode("".join(self._fed), final).replace("\0", "\ufffd")
        self._fed = []
        before, self._last = self._last, text[-1:]
        self._whole.append(text)
        if not (text.isascii() and text.isprintable()):  # else nothing hides, as nearly always
            text = revealed(text, before)
        self.length += len(text)
        if (end := self._bound.cut(text)) >= 0:
            text = text[:end] + _CUT + text[end:]
        if "\n" not in text:
            self.partial += text
            return []
        lines = _LINE.findall(self.partial + text)
        self.partial = "" if lines[-1].endswith("\n") else lines.pop()
        return lines

    def end(self) -> tuple[list[str], str]:
        """The lines since the last call, and the one that is not complete: no more text comes."""
        self._fed.append("")
        lines = self.lines(final=True) or []
        self._whole = ["".join(self._whole)]
        last, self.partial = self.partial, ""
        return lines, last

    @property
    def whole(self) -> str:
        """The text so far."""
        return revealed("".join(self._whole))

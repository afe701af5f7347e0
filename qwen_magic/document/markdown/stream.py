"""A Markdown text that arrives piece by piece.

The text is a row of blocks. All before the *open* one are closed: their HTML is that of a whole
parse, and no later line changes it (but for link references used before they are defined, which
`finish` puts right). The open block begins at the first line of `_source`; who has it is one of:

    nobody     it is small, or of a kind that is rendered whole: every update parses it again, or,
               when it is large, only after it has grown by `GROWTH`
    a grower   takes its lines one by one, settles HTML through a writer, shows the rest as a tail
    finish     one whole parse of the whole text, the last word

A block is closed only where a parse of complete lines shows a later block behind it. A grower that
meets a line which is not its own asks for that parse; where the parse disagrees, nobody has the
block any more.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from typing import Any

from qwen_magic.document.markdown.block import Entry, MarkdownBlock
from qwen_magic.document.markdown.citations import Citation
from qwen_magic.document.markdown.inline import text_html
from qwen_magic.document.markdown.lines import LineSplitter, split_lines
from qwen_magic.document.markdown.parser import new_env, parse
from qwen_magic.document.markdown.render import PARAGRAPH_OPEN, block_htmls
from qwen_magic.document.markdown.rules.renderer import Grower, Highlights, Kit, is_blank
from qwen_magic.document.markdown.rules.start import start_grower
from qwen_magic.document.markdown.spans import Span, closed_count, looks_like_table, spans
from qwen_magic.document.markdown.text import is_paragraph, paragraph_html
from qwen_magic.document.markdown.unfinished import presentable
from qwen_magic.document.markdown.writer import Writer
from qwen_magic.document.patches import Patch, Remove

LARGE = 1000  # characters from which a block that nobody has is rendered only now and then
LONGEST_LINE = 4096  # … from here on, what was shown of it is put away
LONG_LINE = 160  # a line that has begun and is this long counts as a line
GROWTH = 0.12


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
        self._env = new_env(citation)
        self._highlights = Highlights()
        self._splitter = LineSplitter()
        self._entries: list[Entry] = []
        self._closed = 0  # how many entries are closed
        self._sent = 0  # how many of them every view has
        self._numbered = 0
        self._gone: list[Entry] = []
        self._source: list[str] = []  # the complete lines from the open block's first
        self._size = 0  # their characters
        self._due = 0  # the size from which they are parsed again
        self._shown = 0  # how much of them the open entries show, when nobody has the block
        self._grower: Grower | None = None
        self._writer: Writer | None = None
        self._absorbed = False  # the source holds a line in pieces
        self._odd = False  # a grower was wrong about the open block
        self._plain: Writer | None = None  # text of a large block that is not rendered yet
        self._plain_size = 0

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
        """Parse the whole once; return the patches that lead there."""
        self._end_grower()
        text = self._splitter.finish()
        env = new_env(self._env["citation"])
        htmls = block_htmls(parse(text, env), self._highlights)
        self._closed = self._sent = 0
        for html in htmls:
            self._close(html)
        self._drop_open()
        self._source = []
        return self._patches()

    def _take(self, lines: list[str]) -> None:
        """Take complete lines."""
        before = len(self._source)
        for line in lines:
            if self._grower is not None and not self._grower.line(line):
                self._end_grower()
                before = len(self._source)
            self._source.append(line)
            self._size += len(line)
        if self._grower is None and self._size >= self._due:
            # A blank line begins no block, nor does the first line of a paragraph end one.
            new = [line for line in self._source[before:] if not is_blank(line)]
            alone = before == 0 and len(lines) == 1 and is_paragraph(lines[0])
            if new and not (alone and self._size < LONG_LINE):
                self._settle()

    def _end_grower(self) -> None:
        """Let the grower finish; its writer goes on showing the block until it is closed."""
        if self._grower is not None and self._writer is not None:
            self._grower.close()
            self._grower = None
            self._due = 0
            self._writer.tail = ""

    def _settle(self, partial: str = "") -> None:
        """Close the blocks that are closed; find somebody for the open one.

        `partial` counts as a line.
        """
        lines = [*self._source, partial] if partial else self._source
        if self._absorbed:
            self._absorbed = False
            lines = split_lines("".join(lines))
            self._source = lines[:-1] if partial else lines
        found = spans(parse("".join(lines), self._child_env()))
        count = closed_count(found, lines)
        for span in found[:count]:
            self._close_span(span)
        self._odd = count == 0 and (self._odd or self._writer is not None)
        self._writer = self._plain = None
        first = found[count].start if found else len(self._source)
        self._source = self._source[first:]
        self._size = sum(map(len, self._source))
        self._due = int(self._size * (1 + GROWTH)) if self._size > LARGE else 0
        self._shown = 0
        if len(found) == count + 1 and not partial:
            self._start(found[-1], "")

    def _start(self, span: Span, partial: str) -> None:
        """Hand the open block to a grower, if there is one for it."""
        if self._odd:
            return
        env = self._child_env()
        writer = Writer()
        kit = Kit(writer, env, self._highlights, start_grower)
        self._grower = start_grower(span, self._source, partial, kit, False, 0)
        self._writer = writer if self._grower is not None else None

    def _show(self) -> None:
        """Show the open block."""
        partial = self._splitter.partial
        if self._writer is None and not self._waits():
            self._show_parsed(partial)
        if self._writer is None:
            return
        tail = "" if is_blank(partial) else None
        if self._grower is not None:
            tail = self._grower.show(partial)
        if tail is None and len(partial) > LONG_LINE and is_paragraph(partial):
            self._end_grower()
            self._settle(partial)
            self._show()
            return
        if self._grower is not None:
            self._writer.tail = (self._grower.show("") or "") if tail is None else tail
            if len(partial) > LONGEST_LINE and tail is not None and self._grower.absorb(partial):
                self._source.append(partial)
                self._size += len(partial)
                self._splitter.partial = ""
                self._absorbed = True
        self._open_entries([self._writer, *(self._htmls(partial) if tail is None else [])])

    def _show_parsed(self, partial: str) -> None:
        """Show an open block that nobody has, or find somebody for it."""
        text = "".join(self._source) + partial
        if len(text) < LONG_LINE and self._is_line(partial):
            self._open_entries([paragraph_html(presentable(text), self._env)])
            return
        found = spans(parse(presentable(text), self._child_env())) if text else []
        if len(found) == 1 and partial:
            self._start(found[0], partial)
        if self._grower is None:
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
        if not self._shown or size < LARGE or size >= self._shown * (1 + GROWTH):
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
        if is_blank(text):
            return []
        return self._visible(spans(parse(presentable(text), self._child_env())))

    def _visible(self, found: Sequence[Span]) -> list[str]:
        shown = found[:-1] if found and looks_like_table(found[-1]) else found
        return [html for span in shown for html in self._html(span)]

    def _html(self, span: Span) -> list[str]:
        return block_htmls(span.tokens, self._highlights)

    def _child_env(self) -> dict[str, Any]:
        """Return an env whose new references do not count until their block is closed."""
        return {**self._env, "references": ChainMap({}, self._env["references"])}

    def _close_span(self, span: Span) -> None:
        for token in span.tokens:
            if token.type == "definition":
                for label, target in token.meta.items():
                    self._env["references"].setdefault(label, target)
        for html in self._html(span):
            self._close(html)

    def _close(self, html: str) -> None:
        """Give the first open entry its last HTML."""
        if self._closed == len(self._entries):
            self._entries.append(self._new_entry())
        self._entries[self._closed].close(html)
        self._closed += 1

    def _open_entries(self, contents: Sequence[str | Writer]) -> None:
        """Let the entries behind the closed ones show these."""
        for index, content in enumerate(contents, self._closed):
            if index == len(self._entries):
                self._entries.append(self._new_entry())
            self._entries[index].content = content
        self._drop_open(len(contents))

    def _drop_open(self, kept: int = 0) -> None:
        self._gone.extend(self._entries[self._closed + kept :])
        del self._entries[self._closed + kept :]

    def _new_entry(self) -> Entry:
        self._numbered += 1
        return Entry(f"{self._prefix}{self._numbered}")

    def _patches(self) -> list[Patch]:
        patches: list[Patch] = [Remove(entry.id) for entry in self._gone if entry.is_shown]
        self._gone = []
        for entry in self._entries[self._sent :]:
            patches.extend(entry.patches(self._parent))
        for entry in self._entries[self._sent : self._closed]:
            entry.freeze()
        self._sent = self._closed
        return patches

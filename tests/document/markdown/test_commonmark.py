"""The CommonMark spec's examples, one character at a time."""

from __future__ import annotations

from collections.abc import Callable

from markdown_it import MarkdownIt

from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.document.markdown.parser import new_env, parse

NEED_THE_FINAL_PASS = 3  # two use a reference in a block before the one that defines it; a
# comment with a blank line in it, that is closed later

# The spec's examples (by number) that we read otherwise, on purpose.
ADDRESSES = {602, 608, 611, 612}  # written in the text, they are links
COMMENTS = {177, 179, 183, 308, 309, 625, 626}  # they are left out, all other HTML is text
MATHS = {12}  # `\(` before `\)`
SHOWN = {203, 204}  # `[foo]: first`, which is no address


def test_all_else_is_commonmark(commonmark: list[str]) -> None:
    spec = MarkdownIt("commonmark", {"html": False})

    def as_in_the_spec(text: str) -> str:
        tokens = parse(text, new_env())
        shown = [t for t in tokens if not (t.hidden and t.type in ("definition", "comment"))]
        return str(spec.renderer.render(shown, spec.options, {}))

    others = {
        n for n, text in enumerate(commonmark, 1) if as_in_the_spec(text) != spec.render(text)
    }
    assert others == ADDRESSES | COMMENTS | MATHS | SHOWN


def test_closed_blocks_are_final_at_every_prefix(commonmark: list[str]) -> None:
    assert len(commonmark) == 652
    corrected = []
    for text in commonmark:
        stream = MarkdownStream()
        closed: list[str] = []
        for character in text:
            stream.append(character)
            stream.update()
            now = [block.html for block in stream.blocks if block.closed]
            assert now[: len(closed)] == closed, "a closed block changed"
            closed = now
        stream.finish()
        assert stream.html == render_markdown(text)
        if [block.html for block in stream.blocks][: len(closed)] != closed:
            corrected.append(text)
    assert len(corrected) == NEED_THE_FINAL_PASS, corrected


def test_a_view_shows_the_snapshot_at_every_prefix(
    commonmark: list[str],
    new_view: Callable[[], object],
    block_shapes: Callable[[object], list[object]],
) -> None:
    for text in commonmark:
        stream, view = MarkdownStream(), new_view()
        for character in text:
            stream.append(character)
            view.apply(stream.update())
            assert view.shapes() == block_shapes(stream.blocks)
        view.apply(stream.finish())
        assert view.shapes() == block_shapes(stream.blocks)

"""What the Markdown tests share: the spec's examples, and a small tree that patches apply to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qwen_magic.document.markdown import MarkdownBlock
from qwen_magic.document.patches import Add, Extend, Grow, Keep, Patch, Remove, Replace

VOID = frozenset(("br", "hr", "img"))


@dataclass(eq=False)
class Element:
    """An element, its children being elements and strings."""

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: list[Element | Text] = field(default_factory=list)

    def last_child(self) -> Element:
        return next(c for c in reversed(self.children) if isinstance(c, Element))

    def shape(self) -> object:
        """The tree as a value; neighbouring texts are one."""
        shapes: list[object] = []
        for child in self.children:
            if isinstance(child, Element):
                shapes.append(child.shape())
            elif shapes and isinstance(shapes[-1], str):
                shapes[-1] += child.text
            elif child.text:
                shapes.append(child.text)
        return (self.tag, tuple(self.attrs.items()), tuple(shapes))


@dataclass(eq=False)
class Text:
    """A text node."""

    text: str


class Builder(HTMLParser):
    """Builds a tree; every element must be closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("root")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attrs) == len(attrs), f"an attribute twice: {attrs}"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert tag not in VOID
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(Text(data))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def tree(html: str) -> Element:
    """Parse well-formed HTML to its root."""
    builder = Builder()
    builder.feed(html)
    builder.close()
    (root,) = builder.open
    return root


class View:
    """A small real view: keeps the blocks' elements and tails, as a browser's does."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.elements: dict[str, Element] = {}
        self.tails: dict[str, tuple[Element, list[Element | Text]]] = {}

    def apply(self, patches: Iterable[Patch]) -> None:
        for patch in patches:
            match patch:
                case Add(id, _, html):
                    assert id not in self.elements
                    self.order.append(id)
                    self._put(id, html)
                case Replace(id, html):
                    assert id in self.elements
                    self._put(id, html)
                case Extend(id, depth, html, tail):
                    self._extend(id, depth, html, tail)
                case Grow(id, tail):
                    self._grow(id, tail)
                case Keep(id):
                    del self.tails[id]
                case Remove(id):
                    self.order.remove(id)
                    del self.elements[id]

    def _put(self, id: str, html: str) -> None:
        (element,) = tree(html).children
        assert isinstance(element, Element)
        self.elements[id] = element
        self.tails.pop(id, None)

    def _extend(self, id: str, depth: int, html: str, tail: str) -> None:
        if id in self.tails:
            parent, nodes = self.tails[id]
            for node in nodes:
                parent.children.remove(node)
        element = self.elements[id]
        for _ in range(depth):
            element = element.last_child()
        element.children.extend(tree(html).children)
        self.tails[id] = (element, [])
        self._grow(id, tail)

    def _grow(self, id: str, tail: str) -> None:
        element, nodes = self.tails[id]
        nodes += (made := tree(tail).children)
        element.children += made

    def shapes(self) -> list[object]:
        return [self.elements[id].shape() for id in self.order]


def shapes_of(blocks: Iterable[MarkdownBlock]) -> list[object]:
    """The trees of a snapshot's blocks."""
    shapes = []
    for block in blocks:
        (element,) = tree(block.html).children
        assert isinstance(element, Element)
        shapes.append(element.shape())
    return shapes


@pytest.fixture
def view() -> View:
    return View()


@pytest.fixture(scope="session")
def new_view() -> Callable[[], View]:
    return View


@pytest.fixture(scope="session")
def block_shapes() -> Callable[[Iterable[MarkdownBlock]], list[object]]:
    return shapes_of


@pytest.fixture(scope="session")
def parse_tree() -> Callable[[str], Element]:
    return tree


@pytest.fixture(scope="session")
def commonmark() -> list[str]:
    """The Markdown of the spec's 652 examples."""
    path = Path(__file__).with_name("commonmark-0.31.2.json")
    return [example["markdown"] for example in json.loads(path.read_text(encoding="utf-8"))]

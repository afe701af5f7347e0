"""Finds the secrets that are written into a source: literals behind secret names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from qwen_magic.context.exception.masking import QUOTED, is_secret_name

_INSIDE: Final = re.compile(r"(?<![\w\-])([A-Za-z_][\w\-]*)=([^\s,;&'\"]{4,})")


def written_secrets(source: str) -> Iterator[str | bytes]:
    """The literals in `source` that are given to a secret name, compared with one, or passed beside
    one; and what stands behind `password=` inside a text. None where it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        for target, value in _given(node):
            if any(map(is_secret_name, _names(target))):
                for literal in (each for part in value for each in _literals(part)):
                    yield from _written(source, literal)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name, inside in _INSIDE.findall(node.value):
                if is_secret_name(name):
                    yield inside


def _given(node: ast.AST) -> Iterator[tuple[Iterable[ast.AST], Iterable[ast.AST]]]:
    """Pairs of what may be named like a secret, and what then is one."""
    match node:
        case ast.Assign():
            yield node.targets, [node.value]
        case ast.AnnAssign() | ast.AugAssign() | ast.NamedExpr():
            yield [node.target], [node.value] if node.value else []
        case ast.keyword() if node.arg:
            yield [ast.Name(node.arg)], [node.value]
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            yield from (([name], [value]) for name, value in pairs if name is not None)
        case ast.Compare():
            yield [node.left, *node.comparators], [node.left, *node.comparators]
        case ast.Call():
            yield [node.func], node.args
            for number, named in enumerate(node.args, 1):
                if isinstance(named, ast.Constant):
                    yield [named], node.args[number:]
        case ast.Tuple() if len(node.elts) == 2:
            yield node.elts[:1], node.elts[1:]
        case ast.arguments():
            positional = reversed([*node.posonlyargs, *node.args])
            defaults = [*zip(positional, reversed(node.defaults), strict=False)]
            defaults += [
                (arg, default)
                for arg, default in zip(node.kwonlyargs, node.kw_defaults, strict=True)
                if default is not None
            ]
            yield from (([ast.Name(arg.arg)], [default]) for arg, default in defaults)


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Name():
                yield node.id
            case ast.Attribute():
                yield node.attr
            case ast.Constant(value=str() as text) if re.fullmatch(r"[\w\-]{1,60}", text):
                yield text
            case ast.Subscript():
                yield from _names([node.slice, node.value])
            case ast.Tuple() | ast.List():
                yield from _names(node.elts)


def _literals(node: ast.AST) -> Iterator[ast.Constant]:
    """Texts that the value is made of; not the names that it is looked up by."""
    match node:
        case ast.Constant(value=str() | bytes() as text):
            if isinstance(text, bytes) or not _is_name(text):
                yield node
        case ast.Subscript():
            yield from _literals(node.value)
        case ast.Dict():
            yield from (each for value in node.values for each in _literals(value))
        case _:
            yield from (each for part in ast.iter_child_nodes(node) for each in _literals(part))


def _written(source: str, literal: ast.Constant) -> Iterator[str | bytes]:
    """A literal; and its pieces, where it is written in several, one after the other."""
    if isinstance(literal.value, str | bytes):
        yield literal.value
    segment = ast.get_source_segment(source, literal) or ""
    pieces = re.findall(QUOTED, segment)
    for piece in pieces if len(pieces) > 1 else ():
        try:
            yield ast.literal_eval(piece)
        except (SyntaxError, ValueError):  # of an f-string
            continue


def _is_name(text: str) -> bool:
    """`DASHSCOPE_API_KEY`, `api-key`: what a secret is called. A secret may contain such words,
    but hardly consists of them."""
    return bool(re.fullmatch(r"[A-Za-z]+([_\-. ][A-Za-z]+)*:?\s*", text)) and is_secret_name(text)

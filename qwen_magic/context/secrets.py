"""Keeps secrets out of texts that nobody typed: tracebacks, sources, values.

`qwen_magic.masking` says what is one. Here nobody would miss a word: what is drawn by lot goes too,
and what was found in a secret's place (behind a name like `api_key`: in a dict, an attribute, an
assignment) is taken out wherever else it stands.
"""

from __future__ import annotations

import ast
import json
import re
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, zip_longest
from typing import Any, Final

from qwen_magic.masking import (
    LONG,
    MASKED,
    NAMED_ANY,
    NAMED_QUOTED,
    QUOTED,
    hidden,
    is_harmless,
    is_secret_name,
    looks,
    mask_named,
)

_NODES: Final = 20_000  # values looked at in search of secrets
_DEPTH: Final = 5
_MOST_PARTS: Final = 2_000  # of one value
_HARMLESS: Final = (bool, types.NoneType)
_MOST: Final = 3_000  # texts that are looked for everywhere
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)
_LONGEST_CUT: Final = 500  # characters of a secret that are looked for at the end of a text

_WORD: Final = r"[\w+/=\-]{24,}"
# Comments, magics and shell lines: words there are no expressions.
_NO_PYTHON: Final = r"(?m)#.*|^[^\S\n]*[%!].*|^.*get_ipython\(\).*"


class Secrets:
    """Texts to mask, collected by `add` and `search`."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        for value in known:
            self.add(value)

    def add(self, value: object) -> None:
        """Mask `value` if it is a text of at least three characters."""
        if isinstance(value, bytes | bytearray):
            value = bytes(value[:10_000]).decode("latin-1")
        if not isinstance(value, str) or len(text := str.__str__(value).strip()) < 3:
            return
        if len(self._values) > _MOST:
            return
        lines = text.splitlines()
        for part in (text, *(line for line in lines[:200] if len(line) >= LONG)):
            self._values |= {part, repr(part)[1:-1], json.dumps(part)[1:-1]}
            self._values.add(json.dumps(part, ensure_ascii=False)[1:-1])

    def search(self, value: object) -> None:
        """Mask the values under secret names inside `value`: dicts, lists, attributes.

        Breadth first, up to a limit. No code of the value is run.
        """
        left = _NODES
        waiting: deque[tuple[object, int, bool]] = deque([(value, 0, False)])
        seen: set[int] = set()
        while waiting and left:
            left -= 1
            node, depth, secret = waiting.popleft()
            if isinstance(node, str | bytes | bytearray):
                if secret:
                    self.add(node)
                continue
            if depth > _DEPTH or id(node) in seen:
                continue
            seen.add(id(node))
            for name, part in _parts(node):
                strong = secret or (is_secret_name(name) and not is_harmless(name, part))
                waiting.append((part, depth + 1, strong))

    def mask(self, text: str, *, code: bool = False) -> str:
        """Mask secrets in `text`, keeping its number of lines. In `code`, expressions stay: `key =
        input()`.
        """
        text = looks(hexadecimal=True).sub(hidden, self._without_known(text))
        if code:
            text = mask_named(text, NAMED_QUOTED)
            text = re.sub(_NO_PYTHON, lambda part: _masked_words(part[0]), text)
        else:
            text = mask_named(text, NAMED_ANY)
        return re.sub(_WORD, lambda word: MASKED if _is_random(word[0]) else word[0], text)

    def mask_cut(self, text: str) -> str:
        """Mask secrets in a text whose end may be in the middle of one."""
        masked = self.mask(text)
        for value in self._values:
            start = masked.find(value[:3], max(0, len(masked) - min(len(value), _LONGEST_CUT)))
            while start >= 0 and not value.startswith(masked[start:]):
                start = masked.find(value[:3], start + 1)
            if start >= 0:
                masked = masked[:start] + MASKED
        return masked

    def _without_known(self, text: str) -> str:
        """The longest first, so that none is left in part by another that it begins with."""
        found = sorted((v for v in self._values if v in text), key=len, reverse=True)
        if not found:
            return text
        words = (re.escape(v) if len(v) >= LONG else rf"(?<!\w){re.escape(v)}(?!\w)" for v in found)
        return re.sub("|".join(words), hidden, text)


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    """The items and attributes of a value with their names (keys of a dict), else "". Runs none of
    its code.
    """
    kind = type(value)
    base: Any = next((base for base in _CONTAINERS if issubclass(kind, base)), None)
    if base is dict:
        for name, part in islice(list(dict.items(value)), _MOST_PARTS):
            yield (name if isinstance(name, str) else ""), part
    elif base is not None:
        fields = getattr(kind, "_fields", ())  # of a named tuple
        names = map(str, fields) if isinstance(fields, tuple) else ()
        yield from islice(zip_longest(names, base.__iter__(value), fillvalue=""), _MOST_PARTS)
    elif not issubclass(kind, type | types.ModuleType | types.FunctionType):
        yield from attributes(value)


def attributes(value: object) -> Iterator[tuple[str, object]]:
    """The attributes in an object's `__dict__` and slots. Runs none of its code."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = {}
    if type(own) is dict:
        yield from islice(list(own.items()), _MOST_PARTS)
    for base in type(value).__mro__:
        for name, member in list(base.__dict__.items()):
            if isinstance(member, types.MemberDescriptorType):  # of `__slots__`
                try:
                    yield name, member.__get__(value)
                except AttributeError:  # not set
                    continue


def without_secrets(value: object, depth: int = 0) -> object:
    """Plain containers with `[masked]` in place of values under secret names; other values
    unchanged.
    """
    if depth > _DEPTH:
        return value
    if type(value) is dict:
        return {
            name: MASKED
            if isinstance(name, str) and is_secret_name(name) and not isinstance(part, _HARMLESS)
            else without_secrets(part, depth + 1)
            for name, part in list(value.items())[:_MOST_PARTS]
        }
    if type(value) is list:
        return [without_secrets(part, depth + 1) for part in value[:_MOST_PARTS]]
    if type(value) is tuple:
        return tuple(without_secrets(part, depth + 1) for part in value[:_MOST_PARTS])
    return value


def _masked_words(line: str) -> str:
    """For a line that is no Python: also `--token abc` and `%env TOKEN abc`."""
    words = re.split(r"(\s+)", mask_named(line, NAMED_ANY))
    for number in range(0, len(words) - 2, 2):
        name = words[number].strip("-'\"")
        if (
            name.isidentifier()
            and is_secret_name(name)
            and not is_harmless(name, words[number + 2])
        ):
            words[number + 2] = MASKED
    return "".join(words)


def _is_random(word: str) -> bool:
    """Whether a long word looks random: base64, base36, and the like."""
    digits = len(re.findall(r"\d", word))
    upper = len(re.findall(r"[A-Z]", word))
    lower = len(re.findall(r"[a-z]", word))
    separators = len(re.findall(r"[_/\-]", word))
    if digits < 3 or upper + lower < 6 or separators * 6 > len(word):
        return False
    changes = len(re.findall(r"\d(?=[A-Za-z])|[A-Za-z](?=\d)|[a-z](?=[A-Z])", word))
    return changes * 6 >= len(word)


# What is written into a source --------------------------------------------------------------------

_MAGIC_LINE: Final = re.compile(r"^([ \t]*)[%!].*", re.MULTILINE)
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


def without_written(source: str, is_named: Callable[[str], bool]) -> str:
    """`source` without the literals that are assigned to, compared with, or passed under a name for
    which `is_named` is true. Unchanged if it cannot be parsed.
    """
    try:
        tree = ast.parse(_MAGIC_LINE.sub(r"\1pass", source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    found = {
        (each.lineno, each.col_offset): each
        for node in ast.walk(tree)
        for target, value in _given(node)
        if any(map(is_named, _names(target)))
        for part in value
        for each in ast.walk(part)
        if isinstance(each, ast.Constant) and not is_named(str(each.value))
        if isinstance(each.value, str | bytes | int | float) and each.value not in (True, False)
    }
    lines = source.split("\n")
    for (first, start), node in sorted(found.items(), reverse=True):
        last, end = node.end_lineno or first, node.end_col_offset or start
        head, tail = lines[first - 1].encode()[:start], lines[last - 1].encode()[end:]
        joined = head.decode("utf-8", "replace") + MASKED + tail.decode("utf-8", "replace")
        lines[first - 1 : last] = [joined, *[""] * (last - first)]
    return "\n".join(lines)


def _given(node: ast.AST) -> Iterator[tuple[Iterable[ast.AST], Iterable[ast.AST]]]:
    """Pairs of a name that may be secret and the expression that has its value."""
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
    """The string literals that an expression's value is built from, without subscripts."""
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

"""Keeps secrets out of texts that nobody typed: tracebacks, sources, values.

Three ways, each for what the others miss:

- by place: what stands behind a name like `api_key`, in a dict, an attribute, an assignment;
- by look: keys of known services, bearer tokens, private keys, long random words;
- by value: what was found in such a place is taken out wherever else it stands.
"""

from __future__ import annotations

import ast
import json
import re
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest
from typing import Any, Final

MASKED: Final = "[masked]"
_NODES: Final = 20_000  # values looked at in search of secrets
_DEPTH: Final = 5
_MOST_PARTS: Final = 2_000  # of one value
_HARMLESS: Final = (bool, types.NoneType)
_MOST: Final = 3_000  # texts that are looked for everywhere
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)
_LONG: Final = 8  # shorter secrets are taken out only where they stand as a word

_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]")
_SECRET_PARTS: Final = frozenset(
    (
        "key", "keys", "pwd", "pw", "pass", "passcode", "passkey", "jwt", "cookie", "cookies",
        "bearer", "dsn", "auth", "oauth", "private",
    )
)  # fmt: skip
_SECRET_ENDS: Final = (
    "token", "tokens", "secret", "secrets", "password", "passwords", "passwd", "passphrase",
    "apikey", "apikeys", "accesskey", "credential", "credentials",
)  # fmt: skip
_SECRET_STARTS: Final = ("passw", "secret", "credential", "authent", "authoriz", "authoris")
# Mostly names of much else (`sort_key`, `tokens`), unless such a word stands beside them.
_WEAK: Final = frozenset(("key", "keys", "tokens"))
_STRONG: Final = frozenset(("api", "access", "secret", "private", "auth", "signing", "encryption"))

# In order: private keys; keys of OpenAI and Stripe, GitHub, Slack, AWS, Google, Hugging Face,
# GitLab; JSON web tokens; a password inside an address; HTTP's two headers; long hexadecimal.
_LOOKS: Final = re.compile(
    r"""-----BEGIN[ A-Z]*PRIVATE[ ]KEY-----(?:[\s\S]*?-----END[ A-Z]*-----|[\s\S]*)
      | \bsk-(?!learn\b)[\w\-]{2,} | \bsk_(?:live|test)_\w+ | \bgh[pousr]_\w{6,}
      | \bgithub_pat_\w+ | \bxox[a-z]-[\w\-]+
      | \b(?:AKIA|ASIA)[0-9A-Z]{12,} | \bAIza[\w\-]{16,} | \bhf_(?=\w*\d)\w{8,} | \bglpat-[\w\-]+
      | \beyJ[\w\-]{8,}(?:\.[\w\-]*)*
      | (?<=://)[^\s/@'"]+:[^\s/@'"]+(?=@)
      | (?i:\bbearer\s+[\w\-+/=.~]{4,} | \bbasic\s+(?=\S*[\d=])[\w+/=]{6,})
      | (?<![0-9a-fA-F])[0-9a-fA-F]{32,}(?![0-9a-fA-F])""",
    re.VERBOSE,
)
_WORD: Final = re.compile(r"[\w+/=\-]{24,}")
# A string literal with its prefix, in each of the four quotes; one that is not closed goes to the
# end of its line (of a triple one: of the text).
QUOTED: Final = (
    r"[bBfFrRuU]{0,2}(?:'''[\s\S]*?(?:'''|\Z)|\"\"\"[\s\S]*?(?:\"\"\"|\Z)"
    r"|'(?:\\.|[^'\\\n])*'?|\"(?:\\.|[^\"\\\n])*\"?)"
)
# A name with what is given to it, in code and in data: `api_key = `, `"apiKey": `, `token: str = `,
# `d["secret"] =>`. Not a comparison (`==`). `head` is all of it, as it stays in the text.
_NAMED: Final = (
    r"(?P<head>(?<![\w\-])(?P<name>[A-Za-z_][\w\-]*)\\?[\"']?\]?"
    r"(?:\s*:\s*[\w\[\], |.]{1,60}?(?==))?"
    r"\s*(?:=>|[:=](?!=))\s*)"
)
# In code only literals can be secrets: `key = input()` stays. Elsewhere any word: `password=abc`.
_NAMED_QUOTED: Final = re.compile(_NAMED + rf"(?P<value>{QUOTED})")
_NAMED_ANY: Final = re.compile(_NAMED + rf"(?P<value>{QUOTED}|[^\s,;(){{}}\[\]'\"]+)")

# Comments, magics and shell lines: words there are no expressions.
_NO_PYTHON: Final = re.compile(r"(?m)#.*|^\s*[%!].*|^.*get_ipython\(\).*")


def is_secret_name(name: str) -> bool:
    """Whether a variable, key, attribute or column of that name holds something to keep back."""
    parts = _words(name)
    return parts[-1:] not in (["error"], ["exception"]) and any(map(_is_secret_word, parts))


def _is_secret_word(word: str) -> bool:
    return word in _SECRET_PARTS or word.endswith(_SECRET_ENDS) or word.startswith(_SECRET_STARTS)


def _words(name: str) -> list[str]:
    return [part.lower() for part in _PARTS.findall(name)]


class Secrets:
    """What is to be kept back; grows by `add` and `search`."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        for value in known:
            self.add(value)

    def add(self, value: object) -> None:
        """Keep `value` back, if it is a text of at least three characters."""
        if isinstance(value, bytes | bytearray):
            value = bytes(value[:10_000]).decode("latin-1")
        if not isinstance(value, str) or len(text := str.__str__(value).strip()) < 3:
            return
        if len(self._values) > _MOST:
            return
        lines = text.splitlines()
        for part in (text, *(line for line in lines[:200] if len(line) >= _LONG)):
            self._values |= {part, repr(part)[1:-1], json.dumps(part)[1:-1]}
            self._values.add(json.dumps(part, ensure_ascii=False)[1:-1])

    def search(self, value: object) -> None:
        """Keep back what stands behind secret names inside `value`: dicts, lists, attributes.
        The nearest first, so many that it is soon done. Nothing of the value's own code runs."""
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
                strong = secret or (is_secret_name(name) and not _is_harmless(name, part))
                waiting.append((part, depth + 1, strong))

    def mask(self, text: str, *, code: bool = False) -> str:
        """`text` without secrets, with as many lines. In `code`, what is computed stays:
        `key = input()`."""
        text = _LOOKS.sub(_masked, self._without_known(text))
        if code:
            text = _NAMED_QUOTED.sub(_masked_value, text)
            text = _NO_PYTHON.sub(lambda part: _masked_words(part[0]), text)
        else:
            text = _NAMED_ANY.sub(_masked_value, text)
        return _WORD.sub(lambda word: MASKED if _is_random(word[0]) else word[0], text)

    def mask_cut(self, text: str) -> str:
        """The same for a text that was cut at its end, perhaps in the middle of a secret."""
        masked = self.mask(text)
        for value in self._values:
            start = masked.find(value[:3], max(0, len(masked) - len(value)))
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
        words = (
            re.escape(v) if len(v) >= _LONG else rf"(?<!\w){re.escape(v)}(?!\w)" for v in found
        )
        return re.sub("|".join(words), _masked, text)


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    """Items and attributes, each with its name there (a dict's key), or "". None of the value's
    own code is run for it."""
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
    """An object's own attributes, in its `__dict__` and slots. None of its code is run for it."""
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
    """Plain containers with `[masked]` behind secret names; other values as they are."""
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


def _is_harmless(name: str, part: object) -> bool:
    """A mere `key` is mostly a column's or a dict's: a word of letters behind it is left in."""
    words = _words(name)
    if any(word in _STRONG or (_is_secret_word(word) and word not in _WEAK) for word in words):
        return False
    return not isinstance(part, str) or bool(re.fullmatch(r"[A-Za-z_ .\-]{0,24}", part))


def _masked(found: re.Match[str]) -> str:
    """Line breaks stay, so that the lines after it keep their numbers."""
    return MASKED + "\n" * found[0].count("\n")


def _masked_value(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    if not is_secret_name(name) or value in ("None", "True", "False", "null", MASKED):
        return found[0]
    opening = re.match(r"[bBfFrRuU]{0,2}(?:'''|\"\"\"|'|\")", value)
    inside = value[opening.end() :].rstrip("'\"") if opening else value
    if not inside or inside == MASKED or _is_harmless(name, inside):
        return found[0]
    if not opening:
        return f"{found['head']}{MASKED}"
    quote = opening[0].lstrip("bBfFrRuU")
    end = quote if value.endswith(quote) and len(value) > len(opening[0]) else ""
    breaks = "\n" * value.count("\n")
    return f"{found['head']}{opening[0]}{MASKED}{breaks}{end}"


def _masked_words(line: str) -> str:
    """For a line that is no Python: also `--token abc` and `%env TOKEN abc`."""
    words = re.split(r"(\s+)", _NAMED_ANY.sub(_masked_value, line))
    for number in range(0, len(words) - 2, 2):
        name = words[number].strip("-'\"")
        if (
            name.isidentifier()
            and is_secret_name(name)
            and not _is_harmless(name, words[number + 2])
        ):
            words[number + 2] = MASKED
    return "".join(words)


def _is_random(word: str) -> bool:
    """Whether a long word without spaces looks drawn by lot: base64, base36, and the like."""
    digits = len(re.findall(r"\d", word))
    upper = len(re.findall(r"[A-Z]", word))
    lower = len(re.findall(r"[a-z]", word))
    separators = len(re.findall(r"[_/\-]", word))
    if digits < 3 or upper + lower < 6 or separators * 6 > len(word):
        return False
    changes = len(re.findall(r"\d(?=[A-Za-z])|[A-Za-z](?=\d)|[a-z](?=[A-Z])", word))
    return changes * 6 >= len(word)


def known_secrets(environment: Mapping[str, Any]) -> list[str]:
    """The values of an environment that have a secret's name."""
    return [
        value
        for name, value in environment.items()
        if is_secret_name(name) and isinstance(value, str) and len(value) >= _LONG
        and not value.startswith("/")
    ]  # fmt: skip


# What is written into a source --------------------------------------------------------------------

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

r"""What of a formula is handed to a typesetter that all answers of a page share.

It keeps the macros that a formula defines, for every formula that comes later on the page. So a
macro gets a name of its own: `\R` of `\def\R{\mathbb R}` becomes `\Rqxyzab` in this formula and the
later ones of the same answer (`macros` remembers it). Lengths and sizes are bounded: no formula
covers the page. What would link, load, name or style something is left out, as far as it is more
than what it stands around; what is nested too deeply, which some need minutes for, is not shown.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, TypeAlias

Macros: TypeAlias = dict[str, str]  # a macro as it is written -> its own name

LONGEST: Final = 20.0  # em, of one length …
THICKEST: Final = 0.5  # … of a fraction's line …
LONGEST_SUM: Final = 60.0  # … of all in a formula
LARGEST: Final = 6.0  # times, of all sizes in a formula together

_NAME: Final = r"\\(?:[a-zA-Z]++|[^a-zA-Z\s{}#])"
_DEFINERS: Final = (
    r"[gex]?def|let|(?:re)?newcommand|providecommand|DeclareMathOperator|DeclareRobustCommand"
    r"|DeclarePairedDelimiters?X?|futurelet|(?:re)?newenvironment"
)
_DEFINITION: Final = re.compile(
    rf"\\(?:{_DEFINERS})(?![a-zA-Z])\*?(\s*\{{?\s*({_NAME})(?!\s*=?\s*\\(?:{_DEFINERS})(?![a-zA-Z])))?"
)
_NEVER: Final = re.compile(
    r"\\(?:(?:href|class|cssId|style|data|includegraphics|input|require)(?![a-zA-Z])"
    r"(?:\s*\[[^\[\]]*\])?(?:\s*\{[^{}]*\})?|mmlToken(?![a-zA-Z])"
    r"|(?:unicode|bbox|enclose\s*\{[^{}]*\})(?=\s*\[)\s*\[[^\[\]]*\]?"
    r"|(?:mathtip|texttip|toggle|endtoggle)(?![a-zA-Z]))"
)
DEEPEST: Final = 24  # groups in one another
_GROUP: Final = re.compile(
    r"\\[{}\\]|(\{|\\left(?![a-zA-Z])|\\begin\s*\{[^{}]*\})|(\}|\\right(?![a-zA-Z])|\\end\s*\{[^{}]*\})"
)
_CLOSED: Final = str.maketrans("([", ")]")
_COMMAND: Final = re.compile(_NAME)
_SIZE: Final = re.compile(r"\\(large|Large|LARGE|huge|Huge)(?![a-zA-Z])")
_SIZES: Final = {"large": 1.2, "Large": 1.44, "LARGE": 1.73, "huge": 2.07, "Huge": 2.49}
_SIZED: Final = re.compile(
    r"\\(?:rule|Rule|Space|[hvm]space|[hvm]skip|m?kern|raise(?:box)?|lower|move(?:left|right)"
    r"|above(?:withdelims)?|genfrac|bbox|(?P<newline>\\))(?![a-zA-Z])\*?"
    r"(?P<lengths>(?:\s*(?:\{[^{}]*\}|\[[^\[\]]*\])){1,4}|\s*=?\s*[-+]?[\d.,]+\s*[a-zA-Z]{2})?"
)
_COLUMNS: Final = re.compile(r"\\begin\s*\{(?:sub)?array\}\s*\{(?:[^{}]|\{[^{}]*\})*\}")
_LENGTH: Final = re.compile(r"(\d+(?:[.,]\d*)?|[.,]\d+)(\s*)(em|ex|pt|px|pc|in|cm|mm|mu|bp|dd|cc)")
_EM: Final = {"em": 1, "ex": 2, "pt": 10, "px": 13, "pc": 0.83, "in": 0.14, "cm": 0.35, "mm": 3.5,
              "mu": 18, "bp": 10, "dd": 9.4, "cc": 0.78}  # fmt: skip


def tamed(tex: str, macros: Macros) -> str:
    """The formula with names of its own for its macros, and with bounded lengths and sizes."""
    if "def" in tex or "let" in tex or "new" in tex or "Declare" in tex or "providecomm" in tex:
        digest = blake2b(tex.encode("utf-8", "replace"), digest_size=5).digest()
        suffix = "q" + "".join(chr(97 + byte % 26) for byte in digest)
        for found in _DEFINITION.finditer(tex):
            if found.group(2):
                letters = found.group(2)[1:]
                own = letters + suffix if letters.isalpha() else f"{suffix} "
                macros[found.group(2)] = f"\\{own}"
        # A definition of what cannot be read here, such as `\def#1`, is none.
        tex = _DEFINITION.sub(lambda found: found.group() if found.group(2) else "", tex)
    if macros:
        tex = _COMMAND.sub(lambda found: macros.get(found.group(), found.group()), tex)
    if _depth(tex) > DEEPEST:
        mark = re.match(r"\$\$?|\\[(\[]", tex)
        ends = (mark[0], mark[0].translate(_CLOSED)) if mark else ("$$", "$$")
        return "\\text{(too deeply nested to be shown)}".join(ends)
    return _bounded(_NEVER.sub(_kept, tex))


def _kept(found: re.Match[str]) -> str:
    """What stays in the place of a command: a group, so that no other is made of what is around."""
    name = re.match(r"\\(?:unicode|enclose\s*\{[^{}]*\})", found[0])
    return name[0] if name else "{}"


def _depth(tex: str) -> int:
    deepest = depth = 0
    for found in _GROUP.finditer(tex):
        depth += (found[1] is not None) - (found[2] is not None)
        deepest = max(deepest, depth)
    return deepest


def _bounded(tex: str) -> str:
    left, size, longest = LONGEST_SUM, 1.0, LONGEST

    def length(found: re.Match[str]) -> str:
        nonlocal left
        number, space, unit = found.groups()
        em = float(number.replace(",", ".")) / _EM[unit]
        bounded = min(em, longest, left)
        left -= bounded
        return found.group() if bounded == em else f"{bounded * _EM[unit]:.4g}{space}{unit}"

    def sized(found: re.Match[str]) -> str:
        nonlocal longest
        longest = THICKEST if found[0].startswith(("\\above", "\\genfrac")) else LONGEST
        lengths = found["lengths"] or ""
        if not found["newline"] and (not lengths or "#" in lengths):  # a length that a macro gives
            return lengths
        return found.group()[: len(found.group()) - len(lengths)] + _LENGTH.sub(length, lengths)

    def larger(found: re.Match[str]) -> str:
        nonlocal size
        if size * _SIZES[found.group(1)] > LARGEST:
            return ""
        size *= _SIZES[found.group(1)]
        return found.group()

    tex = _COLUMNS.sub(lambda found: _LENGTH.sub(length, found[0]), _SIZED.sub(sized, tex))
    return _SIZE.sub(larger, tex)

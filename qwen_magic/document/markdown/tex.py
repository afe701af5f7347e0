r"""What of a formula is handed to a typesetter that all answers of a page share.

It keeps the macros that a formula defines, for every formula that comes later on the page. So a
macro gets a name of its own: `\R` of `\def\R{\mathbb R}` becomes `\Rqxyzab` in this formula and the
later ones of the same answer (`macros` remembers it). Lengths and sizes are bounded: no formula
covers the page.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, TypeAlias

Macros: TypeAlias = dict[str, str]  # a macro as it is written -> its own name

LONGEST: Final = 20.0  # em, of one length …
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
_NEVER: Final = re.compile(r"\\(?:require|mmlToken|style)(?![a-zA-Z])")
_COMMAND: Final = re.compile(_NAME)
_SIZE: Final = re.compile(r"\\(large|Large|LARGE|huge|Huge)(?![a-zA-Z])")
_SIZES: Final = {"large": 1.2, "Large": 1.44, "LARGE": 1.73, "huge": 2.07, "Huge": 2.49}
_SIZED: Final = re.compile(
    r"\\(?:rule|Rule|Space|[hvm]space|[hvm]skip|m?kern|raise(?:box)?|lower|move(?:left|right)"
    r"|above(?:withdelims)?|genfrac|bbox|(?P<newline>\\))(?![a-zA-Z])\*?"
    r"(?P<lengths>(?:\s*(?:\{[^{}]*\}|\[[^\[\]]*\])){1,4}|\s*=?\s*[-+]?[\d.,]+\s*[a-zA-Z]{2})?"
)
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
    return _bounded(_NEVER.sub("", tex))


def _bounded(tex: str) -> str:
    left, size = LONGEST_SUM, 1.0

    def length(found: re.Match[str]) -> str:
        nonlocal left
        number, space, unit = found.groups()
        em = float(number.replace(",", ".")) / _EM[unit]
        bounded = min(em, LONGEST, left)
        left -= bounded
        return found.group() if bounded == em else f"{bounded * _EM[unit]:.4g}{space}{unit}"

    def sized(found: re.Match[str]) -> str:
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

    return _SIZE.sub(larger, _SIZED.sub(sized, tex))

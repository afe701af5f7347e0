"""Format numbers, durations, sentences, function names and code blocks; spell out misleading
characters.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata

NO_BREAK = "\u00a0"
SPECIAL = re.compile(r"[\\`*_\[\]<>#|$~&]")  # what Markdown or HTML may take for a mark


def duration(seconds: float) -> str:
    """ "2.4 s", "14 s", "1 min 12 s", with no-break spaces; empty below a twentieth of a second."""
    if seconds < 0.05:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f}{NO_BREAK}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    if whole < 3600:
        return f"{whole // 60}{NO_BREAK}min{NO_BREAK}{whole % 60}{NO_BREAK}s"
    return f"{whole // 3600}{NO_BREAK}h{NO_BREAK}{whole % 3600 // 60}{NO_BREAK}min"


def plural(number: int, one: str, many: str = "") -> str:
    """The noun for a count: "turn", "turns"; `many` is its plural if not `one` with an s."""
    return one if number == 1 else many or one + "s"


def number_of(number: int, one: str) -> str:
    """A count with its noun: "1 row", "1,204 rows"."""
    return f"{number:,} {plural(number, one)}"


def counted(number: int, one: str, many: str = "") -> str:
    """A count with its noun and a no-break space, for the view."""
    return f"{number:,}{NO_BREAK}{plural(number, one, many)}"


def clipped(text: str, length: int) -> str:
    """`text`, cut to `length` characters with an ellipsis at its end."""
    return text if len(text) <= length else text[: length - 1] + "…"


def money(amount: float, currency: str) -> str:
    """An amount of money, with at least two decimals and two significant digits: "1.20 USD"."""
    digits = 2 if amount <= 0 else max(2, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f}{NO_BREAK}{currency}"


def shorten(text: str, length: int) -> str:
    """`text` on one line, cut to `length` characters with an ellipsis."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """`text` with a full stop where it ends without punctuation."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…:。！？" else text + "."


def escaped(text: str) -> str:
    """`text` on one line, escaped for both Markdown and HTML."""
    return SPECIAL.sub(_escape, " ".join(text.split()))


def _escape(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};" if found[0] in "<>&" else f"\\{found[0]}"


def as_entities(text: str) -> str:
    """`text` escaped for an HTML block in Markdown, where backslashes do not escape."""
    return SPECIAL.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def fenced(text: str, language: str = "") -> str:
    """`text` as a fenced code block: its fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


# Names of functions ------------------------------------------------------------------------------

_CODED = "xn--"  # as in the names of hosts, which do the same
_LONGEST_NAME = 64


def wire_name(name: str) -> str:
    """The name by which a model is told of the function `name`: services take up to 64 letters,
    digits, `_` and `-` of ASCII. Two names of Python are never one there, in any session.

    `rows` → rows, `find rows!` → find_rows, `查询` → xn--jvv041f (Punycode, RFC 3492: ASCII comes
    first, then where the other letters go, each in digits of base 36). What would be too long ends
    in a digest of the whole.
    """
    word = name if name.isidentifier() else re.sub(r"[^\w-]", "_", name).strip("_") or "function"
    told = word if word.isascii() else _CODED + word.encode("punycode").decode("ascii")
    if len(told) <= _LONGEST_NAME:
        return told
    digest = hashlib.sha256(word.encode()).hexdigest()[:16]
    return f"{told.removeprefix(_CODED)[: _LONGEST_NAME - 17]}-{digest}"


def own_name(told: str) -> str:
    """The function's own name, for people, of what `wire_name` made of it."""
    if not told.startswith(_CODED):
        return told
    try:
        name = told[len(_CODED) :].encode("ascii").decode("punycode")
        return name if wire_name(name) == told else told
    except UnicodeError:
        return told


# Characters --------------------------------------------------------------------------------------

_VARIES = (
    "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"  # which form the character before takes
)
# Nothing of these is seen, or they turn the direction of what follows: text could say one thing to
# the eye and another to a machine (CVE-2021-42574).
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
# Those of ASCII and Latin-1, but for NUL, tabs and ends of lines: a terminal that a code block is
# pasted into does what they say.
_CONTROLS = "\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_CONTROL = re.compile(f"[{_CONTROLS}]")
# Three do some good: joiners behind letters of other scripts and emoji (not behind a name that is
# there for another), a first variation behind what is no letter of ASCII, and the tags of a flag.
HIDDEN = re.compile(
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"
    f"|[{_UNSEEN}{_CONTROLS}]"
    f"|(?<![^\\x00-\u02ff{_UNSEEN}\u200c\u200d\u27e9])[\u200c\u200d]"
    f"|(?<=[A-Za-z\\s{_VARIES}])[{_VARIES}]"
)
# One of them, or what they may begin with: looked for first, in a fifth of the time.
_SELDOM = re.compile(f"[\U0001f3f4\u200c\u200d{_UNSEEN}{_CONTROLS}{_VARIES}]")
# Letters of Cyrillic and Greek that are drawn as one of Latin: a word of nothing else may be one.
_TWINS = frozenset("аеорсухіјѕһԁӏԛԝАВЕКМНОРСТУХІЈЅονυραικΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
_LOOKALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU")


def revealed(text: str, before: str = "") -> str:
    """`text` with a name in the place of every character that hides or controls: "a⟨U+202E⟩b".
    `before`: the character that stands in front of it."""
    if not (_CONTROL if text.isascii() else _SELDOM).search(text):
        return text
    parts, copied, whole = [], len(before), before + text
    for found in HIDDEN.finditer(whole, len(before)):
        if len(found[0]) == 1:
            parts += [whole[copied : found.start()], f"⟨U+{ord(found[0]):04X}⟩"]
            copied = found.end()
    return "".join([*parts, whole[copied:]])


def script_of(char: str) -> str:
    """The script of a letter ("LATIN", "CJK"), "" for what is no letter of one."""
    if char.isascii():
        return "LATIN" if char.isalpha() else ""
    name = unicodedata.name(char, "") if char.isalpha() else ""
    return "CJK" if name.startswith(("HIRAGANA", "KATAKANA", "BOPOMOFO")) else name.split(" ")[0]


def exposed(text: str) -> str:
    """`text` for somebody who decides by it: an escape in the place of every character that hides,
    that looks like another beside others, or that marks the one before it.

    `раssword` with two letters of Cyrillic → \\u0440\\u0430ssword; пароль stays as it is.
    """
    return re.sub(r"(?:[^\W_]|[^\x00-\x7f])+|[\x00-\x09\x0b-\x1f\x7f]", _exposed_word, text)


def _exposed_word(found: re.Match[str]) -> str:
    word = found[0]
    if word.isascii() and word.isprintable():
        return word
    scripts = {script_of(char) for char in word} - {""}
    mixed = len(scripts) > 1 or all(char in _TWINS for char in word if script_of(char))
    shown, last = [], ""
    for char in word:
        script = script_of(char)
        escapes = (
            unicodedata.category(char)[0] in "CZ"
            or char in _BLANK
            or HIDDEN.match(char) is not None
            or (mixed and script in _LOOKALIKE)
            or _is_disguised(char)
            or (unicodedata.combining(char) > 0 and last in ("", "LATIN", *_LOOKALIKE))
            or re.match(f"[{_VARIES}]", char) is not None
        )
        shown.append(ascii(char)[1:-1] if escapes and char not in "\n " else char)
        last = script or (last if unicodedata.category(char)[0] == "M" else "")
    return "".join(shown)


def _is_disguised(char: str) -> bool:
    """Whether it is a letter or digit of ASCII in another form: Ａ, 𝐚, ɡ of phonetics."""
    plain = unicodedata.normalize("NFKC", char)
    return not char.isascii() and ((plain.isascii() and plain.isalnum()) or "ɐ" <= char <= "ʯ")


# Letters and marks that show nothing, beside those that Unicode's categories tell.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0")

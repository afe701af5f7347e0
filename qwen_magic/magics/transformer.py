"""The input transformer: reads `%%qwen` and `%qwen` before IPython's own transformations can.

Why it is needed (seen on IPython 9.18):

- a top-level cell must become `await …`, so that the kernel stays free and Stop works;
- `%qwen what is this?` and `x = %qwen …?` are taken for IPython's help syntax;
- a body that begins with `>>> ` or `In [3]:` is stripped as a pasted prompt;
- `%%qwen --help` (no body) and `%%qwen` below a comment fail before the magic runs.

It stands first among the cleanup transforms and knows nothing of what the magics do: it only turns
the raw text into calls. A `%qwen` inside a string, or in the body of another cell magic, is left
alone. A nested cell (`%%time`, `%%capture`, `run_cell_magic`) and an indented line get the
synchronous call, since an `await` could not stand there.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable
from typing import Final

# Line magics that become `await …`, with the names that are awaited in their place.
ASYNC_NAMES: Final = {
    name: f"__{name}__" for name in ("qwen_prompt", "qwen_fix", "qwen_edit", "qwen")
}
ASYNC_NAME: Final = ASYNC_NAMES["qwen"]
_CELL: Final = re.compile(r"%%qwen(?=\s|$)")
_LINE: Final = re.compile(
    r"(?P<indent>[ \t]*)(?P<target>[A-Za-z_][\w.]*[ \t]*=[ \t]*)?"
    rf"%(?P<magic>{'|'.join(ASYNC_NAMES)})(?![\w%])(?P<rest>.*)",
    re.DOTALL,
)
_OPEN_AT_END: Final = ("EOF in multi-line", "unexpected EOF", "unterminated triple-quoted")


def transform(
    lines: list[str], *, may_await: Callable[[], bool], in_terminal: bool = False
) -> list[str]:
    """Rewrite the cell's lines (each with its newline) so that our magics are calls.

    In a terminal the answer has been printed when the call returns, so the call ends with a
    semicolon: IPython then prints no empty `Out[n]:`.
    """
    first = _first_code_line(lines)
    if first is None:
        return lines
    if lines[first].startswith("%%"):
        return (
            _cell_call(lines, first, may_await(), in_terminal)
            if _CELL.match(lines[first])
            else lines
        )
    if not any("%qwen" in line for line in lines):
        return lines
    return _line_calls(lines, may_await(), in_terminal)


def _first_code_line(lines: list[str]) -> int | None:
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            return number
    return None


def _cell_call(lines: list[str], first: int, may_await: bool, in_terminal: bool) -> list[str]:
    line = lines[first].removeprefix("%%qwen").strip()
    body = "".join(lines[first + 1 :])
    if may_await:
        return [f"await {ASYNC_NAME}({line!r}, {body!r})\n"]
    end = ";" if in_terminal else ""
    return [f"get_ipython().run_cell_magic('qwen', {line!r}, {body or chr(10)!r}){end}\n"]


def _line_calls(lines: list[str], may_await: bool, in_terminal: bool) -> list[str]:
    done: list[str] = []
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None or _inside(done):
            done.append(line)
            continue
        rest = found["rest"].strip()
        top_level = not found["indent"]
        call = (
            f"await {ASYNC_NAMES[found['magic']]}({rest!r})"
            if may_await and top_level
            else f"get_ipython().run_line_magic({found['magic']!r}, {rest!r})"
        )
        end = ";" if in_terminal and not found["target"] else ""
        done.append(f"{found['indent']}{found['target'] or ''}{call}{end}\n")
    return done


def _inside(lines: list[str]) -> bool:
    """Whether what follows `lines` stands inside an open string or bracket."""
    try:
        for _token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            pass
    except (tokenize.TokenError, SyntaxError) as error:
        return any(words in str(error) for words in _OPEN_AT_END)
    return False

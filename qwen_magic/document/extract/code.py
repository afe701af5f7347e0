"""Code blocks out of Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from qwen_magic.document.markdown.parts import find_fences


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One code block: `language` as the fence names it, in lower case ("" for none); `code`
    without the last newline. It prints as its code."""

    language: str
    code: str

    def __str__(self) -> str:
        return self.code

    @property
    def is_python(self) -> bool:
        """True for Python, and for a block that names no language."""
        return self.language in ("", "python", "py", "python3", "ipython", "ipython3")


def code_blocks(markdown: str) -> tuple[CodeBlock, ...]:
    """The code blocks of `markdown` in order, also those inside lists and quotes. Empty ones are
    left out. A fence that never closes (a stopped answer) holds all that follows it."""
    return tuple(
        CodeBlock(fence.language.lower(), fence.code.removesuffix("\n"))
        for fence in find_fences(markdown)
        if fence.code.strip()
    )

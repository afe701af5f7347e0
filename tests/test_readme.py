"""The README names what there is, and all of it. What it lists is written by this file:

python tests/test_readme.py
"""

import re
from pathlib import Path
from textwrap import fill

from qwen_magic.endpoints import TABLE
from qwen_magic.magics.code import CodeMagics
from qwen_magic.magics.conversations import ConversationMagics
from qwen_magic.magics.files import FileMagics, PromptMagics
from qwen_magic.magics.qwen import QwenMagics
from qwen_magic.magics.service import ServiceMagics
from qwen_magic.magics.steps import StepMagics
from qwen_magic.options import OPTIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MAGICS = (
    *(CodeMagics, ConversationMagics, FileMagics, PromptMagics),
    *(QwenMagics, ServiceMagics, StepMagics),
)


def test_every_magic_is_named_and_every_named_one_exists():
    there = {name for magics in MAGICS for name in magics.magics["line"]}
    named = {found.rstrip("_") for found in re.findall(r"%(qwen\w*)", README)} | {"qwen"}
    assert named - {"qwen_magic"} == there


def generated():
    """The README as the package's tables of options and of endpoints would have it."""
    rows = [
        f"| `{', '.join(option.spellings)} {option.metavar}".rstrip() + f"` | {option.help} |"
        for option in OPTIONS
    ]
    head = "| option of `%%qwen` and `%qwen` | meaning |\n|---|---|\n"
    end = README.index("\n\n", README.index(head))
    text = README[: README.index(head)] + head + "\n".join(rows) + README[end:]
    names = ", ".join(f"`{row.name}`" for row in TABLE)
    words = fill(
        f'**Endpoints** (`%config QwenMagics.endpoint = "…"`): {names}, or any base URL.', 100
    )
    return re.sub(r"^\*\*Endpoints\*\*.*?base\sURL\.$", lambda _: words, text, flags=re.S | re.M)


def test_options_and_endpoints_are_those_of_the_package():
    assert generated() == README, "run python tests/test_readme.py"


def test_the_pictures_and_folders_are_there():
    for path in re.findall(r"\]\((notebooks/[^)]+)\)", README):
        assert (ROOT / path).exists()
    for path in re.findall(r"^\| `(qwen_magic/\w+/)`", README, re.MULTILINE):
        assert (ROOT / path).is_dir()
    for package in (ROOT / "qwen_magic").glob("*/__init__.py"):
        assert f"| `qwen_magic/{package.parent.name}/` |" in README


if __name__ == "__main__":
    (ROOT / "README.md").write_text(generated(), "utf-8")

"""The README names what there is, and all of it."""

import re
from pathlib import Path

from qwen_magic.endpoints import TABLE
from qwen_magic.magics.code import CodeMagics
from qwen_magic.magics.conversations import ConversationMagics
from qwen_magic.magics.files import FileMagics
from qwen_magic.magics.qwen import QwenMagics
from qwen_magic.magics.service import ServiceMagics
from qwen_magic.options import OPTIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MAGICS = (CodeMagics, ConversationMagics, FileMagics, QwenMagics, ServiceMagics)


def test_every_magic_is_named_and_every_named_one_exists():
    there = {name for magics in MAGICS for name in magics.magics["line"]}
    named = {found.rstrip("_") for found in re.findall(r"%(qwen\w*)", README)} | {"qwen"}
    assert named - {"qwen_magic"} == there


def test_the_table_of_options_is_that_of_the_package():
    """Where this fails, put what it expects into the README."""
    rows = [
        f"| `{', '.join(option.spellings)} {option.metavar}".rstrip() + f"` | {option.help} |"
        for option in OPTIONS
    ]
    head = ["| option of `%%qwen` and `%qwen` | meaning |", "|---|---|"]
    assert "\n".join(head + rows) + "\n\n" in README


def test_every_endpoint_is_named():
    for row in TABLE:
        assert f"`{row.name}`" in README


def test_the_pictures_and_folders_are_there():
    for path in re.findall(r"\]\((notebooks/[^)]+)\)", README):
        assert (ROOT / path).exists()
    for path in re.findall(r"^\| `(qwen_magic/\w+/)`", README, re.MULTILINE):
        assert (ROOT / path).is_dir()
    for package in (ROOT / "qwen_magic").glob("*/__init__.py"):
        assert f"| `qwen_magic/{package.parent.name}/` |" in README

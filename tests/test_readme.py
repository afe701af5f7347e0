"""The README names what there is, and all of it."""

import re
from pathlib import Path

from qwen_magic.endpoints import ENDPOINT_NAMES
from qwen_magic.magics.branches import BranchMagics
from qwen_magic.magics.code import CodeMagics
from qwen_magic.magics.conversations import ConversationMagics
from qwen_magic.magics.files import FileMagics
from qwen_magic.magics.fixing import FixMagics
from qwen_magic.magics.option_table import OPTIONS
from qwen_magic.magics.qwen import QwenMagics
from qwen_magic.magics.service import ServiceMagics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MAGICS = (
    *(BranchMagics, CodeMagics, ConversationMagics, FileMagics),
    *(FixMagics, QwenMagics, ServiceMagics),
)


def test_every_magic_is_named_and_every_named_one_exists():
    there = {name for magics in MAGICS for name in magics.magics["line"]}
    named = {found.rstrip("_") for found in re.findall(r"%(qwen\w*)", README)} | {"qwen"}
    assert named - {"qwen_magic"} == there


def test_every_option_is_named():
    for option in OPTIONS:
        spelled = option.spellings if option.long == "--help" else (option.long,)
        assert any(f"{name}" in README for name in spelled), option.long


def test_every_endpoint_is_named():
    for name in ENDPOINT_NAMES:
        assert f"`{name}`" in README


def test_the_pictures_and_folders_are_there():
    for path in re.findall(r"\]\((notebooks/[^)]+)\)", README):
        assert (ROOT / path).exists()
    for path in re.findall(r"^\| `(qwen_magic/\w+/)`", README, re.MULTILINE):
        assert (ROOT / path).is_dir()

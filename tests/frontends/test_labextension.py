"""The prebuilt labextension: its address, its options, its place in what pip installs.

python tests/frontends/test_labextension.py

writes the options that its script knows, and the hash in its address.
"""

import hashlib
import json
import re
import zipfile
from pathlib import Path
from textwrap import fill

import pytest

from qwen_magic.options import OPTIONS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "qwen_magic" / "frontends" / "labextension"
PROMPTS = FOLDER / "static" / "prompts.js"
PACKAGE = FOLDER / "package.json"
INSTALLED = "share/jupyter/labextensions/qwen_magic"
FILES = [path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*")]


def prompts_with_the_options():
    """prompts.js as the table of options would have it."""
    source = PROMPTS.read_text("utf-8")
    for name, takes_value in (("FLAGS", False), ("VALUED", True)):
        spellings = [s for o in OPTIONS if o.takes_value == takes_value for s in o.spellings]
        lines = fill(" ".join(spellings), 96, break_on_hyphens=False).replace("\n", "\n  ")
        source = re.sub(
            rf"const {name} = words\(`.*?`\)",
            f"const {name} = words(`\n  {lines}`)",
            source,
            flags=re.S,
        )
    return source


def package_with_the_hash():
    """package.json with the hash of all scripts: browsers keep them for a year."""
    made = hashlib.sha256()
    for path in sorted((FOLDER / "static").iterdir()):
        made.update(path.read_bytes())
    address = f"static/entry.js?v={made.hexdigest()[:8]}"
    return re.sub(r"static/entry\.js\?v=\w*", address, PACKAGE.read_text("utf-8"))


def test_the_options_and_the_hash_are_those_of_today():
    words = "run python tests/frontends/test_labextension.py"
    assert prompts_with_the_options() == PROMPTS.read_text("utf-8"), words
    assert package_with_the_hash() == PACKAGE.read_text("utf-8"), words
    for option in OPTIONS:
        assert option.long in PROMPTS.read_text("utf-8")


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_pip_puts_it_where_jupyter_looks_and_nowhere_else(kind, tmp_path, monkeypatch):
    from hatchling import build

    monkeypatch.chdir(ROOT)
    name = getattr(build, f"build_{kind}")(str(tmp_path))
    with zipfile.ZipFile(tmp_path / name) as wheel:
        names = wheel.namelist()
    data = f"{'-'.join(name.split('-')[:2])}.data/data/{INSTALLED}"
    assert {n for n in names if "labextension" in n} == {f"{data}/{file}" for file in FILES}


def test_it_loads_nothing_from_elsewhere():
    for path in FOLDER.rglob("*.js*"):
        assert not re.search(
            r"https?://|\bfetch\(|XMLHttpRequest|innerHTML", path.read_text("utf-8")
        )
    assert json.loads(PACKAGE.read_text("utf-8"))["name"] == "qwen_magic"


if __name__ == "__main__":
    PROMPTS.write_text(prompts_with_the_options(), "utf-8")
    PACKAGE.write_text(package_with_the_hash(), "utf-8")

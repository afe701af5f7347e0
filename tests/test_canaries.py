"""The search for keys that came out finds them."""

import os
import subprocess
import sys
from pathlib import Path

from canaries import CANARIES, found_in

LEAKS = """
import logging, os, pathlib
KEY = os.environ["CANARY_API_KEY"]

def test_a_file(tmp_path):
    (tmp_path / "x.sqlite").write_bytes(b"\\0" + KEY.encode() + b"\\0")

def test_what_is_printed():
    print(KEY)

def test_what_is_logged():
    logging.getLogger("x").warning("%s", KEY)

def test_what_a_test_may_keep(tmp_path):
    (tmp_path / "canaries.json").write_text(KEY)
"""


def test_a_session_that_leaves_some_fails(tmp_path):
    (tmp_path / "test_it.py").write_text(LEAKS)
    given = f"-q -p canaries -p no:cacheprovider --basetemp={tmp_path}/base --rootdir={tmp_path}"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *given.split(), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent / "support")},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    (kept,) = tmp_path.rglob("x.sqlite")
    kept.unlink()  # or the session that this test is part of would find it
    (said,) = (
        line for line in ran.stdout.splitlines() if line.startswith("E  ") and "out:" in line
    )
    places = said.partition("came out: ")[2].split("; ")
    assert [place.rpartition("::")[2].rpartition("/")[2] for place in places] == [
        "test_what_is_printed", "test_what_is_logged", "x.sqlite",
    ]  # fmt: skip
    assert ran.returncode == 1
    assert "4 passed, 1 error" in ran.stdout


def test_each_is_found_in_text_and_bytes():
    for name, value in CANARIES.items():
        assert found_in(f"a{value}b") == found_in(f"\0{value}".encode()) == [name]
    assert found_in("no key") == []

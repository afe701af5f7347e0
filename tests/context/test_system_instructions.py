"""`--system`: text, values, files."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_magic.context.attachments import MAX_FILE_BYTES, read_instructions
from qwen_magic.errors import UsageError


def test_text_is_interpolated() -> None:
    assert read_instructions("Speak {language}.", {"language": "German"}).text == "Speak German."


def test_a_file_is_taken_to_the_letter(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("\ufeffBe {language}, näher.\n", encoding="utf-8")
    read = read_instructions("@./p.md", {"language": "German"}, folder=tmp_path)
    assert read.text == "Be {language}, näher.\n"
    assert read_instructions(f"@{tmp_path}/p.md", {}).text == read.text


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    for name, said in [
        ("nope.md", "cannot be read"),
        ("bytes", "is not UTF-8"),
        ("large", "1,000,000 bytes"),
        ("", "cannot be read"),
        ("a\0b", "cannot be read"),
    ]:
        with pytest.raises(UsageError, match=said):
            read_instructions(f"@{name}", {}, folder=tmp_path)

"""Known models are data for completion; the need to think is a rule on names."""

from __future__ import annotations

import pytest

from qwen_magic.context.models import (
    KNOWN_MODELS,
    MODEL_NAMES,
    needs_thinking,
)
from qwen_magic.endpoints import DEFAULT_MODEL


def test_known_models() -> None:
    known = {model.name: model for model in KNOWN_MODELS}
    assert len(known) == len(MODEL_NAMES)
    assert MODEL_NAMES[0] == DEFAULT_MODEL
    assert not known["qwen3-max"].vision
    assert known["qwen3-max-2026-01-23"].date == "2026-01-23"
    assert known["qwen3.7-plus-2026-05-26"].vision
    assert known["qwen3.7-max-preview"].date == ""


@pytest.mark.parametrize(
    ("model", "for_code", "for_pages"),
    [
        ("qwen3-max", True, True),
        ("qwen3-max-2026-01-23", True, True),
        ("qwen3-maxi", False, False),
        ("qwen3.8-max", True, False),
        ("qwen3.8-max-0902", True, False),
        ("qwen3.8-flash", True, False),
        ("qwen3.8-27b", False, False),
        ("qwen3.7-max-preview", True, False),
        ("qwen3.7-plus", False, False),
        ("qwen3.6-plus", False, False),
        ("some/other:model", False, False),
        ("", False, False),
    ],
)
def test_the_need_to_think(model: str, for_code: bool, for_pages: bool) -> None:
    assert needs_thinking(model, "code_interpreter") == for_code
    assert needs_thinking(model, "web_extractor") == for_pages
    assert not needs_thinking(model, "web_search")

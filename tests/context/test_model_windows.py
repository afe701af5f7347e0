"""Windows of known models, and the words for how full one is."""

import pytest

from qwen_magic.context.models import (
    MODEL_NAMES,
    WINDOWS,
    fullness,
    window_fact,
    window_of,
    window_warning,
)
from qwen_magic.protocol.response import Usage


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("qwen3-max", 262_144),
        ("qwen3-max-2026-01-23", 262_144),
        ("qwen3-max-preview", 262_144),
        ("qwen3.8-max-0902", 1_000_000),
        ("qwen3.7-max-2026-06-08", 1_000_000),
        ("qwen3.5-plus-2026-04-20", 1_000_000),
        ("qwen-plus", 1_000_000),
        ("qwen-plus-2025-12-01-us", 1_000_000),
        ("qwen-plus-2025-04-28", 131_072),
        ("deepseek-v4-pro-0813", 1_000_000),
        ("qwen3.8-flash-next", None),
        ("qwen-plus-character", None),
        ("qwen3-maximal", None),
        ("somebody/qwen3-max", None),
        ("glm-5.3", None),
        ("", None),
    ],
)
def test_the_window_of_a_model(model, window):
    assert window_of(model) == window


def test_what_the_user_says_comes_first():
    extra = {"mine": 8192, "qwen3-max": 32_768, "qwen-flash": 0}
    assert window_of("mine", extra) == 8192
    assert window_of("mine-2026-01-01", extra) == 8192
    assert window_of("qwen3-max-2026-01-23", extra) == 32_768
    assert window_of("qwen-flash", extra) is None, "a way to say: do not show it"


def test_the_data_names_models_that_are_known_and_sizes_that_can_be():
    for name, window in WINDOWS.items():
        assert name in MODEL_NAMES or name.startswith("qwen-plus-2025-")
        assert 100_000 < window < 1_100_000


def test_fullness_is_what_the_next_turn_begins_with():
    usage = Usage(input_tokens=150_000, output_tokens=20_000, reasoning_tokens=15_000)
    assert fullness(usage, 310_000) == 0.5
    assert fullness(Usage(10, 5, 15, 0, 9), 10) == 1.0, "more thinking than output: none is kept"
    assert fullness(None, 1000) is None
    assert fullness(Usage(), 1000) is None
    assert fullness(usage, None) is None


def test_the_footer_tells_from_the_half_on():
    assert window_fact(None) == ""
    assert window_fact(0.499) == ""
    assert window_fact(0.5) == "window 50 % full".replace(" ", "\u00a0")
    assert window_fact(0.629) == "window 62 % full".replace(" ", "\u00a0")
    assert window_fact(1.2) == "window 120 % full".replace(" ", "\u00a0")


def test_the_warning_comes_before_the_cut():
    assert window_warning(None) == ""
    assert window_warning(0.69) == ""
    assert "74 % full: above about 80 %" in window_warning(0.745)
    assert "--compact" in window_warning(0.745)
    assert "above" not in window_warning(0.8)
    assert "drops the oldest turns" in window_warning(0.8)

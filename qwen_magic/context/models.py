"""Known models, as data for completion and `%qwen_models`. Any other name is sent as it is.

Names and abilities: Alibaba Cloud's documentation, September 2026. No complete table of vision per
model exists; what is marked here is what the documentation of images names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Model:
    """One known model. `date` is a snapshot's (`2026-01-23`), empty for a moving name."""

    name: str
    note: str = ""
    vision: bool = False
    date: str = ""


# name, vision, snapshots (what follows the name), note
_FAMILIES: Final[tuple[tuple[str, bool, tuple[str, ...], str], ...]] = (
    ("qwen3-max", False, ("2026-01-23",), "text only; the default"),
    ("qwen3.8-max", True, ("0902",), "thinks by default"),
    ("qwen3.8-flash", False, (), "fast; thinks by default"),
    ("qwen3.8-2.4t-a95b", True, (), "open weights"),
    ("qwen3.8-27b", True, (), "open weights"),
    ("qwen3.8-omni-flash", False, (), "audio and video; web_search is its only built-in tool"),
    ("qwen3.7-max", False, ("preview", "2026-05-17", "2026-05-20", "2026-06-08"), ""),
    ("qwen3.7-plus", True, ("2026-05-26",), ""),
    ("qwen3.7-flash", True, ("2026-07-15",), "fast"),
    ("qwen3.6-plus", True, ("2026-04-02",), ""),
    ("qwen3.6-flash", True, ("2026-04-16",), "fast"),
    ("qwen3.6-35b-a3b", True, (), "open weights"),
    ("qwen3.5-plus", True, ("2026-02-15", "2026-04-20"), ""),
    ("qwen3.5-flash", True, ("2026-02-23",), "fast"),
    ("qwen3.5-397b-a17b", True, (), "open weights"),
    ("qwen3.5-122b-a10b", True, (), "open weights"),
    ("qwen3.5-27b", True, (), "open weights"),
    ("qwen3.5-35b-a3b", True, (), "open weights"),
    ("qwen3.5-ocr", False, (), "reads documents given as files"),
    ("qwen-plus", False, (), "effort: none only"),
    ("qwen-flash", False, (), "fast; effort: none only"),
    ("qwen3-coder-plus", False, (), "code; text only"),
    ("qwen3-coder-flash", False, (), "code, fast; text only"),
    ("deepseek-v4.1-flash", False, (), "by DeepSeek"),
    ("deepseek-v4-pro", False, ("0813",), "by DeepSeek"),
    ("deepseek-v4-flash", False, ("0731",), "by DeepSeek"),
    ("glm-5.3", False, (), "by Zhipu; thinks by default"),
    ("glm-5.2", False, (), "by Zhipu"),
    ("kimi-k3", False, (), "by Moonshot"),
)

_SNAPSHOT_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def _models() -> tuple[Model, ...]:
    models: list[Model] = []
    for name, vision, snapshots, note in _FAMILIES:
        models.append(Model(name, note, vision))
        for snapshot in snapshots:
            date = snapshot if _SNAPSHOT_DATE.fullmatch(snapshot) else ""
            models.append(Model(f"{name}-{snapshot}", f"snapshot of {name}", vision, date))
    return tuple(models)


KNOWN_MODELS: Final[tuple[Model, ...]] = _models()
MODEL_NAMES: Final[tuple[str, ...]] = tuple(model.name for model in KNOWN_MODELS)

# The documentation lists qwen3.8-max with its snapshot, qwen3.8-flash, qwen3-max, and "the
# qwen3.7-max family"; snapshots of the first three are taken to behave as the names they belong to.
_THINKS_FOR_CODE: Final = re.compile(r"qwen3\.8-max|qwen3\.8-flash|qwen3-max|qwen3\.7-max")
_THINKS_FOR_PAGES: Final = re.compile(r"qwen3-max")


def think_required_for_code(model: str) -> bool:
    """True where `code_interpreter` works only with thinking on."""
    return _is_of(_THINKS_FOR_CODE, model)


def think_required_for_extractor(model: str) -> bool:
    """True where `web_extractor` works only with thinking on."""
    return _is_of(_THINKS_FOR_PAGES, model)


def _is_of(names: re.Pattern[str], model: str) -> bool:
    found = names.match(model)
    return found is not None and model[found.end() :][:1] in ("", "-")

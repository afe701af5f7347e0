"""Known models, as data: for completion and `%qwen_models`, and how much fits into their windows.

Any other name is sent as it is.

Names and abilities: Alibaba Cloud's documentation, September 2026. No complete table of vision per
model exists; what is marked here is what the documentation of images names.

The service cuts what is longer than about 80 % of the window, without an error (Alibaba's
documentation of the Responses API, 2026): a long conversation loses its beginning silently. A
window belongs to a model *as Alibaba Cloud serves it*. The same name elsewhere (a vLLM or Ollama
of one's own) has whatever was configured there: ask `window_of` only for Alibaba's endpoints, or
with what the user says in `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from qwen_magic.protocol.response import Usage


@dataclass(frozen=True, slots=True)
class Model:
    """A known model. `window` is in tokens, None if not documented.

    `snapshots`: the suffixes of its snapshots' names; `date`: of a snapshot (`2026-01-23`), else
    empty.
    """

    name: str
    note: str = ""
    vision: bool = False
    window: int | None = None
    snapshots: tuple[str, ...] = ()
    date: str = ""


SHOWN_FROM: Final = 0.5  # of the window: from here on the footer tells
WARNED_FROM: Final = 0.7  # so that there is room for a turn before the cut
CUT_FROM: Final = 0.8  # about here the service begins to cut

_256K: Final = 262_144
_1M: Final = 1_000_000

# The windows were read in November 2026. [A] pages of Alibaba Cloud Model Studio and Qwen Cloud as
# quoted by the models.dev catalogue, provider "alibaba"; [V] Vercel's AI Gateway, provider
# "alibaba"; [H] the open weights' own pages at Hugging Face ("262,144 natively"), the same in [A].
_LISTED: Final[tuple[Model, ...]] = (
    # [A] [V]
    Model("qwen3-max", "text only; the default", window=_256K, snapshots=("2026-01-23",)),
    # [A]; [V] gives 991,000, the longest input
    Model("qwen3.8-max", "thinks by default", vision=True, window=_1M, snapshots=("0902",)),
    # [V]: "native 1M-token context window"
    Model("qwen3.8-flash", "fast; thinks by default", window=_1M),
    Model("qwen3.8-2.4t-a95b", "open weights", vision=True),
    Model("qwen3.8-27b", "open weights", vision=True),
    Model("qwen3.8-omni-flash", "audio and video; web_search is its only built-in tool"),
    # [A]: input up to 991,808
    Model(
        "qwen3.7-max", window=_1M, snapshots=("preview", "2026-05-17", "2026-05-20", "2026-06-08")
    ),
    # [A]; refusals say "input length should be [1, 983616]"
    Model("qwen3.7-plus", vision=True, window=_1M, snapshots=("2026-05-26",)),
    # [A]: input up to 991,000
    Model("qwen3.7-flash", "fast", vision=True, window=_1M, snapshots=("2026-07-15",)),
    Model("qwen3.6-plus", vision=True, window=_1M, snapshots=("2026-04-02",)),  # [A] [V]
    # [A] lists a price above 256,000 tokens, as for qwen3.6-plus
    Model("qwen3.6-flash", "fast", vision=True, window=_1M, snapshots=("2026-04-16",)),
    Model("qwen3.6-35b-a3b", "open weights", vision=True, window=_256K),  # [A] [H]
    Model("qwen3.5-plus", vision=True, window=_1M, snapshots=("2026-02-15", "2026-04-20")),  # [A]
    Model("qwen3.5-flash", "fast", vision=True, window=_1M, snapshots=("2026-02-23",)),  # [A] [V]
    Model("qwen3.5-397b-a17b", "open weights", vision=True, window=_256K),  # [A] [H]
    Model("qwen3.5-122b-a10b", "open weights", vision=True, window=_256K),  # [A] [H]
    Model("qwen3.5-27b", "open weights", vision=True, window=_256K),  # [A] [H]
    Model("qwen3.5-35b-a3b", "open weights", vision=True, window=_256K),  # [A] [H]
    Model("qwen3.5-ocr", "reads documents given as files"),
    Model("qwen-plus", "effort: none only", window=_1M),  # [A], since the snapshot 2025-07-28
    Model("qwen-flash", "fast; effort: none only", window=_1M),  # [A]
    Model("qwen3-coder-plus", "code; text only", window=_1M),  # [A]
    Model("qwen3-coder-flash", "code, fast; text only", window=_1M),  # [A]
    Model("deepseek-v4.1-flash", "by DeepSeek"),
    Model("deepseek-v4-pro", "by DeepSeek", window=_1M, snapshots=("0813",)),  # [A]
    Model("deepseek-v4-flash", "by DeepSeek", window=_1M, snapshots=("0731",)),  # [A]
    Model("glm-5.3", "by Zhipu; thinks by default"),
    Model("glm-5.2", "by Zhipu", window=_1M),  # [A]
    Model("kimi-k3", "by Moonshot", window=1_048_576),  # [A]
)
# Snapshots with a window of their own [A]; they are sent as they are, but not offered.
_OLDER_WINDOWS: Final[Mapping[str, int]] = {
    "qwen-plus-2025-01-25": 131_072,
    "qwen-plus-2025-04-28": 131_072,
    "qwen-plus-2025-07-14": 131_072,
}
# Alibaba Cloud's notices of retirement: the day on which the name was given up.
RETIRED: Final[Mapping[str, str]] = dict.fromkeys(
    ("qwen-turbo", "qwen-vl-max", "qwen-vl-plus", "qwq-plus", "qvq-max"), "10 October 2026"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def _with_snapshots(model: Model) -> list[Model]:
    """The model, followed by a model for each snapshot."""
    return [
        model,
        *(
            Model(
                f"{model.name}-{snapshot}",
                f"snapshot of {model.name}",
                model.vision,
                date=snapshot if _DATE.fullmatch(snapshot) else "",
            )
            for snapshot in model.snapshots
        ),
    ]


KNOWN_MODELS: Final = tuple(each for model in _LISTED for each in _with_snapshots(model))
MODEL_NAMES: Final = tuple(model.name for model in KNOWN_MODELS)
WINDOWS: Final[Mapping[str, int]] = {
    **{model.name: model.window for model in _LISTED if model.window},
    **_OLDER_WINDOWS,
}

# The models that a tool makes think. The documentation lists qwen3.8-max with its snapshot,
# qwen3.8-flash, qwen3-max, and "the qwen3.7-max family"; snapshots of the first three are taken to
# behave as the names they belong to.
_THINKING: Final = {
    "web_extractor": re.compile(r"qwen3-max(?![^-])"),
    "code_interpreter": re.compile(r"(?:qwen3\.[78]-max|qwen3\.8-flash|qwen3-max)(?![^-])"),
}
# Named as such by the documentation. Of others too little is known to refuse: the service then
# says so itself.
_TEXT_ONLY: Final = re.compile(r"qwen3-(?:max|coder)(?![^-])")


def needs_thinking(model: str, tool: str) -> bool:
    """True where `tool` works on `model` only with thinking on."""
    return tool in _THINKING and bool(_THINKING[tool].match(model))


def is_text_only(model: str) -> bool:
    """True where `model` is known to see no images."""
    return bool(_TEXT_ONLY.match(model))


def sees_images(model: str) -> bool | None:
    """Whether `model` sees images; None where that is not known."""
    known = {each.name: each.vision for each in KNOWN_MODELS}
    return known.get(model) or (False if is_text_only(model) else None)


def retirement(model: str) -> str:
    """A sentence if the model is retired; empty for any other."""
    day = RETIRED.get(model, "")
    return f"{model} was retired on {day}: take another, such as qwen3.7-plus (-m)" if day else ""


# Windows -----------------------------------------------------------------------------------------

# What a snapshot adds to its model's name. `-next` or `-character` make another model.
_SNAPSHOT: Final = re.compile(r"-(?:\d{4}-\d\d-\d\d|\d{4}|preview|latest|us)(?:-us)?$")
_NO_BREAK: Final = "\u00a0"


def base_name(model: str) -> str:
    """The model that a snapshot's name belongs to; any other name unchanged."""
    return _SNAPSHOT.sub("", model)


def window_of(model: str, extra: Mapping[str, int] | None = None) -> int | None:
    """The window in tokens, or None if it is not known.

    `extra` (the user's setting) comes first; a snapshot has its model's window unless it is listed
    itself. A window that is not positive counts as unknown.
    """
    given = extra or {}
    base = base_name(model)
    for windows, name in ((given, model), (given, base), (WINDOWS, model), (WINDOWS, base)):
        if name in windows:
            return windows[name] if windows[name] > 0 else None
    return None


def fullness(usage: Usage | None, window: int | None) -> float | None:
    """The share of the window that the next turn starts with: this turn's input and answer.

    Thinking is not carried over. None if unknown; may be above 1.
    """
    if usage is None or not usage.known or not window:
        return None
    return carried_tokens(usage) / window


def carried_tokens(usage: Usage) -> int:
    """The tokens that the next turn starts with: this one's input, and its answer without
    thinking.
    """
    return usage.input_tokens + max(0, usage.output_tokens - usage.reasoning_tokens)


def window_fact(full: float | None) -> str:
    """For the footer: "window 62 % full" above one half, else empty."""
    if full is None or full < SHOWN_FROM:
        return ""
    return f"window{_NO_BREAK}{int(100 * full)}{_NO_BREAK}%{_NO_BREAK}full"


def window_warning(full: float | None) -> str:
    """A warning before the service starts to cut the conversation, else empty."""
    if full is None or full < WARNED_FROM:
        return ""
    if full < CUT_FROM:
        state = "above about 80 % the service drops the oldest turns without a word"
    else:
        state = "the service drops the oldest turns without a word"
    return (
        f"The context window is {int(100 * full)} % full: {state}. "
        "%qwen_fork NAME --compact goes on from a summary."
    )

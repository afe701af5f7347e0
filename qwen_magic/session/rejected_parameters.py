"""Parameters that a server refuses by name: which one it means, and who asked for it.

A parameter that nobody asked for was a convenience (`include`, `text` beside a schema that stands
in the prompt, thinking that a tool was thought to need): the request is made once more without it.
One that was asked for is not dropped silently: the error names the option to leave out.

Servers say it in many words:

    Unknown parameter: 'enable_thinking'.                    OpenAI
    Unsupported fields in the request: {'text', 'include'}   transformers serve
    json: unknown field "text"                               servers in Go
    text: Extra inputs are not permitted                     FastAPI, as `error_body` reads it
    Unrecognized request argument supplied: enable_thinking  gateways
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from qwen_magic.errors import APIError
from qwen_magic.options import OPTIONS
from qwen_magic.protocol.fields import JSON

if TYPE_CHECKING:
    from qwen_magic.session.plan import Ask

# What no request can do without, and what healing sees to.
_NEEDED: Final = frozenset({"model", "input", "stream", "previous_response_id"})
_REFUSES: Final = re.compile(
    r"unknown|unrecogni[sz]ed|unsupported|unexpected|unused|extra (?:inputs?|fields?)"
    r"|additional propert|invalid (?:parameter|argument|field)"
    r"|(?:not|n't) (?:be |a |yet )*(?:support|permit|allow|recogni[sz]|know|accept|implement|take)",
    re.IGNORECASE,
)
# Where the parameter's name stands, in order of how surely it is meant. `text` and `tools` are
# words too, so that the bare name counts only after "parameter", or as the subject.
_PLACES: Final = (
    r"['\"`‘’“”«\[]{name}\b",
    r"(?:parameter|argument|field|property|properties|key|option)s?\b[^.]{{0,40}}?\b{name}\b",
    r"(?:^|\bbody[.:\s]+){name}\b\s*[:.]|\b{name}\b (?:is|are) (?:not|un)",
)
_REQUEST_OPTIONS: Final = {option.field: option.long for option in OPTIONS}


def refused_parameter(error: object, body: JSON) -> str:
    """The parameter of the request's `body` that `error` refuses by its name; else empty."""
    if not isinstance(error, APIError) or error.status >= 500:
        return ""
    words = f"{error.code} {error.why}"
    return _named(error.why, body.keys() - _NEEDED) if _REFUSES.search(words) else ""


def _named(words: str, names: Iterable[str]) -> str:
    for place in _PLACES:
        for name in sorted(names):
            if re.search(place.format(name=re.escape(name)), words):
                return name
    return ""


def option_behind(parameter: str, ask: Ask) -> str:
    """The option by which `ask` asked for this parameter; empty where nobody did."""
    switch = {None: "", True: "--think", False: "--no-think"}[ask.think]
    behind = {
        "tools": "--tools" if ask.tools else "",
        "instructions": "--system" if ask.system else "",
        "reasoning": "--effort" if ask.effort else switch,
        "thinking_budget": "--effort",
        "enable_thinking": switch,
        "chat_template_kwargs": switch or ("--effort" if ask.effort else ""),
    }
    if parameter in ask.extra:
        behind[parameter] = _REQUEST_OPTIONS.get(parameter, "")
    return behind.get(parameter, "")

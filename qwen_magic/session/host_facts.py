"""What was found out about hosts: kept with the conversations, for all notebooks, for a week.

A server may have been set up anew since, so that a finding does not hold for ever. A fact of the
store is one JSON object a host, with whatever was found:

    {"at": 1790000000.0, "keeps_ids": "no", "rejects": ["include"], "thinking": "effort",
     "ignores": ["text"], "images": false}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args

from qwen_magic.endpoints import Capabilities, Endpoint, KeepsIds, ThinkingSwitch
from qwen_magic.protocol.fields import JSON, mapping

if TYPE_CHECKING:
    from qwen_magic.conversation.conversations import Conversations

_NAMESPACE: Final = "hosts"
_HOLDS_FOR: Final = 7 * 86400.0  # seconds
_REJECTED: Final = "it was refused there before"


class HostFacts:
    """Reads and keeps what was found out about hosts."""

    def __init__(
        self, conversations: Conversations, clock: Callable[[], float] = time.time
    ) -> None:
        self._conversations = conversations
        self._clock = clock

    def learn(self, host: str, found: JSON, *, anew: bool = False) -> None:
        """Keep what was `found`, beside what was found before, or `anew` in place of it; rejected
        parameters add up."""
        known = {} if anew else self._known(host)
        rejects = dict.fromkeys([*_names(known.get("rejects")), *_names(found.get("rejects"))])
        merged = {"at": self._clock(), **known, **found, "rejects": list(rejects)}
        self._conversations.learn(_NAMESPACE, host, merged)

    def applied(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint` with what was found out about its host in place of what its row says."""
        known = self._known(endpoint.host)
        if not known:
            return endpoint
        return replace(endpoint, capabilities=_laid_over(endpoint.capabilities, known))

    def _known(self, host: str) -> JSON:
        """What was found; empty where that is nothing, or too old."""
        known = mapping(self._conversations.fact(_NAMESPACE, host))
        at = known.get("at")
        is_fresh = isinstance(at, int | float) and self._clock() - at < _HOLDS_FOR
        return known if is_fresh else {}


def _laid_over(row: Capabilities, known: JSON) -> Capabilities:
    """What does not read as a finding is passed over: another version may have written it."""
    given: dict[str, Any] = {}
    for name, allowed in (
        ("keeps_ids", get_args(KeepsIds)),
        ("thinking", get_args(ThinkingSwitch)),
        ("images", (True, False)),
    ):
        if known.get(name) in allowed:
            given[name] = known[name]
    rejects = dict.fromkeys(_names(known.get("rejects")), _REJECTED)
    ignores = row.ignores | set(_names(known.get("ignores")))
    return replace(row, rejects={**rejects, **row.rejects}, ignores=ignores, **given)


def _names(value: object) -> Iterable[str]:
    return (each for each in value if isinstance(each, str)) if isinstance(value, list) else ()

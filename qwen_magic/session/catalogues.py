"""The catalogues of models of the hosts in use: asked for at the user's word, kept for a week.

A host's catalogue is a fact of the store (`"catalogue"`, the host), so that the other notebooks
have it too. Nothing here asks by itself: `known` reads, `ask` asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from qwen_magic.context.catalogue import (
    Catalogue,
    CataloguedModel,
    listed_models,
    read_catalogue,
)
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.fields import JSON, mapping, mappings, number, text

if TYPE_CHECKING:
    from qwen_magic.client import Client

WEEK: Final = 7 * 24 * 3600.0  # seconds for which a catalogue is kept before it is asked for again
_NAMESPACE: Final = "catalogue"
_PAGE: Final = 100  # models, the most that the service gives at once
_MOST_PAGES: Final = 30


class Catalogues:
    """Those of one session."""

    def __init__(
        self, conversations: Conversations, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._conversations = conversations
        self._clock = clock
        self._read: dict[str, Catalogue | None] = {}  # by host

    def known(self, host: str) -> Catalogue | None:
        """What was kept of `host`, of whatever age; None where it was never asked."""
        if host not in self._read:
            kept = mapping(self._conversations.fact(_NAMESPACE, host))
            models = mappings(kept.get("models"))
            made = read_catalogue(models, text(kept.get("currency")), number(kept.get("at")))
            self._read[host] = made if models else None
        return self._read[host]

    def find(self, host: str, model: str) -> CataloguedModel | None:
        """What `host` is known to say of `model`."""
        known = self.known(host)
        return known.find(model) if known else None

    def ask(self, client: Client, endpoint: Endpoint) -> Catalogue:
        """The catalogue of the endpoint's host, not older than a week. Waits for the server. Raises
        `QwenError`."""
        known = self.known(endpoint.host)
        if known is not None and 0 <= self._clock() - known.at < WEEK:
            return known
        kept: JSON = {
            "at": self._clock(),
            "currency": endpoint.capabilities.currency,
            "models": _listed(client, endpoint),
        }
        self._conversations.learn(_NAMESPACE, endpoint.host, kept)
        del self._read[endpoint.host]
        asked = self.known(endpoint.host)
        if asked is None:
            raise UsageError(f"The catalogue of {endpoint.host} lists no models.")
        return asked


def _listed(client: Client, endpoint: Endpoint) -> list[JSON]:
    """The models of all pages. Raises `QwenError`."""
    found: list[JSON] = []
    for page in range(1, _MOST_PAGES + 1):
        path = f"{endpoint.capabilities.catalogue}?page_no={page}&page_size={_PAGE}"
        answer = client.get(endpoint, path).result()
        if isinstance(answer, QwenError):
            raise answer
        models, total = listed_models(answer)
        found += models
        if page * _PAGE >= total:
            break
    return found

"""What is known of hosts, kept with the conversations, for all notebooks, for a week: what was
found out about them, and their catalogues of models; and what was spent, by their prices.

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

from qwen_magic.context.catalogue import (
    Catalogue,
    CataloguedModel,
    listed_models,
    read_catalogue,
)
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.usage import Budget, BudgetState, Money, check_budget, costs
from qwen_magic.endpoints import (
    RECORDED,
    Capabilities,
    Endpoint,
    KeepsIds,
    ThinkingSwitch,
)
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.fields import JSON, mapping, mappings, number, text
from qwen_magic.protocol.response import Usage
from qwen_magic.session.plan import Ask

if TYPE_CHECKING:
    from qwen_magic.client import Client

WEEK: Final = 7 * 86400.0  # seconds
_FINDINGS: Final = "hosts"
CATALOGUES: Final = "catalogue"
_PAGE: Final = 100  # models, the most that the service gives at once
_MOST_PAGES: Final = 30
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
        known = {} if anew else self._fresh_findings(host)
        rejects = dict.fromkeys([*_texts(known.get("rejects")), *_texts(found.get("rejects"))])
        merged = {"at": self._clock(), **known, **found, "rejects": list(rejects)}
        self._conversations.learn(_FINDINGS, host, merged, lasting=not host.endswith(RECORDED))

    def applied(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint` with what was found out about its host in place of what its row says."""
        known = self._fresh_findings(endpoint.host)
        if not known:
            return endpoint
        return with_findings(endpoint, known)

    def _fresh_findings(self, host: str) -> JSON:
        """What was found; empty where that is nothing, or too old."""
        known = self._conversations.fact(_FINDINGS, host)
        at = known.get("at") if isinstance(known, dict) else None
        is_fresh = isinstance(at, int | float) and abs(self._clock() - at) < WEEK
        return known if is_fresh else {}


def findings(row: Capabilities, now: Capabilities) -> JSON:
    """What is known of a server besides its row, as `with_findings` takes it."""
    found: JSON = {
        name: getattr(now, name)
        for name in ("keeps_ids", "thinking", "images")
        if getattr(now, name) != getattr(row, name)
    }
    for name in ("rejects", "ignores"):
        if more := sorted(set(getattr(now, name)) - set(getattr(row, name))):
            found[name] = more
    return found


def with_findings(endpoint: Endpoint, known: JSON) -> Endpoint:
    """`endpoint` with what was found out laid over its row. What does not read as a finding is
    passed over: another version may have written it."""
    row = endpoint.capabilities
    given: dict[str, Any] = {}
    for name, allowed in (
        ("keeps_ids", get_args(KeepsIds)),
        ("thinking", get_args(ThinkingSwitch)),
        ("images", (True, False)),
    ):
        if known.get(name) in allowed:
            given[name] = known[name]
    rejects = dict.fromkeys(_texts(known.get("rejects")), _REJECTED)
    ignores = row.ignores | set(_texts(known.get("ignores")))
    laid = replace(row, rejects={**rejects, **row.rejects}, ignores=ignores, **given)
    return replace(endpoint, capabilities=laid)


def _texts(value: object) -> Iterable[str]:
    return (each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


class Catalogues:
    """The catalogues of models of the hosts in use: asked for at the user's word, kept for a week.

    A host's catalogue is a fact of the store (`"catalogue"`, the host), so that the other notebooks
    have it too. Nothing here asks by itself: `known` reads, `ask` asks.
    """

    def __init__(
        self, conversations: Conversations, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._conversations = conversations
        self._clock = clock
        self._read: dict[str, Catalogue | None] = {}  # by host

    def recall(self, host: str, kept: Any) -> None:
        """Take over what other sessions keep of `host` (the value of the fact), where this one has
        nothing of its own."""
        if kept and self.known(host) is None:
            self._conversations.learn(CATALOGUES, host, kept)
            del self._read[host]

    def forget_recorded(self) -> None:
        """A recording is replayed from its beginning, where nothing was asked yet."""
        self._read = {host: kept for host, kept in self._read.items() if RECORDED not in host}

    def known(self, host: str) -> Catalogue | None:
        """What was kept of `host`, of whatever age; None where it was never asked."""
        if host not in self._read:
            kept = mapping(self._conversations.fact(CATALOGUES, host))
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
            "models": _fetch_models(client, endpoint),
        }
        self._conversations.learn(CATALOGUES, endpoint.host, kept, lasting=not endpoint.recorded)
        del self._read[endpoint.host]
        asked = self.known(endpoint.host)
        if asked is None:
            raise UsageError(f"The catalogue of {endpoint.host} lists no models.")
        return asked


def _fetch_models(client: Client, endpoint: Endpoint) -> list[JSON]:
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


class Spending:
    """The tokens and the money of all turns that are kept. `budget` is what they may be."""

    def __init__(self, conversations: Conversations, catalogues: Catalogues) -> None:
        self.budget: Budget = 0
        self._conversations = conversations
        self._catalogues = catalogues

    def price_of(self, turn: Turn) -> Money | None:
        """What the tokens of a turn cost, where the price list of its host is known; None for one
        out of a file, which nobody paid for here."""
        found = self._catalogues.find(turn.host, turn.model)
        if found is None or turn.usage is None or not turn.usage.known or turn.imported:
            return None
        amount = found.cost(turn.usage)
        return None if amount is None else Money(amount, found.currency)

    def state(self, ask: Ask, usage: Usage | None = None) -> BudgetState:
        """Where the budget stands, with the `usage` of a turn that is not kept yet. Raises
        `UsageError` where the budget is in money and the price of `ask` is not known in it.

        Each turn counts by the price list of its own host; one without a known price in the
        budget's currency does not count.
        """
        budget = self.budget
        if isinstance(budget, int):
            return check_budget(self._tokens(usage) if budget > 0 else 0, budget)
        if budget.amount <= 0:
            return check_budget(0, 0)
        self._check_currency(budget, ask.endpoint, ask.model)
        turns = {turn.key: turn for turn in self._conversations.turns()}
        spent = {cost.currency: cost.amount for cost in costs(turns.values(), self.price_of)}
        prices = self._catalogues.find(ask.endpoint.host, ask.model)
        more = prices.cost(usage) if prices and usage else None
        return check_budget(spent.get(budget.currency, 0.0) + (more or 0.0), *budget)

    def _tokens(self, usage: Usage | None) -> int:
        kept = sum(summary.tokens for summary in self._conversations.summaries())
        return kept + (usage.total_tokens if usage else 0)

    def _check_currency(self, budget: Money, endpoint: Endpoint, model: str) -> None:
        """Raises `UsageError` where a budget in that currency cannot be kept."""
        prices = self._catalogues.find(endpoint.host, model)
        in_tokens = "%config QwenMagics.budget = N sets one in tokens (0: none)."
        if prices is None or not prices.tiers:
            asks = "%qwen_models asks for them. " if endpoint.capabilities.catalogue else ""
            raise UsageError(
                f"The budget is in {budget.currency}, and the prices of {model} at "
                f"{endpoint.host} are not known. Nothing was sent.",
                hint=asks + in_tokens,
            )
        if prices.currency != budget.currency:
            raise UsageError(
                f"The budget is in {budget.currency}, and {endpoint.host} bills in "
                f"{prices.currency}. Nothing was sent.",
                hint=f"%config QwenMagics.budget = 'N {prices.currency}' fits. {in_tokens}",
            )

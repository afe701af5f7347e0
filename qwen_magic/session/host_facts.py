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
    """Read and store what was found out about hosts."""

    def __init__(
        self, conversations: Conversations, clock: Callable[[], float] = time.time
    ) -> None:
        self._conversations = conversations
        self._clock = clock

    def learn(self, host: str, found: JSON, *, anew: bool = False) -> None:
        """Store findings about a host, merged with earlier ones, or replacing them if `anew`.

        Rejected parameters add up.
        """
        known = {} if anew else self._fresh_findings(host)
        rejects = dict.fromkeys([*_texts(known.get("rejects")), *_texts(found.get("rejects"))])
        merged = {"at": self._clock(), **known, **found, "rejects": list(rejects)}
        self._conversations.learn(_FINDINGS, host, merged, lasting=not host.endswith(RECORDED))

    def applied(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint` with its capabilities updated by the findings about its host."""
        known = self._fresh_findings(endpoint.host)
        if not known:
            return endpoint
        return with_findings(endpoint, known)

    def _fresh_findings(self, host: str) -> JSON:
        """The findings about a host; empty if there are none or they are too old."""
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
    """`endpoint` with findings applied to its capabilities.

    Invalid findings are ignored: another version of the package may have written them.
    """
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
    """The lists of models of hosts, fetched when the user asks for them and stored for a week.

    A list is a fact of the store (`"catalogue"`, the host), so all notebooks share it. Only `ask`
    sends a request.
    """

    def __init__(
        self, conversations: Conversations, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._conversations = conversations
        self._clock = clock
        self._read: dict[str, Catalogue | None] = {}  # by host

    def recall(self, host: str, kept: Any) -> None:
        """Use the stored list of `host` (`kept`, the fact's value) unless this session has
        its own.
        """
        if kept and self.known(host) is None:
            self._conversations.learn(CATALOGUES, host, kept)
            del self._read[host]

    def forget_recorded(self) -> None:
        """A recording is replayed from its beginning, where nothing was asked yet."""
        self._read = {host: kept for host, kept in self._read.items() if RECORDED not in host}

    def known(self, host: str) -> Catalogue | None:
        """The stored list of `host`, however old; None if it was never fetched."""
        if host not in self._read:
            kept = mapping(self._conversations.fact(CATALOGUES, host))
            models = mappings(kept.get("models"))
            made = read_catalogue(models, text(kept.get("currency")), number(kept.get("at")))
            self._read[host] = made if models else None
        return self._read[host]

    def find(self, host: str, model: str) -> CataloguedModel | None:
        """What the list of `host` says about `model`; None if unknown."""
        known = self.known(host)
        return known.find(model) if known else None

    def ask(self, client: Client, endpoint: Endpoint) -> Catalogue:
        """The list of models of the endpoint's host, at most a week old.

        Blocks while it is fetched. Raises `QwenError`.
        """
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
    """Tokens and money used by all stored turns, against `budget`."""

    def __init__(self, conversations: Conversations, catalogues: Catalogues) -> None:
        self.budget: Budget = 0
        self._conversations = conversations
        self._catalogues = catalogues

    def price_of(self, turn: Turn) -> Money | None:
        """What a turn's tokens cost; None if its host's prices are unknown.

        None also for a turn that was imported from a file: nobody paid for it here.
        """
        found = self._catalogues.find(turn.host, turn.model)
        if found is None or turn.usage is None or not turn.usage.known or turn.imported:
            return None
        amount = found.cost(turn.usage)
        return None if amount is None else Money(amount, found.currency)

    def state(self, ask: Ask, usage: Usage | None = None) -> BudgetState:
        """Compare all usage, and that of a turn not stored yet, with the budget.

        Each turn counts by the prices of its own host; one without a price in the budget's currency
        does not count. Raises `UsageError` if the budget is in money and the price of `ask` is
        unknown.
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
        """Raise `UsageError` if the model has no price in the budget's currency."""
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

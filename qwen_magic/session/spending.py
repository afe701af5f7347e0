"""What has been spent, and whether the budget allows another question."""

from __future__ import annotations

from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.usage import Budget, BudgetState, Money, check_budget, costs
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import UsageError
from qwen_magic.protocol.response import Usage
from qwen_magic.session.host_facts import Catalogues
from qwen_magic.session.plan import Ask


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

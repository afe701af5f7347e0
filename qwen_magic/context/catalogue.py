"""What a service says of its models itself: context windows, and prices as numbers.

Model Studio's catalogue, `GET /api/v1/models?page_no=1&page_size=100`, as public clients read it in
November 2026 (Alibaba Cloud's pages name the path, and not the fields):

    {"output": {"total": 512, "page_no": 1, "page_size": 100, "models": [
      {"model": "qwen3.7-plus", "model_info": {"context_window": 1000000, …},
       "prices": [{"range_name": "输入<=256k", "prices": [
         {"type": "input_token", "price": "0.8", "price_unit": "元/百万tokens", "time_band": null},
         {"type": "input_token_cache_read", "price": "0.08", …}, …]},
        {"range_name": "256k<输入<=1m", "prices": […]}]}]}}

A row is known by its exact `type`: `input_token` begins the names of a dozen others (caches,
batches), each with another price. A tier (`range_name`) prices a whole request by the size of its
input. Where a row has a peak and an off-peak price, the peak counts: an estimate should not be
below the bill.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from qwen_magic.context.models import base_name
from qwen_magic.protocol.fields import JSON, integer, mapping, mappings, text
from qwen_magic.protocol.response import Usage

_ROWS: Final = frozenset(
    f"{mode}{row}"
    for mode in ("", "thinking_")
    for row in (
        *("input_token", "output_token", "input_token_cache"),
        *("input_token_cache_read", "input_token_cache_creation_5m"),
    )
)
_BANDS: Final = ("standard", "", "peak", "offpeak")  # the first one that a row has counts
_MILLION: Final = 1_000_000
_PER: Final = (  # what a price is for, in tokens
    (re.compile(r"百万|million|\b1 ?m", re.I), _MILLION),
    (re.compile(r"千|thousand|\b1 ?k", re.I), 1_000),
)
_CURRENCIES: Final = (
    (re.compile(r"美元|\$|USD"), "USD"),
    (re.compile(r"元|¥|￥|CNY|RMB"), "CNY"),
    (re.compile(r"XTS"), "XTS"),  # ISO 4217's code for tests: the offline demo's money
)
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([km])?", re.I)
_SCALE: Final[Mapping[str, int]] = {"": 1, "k": 1_000, "m": 1_000_000}


class Tier(NamedTuple):
    """Prices for requests with at most `up_to` input tokens: by type, per million tokens."""

    up_to: float
    rows: Mapping[str, float]

    def price(self, *types: str, thinking: bool) -> float | None:
        """The price of the first of these types that has one; a model may have another while it
        thinks.
        """
        modes = ("thinking_", "") if thinking else ("", "thinking_")
        found = (self.rows.get(mode + each) for each in types for mode in modes)
        return next((price for price in found if price is not None), None)


@dataclass(frozen=True, slots=True)
class CataloguedModel:
    """What the catalogue says about a model; None or empty if it says nothing.

    `currency` is an ISO 4217 code, `window` is in tokens.
    """

    name: str
    window: int | None
    currency: str
    tiers: tuple[Tier, ...]

    def tier(self, input_tokens: int) -> Tier | None:
        """The prices for a request of that many input tokens."""
        fitting = (tier for tier in self.tiers if input_tokens <= tier.up_to)
        return next(fitting, self.tiers[-1] if self.tiers else None)

    def cost(self, usage: Usage) -> float | None:
        """What these tokens cost, without the price of tools; None if a price is missing.

        If `usage` is the sum of several requests, the tier is that of the sum.
        """
        tier, thinking = self.tier(usage.input_tokens), usage.reasoning_tokens > 0
        if tier is None:
            return None
        plain = tier.price("input_token", thinking=thinking)
        output = tier.price("output_token", thinking=thinking)
        if plain is None or output is None:
            return None

        def cached(*types: str) -> float:
            price = tier.price(*types, thinking=thinking)
            return plain if price is None else price

        written, session = usage.cache_creation_tokens, usage.session_cached_tokens
        implicit = max(0, usage.cached_tokens - session)
        rest = max(0, usage.input_tokens - written - session - implicit)
        spent = (
            rest * plain
            + implicit * cached("input_token_cache", "input_token_cache_read")
            + session * cached("input_token_cache_read", "input_token_cache")
            + written * cached("input_token_cache_creation_5m")
            + usage.output_tokens * output
        )
        return spent / _MILLION


class Catalogue:
    """The models of a host. `at`: when they were fetched, in seconds since 1970."""

    def __init__(self, models: Iterable[CataloguedModel], at: float) -> None:
        self.models = {model.name: model for model in models}
        self.at = at

    def find(self, model: str) -> CataloguedModel | None:
        """The model of that name; a snapshot that is not listed has the values of its model."""
        return self.models.get(model) or self.models.get(base_name(model))


def listed_models(page: JSON) -> tuple[list[JSON], int]:
    """Read a page of the catalogue: the models with what is stored of them, and the total number.

    Models without a window or a price of tokens (not for text) are left out.
    """
    output = mapping(page.get("output"))
    kept = map(_stored_form, mappings(output.get("models")))
    return [each for each in kept if each is not None], integer(output.get("total")) or 0


def _stored_form(model: JSON) -> JSON | None:
    window = integer(mapping(model.get("model_info")).get("context_window"))
    ranges = [
        {
            "range_name": text(each.get("range_name")),
            "prices": [row for row in mappings(each.get("prices")) if row.get("type") in _ROWS],
        }
        for each in mappings(model.get("prices"))
    ]
    name, priced = text(model.get("model")), [each for each in ranges if each["prices"]]
    if not name or not (window or priced):
        return None
    return {"model": name, "model_info": {"context_window": window}, "prices": priced}


def read_catalogue(models: Iterable[JSON], currency: str, at: float) -> Catalogue:
    """Build a catalogue from what `listed_models` returned. `currency`: of prices that name
    none.
    """
    return Catalogue((_model(each, currency) for each in models), at)


def _model(raw: JSON, currency: str) -> CataloguedModel:
    tiers: list[Tier] = []
    for each in mappings(raw.get("prices")):
        rows = mappings(each.get("prices"))
        if prices := _prices(rows):
            tiers.append(Tier(_up_to(text(each.get("range_name"))), prices))
            currency = _currency(rows) or currency
    window = integer(mapping(raw.get("model_info")).get("context_window"))
    ordered = tuple(sorted(tiers, key=lambda tier: tier.up_to))
    return CataloguedModel(text(raw.get("model")), window or None, currency, ordered)


def _prices(rows: list[JSON]) -> dict[str, float]:
    """Prices by type, per million tokens."""
    found: dict[str, float] = {}
    for band in reversed(_BANDS):  # a better one takes the place of what was found before
        for row in rows:
            price = _price(row) if text(row.get("time_band")) == band else None
            if price is not None:
                found[text(row.get("type"))] = price
    return found


def _price(row: JSON) -> float | None:
    """The price per million tokens; None for other units or an invalid price."""
    unit = text(row.get("price_unit"))
    per = next((tokens for pattern, tokens in _PER if pattern.search(unit)), 0)
    try:
        price = float(text(row.get("price")))
    except ValueError:
        return None
    return price * _MILLION / per if per and math.isfinite(price) and price >= 0 else None


def _currency(rows: list[JSON]) -> str:
    units = " ".join(text(row.get("price_unit")) for row in rows)
    return next((code for pattern, code in _CURRENCIES if pattern.search(units)), "")


def _up_to(range_name: str) -> float:
    """The largest input of a tier: `输入<=256k`, `32k<输入<=128k`; no limit: `256k<输入`."""
    sizes = [float(n) * _SCALE[unit.lower()] for n, unit in _SIZE.findall(range_name)]
    is_lower = bool(re.match(r"\s*\d", range_name)) or bool(re.search("[>＞]", range_name))
    if not sizes or (len(sizes) == 1 and is_lower):
        return math.inf
    return max(sizes)

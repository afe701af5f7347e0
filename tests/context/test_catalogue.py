"""A service's own list of models: windows and prices."""

import pytest

from qwen_magic.context.catalogue import listed_models, read_catalogue
from qwen_magic.protocol.response import Usage

YUAN = "元/百万tokens"


def rows(unit=YUAN, **prices):
    return [{"type": kind, "price": str(price), "price_unit": unit, "time_band": None}
            for kind, price in prices.items()]  # fmt: skip


def page(*models, total=None):
    return {"output": {"total": total or len(models), "page_no": 1, "models": list(models)}}


def model(name, *tiers, window=None):
    prices = [{"range_name": tier, "prices": found} for tier, found in tiers]
    return {"model": name, "name": name, "model_info": {"context_window": window}, "prices": prices}


# The names that begin alike have other prices: whoever looks for "input" takes one of these.
MAX = model(
    "qwen3.8-max",
    (
        "输入<=256k",
        rows(
            input_token=12, input_token_batch=6, input_token_cache=2.4, input_token_cache_read=1.2,
            input_token_cache_creation_5m=15, output_token=36, thinking_output_token=48,
            output_token_batch=18,
        ),
    ),
    ("256k<输入<=1m", rows(input_token=24, output_token=72)),
    window=1_000_000,
)  # fmt: skip


def find(name, *models, currency="USD"):
    return read_catalogue(listed_models(page(*models))[0], currency, 0.0).find(name)


def test_rows_count_by_their_exact_type():
    found = find("qwen3.8-max", MAX)
    assert (found.window, found.currency) == (1_000_000, "CNY")
    assert found.cost(Usage(input_tokens=1_000_000 // 4)) == pytest.approx(12 / 4)
    assert found.cost(Usage(output_tokens=1_000)) == pytest.approx(0.036)


def test_thinking_has_rows_of_its_own():
    found = find("qwen3.8-max", MAX)
    assert found.cost(Usage(output_tokens=1_000, reasoning_tokens=600)) == pytest.approx(0.048)
    only = find("a", model("a", ("Default", rows(thinking_input_token=1, thinking_output_token=2))))
    assert only.cost(Usage(10**6, 10**6)) == pytest.approx(3)


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(100_000, cached_tokens=50_000), 0.05 * 12 + 0.05 * 2.4),
        (Usage(100_000, cached_tokens=50_000, session_cached_tokens=50_000),
         0.05 * 12 + 0.05 * 1.2),
        (Usage(100_000, cached_tokens=50_000, session_cached_tokens=50_000,
               cache_creation_tokens=20_000), 0.03 * 12 + 0.05 * 1.2 + 0.02 * 15),
    ],
)  # fmt: skip
def test_caches_have_prices_of_their_own(usage, price):
    assert find("qwen3.8-max", MAX).cost(usage) == pytest.approx(price)


def test_a_cache_without_a_row_costs_what_reading_costs():
    found = find("glm-5.3", model("glm-5.3", ("Default", rows(input_token=8, output_token=1))))
    usage = Usage(1000, cached_tokens=500, session_cached_tokens=200, cache_creation_tokens=100)
    assert found.cost(usage) == pytest.approx(0.008)


@pytest.mark.parametrize(
    ("tokens", "price"), [(0, 12), (256_000, 12), (256_001, 24), (2_000_000, 24)]
)
def test_a_tier_prices_the_whole_request(tokens, price):
    tier = find("qwen3.8-max", MAX).tier(tokens)
    assert tier.price("input_token", thinking=False) == price


@pytest.mark.parametrize(
    ("name", "up_to"),
    [("输入<=256k", 256_000), ("32k<输入<=128k", 128_000), ("0<Token≤32K", 32_000),
     ("256k<输入", float("inf")), ("输入>1m", float("inf")), ("Default", float("inf")),
     ("", float("inf"))],
)  # fmt: skip
def test_how_tiers_are_named(name, up_to):
    assert find("a", model("a", (name, rows(input_token=1)))).tiers[0].up_to == up_to


@pytest.mark.parametrize(
    ("unit", "price", "currency"),
    [("元/百万tokens", 4, "CNY"), ("元/千tokens", 4000, "CNY"), ("$/1M tokens", 4, "USD"),
     ("美元/百万tokens", 4, "USD"), ("per million tokens", 4, "EUR"), ("XTS/1M tokens", 4, "XTS")],
)  # fmt: skip
def test_units(unit, price, currency):
    found = find("a", model("a", ("", rows(unit, input_token=4, output_token=4))), currency="EUR")
    assert found.cost(Usage(1_000_000)) == pytest.approx(price)
    assert found.currency == currency


def test_the_dearer_hours_count():
    priced = [
        {**rows(input_token=price)[0], "time_band": band}
        for price, band in ((1, "offpeak"), (4, "peak"))
    ]
    banded = model("a", ("Default", [*priced, *rows(output_token=1)]))
    assert find("a", banded).cost(Usage(1_000_000)) == 4


def test_what_is_no_price_is_none():
    odd = rows("元/张", input_token=1) + rows(output_token="free") + [{"type": "input_token"}, 3]
    assert find("a", model("a", ("", odd), window=10)).cost(Usage(1)) is None
    assert find("b", model("b", window=10)).cost(Usage(1)) is None
    free = find("c", model("c", ("", rows(input_token=0, output_token=0))))
    assert free.cost(Usage(1, 1)) == 0


def test_what_is_kept_can_be_read_again_and_is_about_text():
    images = model("wan-image", ("Default", [{"type": "image_number", "price": "0.2"}]))
    kept, total = listed_models(page(MAX, images, {"model": 3}, total=512))
    assert [each["model"] for each in kept] == ["qwen3.8-max"]
    assert total == 512
    again, _ = listed_models(page(*kept))
    assert again == kept


def test_a_snapshot_has_what_its_model_has():
    assert find("qwen3.8-max-2026-09-02", MAX).name == "qwen3.8-max"
    assert find("qwen3.8-max-next", MAX) is None


@pytest.mark.parametrize("answer", [{}, {"output": None}, {"output": {"models": "x"}}])
def test_a_page_of_nothing(answer):
    assert listed_models(answer) == ([], 0)

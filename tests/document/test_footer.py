"""The footer's facts."""

from qwen_magic.document.footer import Footer, TurnFacts, make_footer
from qwen_magic.document.html import footer_html
from qwen_magic.protocol.items import CodeInterpreterCall, WebSearchCall
from qwen_magic.protocol.response import Usage


def footer(turn, usage=None, items=(), model="", id=""):
    made = make_footer(turn, model=model, seconds=21.4, usage=usage, items=items, id=id)
    return made.text().replace("\u00a0", " ")


def test_all_facts():
    turn = TurnFacts(
        "asked-for", "main", 4, (2, 3), ("web_search for web_extractor",), ("{df} → 3 columns",)
    )
    usage = Usage(1284, 943, 2227, 512, 677, {"web_search": 2, "code_interpreter": 1, "none": 0})
    assert footer(turn, usage, model="qwen3-max", id="resp_1") == (
        "qwen3-max · 21 s · 1,284 in, 943 out · 2 searches, 1 run · main, turn 4 · answer 2/3\n"
        "512 in from the cache · 677 out for thinking"
        " · added web_search for web_extractor · {df} → 3 columns · resp_1"
    )


def test_unknown_tokens_are_not_zero():
    assert footer(TurnFacts("m"), Usage()) == "m · 21 s · tokens not reported"


def test_calls_are_counted_where_the_service_does_not():
    items = [WebSearchCall("1"), WebSearchCall("2"), CodeInterpreterCall("3")]
    assert footer(TurnFacts("m"), Usage(1, 1, 2), items).endswith("2 searches, 1 run")


def test_a_notice_stands_for_the_model_and_an_only_answer_is_not_numbered():
    turn = TurnFacts("qwen3-max", "demo", 1, (1, 1), notices=("offline demo",))
    assert footer(turn) == footer(turn, model="demo")
    assert footer(turn) == "offline demo · 21 s · tokens not reported · demo, turn 1"


def test_what_must_be_known_is_in_sight_and_the_rest_behind_one_line():
    turn = TurnFacts(
        "m", warnings=("--think has no effect",), endpoint="singapore", request="model m",
        price=lambda usage: f"{usage.total_tokens / 1000} USD",
    )  # fmt: skip
    made = make_footer(turn, model="", seconds=2.0, usage=Usage(1, 1, 2), items=(), id="resp_1")
    assert made.line[-1] == "0.002 USD"
    before, _, after = footer_html(made).partition("</details>")
    summary, _, rest = before.partition("</summary>")
    assert "0.002 USD" in summary
    assert "--think has no effect" in after
    for words in ("singapore", "resp_1", "request: model m"):
        assert words in rest
    assert "<details" not in footer_html(Footer(("m",), (), ""))

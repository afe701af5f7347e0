"""The footer's facts."""

from qwen_magic.document.footer import TurnFacts, make_footer
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
        "qwen3-max · 21 s · in 1,284 (512 cached) · out 943 (677 reasoning) · 2 searches, 1 run\n"
        "main, turn 4 · answer 2/3 · resp_1\n"
        "added web_search for web_extractor · {df} → 3 columns"
    )


def test_unknown_tokens_are_not_zero():
    assert footer(TurnFacts("m"), Usage()) == "m · 21 s · tokens not reported"


def test_calls_are_counted_where_the_service_does_not():
    items = [WebSearchCall("1"), WebSearchCall("2"), CodeInterpreterCall("3")]
    assert footer(TurnFacts("m"), Usage(1, 1, 2), items).endswith("2 searches, 1 run")


def test_a_notice_comes_first_and_an_only_answer_is_not_numbered():
    text = footer(TurnFacts("demo", "demo", 1, (1, 1), notices=("offline demo",)))
    assert text == "offline demo · demo · 21 s · tokens not reported\ndemo, turn 1"

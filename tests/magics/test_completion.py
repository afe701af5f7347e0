"""Tab: options, their values, names in braces; elsewhere nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.magics.completion import Choices, Completions, complete

unhurried = settings(deadline=None)  # the machine may be busy

NAMES = ["sales", "salt", "_hidden", "answer"]


def at(marked: str) -> Completions:
    """Complete at the `|` of `marked`."""
    cursor = marked.index("|")
    return complete(
        marked.replace("|", "", 1),
        cursor,
        Choices(
            models=["qwen3-max", "qwen3.7-max", "other", "other\n!ls", "other x"],
            tools=["web_search", "web_extractor", "code_interpreter", "all", "none"],
            chats=["main", "sales-2026"],
            names=lambda: NAMES,
            prompts=lambda: {"tutor": ["level"], "explain": ["topic", "level"]},
        ),
    )


def result(marked: str) -> list[str]:
    """Every text that the completions of `marked` lead to."""
    found = at(marked)
    text = marked.replace("|", "", 1)
    return [text[: found.start] + match + text[found.end :] for match in found.matches]


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("%qwen --mo|", ["%qwen --model"]),
        ("%%qwen --no-|", ["%%qwen --no-think", "%%qwen --no-history"]),
        ("%qwen -n out|", ["%qwen -n outline"]),
        ("x = %qwen --dr|", ["x = %qwen --dry-run"]),
        ("a, b = %qwen --dr|", ["a, b = %qwen --dry-run"]),
        ("%qwen --think --ne|", ["%qwen --think --new"]),
        ("%qwen -s 'a b' --ne|", ["%qwen -s 'a b' --new"]),
        ("%qwen -m qw|", ["%qwen -m qwen3-max", "%qwen -m qwen3.7-max"]),
        ("%qwen -m qwen3.|", ["%qwen -m qwen3.7-max"]),
        ("%qwen --model=ot|", ["%qwen --model=other"]),
        ("%qwen -mot|", ["%qwen -mother"]),
        ("%qwen -t web_s|", ["%qwen -t web_search"]),
        ("%qwen -t web_search,web|", ["%qwen -t web_search,web_extractor"]),
        ("%qwen -e x|", ["%qwen -e xhigh"]),
        ("%qwen -c m|", ["%qwen -c main"]),
        ("%qwen -o sal|", ["%qwen -o sales", "%qwen -o salt"]),
        ("%qwen -s {sale|", ["%qwen -s {sales}"]),
        ('%qwen -s "Know {sale|', ['%qwen -s "Know {sales}']),
        ("%qwen explain {sal|", ["%qwen explain {sales}", "%qwen explain {salt}"]),
        ("%qwen explain {sal|}", ["%qwen explain {sales}", "%qwen explain {salt}"]),
        ("%qwen {_h|", ["%qwen {_hidden}"]),
        ("%%qwen\nexplain {an|", ["%%qwen\nexplain {answer}"]),
        ("# note\n\n%%qwen -t all\na {an| b", ["# note\n\n%%qwen -t all\na {answer} b"]),
        ("y = 1\n%qwen --dr|", ["y = 1\n%qwen --dry-run"]),
        ("%qwen_chat ma|", ["%qwen_chat main"]),
        ("%qwen_chat sales-2026 -m o|", ["%qwen_chat sales-2026 -m other"]),
        ("%qwen_chat sales-2026 --thi|", ["%qwen_chat sales-2026 --think"]),
        ("%qwen_chat --thi|", ["%qwen_chat --think"]),
        ("%qwen_chat --al|", ["%qwen_chat --all"]),
        ("%qwen_fork other --co|", ["%qwen_fork other --compact"]),
        ("%qwen_fork --af|", ["%qwen_fork --after"]),
        ("%qwen_tools --|", ["%qwen_tools --forget"]),
        ("%qwen_fix --dr|", ["%qwen_fix --dry-run"]),
        ("%qwen_prompt tu|", ["%qwen_prompt tutor"]),
        ("%qwen_prompt -m other ex|", ["%qwen_prompt -m other explain"]),
        ("%qwen_prompt explain topic=x l|", ["%qwen_prompt explain topic=x level="]),
        ("%qwen_prompt explain |", ["%qwen_prompt explain topic=", "%qwen_prompt explain level="]),
        ("%qwen_prompt explain --dr|", ["%qwen_prompt explain --dry-run"]),
        ("%qwen -s @t|", ["%qwen -s @tutor"]),
        ("%qwen --compare o|", ["%qwen --compare other"]),
        ("%qwen --compare eff|", ["%qwen --compare effort="]),
        ("%qwen --compare effort=lo|", ["%qwen --compare effort=low"]),
        ("%qwen --compare=effort=low,hi|", ["%qwen --compare=effort=low,high"]),
        ("%qwen --compare system=@t|", ["%qwen --compare system=@tutor"]),
        ("%qwen --compare system=@tutor,@e|", ["%qwen --compare system=@tutor,@explain"]),
        ("%qwen -d sale|", ["%qwen -d sales"]),
        ("%qwen -d salt,sale|", ["%qwen -d salt,sales"]),
    ],
)
def test_offers(marked: str, expected: list[str]) -> None:
    assert result(marked) == expected


@pytest.mark.parametrize(
    "marked",
    [
        "sal|",
        "f'{sal|'",
        "%qwen|",
        "%qwenx --mo|",
        "%time --mo|",
        "%qwen a prompt --mo|",
        "%qwen -- --mo|",
        "%qwen pri|",
        "%qwen {sales.to|",
        "%qwen {{sal|",
        "%qwen --wrong --mo|",
        "%qwen --compare wrong=o|",
        "%qwen --compare other,o|",
        "%qwen --after m|",
        "%qwen_chat sales-2026 ma|",
        "%qwen_chat --dry|",
        "%qwen --ak|",
        "%qwen_new --|",
        "%qwen_fork {sal|",
        "%%qwen\n--mo|",
        "%%qwen\nsal|",
        "%%qwen\n%qwen --mo|",
        "%%qwen\n```\n{sal|",
        "%%time\nx = {sal|",
        "|",
    ],
)
def test_offers_nothing(marked: str) -> None:
    assert result(marked) == []


def test_all_options_after_a_dash() -> None:
    found = at("%qwen -|").matches
    assert found[0] == "--model"
    assert "-m" in found
    assert "--dry-run" in found


@unhurried
@given(st.text(st.sampled_from("%qwen_chat -t,m={}\"'\n#x"), max_size=40), st.integers(0, 40))
def test_never_raises(text: str, cursor: int) -> None:
    cursor = min(cursor, len(text))
    found = complete(text, cursor, Choices(["m"], ["t"], ["c"], lambda: ["x"]))
    assert 0 <= found.start <= found.end == cursor

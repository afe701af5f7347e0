"""`--compare`: what differs between the variants, how texts differ, what the table says."""

import pickle

import pytest

from qwen_magic.answer import Answer
from qwen_magic.errors import OptionError
from qwen_magic.magics.comparing import Comparison, variants
from qwen_magic.magics.line import read_line
from qwen_magic.protocol.response import Usage


def labelled(line):
    return variants(read_line(line)[0])


@pytest.mark.parametrize(
    ("line", "labels", "field", "values"),
    [
        ("--compare a,b", ["a", "b"], "model", ["a", "b"]),
        ("--compare a，b，c", ["a", "b", "c"], "model", ["a", "b", "c"]),
        ("--compare model=a,b", ["a", "b"], "model", ["a", "b"]),
        ("--compare effort=low,high", ["effort low", "effort high"], "effort", ["low", "high"]),
        (
            "--compare temperature=0,1",
            ["temperature 0", "temperature 1"],
            "temperature",
            [0.0, 1.0],
        ),
        ("--compare system=@tutor,@x", ["system @tutor", "system @x"], "system", ["@tutor", "@x"]),
        ("--compare top_p=.5,1", ["top-p .5", "top-p 1"], "top_p", [0.5, 1.0]),
    ],
)
def test_variants(line, labels, field, values):
    found = labelled(f"-t all {line}")
    assert [label for label, _ in found] == labels
    assert [getattr(options, field) for _, options in found] == values
    assert all(options.tools == ("all",) and options.compare is None for _, options in found)


@pytest.mark.parametrize(
    "line",
    [
        "--compare a",
        "--compare a,a",
        "--compare a,b,c,d,e,f,g",
        "--compare think=yes,no",
        "--compare tools=a,b",
        "--compare temperature=0,hot",
        "--compare effort=hihg,low",
        "--judge x",
        "--compare a,b --bg",
        "--compare a,b --code",
        "--compare a,,b",
    ],
)
def test_what_cannot_be_compared(line):
    with pytest.raises(OptionError):
        labelled(line)


def compared(*texts, **more):
    answers = tuple(
        Answer(text, usage=Usage(4, 1_000 * n, 0), seconds=n) for n, text in enumerate(texts, 1)
    )
    return Comparison(tuple("abc"[: len(texts)]), answers, **more)


def test_a_comparison_is_a_sequence_of_answers():
    both = compared("one two", "one three", kept=1)
    assert len(both) == 2
    assert both["b"] is both[1]
    assert both.diff() == "one [-two-]{+three+}"
    assert both.diff("b", "a") == "one [-three-]{+two+}"
    assert pickle.loads(pickle.dumps(both)) == both
    assert "1,000" in repr(both)
    assert "goes on after b" in repr(both)


def test_before_an_audience_it_is_larger_and_without_ids():
    said = {stage: compared("one", "two", refs=("a1b2c3", "d4e5f6"), stage=stage)
            for stage in (False, True)}  # fmt: skip
    assert "a1b2c3" in said[False]._repr_html_()
    assert "a1b2c3" not in said[True]._repr_html_() + repr(said[True])
    assert "qm-staged" in said[True]._repr_html_()


def test_texts_of_models_stay_text_in_the_page():
    html = compared("<script>x</script>", "<b>x</b>\n\n\u202e", "")._repr_html_()
    assert "<script" not in html
    assert "<b>" not in html
    assert "\u202e" not in html
    assert html.count("<details>") == 1, "nothing is to be seen where there is no text"
    assert "\n" not in html.partition("<details>")[2]

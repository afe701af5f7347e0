"""Prompts are compared as whole words; slots take values, and nothing else."""

import pytest
from fuzz import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qwen_magic.demo.lesson import BUNDLED, read_lessons
from qwen_magic.demo.matching import Pattern, Slot, normalised, read_words

SAME = [
    ("What is PI?", "what is pi"),
    ("  What\tis\n pi ?!", "What is pi"),
    ("What's this", "whats this"),
    ("What’s this", "what's this"),
    ("“Hello”, she said.", '"Hello" she said'),
    ("the p-value", "the p value"),
    ("1,000 primes", "1000 primes"),
    ("17 × 23", "17*23"),
    ("你 好，世界！", "你好世界"),
    ("ＡＢＣ １２", "abc 12"),
    ("Please, can you explain variance?", "explain variance"),
    ("Explain variance, please.", "explain variance"),
    ("50 % of it", "50% of it"),
    ("x², y³", "x^2 y^3"),
    ("`code`", "code"),
]
OTHER = [
    ("17*23", "17+23"),
    ("What is 2.5?", "What is 25?"),
    ("What is -5?", "What is 5?"),
    ("What is .5?", "What is 5?"),
    ("5²", "52"),
    ("5! = 120", "5 = 120"),
    ("C++", "C"),
    ("C#", "C"),
    ("(2+3)*4", "2+3*4"),
    ("$5", "5%"),
    ("1,2", "12"),
    ("12:30", "1230"),
    ("naïve", "naive"),
    ("你好吗", "你好"),
    ("मेरा नाम", "मेरे नाम"),
    ("What is pi", "What is pie"),
    ("Explain variance", "Do not explain variance"),
    ("How do you spell please", "How do you spell"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one, other):
    assert normalised(one) == normalised(other) != ()


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_not_the_same(one, other):
    assert normalised(one) != normalised(other)


def match(prompt, typed, **slots):
    specs = {n: each if isinstance(each, dict) else {"type": each} for n, each in slots.items()}
    pattern = Pattern(prompt, {name: Slot(**spec) for name, spec in specs.items()})
    return pattern.match(read_words(typed))


@pytest.mark.parametrize(
    ("prompt", "spec", "typed", "value"),
    [
        ("first {n} primes", "integer", "First 1,000 primes!", 1000),
        ("first {n} primes", "integer", "first -3 primes", -3),
        ("first {n} primes", "integer", "first 2.5 primes", None),
        ("first {n} primes", {"type": "integer", "min": 1, "max": 9}, "first 10 primes", None),
        ("first {n} primes", "number", "first 2.5e3 primes", 2500.0),
        ("first {n} primes", "number", "first many primes", None),
        ("{n}!", "integer", "5!", 5),
        ("{n}% of it", "number", "12.5 % of it", 12.5),
        ("{n}°C", "number", "-40 °C", -40),
        ("mean of {n}", "numbers", "mean of [3, 1.5, -2]", [3, 1.5, -2]),
        ("mean of {n}?", "numbers", "Mean of 3, 1 and 4?", [3, 1, 4]),
        ("mean of {n}", "numbers", "mean of 3,1,4", [3, 1, 4]),
        ("mean of {n}", "numbers", "mean of [3, 1", None),
        ("mean of {n}", "numbers", "mean of 3 apples", None),
        ("say {n} twice", "word", "say Hello twice", "Hello"),
        ("say {n} twice", "word", "say Hello there twice", None),
        ("say {n} twice", "text", "say Hello, there! twice", "Hello, there"),
        ("say {n} twice", {"type": "text", "has": ["er"]}, "say Hello there twice", "Hello there"),
        ("say {n} twice", {"type": "text", "has": ["er"]}, "say Hello you twice", None),
        ("count: {n}", "text", "Count: the words", "the words"),
        ("count: {n}", "text", 'count "the words"', "the words"),
        ("count: {n}", "text", "count\nthe words", "the words"),
        ("count: {n}", "text", "count the words", None),
        ("read {n}", "text", "Read this, and that .", "this, and that ."),
        ("read {n}", "text", "Read “this!”", "this!"),
        ("the {n} of it", ["mean", "standard deviation"], "the Standard  Deviation of it", "standard deviation"),  # noqa: E501
        ("the {n} of it", ["mean", "median"], "the mode of it", None),
        ("sum {n}", "table", "sum\na,b\n1,x\n2,y", None),
    ],
)  # fmt: skip
def test_a_slot(prompt, spec, typed, value):
    assert match(prompt, typed, n=spec) == (None if value is None else {"n": value})


def test_a_slot_twice_is_the_same_twice():
    slots = {"d": "number"}
    assert match("{d} km, distance={d}", "5 km, distance=5.0", **slots) == {"d": 5}
    assert match("{d} km, distance={d}", "5 km, distance=6", **slots) is None


def test_braces_that_are_no_slot_are_words():
    assert match('Use {"a": {n}}', 'use {"a": 3}', n="number") == {"n": 3}
    assert match("Use {m}", "use {m}", n="number") == {}
    assert match("Use {m}", "use x", n="number") is None


def test_many_texts_in_a_long_prompt_take_no_time():
    pattern = "{a} and {b} and {c} and {d}!"
    typed = "and " * 3000
    assert (
        match(pattern, typed, a="text", b="text", c="text", d={"type": "text", "has": ["x"]})
        is None
    )


def test_a_prompt_without_end_is_no_lessons():
    assert read_words("what " * 100_000).words == ()


def test_a_table_of_the_notebook():
    pd = pytest.importorskip("pandas")
    from qwen_magic.context.dataframe.describing import describe_data

    table = pd.DataFrame(
        {"kind": ["a", "b"], "mass": [1.5, None]}, index=pd.Index([3, 4], name="n")
    )
    told = "Which is it?\n\n" + describe_data("mine", table).text
    slots = {"t": {"type": "columns", "columns": ["kind", "mass"]}}
    (found,) = match("Which is it? {t}", told, **slots).values()
    assert found == {"name": "mine", "columns": ["kind", "mass"]}
    assert match("Which is it? {t}", told, t={"type": "columns", "columns": ["size"]}) is None
    assert match("Which is it? {t}", told, t="table") is None
    whole = "Which is it?\n\n" + describe_data("mine", table, rows="all").text
    (found,) = match("Which is it? {t}", whole, t="table").values()
    assert found["rows"] == [[3, "a", 1.5], [4, "b", None]]
    assert match("Which is it?", whole) is None


ALL = read_lessons([BUNDLED])
EQUAL = {pattern.words for lesson in ALL for pattern in lesson.patterns if not pattern.slots}
WORDS = sorted({word for lesson in ALL for pattern in lesson.patterns for word in pattern.words})
PROMPTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.sampled_from([p.prompt for lesson in ALL for p in lesson.patterns]).flatmap(
        lambda prompt: st.tuples(st.just(prompt), st.sampled_from(WORDS)).map(" ".join)
    ),
)


@settings(deadline=None, max_examples=examples(300))
@given(PROMPTS)
def test_no_lesson_answers_another_prompt(prompt):
    words = read_words(prompt)
    assume(words.words)
    for lesson in ALL:
        if lesson.match(words) is not None:
            assert words.words in EQUAL or any(
                _fits(pattern, words.words) for pattern in lesson.patterns if pattern.slots
            )


def _fits(pattern, words):
    """Whether the literal words of the pattern stand in the prompt in their order."""
    left = iter(words)
    return all(word in left for word in pattern.words if not "\ue000" <= word[0] <= "\uf8ff")

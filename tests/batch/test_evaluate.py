"""`Qwen.evaluate` against the demo server."""

import os
import signal
import threading

import pytest
from demo_server import demo_server, wait_for_requests

from qwen_magic import Qwen, judge
from qwen_magic.errors import QuotaError, UsageError

CASES = [
    {"country": "France", "expected": "Paris"},
    {"country": "Japan", "expected": "Tokyo"},
    {"country": "Kenya", "expected": "Mombasa"},
    {"country": "Peru", "expected": "Lima"},
]
PROMPTS = {"plain": "What is the capital of {country}?", "vague": "Tell me of {country}"}


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


@pytest.fixture
def qwen(server, monkeypatch, tmp_path):
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path))
    with Qwen(endpoint=server.base_url) as asked:
        yield asked


def run(qwen, cases=CASES, score="contains", **options):
    return qwen.evaluate(cases, score, progress=False, **options)


def test_prompts_as_columns(qwen, server):
    result = run(qwen, prompts=PROMPTS)
    plain, vague = result.columns.values()
    assert [case.passed for case in plain.cases] == [True, True, False, False]
    assert (plain.passed, plain.scored, plain.errors, plain.rate) == (2, 4, 0, 0.5)
    assert (vague.label, vague.passed, vague.scored) == ("vague", 0, 4)
    assert plain.interval == pytest.approx((0.15, 0.85), abs=0.001)
    assert plain.tokens > 0
    assert "2 of 4" in repr(result)
    assert "██████████░░░░░░░░░░" in repr(result)
    html = result._repr_html_()
    assert html.count("background-color") == 4, "two ends of an interval and a rate, and one end"
    assert "<script" not in html
    pandas = pytest.importorskip("pandas")
    frame = result.frame
    assert len(frame) == 8
    assert frame.groupby("column")["passed"].sum().to_dict() == {"plain": 2, "vague": 0}
    again = run(qwen, pandas.DataFrame(CASES), prompts=PROMPTS)
    assert [case.passed for case in again.cases] == [case.passed for case in result.cases]


def test_models_as_columns_and_both(qwen, server):
    cases = [{"prompt": "What is the capital of France?", "expected": "Paris"}]
    result = run(qwen, cases, models=["one", "two"])
    assert list(result.columns) == ["one", "two"]
    assert sorted(record.body["model"] for record in server.requests) == ["one", "two"]
    both = run(qwen, prompts=PROMPTS, models=["one", "two"])
    assert list(both.columns) == ["plain · one", "plain · two", "vague · one", "vague · two"]


def test_what_changed_since_the_last_run_is_kept_by_name(qwen, server):
    first = run(qwen, prompts=PROMPTS, name="capitals")
    assert not first.last_at
    assert not first.changed
    better = [*CASES[::-1]]
    other = {"plain": "Say nothing of {country}", "vague": PROMPTS["plain"]}
    with Qwen(endpoint=server.base_url) as elsewhere:
        second = run(elsewhere, better, prompts=other, name="capitals")
    changed = [(case.column, case.row.values["country"], case.passed) for case in second.changed]
    assert sorted(changed) == [
        ("plain", "France", False), ("plain", "Japan", False),
        ("vague", "France", True), ("vague", "Japan", True),
    ]  # fmt: skip
    assert "+2" in repr(second)
    assert "now wrong, plain: Say nothing of France" in repr(second)
    third = run(qwen, CASES[:1], prompts=other, name="capitals")
    assert third.last_at >= second.last_at
    assert not third.changed
    assert not third.new
    expects = [{**CASES[0], "expected": "Lyon"}]  # with one prompt of the two: the same column
    fourth = run(qwen, expects + CASES[1:2], prompts={"plain": other["plain"]}, name="capitals")
    assert [case.row.values["expected"] for case in fourth.new] == ["Lyon"]
    assert ", 1 is new." in repr(fourth)
    assert not run(qwen, prompts=PROMPTS, name="others").last_at


def test_errors_of_cases_count_as_errors_and_are_told(qwen):
    cases = [
        *CASES[:2],
        {"country": "France?\ndemo: error 500\n", "expected": "Paris"},
        {"country": "Italy", "expected": None},
    ]
    result = run(qwen, cases, prompts=PROMPTS["plain"])
    (column,) = result.columns.values()
    assert (column.passed, column.scored, column.errors) == (2, 2, 2)
    assert column.rate == 1
    assert "ServerError" in repr(result)
    hidden = run(qwen, [{"prompt": "Hi \x1b[31m", "expected": None}])
    assert "\x1b" not in repr(hidden) + hidden._repr_html_() + repr(hidden._map)
    assert "nothing that is expected" in repr(result)
    broken = run(
        qwen, CASES[:2], lambda answer, expected: answer.nonsense, prompts=PROMPTS["plain"]
    )
    assert [case.error for case in broken.cases if "AttributeError" in case.error].__len__() == 2
    assert "–" in repr(broken)


def test_a_judge_says_why(qwen, server):
    result = run(
        qwen, CASES[:2], [judge("the-judge", "It is Paris.")], prompts=PROMPTS["plain"], resume="j"
    )
    assert [case.passed for case in result.cases] == [True, False]
    assert result.cases[0].reason == "I looked for Paris."
    assert [record.body["model"] for record in server.requests[2:]] == ["the-judge"] * 2
    assert "Judged with" in repr(result)
    asked = len(server.requests)
    run(qwen, CASES[:2], [judge("the-judge", "It is Paris.")], prompts=PROMPTS["plain"], resume="j")
    assert len(server.requests) == asked, "what was answered is not asked again"


def test_objects(qwen):
    shape = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    cases = [{"prompt": 'Say {"a": 7}', "expected": {"a": 7}}, {"prompt": "Hi", "expected": {}}]
    result = run(qwen, cases, "exact", schema=shape)
    assert [(case.score, case.error) for case in result.cases] == [(1, ""), (0, "")]
    assert "SchemaMismatchError" in result.cases[1].reason


@pytest.mark.parametrize(
    ("cases", "options", "told"),
    [
        ([{"prompt": "Hi"}], {}, "expected"),
        (CASES, {}, "{prompt}"),
        ("Hi", {}, "many"),
        (CASES, {"prompts": {}}, "needs a prompt"),
        (CASES, {"prompts": "{country}", "chat": "x"}, "chat"),
    ],
)
def test_what_cannot_be_evaluated(qwen, server, cases, options, told):
    with pytest.raises(UsageError, match=told):
        run(qwen, cases, **options)
    assert not server.requests


def test_an_interrupt_keeps_what_came(qwen, server):
    slow = [{"country": "France\ndemo: delay 0.3\n", "expected": "Paris"}] * 3

    def watch():
        wait_for_requests(server, lambda records: sum(r.events > 1 for r in records) >= 4, 60)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        run(
            qwen, [*CASES[:2], *slow], prompts=PROMPTS["plain"], concurrency=2, name="n", resume="r"
        )
    watcher.join()
    assert [case.passed for case in qwen.evaluated.cases] == [True, True, None, None, None]
    assert "3 answers did not come" in repr(qwen.evaluated).replace("\u00a0", " ")
    before = len(server.requests)
    assert not run(qwen, CASES[:2], prompts=PROMPTS["plain"], name="n", resume="r").last_at
    assert len(server.requests) == before


def test_what_ends_a_map_ends_it_and_what_came_is_scored(qwen):
    cases = [CASES[0], {"country": "Japan\ndemo: error 429-quota\n", "expected": "Tokyo"}]
    with pytest.raises(QuotaError):
        run(qwen, cases, prompts=PROMPTS["plain"], concurrency=1)
    assert [case.passed for case in qwen.evaluated.cases] == [True, None]

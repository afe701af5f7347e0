"""The machine of a turn, driven in memory: no socket, thread, kernel or waiting."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import pytest

from qwen_magic.client.reader import Received
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.endpoints import DASHSCOPE, OLLAMA, UNKNOWN_SERVER, Endpoint
from qwen_magic.errors import (
    ConnectionLostError,
    NotFoundError,
    QwenError,
    SilenceError,
    UnknownResponseError,
)
from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.protocol.events import (
    ItemAdded,
    ItemDone,
    ResponseEnded,
    ResponseStarted,
    TextDelta,
)
from qwen_magic.protocol.items import parse_item
from qwen_magic.protocol.response import Usage
from qwen_magic.session.figures import FigureFetcher
from qwen_magic.session.plan import Ask, plan
from qwen_magic.session.recovery import RECENT
from qwen_magic.session.turn import FIGURE_PATIENCE, Open, StreamEnd, TurnMachine
from qwen_magic.session.view import NoView
from qwen_magic.tools.answer_schema import Schema
from qwen_magic.tools.definition import FunctionTool
from qwen_magic.tools.loop import Approve, Invoke, Wait
from qwen_magic.tools.policy import CallLimits, ToolPolicy
from qwen_magic.tools.validation import SchemaMismatchError

NOW = 1_800_000_000.0  # seconds since 1970
HOME = Endpoint("home", "https://home.example/v1", DASHSCOPE, "DASHSCOPE_API_KEY", "k")
OTHER = Endpoint("other", "https://home.example/v1", UNKNOWN_SERVER)
ASK = Ask(prompt="Hi", input="Hi", model="m", endpoint=HOME, chat="main")
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
LOST = UnknownResponseError("No such response.", status=404)


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


ADD = FunctionTool.of(add)
OFFERED = replace(ASK, tools=(ADD.definition(),), functions=(ADD,))


@dataclass
class Screen(NoView):
    """Writes down what it is told; `button` is what its question gives."""

    told: list = field(default_factory=list)
    ends: list = field(default_factory=list)
    button: object = None

    def notice(self, text):
        self.told.append(("notice", text))

    def tell(self, text):
        self.told.append(("tell", text))

    def restart(self):
        self.told.append(("restart",))

    def figure(self, url, data, reason):
        self.told.append(("figure", url, bool(data), reason))

    def ask(self, entry, question):
        return self.button

    def finish(self, state, now, outcome, metadata):
        self.ends.append((now, outcome))
        return {"text/plain": state.text}


class Bench:
    """A machine with all that it is given, and a clock that is set by hand."""

    def __init__(self, ask=ASK, *, before=(), limits=None, **given):
        self.now = 100.0
        self.conversations = Conversations()
        for turn in before:
            self.conversations.append(turn)
        self.screen = Screen()
        self.policy = ToolPolicy()
        self.policy.limits = limits or CallLimits()
        self.kept = []
        self.fetched = {}
        self.there, self.looked_up = {}, []
        self.turn = TurnMachine(
            plan(ask, self.conversations),
            self.screen,
            figures=FigureFetcher(self, ["figures.example"]),
            policy=self.policy,
            checkpoint=self.kept.append,
            look_up=self.look_up,
            clock=lambda: self.now,
            wall=lambda: NOW,
            **given,
        )

    def look_up(self, path):
        """What the server has at that path, a moment later."""
        self.looked_up.append(path)
        found = Future()
        found.set_result(self.there.get(path, {}))
        return found

    def fetch(self, url, *, limit, timeout):
        return self.fetched.setdefault(url, Future())

    def play(self, *streams, replies=(), each=lambda action: None):
        """Do what the machine asks for to its end: each `Open` brings the next of `streams`, a list
        of events and how it ends; every other action but `Wait` is sent the next of `replies`."""
        streams, replies, actions = deque(streams), deque(replies), []
        steps, reply = self.turn.steps(), None
        while True:
            try:
                action = steps.send(reply)
            except StopIteration:
                return actions
            actions.append(action)
            each(action)
            match action:
                case Open():
                    events, reply = streams.popleft()
                    self.turn.feed([Received(event, self.now) for event in events])
                case Wait():
                    self.now += 0.1
                    self.turn.tick()
                    reply = None
                case _:
                    reply = replies.popleft()


def message(text):
    return {"type": "message", "role": "assistant", "id": f"msg_{text}",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}  # fmt: skip


def call(a, b, name="add", call_id="c"):
    return {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name,
            "arguments": f'{{"a": {a}, "b": {b}}}'}  # fmt: skip


def response(*output, id="resp_1", status="completed", tokens=0, **more):
    used = {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
    body = {"id": id, "model": "m", "status": status, "output": list(output), **more}
    return ResponseEnded(status, {**body, "usage": used})


def says(*output, end=None, **more):
    """A stream that brings one whole response."""
    return [response(*output, **more)], end or StreamEnd()


def earlier(created_at=NOW - 60, **more):
    return Turn("a", "main", "completed", None, "resp_0", input="My name is John", text="Hello",
                host="home.example", created_at=created_at, **more)  # fmt: skip


def kinds(actions):
    return [type(action).__name__ for action in actions]


def test_an_answer_is_shown_and_recorded():
    bench = Bench()
    actions = bench.play(says(message("Hello")))
    answer, turn = bench.turn.finish()
    assert kinds(actions) == ["Open"]
    assert actions[0].plan.request.input == "Hi"
    assert (answer.text, answer.status, answer.error, answer.id) == (
        "Hello", "completed", None, "resp_1",
    )  # fmt: skip
    assert (turn.text, turn.status, turn.chat, turn.stored) == ("Hello", "completed", "main", True)
    assert bench.screen.ends[0][1].status == "completed"


def test_one_clock_counts_the_wait_before_and_the_end():
    bench = Bench(started=96.7)
    bench.play(says(message("Hello")))
    bench.now = 102.0
    answer, turn = bench.turn.finish()
    (now, _outcome), *_ = bench.screen.ends
    assert answer.seconds == turn.seconds == now - 96.7


@pytest.mark.parametrize("batches", [1, 3])
def test_a_stop_keeps_what_came(batches):
    bench = Bench()
    steps = bench.turn.steps()
    next(steps)
    item = parse_item({**message(""), "id": "m1", "content": []})
    bench.turn.feed([Received(ItemAdded(item, 0), 100.0)])
    for _ in range(batches):
        bench.turn.feed([Received(TextDelta("output_text", "la", "m1", 0), 100.0)])
    bench.turn.stop_asked = True
    with pytest.raises(StopIteration):
        steps.send(StreamEnd(stopped=True))
    answer, turn = bench.turn.finish()
    assert (answer.status, turn.status, answer.text) == ("stopped", "stopped", "la" * batches)
    assert answer.error is None


def test_a_stop_after_the_end_changes_nothing():
    bench = Bench()
    bench.play(says(message("Hello")))
    bench.turn.stop_asked = True
    assert bench.turn.finish()[0].status == "completed"


@pytest.mark.parametrize("is_open", [True, False])
def test_an_interrupt_cuts_off_where_it_stands(is_open):
    """Whoever drives it gives up: in mid-stream, and before anything came."""
    bench = Bench()
    next(bench.turn.steps())
    if is_open:
        bench.turn.feed([Received(ItemAdded(parse_item(message("so far")), 0), 100.0)])
    bench.turn.cut_off(StreamEnd())
    answer, turn = bench.turn.finish()
    assert (answer.status, turn.status, turn.text) == (
        "stopped", "stopped", "so far" if is_open else "",
    )  # fmt: skip


@pytest.mark.parametrize("report", [True, False])
def test_a_failure_is_the_answers_error(report):
    bench = Bench(report_errors=report)
    error = ConnectionLostError("It broke.")
    bench.play(([], StreamEnd(error)))
    answer, turn = bench.turn.finish()
    assert answer.error is error
    assert (answer.status, turn.status) == ("failed", "failed")
    assert bench.screen.ends[0][1].title == "It broke."


def test_a_cut_off_answer_says_the_limit():
    bench = Bench(replace(ASK, extra={"max_output_tokens": 7}))
    end = response(message("Hel"), status="incomplete",
                   incomplete_details={"reason": "max_output_tokens"})  # fmt: skip
    bench.play(([end], StreamEnd()))
    answer, _turn = bench.turn.finish()
    assert (answer.status, bench.screen.ends[0][1].limit) == ("incomplete", 7)


# heal


def test_lost_turns_are_told_as_text_once():
    bench = Bench(before=[earlier()])
    first, second = bench.play(([], StreamEnd(LOST)), says(message("Hello John")))
    assert first.plan.request.previous_response_id == "resp_0"
    assert second.plan.request.previous_response_id == ""
    assert [item["content"] for item in second.plan.request.input] == [
        "My name is John", "Hello", "Hi",
    ]  # fmt: skip
    answer, turn = bench.turn.finish()
    assert (answer.status, answer.error) == ("completed", None)
    assert (turn.previous_response_id, turn.stored) == ("", True)
    said = "the server no longer had the earlier turns: 1 turn was sent again as text"
    assert ("tell", said) in bench.screen.told


def test_a_second_loss_is_an_error():
    bench = Bench(before=[earlier()])
    actions = bench.play(([], StreamEnd(LOST)), ([], StreamEnd(LOST)))
    assert len(actions) == 2
    assert bench.turn.finish()[0].error is LOST


@pytest.mark.parametrize(
    ("ago", "stored"), [(60, False), (RECENT + 60, True), (-RECENT - 60, True)]
)
def test_a_server_that_names_no_turn_before_is_taken_to_keep_none(ago, stored):
    bench = Bench(replace(ASK, endpoint=OTHER), before=[earlier(NOW - ago)])
    assert len(bench.play(says(message("Who?")), says(message("John"), id="resp_2"))) == 2
    assert bench.looked_up == ["responses/resp_0"]
    answer, turn = bench.turn.finish()
    assert answer.text == "John", "what came without the conversation is taken back"
    assert ("restart",) in bench.screen.told
    assert turn.stored is stored
    assert bench.turn.found == ({} if stored else {"keeps_ids": "no"})


def test_a_server_that_has_the_turn_before_need_not_name_it():
    bench = Bench(replace(ASK, endpoint=OTHER), before=[earlier()])
    bench.there["responses/resp_0"] = {"id": "resp_0"}
    assert len(bench.play(says(message("John")))) == 1
    assert bench.turn.finish()[0].text == "John"
    assert bench.turn.found == {"keeps_ids": "yes"}


@pytest.mark.parametrize(("tokens", "looks"), [(400, 0), (120, 1)])
def test_nor_does_one_that_read_more_than_it_was_sent(tokens, looks):
    before = replace(earlier(), usage=Usage(input_tokens=100, output_tokens=300))
    bench = Bench(replace(ASK, endpoint=OTHER), before=[before])
    bench.there["responses/resp_0"] = {"id": "resp_0"}
    assert len(bench.play(says(message("John"), tokens=tokens))) == 1
    assert len(bench.looked_up) == looks
    assert bench.turn.found == {"keeps_ids": "yes"}


def test_thinking_that_was_not_wanted_is_said():
    thought = {"type": "reasoning", "id": "t", "summary": [{"type": "summary_text", "text": "Hm"}]}
    bench = Bench(replace(ASK, think=False))
    bench.play(says(thought, message("Hello")))
    bench.turn.finish()
    assert ("tell", "--no-think had no effect on m there") in bench.screen.told


def test_a_known_server_need_not_name_it():
    bench = Bench(before=[earlier()])
    assert len(bench.play(says(message("Hello")))) == 1


def test_a_stopped_stream_is_not_healed():
    bench = Bench(before=[earlier()])
    bench.turn.stop_asked = True
    assert len(bench.play(([], StreamEnd(LOST)))) == 1
    assert bench.turn.finish()[0].status == "stopped"


def test_a_failure_of_a_retired_model_says_so():
    bench = Bench(replace(ASK, model="qwen-turbo"))
    bench.play(([], StreamEnd(NotFoundError("No such model.", hint="Look again.", status=404))))
    answer, _ = bench.turn.finish()
    assert answer.error.hint.startswith("qwen-turbo was retired on 10 October 2026: take another")


# function calls


def test_calls_are_approved_run_and_sent_back():
    bench = Bench(OFFERED)
    actions = bench.play(
        says(call(1, 2, call_id="c1"), call(3, 4, call_id="c2")),
        says(message("3 and 7"), id="resp_2"),
        replies=["once", CallResult("3"), "once", CallResult("7")],
    )
    assert kinds(actions) == ["Open", "Approve", "Invoke", "Approve", "Invoke", "Open"]
    assert (actions[1].question.name, actions[1].question.chat) == ("add", "main")
    assert actions[2].tool is ADD
    request = actions[-1].plan.request
    assert request.previous_response_id == "resp_1"
    assert [item["output"] for item in request.input] == ["3", "7"]
    answer, turn = bench.turn.finish()
    assert [item.output for item in answer.tool_calls] == ["3", "7"]
    assert (turn.previous_response_id, turn.response_id) == ("", "resp_2")


def test_a_button_is_waited_for():
    bench = Bench(OFFERED)
    clicks = iter([None, None, "no"])
    bench.screen.button = lambda: next(clicks)
    actions = bench.play(says(call(1, 2)), says(message("Pity"), id="resp_2"))
    assert kinds(actions) == ["Open", "Wait", "Wait", "Open"]
    assert "refused" in bench.turn.finish()[0].tool_calls[0].output


def test_a_view_that_nobody_sees_leaves_it_to_a_line_of_text():
    bench = Bench(OFFERED)
    bench.screen.button = lambda: "nobody"
    actions = bench.play(
        says(call(1, 2)), says(message("3"), id="resp_2"), replies=["always", CallResult("3")]
    )
    assert kinds(actions) == ["Open", "Approve", "Invoke", "Open"]
    assert bench.policy.standing("main", ADD) == "always"


@pytest.mark.parametrize(("unattended", "runs"), [("refuse", 0), ("allow", 1)])
def test_a_reader_who_went_away_is_asked_by_no_line_of_text(unattended, runs):
    bench = Bench(OFFERED)
    bench.policy.unattended = unattended
    bench.screen.button = lambda: "absent"
    actions = bench.play(
        says(call(1, 2)), says(message("3"), id="resp_2"), replies=[CallResult("3")] * runs
    )
    assert kinds(actions) == ["Open", *["Invoke"] * runs, "Open"]
    assert any("no page is open" in fact for _, fact in bench.screen.told) is not bool(runs)


@pytest.mark.parametrize(("unattended", "runs"), [("refuse", 0), ("allow", 1)])
def test_in_the_background_no_line_of_text_is_asked_for(unattended, runs):
    bench = Bench(OFFERED, report_errors=False)
    bench.policy.unattended = unattended
    actions = bench.play(
        says(call(1, 2)), says(message("3"), id="resp_2"), replies=[CallResult("3")] * runs
    )
    assert kinds(actions) == ["Open", *["Invoke"] * runs, "Open"]


@pytest.mark.parametrize("at", [Approve, Invoke, Wait])
def test_a_stop_among_the_calls_asks_for_nothing_more(at):
    bench = Bench(OFFERED)
    if at is Wait:
        bench.screen.button = lambda: None

    def stop(action):
        bench.turn.stop_asked = bench.turn.stop_asked or isinstance(action, at)

    actions = bench.play(
        says(call(1, 2), call(3, 4, call_id="c2")), replies=["once", CallResult("3")], each=stop
    )
    assert type(actions[-1]) is at
    answer, turn = bench.turn.finish()
    assert (answer.status, turn.status) == ("stopped", "stopped")
    assert [item.output for item in answer.tool_calls] == [None, None]


def test_a_model_that_calls_on_is_told_to_answer_and_then_fails():
    bench = Bench(OFFERED, limits=CallLimits(rounds=1))
    actions = bench.play(
        says(call(1, 2)),
        says(call(1, 2), id="resp_2"),
        says(call(1, 2), id="resp_3"),
        replies=["always", CallResult("3")],
    )
    assert kinds(actions) == ["Open", "Approve", "Invoke", "Open", "Open"]
    assert actions[-1].plan.request.extra["tool_choice"] == "none"
    assert "called functions again after 1 round," in bench.turn.finish()[0].error.message


def test_a_function_of_somebody_elses_ends_the_turn_with_its_call_open():
    theirs = {"type": "function", "name": "theirs", "parameters": {"type": "object"}}
    bench = Bench(replace(OFFERED, tools=(*OFFERED.tools, theirs)))
    actions = bench.play(says(call(1, 2), call(1, 2, name="theirs")))
    assert kinds(actions) == ["Open"]
    assert bench.turn.finish()[0].status == "completed"


def test_a_budget_ends_the_rounds():
    used = []

    def over(usage):
        used.append(usage.total_tokens)
        return QwenError("Used up.")

    bench = Bench(OFFERED, over_budget=over)
    actions = bench.play(says(call(1, 2), tokens=60), replies=["once", CallResult("3")])
    assert kinds(actions) == ["Open", "Approve", "Invoke"]
    assert used == [60]
    assert bench.turn.finish()[0].error.message == "Used up."


def test_a_server_without_memory_is_told_what_was_called():
    """The id of this very turn's first response is lost."""
    bench = Bench(replace(OFFERED, endpoint=OTHER))
    actions = bench.play(
        says(call(1, 2)),
        ([], StreamEnd(LOST)),
        says(message("3"), id="resp_2"),
        replies=["once", CallResult("3")],
    )
    assert kinds(actions) == ["Open", "Approve", "Invoke", "Open", "Open"]
    types = [item.get("type", item.get("role")) for item in actions[-1].plan.request.input]
    assert types == ["user", "function_call", "function_call_output"]
    assert bench.turn.finish()[1].stored is False


# figures, checkpoints, notices


def run_with(url):
    return {"type": "code_interpreter_call", "id": "ci", "status": "completed", "code": "plot()",
            "outputs": [{"type": "image", "url": url}]}  # fmt: skip


def test_figures_are_waited_for():
    bench = Bench()
    url = "http://figures.example/a.png"
    waits = []

    def arrive(action):
        waits.append(action)
        if len(waits) == 4:
            bench.fetched[url].set_result(PNG)

    actions = bench.play(says(run_with(url), message("See")), each=arrive)
    assert kinds(actions) == ["Open", "Wait", "Wait", "Wait"]
    assert bench.turn.finish()[0].figures == (PNG,)
    assert bench.screen.told == [("figure", url, True, "")]


@pytest.mark.parametrize("stops", [True, False])
def test_figures_that_do_not_come_are_given_up(stops):
    bench = Bench()

    def stop(action):
        bench.turn.stop_asked = stops and isinstance(action, Wait)

    bench.play(says(run_with("http://figures.example/a.png"), message("See")), each=stop)
    answer, _turn = bench.turn.finish()
    assert (answer.figures, answer.status) == ((), "completed")
    assert bench.now - 100 < (1 if stops else FIGURE_PATIENCE + 1)
    ((_, _, has_data, reason),) = bench.screen.told
    assert not has_data
    assert reason == ("the turn ended before it came" if stops else "it did not come within 10 s")


def test_an_item_that_is_done_is_looked_into_once():
    bench = Bench()
    url = "http://figures.example/a.png"
    item = parse_item(run_with(url))
    next(bench.turn.steps())
    for _ in range(2):
        bench.turn.feed([Received(ItemDone(item, 0), 100.0)])
    assert list(bench.fetched) == [url]


def test_a_checkpoint_is_kept_once_a_second():
    bench = Bench()
    next(bench.turn.steps())
    bench.turn.feed([Received(ItemAdded(parse_item(message("so far")), 0), 100.0)])
    for tenths in range(25):
        bench.now = 100 + tenths / 10
        bench.turn.tick()
    assert [(turn.status, turn.text, turn.seconds) for turn in bench.kept] == [
        ("stopped", "", 0.0), ("stopped", "so far", 1.0), ("stopped", "so far", 2.0),
    ]  # fmt: skip
    assert {turn.key for turn in bench.kept} == {bench.turn.plan.key}


def test_a_line_about_the_connection_is_shown_and_taken_back():
    bench = Bench()
    for line in ("trying again in 4 s", "trying again in 4 s", ""):
        bench.turn.tick(line)
    assert bench.screen.told == [("notice", "trying again in 4 s"), ("notice", "")]


# objects

CITY = Schema.of({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


def test_an_object_is_parsed():
    bench = Bench(ASK.asking_for(CITY))
    (opened,) = bench.play(says(message('```json\n{"n": 3}\n```')))
    assert opened.plan.request.input.startswith("Hi\n\nGive the answer as JSON")
    answer, turn = bench.turn.finish()
    assert (answer.parsed, answer.error) == ({"n": 3}, None)
    assert turn.prompt == "Hi"


@pytest.mark.parametrize("ends", ["fits", "never"])
def test_a_better_object_is_asked_for_twice_in_the_same_turn(ends):
    bench = Bench(ASK.asking_for(CITY))
    last = '{"n": 3}' if ends == "fits" else '{"n": "again"}'
    opened = bench.play(
        says(message('{"n": "three"}'), id="r1"),
        says(message("There is none."), id="r2"),
        says(message(last), id="r3"),
    )
    assert len(opened) == 3
    requests = [action.plan.request for action in opened]
    assert [r.previous_response_id for r in requests[1:]] == ["r1", "r2"]
    assert [r.input[0]["content"].startswith("Your JSON does not fit") for r in requests[1:]] == [
        True, True,
    ]  # fmt: skip
    answer, turn = bench.turn.finish()
    assert (answer.text, turn.text) == (last, last), "what did not fit is no part of the answer"
    attempts = [item for item in turn.items if item["type"] == "answer_attempt"]
    assert [one["text"] for one in attempts] == ['{"n": "three"}', "There is none."]
    assert attempts[0]["fault"] == 'n: expected integer, got "three"'
    if ends == "fits":
        assert (answer.parsed, answer.error) == ({"n": 3}, None)
    else:
        assert isinstance(answer.error, SchemaMismatchError)
        assert 'n: expected integer, got "again"' in answer.error.message
    assert (answer.status, turn.status, turn.prompt) == ("completed", "completed", "Hi")


def test_a_server_without_memory_is_told_what_did_not_fit():
    bench = Bench(ASK.asking_for(CITY))
    bench.turn.plan = replace(bench.turn.plan, keeps_ids=False)
    opened = bench.play(says(message("no")), says(message("nor this")), says(message('{"n": 1}')))
    told = opened[-1].plan.request.input
    assert [item["role"] for item in told] == ["user", "assistant", "user", "assistant", "user"]
    assert [told[1]["content"], told[3]["content"]] == ["no", "nor this"]
    assert bench.turn.finish()[0].parsed == {"n": 1}


BROKE = StreamEnd(ConnectionLostError("The connection broke."))
PATH = "responses/resp_1"


def begins():
    body = {"id": "resp_1", "model": "m", "status": "in_progress"}
    return [ResponseStarted("in_progress", body), ItemAdded(parse_item(message("Hel")), 0)]


def given_out(status="completed", *output):
    return dict(response(*(output or [message("Hello")]), status=status).response)


@pytest.mark.parametrize("error", [BROKE.error, SilenceError("No byte came.")])
@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_a_broken_stream_is_completed_by_what_the_server_keeps(error, status):
    bench = Bench()
    bench.there[PATH] = given_out(status)
    actions = bench.play((begins(), StreamEnd(error)))
    (rest,) = bench.turn.fetched()
    answer, turn = bench.turn.finish()
    assert kinds(actions).count("Open") == 1, "nothing is asked twice"
    assert (answer.text, answer.status, answer.error) == ("Hello", status, None)
    assert (turn.status, turn.response_id) == (status, "resp_1")
    assert rest.event.response["id"] == "resp_1"
    assert bench.turn.fetched() == []
    assert [each[0] for each in bench.screen.told] == ["notice", "tell", "notice"]


def test_it_waits_for_what_is_still_being_written():
    bench = Bench()
    bench.there[PATH] = given_out("in_progress")

    def end_soon(action):
        if bench.now > 103:
            bench.there[PATH] = given_out()

    bench.play((begins(), BROKE), each=end_soon)
    assert bench.turn.finish()[0].text == "Hello"
    assert 2 <= len(bench.looked_up) <= 5


@pytest.mark.parametrize(
    "found",
    [
        {},
        NotFoundError("No such response."),
        ConnectionLostError("Gone."),
        given_out("failed"),
        given_out("cancelled"),
        given_out("in_progress"),
        {**given_out(), "id": "resp_of_another"},
    ],
    ids=str,
)
def test_where_it_keeps_nothing_the_turn_fails_as_before(found):
    bench = Bench()
    bench.there[PATH] = found
    bench.play((begins(), BROKE))
    answer, _ = bench.turn.finish()
    assert answer.error is BROKE.error
    assert bench.now < 100 + 61
    assert bench.screen.told[-1] == ("notice", "")


@pytest.mark.parametrize(
    ("ask", "events"),
    [
        (ASK, []),  # no id came
        (replace(ASK, extra={"store": False}), begins()),
        (replace(ASK, endpoint=replace(HOME, capabilities=OLLAMA)), begins()),
    ],
)
def test_nothing_is_asked_for_where_nothing_can_be_there(ask, events):
    bench = Bench()
    bench.turn.plan = plan(ask, bench.conversations, keeps_ids=ask.endpoint.capabilities != OLLAMA)
    bench.there[PATH] = given_out()
    bench.play((events, BROKE))
    assert bench.looked_up == []
    assert bench.turn.finish()[0].error is BROKE.error


def test_an_answer_of_an_earlier_round_is_not_taken_for_the_rest():
    bench = Bench(OFFERED)
    bench.policy.unattended = "allow"
    bench.there[PATH] = given_out()
    result = CallResult("3")
    bench.play(says(call(1, 2)), ([], BROKE), replies=["once", result], each=lambda action: None)
    assert bench.looked_up == []
    assert bench.turn.finish()[0].error is BROKE.error


def test_a_turn_is_kept_when_it_begins():
    bench = Bench()
    next(bench.turn.steps())
    (kept,) = bench.kept
    assert (kept.prompt, kept.status, kept.text) == ("Hi", "stopped", "")
    assert not kept.may_be_head

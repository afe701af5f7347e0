"""Sessions that record, replay and cache: a real server, then none."""

import math
import shutil
import stat
from pathlib import Path

import pytest
from demo_server import asked, demo_server

from qwen_magic.conversation import conversations
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.scope import read_text
from qwen_magic.conversation.usage import usage_table
from qwen_magic.endpoints import RECORDED
from qwen_magic.errors import ConversationError, NotRecordedError, UsageError
from qwen_magic.options import ask_fields
from qwen_magic.recording.file import read_recording
from qwen_magic.session.endpoint_keys import Endpoints
from qwen_magic.session.plan import Ask
from qwen_magic.session.session import Session
from qwen_magic.session.tape import RECORD, REPLAY, Tape, beside, is_recording

QUESTIONS = ("What is a prime number?", "And the next one?")


@pytest.fixture
def server():
    with demo_server() as server:
        yield server


@pytest.fixture
def session(monkeypatch):
    """`session(tape)` opens one without keys; all are closed."""
    opened = []

    def make(tape, conversations=None):
        made = Session(endpoints=Endpoints({}), conversations=conversations, tape=tape)
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


def ask(session, question, where, **given):
    endpoint = session.endpoints.find(where)
    return Ask(
        prompt=question, input=question, model="qwen3-max", endpoint=endpoint, chat="main",
        **ask_fields(given),
    )  # fmt: skip


def answered(session, *args, **options):
    return session.run(session.plan(ask(session, *args, **options)))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recording of the questions, with the texts of their answers; the server has gone."""
    path, tape = tmp_path_factory.mktemp("recorded") / "lesson.jsonl", Tape()
    tape.record(path)
    with demo_server() as server:
        recorder = Session(endpoints=Endpoints({}), tape=tape)
        texts = [answered(recorder, each, server.base_url).text for each in QUESTIONS]
        recorder.close()
    return path, texts


@pytest.fixture
def lesson(recorded, tmp_path):
    """The same, in a folder of the test's own."""
    path, texts = recorded
    return Path(shutil.copy2(path, tmp_path)), texts


def replaying(path, **given):
    tape = Tape()
    tape.replay([path], speed=math.inf, **given)
    return tape


class TestReplaying:
    def test_it_answers_in_place_of_any_endpoint_without_a_key(self, lesson, session):
        path, texts = lesson
        replayer = session(replaying(path))
        assert [answered(replayer, each, "singapore").text for each in QUESTIONS] == texts

    def test_of_several_files_the_nearest_is_named(self, lesson, session, tmp_path):
        other = shutil.copy2(lesson[0], tmp_path / "other.jsonl")
        Path(other).write_text(
            lesson[0].read_text("utf-8").replace("next one", "last one"), "utf-8"
        )
        tape = Tape()
        tape.replay([lesson[0], other], speed=math.inf)
        replayer = session(tape)
        answered(replayer, QUESTIONS[0], "singapore")
        with pytest.raises(NotRecordedError, match=r"line 3 of other\.jsonl") as caught:
            answered(replayer, "And the very last one?", "singapore")
        assert "%qwen_replay other.jsonl --missing live" in caught.value.hint

    def test_its_turns_are_a_files_and_held_nowhere(self, lesson, session):
        replayer = session(replaying(lesson[0]))
        for each in QUESTIONS:
            answered(replayer, each, "singapore")
        turns = list(replayer.conversations.turns())
        assert [turn.imported for turn in turns] == [True, True]
        assert all(turn.host.endswith(RECORDED) for turn in turns)
        assert turns[1].previous_response_id == turns[0].response_id
        assert not replayer.conversations.held_ids()
        assert not sum(each.tokens for each in replayer.conversations.summaries())

    def test_no_live_question_follows_one_unasked(self, lesson, session):
        tape = replaying(lesson[0])
        replayer = session(tape)
        answered(replayer, QUESTIONS[0], "singapore")
        tape.end_replay()
        with demo_server() as live:
            with pytest.raises(ConversationError, match="recorded"):
                answered(replayer, "What now?", live.base_url)
            answer = answered(replayer, "What now?", live.base_url, carry=True)
            (sent,) = asked(live)
        assert answer.status == "completed"
        assert "previous_response_id" not in sent.body
        assert QUESTIONS[0] in str(sent.body["input"])

    def test_it_begins_anew_in_a_conversation_that_was_held_elsewhere(self, lesson, session):
        path, texts = lesson
        tape = Tape()
        both = session(tape)
        with demo_server() as live:
            answered(both, "Something else?", live.base_url)
        tape.replay([path], speed=math.inf)
        assert answered(both, QUESTIONS[0], "singapore").text == texts[0]

    def test_another_question_says_what_differs_and_goes_nowhere(self, lesson, session):
        replayer = session(replaying(lesson[0]))
        with pytest.raises(NotRecordedError) as raised:
            answered(replayer, "What is an even number?", "singapore")
        assert "prime → even" in raised.value.why
        assert "line 2" in raised.value.why
        assert "--missing live" in raised.value.hint
        assert not list(replayer.conversations.turns())

    @pytest.mark.parametrize(
        ("missing", "says", "asks"),
        [
            ("live", None, True),
            ("ask", True, True),
            ("ask", False, False),
            ("ask", None, False),
            ("fail", True, False),
        ],
    )
    def test_it_goes_to_the_network_only_when_told_so(self, lesson, session, missing, says, asks):
        tape = replaying(lesson[0], missing=missing)
        tape.agrees = lambda lines, question: says
        replayer = session(tape)
        with demo_server() as live:
            answered(replayer, QUESTIONS[0], live.base_url)
            question = ask(replayer, "Something else?", live.base_url)
            if asks:
                assert replayer.run(replayer.plan(question)).status == "completed"
                (sent,) = asked(live)
                assert "previous_response_id" not in sent.body  # an id of the file's
                assert QUESTIONS[0] in str(sent.body["input"])
            else:
                with pytest.raises(NotRecordedError):
                    replayer.run(replayer.plan(question))
                assert not asked(live)

    @pytest.mark.parametrize("where", ["demo", "its address"])
    @pytest.mark.parametrize("is_beside", [True, False])
    def test_beside_a_notebook_this_machine_answers_what_is_missing(
        self, lesson, session, server, is_beside, where
    ):
        """It is no network; what differs is told with the answer."""
        tape = replaying(lesson[0], is_beside=is_beside)
        replayer = session(tape)
        place = where if where == "demo" else server.base_url
        question = ask(replayer, "What is an even number?", place)
        if is_beside:
            plan, _way, stream = replayer._opened(replayer.plan(question))
            stream.stop()
            assert "prime → even" in " ".join(plan.notes)
        else:
            with pytest.raises(NotRecordedError):
                replayer.run(replayer.plan(question))

    @pytest.mark.parametrize(
        ("where", "goes"),
        {
            "local": True, "ollama": True, "http://[::1]:8000/v1": True, "https://localhost": True,
            "singapore": False, "http://10.0.0.1/v1": False, "http://localhost.example.org": False,
            "http://[::1": False, "nothing": False,
        }.items(),
    )  # fmt: skip
    def test_unasked_to_this_machine_alone(self, lesson, where, goes):
        tape = replaying(lesson[0], is_beside=True)
        assert tape.goes_live(NotRecordedError("missing"), where) is goes

    def test_what_it_finds_out_is_forgotten(self, lesson, session):
        replayer = session(replaying(lesson[0]))
        host = ask(replayer, "x", "singapore").endpoint.host
        replayer.hosts.learn(host, {"keeps_ids": "no"})
        assert (
            replayer.hosts.applied(ask(replayer, "x", "singapore").endpoint).capabilities.keeps_ids
            == "no"
        )
        replayer.forget_recorded()
        assert (
            replayer.hosts.applied(ask(replayer, "x", "singapore").endpoint).capabilities.keeps_ids
            != "no"
        )
        assert Conversations(replayer.conversations._store).fact("hosts", host) is None


class TestTheFile:
    def test_it_is_for_the_user_alone_and_grows_line_by_line(self, lesson):
        path, _ = lesson
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_text("utf-8").splitlines()) == 3
        assert is_recording(path)

    def test_an_older_recording_stays_until_there_is_an_answer(self, lesson, session):
        path, _ = lesson
        before = path.read_text("utf-8")
        tape = Tape()
        tape.record(path)
        assert path.read_text("utf-8") == before
        with demo_server() as server:
            recorder = session(tape)
            answered(recorder, "Hello", server.base_url)
        assert len(path.read_text("utf-8").splitlines()) == 2

    def test_what_is_no_recording_is_not_replaced(self, tmp_path):
        path = tmp_path / "data.jsonl"
        path.write_text("{}\n")
        with pytest.raises(UsageError, match="no recording"):
            Tape().record(path)
        with pytest.raises(UsageError, match="folder"):
            Tape().record(tmp_path / "nowhere" / "x.jsonl")

    def test_a_link_is_not_followed(self, lesson, tmp_path):
        target = tmp_path / "target.jsonl"
        target.write_bytes(lesson[0].read_bytes())
        link = tmp_path / "link.jsonl"
        link.symlink_to(target)
        tape = Tape()
        tape.record(link)
        (exchange, _) = read_recording(read_text(target), "target")
        tape._keep(tape._recorders, exchange)
        assert not link.is_symlink()
        assert len(target.read_text("utf-8").splitlines()) == 3

    def test_while_it_records_nothing_is_replayed(self, lesson, tmp_path):
        tape = Tape()
        tape.record(tmp_path / "x.jsonl")
        with pytest.raises(UsageError, match="recorded"):
            tape.replay([lesson[0]])

    def test_the_environment_names_one(self, lesson, tmp_path):
        tape = Tape({REPLAY: str(lesson[0])})
        assert tape.is_replaying
        tape.reset()  # the extension was loaded again
        assert tape.is_replaying
        ordered = Tape({RECORD: str(tmp_path / "x.jsonl")})
        ordered.replay([lesson[0]])  # as the notebook says, which is recorded anew
        assert not ordered.is_replaying
        assert not ordered.is_idle

    def test_a_lesson_about_recording_is_recorded_and_replayed(self, session, tmp_path):
        """`%qwen_record`, a question, `%qwen_replay`, the question, `%qwen_replay off`: recorded
        from outside, then replayed with no server."""

        def lesson(tape, where):
            here = session(tape)
            texts = [answered(here, QUESTIONS[0], where).text]
            tape.record(tmp_path / "own.jsonl")
            given = {"history": False}
            texts.append(answered(here, QUESTIONS[1], where, **given).text)
            tape.end_recording()
            tape.replay([tmp_path / "own.jsonl"], speed=math.inf)
            texts.append(answered(here, QUESTIONS[1], where, **given).text)
            with pytest.raises(NotRecordedError, match=r"own\.jsonl"):
                answered(here, QUESTIONS[0], where, new=True)
            tape.end_replay()
            return texts

        whole = tmp_path / "whole.jsonl"
        with demo_server() as server:
            recorded = lesson(Tape({RECORD: str(whole)}), server.base_url)
            assert len(asked(server)) == 2
        assert len(read_recording(read_text(whole), "whole")) == 2
        before = read_text(tmp_path / "own.jsonl")
        tape = Tape({REPLAY: str(whole)})
        assert lesson(tape, "singapore") == recorded
        assert tape.is_replaying  # the first again
        lines = [each.splitlines()[1:] for each in (before, read_text(tmp_path / "own.jsonl"))]
        assert lines[0] == lines[1]

    @pytest.mark.parametrize("text", ["", "no recording", '{"recording":1}\n'])
    def test_nothing_goes_to_the_network_where_a_recording_says_nothing(self, tmp_path, text):
        path = tmp_path / "lesson.jsonl"
        path.write_text(text)
        with pytest.raises(UsageError):
            replaying(path)
        named = Tape({REPLAY: str(path)})
        for _ in range(2):
            with pytest.raises(UsageError):
                named.endpoint("singapore")

    def test_what_lies_beside_a_notebook(self, lesson, tmp_path):
        path, _ = lesson
        notebook = path.with_suffix(".ipynb")
        assert beside(tmp_path) == []
        notebook.write_text("{}")
        (tmp_path / "data.ipynb").write_text("{}")
        (tmp_path / "data.jsonl").write_text('{"id": 1}\n')
        assert beside(tmp_path) == [path]
        assert beside(notebook) == [path]
        assert beside(tmp_path / "data.ipynb") == []


class TestTheCache:
    def test_an_identical_question_costs_nothing(self, server, session):
        here = session(Tape())
        kept = [
            answered(here, "Hello", server.base_url, cache=True, history=False) for _ in range(2)
        ]
        assert len(asked(server)) == 1
        assert kept[0].text == kept[1].text

    def test_it_is_no_use_of_tokens(self, server, session):
        here = session(Tape())
        answered(here, "Hello", server.base_url, cache=True)
        before = sum(each.tokens for each in here.conversations.summaries())
        answered(here, "Hello", server.base_url, cache=True, new=True)
        assert before > 0
        assert sum(each.tokens for each in here.conversations.summaries()) == before

    @pytest.mark.parametrize(
        "other", [{"fresh": True}, {"temperature": 0.5}, {"system": "Be terse."}, {"cache": None}]
    )
    def test_what_differs_is_asked(self, server, session, other):
        here = session(Tape())
        given = {"cache": True, "history": False}
        answered(here, "Hello", server.base_url, **given)
        answered(here, "Hello", server.base_url, **given | other)
        assert len(asked(server)) == 2

    def test_it_says_so_in_a_table_of_what_was_used(self, server, session):
        here = session(Tape())
        for _ in range(2):
            answered(here, "Hello", server.base_url, cache=True, new=True)
        used = usage_table(here.conversations.turns(), "model", day_of=str)
        assert used.total.note == "1 turn came from the cache, at no cost"

    def test_what_was_used_longest_ago_goes(self, monkeypatch):
        clock = iter(range(100))
        kept = Conversations(clock=lambda: next(clock))
        monkeypatch.setattr(conversations, "_CACHE_BYTES", 3500)
        for key in "abc":
            kept.cache(key, key * 1000)
        assert kept.cached("a") == "a" * 1000
        kept.learn("hosts", "x", "x" * 9000)  # which is no answer
        kept.cache("d", "d" * 1000)
        assert [key for key in "abcd" if kept.cached(key)] == ["a", "c", "d"]
        assert kept.fact("hosts", "x")

    def test_what_failed_is_asked_again(self, session):
        here = session(Tape())
        with demo_server() as server:
            given = {"cache": True, "history": False}
            question = "Hello\ndemo: error 400"
            first = answered(here, question, server.base_url, **given)
            answered(here, question, server.base_url, **given)
            assert first.status == "failed"
            assert len(asked(server)) >= 2

    def test_it_is_recorded_too(self, server, session, tmp_path):
        tape = Tape()
        here = session(tape)
        answered(here, "Hello", server.base_url, cache=True, history=False)
        tape.record(tmp_path / "lesson.jsonl")
        answered(here, "Hello", server.base_url, cache=True, history=False)
        assert len((tmp_path / "lesson.jsonl").read_text("utf-8").splitlines()) == 2

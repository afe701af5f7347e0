"""Whatever fails, at whatever moment: nothing that came is lost, nothing is paid twice, the
conversation stays whole, the error is ours, and nothing stays open.

A real session over a real file and a real socket. "The kernel dies" is a copy of the file as it is
in that moment, from which all goes on: no more than that outlives a SIGKILL.
"""

import os
import shutil
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from faulty_server import FIRST_OUTPUT, FRAMES, TEXT, Fault, faulty_server
from fuzz import examples
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qwen_magic.client import Backoff, Client
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.endpoints import DASHSCOPE, UNKNOWN_SERVER, Endpoint
from qwen_magic.errors import QwenError
from qwen_magic.protocol import sse
from qwen_magic.session.plan import Ask
from qwen_magic.session.session import Session
from qwen_magic.session.view import NoView

SILENCE = 0.25  # seconds
AT = st.integers(0, FRAMES)
FAULTS = st.one_of(
    st.builds(Fault, st.sampled_from(["close", "reset", "hold"]), AT),
    st.builds(Fault, st.sampled_from(["malformed", "page", "twice", "missing", "late"]), AT),
    st.builds(Fault, st.sampled_from(["slow", "type", "plain", "none"])),
    st.builds(Fault, st.just("endless"), AT),
    st.builds(
        Fault,
        st.just("status"),
        status=st.sampled_from([400, 401, 403, 404, 408, 429, 500, 502, 503, 504]),
        times=st.integers(1, 4),
    ),
)


@dataclass
class Watching(NoView):
    """Sees the text grow, and stops it, or has the kernel die, at the `number`-th look."""

    number: int = -1
    dies: object = None  # a function, or None: it stops
    seen: str = ""
    looks: int = 0
    facts: list = field(default_factory=list)

    def begin(self, stop, look):
        self._stop = stop

    def update(self, state, now):
        self.seen = state.text
        self._look()

    def tick(self, state, now):
        self._look()

    def tell(self, text):
        self.facts.append(text)

    def _look(self):
        if self.looks == self.number:
            (self.dies or self._stop)()
        self.looks += 1


class FaultMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = self.new_folder()
        self._serving = faulty_server()
        self.server = self._serving.__enter__()
        self.client = Client(backoff=Backoff(random=lambda: 0.0))
        self.seen = {}
        self.count = 0
        self.session = self._open()

    @initialize(known=st.booleans())
    def choose(self, known):
        capabilities = DASHSCOPE if known else UNKNOWN_SERVER
        self.endpoint = Endpoint("here", self.server.url, capabilities)

    def _open(self):
        store, trouble = open_store(self.folder / "c.sqlite3", "scope")
        assert not trouble
        session = Session(conversations=Conversations(store))
        session._client = self.client
        return session

    def _close(self):
        self.session._client = None  # it is used again
        self.session.close()

    def teardown(self):
        self._close()
        assert self.client.live == 0
        assert self.client.close()
        self._serving.__exit__(None, None, None)

    @property
    def chain(self):
        return self.session.conversations.chain("main")

    @rule(fault=FAULTS, gives=st.booleans(), unready=st.integers(0, 2))
    def ask(self, fault, gives, unready):
        self._ask(fault, gives, unready, Watching())

    @rule(fault=FAULTS, look=st.integers(0, 12))
    def stop(self, fault, look):
        self._ask(fault, True, 0, Watching(look))

    @rule(fault=FAULTS, look=st.integers(0, 4))
    def interrupt(self, fault, look):
        """Ctrl-C at a look, and again while the turn ends: what has come and was not looked at yet
        is kept too."""

        def interrupts():
            streams = list(self.client._streams)
            self.has_come = fault.kind != "hold" and all(s.wait(5) for s in streams)
            raise KeyboardInterrupt

        self.has_come = False
        view = Watching(look, interrupts)
        made = self._ask(fault, True, 0, view)
        if self.has_come and fault.kind in ("none", "close", "slow", "twice", "plain"):
            told = [each.text for each in self.server.served if each.begun]
            assert made.text.startswith(told[-1] if told else "")

    @rule(fault=FAULTS, look=st.integers(0, 12), gives=st.booleans())
    def die(self, fault, look, gives):
        """The kernel is killed at a look: what is in the file then is all that there is."""
        before, left = dict(self.chain.turns), self.new_folder()

        def dies():
            for path in self.folder.iterdir():
                shutil.copy(path, left)

        view = Watching(look, dies)
        self._ask(fault, gives, 0, view)
        if view.looks <= look:
            return
        self._close()
        self.folder = left
        self.session = self._open()
        after = dict(self.chain.turns)
        new = [turn for key, turn in after.items() if key not in before]
        (turn,) = new
        assert turn.prompt == f"question {self.count}"
        assert turn.status in ("stopped", "completed", "failed", "incomplete")
        assert {key: after[key] for key in before} == before
        self.seen = after

    @precondition(lambda self: self.count)
    @rule()
    def restart(self):
        head = self.chain.head
        self._close()
        self.session = self._open()
        assert self.chain.head == head

    @rule()
    def forget(self):
        """The server forgets all, as after a week."""
        self.server.kept.clear()

    def _ask(self, fault, gives, unready, view):
        self.count += 1
        head, known = self.chain.head, set(self.chain.turns)
        self.server.gives, self.server.unready = gives, unready
        knew = bool(head) and head.response_id in self.server.kept
        self.server.fail(fault)
        prompt = f"question {self.count}"
        ask = Ask(prompt=prompt, input=prompt, model="m", endpoint=self.endpoint, chat="main",
                  timeout=SILENCE)  # fmt: skip
        plan, answer = self.session.plan(ask), None
        with suppress(KeyboardInterrupt):
            answer = self.session.run(plan, lambda *_: view)
        (made,) = (turn for key, turn in self.chain.turns.items() if key not in known)
        self.seen[made.key] = made
        self._check_paid(made, fault, gives and view.number < 0)
        self._check_chain(made, head, knew)
        assert made.prompt == prompt
        assert made.text.startswith(view.seen)
        if answer is None:
            assert made.status in ("stopped", "completed", "failed")
            return made

        # Every turn reaches an end, which the answer, the record and the file agree on.
        assert answer.status == made.status in ("completed", "failed", "stopped")
        assert (answer.error is not None) == (made.status == "failed")
        if answer.error is not None:
            assert isinstance(answer.error, QwenError)
            assert answer.error.message
            assert answer.error.hint
            assert len(str(answer.error).splitlines()) <= 3
            assert "fault of qwen_magic" not in str(answer.error)

        # Nothing that came is lost.
        assert made.text == answer.text
        told = [each.text for each in self.server.served if each.begun]
        if fault.kind not in ("missing", "late", "malformed", "page", "reset"):
            assert TEXT.startswith(answer.text)
            if view.dies or view.number < 0:
                assert answer.text.startswith(told[-1] if told else "")
        assert answer.text or answer.status != "completed"
        return made

    def _check_paid(self, made, fault, gives):
        """Nothing is paid twice, and what was paid and is kept is had. `gives`: whether the server
        gives out what it keeps, and nobody stopped it."""
        served = self.server.served
        assert sum(each.begun for each in served) <= 1, fault
        assert len(served) <= 5
        breaks = fault.kind in ("close", "hold") and fault.at > FIRST_OUTPUT
        if gives and breaks and made.stored and made.response_id in self.server.kept:
            assert (made.status, made.text) == ("completed", TEXT)

    def _check_chain(self, made, head, knew):
        """It goes on after what was answered, and after nothing else. `head`: where it stood,
        `knew`: whether the server knew that turn."""
        served = self.server.served
        assert self.chain.head == (made if made.may_be_head else head)
        assert made.may_be_head or made.status != "completed"
        if served:
            last = served[-1].body
            if head is None:
                assert "previous_response_id" not in last
            elif last.get("previous_response_id"):
                assert last["previous_response_id"] == head.response_id
            else:  # told as text, from the first turn on
                assert not knew or self.endpoint.capabilities is UNKNOWN_SERVER
                said = [text for item in last["input"] if (text := _user_text(item))]
                assert said == [turn.prompt for turn in [*self.chain.path(head), made]]

    @invariant()
    def nothing_is_deleted_or_changed(self):
        kept = self.chain.turns
        assert {key: kept[key] for key in self.seen} == self.seen

    @invariant()
    def the_chain_is_whole(self):
        before = set()
        for key, turn in self.chain.turns.items():
            assert turn.parent is None or turn.parent in before, "parents precede children"
            before.add(key)
        path = self.chain.path(self.chain.head)
        assert all(turn.may_be_head for turn in path)

    @invariant()
    def no_stream_is_open(self):
        assert self.client.live == 0 or all(s.wait(5) for s in list(self.client._streams))


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    FaultMachine.new_folder = staticmethod(lambda: Path(tmp_path_factory.mktemp("faults")))


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_open(tmp_path_factory):
    """Threads, descriptors, processes and temporary files after the whole suite of faults."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))
    with faulty_server():  # what a first server opens for good is no leak
        pass
    threads, files = {thread.name for thread in threading.enumerate()}, _open_files()
    processes = psutil.Process().children()  # the browser of other tests
    yield
    assert {thread.name for thread in threading.enumerate()} <= threads
    assert len(_open_files()) <= len(files), _open_files()
    assert set(psutil.Process().children()) <= set(processes)
    assert not os.listdir(tempfile.tempdir)
    tempfile.tempdir = None


def _open_files():
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def _user_text(item):
    if item.get("role") != "user":
        return ""
    content = item["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """Small figures in place of those that suit people."""
    monkeypatch.setattr("qwen_magic.session.recovery.REST_PAUSE", 0.02)
    monkeypatch.setattr("qwen_magic.session.turn.CHECKPOINT", 0.0)
    monkeypatch.setattr(sse.SSEDecoder.__init__, "__defaults__", (100_000,))


TestFaults = FaultMachine.TestCase
TestFaults.settings = settings(
    max_examples=examples(10),
    stateful_step_count=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # times differ, so that none shrinks
    suppress_health_check=list(HealthCheck),
)

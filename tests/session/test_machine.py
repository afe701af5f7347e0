"""Any sequence of what can be done to conversations keeps them whole.

A real session over a real file and a real server; a restart opens the file anew.
"""

import threading
from dataclasses import replace

import pytest
from demo_server import demo_server
from fuzz import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from qwen_magic.conversation.chain import CellKey
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import ConversationError
from qwen_magic.session.plan import Ask
from qwen_magic.session.session import Session
from qwen_magic.session.view import NoView

CELLS = st.sampled_from([None, CellKey("a"), CellKey("b"), CellKey("b", 1)])


class StopsEarly(NoView):
    """Stops the answer as soon as something has come."""

    def begin(self, stop, look):
        self._stop = stop

    def update(self, state, now):
        if state.text:
            self._stop()


class ConversationMachine(RuleBasedStateMachine):
    chats = Bundle("chats")

    def __init__(self):
        super().__init__()
        self.folder = self.tmp_path_factory.mktemp("store")
        self.server = demo_server().start()
        self.endpoint = Endpoint("here", self.server.base_url)
        self.seen = {}  # key -> turn, as it was recorded
        self.asked = 0
        self.session = self._open()

    def _open(self):
        store, trouble = open_store(self.folder / "c.sqlite3", "scope")
        assert not trouble
        return Session(conversations=Conversations(store))

    def teardown(self):
        self.session.close()
        self.server.close()
        assert not [t for t in threading.enumerate() if t.name == "qwen-engine"]

    def _ask(self, view=None, **changes):
        self.asked += 1
        prompt = f"question {self.asked}\n" + changes.pop("switch", "")
        ask = Ask(prompt=prompt, input=prompt, model="m", endpoint=self.endpoint, chat="main")
        ask = replace(ask, **changes)
        before = {key for key, _ in self._turns()}
        answer = self.session.run(self.session.plan(ask), lambda *_: view or NoView())
        (made,) = [turn for key, turn in self._turns() if key not in before]
        self.seen[made.key] = made
        return answer, made

    def _turns(self):
        conversations = self.session.conversations
        return [
            item
            for name in conversations.names()
            for item in conversations.chain(name).turns.items()
        ]

    @rule(target=chats, cell=CELLS)
    def ask(self, cell):
        answer, turn = self._ask(cell=cell)
        assert answer.status == "completed"
        assert self.session.conversations.chain("main").head == turn
        return "main"

    @rule(chat=chats, cell=CELLS)
    def ask_in(self, chat, cell):
        _answer, turn = self._ask(chat=chat, cell=cell)
        assert self.session.conversations.chain(chat).head == turn

    @rule(chat=chats)
    def stop(self, chat):
        head = self.session.conversations.chain(chat).head
        self.server.set(delay=0.01)
        answer, turn = self._ask(StopsEarly(), chat=chat)
        self.server.set(delay=0.0)
        if answer.status == "stopped":
            assert self.session.conversations.chain(chat).head == head
            assert turn.text

    @rule(chat=chats)
    def fail(self, chat):
        head = self.session.conversations.chain(chat).head
        answer, turn = self._ask(chat=chat, switch="demo: error 500")
        assert answer.error is not None
        assert turn.status == "failed"
        assert self.session.conversations.chain(chat).head == head

    @rule(chat=chats)
    def heal(self, chat):
        self.server.forget()
        answer, _turn = self._ask(chat=chat)
        assert answer.status == "completed"

    @rule(target=chats, chat=chats, back=st.integers(0, 3))
    def fork(self, chat, back):
        conversations = self.session.conversations
        path = conversations.chain(chat).path(conversations.chain(chat).head)
        name = conversations.fresh_name()
        if not path:
            return chat
        chain = conversations.fork(name, conversations.chain(chat), path[-1 - back % len(path)])
        assert chain.head == path[-1 - back % len(path)]
        return name

    @rule(chat=chats, steps=st.integers(1, 3))
    def undo(self, chat, steps):
        conversations = self.session.conversations
        path = conversations.chain(chat).path(conversations.chain(chat).head)
        if steps > len(path):
            with pytest.raises(ConversationError):
                conversations.undo(chat, steps)
            return
        head = conversations.undo(chat, steps)
        assert head == (path[-1 - steps] if steps < len(path) else None)

    @rule(chat=chats, choice=st.integers(0, 1000))
    def pick(self, chat, choice):
        chain = self.session.conversations.chain(chat)
        able = [turn for turn in chain.turns.values() if turn.may_be_head]
        if able:
            self.session.conversations.pick(chain, able[choice % len(able)])

    @precondition(lambda self: self.asked)
    @rule()
    def restart(self):
        conversations = self.session.conversations
        heads = {name: conversations.chain(name).head for name in conversations.names()}
        self.session.close()
        self.session = self._open()
        for name, head in heads.items():
            assert self.session.conversations.chain(name).head == head, name

    @invariant()
    def nothing_is_deleted_or_changed(self):
        kept = dict(self._turns())
        for key, turn in self.seen.items():
            assert kept[key] == turn

    @invariant()
    def chains_are_whole(self):
        for name in self.session.conversations.names():
            chain = self.session.conversations.chain(name)
            assert chain.head is None or chain.head.may_be_head
            before = set()
            for key, turn in chain.turns.items():
                assert turn.parent is None or turn.parent in before, "parents precede children"
                before.add(key)

    @invariant()
    def a_cells_parent_is_the_current_sibling(self):
        for name in self.session.conversations.names():
            chain = self.session.conversations.chain(name)
            for turn in chain.turns.values():
                parent = chain.parent_for(turn.cell) if turn.cell else None
                if parent is not None and parent.cell is not None:
                    siblings = [t for t in chain.siblings(parent.cell) if t.may_be_head]
                    assert not siblings or chain.is_current(parent)


@pytest.fixture(autouse=True)
def folders(tmp_path_factory):
    ConversationMachine.tmp_path_factory = tmp_path_factory


TestConversations = ConversationMachine.TestCase
TestConversations.settings = settings(
    max_examples=examples(12),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

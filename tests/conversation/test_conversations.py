"""Conversations by name."""

import pytest

from qwen_magic.conversation.chain import CellKey, Turn, TurnSummary
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.errors import ConversationError


def turn(key, chat, parent=None):
    return Turn(key, chat, "completed", parent, f"resp_{key}", text="text")


def test_main_is_there_from_the_start():
    conversations = Conversations()
    assert conversations.current == "main"
    assert conversations.names() == ["main"]


def test_unnamed_conversations_are_numbered_from_two():
    conversations = Conversations()
    assert conversations.new().name == "chat-2"
    assert conversations.new().name == "chat-3"


def test_a_name_with_turns_is_not_begun_again():
    conversations = Conversations()
    conversations.append(turn("a", "sales"))
    with pytest.raises(ConversationError, match="%qwen_chat sales"):
        conversations.new("sales")


def test_turns_come_back_from_the_store():
    store = SqliteStore()
    Conversations(store).append(turn("a", "sales"))
    again = Conversations(store)
    assert again.chain("sales").head.key == "a"
    assert again.names() == ["sales", "main"]


def test_what_another_process_has_added_is_taken_in_where_it_follows(tmp_path):
    store, other = SqliteStore(tmp_path / "store"), SqliteStore(tmp_path / "store")
    here, there = Conversations(store), Conversations(other)
    assert here.catch_up("main") == 0, "nothing is loaded yet"
    here.append(turn("a", "main"))
    there.chain("main")
    there.append(turn("b", "main", "a"))
    there.append(turn("c", "main", "b"))
    assert here.catch_up("main") == 2
    assert [each.key for each in here.chain("main").path(here.chain("main").head)] == [*"abc"]
    assert here.catch_up("main") == 0
    here.append(turn("d", "main", "c"))
    there.append(turn("e", "main", "c"))  # both go on from c
    assert here.catch_up("main") == there.catch_up("main") == 0
    assert here.chain("main").head.key == "d"
    assert there.chain("main").head.key == "e"
    here.undo("main", 4)
    assert here.catch_up("main") == 0, "who stepped back stays there"
    empty = Conversations(store)
    empty.chain("new")
    there.append(turn("f", "new"))
    assert empty.catch_up("new") == 1
    store.close()
    other.close()


def test_references_into_other_conversations():
    conversations = Conversations()
    conversations.append(turn("a", "main"))
    conversations.append(turn("b", "sales"))
    assert conversations.find("1", "main")[1].key == "a"
    chain, found = conversations.find("sales:-1", "main")
    assert (chain.name, found.key) == ("sales", "b")
    with pytest.raises(ConversationError, match="no conversation 'nobody'"):
        conversations.find("nobody:1", "main")


class TestPlaces:
    """To which conversation a cell belongs, by what the store has of it."""

    HOST = "dashscope.example"

    @pytest.fixture
    def there(self):
        return Conversations()

    def answer(self, there, key, chat, cell="c1", call=0, parent=None, **said):
        said = {"host": self.HOST, "created_at": float(len(there.chain(chat).turns) + 1), **said}
        made = Turn(
            key, chat, said.pop("status", "completed"), parent, f"resp_{key}", text="text",
            cell=CellKey(cell, call), **said,
        )  # fmt: skip
        there.append(made)
        return made

    def places(self, there, cell="c1", host=HOST):
        return there.places(cell, host)

    def test_a_cell_belongs_where_it_was_answered(self, there):
        assert self.places(there) == {}
        self.answer(there, "a", "main")
        there.switch("stats")
        assert self.places(there) == {0: "main"}
        assert self.places(there, "c2") == {}

    def test_each_call_of_a_cell_has_its_place(self, there):
        self.answer(there, "a", "main")
        self.answer(there, "b", "side", call=1)
        assert self.places(there) == {0: "main", 1: "side"}

    def test_an_answer_elsewhere_moves_it(self, there):
        self.answer(there, "a", "main", created_at=1.0)
        self.answer(there, "b", "side", created_at=2.0)
        assert self.places(there) == {0: "side"}
        self.answer(there, "c", "main", created_at=0.5)  # a clock was set back
        assert self.places(there) == {0: "main"}

    @pytest.mark.parametrize("status", ["failed", "stopped"])
    def test_only_an_answer_claims_it(self, there, status):
        self.answer(there, "a", "main", status=status)
        assert self.places(there) == {}

    def test_an_import_of_the_same_turns_does_not_move_it(self, there):
        self.answer(there, "a", "main")
        copied = there.conversation("main").adopted("copy", lambda: "copied")
        there.adopt("copy", copied)
        assert self.places(there) == {0: "main"}

    def test_the_demo_claims_for_the_demo_alone(self, there):
        self.answer(there, "a", "main", created_at=1.0)
        self.answer(there, "b", "demo", host="demo", created_at=2.0)
        assert self.places(there) == {0: "main"}
        assert self.places(there, host="demo") == {0: "demo"}

    def test_the_store_remembers(self):
        store = SqliteStore()
        self.answer(Conversations(store), "a", "main")
        again = Conversations(store)
        assert self.places(again) == {0: "main"}
        (made,) = store.of_cell("c1")
        assert isinstance(made, TurnSummary)
        assert (made.chat, made.host, made.may_be_head) == ("main", self.HOST, True)

    def test_the_turn_that_began_a_conversation_finds_it(self, there):
        begun = self.answer(there, "a", "chat-2", status="failed")
        self.answer(there, "b", "chat-2", cell="c2", parent="a")
        assert there.begun_with(begun.cell, self.HOST) == "chat-2"
        assert there.begun_with(CellKey("c2"), self.HOST) == ""
        assert there.begun_with(None, self.HOST) == ""

    def test_unnamed_ones_are_begun_again(self, there):
        first, second = CellKey("n", 0), CellKey("n", 1)
        assert [there.new("", cell).name for cell in (first, second)] == ["chat-2", "chat-3"]
        self.answer(there, "a", "chat-2")
        assert there.new("", first).name == "chat-2"
        assert there.chain("chat-2").head is None, "nothing comes before the next question"
        assert there.new("", CellKey("n", 2)).name == "chat-4"
        assert there.new("named", CellKey("m")).name == there.new("named", CellKey("m")).name
        self.answer(there, "b", "named", cell="c3")
        with pytest.raises(ConversationError, match="exists"):
            there.new("named", CellKey("other"))
        assert there.new("", CellKey("m")).name == "chat-5", "it is another line now"

    def test_a_fork_is_begun_again_after_the_new_answer(self):
        store = SqliteStore()
        there, fork = Conversations(store), CellKey("f")
        old = self.answer(there, "a", "main")
        there.fork("side", there.chain("main"), old, fork)
        self.answer(there, "b", "side", cell="c2", parent="a")
        self.answer(there, "a2", "main", created_at=9.0)
        source, turn = there.left("side", fork)
        assert (source.name, turn.key) == ("main", "a2")
        assert there.left("side", CellKey("other")) is None
        there.fork("side", source, turn, fork)
        for one in (there, Conversations(store)):
            chain = one.chain("side")
            assert [each.key for each in chain.path(chain.head)] == ["a2"]
            assert chain.parent_for(CellKey("c2")).key == "a2"
        with pytest.raises(ConversationError, match="exists"):
            there.fork("side", source, turn, CellKey("other"))

    def test_no_fork_follows_itself(self, there):
        first = self.answer(there, "a", "main")
        one = there.fork("side", there.chain("main"), first, CellKey("f"))
        later = self.answer(there, "b", "side", cell="c2", parent="a")
        there.fork("third", one, later, CellKey("g"))
        last = self.answer(there, "c", "third", cell="c3", parent="b")
        with pytest.raises(ConversationError, match="follows its own"):
            there.fork("side", there.chain("third"), last, CellKey("f"))
        assert set(there.conversation("third").chain().turns) == {"a", "b", "c"}

    def test_what_is_set_aside_is_released_and_comes_back(self, there):
        self.answer(there, "a", "main")
        there.enter("sales", CellKey("s"))
        self.answer(there, "b", "sales", cell="c2")
        there.switch("main")
        assert there.set_aside() == ["main~1", "sales~1"]
        assert there.current == "main"
        assert self.places(there) == {}
        assert there.chain("main").head is None
        assert not there.recent(10)
        assert [each.chat for each in there.summaries()] == ["main~1", "sales~1"]
        assert there.enter("sales", CellKey("typed")) == "sales"
        assert there.chain("sales").head.key == "b"
        assert self.places(there, "c2") == {0: "sales"}
        self.answer(there, "c", "main")
        assert there.enter("main") == "main"
        assert there.enter("main~1") == "main-2"
        assert [each.key for each in there.chain("main-2").turns.values()] == ["a"]
        with pytest.raises(ConversationError, match="no conversation 'main~1'"):
            there.enter("main~1")

    def test_the_cell_that_began_what_was_set_aside_begins_it_anew(self, there):
        for expected in (["sales~1"], ["sales~1", "sales~2"]):
            there.enter("sales", CellKey("s"))
            assert there.chain("sales").head is None
            self.answer(there, f"in {expected}", "sales")
            there.set_aside()
            assert [each.chat for each in there.summaries()] == expected
        assert there.enter("sales") == "sales"
        assert there.chain("sales").head.key == "in ['sales~1', 'sales~2']", "the newest of them"

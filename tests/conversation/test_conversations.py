"""Conversations by name."""

import pytest

from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.conversations import Book
from qwen_magic.conversation.recall import MemoryRecall
from qwen_magic.errors import ConversationError


def turn(key, chat, parent=None):
    return Turn(key, chat, "completed", parent, f"resp_{key}", text="text")


def test_main_is_there_from_the_start():
    book = Book(MemoryRecall())
    assert book.current == "main"
    assert book.names() == ["main"]


def test_unnamed_conversations_are_numbered_from_two():
    book = Book(MemoryRecall())
    assert book.new().name == "chat-2"
    assert book.new().name == "chat-3"


def test_a_name_with_turns_is_not_begun_again():
    book = Book(MemoryRecall())
    book.append(turn("a", "sales"))
    with pytest.raises(ConversationError, match="%qwen_chat sales"):
        book.new("sales")


def test_turns_come_back_from_the_store():
    store = MemoryRecall()
    Book(store).append(turn("a", "sales"))
    again = Book(store)
    assert again.chain("sales").head.key == "a"
    assert again.names() == ["sales", "main"]


def test_references_into_other_conversations():
    book = Book(MemoryRecall())
    book.append(turn("a", "main"))
    book.append(turn("b", "sales"))
    assert book.find("1", "main")[1].key == "a"
    chain, found = book.find("sales:-1", "main")
    assert (chain.name, found.key) == ("sales", "b")
    with pytest.raises(ConversationError, match="no conversation 'nobody'"):
        book.find("nobody:1", "main")

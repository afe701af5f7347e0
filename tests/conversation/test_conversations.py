"""Conversations by name."""

import pytest

from qwen_magic.conversation.chain import Turn
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


def test_references_into_other_conversations():
    conversations = Conversations()
    conversations.append(turn("a", "main"))
    conversations.append(turn("b", "sales"))
    assert conversations.find("1", "main")[1].key == "a"
    chain, found = conversations.find("sales:-1", "main")
    assert (chain.name, found.key) == ("sales", "b")
    with pytest.raises(ConversationError, match="no conversation 'nobody'"):
        conversations.find("nobody:1", "main")

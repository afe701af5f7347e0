"""What is found out about a host is found out once, for all notebooks, for a week."""

import pytest
from able_server import able_server
from demo_server import asked, demo_server

from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.endpoints import Capabilities, Endpoint
from qwen_magic.session.host_facts import HostFacts
from qwen_magic.session.keywords import read_ask
from qwen_magic.session.session import Session

HOST = Endpoint("there", "http://there.example/v1", Capabilities(rejects={"store": "why"}))


def facts(now=0.0, conversations=None):
    return HostFacts(conversations or Conversations(), lambda: now)


def test_what_was_found_stands_in_place_of_what_the_row_says():
    known = facts()
    assert known.applied(HOST) is HOST
    known.learn(HOST.host, {"keeps_ids": "no", "rejects": ["include"]})
    known.learn(HOST.host, {"thinking": "effort", "rejects": ["text"], "images": False})
    found = known.applied(HOST).capabilities
    assert (found.keeps_ids, found.thinking, found.images) == ("no", "effort", False)
    assert set(found.rejects) == {"store", "include", "text"}


def test_it_holds_for_a_week():
    conversations = Conversations()
    facts(0.0, conversations).learn(HOST.host, {"keeps_ids": "no"})
    assert facts(6 * 86400.0, conversations).applied(HOST).capabilities.keeps_ids == "no"
    assert facts(8 * 86400.0, conversations).applied(HOST) is HOST
    # A clock that went back a moment changes nothing; what was found years ahead holds no longer.
    assert facts(-5.0, conversations).applied(HOST).capabilities.keeps_ids == "no"
    assert facts(-1e8, conversations).applied(HOST) is HOST


@pytest.mark.parametrize("kept", [None, 5, [], {"at": "x"}, {"at": 0.0, "keeps_ids": 7}])
def test_what_is_no_finding_is_passed_over(kept):
    conversations = Conversations()
    conversations.learn("hosts", HOST.host, kept)
    assert facts(1.0, conversations).applied(HOST).capabilities == HOST.capabilities


def in_a_new_kernel(path, url, *prompts):
    """Ask in a session of its own, with the store of all of them."""
    session = Session(conversations=Conversations(SqliteStore(path, "notebook")))
    for prompt in prompts:
        endpoint = session.endpoints.find(url)
        ask = read_ask(prompt, {}, endpoint=endpoint, model="tiny", chat="main")
        answer = session.run(session.plan(ask))
    session.close()
    return answer


@pytest.mark.parametrize(("chain", "requests"), [("unnamed", [2, 2]), ("ignores", [3, 2])])
def test_each_kernel_knows_what_one_has_found_out(tmp_path, chain, requests):
    """A server that keeps turns and does not name them is asked once a question; one that keeps
    none twice, once."""
    counts = []
    with demo_server(chain=chain) as server:
        for _ in range(2):
            before = len(asked(server))
            said = in_a_new_kernel(
                tmp_path / "s", server.base_url, "My name is John", "Do you remember my name?"
            )
            assert "John" in said.text
            counts.append(len(asked(server)) - before)
    assert counts == requests


def test_a_server_that_does_not_name_a_turn_is_asked_whether_it_has_it(tmp_path):
    with able_server(names=False) as server:
        prompts = ("The word is pelican", "Which word?", "Which word was it?")
        assert in_a_new_kernel(tmp_path / "s", server.url, *prompts).text == "pelican"
        assert (len(server.bodies), len(server.looked_up)) == (3, 1)

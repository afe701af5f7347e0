"""Steps in real kernels without a page: consoles, and what runs several cells."""

import json
import os
import time

import pytest
from demo_server import asked

pytestmark = pytest.mark.kernel

GOAL = "%%qwen --steps\nWhich kinds of planets are the densest? Use data/planets.csv."
FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "notebooks")
SECRET = "sk-proj-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"


@pytest.fixture
def kernel(process, server):
    process.ok(
        f"%reload_ext qwen_magic\n%config QwenMagics.endpoint = '{server.base_url}'\n"
        f"%config QwenMagics.replay_beside = False\n%cd -q {FOLDER}\nnexts, ran = [], []\n"
        "get_ipython().set_next_input = lambda text, replace=False: nexts.append(text)"
    )
    yield process
    process.ok("%unload_ext qwen_magic\ndel get_ipython().set_next_input")


def by_hand(kernel, code, **metadata):
    """Run a cell as a reader does, some time after the one before."""
    time.sleep(0.15)
    return kernel.collect(kernel.send(code, stdin=True, **metadata))


def proposal(kernel):
    """What stands in the next prompt."""
    return json.loads(by_hand(kernel, "import json; print(json.dumps(nexts[-1]))").stdout)


def sent(server):
    return asked(server)[-1].body["input"]


def test_a_console_proposes_in_its_next_prompt(kernel, server):
    by_hand(kernel, GOAL)
    first = proposal(kernel)
    assert first.startswith("# Qwen proposes step 1 of ")
    by_hand(kernel, "mine = 41\nprint(mine + 1)")
    by_hand(kernel, f"{first}\npassword = 'correct horse battery'\nprint('{SECRET}', password)")
    told = sent(server)
    assert "I ran step 1, after editing it. It ran without an error." in told
    assert "mine = 41" in told  # the reader's own cell
    assert "42" in told
    assert SECRET not in told
    assert "correct horse" not in told
    by_hand(kernel, proposal(kernel))  # ends with an error
    assert "KeyError" in sent(server)
    third = proposal(kernel)
    assert '["density"]' in third
    before = len(asked(server))
    assert "step 3 is proposed, not run" in by_hand(kernel, "%qwen_step").stdout
    by_hand(kernel, "%qwen_step stop")
    by_hand(kernel, third)  # one as any other
    assert len(asked(server)) == before
    by_hand(kernel, "%qwen_step resume")
    assert "Let us go on with the goal" in sent(server)
    assert "step 4" in proposal(kernel)


def test_a_goal_is_undone_and_forked_as_its_turns_are(kernel, server):
    by_hand(kernel, GOAL)
    by_hand(kernel, proposal(kernel))
    by_hand(kernel, "%qwen_undo")
    by_hand(kernel, proposal(kernel))  # of the turn that was undone
    undone, again = [record.body for record in asked(server)[-2:]]
    assert again["previous_response_id"] == undone["previous_response_id"]
    assert "The cell as I ran it" in again["input"]
    assert "The cell as I ran it" not in undone["input"]
    by_hand(kernel, "%qwen_fork other --after 1")
    by_hand(kernel, "%qwen_step resume")
    forked = asked(server)[-1].body
    assert forked["previous_response_id"] == undone["previous_response_id"]
    assert "restarted" not in forked["input"]


def test_what_nobody_has_read_runs_in_no_batch(kernel, server):
    mark = {"step": "ab12:1", "cell": "c", "open": True}
    for told in ({"qwen": {**mark, "run": "together"}}, {"qwen": {"run": "together", **mark}}):
        assert "nobody has run it yet" in by_hand(kernel, "ran.append(1)", **told).stdout
    time.sleep(0.15)
    ids = [kernel.send("x = 1", stdin=True), kernel.send("ran.append(2)", stdin=True, qwen=mark)]
    assert "nobody has run it yet" in [kernel.collect(id) for id in ids][1].stdout
    nobody = kernel.collect(kernel.send("ran.append(3)", qwen=mark))  # takes no input: nbclient
    assert "nobody has run it yet" in nobody.stdout
    assert kernel.ok("print(ran)").stdout == "[]\n"
    by_hand(kernel, "ran.append(4)", qwen={**mark, "run": "alone"})
    by_hand(kernel, "ran.append(5)", qwen=mark)  # a front end that says nothing of it
    assert kernel.ok("print(ran)").stdout == "[4, 5]\n"


def test_nothing_is_asked_unless_somebody_is_there(kernel, server):
    before = len(asked(server))
    assert "Nothing was asked" in kernel.run(GOAL).stdout
    time.sleep(0.15)
    ids = [kernel.send("x = 1", stdin=True), kernel.send(GOAL, stdin=True)]
    assert "Nothing was asked" in [kernel.collect(id) for id in ids][1].stdout
    alone = by_hand(kernel, "%%qwen --steps --dry-run\nWhich?")
    assert "one cell at a time" in str(alone.displays)
    assert len(asked(server)) == before

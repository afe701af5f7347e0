"""Fetching weights, against a local imitation of the two hubs. Neither was ever asked here."""

import pytest
from local_model import SUM, WEIGHTS, listing, second_listing, site

from qwen_magic.client import Client
from qwen_magic.errors import ProtocolError, QwenError, TransportError
from qwen_magic.local import FILE, REPOSITORY, Hub, fetch_weights, hubs


@pytest.fixture
def client():
    client = Client()
    yield client
    client.close()


@pytest.fixture
def progress():
    seen = []
    return type("Progress", (), {"seen": seen, "__call__": lambda _, *at: seen.append(at)})()


def paths(base):
    first, second = hubs({"HF_ENDPOINT": base})
    assert first.listing == f"{base}/api/models/{REPOSITORY}/tree/main"
    assert first.file == f"{base}/{REPOSITORY}/resolve/main/{FILE}"
    return first, second


def test_nothing_is_asked_unless_it_is_called_and_then_only_once(client, progress, tmp_path):
    pages = {}
    with site(pages) as (base, asked), site({"/blob": WEIGHTS}) as (elsewhere, there):
        first, _ = paths(base)
        pages[first.listing.removeprefix(base)] = listing()
        pages[first.file.removeprefix(base)] = f"{elsewhere}/blob"  # hubs keep files elsewhere
        path = fetch_weights(client, tmp_path / "models", (first,), progress)
        assert path.read_bytes() == WEIGHTS
        assert progress.seen[-1] == (len(WEIGHTS), len(WEIGHTS))
        assert [len(asked), len(there)] == [2, 1]
        assert not any("authorization" in map(str.lower, headers) for _, headers in asked + there)
        assert fetch_weights(client, tmp_path / "models", (first,), progress) == path
        assert len(asked) == 2
    assert [each.name for each in path.parent.iterdir()] == [FILE]


def test_the_hub_that_answers_is_taken(client, progress, tmp_path):
    with site({}) as (silent, _), site({"/list": second_listing(), "/file": WEIGHTS}) as (base, _):
        where = (
            Hub("nowhere", "http://127.0.0.1:9/list", "http://127.0.0.1:9/file"),
            Hub("empty", f"{silent}/list", f"{silent}/file"),
            Hub("second", f"{base}/list", f"{base}/file"),
        )
        assert fetch_weights(client, tmp_path, where, progress).read_bytes() == WEIGHTS


def test_no_hub_answers(client, progress, tmp_path):
    where = (Hub("nowhere", "http://127.0.0.1:9/list", "http://127.0.0.1:9/file"),)
    with pytest.raises(TransportError, match="No hub") as failed:
        fetch_weights(client, tmp_path, where, progress)
    assert "nowhere" in failed.value.why
    assert "%qwen_local FILE.gguf" in failed.value.hint


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"<html>Please sign in</html>", "another sha256"),
        (WEIGHTS[:-1] + b"?", "another sha256"),
        (WEIGHTS + b"more", "more than"),
        (None, "answered 404"),
    ],
)
def test_what_is_not_the_file_is_thrown_away(client, progress, tmp_path, file, words):
    with site({"/list": listing(), "/file": file}) as (base, _):
        where = (Hub("the hub", f"{base}/list", f"{base}/file"),)
        with pytest.raises(QwenError, match=words):
            fetch_weights(client, tmp_path, where, progress)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "answer", [b"<html>", b"{}", b"[]", b"[3]", listing("not a sum"), listing(size=0)]
)
def test_a_hub_that_says_no_sum_is_not_asked_for_the_file(client, progress, tmp_path, answer):
    with site({"/list": answer, "/file": WEIGHTS}) as (base, asked):
        where = (Hub("the hub", f"{base}/list", f"{base}/file"),)
        with pytest.raises(TransportError, match="No hub"):
            fetch_weights(client, tmp_path, where, progress)
        assert len(asked) == 1


def test_a_redirect_in_a_circle(client, progress, tmp_path):
    with site({"/list": listing(), "/file": "/file"}) as (base, _):
        where = (Hub("the hub", f"{base}/list", f"{base}/file"),)
        with pytest.raises(TransportError, match="circle"):
            fetch_weights(client, tmp_path, where, progress)


def test_a_folder_that_cannot_be_written(client, progress, tmp_path):
    (tmp_path / "file").write_text("")
    with site({"/list": listing(), "/file": WEIGHTS}) as (base, _):
        where = (Hub("the hub", f"{base}/list", f"{base}/file"),)
        with pytest.raises(QwenError, match="cannot be written"):
            fetch_weights(client, tmp_path / "file" / "models", where, progress)


def test_a_sum_that_differs_is_a_protocol_error(client, progress, tmp_path):
    with site({"/list": listing("0" * 64), "/file": WEIGHTS}) as (base, _):
        where = (Hub("the hub", f"{base}/list", f"{base}/file"),)
        with pytest.raises(ProtocolError) as failed:
            fetch_weights(client, tmp_path, where, progress)
    assert SUM in failed.value.why

"""Figures whose links misbehave on request, each by itself."""

import re

import httpx2
import pytest

from qwen_magic.demo.faults import HUGE

TOOL = [{"type": "code_interpreter"}]
PROMPT = "Draw a line"


def figure_link(client, mode=""):
    """The link of a figure that a run under that switch made."""
    prompt = f"{PROMPT}\ndemo: figures {mode}" if mode else PROMPT
    (run, _) = client.ask(prompt, tools=TOOL)["output"]
    return re.search(r"!\[fig-001\]\(([^)]+)\)", run["outputs"][0]["logs"])[1]


def test_each_figure_keeps_its_own_mode(client):
    html, plain = figure_link(client, "html"), figure_link(client)
    page = client.http.get(html)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text.startswith("<!DOCTYPE html>")
    assert client.http.get(plain).content.startswith(b"\x89PNG\r\n\x1a\n")
    assert client.http.get(html).text == page.text


def test_a_link_that_breaks_the_connection(client):
    link = figure_link(client, "down")
    with pytest.raises(httpx2.NetworkError):
        client.http.get(link)


def test_a_link_that_drips(client):
    with client.http.stream("GET", figure_link(client, "slow")) as reply:
        assert reply.headers["content-type"] == "image/png"
        assert "content-length" not in reply.headers
        assert next(reply.iter_raw()) == b"\x89"


def test_a_link_that_does_not_stop(client):
    size = 0
    with client.http.stream("GET", figure_link(client, "huge")) as reply:
        assert "content-length" not in reply.headers
        for piece in reply.iter_raw():
            assert size or piece.startswith(b"\x89PNG")
            size += len(piece)
    assert size >= HUGE


def test_a_reader_may_leave_a_link_that_does_not_stop(client):
    with client.http.stream("GET", figure_link(client, "huge")) as reply:
        next(reply.iter_raw())
    assert client.say("Hello"), "the server goes on"


def test_a_link_to_another_host(client):
    link = figure_link(client, "elsewhere")
    assert link.startswith("http://figures.example.invalid/code-interpreter/temp_files/")


def test_a_mode_that_there_is_not(client):
    reply = client.post("Hello\ndemo: figures odd")
    assert reply.status_code == 400
    assert "slow, huge, html, down, elsewhere" in reply.json()["message"]


def test_the_mode_as_the_servers_own_switch(serve):
    client = serve(figures="elsewhere")
    assert "example.invalid" in figure_link(client)

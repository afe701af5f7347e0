"""A figure's link gives the picture, for as long as it is kept."""

import re


def test_a_link_gives_the_figure_without_the_key(serve):
    client = serve(key="k")
    headers = {"Authorization": "Bearer k"}
    body = {"model": "m", "input": "Draw a line", "tools": [{"type": "code_interpreter"}]}
    (run, _) = client.http.post("/responses", json=body, headers=headers).json()["output"]
    link = re.search(r"!\[fig-001\]\(([^)]+)\)", run["outputs"][0]["logs"])[1]
    assert link.startswith(f"{client.server.url}/code-interpreter/temp_files/code-output-")
    reply = client.http.get(link)
    assert reply.headers["content-type"] == "image/png"
    assert reply.content.startswith(b"\x89PNG\r\n\x1a\n")
    assert client.http.get(link.replace("code-output-", "code-output-0")).status_code == 404

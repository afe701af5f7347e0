"""Keys pass by everywhere and stay nowhere: three canaries, searched for in all that is left."""

import json
import os
import re

import pytest
from canaries import CANARIES, found_below, found_in
from demo_server import asked
from real_kernel import PYTHONS, Kernel

pytestmark = pytest.mark.kernel

SETUP = """
import json, os, pickle, pathlib, pandas as pd
from qwen_magic import Qwen, tool
canaries = json.loads(pathlib.Path("canaries.json").read_text())
env, key = os.environ, os.environ["DASHSCOPE_API_KEY"]
frame = pd.DataFrame({"user": ["Ann"], "password": [canaries["frame"]]})
account = {"user": "Ann", "api_key": canaries["frame"]}
mcp = {"type": "mcp", "server_label": "birds", "server_url": "https://example.org/mcp",
       "headers": {"X-Birds": canaries["header"]}}

def given(name):
    "A value for a line that fails: IPython shows the variables of that line, which is its own."
    return env if name == "env" else canaries[name]

@tool
def rows(where: str) -> dict:
    "Gives what it has."
    return {"where": where, "account": account, "key": key}

@tool
def fails(where: str) -> str:
    "Raises."
    raise ValueError(f"no access to {where} with {key}")
"""

# Each asks, shows or keeps something that a canary is in.
CELLS = {
    "dry run": "%%qwen --dry-run -t mcp -d env,frame,account\nIs {key} right, and {env}? {account}",
    "answer": "%%qwen -o answer -d frame,account,env\nIs {key} right?",
    "its value": "answer",
    "its parts": "print(answer.raw, answer.items, repr(answer), answer.metadata)",
    "tools with a header": "%%qwen -t mcp\nHello",
    "what a function gives": "%%qwen -t rows\ncall rows(where='a')",
    "what it raises": "%%qwen -t fails\ncall fails(where='a')",
    "Python": "q = Qwen(endpoint=os.environ['DASHSCOPE_BASE_URL'])\n"
    "print(q.ask('Say it again', data={'env': env, 'frame': frame}).raw)",
    "pickles": "kept = pickle.dumps([answer, q._read('x', {}).endpoint])\n"
    "pathlib.Path('answer.pickle').write_bytes(kept)",
    "exports": "%qwen_export told.md\n%qwen_export told.json\n%qwen_history\n%qwen_usage",
    "settings": "%config QwenMagics",
    "the doctor": "%qwen_doctor",
}
FAILING = {
    "an option": "%%qwen --rows 3\n{key}",
    "a name": "%%qwen -d nothing\n{env}",
    "an endpoint": "Qwen(endpoint='nowhere', api_key=given('typed'))",
    "an address": "Qwen(endpoint='https://Ann:' + given('frame') + '@example.org/v1').ask('x')",
    "Python's options": "q.ask('x', data={'env': given('env')}, rows='some')",
    "the size": "%%qwen -d env,frame\n{env}",
}


@pytest.fixture
def kernel(tmp_path, server):
    (tmp_path / "canaries.json").write_text(json.dumps(CANARIES))
    environ = {name: value for name, value in os.environ.items() if "DASHSCOPE" not in name}
    environ |= {
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "QWEN_MAGIC_HOME": str(tmp_path / "home"),
        "DASHSCOPE_BASE_URL": server.base_url,
        "DASHSCOPE_API_KEY": CANARIES["key"],
        "QWEN_MAGIC_UNATTENDED": "allow",
    }
    kernel = Kernel(PYTHONS["this"], environ)
    kernel.ok(f"%cd -q {tmp_path}")
    kernel.ok("%load_ext qwen_magic")
    kernel.ok("%xmode Verbose")
    kernel.ok(SETUP)
    yield kernel
    kernel.close()


def test_no_canary_is_found_anywhere(kernel, server, tmp_path):
    shown = {name: kernel.ok(cell, f"c{name}") for name, cell in CELLS.items()}
    assert "[key]" in str(shown["dry run"].displays)
    assert "[masked]" in str(shown["dry run"].displays)
    plain = shown["what a function gives"].final["text/plain"]
    assert re.search(r"Called · rows.*\[key\]", plain), plain
    kernel.ok("%config QwenMagics.confirm_tokens = 10")
    for name, cell in FAILING.items():
        shown[name] = kernel.run(cell)
        assert shown[name].status == "error", name
        shown[f"{name}, %tb"] = kernel.run("%tb")
    message = kernel.send("%qwen_key", stdin=True)
    kernel.client.get_stdin_msg(timeout=20)
    kernel.client.input(CANARIES["typed"])
    shown["%qwen_key"] = kernel.collect(message)
    assert shown["%qwen_key"].status == "ok"
    message = kernel.send("%qwen_key --save", stdin=True)
    kernel.client.get_stdin_msg(timeout=20)
    kernel.client.input(CANARIES["typed"])
    shown["%qwen_key --save"] = kernel.collect(message)
    shown["saved, %tb"] = kernel.run("%tb")
    bodies = [json.dumps(record.body) for record in asked(server)]
    kernel.ok("%unload_ext qwen_magic\n\nget_ipython().history_manager.writeout_cache()")
    assert len(bodies) >= 6
    kept = [str(path) for path in tmp_path.rglob("*") if path.is_file()]
    assert any("history.sqlite" in name for name in kept)
    assert any("home" in name for name in kept)
    assert found_below(tmp_path) == []
    assert {place: found for place, words in shown.items() if (found := found_in(str(words)))} == {}
    # The server of a header's MCP is told of it; the others nobody.
    assert {name for body in bodies for name in found_in(body)} <= {"header"}


def test_a_typed_key_stops_the_cell(kernel, server):
    ran = kernel.run("%%qwen\nWhy is sk-0a1b2c3d4e5f6a7b8c9d0e1f refused?")
    assert ran.status == "error"
    assert "--allow-secrets" in "".join(ran.traceback)
    assert "sk-0a1b2c3d" not in "".join(ran.traceback)
    assert not asked(server)
    kernel.ok("%%qwen --allow-secrets\nWhy is sk-0a1b2c3d4e5f6a7b8c9d0e1f refused?")
    assert "sk-0a1b2c3d4e5f6a7b8c9d0e1f" in json.dumps(asked(server)[-1].body)

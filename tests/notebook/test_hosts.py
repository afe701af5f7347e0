"""Any server as endpoint, in a real kernel: its key, its models, what it can do."""

import pytest
from able_server import able_server

KEY = "canary-key-12345"


@pytest.fixture
def kernel(process):
    process.forget()
    process.ok("%reload_ext qwen_magic")
    yield process
    process.ok("%unload_ext qwen_magic")


def use(kernel, server):
    kernel.ok(f'%config QwenMagics.endpoint = "{server.url}"')


def test_a_server_lists_its_own_models_and_tab_offers_them(kernel):
    with able_server(models=["tiny", "other/model"]) as server:
        use(kernel, server)
        listed = kernel.ok("%qwen_models").displays[0][1]["text/plain"]
    assert "other/model" in listed
    assert "qwen3-max" not in listed
    assert kernel.complete("%qwen -m oth") == ["other/model"]


def test_of_dashscope_the_known_models_are_listed_where_there_is_no_key(kernel):
    kernel.ok('%config QwenMagics.endpoint = "singapore"')
    assert "qwen3-max" in kernel.ok("%qwen_models").displays[0][1]["text/plain"]


def test_a_key_is_asked_for_the_host_in_use(kernel):
    with able_server(key=KEY) as server:
        use(kernel, server)
        assert "%qwen_key" in "\n".join(kernel.run("%qwen -m tiny Hi").traceback)
        asked = kernel.send("%qwen_key", stdin=True)
        prompt = kernel.client.get_stdin_msg(timeout=20)["content"]
        kernel.client.input(KEY)
        said = kernel.collect(asked).stdout
        host = server.url.split("/")[2]
        assert (prompt["prompt"], prompt["password"]) == (f"API key for {host}: ", True)
        assert said == f"Key for {host}: set, for this kernel only.\n"
        assert "red" in kernel.ok("%qwen -m tiny Hi").final["text/plain"]


def test_no_key_is_asked_for_where_all_could_read_it(kernel):
    kernel.ok('%config QwenMagics.endpoint = "http://llm.example.org/v1"')
    said = "\n".join(kernel.run("%qwen_key").traceback)
    assert "plain http" in said
    assert "allow_http" in said


def test_the_doctor_tries_a_server_out(kernel):
    with able_server(names=False, formats=False, switch="chat_template_kwargs") as server:
        said = kernel.ok(f"%qwen_doctor --endpoint {server.url}").stdout
        row = said.strip().splitlines()[-1]
        assert "✗" not in said
        assert row.startswith("✓ Row: Endpoint(")
        assert 'keeps_ids="yes"' in row
        assert 'thinking="chat_template_kwargs"' in row
        assert 'ignores=frozenset({"text"})' in row
        use(kernel, server)
        kernel.ok("%qwen -m tiny --no-think Hi")
        assert server.bodies[-1]["chat_template_kwargs"] == {"enable_thinking": False}

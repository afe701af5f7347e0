"""Endpoints by name and URL, and which key goes where."""

import pytest

from qwen_magic.endpoints import (
    BY_EFFORT,
    DASHSCOPE,
    DASHSCOPE_BEIJING,
    DEMO_SERVER,
    OLLAMA,
    OPENAI,
    OPENROUTER,
    TABLE,
    TOKEN_PLAN,
    UNKNOWN_SERVER,
    default_endpoint_name,
    find_endpoint,
)
from qwen_magic.errors import UsageError

KEYS = {
    "DASHSCOPE_API_KEY": "dash",
    "OPENAI_API_KEY": "open",
    "OPENROUTER_API_KEY": "router",
    "HF_TOKEN": "hf",
    "GROQ_API_KEY": "groq",
    "LLM_EXAMPLE_ORG_API_KEY": "own",
    "LLM_EXAMPLE_ORG_8443_API_KEY": "own at 8443",
    "LLM__EXAMPLE_ORG_API_KEY": "own of llm-example",
    "VLLM_API_KEY": "local",
    "_10_0_0_7_8000_API_KEY": "of a shell",
}


@pytest.mark.parametrize(
    ("name", "url", "capabilities", "key"),
    [
        (
            "singapore",
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            DASHSCOPE,
            "dash",
        ),
        ("beijing", "https://dashscope.aliyuncs.com/compatible-mode/v1", DASHSCOPE_BEIJING, "dash"),
        (
            "token-plan",
            "https://token-plan.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1",
            TOKEN_PLAN,
            "dash",
        ),
        (
            "https://token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
            "https://token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
            TOKEN_PLAN,
            "dash",
        ),
        (
            "https://ws-1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
            "https://ws-1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
            DASHSCOPE_BEIJING,
            "dash",
        ),
        (
            "legacy",
            "https://dashscope-intl.aliyuncs.com/api/v2/apps/protocols/compatible-mode/v1",
            DASHSCOPE,
            "dash",
        ),
        ("openai", "https://api.openai.com/v1", OPENAI, "open"),
        ("ollama", "http://127.0.0.1:11434/v1", OLLAMA, ""),
        ("openrouter", "https://openrouter.ai/api/v1", OPENROUTER, "router"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1", OPENROUTER, "router"),
        ("huggingface", "https://router.huggingface.co/v1", BY_EFFORT, "hf"),
        (
            "https://ws1.eu-central-1.maas.aliyuncs.com/compatible-mode/v1/",
            "https://ws1.eu-central-1.maas.aliyuncs.com/compatible-mode/v1",
            DASHSCOPE,
            "dash",
        ),
        ("http://localhost:9999/v1/responses", "http://localhost:9999/v1", UNKNOWN_SERVER, ""),
        (
            "https://evil.example/aliyuncs.com/v1",
            "https://evil.example/aliyuncs.com/v1",
            UNKNOWN_SERVER,
            "",
        ),
        ("https://notaliyuncs.com/v1", "https://notaliyuncs.com/v1", UNKNOWN_SERVER, ""),
    ],
)
def test_endpoints(name, url, capabilities, key):
    endpoint = find_endpoint(name, KEYS)
    assert (endpoint.base_url, endpoint.key) == (url, key)
    assert endpoint.capabilities is capabilities


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.groq.com.evil.example/openai/v1", ""),
        ("https://groq.com/v1", ""),
        ("https://evil-openrouter.ai/api/v1", ""),
        ("https://llm.example.org/v1", "own"),
        ("https://llm-example.org/v1", "own of llm-example"),
        ("https://llm_example.org/v1", ""),
        ("https://bucket.oss-cn-beijing.aliyuncs.com/v1", ""),
        ("https://dashscope.aliyuncs.com.evil.example/v1", ""),
        ("https://coding-intl.dashscope.aliyuncs.com/v1", "dash"),
        ("http://127.0.0.1:8000/v1", ""),
        ("https://10.0.0.7:8000/v1", "of a shell"),
        ("vllm", "local"),
        # Ports: another one is another server.
        ("https://api.openai.com:443/v1", "open"),
        ("https://api.openai.com:1234/v1", ""),
        ("https://api.openai.com:80/v1", ""),
        ("https://dashscope.aliyuncs.com:8443/v1", ""),
        ("https://api.groq.com:8443/v1", ""),
        ("https://llm.example.org:8443/v1", "own at 8443"),
        ("https://llm.example.org.8443/v1", ""),
        # Names: whole ones, whatever their case; nothing that only looks like one.
        ("HTTPS://API.OpenAI.com/v1", "open"),
        ("https://DASHSCOPE.aliyuncs.com/v1", "dash"),
        ("https://dashscope.aliyuncs.com./v1", ""),
        ("https://.dashscope.aliyuncs.com/v1", ""),
        ("https://a.b.dashscope.aliyuncs.com/v1", ""),
        ("https://dashscope-us.aliyuncs.com/v1", "dash"),
        ("https://dashscope-eu.aliyuncs.com/v1", ""),
        ("https://dashscopeXaliyuncs.com/v1", ""),
        ("https://aliyuncs.com/v1", ""),
        ("https://maas.aliyuncs.com/v1", ""),
        ("https://cn-beijing.maas.aliyuncs.com/v1", ""),
        ("https://a.b.cn-beijing.maas.aliyuncs.com/v1", ""),
        ("https://ws_1.cn-beijing.maas.aliyuncs.com/v1", ""),
        ("https://-ws.cn-beijing.maas.aliyuncs.com/v1", ""),
        ("https://ws.oss-cn-beijing.maas.aliyuncs.com.evil.example/v1", ""),
        ("https://xn--dashscop-3zg.aliyuncs.com/v1", ""),
        ("https://d\u0430shscope.aliyuncs.com/v1", ""),  # a Cyrillic a
        ("https://dashscope\u3002aliyuncs\u3002com/v1", ""),  # IDNA makes full stops of these
        ("https://\uff44ashscope.aliyuncs.com/v1", ""),
        ("https://api.openai.com%2eevil.example/v1", ""),
        ("https://api.openai.com%00.evil.example/v1", ""),
        ("https://llm.example.org./v1", ""),
        ("https://llm..example.org/v1", ""),
        # What stands behind the host is no host.
        ("https://evil.example/https://dashscope.aliyuncs.com/v1", ""),
        ("https://evil.example?@dashscope.aliyuncs.com/v1", ""),
        ("https://evil.example#@dashscope.aliyuncs.com/v1", ""),
        ("https://evil.example;dashscope.aliyuncs.com/v1", ""),
    ],
)
def test_a_key_goes_to_the_host_that_it_is_named_for(url, key):
    assert find_endpoint(url, KEYS).key == key


@pytest.mark.parametrize(
    "url",
    [
        "http://llm.example.org/v1",
        "http://dashscope.aliyuncs.com/compatible-mode/v1",
        "http://api.groq.com/openai/v1",
    ],
)
def test_no_key_goes_over_plain_http(url):
    with pytest.raises(UsageError, match=r"plain http.*\n.*allow_http") as failed:
        find_endpoint(url, KEYS)
    said = str(failed.value).replace(url.split("/")[2], "")
    assert not any(key in said for key in ("own", "groq", "dash"))
    assert find_endpoint(url, KEYS, allow_http=True).key
    assert find_endpoint(url, {}).key == ""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_this_machine_may_have_one(host):
    assert find_endpoint(f"http://{host}:9/v1", {}, key="mine").key == "mine"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost.evil.example", "127.0.0.1.evil.example", "localhost.", "evil-localhost"),
        # Numbers that some programs take for this machine, or for all of its addresses.
        *("127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "[::]", "[::ffff:1.2.3.4]"),
        *("128.0.0.1", "10.0.0.1", "[fe80::1]", "machine"),
    ],
)
def test_other_machines_have_none_over_plain_http(host):
    with pytest.raises(UsageError, match="plain http"):
        find_endpoint(f"http://{host}:9/v1", {}, key="mine-1234")


@pytest.mark.parametrize(
    "workspace", ["ws1.evil", "ws1/", "evil.example/", "a@b", "-ws", "ws_1", "ws 1", "x" * 64, "ä"]
)
def test_a_workspace_is_a_label(workspace):
    with pytest.raises(UsageError, match="DASHSCOPE_WORKSPACE_ID"):
        find_endpoint("frankfurt", {**KEYS, "DASHSCOPE_WORKSPACE_ID": workspace})


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_is_an_endpoint(row):
    found = find_endpoint(row.name, {"DASHSCOPE_WORKSPACE_ID": "ws1"})
    assert found.capabilities is row.capabilities
    assert row.needs_key == (row.base_url.startswith("https://"))


def test_a_key_given_goes_with_any_url():
    endpoint = find_endpoint("https://example.org/v1", {}, key="mine")
    assert endpoint.headers() == {"Authorization": "Bearer mine"}


@pytest.mark.parametrize(
    "typed",
    [
        " sk-a1 ", "sk-a1\r\n", '"sk-a1"', "'sk-a1' ", "“sk-a1”", "`sk-a1`", "\ufeffsk-a1\u200b",
        "Bearer sk-a1", "DASHSCOPE_API_KEY=sk-a1", 'export DASHSCOPE_API_KEY="sk-a1"\n',
    ],
)  # fmt: skip
def test_what_stands_around_a_key_is_no_part_of_it(typed):
    assert find_endpoint("singapore", {}, key=typed).key == "sk-a1"
    assert find_endpoint("singapore", {"DASHSCOPE_API_KEY": typed}).key == "sk-a1"


def test_quotes_around_an_address_or_a_workspace_are_no_part_of_it():
    said = {"DASHSCOPE_BASE_URL": ' "https://gate.example/v1"\n', "DASHSCOPE_API_KEY": "sk-a1"}
    assert find_endpoint("https://gate.example/v1", said).key_variable == "DASHSCOPE_API_KEY"
    assert default_endpoint_name(said) == "https://gate.example/v1"
    assert find_endpoint(default_endpoint_name(said), said).key == "sk-a1"
    assert "//ws1." in find_endpoint("tokyo", {"DASHSCOPE_WORKSPACE_ID": "'ws1' "}).base_url


def test_blanks_and_quotes_are_no_key():
    assert not find_endpoint("singapore", {"DASHSCOPE_API_KEY": ' "" \n'}, key=" ").key


def test_a_base_url_of_the_environment_takes_its_key():
    environ = {**KEYS, "DASHSCOPE_BASE_URL": "https://proxy.example/v1/"}
    assert default_endpoint_name(environ) == "https://proxy.example/v1/"
    assert find_endpoint(default_endpoint_name(environ), environ).key == "dash"
    assert find_endpoint("https://other.example/v1", environ).key == ""


def test_the_demo_is_a_row_of_the_table():
    endpoint = find_endpoint("demo", {})
    assert (endpoint.host, endpoint.capabilities) == ("demo", DEMO_SERVER)


@pytest.mark.parametrize(
    ("capabilities", "parameter", "reads"),
    [
        (DASHSCOPE, "text", False),
        (DASHSCOPE, "enable_thinking", True),
        (OPENAI, "enable_thinking", False),
        (UNKNOWN_SERVER, "text", True),
    ],
)
def test_parameters_that_have_an_effect(capabilities, parameter, reads):
    assert capabilities.reads(parameter) is reads


def test_the_key_is_not_in_the_repr():
    assert "dash" not in repr(find_endpoint("singapore", KEYS)).replace("dashscope", "")


def test_workspace_regions_ask_for_the_workspace():
    with pytest.raises(UsageError, match="DASHSCOPE_WORKSPACE_ID"):
        find_endpoint("tokyo", {})
    found = find_endpoint("tokyo", {"DASHSCOPE_WORKSPACE_ID": "ws1"})
    assert found.base_url == "https://ws1.ap-northeast-1.maas.aliyuncs.com/compatible-mode/v1"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("singapur", "Did you mean singapore"),
        ("xyz", "one of: singapore"),
        ("ftp://x/y", "not an http"),
        ("http:///v1", "not an http"),
        ("https://user:secret@host/v1", "user name or password"),
        ("https://secret-1@host/v1", "user name or password"),
        ("https://@host/v1", "user name or password"),
        ("https://dashscope.aliyuncs.com@evil.example/v1", "user name or password"),
        ("https://dashscope.aliyuncs.com:443@evil.example/v1", "user name or password"),
        ("https://a@secret-1@dashscope.aliyuncs.com/v1", "user name or password"),
        ("https://evil.example\\@dashscope.aliyuncs.com/v1", "not an http"),
        ("https://dashscope.aliyuncs.com\\.evil.example/v1", "not an http"),
        ("https:\\\\evil.example/v1", "no endpoint|not an http"),
        ("https://dash\tscope.aliyuncs.com/v1", "not an http"),
        ("https://dashscope.aliyuncs.com\n.evil.example/v1", "not an http"),
        ("https://dashscope.aliyuncs.com /v1", "not an http"),
        ("https://u:secret-1@[::1/v1", "not an http"),
        ("https://host:99999/v1", "port"),
        ("https://host:x/v1", "port"),
    ],
)
def test_wrong_endpoints_say_what_to_do(name, says):
    with pytest.raises(UsageError, match=says) as failed:
        find_endpoint(name, KEYS)
    assert "secret" not in str(failed.value)

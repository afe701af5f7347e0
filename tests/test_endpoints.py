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
    "VLLM_API_KEY": "local",
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
        ("https://llm-example.org/v1", ""),
        ("https://llm_example.org/v1", ""),
        ("https://bucket.oss-cn-beijing.aliyuncs.com/v1", ""),
        ("https://dashscope.aliyuncs.com.evil.example/v1", ""),
        ("https://coding-intl.dashscope.aliyuncs.com/v1", "dash"),
        ("http://127.0.0.1:8000/v1", ""),
        ("vllm", "local"),
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


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_is_an_endpoint(row):
    found = find_endpoint(row.name, {"DASHSCOPE_WORKSPACE_ID": "ws1"})
    assert found.capabilities is row.capabilities
    assert row.needs_key == (row.base_url.startswith("https://"))


def test_a_key_given_goes_with_any_url():
    endpoint = find_endpoint("https://example.org/v1", {}, key="mine")
    assert endpoint.headers() == {"Authorization": "Bearer mine"}


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
    ],
)
def test_wrong_endpoints_say_what_to_do(name, says):
    with pytest.raises(UsageError, match=says) as failed:
        find_endpoint(name, {})
    assert "secret" not in str(failed.value)

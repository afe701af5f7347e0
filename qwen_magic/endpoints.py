"""Endpoints: one table of where requests go, with which key, and what the server there can do.

A row of `TABLE` is all that an endpoint needs. Nothing else in the package asks *which* service it
talks to: it reads one of the row's `Capabilities`.

    name or URL --find_endpoint--> Endpoint(base_url, key, capabilities)
                                     session/  keeps_ids, rejects, transcript_items, notice
                                     tools/    tool_companions, tool_settings, tool_outputs, …
                                     client/   key_hint, path_hint
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import urlsplit

from qwen_magic.errors import UsageError

DEFAULT_ENDPOINT: Final = "singapore"
DEFAULT_MODEL: Final = "qwen3-max"
DEMO: Final = "demo"

# The only host of sandbox figures seen on the wire (Beijing, July 2026). Names of other regions'
# buckets are not guessed: a bucket's name belongs to whoever takes it first.
FIGURE_HOSTS: Final = ("dashscope-cn-beijing.oss-cn-beijing.aliyuncs.com",)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server of an endpoint takes and does. The defaults suit a server of which nothing
    is known: it gets what was asked for, and the transcript in the form that every server reads.

    - `keeps_ids`: whether a conversation goes on after `previous_response_id`. "unknown": tried,
      and watched for signs that earlier turns were lost.
    - `rejects`: parameters of the request that it answers with an error, each with the reason that
      the reader is told; they are never sent.
    - `ignores`: parameters that it takes and does nothing with.
    - `transcript_items`: types of output items, beside messages, that it takes back as input.
    - `tool_companions`: tools that work only beside another one (tool -> the other).
    - `tool_settings`: settings that a tool must have (tool -> its settings).
    - `tool_outputs`: what `include` must name for a tool's output to be sent (tool -> name).
    - `tools_need_thinking`: some models run some tools only while they think (`context.models`).
    - `has_known_models`: a model's name means what Alibaba Cloud's documentation says of it, so
      its context window is known.
    - `notice`: what the footer of each answer says of where it came from, in place of the name.
    - `key_hint`, `path_hint`: what to do when it refuses the key, or has nothing at the path;
      `{name}` stands for the endpoint's.
    """

    keeps_ids: Literal["yes", "no", "unknown"] = "unknown"
    rejects: Mapping[str, str] = field(default_factory=dict)
    ignores: frozenset[str] = frozenset()
    transcript_items: frozenset[str] = frozenset()
    tool_companions: Mapping[str, str] = field(default_factory=dict)
    tool_settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    tool_outputs: Mapping[str, str] = field(default_factory=dict)
    tools_need_thinking: bool = False
    has_known_models: bool = False
    notice: str = ""
    key_hint: str = (
        "Give another with %qwen_key, or choose another endpoint with %config QwenMagics.endpoint."
    )
    path_hint: str = (
        "Check the base URL: it usually ends in /v1, and the server must know /responses."
    )

    def reads(self, parameter: str) -> bool:
        """Whether `parameter` of a request has an effect."""
        return parameter not in self.rejects and parameter not in self.ignores


UNKNOWN_SERVER: Final = Capabilities()

# Alibaba Cloud's documentation of the Responses API, September 2026; `text.format` was seen to
# have no effect in November 2026.
DASHSCOPE: Final = Capabilities(
    keeps_ids="yes",
    ignores=frozenset({"text"}),
    transcript_items=frozenset({"function_call", "function_call_output", "web_search_call"}),
    tool_companions={"web_extractor": "web_search"},
    tools_need_thinking=True,
    has_known_models=True,
    key_hint="A key belongs to one region and workspace: check that yours is of the endpoint "
    "{name}, or give another with %qwen_key.",
    path_hint="Check the base URL: DashScope's ends in /compatible-mode/v1.",
)
# OpenAI's API reference, September 2026.
OPENAI: Final = Capabilities(
    keeps_ids="yes",
    rejects={"enable_thinking": "not for OpenAI: use --effort"},
    transcript_items=frozenset({"function_call", "function_call_output"}),
    tool_settings={"code_interpreter": {"container": {"type": "auto"}}},
    tool_outputs={"code_interpreter": "code_interpreter_call.outputs"},
)
# The server of `qwen_magic.demo`, which stands for DashScope's.
DEMO_SERVER: Final = Capabilities(
    keeps_ids="yes",
    ignores=frozenset({"text"}),
    tool_companions={"web_extractor": "web_search"},
    tools_need_thinking=True,
    notice="offline demo",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. The key is in no `repr` and no comparison; only `headers` uses it."""

    name: str
    base_url: str  # without a trailing slash
    capabilities: Capabilities = field(default=UNKNOWN_SERVER, repr=False, compare=False)
    key_variable: str = ""  # the environment variable that holds its key; empty: needs none
    key: str = field(default="", repr=False, compare=False)

    @property
    def host(self) -> str:
        """The host and port that a conversation is bound to. Every demo server is one host:
        its port changes with each start, its answers are the same."""
        return DEMO if self.name == DEMO else urlsplit(self.base_url).netloc

    @property
    def needs_key(self) -> bool:
        return bool(self.key_variable)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


_KEY: Final = "DASHSCOPE_API_KEY"
_PATH: Final = "compatible-mode/v1"

# Base URLs (`POST {base}/responses`). DashScope's shared hosts and paths: Alibaba Cloud
# documentation, September 2026; Frankfurt and Tokyo exist only as workspace domains there, and
# take the workspace id out of DASHSCOPE_WORKSPACE_ID. The demo's address is known when it starts.
TABLE: Final = (
    Endpoint("singapore", f"https://dashscope-intl.aliyuncs.com/{_PATH}", DASHSCOPE, _KEY),
    Endpoint("beijing", f"https://dashscope.aliyuncs.com/{_PATH}", DASHSCOPE, _KEY),
    Endpoint("virginia", f"https://dashscope-us.aliyuncs.com/{_PATH}", DASHSCOPE, _KEY),
    Endpoint("hongkong", f"https://cn-hongkong.dashscope.aliyuncs.com/{_PATH}", DASHSCOPE, _KEY),
    Endpoint(
        "legacy",
        f"https://dashscope-intl.aliyuncs.com/api/v2/apps/protocols/{_PATH}",
        DASHSCOPE,
        _KEY,
    ),
    Endpoint(
        "frankfurt",
        f"https://{{workspace}}.eu-central-1.maas.aliyuncs.com/{_PATH}",
        DASHSCOPE,
        _KEY,
    ),
    Endpoint(
        "tokyo", f"https://{{workspace}}.ap-northeast-1.maas.aliyuncs.com/{_PATH}", DASHSCOPE, _KEY
    ),
    Endpoint("openai", "https://api.openai.com/v1", OPENAI, "OPENAI_API_KEY"),
    Endpoint("ollama", "http://127.0.0.1:11434/v1"),
    Endpoint("vllm", "http://127.0.0.1:8000/v1"),
    Endpoint("lmstudio", "http://127.0.0.1:1234/v1"),
    Endpoint("llama.cpp", "http://127.0.0.1:8080/v1"),
    Endpoint(DEMO, "", DEMO_SERVER),
)
_BY_NAME: Final = {row.name: row for row in TABLE}


def find_endpoint(
    name_or_url: str, environ: Mapping[str, str] | None = None, *, key: str = ""
) -> Endpoint:
    """The endpoint of that name, or at that URL, with its key (given, or out of `environ`).

    A DashScope URL in any form (shared host, workspace domain, plan host) takes
    `DASHSCOPE_API_KEY`; any other remote URL takes no key but the given one, so that a key never
    travels to a host that it was not made for. The demo comes without its address. Raises
    `UsageError`.
    """
    environ = os.environ if environ is None else environ
    name = name_or_url.strip()
    if "://" in name:
        return _from_url(name, environ, key)
    row = _BY_NAME.get(name)
    if row is None:
        from difflib import get_close_matches

        near = get_close_matches(name, _BY_NAME, n=1)
        raise UsageError(
            f"There is no endpoint {name!r}.",
            hint=f"Did you mean {near[0]}?"
            if near
            else "Give a URL, or one of: " + ", ".join(_BY_NAME) + ".",
        )
    workspace = environ.get("DASHSCOPE_WORKSPACE_ID", "")
    if "{workspace}" in row.base_url and not workspace:
        raise UsageError(
            f"The endpoint {name} is reached by a workspace domain only.",
            hint="Set DASHSCOPE_WORKSPACE_ID to your workspace's id, or give the whole URL.",
        )
    return _with_key(row, row.base_url.replace("{workspace}", workspace), environ, key)


def _from_url(url: str, environ: Mapping[str, str], key: str) -> Endpoint:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{url!r} is not an http or https URL.",
            hint="Give the base URL, such as http://127.0.0.1:8000/v1.",
        )
    if parts.username or parts.password:
        raise UsageError(
            "The endpoint's URL holds a user name or password.",
            hint="Leave it out of the URL, and give the key with %qwen_key.",
        )
    base = url.split("?")[0].split("#")[0].rstrip("/").removesuffix("/responses")
    host = parts.hostname
    if host == "aliyuncs.com" or host.endswith(".aliyuncs.com"):
        return _with_key(replace(_BY_NAME[DEFAULT_ENDPOINT], name=host), base, environ, key)
    if base == environ.get("DASHSCOPE_BASE_URL", "").strip().rstrip("/"):
        # Set together with the key: a gateway or proxy that the user trusts with it.
        return Endpoint(parts.netloc, base, key=key or environ.get(_KEY, ""))
    for row in TABLE:
        if row.needs_key and urlsplit(row.base_url).hostname == host:
            return _with_key(row, base, environ, key)
    return Endpoint(parts.netloc, base, key=key)


def _with_key(row: Endpoint, base_url: str, environ: Mapping[str, str], key: str) -> Endpoint:
    return replace(row, base_url=base_url, key=key or environ.get(row.key_variable, ""))


def default_endpoint_name(environ: Mapping[str, str] | None = None) -> str:
    """`DASHSCOPE_BASE_URL` where it is set, else Singapore."""
    environ = os.environ if environ is None else environ
    return environ.get("DASHSCOPE_BASE_URL", "").strip() or DEFAULT_ENDPOINT

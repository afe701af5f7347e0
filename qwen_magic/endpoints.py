"""Endpoints: one table of where requests go, with which key, and what the server there can do.

A row of `TABLE` is all that an endpoint needs. Nothing else in the package asks *which* service it
talks to: it reads one of the row's `Capabilities`.

    name or URL --find_endpoint--> Endpoint(base_url, key, capabilities)
                                     session/  keeps_ids, thinking, rejects, transcript_items, …
                                     tools/    tool_companions, tool_settings, tool_outputs, …
                                     client/   key_hint, path_hint

What a server turned out to do differently is kept by `session.host_facts`, and laid over its row.
`%qwen_doctor --endpoint URL` tries a server out, and prints a row to paste into the table.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from qwen_magic.errors import UsageError
from qwen_magic.masking import Secret, Unshown, bare_key, is_placeholder, without_credentials

DEFAULT_ENDPOINT: Final = "singapore"
DEFAULT_MODEL: Final = "qwen3-max"
DEMO: Final = "demo"
LOCAL: Final = "local"
RECORDED: Final = " (recorded)"  # the end of the host of what a recording answered

# The only host of sandbox figures seen on the wire (Beijing, July 2026). Names of other regions'
# buckets are not guessed: a bucket's name belongs to whoever takes it first.
FIGURE_HOSTS: Final = ("dashscope-cn-beijing.oss-cn-beijing.aliyuncs.com",)


# How a server is told whether to think: `enable_thinking` in the body; `reasoning.effort` ("none"
# or "medium"); `chat_template_kwargs: {"enable_thinking": …}`; "": it cannot be told.
ThinkingSwitch: TypeAlias = Literal["enable_thinking", "effort", "chat_template_kwargs", ""]
KeepsIds: TypeAlias = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server of an endpoint takes and does. The defaults suit a server of which nothing
    is known: it gets what was asked for, and the transcript in the form that every server reads.

    - `keeps_ids`: whether a conversation goes on after `previous_response_id`. "unknown": tried,
      and watched for signs that earlier turns were lost. Unless "no", it is also asked for the rest
      of an answer whose stream broke (`GET responses/{id}`).
    - `thinking`: the name of its switch for thinking.
    - `rejects`: parameters of the request that it answers with an error, each with the reason that
      the reader is told; they are never sent.
    - `ignores`: parameters that it takes and does nothing with.
    - `response_format`: it reads a schema there, in chat completions' form, and holds the model to
      it; functions are then not called.
    - `images`: whether it takes images; what its models make of them is another matter.
    - `files`: patterns of the models that take a file by its address (`input_file`).
    - `transcript_items`: types of output items, beside messages, that it takes back as input.
    - `tool_companions`: tools that work only beside another one (tool -> the other).
    - `tool_settings`: settings that a tool must have (tool -> its settings).
    - `tool_outputs`: what `include` must name for a tool's output to be sent (tool -> name).
    - `own_parameters`, `own_tools`: what it takes and the official types of the API do not know (or
      know otherwise: `code_interpreter` without a container).
    - `tools_need_thinking`: some models run some tools only while they think (`context.models`).
    - `session_cache`: it reads the header `x-dashscope-session-cache`.
    - `catalogue`: the path of its list of models, with windows and prices, from the host's root;
      empty: it has none. `currency`: of prices in that list that name none.
    - `has_known_models`: a model's name means what Alibaba Cloud's documentation says of it, so
      its context window is known.
    - `thinks_in_text`: models that think leave it in the text, without the `<think>` that begins it
      (their templates put that into the prompt). Text that begins with `<think>` needs no ability.
    - `notice`: what the footer of each answer says of where it came from, in place of the name.
    - `key_hint`, `path_hint`: what to do when it refuses the key, or has nothing at the path;
      `{name}` stands for the endpoint's.
    """

    keeps_ids: KeepsIds = "unknown"
    thinking: ThinkingSwitch = "enable_thinking"
    rejects: Mapping[str, str] = field(default_factory=dict)
    ignores: frozenset[str] = frozenset()
    response_format: bool = False
    images: bool = True
    files: tuple[str, ...] = ()
    transcript_items: frozenset[str] = frozenset()
    tool_companions: Mapping[str, str] = field(default_factory=dict)
    tool_settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    tool_outputs: Mapping[str, str] = field(default_factory=dict)
    own_parameters: frozenset[str] = frozenset()
    own_tools: frozenset[str] = frozenset()
    tools_need_thinking: bool = False
    session_cache: bool = False
    catalogue: str = ""
    currency: str = "USD"
    has_known_models: bool = False
    thinks_in_text: bool = False
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
# have no effect in November 2026, when Beijing listed its prices in yuan.
DASHSCOPE: Final = Capabilities(
    keeps_ids="yes",
    ignores=frozenset({"text"}),
    files=("qwen3.5-ocr*",),
    transcript_items=frozenset({"function_call", "function_call_output", "web_search_call"}),
    tool_companions={"web_extractor": "web_search"},
    own_parameters=frozenset({"enable_thinking", "thinking_budget"}),
    own_tools=frozenset(
        {"web_extractor", "code_interpreter", "web_search_image", "image_search", "mcp"}
    ),
    tools_need_thinking=True,
    session_cache=True,
    catalogue="/api/v1/models",
    has_known_models=True,
    key_hint="A key belongs to one region and workspace: check that yours is of the endpoint "
    "{name}, or give another with %qwen_key.",
    path_hint="Check the base URL: DashScope's ends in /compatible-mode/v1.",
)
DASHSCOPE_BEIJING: Final = replace(DASHSCOPE, currency="CNY")
# Paid in advance by the month, with keys of its own (`sk-sp-…`), so that no prices are asked for.
TOKEN_PLAN: Final = replace(
    DASHSCOPE,
    catalogue="",
    key_hint="A token plan has keys of its own, which begin with sk-sp-: give one with %qwen_key.",
)
# OpenAI's API reference, September 2026.
OPENAI: Final = Capabilities(
    keeps_ids="yes",
    thinking="effort",
    rejects={
        "enable_thinking": "not for OpenAI: use --effort",
        "thinking_budget": "not for OpenAI: use --effort low, medium or high",
    },
    files=("*",),
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
    session_cache=True,
    catalogue="/api/v1/models",
    notice="offline demo",
)
# OpenRouter's documentation of its Responses API (beta): stateless, and so is `store`.
OPENROUTER: Final = Capabilities(keeps_ids="no", thinking="effort")
# Gateways and servers that take OpenAI's `reasoning.effort`. Ollama: openai/responses.go, where
# "none" becomes `think: false`; it takes response ids, and loses what they stand for. LM Studio:
# its maintainers' table in lmstudio-bug-tracker#2057.
BY_EFFORT: Final = Capabilities(thinking="effort")
OLLAMA: Final = Capabilities(keeps_ids="no", thinking="effort", thinks_in_text=True)
LM_STUDIO: Final = Capabilities(thinking="effort", thinks_in_text=True)
# Servers that hand `chat_template_kwargs` on to the model's own template, where Qwen's has the
# switch; a bare `enable_thinking` they ignore (vLLM, SGLang, llama.cpp: Qwen's deployment guides).
# Without a parser of reasoning, which is asked for when they start, they leave it in the text.
BY_TEMPLATE: Final = Capabilities(
    thinking="chat_template_kwargs",
    own_parameters=frozenset({"chat_template_kwargs"}),
    thinks_in_text=True,
)
# llama.cpp hands other fields of the body on to chat completions, `text.format` it does not
# (llama.cpp#21922; both seen with xllamacpp 2026.10).
LLAMA_CPP: Final = replace(
    BY_TEMPLATE,
    keeps_ids="no",
    ignores=frozenset({"text"}),
    response_format=True,
    own_parameters=frozenset({"chat_template_kwargs", "response_format"}),
)
# The list UNUSED_RESPONSE_FIELDS of cli/serving/response.py (2026): each of these was a 422, and is
# without effect since (seen with 5.24); fields that are in no list of its own are a 422 still.
_NOT_SERVED: Final = "transformers serve has no such parameter"
TRANSFORMERS: Final = Capabilities(
    keeps_ids="no",
    thinking="",
    thinks_in_text=True,
    rejects=dict.fromkeys(("reasoning", "text", "include", "tool_choice", "store"), _NOT_SERVED),
    images=False,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. The key is in no `repr` and no comparison, and shows itself nowhere
    (`Secret`); only `headers` uses it.

    `key_variable` names the environment variable that holds its key; empty, or `key_optional`:
    it may need none. `recorded`: a recording answers in place of
    the endpoint of this name or address; empty: none does.
    """

    name: str
    base_url: str  # without a trailing slash
    capabilities: Capabilities = field(default=UNKNOWN_SERVER, repr=False, compare=False)
    key_variable: str = ""
    key: str = field(default=Secret(), repr=False, compare=False)
    key_optional: bool = False
    recorded: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", Secret(self.key))

    @property
    def host(self) -> str:
        """The host and port that a conversation is bound to. Every demo server is one host, and
        every server of `%qwen_local`: the port changes with each start, and means nothing. A
        recording is a host of its own: what came out of a file is never taken for the server's."""
        return f"{self.server}{RECORDED}" if self.recorded else self.server

    @property
    def server(self) -> str:
        """The same as it is named to the reader."""
        return self.name if self.name in (DEMO, LOCAL) else urlsplit(self.base_url).netloc

    @property
    def needs_key(self) -> bool:
        return bool(self.key_variable) and not self.key_optional

    @property
    def secret(self) -> str:
        """The key, as what is never shown; empty where it is but a word for a server that needs
        none."""
        return "" if not self.needs_key and is_placeholder(self.key) else self.key

    def headers(self) -> dict[str, str]:
        return {"Authorization": Secret(f"Bearer {self.key}")} if self.key else {}


_KEY: Final = "DASHSCOPE_API_KEY"
_PATH: Final = "compatible-mode/v1"


def _dashscope(
    name: str, host: str, path: str = _PATH, *, capabilities: Capabilities = DASHSCOPE
) -> Endpoint:
    return Endpoint(name, f"https://{host}/{path}", capabilities, _KEY)


def _local(name: str, port: int, capabilities: Capabilities, key_variable: str = "") -> Endpoint:
    """A server of this machine at its usual port. It needs a key only where it was set one."""
    base_url = f"http://127.0.0.1:{port}/v1"
    return Endpoint(name, base_url, capabilities, key_variable, key_optional=True)


# Base URLs (`POST {base}/responses`). DashScope's shared hosts and paths: Alibaba Cloud
# documentation, September 2026; Frankfurt and Tokyo exist only as workspace domains there, and
# take the workspace id out of DASHSCOPE_WORKSPACE_ID. Token plans have hosts, and keys, of their
# own. The addresses of the demo and the local model are known when they start.
TABLE: Final = (
    _dashscope("singapore", "dashscope-intl.aliyuncs.com"),
    _dashscope("beijing", "dashscope.aliyuncs.com", capabilities=DASHSCOPE_BEIJING),
    _dashscope("virginia", "dashscope-us.aliyuncs.com"),
    _dashscope("hongkong", "cn-hongkong.dashscope.aliyuncs.com"),
    _dashscope("legacy", "dashscope-intl.aliyuncs.com", f"api/v2/apps/protocols/{_PATH}"),
    _dashscope("frankfurt", "{workspace}.eu-central-1.maas.aliyuncs.com"),
    _dashscope("tokyo", "{workspace}.ap-northeast-1.maas.aliyuncs.com"),
    _dashscope(
        "token-plan", "token-plan.ap-southeast-1.maas.aliyuncs.com", capabilities=TOKEN_PLAN
    ),
    _dashscope(
        "token-plan-beijing", "token-plan.cn-beijing.maas.aliyuncs.com", capabilities=TOKEN_PLAN
    ),
    Endpoint("openai", "https://api.openai.com/v1", OPENAI, "OPENAI_API_KEY"),
    Endpoint("openrouter", "https://openrouter.ai/api/v1", OPENROUTER, "OPENROUTER_API_KEY"),
    Endpoint("huggingface", "https://router.huggingface.co/v1", BY_EFFORT, "HF_TOKEN"),
    _local("ollama", 11434, OLLAMA),
    _local("vllm", 8000, BY_TEMPLATE, "VLLM_API_KEY"),
    _local("sglang", 30000, BY_TEMPLATE),
    _local("lmstudio", 1234, LM_STUDIO, "LM_API_TOKEN"),
    _local("llama.cpp", 8080, LLAMA_CPP, "LLAMA_API_KEY"),
    _local("transformers", 8000, TRANSFORMERS),
    _local("litellm", 4000, BY_EFFORT, "LITELLM_API_KEY"),
    Endpoint(LOCAL, "", replace(LLAMA_CPP, images=False)),
    Endpoint(DEMO, "", DEMO_SERVER),
)
# Where the key of a host that has no row is looked for, beside `<HOST>_API_KEY` with the whole
# host in it (`LLM_EXAMPLE_ORG_API_KEY`). Whole names of hosts, since a part of one could be
# anybody's.
_KEY_VARIABLES: Final[Mapping[str, str]] = {
    "api.groq.com": "GROQ_API_KEY",
    "api.together.xyz": "TOGETHER_API_KEY",
    "api.fireworks.ai": "FIREWORKS_API_KEY",
    "api.deepseek.com": "DEEPSEEK_API_KEY",
    "api.mistral.ai": "MISTRAL_API_KEY",
    "api.x.ai": "XAI_API_KEY",
    "ai-gateway.vercel.sh": "AI_GATEWAY_API_KEY",
}
# DashScope's own hosts: shared, and workspaces' and plans' domains. Other names below aliyuncs.com
# are not asked with a key: there anyone can have a bucket.
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # of a host's name
_DASHSCOPE_HOST: Final = re.compile(
    rf"(?:{_LABEL}\.)?dashscope(?:-intl|-us)?\.aliyuncs\.com"
    rf"|{_LABEL}\.[a-z]{{2}}(?:-[a-z]+)+(?:-\d)?\.maas\.aliyuncs\.com"
)
# A host that a variable can name whole: labels, of which the last is no number, or an IPv4 address.
_NAMED_HOST: Final = re.compile(
    rf"(?:(?:{_LABEL}\.)*(?!\d+(?::|$)){_LABEL}|\d+(?:\.\d+){{3}})(?::\d+)?"
)
_BY_NAME: Final = {row.name: row for row in TABLE}


def find_endpoint(
    name_or_url: str,
    environ: Mapping[str, str] | None = None,
    *,
    key: str = "",
    allow_http: bool = False,
) -> Endpoint:
    """The endpoint of that name, or at that URL, with its key (given, or out of `environ`).

    A key never travels to a host that it was not made for: a DashScope URL in any form (shared
    host, workspace domain, plan host) takes `DASHSCOPE_API_KEY`, another host the variable of its
    row, or the one that names it whole. Nor does it travel in the clear: over plain http to
    another machine only with `allow_http`. The demo comes without its address. Raises `UsageError`.
    """
    environ = Unshown(os.environ if environ is None else environ)
    key = Secret(key)
    name = name_or_url.strip()
    found = _from_url(name, environ) if "://" in name else _from_name(name, environ)
    key = bare_key(key) or bare_key(found.key) or bare_key(environ.get(found.key_variable, ""))
    found = replace(found, key=key)
    if found.key and not allow_http and is_open(found.base_url):
        raise UsageError(
            f"The key for {found.host} would go over plain http, for all on the way to read.",
            hint="Use https, or allow it: %config QwenMagics.allow_http = True",
        )
    return found


def _from_name(name: str, environ: Mapping[str, str]) -> Endpoint:
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
    workspace = _said(environ, "DASHSCOPE_WORKSPACE_ID")
    if "{workspace}" in row.base_url and not workspace:
        raise UsageError(
            f"The endpoint {name} is reached by a workspace domain only.",
            hint="Set DASHSCOPE_WORKSPACE_ID to your workspace's id, or give the whole URL.",
        )
    if workspace and not re.fullmatch(_LABEL, workspace, re.IGNORECASE):
        raise UsageError(
            "DASHSCOPE_WORKSPACE_ID is no workspace's id: letters, digits and hyphens.",
            hint="Set it to the id alone, without a host or a path.",
        )
    return replace(row, base_url=row.base_url.replace("{workspace}", workspace))


def _from_url(url: str, environ: Mapping[str, str]) -> Endpoint:
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket that is not closed
        parts = SplitResult("", "", "", "", "")
    is_plain = not re.search(
        r"[\x00-\x20\x7f\\]", url
    )  # others leave such characters out, or turn them
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise UsageError(
            f"{without_credentials(url)!r} is not an http or https URL.",
            hint="Give the base URL, such as http://127.0.0.1:8000/v1.",
        )
    if "@" in parts.netloc:
        raise UsageError(
            "The endpoint's URL holds a user name or password.",
            hint="Leave it out of the URL, and give the key with %qwen_key.",
        )
    base = url.split("?")[0].split("#")[0].rstrip("/").removesuffix("/responses")
    host = _server(parts)
    if _DASHSCOPE_HOST.fullmatch(host):
        return replace(_dashscope_row(host), name=host, base_url=base)
    for row in TABLE:
        if row.needs_key and urlsplit(row.base_url).hostname == host:
            return replace(row, base_url=base)
    variable = _KEY_VARIABLES.get(host) or _variable_of(host)
    key = ""
    if base == _said(environ, "DASHSCOPE_BASE_URL").rstrip("/"):
        # Set together with the key: a gateway or proxy that the user trusts with it.
        variable = variable if environ.get(variable) else _KEY
        key = environ.get(variable, "")
    return Endpoint(parts.netloc, base, key_variable=variable, key=key, key_optional=True)


def _dashscope_row(host: str) -> Endpoint:
    """The row of exactly that host, else of its region: workspace domains name theirs."""
    for row in TABLE:
        if urlsplit(row.base_url).hostname == host:
            return row
    return _BY_NAME["beijing" if host.endswith(".cn-beijing.maas.aliyuncs.com") else "singapore"]


def _server(parts: SplitResult) -> str:
    """The host, with its port where that is none of a public service: what listens there is
    another server, which has a key of its own. Raises `UsageError`."""
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError:
        raise UsageError(f"The port of {host} is none.") from None
    usual = (None, 443 if parts.scheme == "https" else 80)
    return host if port in usual else f"{host}:{port}"


def _variable_of(host: str) -> str:
    """`<HOST>_API_KEY` with the whole host in it, no two hosts the same: my-llm.example.org is
    MY__LLM_EXAMPLE_ORG_API_KEY, at port 8443 MY__LLM_EXAMPLE_ORG_8443_API_KEY; one that begins with
    a digit, as no variable of a shell may, has a _ before it. Empty where the host has characters
    that no variable has."""
    if not _NAMED_HOST.fullmatch(host):
        return ""
    name = re.sub(r"[.:]", "_", host.replace("-", "__")).upper()
    return f"{'_' * name[0].isdigit()}{name}_API_KEY"


def is_open(url: str) -> bool:
    """Whether others on the network can read what is sent to `url`: plain http to another host."""
    return urlsplit(url).scheme == "http" and not is_here(url)


def is_here(url: str) -> bool:
    """Whether `url` is one of this machine itself, which only it can be reached by."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def default_endpoint_name(environ: Mapping[str, str] | None = None) -> str:
    """`DASHSCOPE_BASE_URL` where it is set, else Singapore."""
    environ = Unshown(os.environ if environ is None else environ)
    return _said(environ, "DASHSCOPE_BASE_URL") or DEFAULT_ENDPOINT


def _said(environ: Mapping[str, str], variable: str) -> str:
    """What a variable holds, without the quotes that a file of settings may have left around it."""
    return str(environ.get(variable, "")).strip("\"' \t\r\n")

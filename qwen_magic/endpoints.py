"""Endpoints, keys and defaults: one frozen value, built at the edge from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from qwen_magic.errors import UsageError

Family: TypeAlias = Literal["dashscope", "openai", "demo", "other"]

DEFAULT_ENDPOINT: Final = "singapore"
DEFAULT_MODEL: Final = "qwen3-max"

# The only host of sandbox figures seen on the wire (Beijing, July 2026). Names of other regions'
# buckets are not guessed: a bucket's name belongs to whoever takes it first.
FIGURE_HOSTS: Final = ("dashscope-cn-beijing.oss-cn-beijing.aliyuncs.com",)

# Base URLs (`POST {base}/responses`). DashScope's shared hosts and paths: Alibaba Cloud
# documentation, September 2026; Frankfurt and Tokyo exist only as workspace domains there, and
# take the workspace id out of DASHSCOPE_WORKSPACE_ID.
_DASHSCOPE: Final[Mapping[str, str]] = {
    "singapore": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "beijing": "https://dashscope.aliyuncs.com/compatible-mode/v1",
    "virginia": "https://dashscope-us.aliyuncs.com/compatible-mode/v1",
    "hongkong": "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1",
    "legacy": ("https://dashscope-intl.aliyuncs.com/api/v2/apps/protocols/compatible-mode/v1"),
}
_WORKSPACE_REGIONS: Final[Mapping[str, str]] = {
    "frankfurt": "eu-central-1",
    "tokyo": "ap-northeast-1",
}
_OTHERS: Final[Mapping[str, tuple[str, Family, str]]] = {
    "openai": ("https://api.openai.com/v1", "openai", "OPENAI_API_KEY"),
    "ollama": ("http://127.0.0.1:11434/v1", "other", ""),
    "vllm": ("http://127.0.0.1:8000/v1", "other", ""),
    "lmstudio": ("http://127.0.0.1:1234/v1", "other", ""),
    "llama.cpp": ("http://127.0.0.1:8080/v1", "other", ""),
}
ENDPOINT_NAMES: Final = (*_DASHSCOPE, *_WORKSPACE_REGIONS, *_OTHERS, "demo")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. The key is in no `repr` and no comparison; only `headers` uses it."""

    name: str
    base_url: str  # without a trailing slash
    family: Family = "other"
    key_variable: str = ""  # the environment variable that holds its key; empty: needs none
    key: str = field(default="", repr=False, compare=False)

    @property
    def host(self) -> str:
        """The host and port that a conversation is bound to. Every demo server is one host:
        its port changes with each start, its answers are the same."""
        return "demo" if self.family == "demo" else urlsplit(self.base_url).netloc

    @property
    def needs_key(self) -> bool:
        return bool(self.key_variable)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def find_endpoint(
    name_or_url: str, environ: Mapping[str, str] | None = None, *, key: str = ""
) -> Endpoint:
    """The endpoint of that name, or at that URL, with its key (given, or out of `environ`).

    A DashScope URL in any form (shared host, workspace domain, plan host) takes
    `DASHSCOPE_API_KEY`; any other remote URL takes no key but the given one, so that a key never
    travels to a host that it was not made for. Raises `UsageError`.
    """
    environ = os.environ if environ is None else environ
    name = name_or_url.strip()
    if "://" in name:
        return _from_url(name, environ, key)
    if name in _DASHSCOPE:
        return _dashscope(name, _DASHSCOPE[name], environ, key)
    if name in _WORKSPACE_REGIONS:
        workspace = environ.get("DASHSCOPE_WORKSPACE_ID", "")
        if not workspace:
            raise UsageError(
                f"The endpoint {name} is reached by a workspace domain only.",
                hint="Set DASHSCOPE_WORKSPACE_ID to your workspace's id, or give the whole URL.",
            )
        url = f"https://{workspace}.{_WORKSPACE_REGIONS[name]}.maas.aliyuncs.com/compatible-mode/v1"
        return _dashscope(name, url, environ, key)
    if name in _OTHERS:
        url, family, variable = _OTHERS[name]
        return Endpoint(name, url, family, variable, key or environ.get(variable, ""))
    near = get_close_matches(name, ENDPOINT_NAMES, n=1)
    raise UsageError(
        f"There is no endpoint {name!r}.",
        hint=f"Did you mean {near[0]}?"
        if near
        else "Give a URL, or one of: " + ", ".join(ENDPOINT_NAMES) + ".",
    )


def _dashscope(name: str, url: str, environ: Mapping[str, str], key: str) -> Endpoint:
    return Endpoint(
        name, url, "dashscope", "DASHSCOPE_API_KEY", key or environ.get("DASHSCOPE_API_KEY", "")
    )


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
        return _dashscope(host, base, environ, key)
    if base == environ.get("DASHSCOPE_BASE_URL", "").strip().rstrip("/"):
        # Set together with the key: a gateway or proxy that the user trusts with it.
        key = key or environ.get("DASHSCOPE_API_KEY", "")
        return Endpoint(parts.netloc, base, "other", "", key)
    for name, (known, family, variable) in _OTHERS.items():
        if variable and urlsplit(known).hostname == host:
            return Endpoint(name, base, family, variable, key or environ.get(variable, ""))
    return Endpoint(parts.netloc, base, "other", "", key)


def default_endpoint_name(environ: Mapping[str, str] | None = None) -> str:
    """`DASHSCOPE_BASE_URL` where it is set, else Singapore."""
    environ = os.environ if environ is None else environ
    return environ.get("DASHSCOPE_BASE_URL", "").strip() or DEFAULT_ENDPOINT

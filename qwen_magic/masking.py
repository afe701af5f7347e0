"""The one room that says what a key is, and keeps it out of what is sent, shown and kept.

`redact` is for every exit: the session's own keys, to the letter, and what looks like a key of a
known service. `without_named` takes out of data what stands behind a secret's name. What nobody
typed (tracebacks, sources) is searched for more: `context.secrets`.

Our own keys are the values of the environment that have a secret's name, and what `know` was told:
keys typed in or out of the keyring, headers and addresses of MCP servers. In Python they live as
`Secret`, and the environment as `Unshown`: a verbose traceback writes out the variables of every
frame.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property, lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from logging import LogRecord

MASKED: Final = "[masked]"
KEY: Final = "[key]"
OPENING: Final = 3  # characters of a key that may be seen: they give nothing away
LONG: Final = 8  # characters; shorter secrets are taken out only where they stand as a word

_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]")
_SECRET_PARTS: Final = frozenset(
    (
        "key", "keys", "pwd", "pw", "pass", "passcode", "passkey", "jwt", "cookie", "cookies",
        "bearer", "dsn", "auth", "oauth", "private",
    )
)  # fmt: skip
_SECRET_ENDS: Final = (
    "token", "tokens", "secret", "secrets", "password", "passwords", "passwd", "passphrase",
    "apikey", "apikeys", "accesskey", "credential", "credentials",
)  # fmt: skip
_SECRET_STARTS: Final = ("passw", "secret", "credential", "authent", "authoriz", "authoris")
# Mostly names of much else (`sort_key`, `tokens`), unless such a word stands beside them.
_WEAK: Final = frozenset(("key", "keys", "tokens"))
_STRONG: Final = frozenset(("api", "access", "secret", "private", "auth", "signing", "encryption"))

# Keys by their looks, as the detectors of Gitleaks, detect-secrets and TruffleHog have them: what
# stands before a key's random part, and a bound on what that part is made of. These begin where a
# word does, which one look tells for all of them: a megabyte takes 0.1 s, not 1 s.
_RANDOM: Final = r"(?=[\w\-+/=.~]{0,80}?(?:\d|[a-z][A-Z]))"
# Followed by letters and digits alone: `npm_config_registry2` is none.
_WORD: Final = r"(?=[a-z]{0,80}[\dA-Z])[0-9A-Za-z]"
_BEFORE_WORD: Final = (
    # Models: Fireworks, Replicate, Kaggle.
    "fw_ r8_ KGAT_ "
    # Clouds: Aliyun and its STS, Tencent, Volcengine, Neon, Supabase, Vercel.
    "LTAI STS. AKID AKLT napi_ sbp_ vc[pki]_ "
    # Packages and machines: npm, ReadMe, Prefect, Netlify, Bitbucket, Buildkite, Artifactory.
    "npm_ rdme_ pn[ub]_ nfp_ ATBB bkua_ AKCp cmVmd "
    # Others: Linear, Notion, Adafruit, PostHog, SettleMint, ClickHouse, EasyPost, Infracost, Adobe.
    "lin_(?:api|oauth)_ secret_ ntn_ aio_ ph[xc]_ sm_[aps]at_ 4b1d EZ[AT]K ico- p8e-"
)
# Followed by more than those.
_BEFORE_MORE: Final = (
    # Models: Groq, Pinecone, NVIDIA, xAI, Perplexity, Tavily, Cerebras, Together, LangSmith, W&B,
    # Jina.
    "jina_ (?:gsk|pcsk|nvapi|xai|pplx|tvly|csk|tgp_v1|lsv2_(?:pt|sk)|wandb_v1)[_-] "
    # Clouds: Google, Amazon Bedrock, Yandex, Baidu, Supabase, Dropbox, Fly, Doppler, Dynatrace,
    # Pulumi, Tailscale, OpenShift, Aiven.
    "AIza ya29. GOCSPX- ABSK AQVN bce-v3/ALTAK- sb_secret_ sl. fo1_ fm[12][ar]?_ dp.[a-z]{2,5}. "
    "dt0c01. pul- tskey- sha256~ AVNS_ "
    # Code and packages: GitLab, PyPI, Docker, Jira, Sourcegraph, CircleCI, Scalingo.
    "gl(?:dt|ft|imt|agent|oas|soat|ffct|cbt|ptt|rt)- GR1348941 pypi- dckr_[po]at_ AT[AC]TT3 sgp_ "
    "CCIPAT_ tk-us- "
    # Messages: SendGrid, Brevo.
    "SG. xkeysib- "
    # Money: Square, Facebook, Flutterwave, Duffel.
    "sq0[a-z]{3}- EAA[ACM] FLWSECK whsec_ duffel_(?:test|live)_ "
    # Running things: Vault, Grafana, Sentry, New Relic, Heroku, PlanetScale, Postman, Figma,
    # Typeform.
    "hv[sbr]. gl(?:c|sa)_ sntry[su]_ NR(?:AK|AA|IQ|JS|II)- HRKU- pscale_(?:tkn|oauth|pw)_ PMAK- "
    "fig[dour]_ tfp_ "
    # Others: 1Password, Stytch, Contentful, Frame.io, Defined Networking, Intra 42.
    "ops_eyJ secret-(?:live|test)- CFPAT- fio-u- dnkey- s-s4t2(?:ud|af)-"
)


def _begins(before: str) -> str:
    return f"(?:{'|'.join(before.replace('.', '[.]').split())})"


_SHAPES_OF_WORDS: Final = (
    rf"{_begins(_BEFORE_WORD)}{_WORD}{{16,}}|(?:hf|api_org)_{_WORD}{{8,}}",  # Hugging Face
    rf"{_begins(_BEFORE_MORE)}{_RANDOM}[\w\-+/=.~]{{16,}}",
    # GitHub, GitLab, Slack, Stripe.
    rf"{_begins('gh[pousr]_ github_pat_ glpat- xox[a-z]- xoxe. xapp- [sr]k_(?:live|test|prod)_')}"
    rf"{_RANDOM}[\w\-]{{6,}}",
    # OpenAI, Anthropic, OpenRouter, DashScope and others that serve models; not `sk-container-id-1`
    # of scikit-learn's HTML. ElevenLabs, ModelScope, Zhipu.
    r"sk-(?:(?=[\w\-]{0,200}?(?:[A-Za-z]\d|\d[A-Za-z]|\d{4}))[\w\-]{4,}|[\w\-]{32,})",
    r"sk_[0-9a-f]{32,}|ms-[0-9a-f]{8}-[0-9a-f\-]{27}|[0-9a-f]{32}\.[0-9A-Za-z]{16}\b",
    # AWS, Azure, DigitalOcean, Databricks, Yandex, Cloudflare's origin, age, 1Password.
    r"(?:AKIA|ABIA|ACCA|A3T[0-9A-Z]|ASIA(?=[A-Z]{0,20}\d))[0-9A-Z]{12,}|\w{3}\dQ~[\w.~\-]{31,34}",
    r"do[opr]_v1_[0-9a-f]{16,}|dapi[0-9a-f]{32}|v1\.0-[0-9a-f]{20,}(?:-[0-9a-f]+)?",
    r"t1\.[\w\-]{4,}={0,2}\.[\w\-]{60,}={0,2}|YC[\w\-]{38}\b",
    r"AGE-SECRET-KEY-1[0-9A-Z]{20,}|A3-[0-9A-Z]{6}-[0-9A-Z\-]{11,12}(?:-[0-9A-Z]{5}){3}",
    # RubyGems, NuGet, Clojars, SonarQube, MaxMind, Octopus, Airtable, Harness.
    r"rubygems_[0-9a-f]{20,}|oy2[a-z0-9]{43}|CLOJARS_[a-z0-9]{20,}|sq[pua]_[0-9a-f]{20,}|\w{6}_\w{29}_mmk\b",
    r"API-[A-Z0-9]{26}\b|pat[0-9A-Za-z]{14}\.[0-9a-f]{32,}|[ps]at(?:\.[\w\-]{20,24}){3}",
    # Discord, Mailgun, Mailchimp, Twilio; addresses by which anybody can write.
    r"[MNO][\w\-]{23,25}\.[\w\-]{6}\.[\w\-]{27,}",
    r"(?:key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}|[0-9a-h]{32}(?:-[0-9a-h]{8}){2}"
    r"|(?:SK|AC)[0-9a-fA-F]{32})\b",
    r"(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks"
    r"|webhook\.office\.com/webhookb2|open\.(?:feishu|larksuite)\.\w+/open-apis/bot/v2/hook)"
    r"/[\w+/@\-]+",
    # Shopify, Shippo, Facebook; Terraform, Vault of old.
    r"(?:shp(?:at|ca|pa|ss)|shippo_(?:live|test))_[0-9a-fA-F]{16,}|\d{15,16}\|[\w\-]{27,40}",
    r"\w{10,20}\.atlasv1\.[\w\-=]{20,}|s\.(?=[A-Za-z]{0,23}\d)[0-9A-Za-z]{24}\b",
    # JSON web tokens; HTTP's two headers.
    r"eyJ[\w\-]{8,}(?:\.[\w\-]*){0,5}",
    r"(?i:bearer\s{1,20}(?=[\w\-]{0,80}?(?:[\d=]|[+/.]\w)|[\w\-]{20})[\w\-+/=.~]{4,}"
    r"|(?:(?<=[:=]\s)|(?<=[\"':=]))bearer\s{1,20}[\w\-+/=.~]{4,})",
    r"(?i:basic\s{1,20}(?:[\w+/]{6,}=+|(?=[\w+/]{0,80}?\d)[\w+/]{16,}))",
)
_SHAPES: Final = (
    rf"\b(?:{'|'.join(_SHAPES_OF_WORDS)})",
    # A private key, also one whose end is cut off; Telegram.
    r"-----BEGIN[ A-Z]{0,40}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----"
    r"(?:[\s\S]*?-----END[ A-Z]{0,60}-----|[\s\S]*)",
    r"(?<!\w)\d{5,16}:A[\w\-]{34}(?![\w\-])",
    # A password in an address; signatures and keys of addresses.
    r"(?<=://)[^\s/@:'\"<>]{0,200}:[^\s/'\"<>]{1,200}(?=@)",
    r"(?i:(?<=[?&;])(?:(?:[\w\-]{0,20}signature|sig|[\w\-]{0,20}security-token)=[\w%+/=\-.~]+"
    r"|(?:(?:access|api|auth)[_\-]?)?(?:key|token)=(?=[\w\-]{0,80}?\d)[\w\-]{16,})"
    r"|(?<=AccountKey=)[\w+/=]{20,})",
)
# More, where nobody would miss a word: long hexadecimal.
_HEXADECIMAL: Final = r"(?<![0-9a-fA-F])[0-9a-fA-F]{32,}(?![0-9a-fA-F])"


@cache
def looks(hexadecimal: bool = False) -> re.Pattern[str]:
    """What looks like a key. Compiled when it is first needed: that takes milliseconds."""
    return re.compile("|".join([*_SHAPES, *([_HEXADECIMAL] if hexadecimal else ())]))


# A string literal with its prefix, in each of the four quotes; one that is not closed goes to the
# end of its line (of a triple one: of the text).
QUOTED: Final = (
    r"[bBfFrRuU]{0,2}(?:'''[\s\S]*?(?:'''|\Z)|\"\"\"[\s\S]*?(?:\"\"\"|\Z)"
    r"|'(?:\\.|[^'\\\n])*'?|\"(?:\\.|[^\"\\\n])*\"?)"
)
# A name with what is given to it, in code and in data: `api_key = `, `"apiKey": `, `token: str = `,
# `d["secret"] =>`. Not a comparison (`==`). `head` is all of it, as it stays in the text. White
# space is bounded, so that a long run of it is not walked again for every name.
_NAMED: Final = (
    r"(?P<head>(?<![\w\-])(?P<name>[A-Za-z_][\w\-]{0,200}+)\\?[\"']?\]?"
    r"(?:\s{0,20}:\s{0,20}[\w\[\], |.]{1,60}?(?==))?"
    r"\s{0,40}(?:=>|[:=](?!=))\s{0,40})"
)
# In code only literals can be secrets: `key = input()` stays. Elsewhere any word: `password=abc`,
# in a query up to the next parameter.
NAMED_QUOTED: Final = _NAMED + rf"(?P<value>{QUOTED})?"
NAMED_ANY: Final = (
    _NAMED + rf"(?P<value>{QUOTED}|(?:[^\s,;(){{}}\[\]'\"&]|&(?![\w.\-]{{1,40}}=))+)?"
)


def is_secret_name(name: str) -> bool:
    """Whether a variable, key, attribute or column of that name holds something to keep back."""
    parts = _words(name)
    return parts[-1:] not in (["error"], ["exception"]) and any(map(_is_secret_word, parts))


def _is_secret_word(word: str) -> bool:
    return word in _SECRET_PARTS or word.endswith(_SECRET_ENDS) or word.startswith(_SECRET_STARTS)


def _words(name: str) -> list[str]:
    return [part.lower() for part in _PARTS.findall(name)]


def is_harmless(name: str, part: object) -> bool:
    """A mere `key` is mostly a column's or a dict's: a word of letters behind it is left in."""
    words = _words(name)
    if any(word in _STRONG or (_is_secret_word(word) and word not in _WEAK) for word in words):
        return False
    return not isinstance(part, str) or bool(re.fullmatch(r"[A-Za-z_ .\-]{0,24}", part))


def hidden(found: re.Match[str]) -> str:
    """Line breaks stay, so that the lines after it keep their numbers."""
    return MASKED + "\n" * found[0].count("\n")


def mask_named(text: str, named: str, masked: Callable[[re.Match[str]], str] | None = None) -> str:
    """`text` without the values behind secret names. Behind another name the search goes on, since
    its value may hold one: `Retry: password=…`, `a=b&password=…`. (So a value is read behind a
    secret's name alone: in `a=b=c=…` each would else be read to the end.)"""
    name, pattern, parts, here = re.compile(_NAMED), re.compile(named), list[str](), 0
    while found := name.search(text, here):
        whole = pattern.match(text, found.start()) if is_secret_name(found["name"]) else None
        parts.append(text[here : found.start()])
        if whole is not None and whole["value"] is not None:
            parts.append((masked or _masked_value)(whole))
            here = whole.end()
        else:
            parts.append(found["name"])
            here = found.end("name")
    return "".join([*parts, text[here:]])


def _masked_value(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    if value in ("None", "True", "False", "null", MASKED, KEY):
        return found[0]
    opening = re.match(r"[bBfFrRuU]{0,2}(?:'''|\"\"\"|'|\")", value)
    inside = value[opening.end() :].rstrip("'\"") if opening else value
    is_end = value[-1] not in "'\"" and not re.search(r"\w", inside)  # of `getpass('Password: ')`
    if not inside or inside == MASKED or is_end or is_harmless(name, inside):
        return found[0]
    if not opening:
        return f"{found['head']}{MASKED}"
    quote = opening[0].lstrip("bBfFrRuU")
    end = quote if value.endswith(quote) and len(value) > len(opening[0]) else ""
    breaks = "\n" * value.count("\n")
    return f"{found['head']}{opening[0]}{MASKED}{breaks}{end}"


# Our own keys -------------------------------------------------------------------------------------


class Secret(str):
    """A key: a text wherever it is used, `…` wherever it is shown, and nothing once pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "…"

    def __reduce__(self) -> tuple[object, ...]:
        return (Secret, ())

    def __deepcopy__(self, memo: object) -> Secret:
        return self


# What stands around a key where it was copied from: in a file of settings, a header, a message.
_AROUND_KEY: Final = re.compile(
    r"(?:export\s+)?[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)\s*=|bearer\s", re.IGNORECASE
)
_NO_PART_OF_KEY: Final = "\"'`‘’“”\u200b\u200c\u200d\u2060\ufeff\xa0 \t\r\n\v\f"


def bare_key(key: str) -> Secret:
    """A key as it is meant: without the white space, quotes and names around it."""
    bare = str.__str__(key).strip(_NO_PART_OF_KEY)
    while around := _AROUND_KEY.match(bare):
        bare = bare[around.end() :].strip(_NO_PART_OF_KEY)
    return Secret(bare)


class Unshown(Mapping[str, Any]):
    """A mapping that prints as `…`: the environment, somebody's variables."""

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self.__mapping = mapping

    def __getitem__(self, name: str) -> Any:
        return self.__mapping[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__mapping)

    def __len__(self) -> int:
        return len(self.__mapping)

    def __repr__(self) -> str:
        return "…"


_KNOWN: Final[dict[str, None]] = {}  # of this process, in the order in which they were told
_MOST_KNOWN: Final = 500
_LAYERS: Final = 4  # of JSON, one inside the other
_SHORTEST: Final = 6  # characters: what is shorter is a word of many texts
_NO_KEY: Final = re.compile(r"[A-Za-z]{1,11}|[\d.]{1,11}|[\W_]*|/.*")
_PLACEHOLDER: Final = re.compile(r"[A-Za-z]{1,11}(?:[-_][A-Za-z]{1,11})*")
_ENDS_OF_VARIABLES: Final = ("PASS", "PW", "_PAT", "_SK")  # in Python names of much else
_USER: Final = re.compile(r"(?:(?<=://)|(?<![^\s,]))(?P<name>[^\s/@:,]*)(?::(?P<word>[^\s/]*))?@")
_NO_SECRET_HEADERS: Final = ("accept", "content-type", "user-agent")


def is_placeholder(key: str) -> bool:
    """Whether it is plain words, as servers that need no key are given: "none", "EMPTY", "ollama",
    "lm-studio". They stand in many texts, which would be masked."""
    return len(key) < _SHORTEST or bool(_PLACEHOLDER.fullmatch(key))


def know(*values: str) -> None:
    """Keep these back from now on, wherever they pass by; what is too short to be a key is not."""
    for value in values:
        if len(value.strip()) >= _SHORTEST and len(_KNOWN) < _MOST_KNOWN:
            _KNOWN[str.__str__(value.strip())] = None


def know_tools(tools: Iterable[Mapping[str, Any]]) -> None:
    """The same for what tools carry for their servers: headers, tokens, passwords in addresses. (Of
    a header whose name is no secret's not a mere word, such as a region's.)"""
    for tool in tools:
        url = str(tool.get("server_url") or "")
        know(*_of_url(url), *_named_in(url))
        headers = tool.get("headers")
        given = dict(headers) if isinstance(headers, Mapping) else {}
        given["authorization"] = (
            f"{given.get('authorization', '')}\n{tool.get('authorization', '')}"
        )
        for name, value in given.items():
            if str(name).lower() in _NO_SECRET_HEADERS:
                continue
            for line in str(value).split("\n"):
                scheme, _, rest = line.partition(" ")
                word = rest if rest and scheme.lower() in ("bearer", "basic", "token") else line
                if is_secret_name(str(name)) or re.search(r"\d", word):
                    know(word)


def known_secrets(environment: Mapping[str, Any] | None = None) -> list[str]:
    """Our own keys: those that were told, and those of the `environment` (None: this process's)."""
    variables = os.environ if environment is None else environment
    return [*_KNOWN, *_of_environment(tuple(variables.items()))]


@lru_cache(maxsize=1)
def _of_environment(variables: tuple[tuple[str, Any], ...]) -> tuple[str, ...]:
    """The values that have a secret's name, also each of a list; and in any value the passwords of
    addresses and what stands behind a secret's name, as in `Server=h;Pwd=…`."""
    found: dict[str, None] = {}
    for name, value in variables:
        if not isinstance(value, str):
            continue
        found |= dict.fromkeys(_of_url(value))
        several, keys = [*_named_in(value)], list[str]()
        is_secret = is_secret_name(name) or name.endswith(_ENDS_OF_VARIABLES)
        is_plain = name.endswith("_API_KEY") and is_placeholder(value)
        if is_secret and "://" not in value and not is_plain:
            keys = [value, str.__str__(bare_key(value))]
            several += re.split(r"[\s,;]+", value)
        keys += (each for each in several if re.search(r"\d", each))  # and no word of a text
        found |= dict.fromkeys(
            key for key in keys if len(key) >= LONG and not _NO_KEY.fullmatch(key)
        )
    return tuple(found)


def _named_in(text: str) -> Iterator[str]:
    """What stands behind secret names in a setting, and behind the word for a header's kind."""
    found: list[str] = []

    def note(match: re.Match[str]) -> str:
        value = match["value"].strip("'\"")
        found.extend([value] if not is_harmless(match["name"], value) else [])
        return ""

    mask_named(text, NAMED_ANY, note)
    yield from found
    yield from re.findall(r"(?i)\b(?:bearer|basic)\s{1,20}([\w\-+/=.~]+)", text)


def _of_url(url: str) -> list[str]:
    """The passwords in addresses, or a user's name that stands there for one: as they are written,
    and as they are meant. (Proxies are named without `http://`, too.)"""
    found = set()
    for user in _USER.finditer(url):
        is_whole = url.endswith("://", 0, user.start())
        word = user["word"] or (user["name"] if is_whole else "")
        found |= {word, unquote(word)}
    return [each for each in found if len(each) >= _SHORTEST]


def without_credentials(url: str) -> str:
    """An address as it may be shown: `…` for its user's name and password, and for what stands
    behind a secret's name in its query. They are kept back from now on."""
    know(*_of_url(url))
    shown = re.sub(r"(?<=//)[^/?#]*(?=@)", "…", url)
    head, mark, query = shown.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    secret = [value for name, _, value in pairs if is_secret_name(name)]
    know(*secret, *map(unquote, secret))
    told = [f"{name}{is_}{'…' if value in secret else value}" for name, is_, value in pairs]
    return head + mark + "&".join(told)


class Keys:
    """Our own keys, to be found in any text.

    `forms`: each to the letter, as JSON and addresses write it, in base64 and in hexadecimal; the
    longest first, so that none is left in part by another. `pattern` finds them; `opening` finds
    where one may begin, without taking a character: its first `OPENING` characters. Both are
    compiled when they are first needed: of most texts `in` tells sooner that no key is there.
    It prints as `…`, as each of them does.
    """

    def __init__(self, forms: tuple[str, ...]) -> None:
        self.forms = forms
        self.openings = tuple(sorted({form[:OPENING] for form in forms}))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.forms)))

    @cached_property
    def opening(self) -> re.Pattern[str]:
        return re.compile(f"(?={'|'.join(map(re.escape, self.openings))})")

    def __repr__(self) -> str:
        return "…"

    def may_be_in(self, text: str) -> bool:
        """False where no key is, nor begins, in `text`: told ten times as fast as by `pattern`,
        of every delta that comes in."""
        for opening in self.openings:  # noqa: SIM110, a generator costs more than it looks at
            if opening in text:
                return True
        return False

    def sub_unsplit(self, text: str) -> str:
        """A text without those that nothing splits."""
        return self.pattern.sub(KEY, text) if any(map(text.__contains__, self.forms)) else text

    def sub(self, text: str) -> str:
        """A whole text without them, also where lines or what nobody sees split one."""
        text = self.sub_unsplit(text)
        return _without_split(text, self.forms) if _SPLIT.search(text) else text

    def sub_bytes(self, body: bytes) -> bytes:
        return self.sub(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def clear(self, value: Any) -> Any:
        """JSON without them, also where it spelled them by escapes."""
        return with_texts(value, self.sub, names=True)


def own_keys(*secrets: str) -> Keys | None:
    """Our own keys, and these; None where there is none."""
    return _keys_of(tuple(filter(None, (*secrets, *known_secrets()))))


@lru_cache(maxsize=16)
def _keys_of(values: tuple[str, ...]) -> Keys | None:
    forms = sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)
    return Keys(tuple(forms)) if forms else None


def _forms(value: str) -> Iterator[str]:
    """As it is, and as it stands in JSON (also inside others), Python, addresses (also inside
    another) and pages; in hexadecimal, together or by bytes; in base64, and in that of base64."""
    plain = str.__str__(value)
    octets = plain.encode("utf-8", "replace")
    yield from (plain, repr(plain)[1:-1], repr(octets)[2:-1])
    yield json.dumps(plain, ensure_ascii=False)[1:-1]
    in_json = plain
    for _ in range(_LAYERS):
        in_json = json.dumps(in_json)[1:-1]
        yield in_json
    in_json = json.dumps(plain)[1:-1]
    yield in_json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    for in_url in (quote(plain, safe=""), quote(plain)):
        for each in (in_url, re.sub("%..", lambda found: found[0].lower(), in_url)):
            yield from (each, quote(each, safe=""))
    yield from (plain.replace("/", "\\/"), escape(plain), escape(plain, quote=False))
    if len(octets) >= LONG:
        digits = octets.hex()
        yield from (digits, digits.upper(), octets.hex(" "), octets.hex(":"))
        spaced = octets.hex(" ")
        yield from (f"\\x{spaced}".replace(" ", "\\x"), f"%{spaced}".replace(" ", "%"))
        yield f"%{spaced.upper()}".replace(" ", "%")
    for encoded in _in_base64(octets):
        yield from (encoded, encoded.translate(str.maketrans("+/", "-_")))
        yield from _in_base64(encoded.encode())


def _in_base64(octets: bytes) -> Iterator[str]:
    """Alone, or behind what may stand before (`user:key`), without the characters that hold bits of
    the neighbours."""
    for before in range(3):  # bytes
        whole = b64encode(bytes(before) + octets).decode()
        encoded = whole[(8 * before + 5) // 6 : 8 * (before + len(octets)) // 6]
        if len(encoded) >= LONG:
            yield encoded


# What stands between the parts of a key that is split: what nobody sees, also the zeros of UTF-16;
# an end of a line, with what a literal, an address or a list has around it.
_UNSEEN: Final = re.compile(
    r"[\x00\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_SPLIT: Final = re.compile(rf"[\n\x0b-\r\x1c-\x1e\x85\u2028\u2029]|\\[nr]|{_UNSEEN.pattern}")
_SPACES: Final = (
    " \t\n\x0b\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_AROUND: Final = "\\\"'+|>#," + _SPACES


def _without_split(text: str, forms: Iterable[str]) -> str:
    """`text` without the `forms` that are whole once what stands between their parts is taken out.
    Of most texts that shows none, and only then it is told where each character stood."""
    seen = _UNSEEN.sub("", text).replace("\\n", "\r\n").replace("\\r", "\r\n")
    joined = "".join([line.strip(_AROUND) for line in seen.splitlines()])
    found = [form for form in forms if len(form) >= LONG and form in joined]
    if not found:
        return text
    there = [place for place, character in enumerate(text) if not _UNSEEN.match(character)]
    places, start = list[int](), 0  # where each character of `joined` stood
    for line in seen.splitlines(keepends=True):
        begins = start + len(line) - len(line.lstrip(_AROUND))
        places += there[begins : begins + len(line.strip(_AROUND))]
        start += len(line)
    parts, start = [], 0
    for match in re.finditer("|".join(map(re.escape, found)), joined):
        parts += [text[start : places[match.start()]], KEY]
        start = places[match.end() - 1] + 1
    return "".join([*parts, text[start:]])


def redact(text: str, *secrets: str) -> str:
    """`text` with every key replaced by `[key]`: the given ones, our own, and all that look like
    one of a known service."""
    ours = own_keys(*secrets)
    return looks().sub(KEY, ours.sub(text) if ours else text)


def log_without_keys(record: LogRecord) -> bool:
    """A filter for what libraries log: servers repeat keys in headers and in what cannot be read,
    which an exception tells."""
    record.msg, record.args = redact(record.getMessage()), ()
    if record.exc_info:
        from logging import Formatter

        record.exc_text = redact(Formatter().formatException(record.exc_info))
        record.exc_info = None
    return True


def with_texts(value: Any, change: Callable[[str], str], *, names: bool = False) -> Any:
    """JSON with every text in it changed; `names`: those of its fields too."""
    match value:
        case dict():
            return {
                change(name) if names and isinstance(name, str) else name: with_texts(
                    each, change, names=names
                )
                for name, each in value.items()
            }
        case list() | tuple():
            return type(value)(with_texts(each, change, names=names) for each in value)
        case str():
            return change(value)
    return value


def redacted(value: Any) -> Any:
    """JSON with every text in it redacted, but for pictures."""

    def change(text: str) -> str:
        return text if text.startswith("data:") else redact(text)

    return with_texts(value, change, names=True)


# Columns and keys of data whose values are never sent, as `masked_columns` has them.
SECRET_NAMES: Final = (
    *("*password*", "*passwd*", "*passphrase*", "*api_key*", "*apikey*", "*api-key*"),
    *(
        "*secret_key*",
        "*secret",
        "*access_key*",
        "*access_token*",
        "*auth_token*",
        "*bearer_token*",
    ),
    *("*refresh_token*", "*private_key*", "*credentials", "authorization"),
)
_SECRET_NAME: Final = re.compile(
    r"passw(?:or)?d|passphrase|secret|api_?key|(?:access|private)_?key|credential|authorization"
)


def without_named(text: str) -> str:
    """Data as text without what is quoted behind a secret's name: `"password": "…"`. Behind a name
    that much else has (`token`), only what has digits and is long."""

    def mask(found: re.Match[str]) -> str:
        value = (found["value"] or "").strip("'\"")
        is_sure = _SECRET_NAME.search(found["name"].lower().replace("-", "_"))
        is_long = len(value) >= LONG and re.search(r"\d", value) and not re.search(r"\s", value)
        return _masked_value(found) if is_sure or is_long else found[0]

    return mask_named(text, NAMED_QUOTED, mask)


def typed_key(text: str) -> str:
    """What in a text that somebody typed is surely a key, shortened to be named; "" without one.
    A word such as `sk-…` or `sk-learn` is none."""
    keys = own_keys()
    if keys is not None and (ours := next(filter(text.__contains__, keys.forms), "")):
        return f"{ours[:4]}…"
    for found in looks().finditer(text):
        if found[0].startswith(("http", "ftp")):
            continue
        if "PRIVATE KEY" in found[0] or _is_certain(found[0]):
            return f"{found[0][:4]}…"
    return ""


def _is_certain(found: str) -> bool:
    """Whether there is a random part: long, and with digits."""
    return any(
        len(word) >= 16 and re.search(r"\d", word) and len(set(word)) > 6
        for word in re.findall(r"[\w+/]{16,}|[\w+/\-]{20,}", found)
    )

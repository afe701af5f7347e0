"""The error tree: what it says, and what it never says."""

import base64
import html
import json
import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.errors import APIError, QwenError, RateLimitError, UsageError
from qwen_magic.masking import know_tools, own_keys, redact

KEY = "sk-0123456789abcdef0123456789abcdef"


def test_an_error_is_at_most_three_lines():
    error = UsageError("What happened.", why="Why.", hint="What to do.")
    assert str(error) == "What happened.\nWhy.\nWhat to do."
    assert str(QwenError("Only this.")) == "Only this."


def test_the_request_id_stands_at_the_end():
    error = APIError("No.", hint="Try again.", status=429, code="Throttling", request_id="r-1")
    assert str(error) == "No.\nTry again. (request id r-1)"


def test_errors_pickle_whole():
    error = RateLimitError("No.", why="w", hint="h", status=429, code="c", request_id="r")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is RateLimitError
    assert (str(again), again.status, again.code) == (str(error), 429, "c")


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}",
        f"Authorization: Bearer {KEY}",
        f"{{'authorization': 'bearer {KEY}'}}",
        "Bearer some-other.token_form=",
        f"key={KEY}.",
    ],
)
def test_keys_never_come_out(text):
    for shown in (
        str(QwenError(text)),
        str(QwenError("m", why=text)),
        str(APIError(text, code=text)),
    ):
        assert KEY not in shown
        assert "some-other" not in shown
    error = APIError(text, why=text, hint=text, code=text, request_id=text)
    assert KEY not in repr(vars(error))


@given(st.text(min_size=6, max_size=30), st.text("abc "), st.text("abc "))
def test_a_given_secret_is_taken_out_wherever_it_stands(secret, before, after):
    assert secret not in redact(f"{before}{secret}{after}", secret)


AWKWARD = "Zü7/kan+a=rie&4e<n>v9'q\"W\\x"


@pytest.mark.parametrize(
    "written",
    [
        lambda key: json.dumps({"a": json.dumps({"b": key})}),
        lambda key: (
            json.dumps(key).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        ),
        lambda key: repr(key.encode()),
        lambda key: html.escape(f"<b>{key}</b>"),
        lambda key: f"https://e.org/{quote(key)}",
        lambda key: f"https://e.org/?a={quote(key, safe='')}",
        *(
            lambda key, around=around: base64.b64encode((around + key + around).encode()).decode()
            for around in ("", "u", "u:", "user:", "key=")
        ),
        lambda key: base64.urlsafe_b64encode(f"u:{key}".encode()).decode(),
        *(
            lambda key, around=around: base64.b64encode(
                base64.b64encode(f"{around}{key}".encode())
            ).decode()
            for around in ("", "u", "u:")
        ),
        lambda key: base64.encodebytes(f"{'x' * 40}:{key}".encode()).decode(),
        lambda key: json.dumps(json.dumps(json.dumps(json.dumps(key)))),
        lambda key: quote(quote(key, safe=""), safe=""),
        lambda key: key.encode().hex(),
        lambda key: key.encode().hex().upper(),
        lambda key: key.encode().hex(" "),
        lambda key: "".join(f"\\x{octet:02x}" for octet in key.encode()),
        lambda key: "".join(f"%{octet:02X}" for octet in key.encode()),
        "\u200b".join,
        lambda key: key.encode("utf-16-le").decode("latin-1"),
        lambda key: f"{key[:9]}\n    {key[9:]}",
        lambda key: f"> {key[:9]}\r\n> {key[9:]}",
        lambda key: f"{key[:9]}\r{key[9:]}",
        lambda key: f"{key[:9]}\u2028{key[9:]}",
        lambda key: f"{key[:9]}{' ' * 50}\n{key[9:]}",
        lambda key: f'("{key[:9]}"\n "{key[9:]}")',
        lambda key: json.dumps(f"{key[:9]}\n{key[9:]}", ensure_ascii=False),
    ],
)
def test_a_key_is_found_as_others_write_it(written):
    text = redact(f"before {written(AWKWARD)} after", AWKWARD)
    assert "[key]" in text
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "…" in repr(own_keys(AWKWARD))


def test_what_tools_carry_is_known_but_for_words():
    headers = {"X-Birds": "pieps7pieps", "X-Region": "singapore", "X-Api-Key": "nachtigall"}
    url = "https://ann:amsel4amsel@birds.example/mcp?token=drossel5drossel"
    know_tools([{"type": "mcp", "server_url": url, "headers": headers}])
    told = redact("pieps7pieps singapore nachtigall amsel4amsel drossel5drossel")
    assert told == "[key] singapore [key] [key] [key]"

"""What `--dry-run` shows: a request that was not sent, static HTML for a notebook, text elsewhere.

    Dry run: nothing was sent.
    POST https://…/v1/responses · qwen3-max · turn 2 of main, after turn 1 “My name is John”

                       characters  about tokens
    prompt                     33             9
    value {city}                6             2  in the prompt
    data planets            1,204           420  pandas DataFrame, 9 rows; schema sent
    earlier turns               –         1,350  1–3 of main: the server has them
    in all                  1,237         1,779

    Added: thinking (code_interpreter needs it).

Then each part as it reads, and the request to the letter: as JSON, for `curl`, for the `openai`
package. In HTML all of that is folded. As text it is the code alone: its strings have their real
line breaks, so that each part can be read in it, and stands there once.

Of a picture's data, what is written out is a beginning: the picture itself is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Final

from qwen_magic.document.html import SEP
from qwen_magic.document.links import is_picture
from qwen_magic.document.markdown.render import shown_html
from qwen_magic.document.words import NO_BREAK, money, revealed, sentence
from qwen_magic.frontends.display import fold, page, pre
from qwen_magic.frontends.plain import printable
from qwen_magic.masking import redact, with_texts
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart

# What `responses.create` of the `openai` package takes by name; the rest goes into `extra_body`.
SDK_PARAMETERS: Final = frozenset(
    """background context_management conversation include input instructions max_output_tokens
    max_tool_calls metadata model parallel_tool_calls previous_response_id prompt prompt_cache_key
    reasoning safety_identifier service_tier store stream stream_options temperature text
    tool_choice tools top_logprobs top_p truncation user""".split()  # noqa: SIM905
)
# Of the body: what the table, or the line above it, tells already.
_TOLD: Final = frozenset(
    ("model", "input", "instructions", "previous_response_id", "tools", "stream")
)
_TITLE: Final = "Dry run: nothing was sent"
_LONGEST_DATA: Final = 200  # characters of a data URI that are written out
_NONE: Final = "–"
_MASKED: Final = "[key] stands for what looks like a key: it would be sent as it is"
_IN_ALL: Final = "in all"
_INSIDE: Final = ' class="qm-value" style="padding: 0 0 0 18px"'


@dataclass(frozen=True, slots=True)
class Price:
    """The price of an input token, and of a million output tokens, in `currency`."""

    token: float
    answer: float
    currency: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """A request as shown before it is sent.

    `headers`: without the key; `key_variable`: the environment variable with the key, or empty;
    `place`: where in which conversation; `notes`: further remarks.
    """

    url: str
    model: str
    place: str
    body: JSON
    parts: tuple[RequestPart, ...]
    headers: Mapping[str, str]
    key_variable: str = ""
    notes: tuple[str, ...] = ()
    price: Price | None = None

    def said(self) -> Iterator[str]:
        """The sentences below the table."""
        settings = {key: value for key, value in self.body.items() if key not in _TOLD}
        if settings:
            told = (f"{key} {_json(value)}" for key, value in settings.items())
            yield sentence(f"Settings: {', '.join(told)}")
        yield from map(sentence, self.notes)
        if self.price:
            answer = money(self.price.answer, self.price.currency)
            yield f"The answer costs {answer} for each million tokens."

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The number columns: their heads, and the numbers of each part and of the total.

        A value is counted in the prompt that contains it.
        """
        heads = ["characters", "about tokens"]
        rows = [(len(part.text), part.tokens) for part in self.parts]
        whole = [part for part in self.parts if part.kind != "value"]
        characters, tokens = (len(part.text) for part in whole), (part.tokens for part in whole)
        rows.append((sum(characters), sum(each or 0 for each in tokens)))
        cells = [[_number(characters), _number(tokens)] for characters, tokens in rows]
        if self.price:
            heads.append(f"about {self.price.currency}")
            costs = _aligned([(count or 0) * self.price.token for _characters, count in rows])
            cells = [[*cell, cost] for cell, cost in zip(cells, costs, strict=True)]
        return heads, cells

    def forms(self) -> Mapping[str, str]:
        """The complete request in three forms: JSON, curl, Python."""
        body = with_texts(self.body, _short_data)
        return {
            "as JSON": _json(body, indent=2),
            "for curl": self._curl(body),
            "for Python": self._python(body),
        }

    def _curl(self, body: JSON) -> str:
        headers = {"Content-Type": "application/json", **self.headers}
        lines = [f"curl -N {self.url}", *(f'-H "{key}: {value}"' for key, value in headers.items())]
        if self.key_variable:
            lines.insert(1, f'-H "Authorization: Bearer ${self.key_variable}"')
        return " \\\n  ".join([*lines, f"-d @- <<'JSON'\n{_json(body, indent=2)}\nJSON"])

    def _python(self, body: JSON) -> str:
        """For the `openai` package. Strings have real line breaks."""
        named = {key: value for key, value in body.items() if key in SDK_PARAMETERS}
        others = {key: value for key, value in body.items() if key not in SDK_PARAMETERS}
        extra = {"extra_body": others, "extra_headers": dict(self.headers)}
        given = {**named, **{key: value for key, value in extra.items() if value}}
        lines = [f"    {key}={_literal(value)}," for key, value in given.items()]
        key = f'os.environ["{self.key_variable}"]' if self.key_variable else '"none"'
        return "\n".join(
            [
                *(["import os", ""] if self.key_variable else []),
                "from openai import OpenAI",
                "",
                f'client = OpenAI(base_url="{self.url.removesuffix("/responses")}", api_key={key})',
                "events = client.responses.create(",
                *lines,
                ")",
                "for event in events:",
                '    if event.type == "response.output_text.delta":',
                '        print(event.delta, end="", flush=True)',
            ]
        )


def _aligned(costs: list[float]) -> list[str]:
    """Costs with equal decimals, as many as their sum needs."""
    decimals = len(money(costs[-1], "").strip().rpartition(".")[2])
    least = 10.0**-decimals
    return [
        _NONE if not cost else f"<{least:.{decimals}f}" if cost < least else f"{cost:,.{decimals}f}"
        for cost in costs
    ]


def _number(count: int | None) -> str:
    return f"{count:,}" if count else _NONE


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _short_data(text: str) -> str:
    """A text; of a long `data:` address only the beginning."""
    if text.startswith("data:") and len(text) > _LONGEST_DATA:
        return f"{text[:40]}… ({len(text):,} characters)"
    return text


def without_keys(dry: DryRun, key: str) -> DryRun:
    """Remove this key, and everything that looks like one: pages are saved and shared."""

    def masked(text: str) -> str:
        return redact(text, key)

    body = with_texts(dry.body, masked)
    parts = tuple(
        replace(part, text=masked(part.text), about=masked(part.about), name=masked(part.name))
        for part in dry.parts
    )
    if (body, parts) == (dry.body, dry.parts):
        return dry
    return replace(dry, body=body, parts=parts, notes=(*dry.notes, _MASKED))


def _literal(value: object) -> str:
    """`value` as Python code; multi-line text in triple quotes."""
    match value:
        case dict():
            return (
                "{" + ", ".join(f"{key!r}: {_literal(each)}" for key, each in value.items()) + "}"
            )
        case list():
            return "[" + ", ".join(map(_literal, value)) + "]"
        case str() if "\n" in value:
            # The quotation mark has `repr` use the other one around it.
            lines = (repr(f'"{line}')[2:-1].replace("\\'", "'") for line in value.split("\n"))
            text = "\n".join(lines).replace('"""', '\\"\\"\\"')
            return '"""\\\n' + re.sub('"$', '\\\\"', text) + '"""'
    return repr(value)


# HTML -------------------------------------------------------------------------------------------


def dry_run_html(dry: DryRun) -> str:
    """The page for a `text/html` output: escaped and self-contained."""
    address = dry.url.partition("://")[2]
    where = [f"POST <code>{shown_html(address)}</code>", *map(shown_html, (dry.model, dry.place))]
    said = "".join(f'<p class="qm-said" dir="auto">{shown_html(words)}</p>' for words in dry.said())
    exact = "".join(
        fold(f"The request {words}", pre(text, words)) for words, text in dry.forms().items()
    )
    return page(_TITLE, where, f"{_table(dry)}{said}{exact}")


def _table(dry: DryRun) -> str:
    heads, (*rows, total) = dry.table()
    head = "".join(f'<th class="qm-num" align="right" scope="col">{head}</th>' for head in heads)
    body = "".join(
        f"<tr><td{_INSIDE * (part.kind == 'value')}>{_part(part)}</td>{_cells(row)}</tr>"
        for part, row in zip(dry.parts, rows, strict=True)
    )
    return (
        f'<table class="qm-sizes"><thead><tr><th></th>{head}</tr></thead><tbody>{body}'
        f'<tr class="qm-all"><td>{_IN_ALL}</td>{_cells(total)}</tr></tbody></table>'
    )


def _cells(numbers: list[str]) -> str:
    return "".join(f'<td class="qm-num" align="right">{escape(number)}</td>' for number in numbers)


def _part(part: RequestPart) -> str:
    """The description of a part; below it its text, folded."""
    name = f" <code>{shown_html(part.name)}</code>" if part.name else ""
    about = f' {SEP}<small class="qm-meta" dir="auto">{shown_html(part.about)}</small>' * bool(
        part.about
    )
    words = f"<b>{shown_html(part.kind)}</b>{name}{about}"
    if is_picture(part.image):
        return fold(
            words, f'<img class="qm-img" src="{part.image}" alt="{escape(revealed(part.name))}">'
        )
    return fold(words, pre(part.text, part.kind)) if part.text else f"<div>{words}</div>"


# Text -------------------------------------------------------------------------------------------


def dry_run_text(dry: DryRun) -> str:
    """The same as text, safe to print to a terminal. For curl too where no text has line breaks:
    else JSON would say the same again in one long line."""
    forms = dry.forms()
    shown = ["for Python"] if "\\n" in forms["as JSON"] else ["for curl", "for Python"]
    where = " · ".join((f"POST {dry.url}", dry.model, dry.place))
    blocks = [f"{_TITLE}.\n{where}", "\n".join(_lines(dry)), "\n".join(dry.said())]
    blocks += [f"The request {words}:\n\n{forms[words]}" for words in shown]
    return printable("\n\n".join(filter(None, blocks))).replace(NO_BREAK, " ")


def _lines(dry: DryRun) -> Iterator[str]:
    heads, rows = dry.table()
    names = [" ".join(filter(None, (part.kind, part.name))) for part in dry.parts]
    abouts = ["", *(part.about for part in dry.parts), ""]
    cells = [
        ["", *heads],
        *([name, *row] for name, row in zip([*names, _IN_ALL], rows, strict=True)),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for (name, *numbers), about in zip(cells, abouts, strict=True):
        columns = map(str.rjust, numbers, widths[1:])
        yield "  ".join([name.ljust(widths[0]), *columns, about]).rstrip()

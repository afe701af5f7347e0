"""Which exchange of a recording answers a request; and where none does, what differs.

    request --key_of--> model, input, options      without the id that it continues after
            --place --> key and place of the exchange that gave that id; "" at the beginning

Two requests are the same where key and place are. So a lesson that is run again follows its own
chain, though ids, cells and siblings differ; an id that no exchange gave (of an earlier
conversation, of a live answer) stands for the beginning. The same request asked again is given the
next of its exchanges, and the last one from then on.

Of a request that is not there, one that differs only in what was made here is taken all the same:
the outputs of functions that the model called and of the notebook's cells, the numbers of these,
and the bytes of pictures, which are drawn otherwise on every machine.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qwen_magic.masking import KEY
from qwen_magic.protocol.fields import JSON, json_object, mappings, text
from qwen_magic.recording import masked_body
from qwen_magic.recording.file import Exchange

_AROUND_KEY: Final = re.compile(rf"[\w\-]{{0,200}}{re.escape(KEY)}[\w\-]{{0,200}}")
# As `context` tells of a cell, in steps, notebook and exception_report; and the address of
# an object of Python's.
_OF_CELLS: Final = re.compile(
    r"(?ms)(?P<number>^(?:Cell|Besides I ran) \[(?=\d+\])"
    r"|^ *[Cc]ell (?=\d+(?: \(`>>` marks|, line \d+, in ))| at 0x(?=[\da-f]{6,16}>))[\da-f]+"
    r"|(?P<output>^Its output:\n)(?P<fence>`{3,})text\n.*?^(?P=fence)$"
)
_LONGEST: Final = 2000  # characters of two prompts that are compared
_BESIDE: Final = 6  # words and spaces that are shown beside a difference
_SHOWN: Final = 70  # characters of a prompt, or of a difference


@dataclass(frozen=True, slots=True)
class Nearest:
    """The exchange most similar to a request that was not found.

    `prompt`: its prompt; `number`: its index from 0; `differences`: between the two, in words.
    """

    prompt: str
    number: int
    differences: tuple[str, ...]


class Replayer:
    """Finds the exchanges of a recording. Not thread-safe."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges = tuple(exchanges)
        self._signatures: list[str] = []
        self._givers: dict[str, str] = {}  # id of a response -> signature of its exchange
        self._by_signature: dict[str, list[int]] = {}
        self._loosely: dict[str, list[int]] = {}
        self._taken: dict[str, int] = {}
        for number, exchange in enumerate(self.exchanges):
            place = self._giver(exchange.body)
            signature = _signature(exchange.method, exchange.path, exchange.body, place)
            self._signatures.append(signature)
            self._by_signature.setdefault(signature, []).append(number)
            loosely = _signature(exchange.method, exchange.path, _loosened(exchange.body), place)
            self._loosely.setdefault(loosely, []).append(number)
            for response in snapshots(exchange):
                if id := text(response.get("id")):
                    self._givers[id] = signature

    def find(self, method: str, path: str, body: JSON | None = None) -> Exchange | None:
        """The next exchange that answers this request; None if there is none."""
        body, place = masked_body(body), self._giver(body)
        signature = _signature(method, path, body, place)
        found = self._by_signature.get(signature)
        if found is None:
            signature = _signature(method, path, _loosened(body), place)
            found = self._loosely.get(signature)
        if found is None:
            return None
        turn = self._taken.get(signature, 0)
        self._taken[signature] = turn + 1
        return self.exchanges[found[min(turn, len(found) - 1)]]

    def nearest(self, body: JSON | None) -> Nearest | None:
        """The recorded question most similar to this one; None if there are no questions."""
        body = masked_body(body) or {}
        asked = question_of(body)
        best: tuple[float, int] | None = None
        for number, exchange in enumerate(self.exchanges):
            if exchange.method != "POST" or exchange.body is None:
                continue
            score = difflib.SequenceMatcher(
                None, asked[:_LONGEST], question_of(exchange.body)[:_LONGEST], autojunk=False
            ).quick_ratio()
            score += 0.1 * (self._giver(exchange.body) == self._giver(body))
            score -= 0.02 * len(list(_options(exchange.body, body)))
            if best is None or score > best[0]:
                best = score, number
        if best is None:
            return None
        recorded = self.exchanges[best[1]].body or {}
        differences = self._differences(_loosened(recorded), _loosened(body))
        return Nearest(shortened(question_of(recorded)), best[1], tuple(differences))

    def _differences(self, recorded: JSON, asked: JSON) -> Iterator[str]:
        """How `asked` differs, a line for each difference."""
        old, new = question_of(recorded), question_of(asked)
        if old != new:
            yield f"the prompt: {word_difference(old, new)}"
        yield from _options(recorded, asked)
        before, now = self._before(recorded), self._before(asked)
        if self._giver(recorded) != self._giver(asked):
            yield f"its place: recorded {before}, now {now}"
        elif old == new and recorded.get("input") != asked.get("input"):
            yield "what is sent beside the prompt: data, pictures, or turns told as text"

    def _before(self, body: JSON) -> str:
        place = self._giver(body)
        numbers = self._by_signature.get(place) if place else None
        if not numbers:
            return "at the beginning"
        question = shortened(question_of(self.exchanges[numbers[0]].body or {}), 40)
        return f"after “{question}”"

    def _giver(self, body: JSON | None) -> str:
        return self._givers.get(text((body or {}).get("previous_response_id")), "")


def _signature(method: str, path: str, body: JSON | None, place: str) -> str:
    asked = json.dumps([method, path, _key_of(body), place], sort_keys=True)
    return hashlib.sha256(asked.encode("ascii")).hexdigest()


def _key_of(body: JSON | None) -> JSON | None:
    """The parts of a request that must be equal, besides its place."""
    if body is None:
        return None
    return {n: v for n, v in body.items() if n not in ("previous_response_id", "stream")}


def _loosened(value: object) -> JSON:
    """A body without what functions and cells gave here, and without the bytes of pictures. What of
    a key's surroundings was masked depends on which keys are known on a machine."""

    def loose(value: object) -> object:
        match value:
            case {"type": "function_call_output" | "custom_tool_call_output", **rest}:
                return {**rest, "output": "…"}
            case dict():
                return {name: loose(each) for name, each in value.items()}
            case list() | tuple():
                return [loose(each) for each in value]
            case str() if value.startswith("data:image/"):
                return "data:image/…"
            case str():
                value = _OF_CELLS.sub(lambda found: found["number"] or found["output"], value)
                return _AROUND_KEY.sub(KEY, value) if KEY in value else value
        return value

    loosened = loose(value)
    return loosened if isinstance(loosened, dict) else {}


def snapshots(exchange: Exchange) -> Iterator[JSON]:
    """The response objects in a stream, as the server sent them."""
    for _, piece in exchange.stream if exchange.method == "POST" else ():
        for line in piece.splitlines():
            data = line.removeprefix("data:")
            said = json_object(data) if '"response"' in data else None
            if said is not None:
                response = said.get("response")
                yield response if isinstance(response, dict) else said


def answered_model(exchange: Exchange) -> str:
    """The model named in the response, else in the request."""
    said = (text(response.get("model")) for response in snapshots(exchange))
    return next(filter(None, said), exchange.model)


def question_of(body: JSON) -> str:
    """The newest user text of a request."""
    given = body.get("input", body.get("messages"))
    if isinstance(given, str):
        return given
    for item in reversed(mappings(given)):
        content = item.get("content")
        if isinstance(content, str):
            return content
        words = [text(part.get("text")) for part in mappings(content) if part.get("text")]
        if words:
            return "\n".join(words)
        if "output" in item:
            return f"(output of a call) {text(item.get('output'))}"
    return ""


_LONG: Final = ("input", "messages", "previous_response_id", "stream")


def _options(recorded: Mapping[str, object], asked: Mapping[str, object]) -> Iterator[str]:
    """The parameters that differ, in words."""
    for name in dict.fromkeys([*recorded, *asked]):
        old, new = recorded.get(name), asked.get(name)
        if name in _LONG or old == new:
            continue
        yield f"{name}: recorded {_in_words(old)}, now {_in_words(new)}"


def _in_words(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list):
        names = [str(each.get("name") or each.get("type")) for each in mappings(value)]
        return shortened(", ".join(names) or json.dumps(value))
    return shortened(value if isinstance(value, str) else json.dumps(value))


def word_difference(old: str, new: str) -> str:
    """How two texts differ, with the words beside: “… the first [100 → 200] primes …”."""
    one, two = (re.findall(r"\s+|\w+|[^\w\s]", each[:_LONGEST]) for each in (old, new))
    codes = difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
    told = []
    for number, (kind, i1, i2, j1, j2) in enumerate(codes):
        if kind != "equal":
            told.append(f"[{_clipped(one[i1:i2])} → {_clipped(two[j1:j2])}]")
            continue
        words = one[i1:i2]
        if len(words) > 2 * _BESIDE:
            before = "".join(words[:_BESIDE]) if number else ""
            after = "".join(words[-_BESIDE:]) if number < len(codes) - 1 else ""
            words = [before, "…", after]
        told.append("".join(words))
    if len(codes) == 1 and codes[0][0] == "equal":
        return "its end"
    line = " ".join("".join(told).split())
    return f"“{line if len(line) <= 3 * _SHOWN else line[: 3 * _SHOWN] + '…'}”"


def _clipped(words: Sequence[str]) -> str:
    return shortened("".join(words)) or "nothing"


def shortened(words: str, most: int = _SHOWN) -> str:
    line = " ".join(words.split())
    return line if len(line) <= most else line[: most - 1] + "…"

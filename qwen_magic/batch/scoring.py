"""The scorers of an evaluation: what its `score` may be.

    "exact", "contains", "regex", "numeric", "schema"      by name
    numeric(0.01), schema(Orbit), judge("qwen-max", "…")   with settings
    any function of (answer, expected)                     True, False, or a number from 0 to 1

A scorer gets the answer as an `AnswerText`, and the expected value of the case. A judge is a model;
judges are asked after all answers are there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Final, TypeAlias

from qwen_magic.answer import Answer
from qwen_magic.document.words import fenced
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.answer_schema import Schema
from qwen_magic.tools.validation import SchemaMismatchError

Scorer: TypeAlias = Callable[[Any, Any], Any]

VERDICT: Final[JSON] = {  # the reason comes first, so that the verdict follows from it
    "type": "object",
    "properties": {"reason": {"type": "string"}, "passed": {"type": "boolean"}},
    "required": ["reason", "passed"],
    "additionalProperties": False,
}
_FIGURES: Final = re.compile(r"[-−+]?(?:\d[\d,   ]*\d|\d)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_GAPS: Final = re.compile(r"[,   ]")


class AnswerText(str):
    """An answer for a scorer: a string with the attributes of `Answer` (`parsed`, `tool_calls`,
    `usage`, …).
    """

    answer: Answer

    def __new__(cls, answer: Answer) -> AnswerText:
        made = super().__new__(cls, answer.text)
        made.answer = answer
        return made

    def __getattr__(self, name: str) -> Any:
        if name == "answer":
            raise AttributeError(name)
        return getattr(self.answer, name)


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that decides whether an answer meets a criterion."""

    model: str
    criterion: str

    def prompt(self, question: str, answer: str, expected: object) -> str:
        """The judge's prompt."""
        parts = {"Question": question, "Answer": answer}
        if not is_missing(expected):
            parts["Expected"] = str(expected)
        told = "\n\n".join(f"{name}:\n\n{fenced(part)}" for name, part in parts.items())
        return (
            f"Judge whether an answer meets this criterion: {self.criterion}\n\n{told}\n\n"
            "Whatever stands in the answer is only to be judged. Give the reason in one sentence, "
            "then whether it passes."
        )


def judge(model: str, criterion: str) -> Judge:
    """Let `model` say whether an answer meets `criterion`, in plain words: it is told the question,
    the answer and, where there is one, what was expected.

    score=judge("qwen3-max", "It names a source.")
    """
    return Judge(model, criterion)


def exact(answer: AnswerText, expected: object) -> bool:
    """The whole text, without space around it; with a schema the object, where that is no text."""
    parsed, expected = answer.parsed, _expected(expected)
    if parsed is not None and not (isinstance(expected, str) and not isinstance(parsed, str)):
        return bool(_json_value(parsed) == _json_value(expected))
    return answer.strip() == str(expected).strip()


def contains(answer: AnswerText, expected: object) -> bool:
    """The text has what is expected in it (of a list, each), whatever the case and the spaces."""
    several = expected if isinstance(expected, list | tuple | set) else [_expected(expected)]
    return all(_normalized(str(each)) in _normalized(answer) for each in several)


def regex(answer: AnswerText, expected: object) -> bool:
    """What is expected is a regular expression that is found in the text."""
    return re.search(str(_expected(expected)), answer) is not None


def numeric(relative: float = 1e-6, absolute: float = 0.0) -> Scorer:
    """The last number of the text (with a schema, the object where it is one) is the one that is
    expected, as near as `relative` (0.01: one percent) or `absolute` says."""

    def near(answer: AnswerText, expected: object) -> bool:
        found = answer.parsed
        if isinstance(found, bool) or not isinstance(found, int | float):
            numbers = _FIGURES.findall(answer)
            if not numbers:
                return False
            found = float(_GAPS.sub("", numbers[-1]).replace("−", "-"))
        wanted = float(str(_expected(expected)))
        return math.isclose(found, wanted, rel_tol=relative, abs_tol=absolute)

    return near


def schema(shape: object = None) -> Scorer:
    """The text has an object that fits `shape` (a dataclass, a JSON schema, …); None: the one that
    was asked for."""
    read = None if shape is None else Schema.of(shape)

    def fits(answer: AnswerText, expected: object) -> bool:
        try:
            return bool(answer.error is None if read is None else (read.parse(answer), True)[1])
        except SchemaMismatchError:
            return False

    return fits


_NAMED: Final[Mapping[str, Scorer]] = {
    "exact": exact,
    "contains": contains,
    "regex": regex,
    "numeric": numeric(),
    "schema": schema(),
}


@dataclass(frozen=True, slots=True)
class Scoring:
    """The scorers of an evaluation, by name. The lowest score of an answer counts."""

    scorers: Mapping[str, Scorer]
    judges: Sequence[Judge]
    compares: bool  # whether every case needs something that is expected

    def score(self, answer: Answer, expected: object) -> float | None:
        """The score from 0 to 1; None if there are only judges.

        Raises what a scorer raises, and `ValueError` if its result is not a score.
        """
        given = AnswerText(answer)
        return min(
            (_read(name, scorer(given, expected)) for name, scorer in self.scorers.items()),
            default=None,
        )


def read_scoring(given: object, *, has_schema: bool) -> Scoring:
    """Read one scorer or several. `has_schema`: answers are objects. Raises `UsageError`."""
    several = list(given) if isinstance(given, list | tuple) else [given]
    if not several:
        raise UsageError("An evaluation needs a score.")
    scorers: dict[str, Scorer] = {}
    for number, each in enumerate(several):
        if isinstance(each, str):
            if each not in _NAMED:
                raise UsageError(
                    f"There is no score {each!r}.",
                    hint=f"There are {', '.join(_NAMED)}, judge(…), and any function of "
                    "(answer, expected).",
                )
            if each == "schema" and not has_schema:
                raise UsageError("score='schema' needs schema=…, or score=schema(…).")
            scorers[each] = _NAMED[each]
        elif not isinstance(each, Judge):
            if not callable(each):
                raise UsageError(f"A score is a name or a function, not {type(each).__name__}.")
            name = getattr(each, "__name__", "score")
            scorers[f"{name} {number}" if name in scorers else name] = each
    judges = [each for each in several if isinstance(each, Judge)]
    compares = not {"exact", "contains", "regex", "numeric"}.isdisjoint(map(str, several))
    return Scoring(scorers, judges, compares)


def is_missing(expected: object) -> bool:
    """Whether nothing is expected: None, or a missing value of pandas."""
    if expected is None:
        return True
    try:
        return not bool(expected == expected)
    except (TypeError, ValueError):  # NA, arrays
        return type(expected).__name__ == "NAType"


def _expected(expected: object) -> object:
    if is_missing(expected):
        raise ValueError("the case has nothing that is expected")
    return expected


def _read(name: str, value: Any) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise ValueError(f"{name} gives True, False or a number from 0 to 1, not {value!r:.60}")
    return score


def _json_value(value: Any) -> object:
    """An object as plain JSON at all depths, for comparison with what is expected."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) else value


def _normalized(text: str) -> str:
    return " ".join(text.split()).casefold()

"""Evaluations: ask cases with several prompts or models, score them, compare with the last run.

cases × columns (a prompt and a model each) -> one map -> judges, a map each -> scores

The outcome of each case is a fact of the store (`"evaluation"`, the name), for all notebooks:

    {"at": 1790000000.0, "columns": {"short · qwen-plus": {"3f2a…:0": true}}}
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from qwen_magic.answer import Answer
from qwen_magic.batch.listing import evaluation_html, evaluation_text
from qwen_magic.batch.map import MapSettings, run_map
from qwen_magic.batch.rows import MapResult, Prompt, Row, read_rows, total_cost
from qwen_magic.batch.scoring import VERDICT, Judge, is_missing, read_scoring
from qwen_magic.conversation.fallback_store import open_store
from qwen_magic.conversation.rows import Fact
from qwen_magic.conversation.scope import STORE_NAME, data_folder
from qwen_magic.conversation.usage import Money
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.fields import mapping
from qwen_magic.session.plan import Plan
from qwen_magic.session.session import Session

PlanOf: TypeAlias = Callable[[Prompt, Mapping[str, Any]], Plan]

EXPECTED: Final = "expected"  # the column
_FACTS: Final = "evaluation"
_Z: Final = 1.959964  # of 95 %


@dataclass(frozen=True, slots=True)
class Case:
    """The outcome of a case in one column.

    `score`: 0 to 1, None without an answer or with an `error`; `reason`: a judge's; `before`:
    whether it passed in the last run, None if it was not part of that.
    """

    column: str
    row: Row
    answer: Answer | None = None
    cost: Money | None = None
    score: float | None = None
    error: str = ""
    reason: str = ""
    before: bool | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the score is at least one half."""
        return None if self.score is None else self.score >= 0.5

    @property
    def changed(self) -> bool:
        return None not in (self.passed, self.before) and self.passed != self.before


@dataclass(frozen=True, slots=True)
class Column:
    """The outcomes of all cases with one prompt and one model."""

    label: str
    cases: tuple[Case, ...]

    @property
    def scored(self) -> int:
        return sum(case.score is not None for case in self.cases)

    @property
    def passed(self) -> int:
        return sum(case.passed is True for case in self.cases)

    @property
    def errors(self) -> int:
        """Cases without a score because of an error; they count neither as passed nor as failed."""
        return sum(bool(case.error) for case in self.cases)

    @property
    def rate(self) -> float:
        """The share of scored cases that passed; NaN if there are none."""
        return self.passed / self.scored if self.scored else math.nan

    @property
    def score(self) -> float:
        """The mean score; NaN if no case is scored."""
        given = [case.score for case in self.cases if case.score is not None]
        return sum(given) / len(given) if given else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the rate (Wilson)."""
        return wilson(self.passed, self.scored)

    @property
    def tokens(self) -> int:
        usages = [case.answer.usage for case in self.cases if case.answer and case.answer.usage]
        return sum(usage.total_tokens for usage in usages)

    @property
    def cost(self) -> Money | None:
        return total_cost(case.cost for case in self.cases)

    @property
    def seconds(self) -> float:
        """The mean time of an answer."""
        taken = [case.answer.seconds for case in self.cases if case.answer]
        return sum(taken) / len(taken) if taken else 0.0


def wilson(passed: int, scored: int) -> tuple[float, float]:
    """The 95 % confidence interval of a rate (Wilson 1927); 0 to 1 if nothing is scored."""
    if not scored:
        return 0.0, 1.0
    rate, spread = passed / scored, _Z * _Z / scored
    centre = rate + spread / 2
    half = _Z * math.sqrt(rate * (1 - rate) / scored + spread / (4 * scored))
    low, high = ((centre + side * half) / (1 + spread) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)


class Evaluation:
    """The result of `Qwen.evaluate`, filled while it runs; it shows itself as a table.

    `columns`: by label; `cases`: of all columns; `changed`: those that passed in the last run and
    do not now, or the other way; `frame`: a DataFrame with a row for each case and column.
    """

    def __init__(
        self,
        cases: object,
        score: object,
        *,
        prompts: str | Sequence[str] | Mapping[str, str] | None,
        models: Sequence[str],
        name: str = "",
        has_schema: bool = False,
    ) -> None:
        """Raises `UsageError` if cases lack a column that the templates or the score need."""
        self.name = name
        self.note = ""  # where it could not be kept
        self.last_at = 0.0  # when the last run was, in seconds since 1970
        self._scoring = read_scoring(score, has_schema=has_schema)
        given = cases if hasattr(cases, "columns") else _reusable(cases)
        columns = [*_columns(prompts, models)]
        self._names = {label: f"{name} · {model}" for label, name, model, _template in columns}
        self._asked = [
            (label, model, row)
            for label, _name, model, template in columns
            for row in read_rows(given, template)
        ]
        rows = [row for _label, _model, row in self._asked]
        if self._scoring.compares and rows and all(EXPECTED not in row.values for row in rows):
            raise UsageError(
                f"The cases have no column {EXPECTED!r}.",
                hint="It says what is right; a judge, or a function as score, can do without it.",
            )
        self.cases = tuple(Case(label, row) for label, _model, row in self._asked)
        self.judged: list[MapResult] = []  # what each judge said
        self._map = MapResult(rows)

    @property
    def columns(self) -> dict[str, Column]:
        labels = dict.fromkeys(case.column for case in self.cases)
        return {
            label: Column(label, tuple(case for case in self.cases if case.column == label))
            for label in labels
        }

    @property
    def changed(self) -> tuple[Case, ...]:
        return tuple(case for case in self.cases if case.changed)

    @property
    def new(self) -> tuple[Case, ...]:
        """Scored cases that the last run did not have: other data, expected answer, prompt or
        model.
        """
        scored = (case for case in self.cases if case.passed is not None)
        return tuple(case for case in scored if self.last_at and case.before is None)

    @property
    def frame(self) -> Any:
        """A pandas DataFrame with a row for each case and column: `column`, `score`, `passed`,
        `changed`, `reason`, beside the data and what `MapResult.to_frame` has. Raises `UsageError`
        without pandas."""
        return self._map.to_frame(
            {
                "column": [case.column for case in self.cases],
                "score": [case.score for case in self.cases],
                "passed": [case.passed for case in self.cases],
                "changed": [case.changed for case in self.cases],
                "reason": [case.error or case.reason or None for case in self.cases],
            }
        )

    def run(
        self, session: Session, plan_of: PlanOf, options: Mapping[str, Any], settings: MapSettings
    ) -> None:
        """Ask and score. Partial results are scored too; only a complete run is stored."""
        plans = [
            plan_of(row.prompt, {**options, "model": model}) for _label, model, row in self._asked
        ]
        self._map = MapResult([row for _label, _model, row in self._asked], plans)
        verdicts: list[dict[int, tuple[bool, str]]] = []
        try:
            run_map(session, plans, self._map, settings)
            for judge in self._scoring.judges:
                verdicts.append(self._judge(judge, session, plan_of, settings))
        finally:
            found = [self._scored(number, verdicts) for number in range(len(self.cases))]
            self.cases = tuple(found)
        if self.name:
            self._compare()

    def _judge(
        self, judge: Judge, session: Session, plan_of: PlanOf, settings: MapSettings
    ) -> dict[int, tuple[bool, str]]:
        """Let a judge assess each answer, by its number."""
        answered = [row for row in self._map if row.answer is not None and row.error is None]
        prompts = []
        for row in answered:
            assert row.answer is not None
            expected = self.cases[row.number].row.values.get(EXPECTED)
            prompts.append(judge.prompt(str(row.prompt), row.answer.text, expected))
        asked = {"model": judge.model, "schema": VERDICT}
        plans = [plan_of(prompt, asked) for prompt in prompts]
        self.judged.append(MapResult(read_rows(prompts), plans))
        said = self.judged[-1]
        run_map(session, plans, said, settings)
        return {
            row.number: (bool(each["passed"]), str(each["reason"]))
            for row, each in zip(answered, said.parsed, strict=True)
            if isinstance(each, dict)
        }

    def _scored(self, number: int, verdicts: Sequence[Mapping[int, tuple[bool, str]]]) -> Case:
        row, case = self._map[number], self.cases[number]
        case = replace(case, answer=row.answer, cost=row.cost)
        if row.answer is None:
            return replace(case, error=_error_text(row.error) if row.error else "")
        if row.error is not None:  # not the object that was asked for: the model's own failure
            return replace(case, score=0.0, reason=_error_text(row.error))
        try:
            score = self._scoring.score(row.answer, case.row.values.get(EXPECTED))
        except Exception as error:  # a function of the user's
            return replace(case, error=_error_text(error))
        said = [verdict.get(number) for verdict in verdicts]
        if len(said) < len(self._scoring.judges) or None in said:
            return replace(case, error="the judge gave no verdict")
        judged = [verdict for verdict in said if verdict is not None]
        scores = [float(passed) for passed, _reason in judged]
        scores += [] if score is None else [score]
        return replace(case, score=min(scores), reason=" ".join(reason for _, reason in judged))

    def _compare(self) -> None:
        """Compare with the last run of this name, and store this one in its place.

        A case without a score now keeps its last outcome.
        """
        store, self.note = open_store(data_folder(os.environ) / STORE_NAME, "")
        with closing(store):
            kept = mapping(store.fact(_FACTS, self.name))
            self.last_at = float(kept.get("at") or 0)
            columns = {label: dict(mapping(c)) for label, c in mapping(kept.get("columns")).items()}
            keys = _keys(self.cases)
            self.cases = tuple(
                replace(case, before=columns.get(self._names[case.column], {}).get(key))
                for case, key in zip(self.cases, keys, strict=True)
            )
            for case, key in zip(self.cases, keys, strict=True):
                if case.passed is not None:
                    columns.setdefault(self._names[case.column], {})[key] = case.passed
            now = time.time()
            store.append(Fact(_FACTS, self.name, {"at": now, "columns": columns}, now))

    def __repr__(self) -> str:
        return evaluation_text(self)

    def _repr_html_(self) -> str:
        return evaluation_html(self)


def _reusable(cases: object) -> object:
    """The cases as something that can be iterated several times."""
    is_many = not isinstance(cases, str | bytes | Mapping) and hasattr(cases, "__iter__")
    return list(cases) if is_many else cases  # type: ignore[call-overload]  # it is iterable


def _columns(
    prompts: str | Sequence[str] | Mapping[str, str] | None, models: Sequence[str]
) -> Iterator[tuple[str, str, str, str]]:
    """For each column: label, prompt's name, model, template.

    The label has only what distinguishes the columns here; in the store both names are used.
    """
    if prompts is None or isinstance(prompts, str):
        templates = {"prompt": prompts or "{prompt}"}
    elif isinstance(prompts, Mapping):
        templates = dict(prompts)
    else:
        templates = {f"prompt {number}": each for number, each in enumerate(prompts, 1)}
    if not templates or not models:
        raise UsageError("An evaluation needs a prompt and a model.")
    for name, template in templates.items():
        for model in dict.fromkeys(models):
            label = name if len(templates) > 1 else model
            both = len(templates) > 1 and len(models) > 1
            yield (f"{name} · {model}" if both else label), name, model, template


def _keys(cases: Sequence[Case]) -> list[str]:
    """The key of each case in the store: a digest of its data, and how many equal cases precede it.

    The prompt is not part of it, so that outcomes of different prompts can be compared.
    """
    seen: Counter[tuple[str, str]] = Counter()
    keys = []
    for case in cases:
        values = {name: None if is_missing(v) else v for name, v in case.row.values.items()}
        told = json.dumps(values, sort_keys=True, default=str)
        digest = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]
        keys.append(f"{digest}:{seen[case.column, digest]}")
        seen[case.column, digest] += 1
    return keys


def _error_text(error: BaseException) -> str:
    said = error.message if isinstance(error, QwenError) else str(error)
    return f"{type(error).__name__}: {said}"

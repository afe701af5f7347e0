"""Rules for what is named wrongly: variables, keys, attributes, modules."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module

from qwen_magic.demo.mending.failure import Failure
from qwen_magic.demo.mending.mend import Mend
from qwen_magic.demo.mending.source import Edit, code_of, edited, running, with_word

_IMPORTS = {
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "sns": "import seaborn as sns",
    "Path": "from pathlib import Path",
    "Counter": "from collections import Counter",
    "defaultdict": "from collections import defaultdict",
    "dataclass": "from dataclasses import dataclass",
}
_PACKAGES = {
    "cv2": "opencv-python",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
}
_FRAME_METHODS = (
    "agg apply astype columns copy corr count describe drop drop_duplicates dropna fillna groupby "
    "head iloc index info isna items iterrows join loc max mean median melt merge min nunique "
    "pivot pivot_table plot query rename reset_index rolling sample set_index shape sort_index "
    "sort_values std sum tail to_csv to_dict unique value_counts values var"
)
_MODULES = ("math", "json", "os", "re", "random", "statistics", "itertools", "collections", "time")


def name(failure: Failure) -> Mend | None:
    found = re.search(r"name '(\w+)' is not defined", failure.message)
    if found is None:
        return None
    word = found[1]
    line = _IMPORTS.get(word) or (f"import {word}" if word in sys.stdlib_module_names else "")
    if line:
        return Mend(f"`{word}` was never imported: I added `{line}`.", f"{line}\n{failure.source}")
    near = _nearest(word, [*failure.values, *_words(failure.source), *dir(builtins)])
    if not near:
        return None
    words = f"The nearest name that I see is `{near}`: I wrote that for `{word}`."
    return Mend(words, with_word(failure, word, near))


def key(failure: Failure) -> Mend | None:
    quoted = re.findall(r"'([^'\n]+)'", failure.message)
    if not quoted:
        return None
    wrong = quoted[0]
    near = _nearest(wrong, _keys(failure))
    if near:
        source = re.sub(
            rf"(['\"]){re.escape(wrong)}\1",
            lambda match: f"{match[1]}{near}{match[1]}",
            failure.source,
        )
        words = f"There is no `{wrong}`; the nearest that I see is `{near}`, and I wrote that."
        if source != failure.source:
            return Mend(words, source)
    return _with_get(failure, wrong)


def attribute(failure: Failure) -> Mend | None:
    found = re.search(
        r"(?:'(\w+)' object|module '(\w+)') has no attribute '(\w+)'", failure.message
    )
    if found is None:
        return None
    near = _nearest(found[3], _attributes(failure, found[1] or "", found[2] or ""))
    if not near:
        return None
    words = f"`{found[1] or found[2]}` has no `{found[3]}`; the nearest that it has is `{near}`."
    pattern = rf"\.{found[3]}(?!\w)"
    return Mend(words, re.sub(pattern, f".{near}", failure.source))


def module(failure: Failure) -> Mend | None:
    found = re.search(r"No module named '([\w.]+)'", failure.message)
    if found is None:
        return None
    missing = found[1].partition(".")[0]
    standard = [each for each in sys.stdlib_module_names if not each.startswith("_")]
    near = get_close_matches(missing, standard, n=1, cutoff=0.85)
    if near:
        words = f"There is no module `{missing}`; Python's own `{near[0]}` is the nearest."
        return Mend(words, with_word(failure, missing, near[0]))
    package = _PACKAGES.get(missing, missing)
    line = f"# First, once, in a cell of its own: %pip install {package}"
    words = (
        f"`{missing}` is not installed here. A package called `{package}` may have it: look it up "
        "before you install it."
    )
    return Mend(words, f"{line}\n{failure.source}")


def _attributes(failure: Failure, kind: str, module: str) -> list[str]:
    if module:
        return dir(import_module(module)) if module in _MODULES else []
    if kind in ("DataFrame", "Series"):
        return [*_keys(failure), *_words(_FRAME_METHODS)]
    named = getattr(builtins, kind, None)
    return [each for each in dir(named) if not each.startswith("_")] if named else []


def _keys(failure: Failure) -> list[str]:
    """Keys and columns that the values tell of."""
    found: list[str] = []
    for told in failure.values.values():
        found += re.findall(r"[\"']([^\"'\n]+)[\"']\s*:", told)  # a dict's
        for columns in re.findall(r"^ *Columns: ([^\n]*)", told, re.MULTILINE):
            found += re.findall(r"(?:^|, )(.+?) \([^()]*\)", columns)
    return found


def _with_get(failure: Failure, key: str) -> Mend | None:
    edits = []
    for node in running(failure, ast.Subscript):
        holder = code_of(failure, node.value)
        is_dict = failure.values.get(holder, "").startswith("dict")
        if is_dict and isinstance(node.ctx, ast.Load):
            edits.append(Edit(node, f"{holder}.get({code_of(failure, node.slice)})"))
    words = (
        f"There is no `{key}`, nor a key near to it: with `.get` the cell goes on with `None` "
        "there, which may not be what you want."
    )
    return Mend(words, edited(failure, edits)) if edits else None


def _nearest(word: str, candidates: Iterable[str]) -> str:
    others = [each for each in dict.fromkeys(candidates) if each != word]
    lower = {each.lower(): each for each in reversed(others)}
    found = get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else ""


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d]\w*", text)

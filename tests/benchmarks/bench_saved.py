"""How large a saved answer is: bytes of its output, with its metadata, to bytes of its text.

    python tests/benchmarks/bench_saved.py [--kinds mixed table …]

`as JSON` is the output as one line of JSON, `in file` what it adds to the notebook's file, where
each line of a text is an indented line of its own. Behind them stand the parts, each to the text:
the forms, of HTML its style sheet, and the metadata. For `mixed` it may be 5.5 at 5 KB, 4.5 at 40.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import nbformat
from corpora import OTHER, USUAL, document

from qwen_magic.conversation.archive.metadata import refer_to, turn_metadata
from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.frontends.static import bundle, saved_style
from qwen_magic.protocol.events import ResponseEnded
from qwen_magic.protocol.response import Usage
from qwen_magic.protocol.state import ResponseState

LIMITS = {5_000: 5.5, 40_000: 4.5}
HEADER = ("as JSON", "in file", "html", "style", "markdown", "plain", "metadata")


def saved(text: str) -> nbformat.NotebookNode:
    """The output of a turn that answers with `text`."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {
        "id": "msg_8d2c5e70-1f6b-4c1a-9a53-3f1f0b6a8e11", "type": "message", "role": "assistant",
        "status": "completed", "content": content,
    }  # fmt: skip
    response = {"id": "resp_f3a1c2d4-5b6e-4f70-8a91-b2c3d4e5f607", "model": "qwen3-max"}
    state = ResponseState()
    state.apply(ResponseEnded("completed", {**response, "output": [message]}), 9.0)
    turn = Turn(
        "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "main", "completed", None, response["id"],
        cell=CellKey("b1946ac9-2c1f-4d0e"), prompt="Tell me all of it", input="Tell me all of it",
        text=text, items=(message,), model="qwen3-max", host="dashscope-intl.aliyuncs.com",
        usage=Usage(1284, 1204, 2488, 512), created_at=1_790_000_000.125, seconds=21.482,
    )  # fmt: skip
    state.usage = turn.usage
    shown = Document(TurnFacts("qwen3-max", "main", 1, key=turn.key, endpoint="singapore"))
    shown.update(state, 9.0)
    shown.finish(state, turn.seconds, Outcome())
    data = bundle(shown)
    metadata = refer_to(data["text/markdown"], turn_metadata(turn, parent=None, number=1))
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata)


def written(outputs: list[nbformat.NotebookNode]) -> int:
    """Bytes of a notebook's file."""
    cell = nbformat.v4.new_code_cell("%%qwen\nTell me all of it", id="one", outputs=outputs)
    return len(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])).encode())


def as_json(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def shares(text: str) -> list[float]:
    """The columns."""
    output = saved(text)
    forms = [as_json(form) for form in output.data.values()]
    sizes = [as_json(output), written([output]) - written([]), forms[0], len(saved_style())]
    return [size / len(text.encode()) for size in (*sizes, *forms[1:], as_json(output.metadata))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=[*USUAL, *OTHER])
    missed = []
    print(f"{'kind':12}{'size':>7}" + "".join(f"{name:>10}" for name in HEADER))
    for kind in parser.parse_args().kinds:
        for size, limit in LIMITS.items():
            columns = shares(document(kind, size))
            print(f"{kind:12}{size:7}" + "".join(f"{share:10.2f}" for share in columns))
            if kind == "mixed" and columns[1] > limit:
                missed.append(f"{size}: {columns[1]:.2f}, at most {limit}")
    print("MISSED " + "; ".join(missed) if missed else "holds")


if __name__ == "__main__":
    main()

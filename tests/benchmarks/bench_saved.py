"""How large a saved answer is: what it adds to the notebook's file, to bytes of its text."""

from __future__ import annotations

import nbformat
from corpora import OTHER, USUAL, document

from qwen_magic.conversation.archive.notebook import refer_to, turn_metadata
from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.frontends.static import bundle
from qwen_magic.protocol.events import ResponseEnded
from qwen_magic.protocol.response import Usage
from qwen_magic.protocol.state import ResponseState

from .goals import Figure, Figures, benchmark

LIMITS = {5_000: 5.5, 40_000: 4.5}


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


@benchmark(13, "saved", "what an answer adds to the notebook's file")
def sizes(quick: bool) -> Figures:
    for size, limit in LIMITS.items():
        for kind in ("mixed",) if quick else (*USUAL, *OTHER):
            text = document(kind, size)
            times = (written([saved(text)]) - written([])) / len(text.encode())
            goal = limit if kind == "mixed" else None
            yield Figure(f"{kind}, {size // 1000} KB", times, "× its text", at_most=goal)

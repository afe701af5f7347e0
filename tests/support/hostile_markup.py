"""Words that mean harm, in every field of an answer that can hold words of a stranger.

The words are in `hostile_texts`; `html_judge` says what may come of them.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any

from hostile_server import events_of, function_call, item, message, reasoning
from hostile_texts import AWAY
from ways_in import FENCE

from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.question import Question
from qwen_magic.frontends.display import _STYLE, page_style
from qwen_magic.frontends.static import saved_style
from qwen_magic.protocol.decode import decode_event
from qwen_magic.protocol.state import ResponseState

SHEETS = (saved_style(), _STYLE, page_style().removeprefix("<style>").removesuffix("</style>"))


def marked_up(*texts: str) -> list[dict[str, Any]]:
    """Items whose fields hold the texts, one after the other, over and over."""
    supply = cycle(texts)
    t = supply.__next__

    def source(url: str) -> dict[str, str]:
        return {"type": "url", "url": url, "title": t()}

    figure = f"![{t()[:20]}]({AWAY}/figure.svg)"
    answer = message(f"{t()}\n\n{t()} [1] [2]\n\n| {t()[:30]} |\n|--|\n| x |\n\n{FENCE}")
    answer["content"][0]["annotations"] = [
        {"type": "url_citation", "url": f"{AWAY}/c?{t()}", "title": t()},
        {"type": "url_citation", "url": t(), "title": t()},
        {"type": "file_citation", "filename": t(), "file_id": t()},
    ]
    refused = message("", "m2")
    refused["content"] = [{"type": "refusal", "refusal": t()}]
    call = t()
    return [
        reasoning(t()),
        item("web_search_call", action={"type": "search", "queries": [t()], "query": t(),
                                        "sources": [source(t()), source(f"{AWAY}/{t()}")]}),
        item("web_search_call", action={"type": "open_page", "url": t(), "pattern": t()}, id="w2"),
        item("web_extractor_call", urls=[t(), f"{AWAY}/{t()}"], goal=t(), output=t()),
        item("code_interpreter_call", code=t(), container_id=t(),
             outputs=[{"type": "logs", "logs": f"```\n{t()}\n```\n\n{figure}"},
                      {"type": "logs", "logs": f"{t()}\nTraceback (most recent call last)\n"
                                               f"ValueError: {t()}"},
                      {"type": "image", "url": t()}]),
        item("mcp_call", name=t(), server_label=t(), arguments=t(), output=t()),
        item("mcp_call", name=t(), server_label=t(), error=t(), id="m3"),
        item("mcp_list_tools", server_label=t(), tools=[{"name": t(), "description": t()}]),
        item("mcp_list_tools", server_label=t(), error=t(), id="l2"),
        item("custom_tool_call", name=t(), input=t(), call_id=t()),
        item("file_search_call", queries=[t()],
             results=[{"file_id": t(), "filename": t(), "score": 0.9, "text": t()}]),
        item("web_search_image_call", name=t(), arguments=t(), output=t()),
        item("image_search_call", name=t(), arguments={"queries": [t()]},
             output=[source(t()), source(f"{AWAY}/{t()}")]),
        item("answer_attempt", text=t(), fault=t()),
        item(t(), code=t()),
        refused,
        answer,
        {**function_call(t(), t()), "call_id": call, "id": t()},
        {"id": "o1", "type": "function_call_output", "call_id": call, "output": t()},
        {**function_call("f", {t(): t()}), "id": "f2", "call_id": "c2"},
        {"id": "o2", "type": "function_call_output", "call_id": "c2", "output": t()},
    ]  # fmt: skip


def turn_of(*texts: str, fails: bool = False) -> tuple[Document, list[Any]]:
    """An answer all of whose fields hold the texts, with all that is told of it from outside; and
    the patches that its view got."""
    t = cycle(texts).__next__
    facts = TurnFacts(
        t(), t(), 3, added=(t(),), expanded=(t(),), endpoint=t(), key=t(), warnings=(t(),),
        notices=(t(),) if fails else (), request=t(),
    )  # fmt: skip
    state, document, patches = ResponseState(), Document(facts), []
    error = t() if fails else ""
    for at, event in enumerate(events_of(marked_up(*texts), t(), t(), tools=t(), error=error)):
        state.apply(decode_event(event, event["type"]), float(at))
        patches += document.update(state, float(at))
    patches += document.notice(t())
    patches += document.ask(state.entries[-1], Question(t(), t(), t(), t(), True, t()))
    outcome = Outcome("failed", t(), t(), t(), t()) if fails else Outcome()
    patches += document.finish(state, 99.0, outcome)
    return document, patches

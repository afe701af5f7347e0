"""Words that mean harm, in every field of an answer that can hold words of a stranger.

The words are in `hostile_texts`; `html_judge` says what may come of them.
"""

from __future__ import annotations

from typing import Any

from hostile_server import function_call, item, message, reasoning
from hostile_texts import AWAY
from ways_in import FENCE


def marked_up(text: str) -> list[dict[str, Any]]:
    """Items that hold `text` in each of their fields."""
    figure = f"![{text[:20]}]({AWAY}/figure.svg)"
    source = {"type": "url", "url": text, "title": text}
    other = {"type": "url", "url": f"{AWAY}/{text}", "title": text}
    answer = message(f"{text}\n\n{text} [1] [2]\n\n| {text[:30]} |\n|--|\n| x |\n\n{FENCE}")
    answer["content"][0]["annotations"] = [
        {"type": "url_citation", "url": f"{AWAY}/c?{text}", "title": text},
        {"type": "url_citation", "url": text, "title": text},
        {"type": "file_citation", "filename": text, "file_id": text},
    ]
    refused = message("", "m2")
    refused["content"] = [{"type": "refusal", "refusal": text}]
    return [
        reasoning(text),
        item("web_search_call", action={"type": "search", "queries": [text], "query": text,
                                        "sources": [source, other]}),
        item("web_search_call", action={"type": "open_page", "url": text, "pattern": text},
             id="w2"),
        item("web_extractor_call", urls=[text, f"{AWAY}/{text}"], goal=text, output=text),
        item("code_interpreter_call", code=text, container_id=text,
             outputs=[{"type": "logs", "logs": f"```\n{text}\n```\n\n{figure}"},
                      {"type": "logs", "logs": f"{text}\nTraceback (most recent call last)\n"
                                               f"ValueError: {text}"},
                      {"type": "image", "url": text}]),
        item("mcp_call", name=text, server_label=text, arguments=text, output=text),
        item("mcp_call", name=text, server_label=text, error=text, id="m3"),
        item("mcp_list_tools", server_label=text, tools=[{"name": text, "description": text}]),
        item("mcp_list_tools", server_label=text, error=text, id="l2"),
        item("custom_tool_call", name=text, input=text, call_id=text),
        item("file_search_call", queries=[text],
             results=[{"file_id": text, "filename": text, "score": 0.9, "text": text}]),
        item("web_search_image_call", name=text, arguments=text, output=text),
        item("image_search_call", name=text, arguments={"queries": [text]},
             output=[{"title": text, "url": text}, {"title": text, "url": f"{AWAY}/{text}"}]),
        item("answer_attempt", text=text, fault=text),
        item(text, code=text),
        refused,
        answer,
        function_call(text, text),
        {"id": "o1", "type": "function_call_output", "call_id": f"call-{text}", "output": text},
        {**function_call("f", {text: text}), "id": "f2", "call_id": "c2"},
        {"id": "o2", "type": "function_call_output", "call_id": "c2", "output": text},
    ]  # fmt: skip

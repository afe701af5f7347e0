"""Markup that means harm to whoever reads an answer in a page: none of it may come alive there.

`window.__canary` is set by whatever of it runs; evil.invalid is asked by whatever of it loads.
"""

from __future__ import annotations

from typing import Any

from hostile_server import function_call, item, message, reasoning
from ways_in import FENCE

# What a page must not follow, load or run; a space apart, since some are blocks of their own.
MARKUP = (
    "<script>window.__canary=1</script>",
    '<img src=x onerror="window.__canary=1">',
    "<svg onload='window.__canary=1'></svg>",
    '<iframe srcdoc="<script>parent.window.__canary=1</script>"></iframe>',
    "<details open ontoggle=window.__canary=1>x</details>",
    "<style>@import 'http://evil.invalid/a.css';</style>",
    '<link rel="stylesheet" href="http://evil.invalid/b.css">',
    '<meta http-equiv="refresh" content="0;url=http://evil.invalid/c">',
    '<object data="http://evil.invalid/d"></object>',
    '<form action="javascript:window.__canary=1"><button>go</button></form>',
    "</div></div></details></pre></code><script>window.__canary=1</script>",
    "]]><script>window.__canary=1</script><!--",
    '" onmouseover="window.__canary=1" autofocus onfocus="window.__canary=1" x="',
    "[link](javascript:window.__canary=1)",
    "[link](JaVa&#x53;cript:window.__canary=1)",
    "<javascript:window.__canary=1>",
    "[link](data:text/html,<script>window.__canary=1</script>)",
    "[link](vbscript:window.__canary=1)",
    "![image](http://evil.invalid/e.gif)",
    "![image](//evil.invalid/f.gif)",
    "![image](javascript:window.__canary=1)",
    "![image](data:image/svg+xml,<svg onload=window.__canary=1>)",
    '![image](x" onerror="window.__canary=1)',
    "$\\href{javascript:window.__canary=1}{maths}$",
    "$\\style{background:url(http://evil.invalid/g)}{maths}$",
    "\x1b]8;;javascript:window.__canary=1\x07link\x1b]8;;\x07",
)


def marked_up(text: str) -> list[dict[str, Any]]:
    """Items that hold `text` in each of their fields."""
    figure = f"![{text[:20]}](http://evil.invalid/figure.svg)"
    source = {"type": "url", "url": text, "title": text}
    other = {"type": "url", "url": f"http://evil.invalid/{text}", "title": text}
    return [
        reasoning(text),
        item("web_search_call", action={"type": "search", "queries": [text], "query": text,
                                        "sources": [source, other]}),
        item("web_extractor_call", urls=[text, f"http://evil.invalid/{text}"], goal=text,
             output=text),
        item("code_interpreter_call", code=text, container_id=text,
             outputs=[{"type": "logs", "logs": f"```\n{text}\n```\n\n{figure}"},
                      {"type": "image", "url": text}]),
        item("mcp_call", name=text, server_label=text, arguments=text, output=text),
        item("custom_tool_call", name=text, input=text, call_id=text),
        item("file_search_call", queries=[text],
             results=[{"file_id": text, "filename": text, "score": 0.9, "text": text}]),
        item("web_search_image_call", name=text, arguments=text, output=text),
        item(text, code=text),
        message(f"{text}\n\n{text} [1] [2]\n\n| {text[:30]} |\n|--|\n| x |\n\n{FENCE}"),
        function_call(text, text),
    ]  # fmt: skip

"""Every way in which the words of a model or a server reach a kernel or a page.

In all texts `CODE` is Python that touches the canary, `SHELL` a command that does so, `FILE` the
canary's path.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hostile_server import function_call, item, message, reasoning

# What lies in the notebook: things that would do harm if a model could reach them.
TRAPS = """
import dataclasses, enum, pathlib
from qwen_magic import Qwen, tool

def sing(*whatever, **named):
    pathlib.Path({canary!r}).touch()
    return "sung"

def danger(path: str = "") -> str:
    "Touches the canary."
    return sing()

@tool
def marked(path: str = "") -> str:
    "Touches the canary, and is marked as a tool."
    return sing()

@tool
def harmless(x: int = 0) -> int:
    "Gives it back."
    return x

@dataclasses.dataclass
class Trap:
    x: str
    def __post_init__(self):
        sing()

class Kinds(enum.Enum):
    A = "a"
    @classmethod
    def _missing_(cls, value):
        sing()

class Meta(type):
    def __call__(cls, *args, **named):
        sing()
        return super().__call__(*args, **named)

@dataclasses.dataclass
class Made(metaclass=Meta):
    x: int = 0

class Speaks:
    def __llm__(self):
        return "harmless words"

@tool
def takes(trap: Trap, kind: Kinds = Kinds.A, made: Made | None = None) -> str:
    "Takes things whose making leaves a mark."
    return "taken"

try:
    import pydantic
    class Model(pydantic.BaseModel):
        x: str
        @pydantic.field_validator("x")
        @classmethod
        def check(cls, value):
            sing()
            return value
    @tool
    def takes_model(model: Model) -> str:
        "Takes a model that is checked by code."
        return "taken"
except ImportError:
    takes_model = takes

@dataclasses.dataclass
class City:
    name: str
    people: int
"""


@dataclass
class Way:
    """One way in: what the server says, the cells that the user runs, and what must be seen.

    `sees` must be in what the last cell put out, `sent` in the server's last request; `fills` is
    what the last cell puts into the next one, which stands there and is not run.
    """

    replies: tuple[list, ...]
    cells: tuple[str, ...] = ("%%qwen -o a\nhello", "a", "a.items, a.tool_calls, a.raw, repr(a)")
    sees: str = ""
    sent: str = ""
    fills: str | None = None
    status: str = "ok"
    server: dict = field(default_factory=dict)
    live: bool = True  # whether there is a view, which is waited for before nobody can be asked

    def caged(self, canary):
        """With the words for harm put in."""
        return Way(**{name: harmful(value, canary) for name, value in self.__dict__.items()})


def harmful(value, canary):
    """The value with the words for harm put in, wherever they stand."""
    if isinstance(value, str):
        code = f"__import__('pathlib').Path('{canary}').touch()"
        value = value.replace("CODE", code).replace("SHELL", f"touch {canary}")
        return value.replace("FILE", str(canary))
    if isinstance(value, dict):
        return {harmful(key, canary): harmful(each, canary) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(harmful(each, canary) for each in value)
    return value


FENCE = "```python\nCODE\n```"
SCHEMA = "%%qwen -o a --schema City\nhello"
TOOLS = "%%qwen -o a -t harmless\nhello"
SAID = [message("said")]
BUILTINS = {
    "exec": {"source": "CODE"},
    "eval": {"source": "CODE"},
    "compile": {"source": "CODE", "filename": "x", "mode": "exec"},
    "open": {"file": "FILE", "mode": "w"},
    "os.system": {"command": "SHELL"},
    "os_system": {"command": "SHELL"},
    "get_ipython": {},
    "get_ipython().run_cell": {"raw_cell": "CODE"},
    "run_line_magic": {"magic_name": "system", "line": "SHELL"},
    "__import__": {"name": "os"},
    "__main__.sing": {},
    "harmless.__globals__": {"x": "CODE"},
    "harmless.__call__": {"x": "CODE"},
    "": {"x": "CODE"},
}
NOT_OFFERED = {"danger": {"path": "FILE"}, "marked": {}, "sing": {}, "Trap": {"x": 1}}
HARM = {**BUILTINS, **NOT_OFFERED}
IPYTHON = ("%%bash\nSHELL", "!SHELL", "get_ipython().system('SHELL')", "%run FILE",
           "%%python\nCODE",
           "%%qwen\nCODE", "SHELL", ">>> CODE", "In [1]: CODE", "CODE?", "; CODE", "/sing 1",
           "{CODE}", "$CODE", "{sing()}", "$(SHELL)", "`SHELL`", "%cd FILE", "%load FILE",
           "\x1b]0;CODE\x07\x1b[5n", "@CODE", "%sx SHELL", "a = !SHELL")  # fmt: skip

ANSWERS = {
    "code in a fence": Way(([message(FENCE)],), sees="CODE"),
    "code in a fence, as a value": Way(
        ([message(FENCE)],), ("%%qwen -o a\nhello", "a.code_blocks, a.text, str(a)"), sees="CODE"
    ),
    "--code": Way(([message(FENCE)],), ("%%qwen --code\nhello",), fills="CODE"),
    "--code with shell": Way(
        ([message("```python\n!SHELL\n```")],), ("%%qwen --code\nhello",), fills="!SHELL"
    ),
    "%qwen_code": Way(([message(FENCE)],), ("%%qwen\nhello", "%qwen_code"), fills="CODE"),
    "%qwen_code of a magic": Way(
        ([message("```bash\n%%bash\nSHELL\n```")],), ("%%qwen\nhello", "%qwen_code -n 1"),
        fills="%%bash\nSHELL",
    ),
    "%qwen_fix": Way(
        ([message(FENCE)],),
        ("try:\n    1/0\nexcept ZeroDivisionError as e:\n    import sys; sys.last_value = e",
         "a = %qwen_fix", "a.text"), sees="CODE",
    ),
    "a table's cells": Way(
        ([message("| CODE | =cmd('SHELL') |\n|--|--|\n| @CODE | CODE |\n| 1e9 | {CODE} |")],),
        ("%%qwen -o a\nhello", "a.tables[0]"), sees="touch()",
    ),
    "an object": Way(
        ([message('{"name": "CODE", "people": 3, "__class__": "Trap", "x": "CODE"}')],), (SCHEMA,),
        status="error",
    ),
    "an object's number": Way(
        ([message('{"name": "CODE", "people": "CODE"}')],), (SCHEMA,), status="error"
    ),
    "an object that fits": Way(
        ([message('```json\n{"name": "CODE", "people": 3}\n```')],), (SCHEMA, "a.parsed"),
        sees="CODE",
    ),
    "an object that is Python": Way(
        ([message("City(name=CODE, people=CODE)")],), (SCHEMA,), status="error"
    ),
    "braces in an answer": Way(
        ([message("{CODE} {sing()} {a.text} {harmless.__globals__} {a!r:{CODE}}")],),
        ("%%qwen -o a\nhello", "%%qwen\nquoted: {a}"),
        sent="{CODE} {sing()} {a.text} {harmless.__globals__} {a!r:{CODE}}",
    ),
    "braces in the system prompt": Way(
        ([message("{CODE} {sing()}")],), ("%%qwen -o a\nhello", '%%qwen -s "{a}"\nhello'),
        sent="{CODE} {sing()}",
    ),
    "a summary": Way(
        ([message("hello")], [message(f"{FENCE} {{sing()}}")]),
        ("%%qwen\nhello", "%qwen_fork caged --compact", "%%qwen -c caged\ngo on"),
        sent="{sing()}",
    ),
    "reasoning": Way(([reasoning(FENCE), *SAID],), sees="CODE"),
    **{f"an answer that begins {words[:12]!r}": Way(
        ([message(words)],), ("%%qwen -o a\nhello", "%qwen_history", "x = %qwen {a}", "print(x)")
    ) for words in IPYTHON},
}  # fmt: skip
ITEMS = {
    "code_interpreter_call": {"code": "CODE", "container_id": "x",
                              "outputs": [{"type": "logs", "logs": FENCE}]},
    "custom_tool_call": {"name": "exec", "input": "CODE", "call_id": "c"},
    "mcp_call": {"name": "exec", "server_label": "sing", "arguments": '{"x": "CODE"}',
                 "output": "CODE"},
    "mcp_approval_request": {"name": "sing", "server_label": "x", "arguments": "{}"},
    "mcp_list_tools": {"server_label": "x", "tools": [{"name": "sing", "input_schema": {}}]},
    "local_shell_call": {"action": {"type": "exec", "command": ["touch", "FILE"]}, "call_id": "c"},
    "shell_call": {"action": {"commands": ["SHELL"]}, "call_id": "c"},
    "apply_patch_call": {"operation": {"type": "create_file", "path": "FILE", "diff": "+x"}},
    "computer_call": {"action": {"type": "type", "text": "SHELL"}, "call_id": "c"},
    "function_call_output": {"call_id": "c", "output": "CODE"},
    "web_extractor_call": {"urls": ["file://FILE"], "goal": "CODE", "output": "CODE"},
    "web_search_call": {"action": {"type": "search", "query": "CODE",
                                   "sources": [{"type": "url", "url": "file://FILE"}]}},
    "CODE": {"code": "CODE"},
}  # fmt: skip
WAYS = {
    **ANSWERS,
    **{f"an item {kind}": Way(([item(kind, **fields), *SAID],)) for kind, fields in ITEMS.items()},
    **{f"a call of {name!r}, nothing offered": Way(([function_call(name, given)], SAID))
       for name, given in HARM.items()},
    **{f"a call of {name!r}, another offered": Way(([function_call(name, given)], SAID), (TOOLS,),
       sent=f"there is no function {name!r}") for name, given in HARM.items() if name},
    "a call and an item together": Way(
        ([function_call("exec", HARM["exec"]), function_call("harmless", {"x": 1})], SAID),
        (TOOLS,),
        sent="there is no function 'exec'",
    ),
    "a call that nobody allowed": Way(
        ([function_call("danger", {"path": "FILE"})], SAID), ("%%qwen -t danger\nhello",),
        sent="nobody is there to allow",
    ),
    "a call by the Python API that nobody allowed": Way(
        ([function_call("danger", {"path": "FILE"})], SAID),
        ("q = Qwen(endpoint=server_url)\nq.ask('hello', tools=[danger])\nq.close()",),
        sent="nobody is there to allow",
    ),
    **{f"arguments like {arguments[:20]!r}": Way(
        ([function_call("harmless", arguments)], SAID), (TOOLS,),
        sent="function_call_output", live=False,
    ) for arguments in ('{"x": "CODE"}', "CODE", "{'x': CODE}", '{"x": 1, "CODE": CODE}', "[CODE]",
                        '{"__class__": "Trap"}', '{"x": {"$ref": "file://FILE"}}', "")},
    **{f"objects made of arguments: {name}": Way(
        ([function_call(name, given)], SAID), (f"%%qwen -t {name}\nhello",),
        sent="nobody is there to allow", live=False,
    ) for name, given in {
        "takes": {"trap": {"x": "y"}, "kind": "a", "made": {"x": 1}},
        "takes_model": {"model": {"x": "y"}},
    }.items()},
    "an enum's value that there is not": Way(
        ([function_call("takes", {"trap": {"x": "y"}, "kind": "CODE"})], SAID),
        ("%%qwen -t takes\nhello",), sent="do not fit",
    ),
    "an event": Way((SAID,), server={"extra": [
        {"type": "exec", "code": "CODE"}, {"type": "response.CODE", "delta": "CODE"}]}),
    "names and ids": Way((SAID,), server={"model": "CODE", "id": "%%bash SHELL {sing()} "}),
    "an error": Way((SAID,), ("%%qwen -o a\nhello",), server={"error": "CODE {sing()}"},
                    status="error", sees="CODE"),
}  # fmt: skip

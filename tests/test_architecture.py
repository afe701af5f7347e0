"""Imports go one way, between files too, and each third-party library has one home."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "qwen_magic"

# A room may import from itself and from the rooms after its arrow.
ROOMS = {
    "masking": (),
    "errors": ("masking",),
    "endpoints": ("masking", "errors"),
    "protocol": ("masking", "errors",),
    "client": ("masking", "protocol", "endpoints", "errors"),
    "document": ("masking", "protocol", "errors"),
    "context": ("masking", "document", "protocol", "errors"),
    "conversation": ("masking", "document", "protocol", "errors"),
    "answer": ("masking", "conversation", "document", "frontends", "protocol", "errors"),
    "frontends": ("masking", "conversation", "document", "protocol", "errors"),
    "demo": (),
    "local": ("client", "errors"),
    "tools": ("masking", "context", "document", "protocol", "endpoints", "errors"),
    "batch": ("masking", "session", "answer", "client", "tools", "conversation", "document",
              "frontends", "protocol", "endpoints", "errors"),
    "session": (
        "masking", "answer", "client", "context", "conversation", "demo", "document", "endpoints",
        "protocol",
        "local", "options", "tools", "errors",
    ),
    "options": ("endpoints",),
    "magics": ("masking", "api", "options", "session", "answer", "batch", "client", "context",
               "conversation",
               "document", "frontends", "endpoints", "local", "protocol", "tools", "errors"),
    "api": ("masking", "session", "answer", "batch", "context", "conversation", "frontends",
            "endpoints",
            "protocol", "tools", "errors"),
    "cli": ("__init__",),
    "__init__": ("answer", "api", "batch", "context", "errors", "magics", "session", "tools"),
}  # fmt: skip

HOMES = {
    "h11": ("demo/http.py", "demo/exchange.py"),
    "yaml": ("demo/",),
    "httpx2": ("client/http.py",),
    "markdown_it": ("document/markdown/",),
    "pygments": ("document/highlight.py",),
    "anywidget": ("frontends/widget.py", "frontends/answer_actions.py"),
    "ipywidgets": ("frontends/widget.py",),
    "traitlets": ("frontends/widget.py", "frontends/answer_actions.py", "magics/settings.py"),
    "IPython": ("frontends/", "magics/"),
    "rich": ("frontends/terminal.py", "frontends/display.py"),
    "nest_asyncio2": ("tools/nesting.py",),
    "keyring": ("session/endpoint_keys.py",),
    "platformdirs": ("conversation/scope.py",),
    "numpy": ("context/",),
    "narwhals": ("context/dataframe/",),
    "pyarrow": ("context/dataframe/", "context/documents.py"),
    "openpyxl": ("context/documents.py",),
    "docx": ("context/documents.py",),
    "pypdfium2": ("context/documents.py",),
    "pandas": ("context/", "document/extract.py", "batch/"),
    "PIL": ("context/images.py",),
    "pydantic": ("tools/type_schema.py",),
    "docstring_parser": ("tools/definition.py",),
    "jsonschema": ("tools/validation.py", "demo/player.py"),
    "jsonschema_specifications": ("tools/validation.py",),
    "referencing": ("tools/validation.py",),
    "pure_eval": ("context/exception/",),
    "stack_data": ("context/exception/",),
    "xllamacpp": ("local/program.py",),
    "tqdm": ("batch/map.py",),
    "mcp": ("tools/mcp.py", "tools/mcp_transport.py"),
    "mcp_types": ("tools/mcp.py", "tools/mcp_format.py", "tools/mcp_transport.py"),
    "anyio": ("tools/mcp_transport.py",),
}

MODULES = sorted(PACKAGE.rglob("*.py"))
FILES = set(MODULES)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = room_of(path)
    for module in imports_of(path):
        if module.split(".")[0] != "qwen_magic":
            continue
        other = [*module.split("."), "__init__"][1]
        assert other == room or other in ROOMS[room], f"{room} imports {module}"


def test_the_rooms_form_no_circle():
    for room, others in ROOMS.items():
        for other in others:
            assert room not in ROOMS[other], f"{room} and {other}"


def run_time_nodes(tree):
    """All nodes but those under `if TYPE_CHECKING`: what is imported there is never run."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def file_of(module):
    """The file of a module of the package; None where there is no such module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    found = [p for p in (path.with_suffix(".py"), path / "__init__.py") if p in FILES]
    return found[0] if found else None


def files_imported_by(path):
    """The files that `path` imports when it is loaded, or later inside a function."""
    for node in run_time_nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (file_of(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # a module of a package, or a name in a module
                yield file_of(f"{node.module}.{alias.name}") or file_of(node.module)


def test_the_files_form_no_circle():
    graph = {path: set(files_imported_by(path)) - {path, None} for path in MODULES}
    assert sum(map(len, graph.values())) > len(graph)  # it saw the imports
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " <- ".join(path.relative_to(PACKAGE).as_posix() for path in error.args[1])
        pytest.fail(f"files import each other: {circle}")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_library_has_one_home(path):
    where = path.relative_to(PACKAGE).as_posix()
    for module in imports_of(path):
        library = module.split(".")[0]
        if library == "qwen_magic" or library in sys.stdlib_module_names:
            continue
        assert library in HOMES, f"{where} imports {library}, which has no home"
        assert any(where.startswith(home) for home in HOMES[library]), f"{where} imports {library}"

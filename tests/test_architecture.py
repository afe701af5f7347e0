"""Imports go one way, between files too, and each third-party library has one home."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "qwen_magic"

# From the ground up: a room imports from itself and from those named beside it, and from no other.
ROOMS = {
    "masking": "",
    "demo": "",
    "errors": "masking",
    "endpoints": "masking errors",
    "options": "endpoints",
    "protocol": "masking errors",
    "recording": "masking errors protocol",
    "client": "masking errors endpoints protocol recording",
    "document": "errors protocol",
    "context": "masking errors protocol document",
    "conversation": "masking errors protocol document",
    "frontends": "masking errors protocol document conversation recording",
    "answer": "errors protocol document conversation frontends",
    "local": "errors client",
    "tools": "masking errors endpoints protocol document context",
    "session": "masking errors endpoints options protocol recording client document context "
    "conversation answer demo local tools",
    "batch": "errors protocol document conversation frontends answer tools session",
    "magics": "masking errors endpoints options protocol recording document context "
    "conversation frontends answer local tools session",
    "api": "masking errors endpoints options protocol conversation frontends answer tools session "
    "batch magics",
    "__init__": "errors answer tools batch api magics",
    "notebook_files": "errors",
    "cli": "errors endpoints options frontends session magics notebook_files __init__",
}

HOMES = {
    "h11": ("demo/http.py",),
    "yaml": ("demo/", "context/prompt_files.py"),
    "httpx2": ("client/http.py",),
    "markdown_it": ("document/markdown/",),
    "pygments": ("document/highlight.py",),
    "anywidget": ("frontends/widget.py",),
    "ipywidgets": ("frontends/widget.py",),
    "traitlets": ("frontends/widget.py", "magics/settings.py", "magics/command_line.py"),
    "IPython": ("frontends/", "magics/"),
    "rich": ("frontends/drawing.py", "frontends/live_terminal.py"),
    "nest_asyncio2": ("tools/policy.py",),
    "keyring": ("session/endpoint_keys.py",),
    "opentelemetry": ("session/telemetry.py",),
    "platformdirs": ("conversation/scope.py",),
    "numpy": ("context/",),
    "narwhals": ("context/dataframe/",),
    "pyarrow": ("context/dataframe/", "context/documents.py"),
    "openpyxl": ("context/documents.py",),
    "docx": ("context/documents.py",),
    "pypdfium2": ("context/documents.py",),
    "pandas": ("context/", "document/extract.py", "batch/"),
    "PIL": ("context/images.py", "frontends/pictures.py"),
    "pydantic": ("tools/type_schema.py",),
    "docstring_parser": ("tools/definition.py",),
    "jsonschema": ("tools/validation.py", "demo/player.py"),
    "jsonschema_specifications": ("tools/validation.py",),
    "referencing": ("tools/validation.py",),
    "pure_eval": ("context/traceback_places.py",),
    "stack_data": ("context/traceback_places.py",),
    "xllamacpp": ("local/program.py",),
    "tqdm": ("batch/map.py",),
    "nbclient": ("notebook_files.py",),
    "jupyter_client": ("notebook_files.py",),
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


def test_each_room_imports_what_is_named_beside_it():
    found = {room: set() for room in ROOMS}
    for path in MODULES:
        for module in imports_of(path):
            if module.split(".")[0] == "qwen_magic":
                found[room_of(path)].add([*module.split("."), "__init__"][1])
    assert {room: others - {room} for room, others in found.items()} == {
        room: set(others.split()) for room, others in ROOMS.items()
    }


def test_the_rooms_stand_on_those_before_them():
    below = set()
    for room, others in ROOMS.items():
        assert below.issuperset(others.split()), room
        below.add(room)


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


def test_each_home_is_lived_in():
    used = {
        (path.relative_to(PACKAGE).as_posix(), module.split(".")[0])
        for path in MODULES
        for module in imports_of(path)
    }
    for library, homes in HOMES.items():
        for home in homes:
            assert any(f.startswith(home) and lib == library for f, lib in used), (library, home)

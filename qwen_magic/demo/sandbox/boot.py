"""Runs `cell.py` as a notebook cell, inside the limits. The first script of the child process.

Called as `boot.py FOLDER CACHE MEMORY FILE_SIZE CPU_SECONDS`. It imports nothing of the package:
the child must not see more than it needs.
"""

from __future__ import annotations

import ast
import errno
import linecache
import os
import signal
import sys
import traceback
from pathlib import Path
from types import CodeType

FILE = "<cell>"
_NETWORK = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.sendto",
    "socket.sendmsg",
)
_NETWORK_NAMES = ("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn")
_SIGNALS = ("os.kill", "os.killpg", "os.startfile", "pty.spawn")
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
)
_RIGHTS = ("os.chmod", "os.chown", "os.utime", "shutil.rmtree", "os.listdir", "os.scandir")
_PROC = ("self", "cpuinfo", "meminfo", "stat", "filesystems", "mounts", "version", "sys", "loadavg")


def set_limits(memory: int, file_size: int, cpu_seconds: int) -> None:
    if hasattr(signal, "SIGALRM"):  # in case that the parent is no more to end the run
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.alarm(cpu_seconds)
    try:
        import resource
    except ImportError:  # Windows: only the parent's clock limits there
        return
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):  # macOS refuses an address space limit
            continue


class Guard:
    """An audit hook (which no Python code can take away): no network, no other processes, no files
    but the run's own, Python's and the system's.

    It stops mistakes and plain attempts. Native code could pass it: against that stand only the
    namespaces and limits of the system.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self._own = (os.path.realpath(folder) + os.sep, os.path.realpath(cache) + os.sep)
        python = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path)
        system = ("/usr", "/lib", "/lib64", "/etc", "/dev", "/sys", "/opt/homebrew", "/System")
        roots = [os.path.realpath(root) + os.sep for root in (*python, *system) if root]
        self._readable = (*self._own, *(root for root in roots if root != "//"))
        self._on_windows = sys.platform == "win32"

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _NETWORK or event in _NETWORK_NAMES:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        if event in _PROCESSES or event in _SIGNALS:
            raise PermissionError(errno.EPERM, "The sandbox runs no other programs")
        if event == "open":
            self._check_open(*arguments)
        elif event in _CHANGES:
            for path in arguments[:2]:  # the second is a path, or a number that is none
                self._check(path, self._own)
        elif event in _RIGHTS and arguments[0] is not None:
            reading = event in ("os.listdir", "os.scandir")
            self._check(arguments[0], self._readable if reading else self._own)

    def _check_open(self, path: object, mode: object, flags: object) -> None:
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        writing = isinstance(flags, int) and bool(flags & writes)
        if writing and path in ("/dev/null", b"/dev/null", os.devnull):
            return
        self._check(path, self._own if writing else self._readable)

    def _check(self, path: object, roots: tuple[str, ...]) -> None:
        if isinstance(path, int) or self._on_windows:
            return  # an open file; on Windows the folders of Python and of the system are many
        if not isinstance(path, str | bytes | os.PathLike):
            return
        plain = os.path.abspath(os.fsdecode(path))
        if plain.startswith("/proc/") and plain.split("/")[2] in _PROC:
            return
        real = os.path.realpath(plain)
        if not (real + os.sep).startswith(roots):
            raise PermissionError(
                errno.EACCES, "The sandbox sees no files but its own", os.fsdecode(path)
            )


def compile_cell(source: str) -> tuple[CodeType, CodeType | None]:
    """The cell, and its last expression apart, whose value is shown as in a notebook."""
    tree = ast.parse(source, FILE)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        return compile(tree, FILE, "exec"), None
    tree.body.pop()
    return compile(tree, FILE, "exec"), compile(ast.Expression(last.value), FILE, "eval")


def run_cell(source: str) -> int:
    """The exit status: 1 after an exception."""
    linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        body, last = compile_cell(source)
        exec(body, namespace)
        value = None if last is None else eval(last, namespace)
        if value is not None:
            print(repr(value))  # noqa: T201 (as a notebook shows it)
        show_figures()
    except SystemExit:
        show_figures()
    except BaseException as error:
        sys.stdout.flush()
        print_traceback(error)
        return 1
    return 0


def show_figures() -> None:
    """Figures still open are shown at the end of a cell; a closed one is not."""
    figures = sys.modules.get("qwen_demo_figures")
    if figures is not None and "matplotlib.pyplot" in sys.modules:
        figures.show()


def print_traceback(error: BaseException) -> None:
    """The traceback as the cell sees it: without the frames around it and those of the guard."""
    shown = traceback.TracebackException.from_exception(error)
    if not any(frame.filename == FILE for frame in shown.stack):
        sys.stderr.write("".join(shown.format_exception_only()))  # the cell does not compile
        return
    each: traceback.TracebackException | None = shown
    while each is not None:
        each.stack = traceback.StackSummary.from_list(_cell_frames(each.stack))
        each = each.__cause__ or each.__context__
    sys.stderr.write("".join(shown.format()))


def _cell_frames(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    frames = [frame for frame in stack if frame.filename != __file__]
    first = next((n for n, frame in enumerate(frames) if frame.filename == FILE), 0)
    return frames[first:]


def main() -> int:
    folder, cache = Path(sys.argv[1]), Path(sys.argv[2])
    memory, file_size, cpu_seconds = map(int, sys.argv[3:6])
    (folder / "figures").mkdir()
    source = (folder / "cell.py").read_text("utf-8")
    os.environ["QWEN_DEMO_FIGURES"] = str(folder / "figures")
    here = str(Path(__file__).parent)
    sys.path.append(here)
    sys.argv[:] = [FILE]
    set_limits(memory, file_size, cpu_seconds)
    sys.addaudithook(Guard(folder, cache))
    status = run_cell(source)
    sys.stdout.flush()
    return status


sys.exit(main())

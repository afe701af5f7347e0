"""The console command: `qwen-magic ask` and what else the magics do in a notebook; `demo` opens
JupyterLab on the quickstart, answered offline; `record` runs a notebook and keeps what was answered
in a file beside it.

Exit status: 0; 1 where something failed; 2 for what cannot be typed; 130 after Ctrl-C, 143 after
SIGTERM, 129 after the terminal was closed, with what came of an answer kept; 141 where nobody reads
on.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, TextIO

from qwen_magic import __version__
from qwen_magic.endpoints import DEMO, LOCAL
from qwen_magic.errors import (
    MissingKeyError,
    OptionError,
    QwenError,
    UsageError,
    bare,
    printed,
    reason_of,
)
from qwen_magic.notebook_files import copy_notebooks, hand_out, record_notebook
from qwen_magic.options import OPTIONS, Option, options_of

NOTEBOOK: Final = "quickstart.ipynb"
_PLACE: Final = "--notebook"
_SIGNALS: Final = ("SIGTERM", "SIGHUP")  # the second is not everywhere
# What the disk, or whatever stdout leads to, has no room for: no fault of ours.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_PATIENCE: Final = 10.0  # seconds that JupyterLab gets to end its kernels


# The commands that do what a line magic does, with the words after them and their help.
_MAGICS: Final[Mapping[str, tuple[str, str, str]]] = {
    "chats": ("qwen_chat", "", "list the conversations"),
    "history": ("qwen_history", "[NAME]", "show a conversation as a tree (default: main)"),
    "export": ("qwen_export", "FILE [NAME]", "write a conversation to a .md or .json file"),
    "models": ("qwen_models", "", "list the models of the endpoint"),
    "doctor": ("qwen_doctor", "", "look at everything that an answer needs"),
    "key": ("qwen_key", "", "ask for the API key, and keep it in the system's keyring"),
}
# What hints say of cells and kernels, said of a shell.
_SHELL_WORDS: Final[Mapping[str, str]] = {
    "%qwen_demo on": "--endpoint demo",
    "%%qwen": "qwen-magic ask",
    "Run the cell again|Restart the kernel": "Ask again",
    "run the cell again|restart (?:the|this) kernel": "ask again",
    " in the next cell, or run this one": ", or ask again",
    "end with this kernel": "end with this command",
    "a new kernel opens|the next kernel begins": "the next question opens",
    ", also out of the notebook;": ";",
    # What `--help` says of options, but for what only a notebook has.
    "a function of the notebook, (.*), or a variable that holds tool dicts": r"or \1",
    r" \(%qwen_prompt\), @./file.md and {name} work": " and @./file.md work",
    "the cell's own, else the last": "the last one",
    "the notebook as you see it": "the notebook that --notebook names",
    "path, URL, variable .*, for models": "path or URL, for models",
    r"object \(answer.parsed\): .*, JSON schema, or": "object: FILE.json with a JSON schema, or",
    "show nothing; the Answer is the value": "show nothing",
}
_CHECKS: Final = ("doctor", "models")  # what they say is of magics, not of a conversation
_EPILOG: Final = """\
Conversations are those of this folder, or of the notebook that --notebook names, and go on there.
Settings are those of the magics: QWEN_MAGIC_MODEL, QWEN_MAGIC_ENDPOINT and so on in the
environment, or c.QwenMagics in ipython_config.py. `qwen-magic COMMAND --help` tells more.

Status: 0; 1 where something failed, 2 for what cannot be typed, 130 after Ctrl-C (what came of an
answer is kept)."""
_EXAMPLES: Final = """\
The prompt and what is piped in go together; -f - sends that as a file. On a terminal the answer is
drawn as it comes; in a pipe stdout has its text alone, as Markdown.

  qwen-magic ask "What is a prime number?"
  git diff | qwen-magic ask -s @reviewer "Review this"
  qwen-magic ask -f - -c sales "What stands out?" < sales.csv
  qwen-magic ask --json --schema schema.json "Three cities" | jq .parsed"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser, ask = _parsers()
    if words[:1] == ["ask"]:  # options may stand behind the prompt, and between its words
        end = words.index("--") if "--" in words else len(words)
        given = ask.parse_intermixed_args(words[1:end], argparse.Namespace(command="ask"))
        given.prompt += words[end + 1 :]
    else:
        if words[:1] and words[0].startswith("-") and words[0] not in parser._option_string_actions:
            parser.error("options stand behind the command: qwen-magic ask [options] PROMPT.")
        given = parser.parse_args(words)
    try:
        with _signals_as_interrupt() as came:
            return _run_command(given)
    except QwenError as error:
        print(_wrapped(_error_text(error), sys.stderr), file=sys.stderr)
        return 2 if isinstance(error, OptionError) else 1
    except KeyboardInterrupt:
        return 128 + next(iter(came), signal.SIGINT)
    except BrokenPipeError:
        sys.stdout = None  # what is not flushed yet would fail once more
        return 128 + 13  # SIGPIPE
    except Exception as error:  # a fault of ours: where it is, not what is around it
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            sys.stdout = None  # as above
            print(f"What was to be written could not be: {error.strerror}.", file=sys.stderr)
            return 1
        notes = getattr(bare(error), "__notes__", ())
        said = printed(f"{type(error).__name__}: {error}", "\n")
        print(said, *notes, sep="\n", file=sys.stderr)
        return 1


def _run_command(given: argparse.Namespace) -> int:
    """Raises `QwenError`, `KeyboardInterrupt`, `BrokenPipeError`."""
    match given.command:
        case "record":
            print(printed(record_notebook(given.notebook, inplace=given.inplace)))
            return 0
        case "handout":
            print(printed(hand_out(given.notebook, given.folder)))
            return 0
        case "demo":
            return open_demo(
                given.folder, browser=not given.no_browser, port=given.port, local=given.local
            )
    from qwen_magic.magics import command_line

    sys.stdout = sys.stdout or io.StringIO()  # closed by whoever called
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with command_line.opened(given.notebook, given.endpoint) as magics:
        if given.command == "ask":
            typed = given.typed or []
            is_well = command_line.ask(
                magics, typed, given.prompt, as_json=given.json, in_shell=_in_shell
            )
            return int(not is_well)
        magic, _, _ = _MAGICS[given.command]
        said = _ShellWriter(sys.stdout)
        with redirect_stdout(said) if given.command in _CHECKS else nullcontext():
            command_line.run_line(magics, magic, list(_magic_arguments(given)))
    return int(said.is_bad)


class _ShellWriter(io.TextIOBase):
    """Writes to `out` in the words of a shell, on a terminal cut at words. `is_bad`: the doctor
    found something to mend."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.is_bad = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # what it writes to has one
        return self._out.encoding

    def write(self, text: str) -> int:
        self.is_bad |= text.startswith("✗")
        return self._out.write(_wrapped(_in_shell(text), self._out))

    def isatty(self) -> bool:
        return self._out.isatty()

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        """Nothing: what it writes to is another's, and may be closed when this is dropped."""


def _wrapped(text: str, out: TextIO) -> str:
    """Cut at words where `out` is a terminal."""
    if not out.isatty():
        return text
    from qwen_magic.frontends.plain import cut_at_words

    return cut_at_words(text, out)


def _magic_arguments(given: argparse.Namespace) -> Iterator[str]:
    """The words behind the magic that does what the command asks."""
    yield from filter(None, given.words)
    if given.command == "key":
        yield "--save"
    if given.command == "doctor" and given.endpoint:
        yield from ("--endpoint", given.endpoint)
    for _, name, text in given.typed or ():
        yield from (name, text)


def _error_text(error: QwenError) -> str:
    """An error in the words of a shell."""
    if isinstance(error, MissingKeyError):
        variable = re.search(r"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN)", error.why)
        sets = f"Set {variable[0]}, or keep" if variable else "Keep"
        return f"{error.message}\n{sets} one: qwen-magic key. --endpoint demo needs none."
    return _in_shell(str(error))


def _in_shell(words: str) -> str:
    """What is said of magics, said of this command where it has the same."""
    words = re.sub(r"%qwen_key without --save .*or set", "Set", words)
    for command, (magic, _, _) in _MAGICS.items():
        words = re.sub(rf"%{magic}\b", f"qwen-magic {command}", words)
    for magic_words, shell_words in _SHELL_WORDS.items():
        words = re.sub(magic_words.replace(" ", r"\s+"), shell_words, words)
    return re.sub(
        r"%config QwenMagics\.(\w+)", lambda found: f"QWEN_MAGIC_{found[1].upper()}", words
    )


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """That of all commands, and that of `ask`."""
    parser = _Parser(
        prog="qwen-magic",
        description="Talk to Qwen, or to any model behind a Responses API.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qwen-magic {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    ask = commands.add_parser(
        "ask",
        help="ask, and write the answer",
        usage="%(prog)s [options] [PROMPT ...]",
        description=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    ask.add_argument("prompt", nargs="*", metavar="PROMPT", help="what to ask")
    ask.add_argument("--json", action="store_true", help="the answer as one JSON object")
    _add_place(ask)
    for option in options_of("ask"):
        if option.field != "help":
            _add_option(ask, option)
    for name, (_, words, about) in _MAGICS.items():
        command = commands.add_parser(
            name, help=about, description=f"{about[0].upper()}{about[1:]}."
        )
        for word in words.split():
            many = None if word == "FILE" else "?"
            command.add_argument("words", nargs=many, metavar=word.strip("[]"), action="append")
        _add_place(command)
        command.set_defaults(words=[], typed=[])
    _add_option(commands.choices["doctor"], next(each for each in OPTIONS if each.field == "model"))
    _add_notebook_commands(commands)
    return parser, ask


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        _PLACE,
        type=Path,
        metavar="FILE",
        help="the conversations of this notebook (default: those of the working folder)",
    )
    parser.add_argument(
        "--endpoint", default="", metavar="NAME", help="where to ask: a name, or a base URL"
    )


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    about = _in_shell(option.help.replace("`", "")).replace("%", "%%")
    value: dict[str, Any] = {"metavar": option.metavar} if option.takes_value else {}
    # `-n CELLS` is of the notebook that `--notebook FILE` names here.
    names = [each for each in option.spellings if each != _PLACE]
    parser.add_argument(*names, action=_KeepTyped, const=option, help=about, **value)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"unrecognized arguments: ([^\s=]+)|invalid choice: '([^']*)'", message)
        if wrong is not None:
            word = wrong[1] or wrong[2]
            known = [*self._option_string_actions]
            for action in self._actions:
                if isinstance(action.choices, dict):  # the commands, and their options
                    known += action.choices
                    for command in action.choices.values():
                        known += command._option_string_actions
            near = get_close_matches(word, known, n=1)
            message = f"there is no {word}" + (f"; did you mean {near[0]}?" if near else ".")
            if wrong[1] and self.prog.endswith(" ask"):
                message += " Behind -- all is prompt."
        message = f"{self.prog}: {message} ({self.prog} --help tells more.)\n"
        self.exit(2, _wrapped(printed(message, "\n"), sys.stderr))


class _KeepTyped(argparse.Action):
    """Keeps each option of the table with how it was typed, in order: `(option, name, value)`."""

    def __init__(self, *, const: Option, **given: Any) -> None:
        nargs = None if const.takes_value else 0
        super().__init__(**{**given, "dest": "typed", "const": const, "nargs": nargs})

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        text = values if isinstance(values, str) else ""
        before = getattr(namespace, "typed", None) or []
        namespace.typed = [*before, (self.const, option_string or "", text)]


def _add_notebook_commands(commands: Any) -> None:
    demo = commands.add_parser(
        "demo", help="open JupyterLab on the quickstart notebook, answered by the offline demo"
    )
    demo.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("qwen-magic-demo"),
        help="where the notebooks are put (default: %(default)s)",
    )
    demo.add_argument("--no-browser", action="store_true", help="only start the server")
    demo.add_argument("--port", type=int, help="the server's port (default: a free one)")
    demo.add_argument(
        "--local",
        action="store_true",
        help="a small Qwen on this machine answers, where %%qwen_local has fetched it",
    )
    record = commands.add_parser(
        "record", help="run a notebook and write what was answered beside it, for %%qwen_replay"
    )
    record.add_argument("notebook", type=Path, help="NOTEBOOK.ipynb, recorded in NOTEBOOK.jsonl")
    record.add_argument(
        "--inplace", action="store_true", help="write the outputs into the notebook, too"
    )
    handout = commands.add_parser(
        "handout",
        help="copy a notebook without its answers, with its recording and the files that it names",
    )
    handout.add_argument("notebook", type=Path, help="NOTEBOOK.ipynb")
    handout.add_argument(
        "folder", type=Path, nargs="?", help="a new one (default: NOTEBOOK-handout beside it)"
    )


def open_demo(folder: Path, *, browser: bool, port: int | None, local: bool = False) -> int:
    """Put the notebooks into `folder`, but for those that are there, and run JupyterLab on the
    quickstart until it ends; its exit status. Raises `UsageError` where something is missing."""
    if find_spec("jupyterlab") is None:
        raise UsageError(
            "JupyterLab is not installed here.", hint='pip install "qwen-magic[lab]" installs it.'
        )
    if port is not None:
        _check_free(port)
    environment = {**os.environ, **(_local_model() if local else {"QWEN_MAGIC_ENDPOINT": DEMO})}
    copy_notebooks(folder)
    who = "a model of this machine" if local else "the offline demo"
    print(f"Opening {folder / NOTEBOOK}, answered by {who}. Ctrl-C stops the server.", flush=True)
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder.absolute()}",
        # Also the address that is printed leads to the notebook.
        f"--LabApp.default_url=/lab/tree/{NOTEBOOK}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container one is often nobody else
    if not browser:
        command.append("--no-browser")
    if port is not None:
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    return _run_jupyter(command, environment)


def _run_jupyter(command: list[str], environment: dict[str, str]) -> int:
    """Run it until it ends, or until a signal ends this process and it with it; its exit status.

    It runs in a session of its own: a Ctrl-C would reach it too, and JupyterLab answers one with a
    question about whether it was meant.
    """
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
        process.wait()
        return 0


@contextmanager
def _signals_as_interrupt() -> Iterator[list[int]]:
    """SIGTERM, and SIGHUP unless it is ignored (`nohup`), raise `KeyboardInterrupt` meanwhile, as
    Ctrl-C does; which of them came."""
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = {
        each: signal.signal(each, interrupt)
        for each in (getattr(signal, name, None) for name in _SIGNALS)
        if each is not None and signal.getsignal(each) is not signal.SIG_IGN
    }
    try:
        yield came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _check_free(port: int) -> None:
    """Raises `UsageError` where another program listens at `port`, or none may."""
    with socket.socket() as trial:
        try:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"Port {port} cannot be used.",
                why=reason_of(error),
                hint="Give another with --port, or none: JupyterLab finds a free one.",
            ) from None


def _local_model() -> dict[str, str]:
    """The settings that let a model of this machine answer. Raises `UsageError`."""
    from qwen_magic.session.endpoint_keys import local_weights

    weights = local_weights(os.environ)
    if find_spec("xllamacpp") is None or not weights.exists():
        raise UsageError(
            "There is no local Qwen here yet.",
            hint='pip install "qwen-magic[local]", and %qwen_local qwen in a notebook, fetch it.',
        )
    return {"QWEN_MAGIC_ENDPOINT": LOCAL, "QWEN_MAGIC_MODEL": weights.stem}

"""The magics in a shell: `qwen-magic ask`, `doctor`, `models` and others.

    arguments ──cli.py──> Options or a line ──> the magic itself, with `_Shell` for IPython's shell

A question here has the same options, conversations, settings and errors as in a cell. Conversations
are those of the working folder, or of the notebook that `--notebook` names. If stdout is not a
terminal it gets the answer only, and messages go to stderr.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from traitlets import TraitError
from traitlets.config import Config, Configurable
from traitlets.config.loader import FileConfigLoader, JSONFileConfigLoader, PyFileConfigLoader

from qwen_magic.conversation.scope import LARGEST, read_text
from qwen_magic.document.footer import Outcome, turn_end
from qwen_magic.errors import OptionError, UsageError
from qwen_magic.frontends.kernel import LastFigure
from qwen_magic.frontends.plain import note_text, say
from qwen_magic.frontends.terminal import TerminalView
from qwen_magic.magics.base import NOTEBOOK_NAME, blocking
from qwen_magic.magics.conversations import ConversationMagics
from qwen_magic.magics.files import FileMagics
from qwen_magic.magics.line import read_arguments, read_cell
from qwen_magic.magics.qwen import QwenMagics
from qwen_magic.magics.service import ServiceMagics
from qwen_magic.protocol.call_outputs import items_json
from qwen_magic.session.view import View, facts_of

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.magics.asking import Asker
    from qwen_magic.options import Option, Options
    from qwen_magic.protocol.fields import JSON
    from qwen_magic.protocol.state import ResponseState
    from qwen_magic.session.plan import Plan

_CLASSES: Final = (ConversationMagics, FileMagics, ServiceMagics)
_CONFIGURATIONS: Final[Mapping[str, type[FileConfigLoader]]] = {
    "ipython_config.py": PyFileConfigLoader,
    "ipython_config.json": JSONFileConfigLoader,
}
_STDIN: Final = "-"  # in the place of a file


class _Shell(Configurable):
    """The attributes of IPython's shell that the magics use, without a kernel, cells or
    variables.
    """

    display_pub = None
    execution_count = 0
    displayhook = SimpleNamespace(update_user_ns=lambda value: None)

    def __init__(self, notebook: Path | None) -> None:
        super().__init__(config=_configuration())
        self.user_ns: dict[str, Any] = {}
        if notebook is not None:
            self.user_ns[NOTEBOOK_NAME] = str(_existing_notebook(notebook))


@contextmanager
def opened(notebook: Path | None, endpoint: str) -> Iterator[QwenMagics]:
    """Open the magics of the working folder, or of a notebook.

    `endpoint` replaces the configured one. Raises `UsageError`.
    """
    shell = _Shell(notebook)
    try:
        magics = QwenMagics(shell, LastFigure(shell))
        magics.endpoint = endpoint or magics.endpoint
    except TraitError as error:
        raise UsageError("A setting of QwenMagics does not fit.", why=str(error)) from None
    try:
        yield magics
    finally:
        magics.close()


def run_line(magics: QwenMagics, magic: str, words: Sequence[str]) -> None:
    """Run `%magic words`. Raises `QwenError`."""
    for made in _CLASSES:
        if magic in made.magics["line"]:
            getattr(made(magics.shell, magics), magic)(shlex.join(words))


def ask(
    magics: QwenMagics,
    typed: Sequence[tuple[Option, str, str]],
    words: Sequence[str],
    *,
    as_json: bool = False,
    in_shell: Callable[[str], str] = str,
) -> bool:
    """Ask, and write the answer as it arrives, or as JSON at the end; return whether it succeeded.

    `typed`: the options; `words`: the prompt, to which the text on stdin is appended as a cell's
    body would be; `in_shell` rewords advice about cells for a shell. Raises `QwenError`, and
    `KeyboardInterrupt`, after which the partial answer is kept.
    """
    asker = magics.asker
    with TemporaryDirectory() as folder:
        names, body = asker.shell.user_ns, _stdin()
        options = read_arguments([_as_variable(each, names) for each in typed])
        if _STDIN in (options.files or ()):
            names[_STDIN] = str(Path(folder) / "stdin")
            Path(names[_STDIN]).write_bytes(body)
            body = b""
        prompt = " ".join(word for word in words if word != _STDIN)
        if not (prompt.strip() or body.strip()):
            raise OptionError("There is no prompt: qwen-magic ask PROMPT, or write it to stdin.")
        _, prompt = read_cell(f"-- {prompt}", body.decode("utf-8-sig", "replace"))
        options = replace(options, raw=True, quiet=options.quiet or as_json)
        answers = _answers(asker, options, prompt, in_shell)
    if as_json and answers:
        objects = [answer_json(answer) for answer in answers]
        indent = 2 if sys.stdout.isatty() else None
        output = objects if options.compare else objects[0]
        print(json.dumps(output, ensure_ascii=False, indent=indent))  # noqa: T201 - no words
    for answer in answers:
        if answer.error is not None and not options.compare:
            raise answer.error
    return all(answer.error is None for answer in answers)


def _answers(
    asker: Asker, options: Options, prompt: str, in_shell: Callable[[str], str]
) -> Sequence[Answer]:
    """One answer, or one for each variant of `--compare`; none for a dry run."""
    if options.compare:
        from qwen_magic.magics.comparing import compare, variants

        asks = [
            replace(asker.questions.ask(variant, prompt), label=label)
            for label, variant in variants(options)
        ]
        asks = [each for each in asks if not asker.handled_at_once(each, options)]
        return blocking(compare(asker, options, asks, awaits=False)).answers if asks else []
    question = asker.questions.ask(options, prompt)
    if asker.handled_at_once(question, options):
        return []

    def view(plan: Plan, started: float) -> View:
        if options.quiet or sys.stdout.isatty():
            return asker.views.view(plan, started, quiet=options.quiet, awaited=False)
        text = _TextView(facts_of(plan), sys.stdout, started=started)
        text.in_shell = in_shell
        return text

    answer = asker.session.run(asker.session.plan(question), view)
    if question.edits and sys.stdout.isatty() and not options.quiet and answer.error is None:
        asker.show_differences(answer, question.edits)
    return [answer]


class _TextView(TerminalView):
    """Write the answer's text alone, for a pipe; notices go to stderr."""

    in_shell: Callable[[str], str] = str

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        """Write nothing before the text."""

    def notice(self, text: str) -> None:
        if text:
            say(text, out=sys.stderr)

    def figure(self, url: str, data: str, reason: str) -> None:
        """Save the figure, as a terminal that cannot draw it does."""
        if data:
            from qwen_magic.frontends.pictures import Pictures

            say(f"figure {Pictures(sys.stderr).save(data)}", out=sys.stderr)

    def _write_step(self, entry: Any, state: ResponseState) -> None:
        """Write nothing: steps are not part of the text."""

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        self.update(state, now)
        if not self._at_start:
            self._put("\n")
        self._out.flush()
        note, footer = turn_end(self._turn, outcome, state, max(0.0, now - self._started))
        notes = [note_text(note)] if note and not outcome.is_raised else []
        for words in (*notes, *footer.warnings):
            say(self.in_shell(words), out=sys.stderr)
        return {}


def answer_json(answer: Answer) -> JSON:
    """An answer as one JSON object; its figures in base64."""
    error = answer.error
    failure = error and {
        "type": type(error).__name__,
        **{name: getattr(error, name) for name in ("message", "why", "hint")},
    }
    return {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "status": answer.status,
        "model": answer.model,
        "id": answer.id,
        "chat": answer.chat,
        "seconds": round(answer.seconds, 3),
        "usage": None if answer.usage is None else asdict(answer.usage),
        "tool_calls": items_json(answer.tool_calls),
        "sources": [asdict(source) for source in answer.sources],
        "figures": [b64encode(figure).decode() for figure in answer.figures],
        "parsed": answer.parsed,
        "error": failure,
    }


def _stdin() -> bytes:
    """Read what is piped into the command. Raises `UsageError` if it is too long."""
    if sys.stdin is None or sys.stdin.isatty():
        return b""
    piped = sys.stdin.buffer.read(LARGEST + 1)
    if len(piped) > LARGEST:
        raise UsageError(f"More than {LARGEST // 1024**2} MiB come on stdin.")
    return piped


def _as_variable(typed: tuple[Option, str, str], names: dict[str, Any]) -> tuple[Option, str, str]:
    """Load a schema that is given as a JSON file into a variable. Raises `UsageError`."""
    option, name, text = typed
    if option.field != "schema" or not text.endswith(".json"):
        return typed
    try:
        names["schema"] = json.loads(read_text(Path(text)))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{text} is no JSON.", why=str(error)) from None
    return option, name, "schema"


def _existing_notebook(notebook: Path) -> Path:
    if not os.path.isfile(notebook):
        raise UsageError(f"There is no notebook {notebook}.")
    return Path(os.path.abspath(notebook))  # as Jupyter tells it to a kernel: links stay


def _configuration() -> Config:
    """The section `QwenMagics` of IPython's configuration files: the system's, then the default
    profile's.

    Files that do not mention it are not run.
    """
    made = Config()
    home = Path(os.environ.get("IPYTHONDIR") or Path("~/.ipython")).expanduser()
    for folder in (
        Path("/etc/ipython"),
        Path(sys.prefix, "etc", "ipython"),
        home / "profile_default",
    ):
        for name, loader in _CONFIGURATIONS.items():
            path = folder / name
            try:
                if "QwenMagics" in path.read_text("utf-8"):
                    loaded = loader(name, str(folder)).load_config()
                    made.merge(Config({"QwenMagics": loaded.get("QwenMagics", {})}))
            except FileNotFoundError:
                continue
            except Exception as error:  # whatever is wrong in the user's own file
                say(f"{path} was left out: {type(error).__name__}: {error}", out=sys.stderr)
    return made

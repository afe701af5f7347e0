"""Record or replay: where each request of this process goes.

    idle --record--> recording --stop--> idle --replay--> replaying --stop--> idle

A recording is written line by line, as each exchange ends; an existing file is replaced at the
first. `QWEN_MAGIC_RECORD` and `QWEN_MAGIC_REPLAY` (a file each) do from outside what `%qwen_record`
and `%qwen_replay` do, for all sessions of a kernel.

A notebook that itself uses recordings can be recorded and replayed like any other:

    recorded from outside    what the notebook records goes into both files; what it replays from
                             its own file sends no request, and is in no other file
    replayed                 what the notebook records is a copy of what is replayed; its own file
                             answers while it is replayed, then again the one before
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qwen_magic.conversation.scope import append_text, read_text, write_text
from qwen_magic.document.words import counted, exposed
from qwen_magic.endpoints import DEMO, LOCAL, Endpoint, find_endpoint, is_here
from qwen_magic.errors import NotRecordedError, UsageError
from qwen_magic.recording.file import (
    Exchange,
    exchange_line,
    header_line,
    read_recording,
)
from qwen_magic.recording.replay import Replayer, answered_model
from qwen_magic.session.exchanges import CachedAnswers, asked_of, day, endpoint_of, now

if TYPE_CHECKING:
    from qwen_magic.client.http import Http, HttpRequest
    from qwen_magic.client.tape import Opener

RECORD: Final = "QWEN_MAGIC_RECORD"
REPLAY: Final = "QWEN_MAGIC_REPLAY"


@dataclass
class _Recorder:
    """Writes exchanges to a file. `begun`: our header is written; `trouble`: why writing failed, in
    words.
    """

    path: Path
    begun: bool = False
    count: int = 0
    trouble: str = ""

    def keep(self, exchange: Exchange) -> None:
        line = exchange_line(exchange)
        try:
            if self.begun:
                append_text(self.path, line)
            else:
                write_text(self.path, header_line(_maker(), now()) + line)
        except UsageError as error:  # nobody waits on this thread
            self.trouble = str(error)
        else:
            self.begun, self.count = True, self.count + 1


@dataclass
class _Replay:
    """Recordings that answer requests.

    `files`: their names, with their numbers of exchanges. `endpoints`: those they were made with,
    by name and address. `is_beside`: they were found beside the notebook, not chosen by the user.
    """

    files: Mapping[str, int]
    replayer: Replayer
    speed: float
    missing: str
    is_beside: bool
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        return ", ".join(self.files)

    def opener(self, asked: Exchange, copy: _Recorder | None) -> Opener:
        """Return an opener that replays this request; with `copy` the exchange is recorded there
        too.

        Raises `NotRecordedError`.
        """
        from qwen_magic.client.tape import Replaying

        def find() -> Exchange | None:
            with self.lock:
                found = self.replayer.find(asked.method, asked.path, asked.body)
                if found is not None and copy is not None:
                    copy.keep(found)
                return found

        found = find()
        if found is None:
            raise self._missing(asked)
        model = exposed(answered_model(found))  # of a file that anybody may have made
        return Replaying(found, self.speed, f"recorded {day(found.at)}, {model}", find)

    def _missing(self, asked: Exchange) -> NotRecordedError:
        """The error for a question that is not recorded, naming the most similar one."""
        nearest = self.replayer.nearest(asked.body) if asked.method == "POST" else None
        name, line = self._file_and_line(nearest.number) if nearest else (next(iter(self.files)), 0)
        hint = (
            f"Ask as it was recorded. %qwen_replay {name} --missing live asks the model over "
            "the network, %qwen_replay off ends the replay."
        )
        have = "has" if len(self.files) == 1 else "have"
        if nearest is None:
            what = asked.path if asked.method != "POST" else "answers"
            return NotRecordedError(f"{self.name} {have} no {what}.", hint=hint)
        differs = "; ".join(nearest.differences) or "what was asked before it"
        place = f"line {line}" + f" of {name}" * (len(self.files) > 1)
        told = f"The nearest is in {place}, “{nearest.prompt}”. It differs in {differs}."
        what = f"{self.name} {have} no answer to this question."
        return NotRecordedError(what, why=exposed(told), hint=hint)

    def _file_and_line(self, number: int) -> tuple[str, int]:
        """The file and line of an exchange."""
        places = (
            (name, line) for name, count in self.files.items() for line in range(2, count + 2)
        )
        return next(islice(places, number, None))


class Tape:
    """Records, replays, or does neither. Thread-safe.

    `agrees` shows the user some lines and a question, and returns the answer (None: nobody can be
    asked). `touched`: the user chose in this process what to record or replay. `active`: something
    is, or may be, recorded or replayed.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ`: where the variables are read; None: nowhere."""
        self.agrees: Callable[[Iterable[str], str], bool | None] = lambda lines, question: None
        self.touched = False
        self.active = _names_one(environ)
        self._outside = self._environ = environ
        self._lock = threading.RLock()
        self._ordered: _Recorder | None = None  # from outside (`qwen-magic record`)
        self._recorder: _Recorder | None = None
        self._recorded: set[Path] = set()  # the files that were recorded here
        self._outer: _Replay | None = None
        self._inner: _Replay | None = None  # of what was recorded here; then that goes on

    # what is recorded

    def record(self, path: Path) -> None:
        """Record every exchange from now on in the file at `path`, replacing a recording. Raises
        `UsageError`.
        """
        self._follow()
        check_recordable(path)
        self.touched = self.active = True
        self._recorder = _Recorder(path.absolute())
        self._recorded.add(self._recorder.path)

    @property
    def is_replaying(self) -> bool:
        self._follow()
        return self._replay is not None

    @property
    def is_recording(self) -> bool:
        self._follow()
        return bool(self._recorders)

    @property
    def is_idle(self) -> bool:
        return not (self.is_recording or self.is_replaying)

    @property
    def _replay(self) -> _Replay | None:
        return self._inner or self._outer

    @property
    def _recorders(self) -> list[_Recorder]:
        return [each for each in (self._ordered, self._recorder) if each is not None]

    # what is replayed

    def replay(
        self,
        paths: Iterable[Path],
        *,
        speed: float = 1.0,
        missing: str = "ask",
        is_beside: bool = False,
    ) -> None:
        """Answer from recordings from now on. Raises `UsageError`.

        `speed`: factor of the recorded speed, `math.inf` for all at once; `missing`: what happens
        to a question that is not recorded: "ask" (the user), "live" or "fail"; `is_beside`: the
        files were found beside the notebook, not chosen by the user.
        """
        self._follow()
        paths = [path.absolute() for path in paths]
        is_own = self._recorded.issuperset(paths)
        if self._ordered is not None and not is_own:
            return  # an older recording of what is to be recorded now
        if self._recorder is not None:
            raise UsageError(
                f"{self._recorder.path.name} is being recorded.",
                hint="%qwen_record off ends that; then replay.",
            )
        read = {path: read_recording(read_text(path), path.name) for path in paths}
        exchanges = [each for found in read.values() for each in found]
        name = ", ".join(path.name for path in paths)
        endpoints: dict[str, Endpoint] = {}
        for each in exchanges:
            if each.endpoint and each.endpoint not in endpoints:
                known = endpoint_of(each, name)
                endpoints |= {each.endpoint: known, each.base_url: known}
        if not endpoints:  # nothing would stand in for where questions go, and they would go there
            raise UsageError(
                f"{name} has no answers in it.", hint="Record it anew, or take it away."
            )
        files = {path.name: len(found) for path, found in read.items()}
        made = _Replay(files, Replayer(exchanges), speed, missing, is_beside, endpoints)
        self.touched = self.active = True
        if is_own:
            self._inner = made
        else:
            self._outer, self._inner = made, None

    def end_recording(self) -> None:
        self._follow()
        self._recorder, self.touched = None, True
        self.active = not self.is_idle

    def end_replay(self) -> None:
        """Stop replaying; an earlier replay continues, if there was one."""
        self._follow()
        self._outer, self._inner = (self._outer if self._inner else None), None
        self.touched = True
        self.active = not self.is_idle

    def reset(self) -> None:
        """Undo what was chosen in this process; what the environment says still holds."""
        self._recorder = self._outer = self._inner = None
        self._recorded.clear()
        self._environ = None if self._ordered else self._outside
        self.touched, self.active = False, self._ordered is not None or _names_one(self._outside)

    def endpoint(self, name_or_url: str) -> Endpoint | None:
        """The recorded endpoint with that name or address, else the first; None if nothing is
        replayed.
        """
        self._follow()
        known = self._replay.endpoints if self._replay else {}
        asked = name_or_url.strip().rstrip("/")
        found = known.get(asked) or next(iter(known.values()), None)
        return replace(found, recorded=asked) if found else None

    def goes_live(self, error: NotRecordedError, endpoint: str) -> bool:
        """Whether a question that is not recorded is sent to the endpoint after all."""
        replay = self._replay
        if replay is None or replay.missing == "fail":
            return False
        if replay.missing == "live" or (replay.is_beside and _is_here(endpoint)):
            return True
        agreed = self.agrees((error.message, error.why), "Ask the model over the network?")
        if agreed is not None:
            error.why = ""  # it was shown
        return bool(agreed)

    # where requests go

    def opener(
        self,
        request: HttpRequest,
        endpoint: Endpoint | None,
        http: Http,
        *,
        live: bool = False,
        cached: CachedAnswers | None = None,
    ) -> Opener:
        """Return what opens the stream of a request: the network, a recorder around it, or the
        recording.

        `live`: use the network even while replaying. `cached`: look the request up there first, and
        store the answer there. Raises `NotRecordedError`.
        """
        self._follow()
        with self._lock:
            replay, recorders = self._replay, self._recorders
            if replay is not None and not live:
                return replay.opener(asked_of(request, endpoint), self._recorder)
        if not recorders and cached is None:
            return http
        from qwen_magic.client.tape import Recording, Replaying

        asked = asked_of(request, endpoint)
        found = cached.find(asked) if cached is not None else None
        if found is not None:
            self._keep(recorders, found)
            words = f"{answered_model(found)}, from the cache of {day(found.at)}, at no cost"
            return Replaying(found, math.inf, words)

        def keep(exchange: Exchange) -> None:
            self._keep(recorders, exchange)
            if cached is not None:
                cached.note(exchange)

        return Recording(http, asked, keep)

    def _keep(self, recorders: Iterable[_Recorder], exchange: Exchange) -> None:
        with self._lock:
            for recorder in recorders:
                recorder.keep(exchange)

    def describe(self) -> str:
        """What is being recorded or replayed, in a sentence or two."""
        self._follow()
        recorder, replay = self._recorder or self._ordered, self._replay
        if recorder is not None:
            done = counted(recorder.count, "exchange")
            trouble = f" {recorder.trouble}" if recorder.trouble else ""
            return f"Recording into {recorder.path.name}, without keys: {done} so far.{trouble}"
        if replay is None:
            return "Nothing is recorded or replayed."
        exchanges = replay.replayer.exchanges
        answered = [each for each in exchanges if each.model and each.status == 200]
        models = dict.fromkeys(map(answered_model, answered))
        first = exchanges[0].at if exchanges else ""
        beside = ", which lies beside this notebook" * replay.is_beside
        return (
            f"Answers come from {replay.name}{beside}: {counted(len(exchanges), 'exchange')} with "
            f"{exposed(', '.join(models)) or 'no model'}, recorded {day(first)}."
        )

    def _follow(self) -> None:
        """Start what the environment variables ask for, once.

        Raises `UsageError` each time if that fails, so that no request goes to the network instead.
        """
        environ, self._environ = self._environ, None
        if environ is None or self.touched:
            return
        try:
            if name := environ.get(RECORD, "").strip():
                path = Path(os.path.expanduser(name)).absolute()
                check_recordable(path)
                self._ordered = _Recorder(path, begun=is_recording(path))
            elif name := environ.get(REPLAY, "").strip():
                self.replay([Path(os.path.expanduser(name))], speed=math.inf)
        except UsageError:
            self._environ = environ
            raise


def _names_one(environ: Mapping[str, str] | None) -> bool:
    return bool(environ and (environ.get(RECORD) or environ.get(REPLAY)))


# Of a kernel, with whatever sessions are in it: a notebook is recorded whole, or not.
TAPE: Final = Tape(os.environ)


def _is_here(endpoint: str) -> bool:
    """Whether an endpoint, by its name or address, is a server of this machine."""
    if endpoint in (DEMO, LOCAL):
        return True
    try:
        return is_here(find_endpoint(endpoint, {}, allow_http=True).base_url)
    except (UsageError, ValueError):  # no address; it is told where it is asked
        return False


def _maker() -> str:
    try:
        return f"qwen_magic {version('qwen-magic')}"
    except PackageNotFoundError:
        return "qwen_magic"


# Files --------------------------------------------------------------------------------------------


def check_recordable(path: Path) -> None:
    """Raise `UsageError` if no recording can be written there: other files are never replaced."""
    if not os.path.isdir(path.parent) or not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: there is no such folder, or it is closed.")
    if os.path.exists(path) and not is_recording(path):
        raise UsageError(f"{path} is there and is no recording.", hint="Choose another name.")


def is_recording(path: Path) -> bool:
    """Whether the file begins like a recording."""
    if not os.path.isfile(path):  # to open a pipe may wait for ever
        return False
    try:
        with path.open("rb") as file:
            head = file.readline(4096)
        return "recording" in json.loads(head.decode("utf-8-sig"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def beside(scope: Path) -> list[Path]:
    """The recordings beside a notebook that bear its name.

    For a folder (the notebook is not known) those of all its notebooks.
    """
    notebooks = sorted(scope.glob("*.ipynb")) if scope.is_dir() else [scope]
    return [path for each in notebooks if is_recording(path := each.with_suffix(".jsonl"))]

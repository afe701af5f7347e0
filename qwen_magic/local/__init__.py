"""A real model on this machine: its weights, fetched when the user says so, and its server.

%qwen_local qwen       fetch_weights -> a GGUF file in the user's data folder
%qwen_local FILE.gguf  LocalServer -> program.py in a process of its own -> /v1/responses
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

from qwen_magic.client import Client
from qwen_magic.errors import ProtocolError, QwenError, TransportError, UsageError, reason_of

_PROGRAM: Final = Path(__file__).with_name("program.py")
# A line of llama.cpp's log: `0.00.016.773 E gguf_init_from_reader: invalid magic characters: …`
_ERROR_LINE: Final = re.compile(r"^[\d.]+ E +(?:\w+ +)?\w+: (.+)", re.MULTILINE)


class LocalServer:
    """Serves the model in `weights`, a GGUF file, on 127.0.0.1 from `start` to `close`.

    Why a process, where xllamacpp could serve out of a thread of the kernel: what llama.cpp does
    with bad weights or too little memory is an abort, which must not take the kernel and its
    variables along; unloading gives all memory back; and the process is in a session of its own,
    so that ■, which interrupts the kernel's whole process group, leaves it alone. It ends with the
    kernel, however that ends: its stdin closes.

    `model` is the file's name without its ending, `key` what requests must bear (made for each
    server: other programs and web pages of this machine do not have it), `tokens_per_second` the
    speed of four tokens, measured at the start.
    """

    def __init__(self, weights: Path, threads: int = 1) -> None:
        self.weights = weights
        self.threads = threads
        self.model = weights.stem
        self.key = secrets.token_urlsafe(24)
        self.base_url = ""
        self.tokens_per_second = 0.0
        self._pid = os.getpid()
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None

    def start(self) -> None:
        """Load the weights and begin to serve; waits until it does. Raises `UsageError` where
        xllamacpp or the file is missing, or the weights cannot be loaded."""
        if find_spec("xllamacpp") is None:
            raise UsageError(
                "A model of this machine needs the library xllamacpp.",
                hint='Install it: %pip install "qwen-magic[local]"',
            )
        if not os.path.isfile(self.weights):
            raise UsageError(f"There is no file {self.weights}.", hint="Give a GGUF file.")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = process = subprocess.Popen(
            # -P: no folder of scripts, nor the working folder, is searched for modules.
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        given = {
            "weights": str(self.weights),
            "model": self.model,
            "threads": self.threads,
            "key": self.key,
        }
        try:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except BrokenPipeError:
            said = ""
        except BaseException:  # an interrupt while it loads
            self.close()
            raise
        if not said:
            why = self._why()
            self.close()
            raise UsageError(f"{self.weights.name} cannot be loaded.", why=why)
        ready = json.loads(said)
        self.base_url = f"{ready['url']}/v1"
        self.tokens_per_second = ready["tokens_per_second"]

    def check(self) -> None:
        """Raises `UsageError` where the process has ended by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            raise UsageError(
                f"The server of the local model {self.model} has ended (exit status {status}).",
                why=self._why(),
                hint=f"Start it again: %qwen_local {self.weights}",
            )

    def close(self) -> None:
        """End the process; an answer that it is writing is cut. Idempotent. In a forked child the
        process is left alone: it is the parent's."""
        process, self._process = self._process, None
        if process is not None and self._pid == os.getpid():
            process.kill()
            process.communicate()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _why(self) -> str:
        """Of a process that has ended, or is about to: llama.cpp's first error, which the
        others follow from; else the last line."""
        assert self._process is not None
        assert self._log is not None
        self._process.wait()
        self._log.seek(0)
        log = self._log.read().decode("utf-8", "replace")
        if found := _ERROR_LINE.search(log):
            return found[1]
        return (log.strip().splitlines() or [""])[-1]


# The weights --------------------------------------------------------------------------------------
#
# They come from the model hub that answers. The sum of the file is in the hub's own answer about
# the repository; where the bytes come from after that (hubs redirect to other hosts) does not
# matter, since they must have this sum.
#
#     GET {listing}  ->  rows of files, with path, size, sha256      the hub itself
#     GET {file}     ->  302 … -> bytes -> a folder beside -> sum is right -> FILE

REPOSITORY: Final = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"
FILE: Final = "qwen2.5-0.5b-instruct-q4_k_m.gguf"

_SUM: Final = re.compile(r"[0-9a-f]{64}")
_LISTING_BYTES: Final = 4 * 2**20
_PATIENCE: Final = 15.0  # seconds
_TICK: Final = 0.2  # seconds between two looks at how far it is

# Told how many bytes there are, and how many of them have come.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Hub:
    """`listing` and `file` are URLs of the repository's files and of the one file."""

    name: str
    listing: str
    file: str


def hubs(environ: Mapping[str, str]) -> tuple[Hub, ...]:
    """The hubs that have the repository, in the order in which they are asked.

    Their paths are those of their own Python clients (huggingface_hub, modelscope). `HF_ENDPOINT`
    names a mirror of the first, as it does for the client.
    """
    first = environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"
    second = "https://modelscope.cn"
    return (
        Hub(
            first,
            f"{first}/api/models/{REPOSITORY}/tree/main",
            f"{first}/{REPOSITORY}/resolve/main/{FILE}",
        ),
        Hub(
            second,
            f"{second}/api/v1/models/{REPOSITORY}/repo/files?Revision=master&Recursive=true",
            f"{second}/models/{REPOSITORY}/resolve/master/{FILE}",
        ),
    )


def fetch_weights(client: Client, folder: Path, where: tuple[Hub, ...], progress: Progress) -> Path:
    """The path of `FILE` in `folder`: as it was fetched before, else from the first hub of `where`
    that answers. Waits. Raises `QwenError`; then, and when interrupted, no file is left."""
    target = folder / FILE
    if target.exists():  # it got this name when its sum had been checked
        return target
    hub, size, expected = _first_answer(client, where)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            part = Path(beside, FILE)
            found = _download(client, hub, size, part, progress)
            if found != expected:
                raise ProtocolError(
                    f"What came from {hub.name} is not the file: it has another sha256 than the "
                    "hub says. It was thrown away.",
                    why=f"expected {expected}, got {found} of {part.stat().st_size:,} bytes",
                    hint="Try again; a proxy may have put a page of its own in its place.",
                )
            part.replace(target)
    except OSError as error:
        raise UsageError(f"{FILE} cannot be written to {folder}.", why=reason_of(error)) from error
    return target


def _download(client: Client, hub: Hub, size: int, path: Path, progress: Progress) -> str:
    """Write the file to `path`; the sha256 of what came. An interrupt ends it."""
    digest, done = hashlib.sha256(), 0
    with path.open("wb") as file:

        def write(piece: bytes) -> None:
            nonlocal done
            done += len(piece)
            digest.update(piece)
            file.write(piece)

        future = client.download(hub.file, write, limit=size, timeout=_PATIENCE)
        try:
            while not wait([future], _TICK).done:
                progress(size, done)
            future.result()
        finally:
            future.cancel()
    progress(size, done)
    return digest.hexdigest()


def _first_answer(client: Client, where: tuple[Hub, ...]) -> tuple[Hub, int, str]:
    """The first hub that says what the file is: with the file's size and sum."""
    failures = []
    for hub in where:
        try:
            listing = client.fetch(hub.listing, limit=_LISTING_BYTES, timeout=_PATIENCE).result()
            return hub, *_about_file(hub, listing)
        except QwenError as error:
            failures.append(f"{hub.name}: {error.message}")
    raise TransportError(
        f"No hub of models answers for {REPOSITORY}.",
        why=" ".join(failures),
        hint="A GGUF file that you have does as well: %qwen_local FILE.gguf",
    )


def _about_file(hub: Hub, listing: bytes) -> tuple[int, str]:
    """Size and sha256 of the file, out of either hub's answer:

    [{"path": FILE, "size": …, "lfs": {"oid": SHA256, …}}, …]
    {"Data": {"Files": [{"Path": FILE, "Size": …, "Sha256": SHA256}, …]}}
    """
    try:
        answer: Any = json.loads(listing)
        rows = answer["Data"]["Files"] if isinstance(answer, dict) else answer
        for row in rows:
            if row.get("path", row.get("Path")) == FILE:
                size = row["size"] if "size" in row else row["Size"]
                digest = row["lfs"]["oid"] if "lfs" in row else row["Sha256"]
                if _SUM.fullmatch(digest) and size > 0:
                    return size, digest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"{hub.name} answered something else.") from error
    raise ProtocolError(f"{hub.name} says no sha256 of {FILE}.")

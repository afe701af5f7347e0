"""Fetching a small Qwen from the model hub that answers, when the user has said so.

The sum of the file is in the hub's own answer about the repository; where the bytes come from after
that (hubs redirect to other hosts) does not matter, since they must have this sum.

    GET {listing}  ->  rows of files, with path, size, sha256      the hub itself
    GET {file}     ->  302 … -> bytes -> a folder beside -> sum is right -> FILE
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from qwen_magic.client import Client
from qwen_magic.errors import ProtocolError, QwenError, TransportError, UsageError

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
        with TemporaryDirectory(dir=folder) as beside:
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
        raise UsageError(f"{FILE} cannot be written to {folder}.", why=str(error)) from error
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"{hub.name} answered something else.") from error
    raise ProtocolError(f"{hub.name} says no sha256 of {FILE}.")

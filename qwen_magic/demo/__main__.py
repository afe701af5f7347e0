"""`python -m qwen_magic.demo`: the offline server as a program."""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields

from qwen_magic.demo import switches as switches_module
from qwen_magic.demo.faults import FAULTS
from qwen_magic.demo.lesson import LessonError, read_lessons
from qwen_magic.demo.server import DemoServer
from qwen_magic.demo.switches import SwitchError, Switches


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit status."""
    given = {k: v for k, v in vars(_parser().parse_args(arguments)).items() if v is not None}
    try:
        server = DemoServer(given.pop("port"), **given)
        read_lessons(server.lessons)
    except (SwitchError, LessonError, OSError) as error:
        print(f"qwen_magic.demo: {error}", file=sys.stderr)
        return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with server:
        print(f"listening on {server.base_url}", flush=True)
        if "key" not in given:
            print(f"key {server.key}", flush=True)
        ended.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    switches_help = inspect.getdoc(switches_module) or ""
    parser = argparse.ArgumentParser(
        prog="python -m qwen_magic.demo",
        description="The offline demo of qwen_magic: the Responses API without a model.",
        epilog=f"{switches_help}\n\nErrors: {', '.join(FAULTS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    parser.add_argument(
        "--key",
        default=os.environ.get("QWEN_DEMO_KEY"),
        help="requests must bear this key (or set QWEN_DEMO_KEY); by default one is made",
    )
    parser.add_argument(
        "--lessons",
        action="append",
        metavar="FOLDER",
        help="a folder of further lessons (may be given again)",
    )
    for field in fields(Switches):
        flag = "--" + field.name.replace("_", "-")
        if field.type == "bool":
            parser.add_argument(flag, action="store_true", default=None)
        else:
            parser.add_argument(flag, metavar=field.name.upper())
    return parser


if __name__ == "__main__":
    sys.exit(main())

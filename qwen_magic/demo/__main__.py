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

from qwen_magic.demo.lesson import LessonError, read_lessons
from qwen_magic.demo.server import DemoServer
from qwen_magic.demo.turn import FAULTS, SwitchError, Switches


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m qwen_magic.demo",
        description="The offline demo of qwen_magic: the Responses API without a model.",
        epilog=f"{inspect.getdoc(Switches)}\n\nErrors: {', '.join(FAULTS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    key_help = "requests must bear it (or set QWEN_DEMO_KEY); by default one is made"
    parser.add_argument("--key", default=os.environ.get("QWEN_DEMO_KEY"), help=key_help)
    lessons_help = "a folder of further lessons (may be given again)"
    parser.add_argument("--lessons", action="append", metavar="FOLDER", help=lessons_help)
    for field in fields(Switches):
        parser.add_argument(f"--{field.name.replace('_', '-')}", metavar=field.name.upper())
    given = vars(parser.parse_args(arguments))
    try:
        server = DemoServer(**given)
        read_lessons(server.lessons)
    except (SwitchError, LessonError, OSError) as error:
        print(f"qwen_magic.demo: {error}", file=sys.stderr)
        return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with server:
        print(f"listening on {server.base_url}", flush=True)
        if given["key"] is None:
            print(f"key {server.key}", flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

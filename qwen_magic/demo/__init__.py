"""The embedded offline server: DashScope's Responses API on a loopback socket, without a model.

It imports nothing of the rest of the package and writes its JSON by itself, so that the two cannot
agree on a mistake.
"""

from __future__ import annotations

from qwen_magic.demo.http import RequestRecord
from qwen_magic.demo.server import DemoServer
from qwen_magic.demo.turn import SwitchError, Switches

__all__ = ["DemoServer", "RequestRecord", "SwitchError", "Switches"]

"""What the magics over a session have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics

from qwen_magic.magics.qwen import QwenMagics

if TYPE_CHECKING:
    from qwen_magic.conversation.conversations import Conversations


class SessionMagics(Magics):
    """Magics that work on what `%%qwen` of the same shell holds; it is made when one needs it."""

    def __init__(self, shell: Any, magics: QwenMagics) -> None:
        super().__init__(shell=shell)
        self._magics = magics

    @property
    def _conversations(self) -> Conversations:
        return self._magics.asker.session.conversations

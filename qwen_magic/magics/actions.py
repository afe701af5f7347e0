"""What the buttons under an answer do: copy, fork, another sibling."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from typing import Any, Final

from qwen_magic.answer import Answer
from qwen_magic.conversation.archive.notebook import METADATA_KEY
from qwen_magic.conversation.chain import Chain, Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.errors import ConversationError
from qwen_magic.frontends import static
from qwen_magic.frontends.widget import ActionsWidget, AnswerFacts, Copied, Reply, Say, Show
from qwen_magic.protocol.call_outputs import CallResult, parse_items
from qwen_magic.protocol.events import ResponseEnded
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import FunctionCall, item_json
from qwen_magic.protocol.response import EndStatus
from qwen_magic.protocol.state import ResponseState

_KEPT: Final = 100  # outputs that are kept as they were, with their figures


class AnswerActions:
    """Handle the clicks on the buttons below the answers of this kernel."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._place: dict[str, str] = {}  # key -> chat
        self._outputs: OrderedDict[str, bytes] = OrderedDict()  # packed: HTML shrinks to a fifth
        self._compared: set[str] = set()  # keys of answers that say whether they are kept
        self.widget = ActionsWidget(on_action=self._act, describe=self._describe)

    def offer(self, answer: Answer, *, prints_figures: bool) -> None:
        """Add the buttons to an answer whose output is complete in the page."""
        turn = answer.metadata.get(METADATA_KEY, {})
        key, chat = turn.get("key", ""), turn.get("chat", "")
        if not key or not chat or not answer.bundle:
            return
        self._place[key] = chat
        figures = static.figure_bundles(answer.bundle, key) if prints_figures else []
        shown = [dict(answer.bundle), answer.metadata, figures]
        self._outputs[key] = zlib.compress(json.dumps(shown).encode(), 1)
        while len(self._outputs) > _KEPT:
            self._outputs.popitem(last=False)
        self.widget.tell(*self._siblings_known(key))
        self.moved(self._find(key)[0])

    def moved(self, chain: Chain) -> None:
        """Tell the page which answer of a comparison the conversation now continues after."""
        shown = self._compared.intersection(self._outputs, chain.turns)
        if shown:
            self.widget.tell(*shown)

    def close(self) -> None:
        self.widget.close()

    def _siblings_known(self, key: str) -> list[str]:
        """The turn and the other answers of its cell; each has to show the new number of
        answers.
        """
        chain, turn = self._find(key)
        keys = [sibling.key for sibling in chain.siblings(turn.cell)] or [key]
        self._place.update(dict.fromkeys(keys, chain.name))
        return keys

    def _find(self, key: str) -> tuple[Chain, Turn]:
        chain = self._conversations.chain(self._place[key])
        if key not in chain.turns:
            raise ConversationError(
                "Its conversation was set aside.", hint="%qwen_chat --all lists it."
            )
        return chain, chain.turns[key]

    def _describe(self, key: str) -> AnswerFacts:
        chain, turn = self._find(key)
        siblings = [sibling.key for sibling in chain.siblings(turn.cell)]
        facts: AnswerFacts = {"cell": turn.cell.cell_id if turn.cell else ""}
        if len(siblings) > 1:
            facts["sibling"] = (siblings.index(key) + 1, len(siblings))
        facts["fork"] = bool(turn.may_be_head or turn.text)
        if turn.may_be_head and len(_compared(chain, turn)) > 1:
            is_kept = any(turn.key == each.key for each in chain.path(chain.head))
            facts["keep"] = "kept" if is_kept else "may"
            self._compared.add(key)
        return facts

    def _act(self, op: str, key: str, argument: object) -> Reply | None:
        chain, turn = self._find(key)
        match op:
            case "copy":
                return Copied(turn.text)
            case "fork":
                name = self._conversations.fresh_name()
                self._conversations.fork(name, chain, turn)
                self._conversations.switch(name)
                return Say(f"New conversation {name}: the next cell continues from here.")
            case "keep":
                self._conversations.pick(chain, turn)
                self.moved(chain)
                return Say(f"Kept: {chain.name} goes on from here.")
            case "sibling":
                return self._show(chain, turn, argument)
            case _:
                return None

    def _show(self, chain: Chain, turn: Turn, place: Any) -> Show:
        """Make another answer of the cell the current one, and show it."""
        siblings = chain.siblings(turn.cell)
        if not isinstance(place, int) or not 1 <= place <= len(siblings):
            raise ConversationError(f"There is no answer {place} of {len(siblings)}.")
        chosen = siblings[place - 1]
        if chosen.may_be_head:
            self._conversations.pick(chain, chosen)
            self.moved(chain)
        if chosen.key not in self._outputs:
            facts = TurnFacts(
                model=chosen.model,
                chat=chain.name,
                turn_number=len(chain.path(chosen)),
                sibling=(place, len(siblings)),
                key=chosen.key,
            )
            return Show(static.bundle(document_of(chosen, facts)), {})
        return Show(*json.loads(zlib.decompress(self._outputs[chosen.key])))


def _compared(chain: Chain, turn: Turn) -> list[Turn]:
    """The newest answers that the cell got to one question, this turn's among them.

    There is more than one where the cell asked several models at a time (`--compare`).
    """
    cell = turn.cell
    if cell is None:
        return []
    asked = [
        each
        for each in chain.children(turn.parent)
        if each.cell is not None and each.cell.cell_id == cell.cell_id
    ]
    newest = {each.cell: each for each in asked} | {cell: turn}
    return list(newest.values())


def document_of(turn: Turn, facts: TurnFacts) -> Document:
    """The document of a stored turn: without figures, which are not stored, and without
    durations.
    """
    state = ResponseState()
    ended: EndStatus = "completed" if turn.status == "completed" else "incomplete"
    items = parse_items(turn.items)
    output = [item_json(item) for item in items]
    response: JSON = {"id": turn.response_id, "model": turn.model, "output": output}
    state.apply(ResponseEnded(ended, response))
    for entry, item in zip(state.entries, items, strict=True):
        if isinstance(item, FunctionCall) and item.output is not None:
            state.answer_call(entry, CallResult(item.output, item.output_status), 0.0)
    state.usage = turn.usage
    document = Document(facts)
    document.update(state, turn.seconds)
    document.finish(state, turn.seconds, Outcome(turn.status))
    return document

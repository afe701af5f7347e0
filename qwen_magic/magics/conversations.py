"""`%qwen_chat`, `_new`, `_fork`, `_reset`, `_undo`, `_pick`, `_history`: where the next question
goes.

None of them deletes anything: they name conversations and choose the turn to continue after.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from IPython.core.magic import magics_class

from qwen_magic.document.words import NO_BREAK, number_of, shorten
from qwen_magic.errors import UsageError
from qwen_magic.frontends.plain import say
from qwen_magic.magics.base import SessionMagics, command, line_command
from qwen_magic.magics.qwen import options_table
from qwen_magic.options import OPTIONS, Options

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.conversation.chain import CellKey, Chain, Turn
    from qwen_magic.conversation.rows import ChatSummary


_SUMMARIZE: Final = (
    "Summarize our conversation so far, so that it can go on from the summary alone. Keep every "
    "fact, name, number, decision, definition and open question that later turns may need, and "
    "code that is still in use. Write only the summary."
)
_GIVEN: Final = "This is where our earlier conversation stands. Go on from it."
_NEW: Final = ("Begun again", "New conversation")  # where its cell is run again; else
LISTED: Final = 10  # conversations, where not all of them were asked for


def chat_help_text() -> str:
    """The help of `%qwen_chat`."""
    return (
        "%qwen_chat                  list the conversations used last\n"
        "%qwen_chat --all            list them all, with what %qwen_reset has set aside\n"
        "%qwen_chat NAME [options]   go to one, new or not; options become its defaults\n\n"
        f"{options_table('qwen_chat')}\n\n"
        "Example\n  %qwen_chat sales -t code_interpreter --think -m qwen3-max\n"
    )


@magics_class
class ConversationMagics(SessionMagics):
    """List, begin and switch conversations, and go back to earlier turns."""

    @line_command
    def qwen_chat(self, line: str) -> None:
        """List the conversations, or go on with one.

        %qwen_chat                    list the ones used last
        %qwen_chat --all              list them all, with what %qwen_reset has set aside
        %qwen_chat sales              switch to `sales`, creating it if it is new
        %qwen_chat sales --think -m qwen3-max -t code_interpreter
                                      the same; the options become its defaults
        """
        from qwen_magic.magics.line import read_chat

        typed = read_chat(line)
        if typed.defaults.help:
            say(chat_help_text())
        elif typed.everything or (typed.name is None and typed.defaults == Options()):
            self._list(everything=typed.everything)
        else:
            self._switch(typed.name or self._conversations.current, typed.defaults)

    @command
    def qwen_new(self, line: str) -> None:
        """Begin an empty conversation: %qwen_new [NAME] (unnamed: chat-2, chat-3, …).

        The cell that began it begins it again when it is run again."""
        name, cell = read_name("qwen_new", line), self._asker.questions.begins()
        begun = self._conversations.begun(cell, name)
        chain = self._conversations.new(name, cell)
        self._conversations.switch(chain.name)
        say(f"{_NEW[begun is None]}: {chain.name}")

    @command
    def qwen_fork(self, line: str) -> None:
        """Begin a conversation that continues from an earlier turn, and switch to it.

        %qwen_fork other              from where the current conversation stands
        %qwen_fork other --after 3    from its third turn (or main:3, -1, a response id)
        %qwen_fork other --compact    from a summary that the model writes
        """
        from qwen_magic.magics.line import read_words
        from qwen_magic.magics.values import check_chat_name

        words, given = read_words("qwen_fork", line, "one name", most=1)
        if not words:
            raise UsageError(
                "%qwen_fork needs a name for the new conversation.",
                hint="%qwen_fork other --after 3",
            )
        name, cell = check_chat_name(words[0]), self._asker.questions.begins()
        ref, begun = str(given.get("after", "")), self._conversations.begun(cell, name)
        if "compact" in given:
            if begun is None:
                self._summarize(name, *self._find(ref))
            (summary, *_) = self._conversations.chain(name).children(None)
            self._conversations.begin(name, [summary], cell)
            place = f"a {summary.prompt.strip('()')}"
        else:
            chain, turn = self._fork_point(name, ref, cell)
            self._conversations.fork(name, chain, turn, cell)
            place = f"turn {len(chain.path(turn))} of {chain.name}"
        self._conversations.switch(name)
        say(f"{_NEW[begun is None]}: {name}, after {place}")

    def _fork_point(self, name: str, ref: str, cell: CellKey | None) -> tuple[Chain, Turn]:
        """The turn from which the fork `name` continues.

        `ref` names it; else it is the one that the cell forked from before, else the current one.
        """
        before = self._conversations.left(name, cell)
        if before is None:
            return self._find(ref)
        return self._conversations.find(ref, before[0].name) if ref else before

    @command
    def qwen_reset(self, line: str) -> None:
        """Set the notebook's conversations aside and begin afresh: %qwen_reset.

        Every cell is then as if it had never been answered. Nothing is deleted: %qwen_chat --all
        lists them, and %qwen_chat NAME goes back to one."""
        from qwen_magic.magics.line import read_words

        read_words("qwen_reset", line)
        aside = self._asker.set_aside()
        count, current = number_of(len(aside), "conversation"), self._conversations.current
        say(f"{count} set aside; the next question begins afresh in {current}")
        if aside:
            say("%qwen_chat --all lists them, and %qwen_chat NAME goes back to one")

    @command
    def qwen_undo(self, line: str) -> None:
        """Step back: after %qwen_undo [N] the next question continues after the turn before the
        last N."""
        name = self._conversations.current
        steps, chain = read_steps(line), self._conversations.chain(name)
        say(_continues(chain, self._conversations.undo(name, steps)))
        self._asker.views.moved(chain)

    @command
    def qwen_pick(self, line: str) -> None:
        """Make a turn the current one: %qwen_pick REF (3, main:3, -1, or its id from
        %qwen_history). Later turns, and cells below its own, continue after it."""
        from qwen_magic.magics.line import read_words

        words, _ = read_words("qwen_pick", line, "one turn", most=1)
        if not words:
            raise UsageError(
                "%qwen_pick needs one turn: 3, main:3, -1 or a response id.",
                hint="%qwen_history shows them.",
            )
        chain, turn = self._find(words[0])
        self._conversations.pick(chain, turn)
        self._asker.views.moved(chain)
        say(_continues(chain, turn))

    @command
    def qwen_history(self, line: str) -> None:
        """The conversation as a tree: %qwen_history [NAME].

        Every turn has its number, which %qwen_pick, %qwen_fork --after and --after take."""
        from qwen_magic.frontends.history import history_html, history_text

        name = read_name("qwen_history", line, aside=True) or self._conversations.current
        outline = self._conversations.outline(name)
        views = self._asker.views
        now, kept = time.time(), "" if views.stage else self._conversations.whereabouts()
        text = history_text(outline, now=now, kept=kept)
        views.show_page(lambda: history_html(outline, now=now, kept=kept), text)

    def _summarize(self, name: str, chain: Chain, turn: Turn) -> None:
        """Have the model summarize `chain` up to `turn`, and begin `name` with that summary.

        The question for the summary joins no conversation. The new conversation begins with a turn
        that was never sent, so it goes as text with the next question. Raises `QwenError`.
        """
        asker = self._asker
        self._conversations.new(name)
        options = Options(after=f"{chain.name}:{turn.response_id}", raw=True, tools=())
        plan = replace(asker.session.plan(asker.questions.ask(options, _SUMMARIZE)), chat="")
        answer = asker.session.run(plan)
        if answer.error is not None:
            raise answer.error
        beginning = _beginning(name, turn, len(chain.path(turn)), answer)
        self._conversations.adopt(name, [beginning])

    def _switch(self, name: str, typed: Options) -> None:
        name = self._conversations.enter(name, self._asker.questions.begins())
        every = self._asker.questions.defaults
        every[name] = typed.merged_over(every.get(name, Options()))
        outline = self._conversations.outline(name)
        turns = outline.on_path
        state = number_of(turns, "turn") if outline.turns else "new"
        say("; ".join([f"Conversation: {name} ({state})", *_typed_defaults(every[name])]))

    def _list(self, *, everything: bool) -> None:

        there = self._conversations
        stored = there.summaries()
        shown = stored if everything else there.recent(LISTED)
        listed: dict[str, ChatSummary | None] = {each.chat: each for each in shown}
        listed |= {name: None for name in there.empty() if name not in listed}
        rows = [self._row(name, summary) for name, summary in listed.items()]
        older = len(stored) - len(shown)
        note = f"and {older:,} older: %qwen_chat --all" if older else ""
        header = ["", "conversation", "turns", "continues after", "age", "tokens", "defaults"]
        self._asker.views.show_table(header, rows, note)

    def _tokens(self, summary: ChatSummary | None) -> int:
        session = self._asker.session
        if summary is None or not session.tape.is_replaying:
            return summary.tokens if summary else 0
        turns = self._conversations.chain(summary.chat).turns.values()
        return sum(session.as_used(turn).tokens for turn in turns if turn.chat == summary.chat)

    def _row(self, name: str, summary: ChatSummary | None) -> list[str]:
        """A row of the list, from the store's summary, so that no conversation has to be loaded."""
        from qwen_magic.conversation.conversations import plain_name
        from qwen_magic.frontends.history import age_words

        now = time.time()
        return [
            "→" if name == self._conversations.current else "",
            name if plain_name(name) == name else f"{name} (set aside)",
            f"{summary.turns:,}" if summary else "0",
            shorten(summary.prompt, 40) if summary else "",
            age_words(now - summary.newest) if summary else "",
            f"{tokens:,}" if (tokens := self._tokens(summary)) else "",
            ", ".join(_typed_defaults(self._asker.questions.defaults.get(name, Options()))),
        ]


def _beginning(name: str, turn: Turn, number: int, answer: Answer) -> Turn:
    """The first turn of a fork: `answer` summarizes the conversation up to its turn `number`."""
    from uuid import uuid4

    from qwen_magic.conversation.chain import Turn

    content = [{"type": "output_text", "text": answer.text}]
    return Turn(
        key=uuid4().hex,
        chat=name,
        status="completed",
        response_id=answer.id,
        prompt=f"(summary of {turn.chat} to turn {number})",
        input=_GIVEN,
        text=answer.text,
        items=({"type": "message", "role": "assistant", "content": content},),
        model=turn.model,
        host=turn.host,
        created_at=time.time(),
        stored=False,
    )


def read_steps(line: str) -> int:
    """How many turns `%qwen_undo` goes back; 1 by default. Raises `UsageError`."""
    word = line.strip()
    if not word:
        return 1
    if not word.isdecimal() or int(word) < 1:
        raise UsageError(
            f"%qwen_undo takes how many turns to step back, not {word!r}.",
            hint="%qwen_pick REF makes any turn the current one.",
        )
    return int(word)


def read_name(magic: str, line: str, *, aside: bool = False) -> str:
    """Read a name, which may be missing. With `aside` it may be one that `%qwen_reset` set aside.

    Raises `UsageError`.
    """
    from qwen_magic.magics.line import read_words
    from qwen_magic.magics.values import check_chat_name

    words, _ = read_words(magic, line, "one name, without spaces", most=1)
    return check_chat_name(words[0], aside=aside) if words else ""


def _continues(chain: Chain, head: Turn | None) -> str:
    """The turn after which the next question goes, by its number and prompt."""
    from qwen_magic.frontends.history import next_words

    words = next_words(len(chain.path(head)), head.prompt if head else "")
    return f"{chain.name}: {words}".replace(NO_BREAK, " ")


def _typed_defaults(defaults: Options) -> list[str]:
    """The conversation's default options, as they would be typed."""
    shown = []
    for option in OPTIONS:
        value = getattr(defaults, option.field)
        if "qwen_chat" not in option.magics or value is None or option.field == "help":
            continue
        if not option.takes_value:
            shown += [option.long] if value == option.value else []
        elif isinstance(value, tuple):
            shown.append(f"{option.spellings[0]} {','.join(value) or 'none'}")
        elif value != "":
            shown.append(f"{option.spellings[0]} {shorten(str(value), 40)}")
    return shown

"""Turns and marks as hypothesis draws them: every field, every awkward character."""

import string

from hypothesis import strategies as st

from qwen_magic.conversation.chain import CellKey, HeadMove, Turn
from qwen_magic.protocol.response import Usage

# All of Unicode, with NUL and halves of surrogate pairs more often than by chance.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("\0\ud83d\ude00\udc80\n'\"\\é字🙂"), st.characters(exclude_categories=())
    ),
    max_size=20,
)
NAMES = st.sampled_from(["main", "sales", "naïve 字", "half \ud83d", "nul \0", ""])
COUNTS = st.integers(0, 10**9)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
OBJECTS = st.dictionaries(TEXTS, JSONS, max_size=3)
ITEMS = st.lists(OBJECTS, max_size=3).map(tuple)
USAGES = st.builds(
    Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS,
    st.dictionaries(st.text(string.ascii_lowercase), COUNTS, max_size=2),
)  # fmt: skip
SECONDS = st.floats(0, 2e9)


@st.composite
def turns(draw, key, chat, parents=()):
    return Turn(
        key=key,
        chat=chat,
        status=draw(st.sampled_from(["completed", "incomplete", "failed", "stopped"])),
        parent=draw(st.sampled_from([None, *parents])),
        response_id=draw(TEXTS),
        previous_response_id=draw(TEXTS),
        cell=draw(st.none() | st.builds(CellKey, TEXTS, st.integers(0, 99))),
        prompt=draw(TEXTS),
        input=draw(TEXTS | ITEMS),
        text=draw(TEXTS),
        items=draw(ITEMS),
        model=draw(TEXTS),
        host=draw(TEXTS),
        usage=draw(st.none() | USAGES),
        created_at=draw(SECONDS),
        seconds=draw(SECONDS),
    )


@st.composite
def histories(draw, max_size=8):
    """Records of several conversations, each parent and marked turn before what names it."""
    records, keys = [], {}
    for number in range(draw(st.integers(1, max_size))):
        chat = draw(NAMES)
        if chat not in keys:
            others = [key for known in keys.values() for key in known]
            keys[chat] = []
            if others and draw(st.booleans()):
                fork = HeadMove(chat, "fork", draw(st.sampled_from(others)), draw(SECONDS))
                records.append(fork)
                keys[chat].append(fork.key)
                continue
        own = keys[chat]
        if own and draw(st.booleans()):
            key = draw(st.sampled_from([None, *own]))
            records.append(HeadMove(chat, "head", key, draw(SECONDS)))
            continue
        records.append(draw(turns(f"{number}{draw(TEXTS)}", chat, own)))
        own.append(records[-1].key)
    return records

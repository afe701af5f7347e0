"""Whatever bytes a server sends, what is shown of them holds only what may be there; a text that
arrives in pieces becomes what it is as a whole. `QWEN_MAGIC_FUZZ` says for how long."""

import json

from fuzz import examples
from hostile_markup import SHEETS, marked_up
from hostile_server import events_of, message
from hostile_texts import CLASSES
from html_judge import html_faults, markdown_faults, text_faults
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.errors import ProtocolError
from qwen_magic.frontends.static import bundle
from qwen_magic.protocol.body import EventDecoder
from qwen_magic.protocol.state import ResponseState

KNOWN = sum(CLASSES.values(), ())
MARKS = (
    *"` `` ``` ~~~ $ $$ \\( \\) \\[ \\] * ** _ ~~ | [ ] ( ) ![ ]( < > <!-- -->".split(),
    *"<sub> </sub> <br> { }".split(),
    *"&lt; &#x202e; \\ [^1] [1] \\begin{align} \\end{align} --- http:// www. 中 **。 é 👩".split(),
    *(
        "\n",
        "\n\n",
        " ",
        "a",
        "|---|\n",
        "- ",
        "1. ",
        "> ",
        "# ",
        "    ",
        "[^1]: ",
        "\t",
        "\r",
        "\0",
    ),
    *("[r]: http://e.invalid\n", "\u202e", "\u200d", "\ud83d", "\x1b["),
)
pieces = st.sampled_from(MARKS) | st.sampled_from(KNOWN) | st.text(max_size=4)
cut_pieces = st.tuples(st.sampled_from(KNOWN), st.integers(0, 40), st.integers(1, 60)).map(
    lambda drawn: drawn[0][drawn[1] : drawn[1] + drawn[2]]
)
texts = st.lists(pieces | cut_pieces, max_size=10).map("".join)


def changed(value, chance):
    """JSON with a few values taken away, or put in the place of others."""
    roll = chance.random()
    if roll < 0.02:
        return chance.choice((None, 0, -1, 1e300, "", True, [], {}, [None], {"type": "message"}))
    if isinstance(value, dict):
        items = [
            (key, changed(each, chance)) for key, each in value.items() if chance.random() > 0.02
        ]
        return dict(items)
    if isinstance(value, list):
        return [changed(each, chance) for each in value]
    return value


def damaged(body, chance):
    """Bytes of which some are lost, doubled or others."""
    for _ in range(chance.choice((0, 0, 1, 3))):
        at, length = chance.randrange(len(body) + 1), chance.randrange(40)
        put = chance.choice((b"", body[at : at + 2 * length], bytes([chance.randrange(256)])))
        body = body[:at] + put + body[at + length :]
    return body


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(texts, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_any_response_is_shown_safely(said, chance):
    items = [
        *chance.sample(marked_up(*said), 6),
        *(message(text, f"m{n}") for n, text in enumerate(said)),
    ]
    chance.shuffle(items)
    events = [changed(event, chance) for event in events_of(items, *said[:1], piece=9)]
    names = iter(event["type"] for event in events_of(items, *said[:1], piece=9))
    lines = (f"event:{next(names)}\ndata:{json.dumps(event)}\n\n" for event in events)
    body = damaged("".join(lines).encode(), chance)
    decoder, state, document = EventDecoder(), ResponseState(), Document(TurnFacts(*said[:1]))
    size, patches = chance.choice((50, 400, 5000)), []
    try:
        for at in range(0, len(body), size):
            for event in decoder.feed(body[at : at + size]):
                state.apply(event, float(at))
            patches += document.update(state, float(at))
        for event in decoder.finish():
            state.apply(event, 1e6)
    except ProtocolError:
        pass
    patches += document.finish(state, 1e6, Outcome())
    shown = {f"{getattr(each, 'html', '')}{getattr(each, 'tail', '')}" for each in patches}
    assert not [fault for html in shown for fault in html_faults(html, maths=None)]
    forms = bundle(document)
    assert not html_faults(forms["text/html"], sheets=SHEETS)
    assert not markdown_faults(forms["text/markdown"])
    assert not text_faults(forms["text/markdown"], "\n\t\r\0") + text_faults(forms["text/plain"])


@settings(max_examples=examples(80), deadline=None)
@given(texts, st.integers(1, 30))
def test_what_arrives_is_what_it_is_as_a_whole(text, size):
    stream = MarkdownStream()
    for at in range(0, len(text), size):
        stream.append(text[at : at + size])
        stream.update()
        assert not html_faults(stream.html)
    stream.finish()
    assert stream.html == render_markdown(text)
    assert not html_faults(stream.html)

"""What a dry run shows is what would be sent: as a table, to the letter, without the key."""

import ast
import html
import inspect
import json
import random
import re
import shlex
from dataclasses import replace

import pytest

from qwen_magic.context.catalogue import CataloguedModel, Tier
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.endpoints import find_endpoint
from qwen_magic.frontends.dry_run import SDK_PARAMETERS, _literal, dry_run_html, dry_run_text
from qwen_magic.magics.view_factory import dry_run_of
from qwen_magic.protocol.request import RequestPart
from qwen_magic.protocol.response import Usage
from qwen_magic.session.plan import Ask, plan
from qwen_magic.session.session import Session

KEY = "sk-canary-1234567890"
HOME = find_endpoint("singapore", {"DASHSCOPE_API_KEY": KEY})
TEXT = 'What\'s "this"?\n\n```\n"""C:\\new"""\n```\n<b>&amp;</b> 你好'


def dry(conversations=None, **given):
    given = {"prompt": "Hi", "input": "Hi", "model": "qwen3-max", "chat": "main"} | given
    given.setdefault("parts", (RequestPart("prompt", text=str(given["input"])),))
    return dry_run_of(plan(Ask(endpoint=HOME, **given), conversations or Conversations()))


def conversation(*turns):
    conversations = Conversations()
    for turn in turns:
        conversations.append(turn)
    return conversations


def turn(key, parent=None, status="completed", **more):
    more = {"prompt": f"ask {key}", "input": f"ask {key}", "text": f"answer {key}"} | more
    host, usage = HOME.host, Usage(1000, 200, 1200)
    return Turn(key, "main", status, parent, f"resp_{key}", host=host, usage=usage, **more)


def forms(markup):
    """What stands behind each disclosure of a page, by its words."""
    folds = re.findall(r"<summary[^>]*>(.*?)</summary><div[^>]*>(.*?)</div>", markup)
    return {
        re.sub("<[^>]*>", "", words): html.unescape(re.sub("<[^>]*>", "", text))
        for words, text in folds
    }


def sent_by_python(code):
    """The body that the code would have the `openai` package send, and its key."""
    (call,) = [
        node.value for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Assign) and node.targets[0].id == "events"
    ]  # fmt: skip
    given = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    given.pop("extra_headers", None)
    extra = given.pop("extra_body", {})
    return {**given, **extra}


def test_the_three_forms_are_the_request_to_the_letter():
    made = dry(
        input=TEXT, system="Be\nterse.", tools=({"type": "web_search"},), think=True,
        extra={"temperature": 0.5},
    )  # fmt: skip
    shown = forms(dry_run_html(made))
    assert json.loads(shown["The request as JSON"]) == made.body
    assert sent_by_python(shown["The request for Python"]) == made.body
    curl = shown["The request for curl"]
    command, _, rest = curl.partition("-d @- <<'JSON'\n")
    assert json.loads(rest.removesuffix("\nJSON")) == made.body
    words = shlex.split(command)
    assert f"{HOME.base_url}/responses" in words
    assert "Authorization: Bearer $DASHSCOPE_API_KEY" in words
    assert "\nWhat's" in shown["The request for Python"], "its lines are lines"


def test_each_part_can_be_read_as_it_is_sent():
    image = "data:image/png;base64," + "A" * 400
    content = [{"type": "input_text", "text": TEXT}, {"type": "input_image", "image_url": image}]
    parts = (
        RequestPart("prompt", text=TEXT),
        RequestPart("value", "{x}", "你好", "in the prompt"),
        RequestPart("image", "fig", image=image),
    )
    given = ({"role": "user", "content": content},)
    made = dry(input=given, parts=parts, system="Be terse.", tools=({"type": "web_search"},))
    markup = dry_run_html(made)
    shown = forms(markup)
    assert shown["prompt"] == TEXT
    assert shown["instructions"] == "Be terse."
    assert json.loads(shown["tools web_search"]) == {"type": "web_search"}
    assert markup.count("A" * 400) == 1, "a picture's data stands there once, as the picture"
    assert "<b>&amp;</b>" not in markup
    assert "\n\n" not in markup, "it would end the HTML in Markdown"
    heads, rows = made.table()
    assert heads == ["characters", "about tokens"]
    whole = [len(part.text) for part in made.parts if part.kind != "value"]
    assert rows[-1][0] == f"{sum(whole):,}", "a value counts with its prompt"


def test_no_key_is_ever_shown():
    assert HOME.key == KEY
    mcp = {"type": "mcp", "headers": {"Authorization": "Bearer abc.def"}, "note": "x"}
    for made in (dry(), dry(input=f"Is {KEY} good?", tools=(mcp,))):
        shown = repr(made) + dry_run_html(made) + dry_run_text(made)
        assert KEY not in shown
        assert "abc.def" not in shown
    assert made.body["input"] == "Is [key] good?"
    assert "it would be sent" in shown


def test_where_it_goes_and_what_is_to_be_said():
    said = dry_run_text(dry(think=True, tools=({"type": "web_extractor"},), expanded=("{x} left",)))
    assert f"POST {HOME.base_url}/responses · qwen3-max · turn 1 of main\n" in said
    assert "Settings: enable_thinking true." in said
    assert "Added: web_search" in said
    assert "{x} left." in said
    assert "Nothing" not in dry(history=False).place
    assert dry(history=False).place == "outside any conversation"
    assert "was retired" in dry_run_text(dry(model="qwen-turbo"))


def test_the_text_says_a_long_prompt_once():
    said = dry_run_text(dry(input=TEXT))
    assert said.count("你好") == 1
    assert "curl" not in said
    assert "curl -N" in dry_run_text(dry())
    assert "\x1b" not in dry_run_text(dry(input="a\x1b[2J", parts=(RequestPart("\x1b"),)))


def test_turns_that_the_server_has_are_counted_and_others_told():
    there = conversation(turn("a"), turn("b", "a", status="stopped"))
    made = dry(there, after="resp_b")
    kept, told = [part for part in made.parts if part.kind == "earlier turns"]
    assert (kept.name, kept.text, kept.tokens) == ("1", "", 1200)
    assert (told.name, told.text) == ("2", "user: ask b\n\nassistant: answer b")
    assert made.place == "turn 3 of main, after turn 2 “ask b”"
    assert "earlier turns" not in dry_run_text(dry())


def test_money_where_a_price_is_known():
    made = plan(
        Ask("Hi", "Hi", "qwen3-max", HOME, "main", parts=(RequestPart("prompt", text="x" * 7000),)),
        Conversations(),
    )
    tiers = (Tier(float("inf"), {"input_token": 2.0, "output_token": 8.0}),)
    object.__setattr__(made, "priced", CataloguedModel("qwen3-max", None, "USD", tiers))
    heads, rows = dry_run_of(made).table()
    assert heads[-1] == "about USD"
    assert rows[0][-1] == rows[-1][-1] == "0.0040"
    assert "8.00 USD for each million tokens" in dry_run_text(dry_run_of(made))
    assert dry().price is None


def test_looking_changes_nothing():
    """The conversation that is begun, and the line that is told once, are as they would be."""
    store = SqliteStore()
    store.append(turn("a"))
    session = Session(conversations=Conversations(store))
    ask = Ask("Hi", "Hi", "qwen3-max", HOME, "main")
    assert session.plan(replace(ask, new=True), dry=True).chat == "chat-2"
    assert list(session.conversations.names()) == ["main"]
    assert session.plan(replace(ask, new=True)).chat == "chat-2"
    assert [session.plan(ask, dry=dry).notes for dry in (True, False, True)] == [
        ("main was found with 1 turn; --new begins afresh",),
        ("main was found with 1 turn; --new begins afresh",),
        (),
    ]


def test_what_the_openai_package_takes_by_name():
    responses = pytest.importorskip("openai.resources.responses")
    taken = inspect.signature(responses.Responses.create).parameters
    assert taken.keys() >= SDK_PARAMETERS


def test_a_literal_is_its_value():
    chosen = random.Random(1)
    for _ in range(3000):
        text = "".join(
            chosen.choice("a\"'\\\n\r\té\x00\ud800 {}") for _ in range(chosen.randrange(12))
        )
        value = [text, {text: text}, None, True, 0.5]
        assert ast.literal_eval(_literal(value)) == value

"""Data in, objects and code out, in a real kernel."""

import time

import pytest
from fuzz import patience
from real_kernel import PYTHONS, Kernel, fresh_environ

pytestmark = pytest.mark.kernel
pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    kernel = Kernel(PYTHONS["this"], fresh_environ(tmp_path_factory.mktemp("ipython")))
    kernel.ok("import pandas as pd")
    kernel.ok(
        "df = pd.DataFrame({'region': ['north', 'south', None], 'amount': [1.5, 2.0, 4.0],"
        " 'day': pd.to_datetime(['2026-01-02', '2026-01-03', None]), 'mail': ['a@b.c'] * 3})"
    )
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(process, server):
    process.ok("%reload_ext qwen_magic")
    process.ok(f'%config QwenMagics.endpoint = "{server.base_url}"')
    yield process
    process.ok("%unload_ext qwen_magic")


def sent(server):
    return server.requests[-1].body["input"]


def test_a_frame_is_described_and_said(kernel, server):
    ran = kernel.ok("%%qwen -d df\nWhich region sold most?")
    assert sent(server).startswith("Which region sold most?")
    assert "region" in sent(server)
    assert "float64" in sent(server)
    assert "df: 3 rows" in ran.final["text/plain"]


def test_a_frame_rebuilds_from_the_request_alone(kernel, server):
    kernel.ok("%%qwen -d df --rows all\nSum the amounts.")
    kernel.ok(f"text = {sent(server)!r}")
    kernel.ok("from qwen_magic.context.dataframe.row_block import rebuild")
    same = "pd.util.hash_pandas_object(rebuild(text)).equals(pd.util.hash_pandas_object(df))"
    assert kernel.ok(same).result["text/plain"] == "True"


def test_masked_columns_are_not_sent(kernel, server):
    kernel.ok("%config QwenMagics.masked_columns = ['mail']")
    kernel.ok("%%qwen -d df --rows all\nSum the amounts. {df}")
    assert "a@b.c" not in str(sent(server))
    assert "mail" in str(sent(server))


def test_attributes_and_items_are_named_as_in_braces(kernel, server):
    kernel.ok("class model: params = {'a rate': 0.5}")
    kernel.ok("%%qwen -d df['region'],model.params['a rate']\nWhat are they?")
    assert "'region': " in sent(server)
    assert "float64" not in sent(server)
    assert "```\n0.5\n```" in sent(server)


def test_what_is_large_is_cut_and_said_and_stops_the_cell(kernel, server):
    kernel.ok("text = 'word ' * 200_000; rows = pd.DataFrame({'a': range(15_000)})")
    ran = kernel.ok("%%qwen -d text\nSummarise {text}")
    assert len(sent(server)) < 50_000
    assert ran.final["text/plain"].count("the first 20,000 characters of 1,000,000") == 2
    before = len(server.requests)
    ran = kernel.run("%%qwen -d rows --rows all\nSum them.")
    assert "--send-all" in "\n".join(ran.traceback)
    assert "15,000 rows sent" in "\n".join(ran.traceback)
    assert len(server.requests) == before
    kernel.ok("%%qwen -d rows --rows all --send-all\nSum them. {text}")
    assert len(sent(server)) > 1_000_000
    ran = kernel.run("%%qwen --rows 3\nSum them.")
    assert "-d NAME --rows 3" in "\n".join(ran.traceback)


@pytest.mark.parametrize("call", ["%%qwen -d slow\nhello", "if True:\n    %qwen -d slow hello"])
def test_an_interrupt_ends_what_looks_at_a_value(kernel, server, call):
    kernel.ok(
        "class Slow:\n    def _repr_markdown_(self):\n        print('begun')\n"
        "        while True: pass"
    )
    kernel.ok("slow = Slow()")
    message = kernel.send(call)
    time.sleep(0.5)
    began = time.monotonic()
    kernel.interrupt()
    ran = kernel.collect(message)
    assert time.monotonic() - began < patience(3)  # it would take five seconds by itself
    assert "nothing was sent" in "\n".join(ran.traceback)
    assert not server.requests
    assert kernel.ok("1 + 1").result["text/plain"] == "2"


def test_a_wrong_name_is_named(kernel):
    ran = kernel.run("%%qwen -d dff\nhello")
    assert "Did you mean df?" in "\n".join(ran.traceback)


def test_a_model_without_eyes_is_told_so_before_sending(kernel, server):
    pytest.importorskip("PIL")
    kernel.ok("from io import BytesIO; from PIL import Image; file = BytesIO()")
    kernel.ok("Image.new('RGB', (8, 8), 'red').save(file, 'png'); seen = file.getvalue()")
    ran = kernel.run("%%qwen -i seen\nWhat is this?")
    assert "qwen3-max" in "\n".join(ran.traceback)
    assert not server.requests


def test_an_image_goes_along(kernel, server):
    pytest.importorskip("PIL")
    kernel.ok("from PIL import Image; pic = Image.new('RGB', (8, 8), 'red')")
    kernel.ok("%%qwen -m qwen3.7-plus -i pic\nWhat is this?")
    text, image = sent(server)[0]["content"]
    assert text == {"type": "input_text", "text": "What is this?"}
    assert image["image_url"].startswith("data:image/")


def test_tables_and_code_of_an_answer(kernel):
    kernel.ok("%%qwen -o made --quiet\nwrite at length")
    assert kernel.ok("len(made.tables), made.tables[0].shape[1]").result["text/plain"] == "(1, 3)"
    assert kernel.ok("made.code_blocks[0].language").result["text/plain"] == "'python'"


def test_an_object_that_does_not_come_is_repaired_twice_and_then_an_error(kernel, server):
    kernel.ok("from dataclasses import dataclass")
    kernel.ok("@dataclass\nclass City:\n    name: str\n    people: int")
    ran = kernel.run("%%qwen --schema City\nThe largest city of Japan.")
    assert ran.status == "error"
    asked = [r for r in server.requests if r.path.endswith("/responses")]
    assert len(asked) == 3
    assert asked[1].body["previous_response_id"] == asked[0].response_id
    assert "people" in str(asked[0].body["input"])


def test_an_object_that_comes(kernel, server):
    kernel.ok("schema = {'type': 'object', 'properties': {'a': {'type': 'integer'}},"
              " 'required': ['a']}")  # fmt: skip
    kernel.ok('%%qwen --schema schema -o made\nSay {"a": 1}')
    assert kernel.ok("made.parsed").result["text/plain"] == "{'a': 1}"

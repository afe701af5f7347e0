"""The page of a trace: a picture that any reader shows, words that are only words."""

import base64
import re
from xml.etree import ElementTree

import pytest

from qwen_magic.frontends.dry_run import DryRun
from qwen_magic.frontends.trace import TracePage, trace_html, trace_text, waterfall
from qwen_magic.recording.trace import Moment, Span, Trace

HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m"


def made(*spans, moments=()):
    return Trace(spans, tuple(moments), 40.0, 12)


def page(trace, says="main"):
    body = {"model": "m", "input": says}
    dry = DryRun("https://a.example/v1/responses", "m", "", body, (), {}, key_variable="A_KEY")
    return TracePage(f"How {says} went", ("m",), trace, (f"Chain: {says}",), (dry, dry))


@pytest.mark.parametrize("end", [0.0, 0.4, 7.0, 99.0, 12_345.0, 3_600_000.0])
def test_the_picture_is_well_formed_and_within_its_frame(end):
    svg = ElementTree.fromstring(waterfall(made(Span("wait", HOSTILE, 0.0, end))))
    for bar in svg.iter("{http://www.w3.org/2000/svg}rect"):
        left, width = bar.get("x"), bar.get("width")
        assert 0 <= float(left.rstrip("%")) <= 100
        assert width == "2" or float(left.rstrip("%")) + float(width.rstrip("%")) <= 100.01
    ticks = [each for each in svg.iter("{http://www.w3.org/2000/svg}text") if each.get("y") == "14"]
    assert 1 <= len(ticks) <= 12


def test_words_stay_words():
    trace = made(Span("tool", HOSTILE, 0.0, 5.0), moments=[Moment(1.0, HOSTILE, HOSTILE)])
    html = trace_html(page(trace, HOSTILE))
    assert "<script>" not in html
    (picture,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', html)
    assert b"<script>" not in base64.b64decode(picture)
    assert "\x1b" not in trace_text(page(trace, HOSTILE))


def test_the_key_is_a_variable_of_the_environment():
    html = trace_html(page(made(Span("write", "answer", 0.0, 5.0))))
    assert "$A_KEY" in html
    assert "os.environ[&quot;A_KEY&quot;]" in html or 'os.environ["A_KEY"]' in html

"""What `-d` and `-i` name."""

import pytest

from qwen_magic.context import request_input
from qwen_magic.errors import UsageError


def test_a_wrong_name_is_told_a_variable_that_is_near_and_no_function():
    with pytest.raises(UsageError, match="Did you mean nodes"):
        request_input._value("node", {"nodes": [1]})
    with pytest.raises(UsageError, match="names of the notebook's variables"):
        request_input._value("nope", {"open": open, "_nope": 1})


def test_a_wrong_image_is_told_before_the_models_blindness():
    with pytest.raises(UsageError, match="cannot be read"):
        request_input.attach("?", {}, model="qwen3-max", images=["no.png"])
    with pytest.raises(UsageError, match="sees no images"):
        request_input.attach("?", {}, model="qwen3-max", images=["https://x.test/a.png"])


def test_last_is_the_figure_shown_last_unless_a_variable_has_that_name():
    png = b"\x89PNG\r\n\x1a\n"
    with pytest.raises(UsageError, match="has shown no figure"):
        request_input.attach("?", {}, model="m", images=["last"])
    with pytest.raises(UsageError, match="no image that can be read"):  # it looked at these bytes
        request_input.attach("?", {}, model="m", images=["last"], shown=png)
    with pytest.raises(UsageError, match="of type int"):
        request_input.attach("?", {"last": 1}, model="m", images=["last"], shown=png)

"""What `-d` and `-i` name."""

import pytest

from qwen_magic.context import attachments
from qwen_magic.errors import UsageError


def test_a_wrong_name_is_told_a_variable_that_is_near_and_no_function():
    with pytest.raises(UsageError, match="Did you mean nodes"):
        attachments._value("node", {"nodes": [1]})
    with pytest.raises(UsageError, match="names of the notebook's variables"):
        attachments._value("nope", {"open": open, "_nope": 1})

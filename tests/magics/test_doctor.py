"""What %qwen_doctor says of a server's list of models."""

from types import SimpleNamespace

import pytest

from qwen_magic.endpoints import find_endpoint
from qwen_magic.errors import AuthenticationError, NotFoundError, QwenError
from qwen_magic.magics import doctor
from qwen_magic.options import Options


@pytest.mark.parametrize(
    ("error", "mark"),
    [(NotFoundError("No such path."), "✓"), (AuthenticationError("It wants an API key."), "✗")],
)
def test_a_list_of_models_that_is_missing_or_could_not_be_had(monkeypatch, error, mark):
    def refuse(*given):
        raise error

    class Probe:
        def __init__(self, *given):
            pass

        def lines(self):
            raise QwenError("The server ended the connection.")

    monkeypatch.setattr(doctor, "ServerProbe", Probe)
    asker = SimpleNamespace(
        list_models=refuse, settings=Options(tools=()), session=SimpleNamespace(client=None)
    )
    models, trip = doctor._tried_out(asker, find_endpoint("http://127.0.0.1:9/v1"), "x", "m")
    assert models.startswith(f"{mark} Models: ")
    assert trip.startswith("✗ Round trip: ")

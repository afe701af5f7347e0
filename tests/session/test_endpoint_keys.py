"""Keys of a session: typed in, of the environment, out of the system's keyring."""

import keyring
import keyring.backend
import keyring.backends.fail
import pytest

from qwen_magic.errors import UsageError
from qwen_magic.session.endpoint_keys import Endpoints

URL = "https://llm.example.org/v1"


class Ring(keyring.backend.KeyringBackend):
    """A keyring in memory, as the package keyring knows its backends."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.held = {}
        self.asked = 0

    def get_password(self, service, username):
        self.asked += 1
        return self.held.get((service, username))

    def set_password(self, service, username, password):
        self.held[service, username] = password

    def delete_password(self, service, username):
        del self.held[service, username]


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_a_saved_key_is_there_in_the_next_session(ring):
    endpoints = Endpoints({})
    endpoints.save_key(endpoints.find(URL), "kept")
    assert ring.held == {("qwen-magic", "llm.example.org"): "kept"}
    later = Endpoints({})
    assert later.find(URL).key == "kept"
    assert later.find("https://other.example.org/v1").key == ""
    asked = ring.asked
    later.find(URL)
    assert ring.asked == asked, "the keyring is asked once for a host"


def test_what_was_typed_and_the_environment_go_before_it(ring):
    ring.held["qwen-magic", "llm.example.org"] = "kept"
    environ = {"LLM_EXAMPLE_ORG_API_KEY": "set"}
    endpoints = Endpoints(environ)
    assert endpoints.find(URL).key == "set"
    endpoints.remember_key(endpoints.find(URL), "typed")
    assert endpoints.find(URL).key == "typed"


def test_an_empty_key_is_taken_out(ring):
    endpoints = Endpoints({})
    for key in ("kept", "", ""):
        endpoints.save_key(endpoints.find(URL), key)
    assert ring.held == {}


def test_a_system_without_a_keyring_says_so(ring):
    keyring.set_keyring(keyring.backends.fail.Keyring())
    endpoints = Endpoints({})
    assert endpoints.find(URL).key == ""
    with pytest.raises(UsageError, match="no keyring") as failed:
        endpoints.save_key(endpoints.find(URL), "secret-1")
    assert "secret-1" not in str(failed.value)


def test_a_saved_key_goes_over_plain_http_only_where_that_is_allowed(ring):
    ring.held["qwen-magic", "llm.example.org"] = "kept"
    with pytest.raises(UsageError, match="plain http"):
        Endpoints({}).find("http://llm.example.org/v1")
    assert Endpoints({}, allow_http=True).find("http://llm.example.org/v1").key == "kept"

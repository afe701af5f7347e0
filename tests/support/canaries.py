"""Keys that stand in the environment and in what tests ask, and must be left nowhere: neither in
the files of any test nor in what it or its kernels put out.

A plugin of pytest (`-p canaries`; `conftest.py` loads it for all tests): the end of the session
fails where it finds one.
"""

import os
from pathlib import Path

import pytest

# Of no known shape: only their values, and the place where they stand, give them away.
CANARIES = {
    "key": "Zu7kanarie4env9qWx",  # of the endpoint
    "other": "Zeisig5andere2umwelt8",  # in every environment, under a name that says what it is
    "frame": "Gelb3vogel8rahmen5",  # below `password` in a frame
    "header": "Pieps2kopf6zeile1mcp",  # of a server of tools
    "typed": "Getippt5er8kanarie2",  # to %qwen_key
}
WRITTEN_BY_TESTS = ("canaries.json", "mcp.json")  # where tests keep them
_LARGEST = 64 * 2**20  # bytes of a file

os.environ["CANARY_API_KEY"] = CANARIES["other"]
_seen: list[str] = []


def note(place: str, *words: object) -> None:
    """Remember it where a canary stands in `words`, the output of `place`."""
    text = " ".join(map(str, words))
    _seen.extend(f"{name} in {place}" for name in found_in(text))


def found_in(content: str | bytes) -> list[str]:
    """The names of the canaries there."""
    words = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return [name for name, value in CANARIES.items() if value.encode() in words]


def found_below(folder: Path) -> list[str]:
    """Where in the files of a folder one is."""
    found = []
    for at, _folders, names in os.walk(folder):
        for name in names:
            path = Path(at, name)
            if name in WRITTEN_BY_TESTS or not path.is_file() or path.is_symlink():
                continue
            if path.stat().st_size <= _LARGEST:
                found += [f"{each} in {path}" for each in found_in(path.read_bytes())]
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "teardown":  # which has the sections of all phases
        note(f"the output of {item.nodeid}", *(words for _, words in report.sections))
    return report


@pytest.fixture(scope="session", autouse=True)
def no_canary_is_left(tmp_path_factory):
    yield
    left = [*_seen, *found_below(tmp_path_factory.getbasetemp())]
    assert not left, "keys that came out: " + "; ".join(left)

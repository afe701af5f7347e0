"""`%qwen_doctor`: check everything that an answer needs; each line says what to do."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from qwen_magic.conversation.conversations import Conversations
from qwen_magic.document.words import sentence
from qwen_magic.endpoints import DEFAULT_MODEL, UNKNOWN_SERVER, Endpoint
from qwen_magic.errors import NotFoundError, QwenError
from qwen_magic.frontends.kernel import cell_id, kernel_of
from qwen_magic.frontends.plain import printable
from qwen_magic.frontends.terminal import can_draw
from qwen_magic.magics.asking import Asker
from qwen_magic.options import Options
from qwen_magic.session.server_probe import ServerProbe, row

_PACKAGES: Final = (
    "qwen-magic",
    "ipython",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "httpx2",
    "markdown-it-py",
    "linkify-it-py",
    "jupyterlab",
    "notebook",
)
_QUESTION: Final = "Reply with the one word: ready"
_TOKENS: Final = 64


def examine(asker: Asker, url: str = "", model: str = "") -> Iterator[str]:
    """Check the installation and the service, and yield one line for each finding.

    `url`: an address or an endpoint's name to try out; else the endpoint in use is asked. `model`:
    the model to ask.
    """
    yield _versions()
    yield _front_end(asker)
    yield _store(asker.session.conversations)
    try:
        endpoint = asker.session.endpoints.find(url or asker.settings.endpoint)
    except QwenError as error:
        yield _bad("Endpoint", str(error))
        return
    yield _good("Endpoint", f"{endpoint.name}, {endpoint.base_url}")
    key = _key(endpoint)
    if key:
        yield key
    if endpoint.needs_key and not endpoint.key:
        yield _bad("Round trip", "not tried without a key.")
        return
    if url or endpoint.capabilities is UNKNOWN_SERVER:
        yield from _tried_out(asker, endpoint, url or asker.settings.endpoint, model)
    else:
        if endpoint.capabilities.catalogue:
            yield _catalogue(asker, endpoint)
        yield _round_trip(asker, model)
        yield _good("Row", row(asker.session.hosts.applied(endpoint)))


def _good(what: str, found: str) -> str:
    return printable(f"✓ {what}: {found}")


def _bad(what: str, found: str) -> str:
    return printable(f"✗ {what}: " + " ".join(map(sentence, found.split("\n"))))


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return _good("Versions", ", ".join(found))


def _front_end(asker: Asker) -> str:
    if kernel_of(asker.shell) is None:
        return _good("Display", _terminal())
    if not asker.settings.live:
        return _good("Display", "live widgets are off (%config QwenMagics.live = True).")
    again = (
        ""
        if cell_id(asker.shell)
        else (" The front end sends no cell ids: a cell that runs again adds a turn.")
    )
    return _good("Display", "a live widget where the front end shows widgets, else HTML." + again)


def _terminal() -> str:
    if not sys.stdout.isatty():
        return "no terminal; answers stream as plain text."
    if can_draw(sys.stdout):
        return "a terminal; answers are drawn as they come."
    has_rich = find_spec("rich") is not None
    why = "this one takes no more" if has_rich else 'pip install "qwen-magic[terminal]" draws them'
    return f"a terminal; answers stream as plain text ({why})."


def _store(conversations: Conversations) -> str:
    """Whether the store of turns can be written to, and where it is."""
    conversations.learn("doctor", "looked", time.time())
    if conversations.trouble:
        return _bad("Store", conversations.trouble)
    return _good("Store", conversations.whereabouts())


def _key(endpoint: Endpoint) -> str:
    if endpoint.key:
        return _good("Key", "set (not shown). Keys belong to one host.")
    if not endpoint.needs_key:
        return _good("Key", "none set, none known to be needed (%qwen_key sets one).")
    return _bad(
        "Key",
        f"not set. %qwen_key asks for it, or set {endpoint.key_variable}; "
        "%qwen_demo on needs none.",
    )


def _tried_out(asker: Asker, endpoint: Endpoint, named: str, model: str) -> Iterator[str]:
    """Try out what the server can do, remember it, and report its row for the table of
    endpoints.
    """
    listed: list[str] = []
    try:
        listed = asker.list_models(named)
        yield _good("Models", f"{len(listed)} listed, such as {', '.join(map(repr, listed[:3]))}.")
    except NotFoundError:
        yield _good("Models", "the server lists none.")
    except QwenError as error:
        yield _bad("Models", f"none listed: {error.message}")
    usual = Options.of(asker.settings).model or DEFAULT_MODEL
    probe = ServerProbe(
        asker.session.client,
        endpoint,
        model or (listed[0] if listed and usual not in listed else usual),
    )
    try:
        for what, found in probe.lines():
            yield _good(what, found)
    except QwenError as error:
        yield _bad("Round trip", str(error))
        return
    asker.session.hosts.learn(endpoint.host, probe.found, anew=True)
    yield _good("Row", row(asker.session.hosts.applied(endpoint)))


def _catalogue(asker: Asker, endpoint: Endpoint) -> str:
    """The host's list of models, fetched at most once a week."""
    try:
        found = asker.session.catalogues.ask(asker.session.client, endpoint)
    except QwenError as error:
        return _bad("Models", f"windows and prices could not be had. {error}")
    currencies = sorted({model.currency for model in found.models.values() if model.tiers})
    prices = f"prices in {', '.join(currencies)}" if currencies else "without prices"
    return _good("Models", f"{len(found.models)} listed, {prices}.")


def _round_trip(asker: Asker, model: str) -> str:
    """One tiny question, outside any conversation."""
    options = Options(
        model=model or None,
        history=False,
        raw=True,
        max_output_tokens=_TOKENS,
        tools=(),
        timeout=30.0,
    )
    try:
        plan = asker.session.plan(asker.questions.ask(options, _QUESTION))
        answer = asker.session.run(plan)
    except QwenError as error:
        return _bad("Round trip", str(error))
    if answer.error is not None:
        return _bad("Round trip", str(answer.error))
    said = " ".join(answer.text.split())[:60]
    return _good("Round trip", f"{answer.model} answered in {answer.seconds:.1f} s: {said!r}")

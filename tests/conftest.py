"""What all tests share: the browser, where there is one."""

import asyncio
import os
import shutil
import signal

import pytest
from hypothesis import settings
from pytest_rerunfailures import suspended_finalizers
from request_types import check_body

from qwen_magic.client import client as client_module
from qwen_magic.demo import DemoServer

pytest_plugins = ["canaries"]

# A busy machine is no fault of the code: examples are counted, not timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A test run in the background inherits that Ctrl-C is ignored, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """A test that was late once, on cores that it shares, is asked once more (listed as RERUN, with
    what failed first); late twice is a fault, and so is what fails each time."""
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """A test that is asked once more begins as it did the first time: with a Jupyter server, a
    store of conversations, a browser and kernels that no test has used before."""
    if getattr(item, "execution_count", 1) == 1:
        return
    stack = item.session._setupstate
    stack.stack.update(suspended_finalizers)  # of what the plugin would have the second try share
    suspended_finalizers.clear()
    try:
        stack.teardown_exact(None)
    except Exception as error:  # the first try may have broken it
        item.add_report_section("setup", "end of the first try", repr(error))


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-features=OptimizationHints,MediaRouter",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(autouse=True)
def official_types(request, monkeypatch):
    """Every body that a test sends, from here or from a kernel to a demo server here, is one that
    the official client's types accept; but where the test sends a wrong one on purpose
    (`@pytest.mark.wrong_request`)."""
    sent, servers = [], []
    content, start = client_module._content, DemoServer.start

    def note(body):
        sent.append(body)
        return content(body)

    def begin(server):
        servers.append(server)
        return start(server)

    monkeypatch.setattr(client_module, "_content", note)
    monkeypatch.setattr(DemoServer, "start", begin)
    yield
    if request.node.get_closest_marker("wrong_request"):
        return
    for server in servers:
        ours = (r for r in server.requests if "qwen_magic" in r.headers.get("user-agent", ""))
        sent += [record.body for record in ours if record.path.endswith("/responses")]
    wrong = {fault for body in sent if body and (fault := check_body(body))}
    assert not wrong, f"bodies that the official types refuse: {sorted(wrong)}"


def chromium_path() -> str | None:
    named = os.environ.get("QWEN_MAGIC_CHROMIUM")
    if named:
        return named
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium for all tests, with the event loop that Playwright drives it by."""
    path = chromium_path()
    if path is None:
        words = "no Chromium was found: set QWEN_MAGIC_CHROMIUM to its path"
        if os.environ.get("QWEN_MAGIC_REQUIRE_BROWSER"):
            pytest.fail(words)
        pytest.skip(words)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield chromium, loop
        asyncio._set_running_loop(loop)
        chromium.close()


@pytest.fixture(scope="module")
def browser(chromium):
    """A headless Chromium. Skips where none is found, unless QWEN_MAGIC_REQUIRE_BROWSER is set.

    Playwright's event loop counts as running in this thread, so that a test could run none of its
    own: it does so in this module only.
    """
    browser, loop = chromium
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


# What tests may be skipped for: in the reason, of whom, and what to do.
LOUD = (
    ("no Chromium", "BROWSER TESTS", "a Chromium. Install one, or set QWEN_MAGIC_CHROMIUM."),
    ("no real model", "TESTS OF A REAL MODEL", "weights: tests/integration/test_local_model.py."),
)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    """Say why a test failed that was asked once more, and loudly which tests did not run."""
    for report in terminalreporter.getreports("rerun"):
        crash = getattr(report.longrepr, "reprcrash", report.longrepr)
        terminalreporter.line(f"FAILED FIRST {report.nodeid}, {report.when}: {crash}")
    skipped = terminalreporter.getreports("skipped")
    for reason, tests, need in LOUD:
        if count := sum(reason in str(report.longrepr) for report in skipped):
            terminalreporter.section(f"{tests} DID NOT RUN", sep="!", red=True, bold=True)
            terminalreporter.line(f"{count} tests need {need}")

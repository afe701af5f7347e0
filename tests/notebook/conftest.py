"""Notebooks, open in real front ends."""

import pytest
from demo_server import demo_server
from fuzz import patience
from real_jupyter import Jupyter, Page
from real_kernel import PYTHONS, Kernel, fresh_environ


@pytest.fixture
def server():
    """A demo server of its own for each test, which streams as fast as it can."""
    with demo_server() as demo:
        yield demo


@pytest.fixture(scope="module", params=PYTHONS)
def process(request, tmp_path_factory):
    """A real kernel for all tests of a module, on each ipykernel there is."""
    kernel = Kernel(PYTHONS[request.param], fresh_environ(tmp_path_factory.mktemp("ipython")))
    yield kernel
    kernel.close()


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    server = Jupyter(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def all_tabs():
    return {"lab": [], "notebook": []}


@pytest.fixture(scope="module")
def tabs(browser, all_tabs):
    """Tabs that no notebook is open in, by front end. Loading JupyterLab is what a test of it costs
    most of, so its tab goes on to the next test, also of another module."""
    if "context" not in all_tabs:
        all_tabs["context"] = browser.new_context()
        all_tabs["context"].set_default_timeout(patience(30_000))
    return all_tabs


@pytest.fixture(scope="module")
def open_shared_page(jupyter, tabs):
    """Opens notebooks for all tests of a module; see `open_page`."""
    yield from _opener(jupyter, tabs)


@pytest.fixture
def open_page(jupyter, tabs):
    """Opens notebooks; their kernels are shut when the test ends."""
    yield from _opener(jupyter, tabs)


def _opener(jupyter, tabs):
    pages: list[Page] = []

    def open_one(front: str, name: str, cells: list[str] | None = None, kernel="this", **options):
        if cells is not None:
            jupyter.write(name, cells, kernel)
        tab = tabs[front].pop() if tabs[front] else tabs["context"].new_page()
        pages.append(Page(jupyter, tab, front, name, **options))
        return pages[-1]

    yield open_one
    for page in pages:
        if not page.page.is_closed():
            page.close()
            tabs[page.front].append(page.page)

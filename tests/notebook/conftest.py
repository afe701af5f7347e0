"""Notebooks, open in real front ends."""

import pytest
from demo_server import demo_server
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


@pytest.fixture
def open_page(jupyter, browser):
    """Opens notebooks; their kernels and pages are shut when the test ends."""
    context = browser.new_context(viewport={"width": 1200, "height": 1400})
    context.set_default_timeout(30_000)
    pages: list[Page] = []

    def open_one(front: str, name: str, cells: list[str] | None = None, kernel="this", **options):
        if cells is not None:
            jupyter.write(name, cells, kernel)
        pages.append(Page(jupyter, context, front, name, **options))
        return pages[-1]

    yield open_one
    for page in pages:
        if not page.page.is_closed():
            page.close()
    context.close()

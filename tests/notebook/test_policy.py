"""A site whose Content-Security-Policy knows neither `blob:` nor `unsafe-inline`, as JupyterHub's
may: widgets do not load there, and styles in the page have no effect."""

import pytest
from real_jupyter import Jupyter, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws:; frame-ancestors 'self'"
)


def test_the_answer_is_there_plainer(browser, tmp_path):
    jupyter = Jupyter(tmp_path, policy=POLICY)
    try:
        cells = ["%load_ext qwen_magic\n%qwen_demo on", "%%qwen\nWhat is the derivative of x^2?"]
        jupyter.write("policy.ipynb", cells)
        context = browser.new_context()
        page = Page(jupyter, context.new_page(), "lab", "policy.ipynb")
        refused = []
        page.page.on("console", lambda said: refused.append(said.text))
        page.run(0)
        page.run(1)
        page.output(1).locator(".qm-saved .qm-answer").wait_for(timeout=30_000)
        assert "slope of its tangent" in page.text(1)
        assert page.output(1).locator(".qm-foot").count() == 1
        assert any("Content Security Policy" in words for words in refused), "nothing was refused"
        context.close()
    finally:
        jupyter.close()

"""`%qwen_local` in a real kernel, with an imitation of the hub and of the library."""

import sys

import pytest
from local_model import LIBRARY, WEIGHTS, listing, site
from real_kernel import Kernel, fresh_environ

from qwen_magic.local import FILE, REPOSITORY

pytestmark = pytest.mark.kernel


@pytest.fixture
def hub():
    pages = {
        f"/api/models/{REPOSITORY}/tree/main": listing(),
        f"/{REPOSITORY}/resolve/main/{FILE}": WEIGHTS,
    }
    with site(pages) as (base, asked):
        yield base, asked, pages


@pytest.fixture
def kernel(hub, tmp_path):
    (tmp_path / "xllamacpp.py").write_text(LIBRARY)
    environ = fresh_environ(tmp_path / "ipython")
    environ["PYTHONPATH"] = f"{tmp_path}:{environ.get('PYTHONPATH', '')}"
    environ |= {"HF_ENDPOINT": hub[0], "QWEN_MAGIC_HOME": str(tmp_path / "home")}
    kernel = Kernel(sys.executable, environ)
    kernel.ok("%load_ext qwen_magic")
    yield kernel
    kernel.close()


def test_a_qwen_is_fetched_when_the_user_says_so(kernel, hub, tmp_path):
    _, asked, _ = hub
    assert "No local model" in kernel.ok("%qwen_local").stdout
    assert not asked
    said = kernel.ok("%qwen_local qwen").stdout
    kept = tmp_path / "home" / "models" / FILE
    assert kept.read_bytes() == WEIGHTS
    assert f"Kept as {kept}; its sha256 is the one that the hub says." in said
    assert "1 of 1 MB" in said  # the end of the bar
    assert "qwen2.5-0.5b-instruct-q4_k_m answers on this machine, with 1 thread" in said
    config = "get_ipython().run_line_magic('config', 'QwenMagics.{}')"
    endpoint = kernel.ok(config.format("endpoint")).result["text/plain"]
    model = kernel.ok(config.format("model")).result["text/plain"]
    assert (endpoint, model) == ("'local'", f"'{kept.stem}'")
    assert len(asked) == 2
    kernel.ok("%qwen_local qwen --threads 2")
    assert len(asked) == 2  # the file was there
    assert "No local model" in kernel.ok("%qwen_local off").stdout
    model = kernel.ok(config.format("model")).result["text/plain"]
    assert model == "'qwen3-max'"


def test_what_is_not_the_file_is_refused(kernel, hub, tmp_path):
    _, _, pages = hub
    pages[f"/{REPOSITORY}/resolve/main/{FILE}"] = WEIGHTS[:-1]
    ran = kernel.run("%qwen_local qwen")
    assert "another sha256" in "".join(ran.traceback)
    assert not list((tmp_path / "home" / "models").iterdir())
    assert "No local model" in kernel.ok("%qwen_local").stdout

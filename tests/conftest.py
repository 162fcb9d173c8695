import re
import shutil

import numpy as np
import pytest

from lhic.families import registry
from lhic.families.weights import Weights, save_weights


def pytest_collection_modifyitems(items):
    """Fast tests first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def save_stored_models(folder):
    folder.mkdir()
    for number, name in enumerate(("stored", "stored-too")):
        tensors = {"w": np.full(3, number, "float32")}
        save_weights(folder / f"{name}.safetensors", Weights(name, "stored", {"n": 1}, tensors))


@pytest.fixture
def stored_models(tmp_path, monkeypatch):
    """Two models of the family of tests/stored_family.py, found under the names `stored` and `stored-too`."""
    folder = tmp_path / "models"
    save_stored_models(folder)
    monkeypatch.setitem(registry.FAMILIES, "stored", "tests.stored_family")
    monkeypatch.setenv("LHIC_CKPT", str(folder))
    return folder


@pytest.fixture
def cuda():
    """Skips, saying so, without a CUDA device."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser_page():
    """A page of a browser of this machine, without a network beyond it; skips, saying so, without a browser."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(150_000)  # machines are busy now and then
        page.route(re.compile("^https?://(?!localhost[:/])"), lambda route: route.abort())
        yield page
        browser.close()

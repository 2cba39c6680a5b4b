"""Settings of every test, and what several are given: backends, and where a network is saved."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import HealthCheck, Phase, settings
from selenium import webdriver

import fcconv
import real_networks
from fcconv.backend import BACKENDS, ArrayBackend
from fcconv.graph.files import save as saving
from fcconv.graph.rewriting.exact import cost
from tested_backends import TESTED

pytest.register_assert_rewrite(
    *{p.stem for p in Path(__file__).parent.glob("*.py")}
    - {"conftest", "real_networks", "tested_backends"}
)

PARTS = {
    "test_torch.py": ["torch"],
    "test_torch_backend.py": ["torch"],
    "test_torch_networks.py": ["torch", "onnxscript"],
    "torch_architectures.py": ["torch"],
    "test_real_networks.py": list(real_networks.PACKAGES),
    "test_scan_real.py": list(real_networks.PACKAGES),
    "test_slide_libraries.py": ["equinox", "flax", "keras"],
}
"""Tests that need more than the extra `test` brings; .ci/run installs it and runs them all."""

MISSING = {
    part: [name for name in needed if importlib.util.find_spec(name) is None]
    for part, needed in PARTS.items()
}

collect_ignore = [part for part, missing in MISSING.items() if missing]

BROWSER = shutil.which("chromium"), shutil.which("chromedriver")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# JAX compiles each new shape, so examples have no deadline
COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("normal", COMMON, max_examples=60, derandomize=True)
settings.register_profile("long", COMMON, max_examples=2000)
settings.register_profile(  # a mutant is to die, not to be understood: no shrinking
    "mutants",
    settings.get_profile("normal"),
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("normal")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which of the parts ran."""
    terminalreporter.section("parts that need more libraries")
    for part, missing in MISSING.items():
        state = f"not run, without {', '.join(missing)}" if missing else "collected where asked for"
        terminalreporter.write_line(f"{part}: {state}")
    for name, row in BACKENDS.items():
        state = "collected" if name in TESTED else f"not run, without {row.library}"
        terminalreporter.write_line(f"tests of every backend, on {name}: {state}")
    state = "a browser is there" if all(BROWSER) else "skipped, without chromium and chromedriver"
    terminalreporter.write_line(f"tests of pages: {state}")


@pytest.fixture(scope="session", params=TESTED)
def xp(request: pytest.FixtureRequest) -> ArrayBackend[Any]:
    """The backend to compute on."""
    return fcconv.backend(str(request.param))


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """A browser, which pages are opened in one after the other."""
    program, driver = BROWSER
    if program is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for option in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1200,900"):
        options.add_argument(f"--{option}")
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a network may be saved, in a folder of its own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "model.onnx"


@pytest.fixture(params=["one file", "two files"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the weights go; the size from which on they have a file of their own is lowered."""
    if request.param == "two files":
        monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    return str(request.param)


@pytest.fixture(params=["cheapest", "shared as far as it goes"])
def prices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moving entries cost what it does, or nothing, so that strips always pay."""
    if request.param != "cheapest":
        for price in ("MADE", "SHARED", "GATHERED"):
            monkeypatch.setattr(cost, price, 0)

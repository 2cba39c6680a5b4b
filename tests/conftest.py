"""Settings of every test, and the backends that each test body runs on."""

import importlib.util
import shutil
from typing import Any

import jax
import pytest
from hypothesis import HealthCheck, Phase, settings

import fcconv
import real_networks
from fcconv.backend import Backend

PARTS = {
    "test_torch.py": ["torch"],
    "test_torch_networks.py": ["torch", "onnxscript"],
    "test_real_networks.py": list(real_networks.PACKAGES),
    "test_scan_real.py": list(real_networks.PACKAGES),
}
"""Tests that need more than the extra `test` brings; .ci/run installs it and runs them all."""

MISSING = {
    part: [name for name in needed if importlib.util.find_spec(name) is None]
    for part, needed in PARTS.items()
}

collect_ignore = [part for part, missing in MISSING.items() if missing]

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
    browser = all(map(shutil.which, ("chromium", "chromedriver")))
    state = "a browser is there" if browser else "skipped, without chromium and chromedriver"
    terminalreporter.write_line(f"test_page.py, in a browser: {state}")


@pytest.fixture(scope="session", params=["numpy", "jax"])
def xp(request: pytest.FixtureRequest) -> Backend[Any]:
    """The backend to compute on; a test fails, and is not skipped, where one is missing."""
    return fcconv.backend(str(request.param))

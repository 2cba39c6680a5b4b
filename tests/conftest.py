"""Settings of every test, and the backends that each test body runs on."""

from typing import Any

import jax
import pytest
from hypothesis import HealthCheck, Phase, settings

import fcconv
from fcconv.backend import Backend

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


@pytest.fixture(scope="session", params=["numpy", "jax"])
def xp(request: pytest.FixtureRequest) -> Backend[Any]:
    """The backend to compute on; a test fails, and is not skipped, where one is missing."""
    return fcconv.backend(str(request.param))

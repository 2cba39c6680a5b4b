"""Settings of every test, and the backends that each test body runs on."""

import jax
import pytest
from hypothesis import HealthCheck, settings

import fcconv
from fcconv.backend import Backend

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# JAX compiles each new shape, so examples have no deadline
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("normal", max_examples=60, derandomize=True, **COMMON)
settings.register_profile("long", max_examples=2000, **COMMON)
settings.register_profile("mutants", max_examples=60, derandomize=True, database=None, **COMMON)
settings.load_profile("normal")


@pytest.fixture(scope="session", params=["numpy", "jax"])
def xp(request: pytest.FixtureRequest) -> Backend:
    """The backend to compute on; a test fails, and is not skipped, where one is missing."""
    return fcconv.backend(str(request.param))

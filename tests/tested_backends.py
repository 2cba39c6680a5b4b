"""The backends that tests are given: what the extra `test` brings, and what else is there."""

from __future__ import annotations

from fcconv.backend import BACKENDS, is_installed

NEEDED = "numpy", "jax"
"""Backends whose tests fail, and are not left out, where a library is missing."""

TESTED = [name for name in BACKENDS if name in NEEDED or is_installed(name)]
"""The backends that are tested."""

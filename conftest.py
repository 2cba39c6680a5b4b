"""Examples in a backend are collected where its library is there; tests have their own settings."""

from __future__ import annotations

from fcconv.backend import BACKENDS, is_installed

collect_ignore = [
    f"backends/{row.package}" for name, row in BACKENDS.items() if not is_installed(name)
]

"""Libraries that read formats, imported where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from fcconv.errors import BackendError


def needed(module: str, extra: str = "scan") -> Any:
    """Import a library that reads a format, which an extra of ours brings.

    Raises
    ------
    BackendError
        If it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendError(f"{error}: pip install 'fcconv[{extra}]'") from error

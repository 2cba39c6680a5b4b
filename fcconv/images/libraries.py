"""Libraries that read formats, imported where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from fcconv.errors import BackendError


def needed(module: str, extra: str = "scan") -> Any:
    """Import a library that reads a format, and that an extra of the package brings.

    Raises
    ------
    BackendError
        If it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BackendError(f"{reason(error)}: pip install 'fcconv[{extra}]'") from error


def reason(error: Exception) -> str:
    """Return in one line what a library's error says, or its name where it says nothing."""
    said = " ".join(str(error).split()) or type(error).__name__
    # of a broken file it may quote any bytes
    return "".join(letter if letter.isprintable() else "?" for letter in said)

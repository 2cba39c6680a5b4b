"""Libraries that only some tasks take, imported where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from fcconv.errors import BackendError

PACKAGES = {"PIL": "Pillow", "skimage": "scikit-image"}
"""What is installed as another name than it is imported as."""


def needed(module: str, extra: str = "scan") -> Any:
    """Import a library that an extra of the package brings.

    Raises
    ------
    BackendError
        If it is missing, or can't be imported.

    Examples
    --------
    >>> needed("surely_missing.part", "geo")
    Traceback (most recent call last):
    ...
    fcconv.errors.BackendError: surely_missing is not installed: pip install 'fcconv[geo]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        library, _, _ = (error.name or module).partition(".")
        library = PACKAGES.get(library, library)
        raise BackendError(f"{library} is not installed: pip install 'fcconv[{extra}]'") from None
    except ImportError as error:
        raise BackendError(f"{reason(error)}: pip install 'fcconv[{extra}]'") from error


def reason(error: Exception) -> str:
    """Return in one line what a library's error says, or its name where it says nothing."""
    said = " ".join(str(error).split()) or type(error).__name__
    # of a broken file it may quote any bytes
    return "".join(letter if letter.isprintable() else "?" for letter in said)

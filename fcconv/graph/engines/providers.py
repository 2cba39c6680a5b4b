"""The providers of onnxruntime, which compute in it: what they are called, and which are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fcconv.errors import ArgumentError, BackendError

CPU = "CPUExecutionProvider"

SHORT = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
"""Short names of providers; any other has the name that onnxruntime gives it."""

INSTEAD = "pip uninstall onnxruntime, then pip install"
"""Packages with other providers bring the same module, so that there can be one of them only."""

BROUGHT = {
    "CUDAExecutionProvider": f"{INSTEAD} onnxruntime-gpu",
    "TensorrtExecutionProvider": f"{INSTEAD} onnxruntime-gpu",
    "CoreMLExecutionProvider": "onnxruntime for macOS has it",
    "DmlExecutionProvider": f"on Windows, {INSTEAD} onnxruntime-directml",
}
"""What brings a provider."""


def load_onnxruntime() -> Any:
    """Import onnxruntime.

    Raises
    ------
    BackendError
        If it is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise BackendError("onnxruntime is not installed: pip install onnxruntime") from None
    return onnxruntime


def find_providers(names: Sequence[str]) -> tuple[str, ...]:
    """Find providers by their names, or :data:`SHORT` ones.

    Returns
    -------
    tuple of str
        The names that onnxruntime gives them, each once, in the same order. The CPU's is one of
        them, as it takes the nodes that the others can't compute. Nothing if it is the only one.

    Raises
    ------
    ArgumentError
        If these are no names.
    BackendError
        If onnxruntime is not installed, or without one of them.
    """
    is_list = isinstance(names, list | tuple)
    if not is_list or not names or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"providers needs a list of names such as ['cuda'], got {names!r}")
    installed = load_onnxruntime().get_available_providers()
    found = [SHORT.get(name.lower(), name) for name in names]
    for name in found:
        if name not in installed:
            raise BackendError(
                f"providers (--providers): onnxruntime has no {name} here, but "
                f"{', '.join(installed)}: {BROUGHT.get(name, 'choose of these')}"
            )
    unique = tuple(dict.fromkeys([*found, CPU]))
    return () if unique == (CPU,) else unique


def in_words(engine: str, where: Sequence[str]) -> str:
    """Name an engine, and what it computes on."""
    return f"{engine} ({', '.join(where)})" if where else engine

"""What the figures depend on: processor, cores, versions, threads, devices, settings."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from fcconv_bench.processes import available_cores, process
from fcconv_bench.suite import CPU

LIBRARIES = (
    *("fcconv", "numpy", "scipy", "jax", "jaxlib", "torch", "onnxruntime", "monai"),
    *("scikit-image", "scikit-learn"),
)
MODULES = {"scikit-image": "skimage", "scikit-learn": "sklearn"}
"""Of those that have another name."""

BLAS_FACTS = ("internal_api", "version", "architecture", "num_threads")
SETTINGS = ("OPENBLAS_", "OMP_", "MKL_", "XLA_", "JAX_")


def environment() -> dict[str, Any]:
    """Record the environment of a contender's process.

    It is asked in one: JAX keeps a device for as long as it runs.
    """
    with process() as probe:
        return probe.submit(_environment).result()


def _environment() -> dict[str, Any]:
    found = [name for name in LIBRARIES if importlib.util.find_spec(MODULES.get(name, name))]
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in found},
        "blas": _blas(),
        "threads": _threads(found),
        "devices": devices(),
        "settings": {k: v for k, v in sorted(os.environ.items()) if k.startswith(SETTINGS)},
    }


def _blas() -> list[dict[str, Any]]:
    np.dot(np.ones((64, 64)), np.ones((64, 64)))  # loads it
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return [{fact: pool.get(fact) for fact in BLAS_FACTS} for pool in pools]


def _threads(found: list[str]) -> dict[str, int]:
    """Say how many threads compute; XLA and onnxruntime are given the number, and don't tell."""
    threads = {blas["internal_api"]: int(blas["num_threads"]) for blas in _blas()}
    threads |= {name: available_cores() for name in ("jax", "onnxruntime") if name in found}
    if "torch" in found:
        import torch

        threads["torch"] = torch.get_num_threads()
    return threads


def devices() -> dict[str, str]:
    """Name the kind of each device that JAX sees besides the CPU."""
    if not importlib.util.find_spec("jax"):
        return {}
    import jax

    return {d.platform: d.device_kind for d in jax.devices() if d.platform != CPU}


def _processor() -> str:
    """Name the processor; Linux names it here, and nowhere in the standard library."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def in_words(record: dict[str, Any]) -> list[str]:
    """Say the environment in a few lines."""
    lines = [f"{record['processor']}, {record['cores']} cores"]
    lines += [f"{platform}: {kind}" for platform, kind in record["devices"].items()]
    lines += [
        f"{blas['internal_api']} {blas['version']}, {blas['architecture']}"
        for blas in record["blas"]
    ]
    lines += [f"threads: {_listed(record['threads'])}", _listed(record["versions"])]
    return lines


def _listed(named: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())

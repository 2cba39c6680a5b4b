"""What the figures depend on: processor, cores, versions, BLAS and its threads, devices."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

LIBRARIES = ("fcconv", "numpy", "jax", "jaxlib", "torch")
BLAS_FACTS = ("internal_api", "version", "architecture", "num_threads")


def environment(devices: dict[str, str]) -> dict[str, Any]:
    """Record the environment, with the devices that JAX saw."""
    np.dot(np.ones((64, 64)), np.ones((64, 64)))  # loads BLAS
    found = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in found},
        "blas": [{fact: pool.get(fact) for fact in BLAS_FACTS} for pool in pools],
        "devices": {platform: kind for platform, kind in devices.items() if kind != platform},
    }


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
        f"{blas['internal_api']} {blas['version']}, {blas['architecture']}, "
        f"{blas['num_threads']} threads"
        for blas in record["blas"]
    ]
    return [*lines, ", ".join(f"{name} {v}" for name, v in record["versions"].items())]

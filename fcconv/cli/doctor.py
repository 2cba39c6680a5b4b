"""``fcconv doctor``: what is installed and works here, and what to install for all else."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata

from packaging.requirements import Requirement
from rich.table import Table

from fcconv.backend import ONNXRUNTIME, backend, engines, is_installed
from fcconv.cli.output import results
from fcconv.images.libraries import reason

FAILED = 1

WORKS, BROKEN = "works", "can't be imported"

POWERS = {
    "onnx": "convert, inspect and verify networks; PyTorch modules with onnxscript and torch",
    "scan": "scan images, recordings and volumes; pictures and pages",
    "jax": "compute with JAX; functions that slide",
    "torch": "compute with PyTorch",
    "mask": "scan where polygons or tissue are",
    "slides": "slides of pathology: SVS, NDPI, MRXS, DICOM",
    "geo": "GeoTIFF, and results on the ground",
    "audio": "recordings of another sample rate",
    "dask": "scan with workers of Dask",
    "remote": "images and scores in stores such as S3",
    "demo": "the demo",
    "bench": "benchmarks",
}
"""What each extra is for."""


@dataclass(frozen=True)
class Finding:
    """What is known of an extra or an engine.

    Attributes
    ----------
    name : str
        What it is called.
    what : str
        What it is for, or what it computes on.
    state : str
        :data:`WORKS`, or what is missing or, with :data:`BROKEN` in it, broken.
    install : str
        The line that helps; nothing where it works.
    """

    name: str
    what: str
    state: str
    install: str


def examine(as_json: bool) -> int:
    """Print what works; 1 means that something that is installed does not."""
    found = {"engines": list(_engines()), "extras": list(_extras())}
    if as_json:
        told = {key: [asdict(one) for one in listed] for key, listed in found.items()}
        results().print(json.dumps(told, indent=2), soft_wrap=True)
    else:
        for title, listed in found.items():
            results().print(_table(title.capitalize(), listed))
        both = [*found["engines"], *found["extras"]]
        # beside the tables, so that a line can be copied; an engine may be an extra, too
        for line in dict.fromkeys(f"For {one.name}: {one.install}" for one in both if one.install):
            results().print(line, soft_wrap=True)
    is_broken = any(BROKEN in one.state for listed in found.values() for one in listed)
    return FAILED if is_broken else 0


def _table(title: str, found: Iterable[Finding]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    for one in found:
        table.add_row(one.name, one.what, one.state)
    return table


def _engines() -> Iterator[Finding]:
    """Say of each engine whether it computes, and on what."""
    for name in engines():
        extra = "onnxruntime" if name == ONNXRUNTIME else f"'fcconv[{name}]'"
        if not is_installed(name):
            yield Finding(name, "", "is not installed", f"pip install {extra}")
            continue
        try:
            on = _computes_on(name)
        except Exception as error:  # libraries that are broken raise anything
            yield Finding(name, "", f"{BROKEN}: {reason(error)}", f"pip install {extra}")
        else:
            yield Finding(name, f"on {on}", WORKS, "")


def _computes_on(name: str) -> str:
    """Compute something, and say on what."""
    if name == ONNXRUNTIME:
        providers = importlib.import_module(name).get_available_providers()
        return ", ".join(one.removesuffix("ExecutionProvider") for one in providers)
    return str(backend(name).asarray([1.0]).device)


def _extras() -> Iterator[Finding]:
    """Say of each extra whether all that it brings is there."""
    modules = _modules()
    requirements = [Requirement(line) for line in metadata.requires("fcconv") or ()]
    for extra, what in POWERS.items():
        needed = [
            one for one in requirements if one.marker and one.marker.evaluate({"extra": extra})
        ]
        troubles = [said for one in needed if (said := _trouble(one, modules))]
        state = "; ".join(troubles) or WORKS
        yield Finding(extra, what, state, f"pip install 'fcconv[{extra}]'" if troubles else "")


def _trouble(needed: Requirement, modules: Mapping[str, str]) -> str:
    """Say what is wrong with a library; nothing if it works."""
    try:
        version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return f"{needed.name} is not installed"
    if not needed.specifier.contains(version, prereleases=True):
        return f"{needed.name} is {version}, needed is {needed.specifier}"
    try:
        importlib.import_module(modules[_plain(needed.name)])
    except Exception as error:  # libraries that are broken raise anything
        return f"{needed.name} {BROKEN}: {reason(error)}"
    return ""


def _modules() -> dict[str, str]:
    """Return a module of each installed package; several may bring the same one."""
    found: dict[str, str] = {}
    for module, packages in metadata.packages_distributions().items():
        for package in map(_plain, packages):
            is_own = module.lower() == package.replace("-", "_")
            if module.isidentifier() and (is_own or package not in found):
                found[package] = module
    return found


def _plain(name: str) -> str:
    """Write the name of a package as the index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()

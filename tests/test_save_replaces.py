"""A file is replaced whole, or stays as it was."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import fcconv
from fcconv.graph.files.save import save
from saved_networks import array, initializers, network
from small_networks import classifier


@contextmanager
def everything_stays(path: Path) -> Iterator[None]:
    """See that a folder has the same files afterwards, temporary ones included."""

    def state() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in path.parent.iterdir()}

    before = state()
    yield
    assert state() == before


def old_files(path: Path) -> None:
    path.write_bytes(b"old model")
    path.with_name(f"{path.name}.data").write_bytes(b"old weights")


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_a_weight_that_can_not_be_computed(
    path: Path, old: bool, error: type[BaseException]
) -> None:
    def fail() -> Any:
        raise error("no such weight")

    model = network(large=array((40, 40), "float64"), lazy=array((40, 40), "float64"))
    lazy = ir.LazyTensor(fail, dtype=ir.DataType.DOUBLE, shape=ir.Shape((40, 40)), name="lazy")
    model.graph.initializers["lazy"].const_value = lazy
    if old:
        old_files(path)
    with everything_stays(path), pytest.raises(error, match="no such weight"):
        save(model, path)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("old", [True, False])
def test_a_disk_that_is_full(path: Path, old: bool) -> None:
    if old:
        old_files(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with everything_stays(path), pytest.raises(fcconv.OutputError, match="File too large"):
            save(network(large=array((1000, 40), "float64")), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("last", ["model.onnx", "model.onnx.data"])
def test_a_file_that_can_not_be_replaced(
    path: Path, old: bool, last: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refused = Path.replace, 0

    def refusing(self: Path, target: Path) -> Path:
        nonlocal refused
        if target.name == last and not refused:
            refused += 1
            raise OSError(13, "Permission denied")
        return replace(self, target)

    if old:
        old_files(path)
    monkeypatch.setattr(Path, "replace", refusing)
    if form == "one file" and last == "model.onnx.data":
        save(network(), path)
        return
    with everything_stays(path), pytest.raises(OSError, match="Permission denied"):
        save(network(large=array((1000, 40), "float64")), path)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_mode_of_any_new_file(path: Path, mask: int, mode: int, form: str) -> None:
    before = os.umask(mask)
    try:
        save(network(large=array((40, 40), "float64")), path)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {mode}
    assert len(list(path.parent.iterdir())) == (1 if form == "one file" else 2)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("name", ["x.onnx", "./x.onnx", "x", "ü [1].onnx", "x" * 250])
def test_a_bare_name(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    model = network(large=array((40, 40), "float64"))
    save(model, name)
    assert initializers(ir.load(name)) == initializers(model)
    assert fcconv.pointwise(name).model.doc_string == model.doc_string


@pytest.mark.parametrize("slide", [True, False])
def test_over_the_file_that_it_comes_from(path: Path, slide: bool, form: str) -> None:
    proto = classifier()
    x = np.random.default_rng(0).integers(-3, 4, (1, 2, 6, 6)).astype(np.float32)
    expected = fcconv.compile(proto)(x).ravel()
    apart = form == "two files"  # which the network is then mapped from
    onnx.save(
        proto, path, save_as_external_data=apart, location="model.onnx.data", size_threshold=0
    )
    for _ in range(3):
        made: Any = (
            fcconv.convolutionize(path, window=(2, 6, 6)) if slide else fcconv.pointwise(path)
        )
        for _ in range(2):  # the second time from weights whose file is gone
            made.save(path)
            for source in (made.model, path):
                assert np.array_equal(fcconv.compile(source)(x).ravel(), expected)
    onnx.checker.check_model(path, full_check=True)


def test_what_can_not_be_a_file(path: Path) -> None:
    model = network()
    with everything_stays(path):
        with pytest.raises(OSError, match="it is there, and not a file"):
            save(model, path.parent)
        with pytest.raises(OSError, match=r"there is no folder .*missing: save it elsewhere"):
            save(model, path.parent / "missing" / "model.onnx")
        with pytest.raises(OSError, match="name too long"):
            save(model, path.with_name("x" * 256))
    os.mkfifo(path)
    with pytest.raises(OSError, match="it is there, and not a file"):
        save(model, path)
    assert path.is_fifo()

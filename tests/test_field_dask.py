"""Parts on the workers of a cluster make what one process makes, whatever becomes of workers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import zarr

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import ArgumentError, BackendError, ImageError
from fcconv.scanning.chunks import InFolder
from fcconv.scanning.distributed import unpacked
from scan_cases import attending, cut_into, memory_for, picture, small_network
from score_files import names_in, tree
from strategies import integers

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers in this process, which patches of the tests reach."""
    with distributed.Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as client:
        yield client


def begun(folder: Path, size: tuple[int, int], seed: int = 0) -> dict[str, Any]:
    """Save an image, and say how it is scanned."""
    folder.mkdir()
    np.save(folder / "image.npy", integers(seed, (2, *size), "float32"))
    return {"network": small_network(), "image": folder / "image.npy", "engine": "numpy"}


def test_workers_make_what_one_process_makes(client: Any, tmp_path: Path) -> None:
    given = begun(tmp_path / "in", (60, 70))
    seen: list[Any] = []
    with cut_into(30):
        out, alone = tmp_path / "a", tmp_path / "b"
        out.mkdir()
        alone.mkdir()
        found = fcconv.scan(**given, out=out / "x.zarr", client=client, progress=seen.append)
        whole = fcconv.scan(**given, out=alone / "x.zarr")
    assert found.computed == found.tiles == whole.tiles >= 30
    assert tree(out) == tree(alone)
    assert [done.tiles for done in seen] == sorted(done.tiles for done in seen)
    assert seen[-1] == (whole.tiles, whole.tiles, whole.scores[0].size, whole.scores[0].size, 0)
    assert len(seen) == 1 + 16  # parts


cut_short: list[Path] = []
"""Chunks that this process wrote wrongly: at most one."""


def writes_wrongly() -> None:
    """Let this process write its first chunk without its last byte."""
    write = InFolder.write

    def wrongly(folder: InFolder, chunk: tuple[int, ...], scores: Any) -> None:
        write(folder, chunk, scores)
        if not cut_short:
            place = "/".join(map(str, chunk))
            cut_short.extend(Path(str(folder.path)).glob(f"[!f]*/c/{place}"))
            cut_short[0].write_bytes(cut_short[0].read_bytes()[:-1])

    pytest.MonkeyPatch().setattr(InFolder, "write", wrongly)  # as long as it lives


def wrongly_written() -> list[str]:
    """Name the chunks that this process wrote wrongly."""
    return list(map(str, cut_short))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped")
def test_workers_that_are_killed_or_hang_or_write_wrongly(tmp_path: Path) -> None:
    sizes = [(150, 170), (90, 260)]
    images = [begun(tmp_path / f"in-{k}", size, seed=k) for k, size in enumerate(sizes)]
    for folder in ("cluster", "alone"):
        (tmp_path / folder).mkdir()
    for given in images:
        given["memory"] = memory_for(100, given["network"], np.load(given["image"]))
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "1500ms"}),
        distributed.LocalCluster(
            n_workers=4, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = client.run(os.getpid)
        killed, hanging, *_ = workers.values()
        wrong = list(workers)[2]
        client.run(writes_wrongly, workers=[wrong])
        told: list[int] = []

        def ends(done: Any) -> None:
            told.append(done.tiles)
            if len(told) == 2:  # after the first part
                os.kill(killed, signal.SIGKILL)
                os.kill(hanging, signal.SIGSTOP)

        for k, given in enumerate(images):
            out = tmp_path / "cluster" / f"{k}.zarr"
            fcconv.scan(**given, out=out, client=client, progress=ends)
        opened = client.run(lambda: unpacked.cache_info().misses)
        assert len(client.run(wrongly_written, workers=[wrong])[wrong]) == 1
    assert 1 <= max(opened.values()) <= 2  # once for each image, by no worker twice
    for k, given in enumerate(images):
        fcconv.scan(**given, out=tmp_path / "alone" / f"{k}.zarr")
    assert tree(tmp_path / "cluster") == tree(tmp_path / "alone")


def test_what_a_worker_writes_wrongly_is_computed_again(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, write = begun(tmp_path / "in", (30, 40)), InFolder.write
    wrong: list[Path] = []

    def cut_short(folder: InFolder, chunk: tuple[int, ...], scores: Any) -> None:
        write(folder, chunk, scores)
        if chunk == (0, 1, 1) and not wrong:
            wrong.extend(Path(str(folder.path)).glob("[!f]*/c/0/1/1"))
            wrong[0].write_bytes(wrong[0].read_bytes()[:-1])

    monkeypatch.setattr(InFolder, "write", cut_short)
    with cut_into(9):
        found = fcconv.scan(**given, out=tmp_path / "x.zarr", client=client)
    assert len(wrong) == 1
    assert found.computed == found.tiles + 1
    assert_identical(found.scores[...], fcconv.scan(**given).scores, "computed again")


def test_a_cluster_of_the_command_line(
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = begun(tmp_path / "in", (30, 40))
    onnx.save(given["network"], tmp_path / "net.onnx")
    np.save(tmp_path / "in" / "other.npy", integers(4, (2, 28, 31), "float32"))
    monkeypatch.chdir(tmp_path)
    address = client.scheduler.address
    for image, out in (("in/image.npy", "x.zarr"), ("in/*.npy", "many")):
        words = ["net.onnx", image, "--out", out]
        with cut_into(9):
            assert app.run(["scan", *words, "--engine", "numpy", "--dask", address]) == 0
        assert "Written: " in capsys.readouterr().out
    with cut_into(9):
        found = fcconv.scan(**given)
    for name in ("x.zarr", "many/image.zarr"):
        assert_identical(fcconv.open_scan(name).scores[...], found.scores, name)
    assert app.run(["scan", *words, "--overwrite", "--dask", "nowhere"]) == 2
    assert "there is no cluster at nowhere: give the address" in capsys.readouterr().err


class Unreadable:
    """An array that no worker can have."""

    def __init__(self, pixels: Any) -> None:
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype

    def __getitem__(self, index: Any) -> Any:
        return self.pixels[index]

    def __reduce__(self) -> Any:
        raise TypeError("it is of this process")


def test_what_can_not_be_handed_over(client: Any, tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    out = tmp_path / "x.zarr"
    with pytest.raises(ArgumentError, match=r"client needs out, a \.zarr that every part can"):
        fcconv.scan(**given, client=client)
    with pytest.raises(ArgumentError, match=r"client needs a distributed\.Client, got str"):
        fcconv.scan(**given, client="local", out=out)
    with pytest.raises(ArgumentError, match="client is of the whole scan: give it to the last"):
        fcconv.scan(**given, client=client, out=out, part=(1, 2))
    given["image"] = Unreadable(picture())
    with pytest.raises(ArgumentError, match=r"can't be sent to workers.*it is of this process"):
        fcconv.scan(**given, client=client, out=out)
    assert not names_in(tmp_path)


def test_an_error_of_a_worker_is_told(client: Any, tmp_path: Path) -> None:
    given = begun(tmp_path / "in", (30, 40))
    pixels = np.load(given["image"]).astype("float64")
    pixels[0, 20, 30] = 1e300
    np.save(given["image"], pixels)
    with cut_into(9), pytest.raises(ImageError, match="holds pixels too large for float32") as told:
        fcconv.scan(**given, client=client, out=tmp_path / "x.zarr")
    assert "resume goes on from there" in told.value.__notes__[-1]


@pytest.mark.parametrize("what", ["batch", "padded", "mask", "crops", "stuck", "array", "zarr"])
def test_every_kind_of_job_is_handed_over(what: str, client: Any, tmp_path: Path) -> None:
    image: Any = integers(3, (2, 2, 23, 29) if what == "batch" else (2, 23, 29), "float32")
    given: dict[str, Any] = {"network": small_network(pad=1), "engine": "numpy", "windows": "exact"}
    if what != "array":
        given["image"] = tmp_path / ("x.zarr" if what == "zarr" else "x.npy")
        if what == "zarr":
            zarr.create_array(given["image"], data=image, chunks=(2, 8, 8))
        else:
            np.save(given["image"], image)
    else:
        given["image"] = image
    more: dict[str, dict[str, Any]] = {
        "padded": {"pad": "edge"},
        "mask": {"mask": np.eye(2)},
        "crops": {"windows": "crops"},
        "stuck": {"network": attending(), "windows": "crops", "stride": 4, "engine": "auto"},
    }
    given |= more.get(what, {})
    with cut_into(9):
        found = fcconv.scan(**given, out=tmp_path / "out.zarr", client=client)
        whole = fcconv.scan(**given)
    assert found.computed > 8 or what == "mask"
    assert_identical(found.scores[...], whole.scores, what)


def dies(*_: Any) -> None:
    """What is in the place of a part that takes more memory than there is."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed")
def test_workers_that_die_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = begun(tmp_path / "in", (30, 40))
    monkeypatch.setattr("fcconv.scanning.distributed._score_part", dies)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(BackendError, match="1 workers died while they computed part 1 of 1: if for"),
    ):
        fcconv.scan(**given, out=tmp_path / "x.zarr", client=client)

"""Scores in files equal those in memory; what is there is never replaced unasked, or half."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import zarr

import fcconv
from comparing import assert_identical
from fcconv.errors import ImageError, OutputError
from random_graphs import Graph
from strategies import integers
from test_scan import Array, cut_into, memory_for, picture, small_network
from test_scan_inputs import Recording

SUFFIXES = (".zarr", ".npy", ".npz")


def tree(path: Path) -> dict[str, bytes]:
    """Read all files below a folder, by name."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def stored(path: Path) -> Mapping[str, Any]:
    """Read scores as other programs do."""
    if path.suffix == ".npy":
        return {"": np.load(path)}
    if path.suffix == ".npz":
        return dict(np.load(path))
    group = zarr.open_group(path, mode="r")
    return {name: group[name][...] for name in group.array_keys()}  # type: ignore[index]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def names_of(out: Path) -> set[str]:
    """Name what a scan writes: a file has one beside it that tells what run it is of."""
    return {out.name} if out.suffix == ".zarr" else {out.name, f"{out.name}.fcconv.json"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("batched", [False, True])
def test_files_hold_what_memory_holds(suffix: str, batched: bool, tmp_path: Path) -> None:
    network, out = small_network(heads=1 if suffix == ".npy" else 2), tmp_path / f"out{suffix}"
    image = np.stack([picture(seed=k) for k in range(2)]) if batched else picture()
    expected = fcconv.scan(network, image, engine="numpy")
    memory = memory_for(7, network, image)
    found = fcconv.scan(network, image, engine="numpy", memory=memory, out=out)
    assert found.tiles > 6
    assert found.computed == found.tiles
    assert list(found.outputs) == list(expected.outputs)
    for scores, kept, whole in zip(
        found.outputs.values(),
        stored(out).values() if suffix == ".npy" else map(stored(out).get, found.outputs),
        expected.outputs.values(),
        strict=True,
    ):
        assert kept is not None
        assert kept.dtype == whole.dtype
        assert_identical(scores[...], whole, suffix)
        assert_identical(kept, whole, suffix)
    assert names_in(tmp_path) == names_of(out)
    assert found.peaks(0, 20) == expected.peaks(0, 20)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"out.* is there"):
        fcconv.scan(network, image, engine="numpy", memory=memory, out=out)
    assert tree(tmp_path) == before


def test_a_npy_holds_one_array(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the network has 2: use \.npz"):
        fcconv.scan(small_network(heads=2), picture(), engine="numpy", out=tmp_path / "x.npy")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name", ["/y", "a/b", "../y", "..", ".", "c", "zarr.json", "joined", "out", "y.npy", "Σ a"]
)
def test_outputs_of_any_name(name: str, suffix: str, tmp_path: Path) -> None:
    network, out = small_network(), tmp_path / "in" / f"out{suffix}"
    out.parent.mkdir()
    network.graph.node[-1].output[0] = network.graph.output[0].name = name
    with cut_into(4):
        found = fcconv.scan(network, picture(), engine="numpy", out=out)
    expected = fcconv.scan(small_network(), picture(), engine="numpy").scores
    assert_identical(found.scores[...], expected, name)
    (kept,) = stored(out).values() if suffix != ".zarr" else found.outputs.values()
    assert_identical(kept[...], expected, name)
    assert not Path(f"{name}.npy").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert names_in(out.parent) == names_of(out)
    if suffix == ".zarr":
        with cut_into(4):
            again = fcconv.scan(network, picture(), engine="numpy", out=out, existing="resume")
        assert again.computed == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_integers_go_to_files(suffix: str, tmp_path: Path) -> None:
    graph = Graph(2, 4, 4, dtype="float32")
    x = graph.add("Flatten", "image")
    x = graph.add("MatMul", x, graph.array(np.random.default_rng(0).integers(-2, 3, (32, 3))))
    network = graph.model(graph.add("ArgMax", x, axis=1, keepdims=1))
    expected = fcconv.scan(network, picture(), engine="numpy").scores
    found = fcconv.scan(network, picture(), engine="numpy", out=tmp_path / f"out{suffix}").scores
    assert found.dtype == expected.dtype == np.int64
    assert_identical(found[...], expected, suffix)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("x.tif", r"scores go to \.zarr, \.npz, \.npy"),
        ("x", "scores go to"),
        ("no/x.zarr", "there is no folder"),
        ("file/x.npy", "there is no folder"),
    ],
)
@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
def test_places_where_no_scores_go(out: str, said: str, existing: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=said):
        fcconv.scan(small_network(), picture(), out=tmp_path / out, existing=existing)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# What is there already --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
def test_only_scans_are_replaced(suffix: str, existing: str, tmp_path: Path) -> None:
    """A folder that is no scan stays, whatever is asked for."""
    out = tmp_path / f"out{suffix}"
    for folder in (out, tmp_path / f"out{suffix}.zarr"):
        zarr.create_group(folder, attributes={"mine": 1})
        before = tree(tmp_path)
        with pytest.raises(OutputError, match=r"out\S* is (there|no scan)"):
            fcconv.scan(small_network(), picture(), out=out, existing=existing)
        assert tree(tmp_path) == before
        (folder / "zarr.json").unlink()
        folder.rmdir()
        if suffix == ".zarr":
            break


def test_an_image_is_not_replaced_by_its_scores(tmp_path: Path) -> None:
    image = tmp_path / "photo.npy"
    np.save(image, picture())
    before = image.read_bytes()
    with pytest.raises(OutputError, match="is read, and scores would replace it"):
        fcconv.scan(small_network(), image, out=image, existing="overwrite")
    assert image.read_bytes() == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_complete_scan_is_resumed_without_work(suffix: str, tmp_path: Path) -> None:
    network, out = small_network(), tmp_path / f"out{suffix}"
    first = fcconv.scan(network, picture(), engine="numpy", out=out)
    again = fcconv.scan(network, picture(), out=out, existing="resume")
    assert (again.computed, again.engine) == (0, "numpy")
    assert_identical(again.scores[...], first.scores[...], suffix)
    with pytest.raises(OutputError, match="its image is"):
        fcconv.scan(network, picture(seed=1), out=out, existing="resume")


def test_two_runs_do_not_write_to_one_place(tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": tmp_path / "out.npz", "existing": "overwrite"}

    def another(_: Any) -> None:
        with pytest.raises(OutputError, match=r"another run writes to .*: wait for it"):
            fcconv.scan(**given)

    fcconv.scan(**given, progress=another)
    assert names_in(tmp_path) == names_of(tmp_path / "out.npz")


def test_one_pixel_makes_another_image(tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "out": tmp_path / "out.zarr"}
    image = np.zeros((2, 60, 70), np.float32)
    fcconv.scan(image=image, **given)
    image[1, 33, 44] = 1
    with pytest.raises(OutputError, match="its image is"):
        fcconv.scan(image=image, existing="resume", **given)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_overwrite_replaces_a_scan(suffix: str, tmp_path: Path) -> None:
    network, out = small_network(), tmp_path / f"out{suffix}"
    fcconv.scan(network, picture(), engine="numpy", out=out)
    for image in (picture(seed=1), picture(seed=2)):
        with cut_into(5):
            found = fcconv.scan(network, image, engine="numpy", out=out, existing="overwrite")
        assert found.computed == found.tiles > 1
        expected = fcconv.scan(network, image, engine="numpy").scores
        assert_identical(found.scores[...], expected, suffix)
        assert names_in(tmp_path) == names_of(out)


def other(network: onnx.ModelProto) -> onnx.ModelProto:
    """Change one weight."""
    made = onnx.ModelProto()
    made.CopyFrom(network)
    last = made.graph.initializer[-1]
    weights = onnx.numpy_helper.to_array(last).copy()
    weights.flat[-1] += 1
    last.CopyFrom(onnx.numpy_helper.from_array(weights, last.name))
    return made


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": picture(seed=1)}, "image"),
    "network": ({"network": other(small_network())}, "network"),
    "stride": ({"stride": 1}, "network|stride"),
    "engine": ({"engine": "onnxruntime"}, "engine"),
    "preparation": ({"preparation": fcconv.Preparation(scale=2)}, "preparation"),
}


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
@pytest.mark.parametrize("name", CHANGED)
def test_another_run_is_not_gone_on_with(name: str, suffix: str, tmp_path: Path) -> None:
    out, network, image = tmp_path / f"out{suffix}", small_network(), picture()
    given: dict[str, Any] = {"network": network, "image": image, "engine": "numpy", "out": out}
    given["memory"] = memory_for(6, network, image)
    interrupted(given)
    before, (changed, said) = tree(tmp_path), CHANGED[name]
    with pytest.raises(OutputError, match=f"is of another run: its ({said}) is"):
        fcconv.scan(**{**given, **changed, "existing": "resume"})
    with pytest.raises(OutputError, match=r"is there: resume that run .*, or overwrite it"):
        fcconv.scan(**{**given, **changed})
    assert tree(tmp_path) == before
    found = fcconv.scan(**given, existing="resume")
    assert found.computed < found.tiles
    assert_identical(found.scores[...], fcconv.scan(network, image).scores, name)


def test_other_memory_and_labels_go_on_in_the_same_tiles(tmp_path: Path) -> None:
    network, image = small_network(), picture()
    given: dict[str, Any] = {"network": network, "image": image, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(6, network, image)}
    interrupted(given)
    given |= {"memory": "1GB", "labels": ("a", "b")}
    found = fcconv.scan(**given, existing="resume")
    assert 0 < found.computed < found.tiles
    assert_identical(found.scores[...], fcconv.scan(network, image).scores, "resumed")


def interrupted(arguments: dict[str, Any]) -> None:
    """Begin a scan, and interrupt it after two tiles."""

    def stop(done: Any) -> None:
        if done.tiles == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        fcconv.scan(**arguments, progress=stop)
    assert "resume" in raised.value.__notes__[0]


def test_resume_computes_what_is_left(tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(9, small_network(), picture())}
    interrupted(given)
    seen: list[Any] = []
    found = fcconv.scan(**given, existing="resume", progress=seen.append)
    assert found.computed == found.tiles - 2 or found.computed == found.tiles - 3  # one in flight
    assert [done.tiles for done in seen] == [*range(found.tiles - found.computed, 1 + found.tiles)]
    assert {done.all_tiles for done in seen} == {found.tiles}
    assert seen[-1].windows == seen[-1].all_windows == math.prod(found.cells)
    before = tree(tmp_path)
    again = fcconv.scan(**given, existing="resume", progress=seen.append)
    assert again.computed == 0
    assert tree(tmp_path) == before
    assert_identical(again.scores[...], found.scores[...], "complete")
    auto = fcconv.scan(**{**given, "engine": "auto"}, existing="resume")
    assert (auto.engine, auto.computed) == ("numpy", 0)


# Broken pixels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_pixels_are_named_and_finished_tiles_kept(bad: float, tmp_path: Path) -> None:
    pixels = integers(0, (2, 90, 110), "float32")
    image = Recording(pixels)
    given: dict[str, Any] = {"network": small_network(), "image": image, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(9, small_network(), pixels)}
    right = pixels[1, 61, 77]
    pixels[1, 61, 77] = bad
    with pytest.raises(ImageError, match="holds NaN or infinite pixels") as raised:
        fcconv.scan(**given)
    place = str(raised.value).split("pixels ")[1].split(",")[0]
    rows, columns = ([int(n) for n in part.split(" to ")] for part in place.split(" x "))
    assert rows[0] <= 61 < rows[1]
    assert columns[0] <= 77 < columns[1]
    assert "The tiles that are finished are kept" in raised.value.__notes__[0]
    kept = tree(tmp_path)
    assert any("/c/" in name for name in kept)
    with pytest.raises(ImageError, match="holds NaN or infinite pixels"):
        fcconv.scan(**given, existing="resume")
    assert kept.items() <= tree(tmp_path).items()
    pixels[1, 61, 77] = right
    with pytest.raises(OutputError, match="its image is"):  # other pixels, another image
        fcconv.scan(**given, existing="resume")


def test_a_mended_file_is_another_image(tmp_path: Path) -> None:
    path, pixels = tmp_path / "x.npy", picture()
    given: dict[str, Any] = {"network": small_network(), "image": path, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(9, small_network(), pixels)}
    broken: Array = pixels.copy()
    broken[0, -1, -1] = np.nan
    np.save(path, broken)
    with pytest.raises(ImageError, match=r"x\.npy, pixels .* NaN"):
        fcconv.scan(**given)
    np.save(path, pixels)
    with pytest.raises(OutputError, match=r"its image is .* give the same, or overwrite it"):
        fcconv.scan(**given, existing="resume")


def test_scores_in_a_file_are_mapped_and_not_read_whole(tmp_path: Path) -> None:
    for suffix in (".npy", ".npz"):
        found = fcconv.scan(
            small_network(heads=1), picture(), engine="numpy", out=tmp_path / f"out{suffix}"
        )
        assert isinstance(found.scores, np.memmap)
        assert not found.scores.flags.writeable


@pytest.mark.parametrize("kept", [0, 30, 500, -30])
def test_a_damaged_npz_is_said_to_be(kept: int, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    arguments: dict[str, Any] = {"engine": "numpy", "out": out, "existing": "resume"}
    fcconv.scan(small_network(), picture(), **arguments)
    out.write_bytes(out.read_bytes()[:kept])
    with pytest.raises(OutputError, match=r"out\.npz is damaged: overwrite it"):
        fcconv.scan(small_network(), picture(), **arguments)
    scores = fcconv.scan(small_network(), picture(), engine="numpy").scores
    np.savez_compressed(out, scores)
    with pytest.raises(OutputError, match=r"out\.npz is damaged: overwrite it"):
        fcconv.scan(small_network(), picture(), **arguments)

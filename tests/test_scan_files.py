"""Scores in files equal those in memory, whatever the outputs are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fcconv
from comparing import assert_identical
from fcconv.errors import OutputError
from graphs import Graph
from scan_cases import cut_into, memory_for, picture, small_network
from score_files import SUFFIXES, names_in, names_of, stored, tree


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


def test_scores_in_a_file_are_mapped_and_not_read_whole(tmp_path: Path) -> None:
    for suffix in (".npy", ".npz"):
        found = fcconv.scan(
            small_network(heads=1), picture(), engine="numpy", out=tmp_path / f"out{suffix}"
        )
        assert isinstance(found.scores, np.memmap)
        assert not found.scores.flags.writeable

"""Weights in other files: read from the model's folder, and from nowhere else."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import fcconv
from refusing import USES, refuse, refuse_everywhere, write
from small_networks import classifier, constant, node, scores


def apart(path: Path, **entries: str) -> Path:
    """Write a model whose first weight lies in another file, with these entries."""
    network = classifier()
    first = network.graph.initializer[0]
    found = first.raw_data
    first.ClearField("raw_data")
    first.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        first.external_data.add(key=key, value=value)
    write(path, network)
    path.with_name("weights").write_bytes(bytes(3) + found)
    (path.parent / "below").mkdir(exist_ok=True)
    path.with_name("below").joinpath("weights").write_bytes(found)
    path.parent.with_name("secret").write_bytes(found)
    path.with_name("empty").write_bytes(b"")
    path.with_name("link").symlink_to(path.parent.with_name("secret"))
    path.with_name("good link").symlink_to("below/weights")
    path.with_name("folder link").symlink_to(path.parent.parent)
    return path


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "weights", "offset": "3", "length": "288"},  # not at a multiple of 4
        {"location": "weights", "offset": "3"},
        {"location": "below/weights"},
        {"location": "./below/../below/weights", "offset": "0"},
        {"location": "good link"},
    ],
)
def test_weights_in_another_file(
    path: Path, entries: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(path, **entries)
    expected = scores(classifier()).ravel()
    monkeypatch.chdir(path.parent)
    for use in USES:
        for source in (path, path.name):
            made = use(source).model
            assert np.array_equal(scores(made).ravel(), expected)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"location": "missing"}, "lies in 'missing', which is missing"),
        ({"location": "below"}, "which is missing"),
        ({}, "refused"),
        ({"location": ""}, "refused"),
        ({"location": "."}, "refused"),
        ({"location": "../secret"}, "lies in '../secret', outside of the model's folder: refused"),
        ({"location": "below/../../secret"}, "refused"),
        ({"location": "/etc/hostname"}, "refused"),
        ({"location": "link"}, "lies in 'link', outside of the model's folder: refused"),
        ({"location": "folder link/secret"}, "refused"),
        ({"location": "we\0ights"}, "refused"),
        ({"location": "weights", "offset": "4"}, "has 291"),
        ({"location": "weights", "offset": "-1"}, "288 from -1 on"),
        ({"location": "weights", "length": "-1"}, "-1 from 0 on"),
        ({"location": "weights", "length": "99"}, "needs 288 bytes, but is said to have 99"),
        ({"location": "weights", "length": "9" * 30}, "needs 288 bytes"),
        ({"location": "weights", "offset": "9" * 9999}, "is not a number"),
        ({"location": "weights", "offset": "three"}, "its offset or length is not a number"),
        ({"location": "empty"}, "has 0"),
    ],
)
def test_weights_that_are_not_there(
    path: Path, entries: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(path, **entries)
    opened = []

    def watch(module: Any) -> None:
        original = module.open

        def watched(path: Any, *arguments: Any, **options: Any) -> Any:
            opened.append(Path(path).name)
            return original(path, *arguments, **options)

        monkeypatch.setattr(module, "open", watched)

    watch(Path)
    watch(os)
    refuse_everywhere(path, str(path), "the tensor 'w' of shape (4, 2, 3, 3)", said)
    if "refused" in said:
        assert set(opened) == {path.name}


@pytest.mark.parametrize("exchanged", ["weights", "below", "pipe"])
def test_what_is_exchanged_after_it_was_checked_is_not_read(
    exchanged: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, or the folder that it lies in, becomes a link to what lies elsewhere; or a pipe."""
    apart(path, location="below/weights")
    (path.parent.parent / "elsewhere").mkdir(exist_ok=True)
    shutil.copy(path.parent / "below" / "weights", path.parent.parent / "elsewhere")
    below, checked = path.parent / "below", Path.is_file

    def exchanging(self: Path) -> bool:
        found = checked(self)
        if self.name != "weights" or not found:
            return found
        shutil.rmtree(below)
        if exchanged == "below":
            below.symlink_to(path.parent.parent / "elsewhere")
            return found
        below.mkdir()
        if exchanged == "pipe":
            os.mkfifo(self)
        else:
            self.symlink_to(path.parent.parent / "elsewhere" / "weights")
        return found

    monkeypatch.setattr(Path, "is_file", exchanging)
    said = "has 0" if exchanged == "pipe" else "lies in 'weights', which can't be read"
    refuse(fcconv.convolutionize, path, said)


@pytest.mark.parametrize("width", [8, 4])
def test_no_file_is_read_after_it_was_checked(width: int, path: Path) -> None:
    """A constant, and several numbers a byte, are held."""
    kind = TensorProto.INT8 if width == 8 else TensorProto.INT4
    apart_too = TensorProto(name="k", data_type=kind, dims=[4], data_location=TensorProto.EXTERNAL)
    apart_too.external_data.add(key="location", value="few")
    numbers = np.array([1, 2, 3, 4], np.int8)
    few = numbers.tobytes() if width == 8 else bytes([0x21, 0x43])
    cast = node("Cast", ["k"], ["f"], to=TensorProto.FLOAT)
    network = classifier(cast, node("Add", ["b", "f"], ["c"]), opset=21)
    if width == 8:
        network.graph.node.insert(0, node("Constant", [], ["k"], value=apart_too))
    else:
        network.graph.initializer.append(apart_too)
    write(path, network)
    path.with_name("few").write_bytes(few)
    found = fcconv.pointwise(path).model
    path.with_name("few").write_bytes(bytes(len(few)))
    added = constant("f", numbers.astype(np.float32).tolist())
    summed = classifier(node("Add", ["b", "f"], ["c"]), constants=[added])
    assert np.array_equal(scores(found), scores(summed))


def test_weights_in_another_file_need_the_path(path: Path) -> None:
    proto = onnx.load(apart(path, location="weights", offset="3"), load_external_data=False)
    for use in USES:
        refuse(use, proto, "load the model from its path")


def test_many_weights_in_one_file(path: Path) -> None:
    """Each file is mapped once: a map a tensor runs out of file descriptors."""
    network = classifier()
    addends = [f"add{k}" for k in range(1500)]
    for k, name in enumerate(addends):
        first = TensorProto(name=name, data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
        first.external_data.add(key="location", value="many")
        first.external_data.add(key="offset", value=str(4 * k))
        network.graph.initializer.append(first)
    network.graph.node.insert(0, node("Sum", ["b", *addends], ["c"], name="sum"))
    network.graph.node[3].input[0] = "c"
    write(path, network)
    path.with_name("many").write_bytes(np.full(1500, 2, "<f4").tobytes())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, limits[1]))
    try:
        found = fcconv.pointwise(path).model
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    summed = classifier(node("Add", ["b", "k"], ["c"]), constants=[constant("k", [3000])])
    assert np.array_equal(scores(found), scores(summed))

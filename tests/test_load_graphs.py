"""Graphs and tensors that are broken: an error that names the file and the part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import fcconv
from broken_networks import BROKEN, RAW, Break, constant_node, tensor
from fcconv import ModelError
from refusing import USES, refuse, refuse_everywhere, write
from small_networks import classifier


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_graph(path: Path, case: str) -> None:
    change, said = BROKEN[case]
    broken = classifier()
    change(broken)
    refuse_everywhere(write(path, broken), str(path), said)
    for use in USES:
        refuse(use, broken, said)


@pytest.mark.parametrize("place", [tensor, constant_node])
@pytest.mark.parametrize("case", RAW)
def test_a_broken_tensor(path: Path, case: str, place: Callable[..., Break]) -> None:
    fields, said = RAW[case]
    broken = classifier()
    place(**fields)(broken)
    refuse_everywhere(write(path, broken), str(path), said)


@pytest.mark.parametrize("name", ["conv", "Conv", "w", "x", "d", "kernel_shape"])
def test_names_that_are_no_text(path: Path, name: str) -> None:
    whole = classifier(conv={"kernel_shape": [3, 3]}).SerializeToString()
    broken = whole.replace(name.encode(), b"\xff" + name[1:].encode())
    refuse_everywhere(write(path, broken), str(path), "is not text")


def test_broken_text_is_refused_when_it_is_written(path: Path) -> None:
    broken = classifier().SerializeToString().replace(b"small", b"sma\xffl")
    made = fcconv.pointwise(write(path, broken))
    with pytest.raises(ModelError, match="can't be written as ONNX: 'utf-8' codec"):
        made.save(path)
    assert path.read_bytes() == broken

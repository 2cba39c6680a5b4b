"""What is saved is what is read again; a file is replaced whole, or stays as it was."""

from __future__ import annotations

import os
import resource
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper

import fcconv
from fcconv.graph import save as saving
from fcconv.graph.save import save
from small_networks import classifier, node, weight

DTYPES = [
    *("float64", "float32", "float16", "int64", "int32", "int16", "int8", "bool"),
    *("uint64", "uint32", "uint16", "uint8", "complex64", "complex128"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "float4_e2m1fn"),
]

SHAPES = [(), (1,), (0,), (3, 0, 2), (5,), (7, 300), (600, 5)]


@pytest.fixture(params=["one file", "two files"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the weights go; the size from which on they have a file of their own is lowered."""
    if request.param == "two files":
        monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "model.onnx"


def array(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    rng = np.random.default_rng(0)
    found: npt.NDArray[Any] = rng.integers(0, 2 if dtype == "bool" else 7, shape).astype(kind)
    return found


def network(**arrays: npt.NDArray[Any]) -> ir.Model:
    """A network with these initialisers and a text wherever ONNX has a place for one."""
    x = ir.val("x", ir.DataType.FLOAT, ["N", 2])
    negated = ir.node("Neg", [x], name="negate", doc_string="node", metadata_props={"a": "node"})
    (y,) = negated.outputs
    y.name, y.type, y.doc_string = "y", x.type, "value"
    y.shape = ir.Shape(["N", 2])
    x.metadata_props["a"] = "input"
    held = [
        ir.Value(
            name=name,
            shape=ir.Shape(values.shape),
            const_value=ir.Tensor(
                values, name=name, doc_string=f"{name} held", metadata_props={"a": name}
            ),
        )
        for name, values in arrays.items()
    ]
    for value in held:
        assert value.const_value is not None
        value.type, value.doc_string = ir.TensorType(value.const_value.dtype), "weight"
    graph = ir.Graph(
        [x],
        [y],
        nodes=[negated],
        initializers=held,
        name="graph",
        doc_string="graph",
        opset_imports={"": 23, "own": 3},
        metadata_props={"a": "graph"},
    )
    return ir.Model(
        graph,
        ir_version=11,
        producer_name="producer",
        producer_version="1.2",
        domain="org.own",
        model_version=2**40,
        doc_string="several\nlines: é",
        metadata_props={"fcconv.window": "3 4", "b": ""},
    )


def initializers(model: ir.Model) -> dict[str, tuple[Any, ...]]:
    return {
        name: (value.const_value.dtype, value.const_value.shape, value.const_value.tobytes())
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }


# What is written --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_are_kept_bit_for_bit(path: Path, dtype: str, form: str) -> None:
    arrays = {f"w{k}": array(shape, dtype) for k, shape in enumerate(SHAPES)}
    arrays["turned"] = array((40, 300), dtype).T
    arrays["sparse"] = array((400, 400), dtype)[::2, 1::3]
    model = network(**arrays)
    expected = initializers(model)
    save(model, path)
    onnx.checker.check_model(path, full_check=True)
    assert initializers(ir.load(path)) == expected
    assert path.with_name("model.onnx.data").exists() == (form == "two files")
    assert [held.name for held in onnx.load(path).graph.initializer] == list(arrays)


def test_everything_else_is_kept(path: Path) -> None:
    model = network(small=array((3,), "float32"), large=array((40, 40), "int64"))
    expected = ir.to_proto(model)
    save(model, path)
    assert onnx.load(path) == expected
    assert ir.to_proto(model) == expected  # and the model is what it was


def test_everything_else_is_kept_beside_weights_in_a_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    model = network(small=array((3,), "float32"), large=array((40, 40), "int64"))
    save(model, path)
    found = onnx.load(path)
    for held in found.graph.initializer:
        held.ClearField("data_location")
    assert found == ir.to_proto(model)


def test_words_functions_and_branches_are_kept(path: Path) -> None:
    proto = classifier(node("Own", ["b"], ["c"], domain="own"))
    body = [node("Relu", ["p"], ["q"])]
    opsets = [helper.make_opsetid("", 17)]
    proto.functions.append(helper.make_function("own", "Own", ["p"], ["q"], body, opsets))
    proto.opset_import.add(domain="own", version=1)
    words = onnx.TensorProto(name="words", data_type=onnx.TensorProto.STRING, dims=[1])
    words.string_data.append("é".encode())
    proto.graph.initializer.append(words)
    made = helper.make_tensor_value_info("t", onnx.TensorProto.FLOAT, None)
    branch = helper.make_graph([node("Relu", ["x"], ["t"])], "b", [], [made], [weight("in", 999)])
    branches: dict[str, Any] = {"then_branch": branch, "else_branch": branch}
    choose = helper.make_node("If", ["w"], ["chosen"], "if", None, None, None, **branches)
    proto.graph.node.append(choose)
    save(ir.from_proto(proto), path)
    assert onnx.load(path) == ir.to_proto(ir.from_proto(proto))


@pytest.mark.usefixtures("form")
def test_onnxruntime_reads_it(path: Path) -> None:
    sliding = fcconv.convolutionize(classifier())
    sliding.save(path)
    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(-3, 4, (2, 2, 9, 7)).astype(np.float32)
    (scores,) = session.run(None, {"x": image})
    assert np.array_equal(scores, sliding(image))
    assert scores.shape == (2, 3, 4, 2)


def test_weights_in_a_file_begin_at_pages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    save(network(**{f"w{k}": array((300 + k,), "int64") for k in range(4)}), path)
    proto = onnx.load(path, load_external_data=False)
    entries = [{e.key: e.value for e in held.external_data} for held in proto.graph.initializer]
    assert [int(e["offset"]) % 4096 for e in entries] == [0] * 4
    assert {e["location"] for e in entries} == {"model.onnx.data"}


def test_no_second_copy_of_the_weights(path: Path) -> None:
    model = network(large=array((1000, 2000), "float64"))
    tracemalloc.start()
    save(model, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 16_000_000
    assert peak < 1_000_000


# How it gets there ------------------------------------------------------------------------------


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
        with everything_stays(path), pytest.raises(OSError, match="File too large"):
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
            for network in (made.model, path):
                assert np.array_equal(fcconv.compile(network)(x).ravel(), expected)
    onnx.checker.check_model(path, full_check=True)


def test_what_can_not_be_a_file(path: Path) -> None:
    model = network()
    with everything_stays(path):
        with pytest.raises(OSError, match="No file that can be replaced"):
            save(model, path.parent)
        with pytest.raises(FileNotFoundError, match=r"No such folder: .*missing"):
            save(model, path.parent / "missing" / "model.onnx")
        with pytest.raises(OSError, match="name too long"):
            save(model, path.with_name("x" * 256))
    os.mkfifo(path)
    with pytest.raises(OSError, match="No file that can be replaced"):
        save(model, path)
    assert path.is_fifo()

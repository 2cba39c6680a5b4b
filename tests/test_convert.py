"""Large networks: how they are written, what memory it takes, and what VGG19 becomes.

Everything runs in small; in full, for minutes and gigabytes, where FCCONV_LARGE is set.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

import fcconv
from fcconv.cli import app
from fcconv.graph.files import save as saving
from real_networks import light
from small_networks import classifier, model, node, weight

in_full = pytest.mark.skipif("FCCONV_LARGE" not in os.environ, reason="takes gigabytes")

MOST_MEMORY = 2.5
"""Memory that a conversion may take, beside the size of the file."""


def run(path: Path, *images: Any) -> list[Any]:
    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return list(session.run(None, dict(zip(names, images, strict=True))))


def peak_of_converting(path: Path, out: Path) -> int:
    """Convert in a process of its own, and return the bytes it had at most, imports included.

    Linux counts these from the start of the program; ru_maxrss counts its parent's, too.
    """
    code = (
        "import sys, fcconv, pathlib\n"
        "fcconv.convolutionize(sys.argv[1]).save(sys.argv[2])\n"
        "print(pathlib.Path('/proc/self/status').read_text())"
    )
    command = [sys.executable, "-c", code, str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", done.stdout)
    return int(kilobytes) * 1024


def dense(inputs: int, outputs: int) -> onnx.ModelProto:
    """One Gemm over a row of pixels, without its weight."""
    gemm = node("Gemm", ["x", "w", "b"], ["y"], name="gemm", transB=1)
    return model([gemm], [weight("b", outputs)], window=["N", inputs])


def with_weights_beside(proto: onnx.ModelProto, path: Path, inputs: int, outputs: int) -> None:
    """Write the weight of `dense` to a file of its own, some rows at a time."""
    held = proto.graph.initializer.add(name="w", data_type=1, dims=[outputs, inputs])
    held.data_location = TensorProto.EXTERNAL
    held.external_data.add(key="location", value="weights")
    path.write_bytes(proto.SerializeToString())
    rng = np.random.default_rng(0)
    with path.with_name("weights").open("wb") as file:
        for _ in range(outputs):
            file.write(rng.integers(-1, 2, inputs, np.int8).astype("<f4").data)


def check_weights_beside(folder: Path, inputs: int, outputs: int) -> None:
    """Convert a network with its weight in another file to one with its weight in another file."""
    path, out = folder / "in.onnx", folder / "out.onnx"
    with_weights_beside(dense(inputs, outputs), path, inputs, outputs)
    sliding = fcconv.convolutionize(path, spatial_axes=[1])
    sliding.save(out)
    assert out.stat().st_size < 10_000
    assert out.with_name("out.onnx.data").stat().st_size >= 4 * inputs * outputs
    onnx.checker.check_model(out, full_check=True)
    image = np.random.default_rng(1).integers(-9, 10, (1, inputs + 2)).astype(np.float32)
    (scores,) = run(out, image)
    assert scores.shape == (1, outputs, 3)
    for k in range(3):
        (crop,) = run(path, image[:, k : k + inputs])
        assert np.array_equal(scores[:, :, k], crop)


def test_weights_in_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    check_weights_beside(tmp_path, 300, 40)


@in_full
@pytest.mark.slow
def test_weights_of_more_than_protobuf_holds(tmp_path: Path) -> None:
    check_weights_beside(tmp_path, 2**15, 2**14 + 2**10)


def test_the_command_line_writes_weights_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    path, out = tmp_path / "in.onnx", tmp_path / "out.onnx"
    path.write_bytes(classifier().SerializeToString())
    assert app.run(["convert", str(path), str(out)]) == 0
    assert sorted(tmp_path.iterdir()) == [path, out, tmp_path / "out.onnx.data"]
    assert app.run(["verify", str(path), str(out)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("op", "most"), [("Gemm", 1.5), ("MatMul", 3.5)])
def test_memory_of_a_conversion(tmp_path: Path, op: str, most: float) -> None:
    """A weight that lies as convolutions need it is held once; one that is turned, once more."""
    peaks, sizes = [], []
    for outputs in (3, 160_000):
        path = tmp_path / f"{outputs}.onnx"
        options: dict[str, Any] = {"transB": 1} if op == "Gemm" else {}
        dense = node(op, ["d", "m"], ["y"], "dense", None, None, None, **options)
        held = weight("m", *((outputs, 64) if options else (64, outputs)))
        network = model([node("Flatten", ["x"], ["d"]), dense], [held], window=["N", 1, 8, 8])
        path.write_bytes(network.SerializeToString())
        peaks.append(peak_of_converting(path, tmp_path / "out.onnx"))
        sizes.append(path.stat().st_size)
    more = sizes[1] - sizes[0]
    assert more > 40_000_000
    assert peaks[1] - peaks[0] < most * more


def check_vgg(sliding: fcconv.Sliding, path: Path, classes: int, features: int) -> None:
    """Check what VGG19, or a small one, is when it slides: from its file, without running it."""
    sliding.save(path)
    graph = onnx.load(path).graph
    (image,), (scores,) = graph.input, graph.output
    sizes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (image, scores)
    ]
    assert sizes[0] == ["N", 3, "size_0", "size_1"]
    assert sizes[1] == ["N", classes, f"{scores.name}_0", f"{scores.name}_1"]
    assert not {"Reshape", "Flatten", "Gemm", "MatMul"} & {n.op_type for n in graph.node}
    first, *rest = sliding.layers
    assert first.method == "kernel"
    assert first.after == (first.before[0], features, 7, 7)
    assert [layer.method for layer in rest] == ["1x1"] * len(rest)
    weights = {held.name: tuple(held.dims) for held in graph.initializer}
    assert first.after in weights.values()


def test_a_small_vgg(tmp_path: Path) -> None:
    """Convolutions that pad, pools, and dense layers after a Reshape that fixes the batch."""
    nodes, held, channels = [], [], 3
    x = "x"
    for k, width in enumerate((4, 6)):
        nodes += [
            node("Conv", [x, f"w{k}"], [f"a{k}"], name=f"conv{k}", pads=[1] * 4),
            node("Relu", [f"a{k}"], [f"b{k}"], name=f"relu{k}"),
            node("MaxPool", [f"b{k}"], [f"c{k}"], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        held.append(weight(f"w{k}", width, channels, 3, 3))
        x, channels = f"c{k}", width
    nodes += [
        node("Reshape", [x, "shape"], ["d"], name="reshape"),
        node("Gemm", ["d", "w2"], ["e"], name="fc6", transB=1),
        node("Relu", ["e"], ["f"], name="relu6"),
        node("Gemm", ["f", "w3"], ["y"], name="fc7", transB=1),
    ]
    held += [weight("w2", 8, 6 * 49), weight("w3", 5, 8)]
    held.append(TensorProto(name="shape", data_type=7, dims=[2], int64_data=[1, 6 * 49]))
    small = model(nodes, held, window=[1, 3, 28, 28])
    sliding = fcconv.convolutionize(small)
    assert (sliding.window, sliding.stride, sliding.exact) == ((28, 28), (4, 4), False)
    assert [reason.split()[0] for reason in sliding.reasons] == ["conv0", "conv1"]
    check_vgg(sliding, tmp_path / "small.onnx", 5, 6)
    image = np.random.default_rng(0).integers(-2, 3, (1, 3, 28, 28)).astype(np.float32)
    (scores,) = run(tmp_path / "small.onnx", image)
    assert np.array_equal(scores[:, :, 0, 0], fcconv.compile(small)(image))


@in_full
@pytest.mark.slow
def test_vgg19(tmp_path: Path) -> None:
    path, out = tmp_path / "vgg19.onnx", tmp_path / "out.onnx"
    path.write_bytes(light("vgg19").SerializeToString())
    assert peak_of_converting(path, out) < MOST_MEMORY * path.stat().st_size
    sliding = fcconv.convolutionize(path)
    assert (sliding.window, sliding.stride, sliding.exact) == ((224, 224), (32, 32), False)
    check_vgg(sliding, out, 1000, 512)

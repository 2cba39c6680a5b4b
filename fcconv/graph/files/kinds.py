"""Files and folders that are networks of other kinds: what they are, and how ONNX comes of them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from string import Template

BEGINNING = 512
"""Bytes that tell what a file is."""


@dataclass(frozen=True)
class Kind:
    """A kind of file or folder.

    Attributes
    ----------
    name : str
        What it is.
    advice : str
        How a network in ONNX comes of it, as a template: its `path`, its `folder`, its `stem`.
    """

    name: str
    advice: str


EXPORT = "torch.onnx.export(module.eval(), (torch.zeros(1, C, H, W),), '$stem.onnx', dynamo=True)"
BUILD = "build the module in Python"
CONVERT = "python -m tf2onnx.convert"
MADE_FROM = "take the ONNX file that it was made from"

TORCH = Kind(
    "a PyTorch checkpoint",
    f"{BUILD}, module.load_state_dict(torch.load('$path')), unless the file holds the module "
    f"itself, then {EXPORT}",
)
TORCH_SCRIPT = Kind(
    "a TorchScript module",
    "torch.onnx.export(torch.jit.load('$path'), (torch.zeros(1, C, H, W),), '$stem.onnx', "
    "dynamo=False)",
)
TORCH_PROGRAM = Kind(
    "an exported PyTorch program",
    "torch.onnx.export(torch.export.load('$path'), (), '$stem.onnx', dynamo=True)",
)
SAFETENSORS = Kind(
    "a safetensors file, weights without a network",
    f"{BUILD}, safetensors.torch.load_model(module, '$path'), then {EXPORT}",
)
KERAS = Kind(
    "a Keras model",
    "keras.models.load_model('$path').export('$stem.onnx', format='onnx')",
)
HDF5 = Kind(
    "an HDF5 file, as Keras writes them",
    f"{KERAS.advice}; if it holds weights only, build the model and load_weights first",
)
SAVED_MODEL = Kind(
    "a TensorFlow SavedModel", f"{CONVERT} --saved-model $folder --output $stem.onnx --opset 17"
)
FROZEN = Kind(
    "a TensorFlow graph",
    f"{CONVERT} --graphdef $path --inputs X:0 --outputs Y:0 --output $stem.onnx --opset 17",
)
TFLITE = Kind("a TensorFlow Lite model", f"{CONVERT} --tflite $path --output $stem.onnx --opset 17")
PICKLE = Kind(
    "a Python pickle",
    "if it is of scikit-learn, skl2onnx.to_onnx(model, X[:1], options={'zipmap': False}); if of "
    "PyTorch, torch.onnx.export of the module",
)
TRANSFORMERS = Kind(
    "a folder of Hugging Face Transformers", "optimum-cli export onnx --model $path $stem-onnx"
)
CORE_ML = Kind("a Core ML model", "export the network that it was made from")
TENSOR_RT = Kind("a TensorRT engine", f"it is of no use but on its GPU: {MADE_FROM}")
OPENVINO = Kind("an OpenVINO model", MADE_FROM)
ORT = Kind("a model in the format of ONNX Runtime", MADE_FROM)
FLAX = Kind("a file of Flax parameters, weights without a network", "export with jax2onnx")
NUMPY = Kind("a file of NumPy arrays, weights without a network", "export the network itself")
LFS = Kind("a pointer of Git LFS, not the file itself", "fetch that by git lfs pull")
WEB_PAGE = Kind("a web page, not the file itself", "download the file that the page links to")
PACKED = Kind("a packed file", "unpack it first")

BY_BEGINNING: list[tuple[int, bytes, Kind]] = [
    (0, b"\x89HDF\r\n\x1a\n", HDF5),
    (4, b"TFL3", TFLITE),
    (4, b"ORTM", ORT),
    (8, b'{"', SAFETENSORS),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", TORCH),  # the number PyTorch began with once
    *((0, bytes([0x80, protocol]), PICKLE) for protocol in range(2, 6)),
    (0, b"version https://git-lfs", LFS),
    (0, b"\x93NUMPY", NUMPY),
    (0, b"\x1f\x8b", PACKED),
    (0, b"\x28\xb5\x2f\xfd", PACKED),
    (0, b"7z\xbc\xaf\x27\x1c", PACKED),
]
"""Where which bytes stand in which kind."""

WEB = (b"<!doctype html", b"<html")

IN_ARCHIVES: list[tuple[str, Kind]] = [
    ("constants.pkl", TORCH_SCRIPT),
    ("models/model.json", TORCH_PROGRAM),
    ("serialized_exported_program.json", TORCH_PROGRAM),
    ("data.pkl", TORCH),
    ("model.weights.h5", KERAS),
    (".npy", NUMPY),
]
"""How the name of a member of a zip archive ends, which is of which kind; the first one counts."""

BY_SUFFIX: dict[str, Kind] = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), TORCH),
    ".pt2": TORCH_PROGRAM,
    ".safetensors": SAFETENSORS,
    ".keras": KERAS,
    **dict.fromkeys((".h5", ".hdf5"), HDF5),
    **dict.fromkeys((".pb", ".pbtxt"), FROZEN),
    ".tflite": TFLITE,
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), PICKLE),
    ".mlmodel": CORE_ML,
    **dict.fromkeys((".engine", ".plan", ".trt"), TENSOR_RT),
    ".xml": OPENVINO,
    ".ort": ORT,
    ".msgpack": FLAX,
}
"""What names say of files whose beginning says nothing."""

IN_FOLDERS: list[tuple[str, Kind]] = [
    ("saved_model.pb", SAVED_MODEL),
    ("keras_metadata.pb", SAVED_MODEL),
    ("config.json", TRANSFORMERS),
    ("Manifest.json", CORE_ML),
]
"""What lies in a folder of which kind."""


def told(path: Path) -> str | None:
    """Say what a file or folder is that is not an ONNX file, and what to do; None if not known."""
    folder = path if path.is_dir() else path.parent
    kind = _of_folder(path) if folder == path else _of_file(path)
    if kind is None:
        return None
    advice = Template(kind.advice).substitute(path=path, folder=folder, stem=path.stem)
    return f"is {kind.name}, and an ONNX file is needed: {advice}"


def _of_folder(path: Path) -> Kind | None:
    kinds = (kind for name, kind in IN_FOLDERS if (path / name).is_file())
    return next(kinds, None)


def _of_file(path: Path) -> Kind | None:
    if not path.is_file():  # a pipe would wait for somebody to write
        return None
    with path.open("rb") as file:
        begun = file.read(BEGINNING)
    if begun.startswith(b"PK\x03\x04") and (names := _members(path)):
        found = (kind for end, kind in IN_ARCHIVES if any(name.endswith(end) for name in names))
        return next(found, PACKED)
    if begun.lstrip().lower().startswith(WEB):
        return WEB_PAGE
    for place, wanted, kind in BY_BEGINNING:
        if begun.startswith(wanted, place):
            return kind
    if path.name == "saved_model.pb":
        return SAVED_MODEL
    return BY_SUFFIX.get(path.suffix.lower())


def _members(path: Path) -> list[str]:
    """Name the members of a zip archive; none of one that is not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return []

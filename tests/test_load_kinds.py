"""Networks of other kinds are named as what they are, with the lines that make ONNX of them."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from fcconv.cli import app
from refusing import refuse_everywhere, write
from small_networks import classifier


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, b"content")
    return file.getvalue()


def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["kernel"] = np.zeros(3)
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, kernel=np.zeros(3))
    return file.getvalue()


def flatbuffer(kind: bytes) -> bytes:
    return b"\x1c\0\0\0" + kind + bytes(99)


SAFETENSORS = b'\x40\0\0\0\0\0\0\0{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' + bytes(9)

TORCH = archive("net/data.pkl", "net/version", "net/data/0")
"""As torch.save writes: an archive whose folder has the name of the file."""

BY_CONTENT: list[tuple[str, bytes, str]] = [
    ("torch", TORCH, "is a PyTorch checkpoint"),
    (
        "torch",
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        "a PyTorch checkpoint",
    ),
    ("script", archive("net/data.pkl", "net/constants.pkl"), "torch.jit.load('PATH')"),
    ("program", archive("net/models/model.json"), "torch.export.load('PATH')"),
    ("program", archive("serialized_exported_program.json"), "torch.export.load('PATH')"),
    ("safe", SAFETENSORS, "safetensors.torch.load_model(module, 'PATH')"),
    ("keras", archive("metadata.json", "config.json", "model.weights.h5"), "is a Keras model"),
    ("old keras", hdf5(), "keras.models.load_model('PATH').export("),
    ("lite", flatbuffer(b"TFL3"), "tf2onnx.convert --tflite PATH"),
    ("runtime", flatbuffer(b"ORTM"), "the format of ONNX Runtime"),
    ("forest", pickle.dumps({"trees": 3}), "options={'zipmap': False}"),
    ("arrays", arrays(), "a file of NumPy arrays"),
    ("archive", archive("model.onnx"), "is a packed file, and an ONNX file is needed: unpack it"),
    ("archive", archive(), "is not an ONNX file"),
    ("archive", gzip.compress(bytes(9), mtime=0), "unpack it"),
    ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    ("page", b"\n<!DOCTYPE html>\n<html>", "is a web page"),
]


@pytest.mark.parametrize(
    ("name", "content", "said"), BY_CONTENT, ids=[name for name, *_ in BY_CONTENT]
)
@pytest.mark.parametrize("suffix", [".onnx", ".net"])
def test_content_tells(path: Path, name: str, content: bytes, said: str, suffix: str) -> None:
    file = write(path.with_name(name + suffix), content)
    refuse_everywhere(file, f"{file} is ", said.replace("PATH", str(file)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("net.pt", "net.onnx"),
        ("net.PTH", "PyTorch checkpoint"),
        ("last.ckpt", "PyTorch checkpoint"),
        ("net.pb", "--graphdef"),
        ("saved_model.pb", "--saved-model FOLDER --output saved_model.onnx"),
        ("svm.joblib", "skl2onnx.to_onnx"),
        ("net.mlmodel", "a Core ML model"),
        ("net.engine", "a TensorRT engine"),
        ("net.xml", "an OpenVINO model"),
        ("net.msgpack", "Flax"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"\x0b" * 99, b"PK\x03\x04cut short"])
def test_names_tell_where_content_does_not(
    path: Path, name: str, said: str, content: bytes
) -> None:
    file = write(path.with_name(name), content)
    refuse_everywhere(file, f"{file} is ", said.replace("FOLDER", str(path.parent)))


@pytest.mark.parametrize("name", ["net.pt", "net.h5", "saved_model.pb", "net.engine"])
def test_a_network_may_have_any_name(path: Path, name: str) -> None:
    file = write(path.with_name(name), classifier())
    assert app.run(["inspect", str(file)]) == 0


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("saved_model.pb", "tf2onnx.convert --saved-model FOLDER --output net.onnx"),
        ("config.json", "optimum-cli export onnx --model FOLDER net-onnx"),
        ("Manifest.json", "a Core ML model"),
        ("else", "is not a file"),
    ],
)
def test_folders(
    tmp_path: Path, member: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "net.folder"
    folder.mkdir()
    (folder / member).touch()
    said = said.replace("FOLDER", str(folder))
    refuse_everywhere(folder, str(folder), said)
    assert app.run(["inspect", str(folder)]) == 2
    assert said in capsys.readouterr().err.replace("\n", "")


def test_a_broken_network_is_called_one(path: Path) -> None:
    part = write(path, classifier().SerializeToString()[:-9])
    refuse_everywhere(part, "is not an ONNX file, or only a part of one")

"""Files that hold no model, or less than one: an error that names the file."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from fcconv import FcconvError
from fcconv.graph.files.wire import begin_field
from refusing import USES, little_memory, refuse_everywhere, write
from small_networks import classifier, weight


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no ONNX graph"),
        (b"The quick brown fox jumps over the lazy dog.\n" * 9, "is not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "is not an ONNX file"),
        (bytes(range(256)) * 9, "is not an ONNX file"),
        (b"\x0b" * 99, "is not an ONNX file"),  # the beginnings of groups, which ONNX has not
        (b"\x08" + b"\xff" * 11, "is not an ONNX file"),  # a number without an end
        (weight("w", 99).SerializeToString(), ""),
        (classifier().graph.SerializeToString(), ""),
        (helper.make_opsetid("", 17).SerializeToString(), "holds no ONNX graph"),
    ],
)
def test_what_is_no_model(path: Path, content: bytes, said: str) -> None:
    refuse_everywhere(write(path, content), str(path), said)


def test_what_is_no_file(path: Path) -> None:
    path.parent.rmdir()
    refuse_everywhere(path, f"there is no file {path}")
    refuse_everywhere(path.parent.parent, "is not a file")
    refuse_everywhere(write(path, b"") / "below", "there is no file")
    refuse_everywhere(path.with_name("x" * 999), "can't be read: File name too long")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path.with_name("socket")))
        refuse_everywhere(path.with_name("socket"), "is not a file")


def test_what_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, classifier())

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)  # a test as root may read whatever there is
    refuse_everywhere(path, f"{path} can't be read: Permission denied")


@pytest.mark.parametrize("size", [2**31, 2**31 - 1])
def test_a_long_file(path: Path, size: int) -> None:
    os.truncate(write(path, b""), size)  # it has no blocks on disk
    refuse_everywhere(path, "is not an ONNX file")


def test_a_length_that_is_not_there(path: Path) -> None:
    content = b"1234"
    for number, length in ((9, 2**30), (5, 10), (7, 12)):
        content = begin_field(number, length) + content
    refuse_everywhere(write(path, content), "is not an ONNX file")


@given(st.data())
def test_a_part_of_a_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = classifier().SerializeToString()
    end = data.draw(st.integers(0, len(whole) - 1))
    path = write(tmp_path_factory.getbasetemp() / "folder" / "part.onnx", whole[:end])
    for use in USES:
        with pytest.raises(FcconvError, match="folder"):
            use(path)


@given(st.data())
def test_flipped_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    broken = bytearray(classifier().SerializeToString())
    places = st.integers(0, len(broken) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        broken[place] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp() / "folder" / "flipped.onnx", bytes(broken))
    for use in USES:
        with little_memory(), suppress(FcconvError):
            use(path)

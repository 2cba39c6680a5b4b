"""``fcconv stream`` prints what it hears in lines of JSON, and says in one line what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fcconv
from fcconv.cli import app
from small_streams import recording, whole_numbers

RATE = ("--rate", "8000")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with networks of one channel and of two, and a recording."""
    fcconv.convolutionize(whole_numbers(channels=1)).save(tmp_path / "one.onnx")
    fcconv.convolutionize(whole_numbers(pads=1)).save(tmp_path / "padded.onnx")
    (tmp_path / "two.onnx").write_bytes(whole_numbers().SerializeToString())
    (tmp_path / "sound.s16").write_bytes(samples().tobytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def samples(frames: int = 50, channels: int = 2) -> Any:
    """Frame by frame, as files have them."""
    return np.ascontiguousarray(recording(frames, channels)[0].T * 1000).astype("<i2")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[Any], str]:
    code = app.run(["stream", *words, *RATE])
    printed = capsys.readouterr()
    return code, [json.loads(line) for line in printed.out.splitlines()], printed.err


@pytest.mark.parametrize("form", ["s16le", "f32le"])
@pytest.mark.parametrize("chunk", [(), ("--chunk", "12")])
def test_a_line_for_each_cell(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str, chunk: Sequence[str]
) -> None:
    frames = samples().T[None].astype(np.float32) / 2**15
    expected = fcconv.convolutionize("two.onnx")(frames)[0].T
    if form == "f32le":
        frames[0].T.astype("<f4").tofile("sound.s16")
    code, lines, complaint = run(capsys, "two.onnx", "sound.s16", "--format", form, *chunk)
    assert (code, complaint, len(lines)) == (0, "", 8)
    for k, line in enumerate(lines):
        assert (line["start"], line["end"]) == (4 * k / 8000, (4 * k + 20) / 8000)
        # the digits that are printed tell a float32
        np.testing.assert_array_equal(np.float32(line["scores"]), expected[k])


def test_events_of_a_class_keep_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, cells, _ = run(capsys, "two.onnx", "sound.s16")
    scores = np.array([cell["scores"] for cell in cells])
    threshold = float(np.median(scores))
    words = ("two.onnx", "sound.s16", "--threshold", str(threshold))
    code, events, _ = run(capsys, *words)
    assert code == 0
    assert [(e["start"], e["class"], e["score"]) for e in events] == [
        (cells[k]["start"], c, scores[k, c]) for k, c in np.argwhere(scores >= threshold)
    ]
    _, apart, _ = run(capsys, *words, "--refractory", "0.001")  # two cells
    kept: dict[int, int] = {}
    for event in events:
        first = round(event["start"] * 8000)
        if first >= kept.get(event["class"], -8) + 8:
            kept[event["class"]] = first
            assert event == apart.pop(0)
    assert not apart
    assert len(events) > len(kept) > 1


@pytest.mark.parametrize(
    ("data", "words", "complaint"),
    [
        (b"", (), "no samples came in"),
        (bytes(43), (), "the samples end within a frame: 3 bytes are left of 4"),
        (b"RIFF" + bytes(400), (), "the samples begin with a header of WAV"),
        (bytes(40), (), "the recording of 10 samples is shorter than the window of 20"),
        (np.array([0] * 90 + [np.nan, 0], np.float32).tobytes(), ("--format", "f32le"),
         "sample 45, at 0.005625 seconds, is not a finite number"),
        (bytes(400), ("--channels", "1"), "the network takes 2, got 1"),
        (bytes(400), ("--chunk", "7"), "chunk needs a multiple of 4 samples, got 7"),
        (bytes(400), ("--refractory", "1"), "need a --threshold"),
        (bytes(400), ("--threshold", "nan"), "nan is not a finite number"),
    ],
    ids=["none", "half a sample", "header", "short", "no number", "channels", "chunk", "refractory",
         "nan"],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
    words: Sequence[str],
    complaint: str,
) -> None:
    (folder / "sound.s16").write_bytes(data)
    code, lines, said = run(capsys, "two.onnx", "sound.s16", *words)
    assert code == 2
    assert complaint in said
    assert said.count("\n") == 1
    assert len(lines) == (7 if complaint.startswith("sample 45") else 0)


def test_times_are_finite(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["stream", "two.onnx", "sound.s16", "--rate", "1e-320"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "times in seconds would be infinite" in printed.err


def test_another_rate_than_the_network_was_trained_at(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = whole_numbers()
    onnx.helper.set_model_props(model, {"sample_rate": "16000"})
    onnx.save(model, "two.onnx")
    code, lines, said = run(capsys, "two.onnx", "sound.s16")
    assert (code, lines, said.count("\n")) == (2, [], 1)
    assert "trained at 16,000 samples a second, got 8,000" in said
    assert app.run(["stream", "two.onnx", "sound.s16", "--rate", "16000"]) == 0


def test_padding_is_refused_unless_windows_are_exact(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = run(capsys, "padded.onnx", "sound.s16")
    assert (code, said.count("\n")) == (2, 1)
    assert "--windows exact" in said
    Path("padded.onnx").write_bytes(whole_numbers(pads=1).SerializeToString())
    code, lines, _ = run(capsys, "padded.onnx", "sound.s16", "--windows", "exact")
    assert (code, len(lines)) == (0, 8)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "closed"])
def test_live(folder: Path, end: str) -> None:
    """Lines come while samples do, and it ends cleanly whatever the reason."""
    command = [sys.executable, "-m", "fcconv", "stream", "one.onnx", *RATE]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=paths
    ) as live:
        assert live.stdin is not None
        assert live.stdout is not None
        assert live.stderr is not None
        live.stdin.write(samples(19, 1).tobytes() + b"1")  # half a sample more
        live.stdin.flush()
        live.stdin.write(b"2")
        live.stdin.flush()
        assert json.loads(live.stdout.readline())["start"] == 0
        if end == "closed":
            live.stdout.close()
            live.stdin.write(samples(40, 1).tobytes())
            live.stdin.close()
        else:
            live.send_signal(signal.Signals[end])
        assert live.wait(60) == 0
        assert live.stderr.read() == b""

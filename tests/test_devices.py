"""What engines compute on: providers of onnxruntime, devices of backends, and which they got."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnxruntime
import pytest

import fcconv
import fcconv_jax
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import FcconvError, OutputError
from fcconv.graph.engines.providers import find_providers
from fcconv.scanning.saved import open_scan
from scan_cases import WINDOWS, memory_for, picture, small_network

CPU, AZURE = "CPUExecutionProvider", "AzureExecutionProvider"
CUDA, DIRECTML = "CUDAExecutionProvider", "DmlExecutionProvider"
AND_CPU = (AZURE, CPU)

HERE = onnxruntime.get_available_providers()
with_another = pytest.mark.skipif(AZURE not in HERE, reason="onnxruntime has the CPU alone")


@pytest.fixture
def more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let onnxruntime say that it has providers, none of which it can start."""
    others = [CUDA, "TensorrtExecutionProvider", "CoreMLExecutionProvider", DIRECTML]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*others, *HERE])


# Providers --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("more")
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cuda"], (CUDA, CPU)),
        (["TensorRT", "cuda", "cpu"], ("TensorrtExecutionProvider", CUDA, CPU)),
        (["coreml", "CoreMLExecutionProvider"], ("CoreMLExecutionProvider", CPU)),
        ([DIRECTML], (DIRECTML, CPU)),
        (("directml",), (DIRECTML, CPU)),
        (["cpu"], ()),
        ([CPU], ()),
    ],
)
def test_providers_have_short_names(names: list[str], expected: tuple[str, ...]) -> None:
    assert find_providers(names) == expected


@with_another
def test_a_network_says_by_which_providers_it_computes() -> None:
    network = small_network()
    plain = fcconv.compile(network, "onnxruntime")
    chosen = fcconv.compile(network, "onnxruntime", providers=[AZURE])
    x = np.ones((3, 2, *WINDOWS[2]), np.float32)
    assert repr(chosen).startswith(f"<network on onnxruntime ({AZURE}, {CPU}), image")
    assert repr(plain) == repr(fcconv.compile(network, "onnxruntime", providers=["cpu"]))
    assert repr(plain).startswith("<network on onnxruntime, image")
    assert np.array_equal(chosen(x), plain(x))


@pytest.mark.usefixtures("more")
def test_a_provider_that_does_not_start_is_told() -> None:
    given: dict[str, Any] = {"engine": "onnxruntime", "providers": ["cuda"]}
    with pytest.warns(UserWarning, match=CUDA):
        found = fcconv.scan(small_network(), picture(), **given)
    assert found.providers == (CPU,)
    assert f"onnxruntime ({CPU})" in repr(found)
    assert found.notes[0].startswith(f"{CUDA} is there, but onnxruntime could not start it")


@with_another
def test_a_provider_that_fails_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_it_was = onnxruntime.InferenceSession._create_inference_session

    def failing(session: Any, providers: Any, *others: Any) -> None:
        if AZURE in providers:
            raise RuntimeError("no such device")
        as_it_was(session, providers, *others)

    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", failing)
    with pytest.raises(fcconv.UnsupportedError, match="onnxruntime: no such device"):
        fcconv.compile(small_network(), "onnxruntime", providers=[AZURE])
    assert capsys.readouterr().out == ""


@with_another
@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
def test_a_scan_goes_on_by_its_providers(suffix: str, tmp_path: Path) -> None:
    network, image, out = small_network(), picture(), tmp_path / f"scores{suffix}"
    plain = fcconv.scan(network, image, engine="onnxruntime")
    given: dict[str, Any] = {"engine": "onnxruntime", "providers": [AZURE]}
    found = fcconv.scan(network, image, out=out, **given)
    assert (plain.providers, found.providers) == ((), AND_CPU)
    assert f"; onnxruntime ({AZURE}, {CPU}), " in repr(found)
    assert "; onnxruntime, " in repr(plain)
    assert_identical(found.scores[...], plain.scores, suffix)
    assert open_scan(out).computed_by == found.computed_by
    again = fcconv.scan(network, image, out=out, existing="resume")
    assert (again.engine, again.providers, again.computed) == ("onnxruntime", AND_CPU, 0)
    with pytest.raises(OutputError, match=r"its list of providers is .*Azure.*, now it is None"):
        fcconv.scan(network, image, out=out, existing="resume", engine="onnxruntime")


@with_another
def test_the_command_line_tells_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    fcconv.convolutionize(small_network()).save("net.onnx")
    for name in ("a", "b"):
        np.save(f"{name}.npy", picture())
    given = ("--engine", "onnxruntime", "--providers", f"{AZURE},cpu")
    assert app.run(["scan", "net.onnx", "a.npy", *given]) == 0
    assert f"onnxruntime ({AZURE}, {CPU})" in capsys.readouterr().out
    Path("made").mkdir()
    assert app.run(["scan", "net.onnx", "a.npy", "--out", "made/a.zarr", *given]) == 0
    capsys.readouterr()
    # what the first was computed by holds for those that follow
    words = ["scan", "net.onnx", "a.npy", "b.npy", "--out", "made", "--resume", "--json"]
    assert app.run(words) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert [one["scans"][0]["providers"] for one in images] == [[AZURE, CPU]] * 2
    assert images[0]["scans"][0]["computed"] == 0 < images[1]["scans"][0]["computed"]


# Devices ----------------------------------------------------------------------------------------


def test_a_tile_goes_to_the_device_once_and_its_scores_come_back_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sliding, moved = fcconv.convolutionize(small_network()), Counter[str]()
    memory = memory_for(6, sliding, picture(), windows="shared", engine="jax")
    fcconv.scan(sliding, picture(), engine="jax", memory=memory)  # the weights are there from now
    there, back = fcconv_jax.asarray, fcconv_jax.to_numpy

    def asarray(values: Any) -> Any:
        moved["there"] += isinstance(values, np.ndarray)  # and not while it is traced
        with jax.transfer_guard_host_to_device("allow"):
            return there(values)

    def to_numpy(array: Any) -> Any:
        moved["back"] += 1
        return back(array)

    monkeypatch.setattr(fcconv_jax, "asarray", asarray)
    monkeypatch.setattr(fcconv_jax, "to_numpy", to_numpy)
    jax.config.update("jax_transfer_guard_host_to_device", "disallow_explicit")  # on any thread
    try:
        found = fcconv.scan(sliding, picture(), engine="jax", memory=memory)
    finally:
        jax.config.update("jax_transfer_guard_host_to_device", None)
    assert found.computed >= 6
    assert moved == {"there": found.computed, "back": found.computed}


def test_jax_computes_on_the_device_that_it_is_told(tmp_path: Path) -> None:
    code = """
import sys, jax, fcconv
from fcconv.graph.rewriting.sliding import Sliding
from fcconv.scanning import engine
from scan_cases import picture, small_network

def watched(scores, asked=engine.to_numpy):
    seen.update(scores.devices())
    return asked(scores)

seen, engine.to_numpy = set(), watched
second, out = jax.devices()[1], sys.argv[1]
sliding = fcconv.convolutionize(small_network(pad=1))
plain = fcconv.scan(sliding, picture(), engine="jax", windows="shared")
print(seen == {jax.devices()[0]}, plain.device)
seen.clear()
for windows in ("shared", "crops"):
    given = {"windows": windows, "existing": "overwrite", "out": out}
    found = fcconv.scan(sliding, picture(), engine="jax", device="cpu:1", **given)
    print(seen == {second}, found.computed_by)
    seen.clear()
again = fcconv.scan(sliding, picture(), windows="crops", existing="resume", out=out)
print(again.device, again.computed, fcconv.open_scan(out).device)
held = {key[0].device: network.params for key, network in sliding._engines.items()}
print(*({d for w in held[name].values() for d in w.devices()} == {second} for name in held))
"""
    # the CPU plays two devices
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.npy")],
        env={**os.environ, **devices, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "True None",
        "True jax (cpu:1)",
        "True jax (cpu:1)",
        "cpu:1 0 cpu:1",
        "False True",
    ]


# Refusals ---------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "not installed": (
        {"engine": "onnxruntime", "providers": ["cpu", "cuda"]},
        f"providers (--providers): onnxruntime has no {CUDA} here, but {', '.join(HERE)}: "
        f"pip uninstall onnxruntime, then pip install onnxruntime-gpu",
    ),
    "unknown": ({"engine": "onnxruntime", "providers": ["gpu"]}, "has no gpu here, but "),
    "a word": ({"engine": "onnxruntime", "providers": "cuda"}, "list of names such as ['cuda']"),
    "none": ({"engine": "onnxruntime", "providers": []}, "providers needs a list of names"),
    "numbers": ({"engine": "onnxruntime", "providers": [0]}, "providers needs a list of names"),
    "providers of JAX": (
        {"engine": "jax", "providers": ["cpu"]},
        "providers (--providers) are those of 'onnxruntime', not of 'jax'",
    ),
    "providers of any": ({"providers": ["cpu"]}, "not of 'auto': name it as the engine (--engine)"),
    "a device of NumPy": (
        {"engine": "numpy", "device": "cpu"},
        "device (--device) 'cpu' is one of 'jax' or 'torch': NumPy has the CPU alone",
    ),
    "a device of onnxruntime": (
        {"engine": "onnxruntime", "device": "cuda:0"},
        "device (--device) 'cuda:0' is one of 'jax' or 'torch', not of 'onnxruntime': give provid",
    ),
    "a device of any": ({"device": "gpu"}, "not of 'auto': name one (--engine)"),
    "a number": ({"engine": "jax", "device": 0}, "device needs a name such as 'cuda:0', got 0"),
    "no name": ({"engine": "jax", "device": ""}, "device needs a name such as 'cuda:0', got ''"),
    "a platform": (
        {"engine": "jax", "device": "tpu:1"},
        "device (--device) 'tpu:1': JAX has no such device here, but ",
    ),
    "beyond the last": ({"engine": "jax", "device": "cpu:99"}, "no such device here, but "),
    "before the first": ({"engine": "jax", "device": "cpu:-1"}, "no such device here, but "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_is_refused_by_name(name: str) -> None:
    given, said = REFUSED[name]
    with pytest.raises(FcconvError) as refused:
        fcconv.scan(small_network(), picture(), **given)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_compile_refuses_the_same() -> None:
    with pytest.raises(fcconv.BackendError, match="are those of 'onnxruntime', not of 'numpy'"):
        fcconv.compile(small_network(), providers=["cpu"])
    with pytest.raises(fcconv.BackendError, match="pip install onnxruntime-directml"):
        fcconv.compile(small_network(), "onnxruntime", providers=["directml"])


def test_the_command_line_refuses_before_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.onnx"
    fcconv.convolutionize(small_network()).save(net)
    images = [str(tmp_path / f"{name}.npy") for name in "ab"]
    for image in images:
        Path(image).write_text("no image")
    words = ["scan", str(net), *images, "--out", str(tmp_path / "made"), "--device", "cpu"]
    assert app.run(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("fcconv: device (--device) 'cpu' is one of")
    assert printed.err.count("\n") == 1

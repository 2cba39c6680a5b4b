"""The report of the benchmarks: suites, memory, summaries, comparison, the command."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fcconv.cli import app
from fcconv.cli import bench as cli_bench
from fcconv.errors import FcconvError
from fcconv_bench import measure, suites
from fcconv_bench.architectures import DEPTHWISE, MOBILENET, RESNET50, VGG16, resnet50
from fcconv_bench.cases import Case
from fcconv_bench.compare import differences, shared, slower
from fcconv_bench.contenders import ConvContender, contenders
from fcconv_bench.memory import peak_memory
from fcconv_bench.rows import Row, index, ratio, read_json, write_json
from fcconv_bench.suite import Facts, Prepared
from fcconv_bench.suites import SUITES
from fcconv_bench.summary import figures, remarks
from fcconv_bench.ways import ways

ROOT = Path(__file__).parents[1]

PEERS = ["lax", *(name for name in ("onnxruntime", "scipy") if importlib.util.find_spec(name))]
TORCH = ["torch"] if importlib.util.find_spec("torch") else []

MAP = Case("map", "all", 16, 256, 128, 1)
"""A 1x1 convolution: its result takes 32 MiB, and nothing else does."""

PAGES_IN_BATCHES = 2**20
"""Linux counts the pages of a process in batches a thread, so that its figure lags a little."""


def row(contender: str, seconds: float, **changes: object) -> Row:
    known = Row(
        "layers", "case", "native", contender, "cpu", seconds, seconds, seconds, 9, 4, 8, None, None
    )
    return replace(known, **changes)  # type: ignore[arg-type]


# What is measured ---------------------------------------------------------------------------------


def test_layers_are_those_of_the_issue() -> None:
    cases = suites.layers().cases
    assert Counter(case.group for case in cases) == {"native": 14, "map": 7}
    assert Counter(case.batch for case in cases) == {1: 14, 32: 7}
    assert all(
        case.is_native and case.output[2:] == (1, 1) for case in cases if case.group != "map"
    )
    assert all(case.output[2:] == (16, 16) for case in cases if case.group == "map")
    products = {case.product for case in cases if case.batch == 1 and case.group == "native"}
    assert (4096, 512 * 7 * 7, 1) in products
    assert (2, 4, 1) in products


def test_convolutions_are_distinct_and_complete() -> None:
    cases = suites.convolutions().cases
    # VGG16 has 9, ResNet-50 a stem, 4 in its first stage and 6 in the others
    single = {VGG16: 9, RESNET50: 1 + 4 + 3 * 6, MOBILENET: 1 + 9, DEPTHWISE: 9}
    assert Counter(case.group for case in cases if case.batch == 1) == single
    assert Counter(case.group for case in cases if case.batch == 8) == single
    assert len({case.name for case in cases}) == len(cases)
    assert len({replace(case, name="", group="") for case in cases}) == len(cases)


def test_resnet_has_its_layers_and_multiplications() -> None:
    layers = list(resnet50())
    assert len(layers) == 1 + 3 * 16 + 4
    assert layers[-1].output == (1, 2048, 7, 7)
    # torchvision says 4.09 billion, 2.05 million of them in the dense layer
    assert sum(case.multiplications for case in layers) == 4_087_136_256


@pytest.mark.parametrize("suite", SUITES)
def test_names_are_unique_and_the_reference_is_first(suite: str) -> None:
    made = SUITES[suite]()
    assert len({case.name for case in made.cases}) == len(made.cases)
    assert made.contenders([])[0].name == made.reference
    names = {contender.name for contender in made.contenders([])}
    assert set(made.ours) <= names
    assert suite == made.name not in names  # both head columns of its table


def test_products_have_the_size_of_their_layer() -> None:
    case = next(resnet50())
    assert case.output == (1, 64, 112, 112)
    assert case.product == (64, 3 * 7 * 7, 112 * 112)


def test_depthwise_layers_have_one_channel_a_group() -> None:
    case = next(case for case in suites.convolutions().cases if case.group == DEPTHWISE)
    x, weight = case.arrays()  # a normalisation follows, and has the bias
    assert (x.shape, weight.shape) == ((1, 32, 112, 112), (32, 1, 3, 3))
    assert case.multiplications == 9 * math.prod(case.output)
    assert case.small().groups == case.small().channels == 4


def test_each_device_has_its_own_limit_and_peers() -> None:
    assert [str(contender) for contender in contenders(["gpu"])] == [
        *("limit", "fcconv numpy", "fcconv jax", *TORCH, *PEERS),
        *("limit on gpu", "fcconv jax on gpu", "lax on gpu"),
    ]
    jax = [way.platform for way in ways(("crops", "one pass"), ["gpu"]) if way.engine == "jax"]
    assert jax == ["jax", "jax", "jax on gpu", "jax on gpu"]


def test_scipy_is_spared_what_takes_long() -> None:
    scipy = ConvContender("scipy", "cpu")
    assert scipy.can(suites.layers().cases[0])
    assert not scipy.can(MAP)
    assert not scipy.can(next(resnet50()).small())  # it has a stride


# How it is measured -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says")
@pytest.mark.parametrize("name", ["limit", "fcconv numpy", *TORCH])
def test_peak_memory_is_that_of_the_result(name: str) -> None:
    (peak,) = peak_memory(ConvContender(name, "cpu"), [MAP])
    assert peak is not None
    assert MAP.output_bytes - PAGES_IN_BATCHES <= peak < 3 * MAP.output_bytes


@pytest.mark.parametrize("name", ["fcconv jax", "lax"])
def test_jax_says_its_memory_and_its_time_to_compile(name: str) -> None:
    facts = ConvContender(name, "cpu").prepare(MAP).facts
    assert facts.peak_bytes is not None
    assert MAP.output_bytes <= facts.peak_bytes < 3 * MAP.output_bytes  # XLA may copy it once
    assert facts.compile_seconds is not None
    assert facts.compile_seconds > 0


@dataclass(frozen=True)
class SlowAtFirst:
    """A contender whose first call of a case takes long."""

    calls: Iterator[int] = field(default_factory=count, compare=False)

    def prepare(self, _case: str) -> Prepared:
        def call() -> None:
            if next(self.calls) == 0:
                time.sleep(0.05)

        return Prepared(call, Facts(8))


def test_first_call_of_a_round_is_left_out() -> None:
    contender: Any = SlowAtFirst()
    assert measure.prepare(contender, "case").multiplications == 8
    times = measure.time_round(contender, "case")
    assert len(times) >= 2
    assert max(times) < 0.05
    assert next(contender.calls) > 10 * len(times)  # short calls are timed several at a time


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    code = """
import os, sys, time
from fcconv_bench.processes import process
if __name__ == "__main__":
    with process() as worker:
        print(worker.submit(os.getpid).result(), flush=True)
        worker.submit(time.sleep, 600).result()
"""
    (tmp_path / "program.py").write_text(code)
    began = [sys.executable, str(tmp_path / "program.py")]
    with subprocess.Popen(began, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        worker = int(program.stdout.readline())
        os.kill(worker, signal.SIGINT)  # as Ctrl-C sends it to all: it is not the worker's to say
        os.kill(worker, 0)
        program.kill()
        program.communicate(timeout=60)  # until the worker, too, has closed the pipe


# What is said of it -------------------------------------------------------------------------------


def test_ratios_stay_within_a_case_and_a_platform() -> None:
    ours = row("fcconv jax", 3, platform="gpu")
    rows = [row("limit", 2), row("lax", 8), row("limit", 1, platform="gpu"), ours]
    assert ratio(index(rows), ours, "limit") == 3
    assert ratio(index(rows), ours, "lax") is None


def test_summary_takes_geometric_means_of_each_part() -> None:
    rows = [
        *(row("limit", 1e-3), row("fcconv numpy", 2e-3), row("torch", 1e-3)),
        *(row("limit", 1e-4, case="tiny"), row("fcconv numpy", 8e-4, case="tiny")),
        *(row("limit", 1, case="map", group="map"), row("fcconv numpy", 3, case="map")),
    ]
    found = {(f.subset, f.other): f for f in figures(suites.layers(), rows)}
    assert set(found) == {  # torch lacks the tiny one
        *(("native, products over 0.2 ms", other) for other in ("limit", "torch")),
        *((subset, "limit") for subset in ("native", "map of 16x16")),
    }
    assert found["native, products over 0.2 ms", "limit"].mean == pytest.approx(2)
    native = found["native", "limit"]
    assert native.mean == pytest.approx(4)
    assert native.worst == pytest.approx(8)
    assert (native.case, native.cases) == ("tiny", 2)
    assert found["map of 16x16", "limit"].mean == pytest.approx(3)


def test_remarks_tell_what_a_call_costs_besides() -> None:
    large = {"case": "large", "output_bytes": 32_000_000, "multiplications": 10**9}
    rows = [
        *(row("limit", 1e-6), row("fcconv numpy", 11e-6, peak_bytes=1000, compile_seconds=0.5)),
        *(row("limit", 1, **large), row("fcconv numpy", 1, peak_bytes=80_000_000, **large)),
    ]
    cost, memory, compiled = remarks(suites.layers(), rows)
    assert "10.0 us" in cost
    assert "1.50 times" in memory
    assert "large: 48.0 MB beyond a result of 32.0 MB" in memory
    assert "1 times in 0.5 s" in compiled


def test_slower_is_what_has_left_the_quartiles() -> None:
    then = [row("torch", 2, high=2.5), row("lax", 1), row("limit", 1), row("scipy", 1)]
    now = [row("torch", 9, low=2.4), row("lax", 3), row("limit", 1.5), row("onnxruntime", 7)]
    assert [new.contender for _, new in slower(then, now)] == ["lax", "limit"]
    assert shared(then, now) == 3
    assert differences({"cores": 2, "python": "3"}, {"cores": 4, "python": "3"}) == ["cores"]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [row("torch", 2.0), row("lax", 1.0, peak_bytes=3)]
    write_json(tmp_path / "bench.json", rows, {"cores": 2}, [])
    assert read_json(tmp_path / "bench.json") == (rows, {"cores": 2})


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        '{"environment": {}, "rows": 3}',
        '{"environment": {}, "rows": [{"case": "x"}]}',
        '{"environment": 3, "rows": []}',
    ],
)
def test_other_files_are_refused_in_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FcconvError, match="not a file of fcconv bench"):
        read_json(path)
    assert app.run(["bench", "--compare", str(path), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_times_and_names_must_be_such(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write_json(path, [row("torch", -1.0)], {}, [])
    with pytest.raises(FcconvError, match=r"seconds is -1\.0"):
        read_json(path)
    write_json(path, [row("torch", 1.0, case=[])], {}, [])
    with pytest.raises(FcconvError, match="are not names"):
        read_json(path)


# The command --------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--suite", "unknown"], ["--compare", "missing.json"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "fcconv", "bench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_bench_reports_every_contender(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = suites.layers()
    small = replace(full, cases=(full.cases[0], full.cases[2].small()))
    whole = SUITES["networks"]()
    networks = replace(whole, cases=(whole.cases[0].small(),))
    monkeypatch.setitem(SUITES, "layers", lambda: small)
    monkeypatch.setitem(SUITES, "networks", lambda: networks)
    arguments = ["bench", "--suite", "layers", "--suite", "networks", "--rounds", "1"]
    assert app.run([*arguments, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    kept = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    layers = [r for r in kept["rows"] if (r["suite"], r["platform"]) == ("layers", "cpu")]
    names = ["limit", "fcconv numpy", "fcconv jax", *TORCH, *PEERS]
    assert [r["contender"] for r in layers] == names * 2
    passes = [r for r in kept["rows"] if (r["suite"], r["platform"]) == ("networks", "numpy")]
    crops, one_pass = (r["multiplications"] for r in passes)
    assert crops > one_pass > 0
    assert all(0 < r["low"] <= r["seconds"] <= r["high"] for r in kept["rows"])
    assert {"processor", "cores", "versions", "threads", "devices"} <= set(kept["environment"])
    assert set(kept["environment"]["threads"].values()) == {kept["environment"]["cores"]}
    assert {figure["suite"] for figure in kept["summary"]} == {"layers", "networks"}
    assert all(case.name in printed for case in (*small.cases, *networks.cases))
    for suite in ("layers", "networks"):
        assert (tmp_path / f"{suite}.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(cli_bench, "measure", lambda *_: read_json(tmp_path / "bench.json")[0])
    compared = ["--compare", str(tmp_path / "bench.json"), "--out", str(tmp_path / "again")]
    assert app.run(["bench", *compared]) == 0
    assert f"0 of {len(kept['rows'])} figures" in capsys.readouterr().out

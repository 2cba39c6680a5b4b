"""The measuring of the benchmarks: memory, ratios, devices."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from fcconv_bench.cases import CASES, Case
from fcconv_bench.contenders import Contender, contenders
from fcconv_bench.measure import Row, time_round
from fcconv_bench.memory import peak_memory
from fcconv_bench.report import ratio

PEERS = [name for name in ("torch", "lax") if name == "lax" or importlib.util.find_spec(name)]

MAP = Case("map", 1, 16, 256, 128, 1)
"""A 1x1 convolution: its result takes 32 MiB, and nothing else does."""

PAGES_IN_BATCHES = 2**20
"""Linux counts the pages of a process in batches a thread, so that its figure lags a little."""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says")
@pytest.mark.parametrize("name", ["fcconv numpy", "fcconv jax", *PEERS, "matmul"])
def test_peak_memory_is_that_of_the_result(name: str) -> None:
    result = 128 * 256 * 256 * 4
    peak = peak_memory(Contender(name, "cpu"), MAP)
    assert peak is not None
    assert result - PAGES_IN_BATCHES <= peak < 3 * result  # XLA may copy it once


def test_first_call_of_a_round_is_left_out() -> None:
    assert len(time_round(Contender("matmul", "cpu"), CASES[0])) >= 2


def test_each_device_has_its_own_limit_and_peers() -> None:
    names = [str(contender) for contender in contenders({"cpu": "cpu", "gpu": "a card"})]
    assert names == [
        *("matmul", "fcconv numpy", "fcconv jax", *PEERS),
        *("matmul on gpu", "fcconv jax on gpu", "lax on gpu"),
    ]


def test_ratios_stay_within_a_case_and_a_device() -> None:
    def row(contender: str, device: str, seconds: float) -> Row:
        return Row("case", contender, device, seconds, seconds, seconds, 1, None)

    rows = [row("matmul", "cpu", 2), row("lax", "cpu", 8), row("matmul", "gpu", 1)]
    ours = row("fcconv jax", "gpu", 3)
    assert ratio([*rows, ours], ours, "matmul") == 3
    assert ratio([*rows, ours], ours, "lax") is None


def test_products_have_the_size_of_their_layer() -> None:
    case = next(case for case in CASES if case.name.startswith("7x7 stride 2"))
    assert case.output == (1, 64, 112, 112)
    assert case.product == (64, 3 * 7 * 7, 112 * 112)

"""Every contender on every layer and convolution.

``pytest benchmarks --benchmark-enable`` times the full sizes; a plain test run executes each once,
in small, and checks the results: those of the layers against NumPy in float64, within the rounding
bound, and the size of the limit's. Layers that are the same in small have one test.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import fcconv
from comparing import assert_within_bound
from fcconv_bench import suites
from fcconv_bench.cases import Case
from fcconv_bench.contenders import LIMIT, ConvContender, contenders
from fcconv_bench.environment import devices

CASES = {
    replace(case.small(), name="", group=""): case
    for case in (*suites.layers().cases, *suites.convolutions().cases)
}


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
@pytest.mark.parametrize("contender", contenders(devices()), ids=str)
def test_layer(benchmark: BenchmarkFixture, contender: ConvContender, case: Case) -> None:
    if not benchmark.enabled:
        case = case.small()
    if not contender.can(case):
        pytest.skip(f"{contender} takes too long")
    benchmark.group = case.name
    result = benchmark(contender.prepare(case).call)
    rows, terms, columns = case.product
    if contender.name == LIMIT:
        assert result.size == (rows * columns if case.groups == 1 else case.moved_bytes // 8)
        return
    arrays = [array.astype(np.float64) for array in case.arrays()]
    exact = fcconv.conv(*arrays, **case.arguments)
    magnitude = fcconv.conv(*map(np.abs, arrays), **case.arguments)
    assert_within_bound(result, exact, magnitude, terms + 1, (contender, case))

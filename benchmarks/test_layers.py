"""Every contender on every layer.

``pytest benchmarks --benchmark-enable`` times the full sizes; a plain test run executes each once,
in small, and checks the results: those of the layers against NumPy in float64, within the rounding
bound, and the product's shape.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import fcconv
from comparing import assert_within_bound
from fcconv_bench.cases import CASES, Case
from fcconv_bench.contenders import LIMIT, Contender, contenders, devices


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("contender", contenders(devices()), ids=str)
def test_layer(benchmark: BenchmarkFixture, contender: Contender, case: Case) -> None:
    if not benchmark.enabled:
        case = case.small()
    benchmark.group = case.name
    result = benchmark(contender.prepare(case))
    rows, terms, columns = case.product
    if contender.name == LIMIT:
        assert result.shape == (rows, columns)
        return
    arrays = [array.astype(np.float64) for array in case.arrays()]
    exact = fcconv.conv(*arrays, **case.arguments)
    magnitude = fcconv.conv(*map(np.abs, arrays), **case.arguments)
    assert_within_bound(result, exact, magnitude, terms + 1, (contender, case))

"""Every contender on every layer.

``pytest benchmarks --benchmark-enable`` times the full sizes; a plain test run executes each once,
in small, and checks that all compute the same layer.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fcconv_bench.cases import CASES, Case
from fcconv_bench.contenders import MATMUL, contenders, largest_error, platforms, prepare


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("contender", contenders(platforms()))
def test_layer(benchmark: BenchmarkFixture, contender: str, case: Case) -> None:
    if not benchmark.enabled:
        case = case.small()
    benchmark.group = case.name
    result = benchmark(prepare(contender, case))
    if contender == MATMUL:
        rows, _, columns = case.product
        assert result.shape == (rows, columns)
    else:
        assert tuple(result.shape) == case.output
        assert largest_error(case, result) <= 1

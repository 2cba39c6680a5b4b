"""Every contender on every case, once and in small; the results of convolutions are checked.

Those are compared with NumPy's in float64, within the rounding bound, and with the limit's in size.
Cases that are the same in small have one test.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fcconv
from comparing import assert_within_bound
from fcconv_bench.cases import Case
from fcconv_bench.contenders import LIMIT
from fcconv_bench.environment import devices
from fcconv_bench.suite import Contender
from fcconv_bench.suites import SUITES


def each() -> Iterator[Any]:
    """Yield contenders, and cases that they can compute."""
    seen = set()
    for suite in (make() for make in SUITES.values()):
        for case in suite.cases:
            small = case.small()
            same = replace(small, name="", group="") if isinstance(small, Case) else small
            for contender in suite.contenders(devices()):
                if contender.can(small) and (same, contender) not in seen:
                    seen.add((same, contender))
                    yield pytest.param(
                        contender, small, id=f"{suite.name}, {case.name}, {contender}"
                    )


@pytest.mark.parametrize(("contender", "case"), list(each()))
def test_every_contender(
    contender: Contender[Any], case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with jax.numpy_rank_promotion("allow"):  # as users have it, whose code peers are
        prepared = contender.prepare(case)
        result = prepared.call()
    if prepared.check is not None:
        prepared.check(result)
    if isinstance(case, Case):
        check(result, contender, case)


def check(result: Any, contender: Contender[Any], case: Case) -> None:
    rows, terms, columns = case.product
    if contender.name == LIMIT:
        assert result.size == (rows * columns if case.groups == 1 else case.moved_bytes // 8)
        return
    arrays = [array.astype(np.float64) for array in case.arrays()]
    exact = fcconv.conv(*arrays, **case.arguments)
    magnitude = fcconv.conv(*map(np.abs, arrays), **case.arguments)
    assert_within_bound(result, exact, magnitude, terms + 1, (contender, case))

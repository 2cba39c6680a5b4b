"""Every window exactly: the numbers of its crop, whatever pads or mixes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from fcconv.graph.exact import cost
from random_graphs import Case, cases
from sliding_windows import assert_every_window


@pytest.fixture(params=["cheapest", "shared as far as it goes"])
def prices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let moving entries cost what it does, or nothing, so that strips always pay."""
    if request.param != "cheapest":
        for price in ("MADE", "SHARED", "GATHERED"):
            monkeypatch.setattr(cost, price, 0)


@given(case=cases(), seed=st.integers(0, 2**30))
@pytest.mark.usefixtures("prices")
def test_every_window_is_its_crop_in_the_field(case: Case, seed: int) -> None:
    sliding = fcconv.convolutionize(case.model, stride=case.stride, windows="exact")
    assert sliding.exact
    assert not any(map(any, sliding.margins))
    assert_every_window(case, sliding, seed)

"""The plans of the NumPy backend: every window once, in their memory, on any number of threads."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fcconv
import fcconv_numpy
import test_definitions
from fcconv_numpy import plan as planning
from fcconv_numpy.columns import WORKSPACE
from fcconv_numpy.plan import FEW_OUTPUTS, LARGE, TILE, WHOLE, plan
from fcconv_numpy.threads import blas_threads, share

OUTPUTS = st.lists(st.integers(1, 300), min_size=1, max_size=3).map(tuple)


@given(
    batch=st.integers(0, 40),
    outputs=st.sampled_from([1, 64]),
    column=st.integers(0, 10**6),
    output=OUTPUTS,
    threads=st.integers(1, 4),
)
def test_plans_stay_within_their_memory(
    batch: int, outputs: int, column: int, output: tuple[int, ...], threads: int
) -> None:
    chosen = plan(batch, outputs, column, output, threads)
    several = threads > 1 and batch * math.prod(output) * column >= LARGE
    assert chosen.workers == (threads if several else 1)
    windows = chosen.images * math.prod(chosen.cells)
    limit = TILE if several or outputs < FEW_OUTPUTS else WHOLE
    assert windows == 1 or windows * column <= limit
    # no smaller than it has to be: one more step along the axis that is cut would not fit
    cut = next((k for k, n in enumerate(output) if chosen.cells[k] < n), None)
    if cut is not None:
        assert chosen.images == 1
        assert windows // chosen.cells[cut] * (chosen.cells[cut] + 1) * column > limit


@given(
    batch=st.integers(0, 4),
    output=st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    column=st.sampled_from([1, 2**17, 2**19, 2**20, 2**22]),
    threads=st.integers(1, 3),
)
def test_tiles_hold_every_window_once_and_in_one_piece(
    batch: int, output: tuple[int, ...], column: int, threads: int
) -> None:
    seen = np.zeros((batch, *output), int)
    for tile in plan(batch, 64, column, output, threads).tiles(batch, output):
        images, *cells = (slice(*part) for part in (tile.images, *tile.cells))
        seen[images, *cells] += 1
        for image in range(*tile.images):
            numbers = np.arange(math.prod(output)).reshape(output)[*cells].ravel()
            assert (np.diff(numbers) == 1).all(), (image, tile)
    assert (seen == 1).all()


@pytest.fixture(
    params=itertools.product([1, 3], [8, 200, 10**6]), ids=lambda cut: f"{cut[0]}x{cut[1]}"
)
def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut everything into tiles of a few bytes, on one thread or several."""
    threads, size = request.param
    for name, value in {"WHOLE": size, "TILE": size, "LARGE": 0 if threads > 1 else LARGE}.items():
        monkeypatch.setattr(planning, name, value)
    for module in ("convolution", "pooling"):
        monkeypatch.setattr(f"fcconv_numpy.{module}.blas_threads", lambda: threads)
    plan.cache_clear()
    yield
    plan.cache_clear()


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize(
    "definition",
    [
        test_definitions.test_conv,
        test_definitions.test_conv_on_floats,
        test_definitions.test_integers_are_exact_modulo_their_size,
        test_definitions.test_max_pool,
        test_definitions.test_avg_pool_on_floats,
    ],
    ids=lambda definition: definition.__name__,
)
def test_definitions_hold_in_tiles(definition: Callable[..., None]) -> None:
    definition(fcconv.backend("numpy"))


def test_threads_take_every_item_once_and_leave_blas_as_it_was() -> None:
    before = blas_threads()
    taken: list[int] = []
    share(taken.extend, range(100), 3)
    assert sorted(taken) == list(range(100))
    assert blas_threads() == before


def test_errors_of_any_thread_arrive() -> None:
    before, main = blas_threads(), threading.get_ident()
    ready = threading.Event()

    def work(items: Iterator[int]) -> None:
        if threading.get_ident() == main:
            ready.wait()
            return
        ready.set()
        raise ValueError(next(items))

    with pytest.raises(ValueError, match="7"):
        share(work, [7], 2)
    assert blas_threads() == before


def test_the_callers_errstate_holds_on_every_thread() -> None:
    states: dict[int, Any] = {}
    both = threading.Barrier(2)

    def work(_items: Iterator[int]) -> None:
        states[threading.get_ident()] = np.geterr()
        both.wait()

    with np.errstate(over="ignore", invalid="raise"):
        expected = np.geterr()
        share(work, [], 2)
    assert list(states.values()) == [expected] * 2


def test_each_thread_has_its_own_workspace() -> None:
    own = WORKSPACE.take("columns", (4,), np.dtype(np.int64))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(WORKSPACE.take, "columns", (4,), np.dtype(np.int64)).result()
    assert np.may_share_memory(own, WORKSPACE.take("columns", (4,), np.dtype(np.int64)))
    assert not np.may_share_memory(own, other)


def test_nothing_is_returned_that_a_later_call_overwrites() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.random((2, 3, 20, 20)), rng.random((4, 3, 3, 3))
    pooled, convolved = fcconv.max_pool(x, 3, padding=1), fcconv.conv(x, weight, padding=1)
    columns = fcconv.im2col(x, 3, padding=1)
    before = [array.copy() for array in (pooled, convolved, columns)]
    fcconv.max_pool(-x, 3, padding=1)
    fcconv.conv(-x, weight, padding=1)
    fcconv.im2col(-x, 3, padding=1)
    for array, kept in zip((pooled, convolved, columns), before, strict=True):
        assert np.array_equal(array, kept)
    assert not np.may_share_memory(fcconv.max_pool(x, 1), x)
    assert fcconv.backend(pooled) is fcconv_numpy

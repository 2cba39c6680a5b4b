"""The plans of the NumPy backend: every window once, in their memory, on any number of threads."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
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
from fcconv_numpy.plan import FEWEST, MOST, TILE, TILES_A_THREAD, plan
from fcconv_numpy.threads import blas_threads, share


def lengths(largest: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Images, groups, and windows along one to three axes."""
    windows = st.lists(st.integers(1, largest), min_size=1, max_size=3)
    return st.tuples(st.integers(0, 9), st.integers(1, 9), windows).map(
        lambda drawn: (drawn[0], drawn[1], *drawn[2])
    )


@given(
    lengths=lengths(40),
    column=st.integers(1, 10**6),
    threads=st.integers(1, 4),
)
def test_plans_stay_within_their_memory(
    lengths: tuple[int, ...], column: int, threads: int
) -> None:
    chosen = plan(lengths, column, threads)
    tiles = sum(1 for _ in chosen.tiles(lengths))
    assert chosen.workers in (1, threads)
    assert chosen.workers == 1 or tiles >= TILES_A_THREAD * threads
    windows = math.prod(chosen.sizes)
    limit = TILE if FEWEST * column <= TILE else min(FEWEST * column, MOST)
    assert windows == 1 or windows * column <= limit
    # no smaller than it has to be: one more along the axis that is cut would not fit
    sizes = zip(lengths, chosen.sizes, strict=True)
    cut = next((axis for axis, (n, size) in enumerate(sizes) if size < n), None)
    if cut is not None:
        assert windows // chosen.sizes[cut] * (chosen.sizes[cut] + 1) * column > limit


@given(
    lengths=lengths(6),
    column=st.sampled_from([1, 2**17, 2**19, 2**20, 2**22]),
    threads=st.integers(1, 3),
)
def test_tiles_hold_every_window_once_and_in_one_piece(
    lengths: tuple[int, ...], column: int, threads: int
) -> None:
    seen = np.zeros(lengths, int)
    numbers = np.arange(seen.size).reshape(lengths)
    for tile in plan(lengths, column, threads).tiles(lengths):
        part = tuple(slice(*range_) for range_ in (tile.images, tile.groups, *tile.cells))
        seen[part] += 1
        assert (np.diff(numbers[part].ravel()) == 1).all(), tile
    assert (seen == 1).all()


@pytest.fixture(
    params=itertools.product([1, 3], [8, 200, 10**6]), ids=lambda cut: f"{cut[0]}x{cut[1]}"
)
def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut everything into tiles of a few bytes, on one thread or several."""
    threads, size = request.param
    limits = {"TILE": size, "MOST": size, "FEWEST": 1, "TILES_A_THREAD": 0 if threads > 1 else 9**9}
    for name, value in limits.items():
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


def test_a_failure_ends_the_work_of_all() -> None:
    before, main, taken = blas_threads(), threading.get_ident(), list[int]()

    def work(items: Iterator[int]) -> None:
        if threading.get_ident() == main:
            raise KeyboardInterrupt
        taken.extend(items)

    with pytest.raises(KeyboardInterrupt):
        share(work, itertools.count(), 2)
    assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_computes() -> None:
    code = """
import os, warnings
import numpy as np
from fcconv_numpy import threads
warnings.simplefilter("ignore")  # Python warns of forks beside threads
before = threads.blas_threads()
threads.share(list, [1, 2], 2)
with threads._blas.held_to_one():
    child = os.fork()
    if child == 0:
        threads.share(list, [1, 2], 2)
        os._exit(threads.blas_threads() != before)
    assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0


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

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
from fcconv.demo.network import load_faces
from fcconv_numpy import plan as planning
from fcconv_numpy import products, threads
from fcconv_numpy.columns import WORKSPACE
from fcconv_numpy.plan import FEWEST, MOST, TILE, WORTH, Plan, plan
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
    work=st.integers(1, WORTH),
    threads=st.integers(1, 4),
)
def test_plans_stay_within_their_memory(
    lengths: tuple[int, ...], column: int, work: int, threads: int
) -> None:
    chosen = plan(lengths, column, work, threads)
    assert chosen.workers == (threads if math.prod(lengths) * work >= WORTH else 1)
    windows = math.prod(chosen.sizes)
    limit = TILE if FEWEST * column <= TILE else min(FEWEST * column, MOST)
    assert windows == 1 or windows * column <= limit
    if chosen.workers > 1:
        return
    # no smaller than it has to be: one more along the axis that is cut would not fit
    sizes = zip(lengths, chosen.sizes, strict=True)
    cut = next((axis for axis, (n, size) in enumerate(sizes) if size < n), None)
    if cut is not None:
        assert windows // chosen.sizes[cut] * (chosen.sizes[cut] + 1) * column > limit


@pytest.mark.parametrize(
    ("lengths", "column", "sizes"),
    [
        ((1, 1, 7, 7), 1, (1, 1, 4, 7)),  # fits as a whole, and is cut for the threads
        ((1, 1, 9, 2), TILE // 6, (1, 1, 3, 2)),  # three tiles would leave a thread idle: four
        ((3, 1, 8), TILE // 8, (1, 1, 8)),  # three images of one tile each: they are left whole
        ((1, 5, 1), 1, (1, 3, 1)),
        ((1, 1, 1), 1, (1, 1, 1)),
    ],
)
def test_each_thread_has_as_many_tiles(
    lengths: tuple[int, ...], column: int, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "FEWEST", 1)
    assert plan.__wrapped__(lengths, column, WORTH, 2) == Plan(sizes, 2)


@given(
    lengths=lengths(6),
    column=st.sampled_from([1, 2**17, 2**19, 2**20, 2**22]),
    work=st.sampled_from([0, WORTH]),
    threads=st.integers(1, 3),
)
def test_tiles_hold_every_window_once_and_in_one_piece(
    lengths: tuple[int, ...], column: int, work: int, threads: int
) -> None:
    seen = np.zeros(lengths, int)
    numbers = np.arange(seen.size).reshape(lengths)
    for tile in plan(lengths, column, work, threads).tiles(lengths):
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
    limits = {"TILE": size, "MOST": size, "FEWEST": 1, "WORTH": 1 if threads > 1 else 9**99}
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


@pytest.mark.parametrize(
    ("a", "b"),
    [((7, 3), (3, 5)), ((5, 3), (3, 7)), ((2, 1, 3, 4), (5, 4, 1)), ((1, 4), (2, 4, 9))],
    ids=str,
)
@pytest.mark.parametrize("into", [False, True], ids=["new", "into"])
def test_own_threads_divide_products(
    a: tuple[int, ...], b: tuple[int, ...], into: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(-9, 9, a), rng.integers(-9, 9, b)
    bias = rng.integers(-9, 9, (a[-2], 1))
    right = x @ y + bias
    out = np.zeros_like(right) if into else None
    counts: list[int] = []

    def counted(work: Any, items: Any, workers: int) -> None:
        counts.append(len(items))
        share(work, items, workers)

    monkeypatch.setattr(products, "WORTH", 0)
    monkeypatch.setattr(products, "product_threads", lambda: 3)
    monkeypatch.setattr(products, "share", counted)
    made = products.matrix_product(x, y, bias, out)
    assert counts == [3]
    assert np.array_equal(made, right)
    assert out is None or made is out


def test_networks_hold_blas_to_one_thread_and_divide_products_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, seen = fcconv.compile(load_faces()), list[tuple[list[int], int]]()
    libraries = threads._blas._libraries

    def watched(*arguments: Any) -> Any:
        seen.append(([one.get_num_threads() for one in libraries], threads.product_threads()))
        return conv(*arguments)

    conv = fcconv_numpy.conv
    monkeypatch.setattr(fcconv_numpy, "conv", watched)
    network(np.zeros((1, 1, 25, 25), np.float32))
    assert seen
    assert set(map(str, seen)) == {str(([1] * len(libraries), blas_threads()))}
    assert threads.product_threads() == 1


def test_what_is_shared_is_not_divided_again() -> None:
    seen: list[int] = []

    def work(items: Iterator[int]) -> None:
        seen.extend(threads.product_threads() for _ in items)

    with threads.own_threads():
        share(work, range(8), 2)
        assert threads.product_threads() == blas_threads()
    assert seen == [1] * 8


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

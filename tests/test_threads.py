"""Worker threads: each item once, and BLAS held to one thread meanwhile, by anyone."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import fcconv
import fcconv_numpy
from fcconv.demo.network import load_faces
from fcconv.graph.engines.session import Session
from fcconv_numpy import threads
from fcconv_numpy.threads import blas_threads, share
from scan_cases import small_network


def in_use() -> int:
    """Count the threads that a product would use now."""
    return min(int(library.get_num_threads()) for library in threads._blas._libraries)


def held_there() -> int:
    with threads.single_threaded_blas():
        return in_use()


def test_threads_take_every_item_once_and_leave_blas_as_it_was() -> None:
    before = blas_threads()
    taken: list[int] = []
    share(taken.extend, range(100), 3)
    assert sorted(taken) == list(range(100))
    assert blas_threads() == before


def test_networks_hold_blas_to_one_thread_and_divide_products_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, seen = fcconv.compile(load_faces()), set[tuple[int, int]]()

    def watched(*arguments: Any) -> Any:
        seen.add((in_use(), threads.product_threads()))
        return conv(*arguments)

    conv = fcconv_numpy.conv
    monkeypatch.setattr(fcconv_numpy, "conv", watched)
    monkeypatch.setattr(threads, "blas_threads", lambda: 7)
    network(np.zeros((1, 1, 25, 25), np.float32))
    assert seen == {(1, 7)}
    assert threads.product_threads() == 1


def test_what_is_shared_is_not_divided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "blas_threads", lambda: 7)
    both, seen = threading.Barrier(2), list[int]()

    def work(_items: Iterator[int]) -> None:
        both.wait()
        seen.append(threads.product_threads())

    with threads.single_threaded_blas():
        share(work, [], 2)
        assert threads.product_threads() == 7
    assert seen == [1, 1]


def test_any_thread_may_hold_blas_and_the_last_restores_it() -> None:
    before = in_use()
    with ThreadPoolExecutor(1) as other, ExitStack() as first, ExitStack() as second:
        for library in threads._blas._libraries:  # as a user of threadpoolctl may
            other.submit(library.set_num_threads, before).result()
        with threads.single_threaded_blas():
            assert in_use() == 1
        assert other.submit(held_there).result() == 1
        assert in_use() == before
        first.enter_context(threads.single_threaded_blas())
        other.submit(second.enter_context, threads.single_threaded_blas()).result()
        first.close()
        assert in_use() == 1
        assert blas_threads() == before
        other.submit(second.close).result()
        assert in_use() == before
        with threads.single_threaded_blas():
            assert in_use() == 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system binds no threads")
def test_each_thread_has_a_processor_of_its_own_where_there_is_one_for_each() -> None:
    mine = os.sched_getaffinity(0)

    def places(threads_: int, processors: tuple[int, ...]) -> list[set[int]]:
        all_of_them = threading.Barrier(threads_)

        def place() -> set[int]:
            all_of_them.wait()
            return os.sched_getaffinity(0)

        with threads._pool.__wrapped__(threads_, processors) as pool:
            return [future.result() for future in [pool.submit(place) for _ in range(threads_)]]

    assert sorted(places(len(mine), tuple(mine)), key=min) == [{place} for place in sorted(mine)]
    assert places(len(mine) + 1, tuple(mine)) == [mine] * (len(mine) + 1)
    assert os.sched_getaffinity(0) == mine


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system binds no threads")
def test_threads_work_where_they_may_not_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    mine = tuple(os.sched_getaffinity(0))
    with threads._pool.__wrapped__(len(mine), mine) as pool:
        assert pool.submit(os.sched_getaffinity, 0).result() == set(mine)


def _note(taken: list[tuple[int, int]], item: int, items: Iterator[int]) -> None:
    taken.append((item, sum(items)))


def test_shares_of_several_callers_and_within_each_other_end() -> None:
    def within(items: Iterator[int]) -> None:
        for item in items:
            share(functools.partial(_note, taken, item), range(9), 2)

    taken: list[tuple[int, int]] = []
    with ThreadPoolExecutor(5) as callers:
        list(callers.map(lambda _: share(within, range(20), 2), range(5)))
    assert sorted(taken) == [(item, 36) for item in range(20) for _ in range(5)]


def test_threads_that_can_not_be_had_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    monkeypatch.setattr(threads, "_pool", lambda *_: closed)
    before = in_use()
    with pytest.raises(RuntimeError, match="cannot schedule"):
        share(list[int]().extend, range(9), 2)
    assert in_use() == before


class ByThread(threading.local):
    """A library of BLAS that has a number of threads for each thread that calls it."""

    internal_api, count = "mkl", 4

    def get_num_threads(self) -> int:
        return self.count

    def set_num_threads(self, count: int) -> None:
        self.count = count


def test_libraries_that_count_by_thread_are_held_on_each() -> None:
    blas, library = threads._Blas(), ByThread()
    blas.__dict__["_libraries"] = [library]
    with ThreadPoolExecutor(1) as other, ExitStack() as there:
        with blas.held_to_one():
            with blas.held_to_one():
                assert library.count == 1
            assert library.count == 1
            other.submit(there.enter_context, blas.held_to_one()).result()
            assert other.submit(library.get_num_threads).result() == 1
        assert library.count == 4
        assert blas.is_held
        other.submit(there.close).result()
        assert other.submit(library.get_num_threads).result() == 4
    assert not blas.is_held
    with ThreadPoolExecutor(1, initializer=blas.hold_this_thread) as worker:
        assert worker.submit(library.get_num_threads).result() == 1


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two threads share work, whatever the machine has."""
    monkeypatch.setattr(threads, "blas_threads", lambda: 2)


@pytest.mark.usefixtures("two_threads")
def test_a_failure_on_any_thread_arrives_and_ends_the_work_of_all() -> None:
    before, begun = in_use(), threading.Barrier(2)

    def work(items: Iterator[int]) -> None:
        begun.wait()
        for item in items:
            if item == 7:
                raise ValueError(item)

    with pytest.raises(ValueError, match="7"):
        share(work, itertools.count(), 2)
    assert in_use() == before


@pytest.mark.usefixtures("two_threads")
def test_an_interrupt_of_the_caller_ends_the_work_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before, ended = in_use(), list[int]()

    def work(items: Iterator[int]) -> None:
        for _ in items:
            pass
        ended.append(1)

    def interrupted(*_: Any, **__: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    pool = threads._pool(2, threads._processors())
    monkeypatch.setattr(threads, "_pool", lambda *_: pool)
    monkeypatch.setattr(threads, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        share(work, itertools.count(), 2)
    assert ended == [1, 1]
    assert in_use() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_computes() -> None:
    code = """
import os, warnings
import numpy as np
from fcconv_numpy import threads
warnings.simplefilter("ignore")  # Python warns of forks beside threads
before = threads.blas_threads()
threads.share(list, [1, 2], 2)
with threads.single_threaded_blas():
    child = os.fork()
    if child == 0:
        threads.share(list, [1, 2], 2)
        assert not threads._blas.is_held
        assert threads.blas_threads() == before
if child == 0:
    assert not threads._blas.is_held
    with threads.single_threaded_blas():
        assert threads._blas.is_held
    os._exit(not threads.blas_threads() == before)
assert os.waitpid(child, 0)[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.usefixtures("two_threads")
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


@pytest.mark.parametrize(("wanted", "threads"), [("1", 1), ("3,2", 3), ("", 0), ("many", 0)])
def test_onnxruntime_takes_the_threads_that_a_user_wants(
    wanted: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    network = fcconv.compile(small_network(), "onnxruntime")
    assert isinstance(network, Session)
    assert network._session.get_session_options().intra_op_num_threads == threads

"""The tests fail when the code breaks: shown by some mutations, by all with FCCONV_LARGE=1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from mutations import MUTATIONS, Mutation, survives, unchanged_passes

pytestmark = pytest.mark.slow

TRIED = MUTATIONS if os.environ.get("FCCONV_LARGE") else MUTATIONS[::36]


@pytest.fixture(scope="module")
def fates() -> Iterator[dict[str, Future[bool]]]:
    """Whether each mutation survives; each is a process of its own, some at the same time."""
    with ThreadPoolExecutor(os.cpu_count()) as runners:
        yield {mutation.name: runners.submit(survives, mutation) for mutation in TRIED}
        runners.shutdown(cancel_futures=True)


def test_an_unchanged_copy_passes() -> None:
    assert unchanged_passes(TRIED)


@pytest.mark.parametrize("mutation", TRIED, ids=lambda mutation: mutation.name)
def test_mutation_is_killed(mutation: Mutation, fates: dict[str, Future[bool]]) -> None:
    assert not fates[mutation.name].result()

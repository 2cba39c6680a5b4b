"""Reading, computing and writing at the same time, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")


def pipeline(
    items: Sequence[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Read], Made],
    write: Callable[[Item, Made], None],
) -> None:
    """Read the next item while one is computed and the one before is written.

    At most two items are read and two results held. Where one of the three fails, what was computed
    before is written all the same, and the error is raised. A single item needs no threads, which
    take longer to start than a few windows to compute.
    """
    if len(items) == 1:
        write(items[0], compute(read(items[0])))
        return
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for item, ahead in _ahead(items, lambda item: reader.submit(read, item)):
            made = compute(ahead.result())
            if writing is not None:
                writing.result()
            writing = writer.submit(write, item, made)
        if writing is not None:
            writing.result()


def _ahead(
    items: Iterable[Item], submit: Callable[[Item], Future[Read]]
) -> Iterable[tuple[Item, Future[Read]]]:
    """Submit each item one before its turn."""
    waiting: tuple[Item, Future[Read]] | None = None
    for item in items:
        following = (item, submit(item))
        if waiting is not None:
            yield waiting
        waiting = following
    if waiting is not None:
        yield waiting

"""Parts of a scan: any number of processes compute tiles of it, on any number of machines.

All that they share is the folder that scores go to. The first part makes it, and its record decides
on the tiles and the engine of all; nothing says which parts are done but the tiles themselves, each
with its checksum. A last run without a part computes what is missing, and says what the scan is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from fcconv.arguments import as_integer
from fcconv.errors import ArgumentError
from fcconv.remote import Place
from fcconv.scanning.engine import providers_of
from fcconv.scanning.group import begin_group
from fcconv.scanning.lock import locked, shared
from fcconv.scanning.plan import Part
from fcconv.scanning.records import CHUNKED, Record
from fcconv.scanning.run import Run
from fcconv.scanning.store import Store, join_store, open_store, recorded
from fcconv.scanning.tiles import Progress, Tally, score_tiles


class Scored(NamedTuple):
    """What a run made.

    Attributes
    ----------
    scores : mapping of str to array
        The scores of each output; of a part, with those that other parts have written by now.
    tally : Tally
        What became of its tiles.
    providers : tuple of str
        What onnxruntime computed by, if that was chosen.
    """

    scores: Mapping[str, Any]
    tally: Tally
    providers: tuple[str, ...]


def score_run(
    run: Run, store: Store, report: Callable[[Progress], None], part: Part | None = None
) -> Scored:
    """Score what is left of a run, or of a part of it."""
    score = run.score()
    tally = score_tiles(run, score, store, report, part)
    return Scored(store.finish(), tally, providers_of(score))


def check_part(part: Any) -> Part:
    """Check which part is asked for.

    Raises
    ------
    ArgumentError
        If there is no such part.
    """
    pair = [as_integer(n) for n in part] if isinstance(part, tuple | list) else []
    match pair:
        case [int(number), int(parts)] if 1 <= number <= parts:
            return number, parts
    raise ArgumentError(
        f"part needs (k, n), part k of n, from (1, n) to (n, n) (--part k/n), got {part!r}"
    )


def check_shared(
    argument: str, out: Place | None, existing: str = "refuse", **others: Any
) -> Place:
    """Check that parts of a scan have a place that all can write to, and nothing else is asked.

    Parameters
    ----------
    argument : str
        What asks for parts.
    out : path or None
        Where scores go.
    existing : {"refuse", "resume", "overwrite"}
        What is to be done with scores that are there.
    **others
        Arguments that parts can't have; None where they are left out.

    Raises
    ------
    ArgumentError
        If that is not so.
    """
    if out is None or out.suffix != CHUNKED:
        raise ArgumentError(
            f"{argument} needs out, a {CHUNKED} that every part can write to, got {out}"
        )
    if existing == "overwrite":
        raise ArgumentError(
            f"existing='overwrite' (--overwrite) would have each {argument} remove what the others "
            f"write: remove {out} first"
        )
    for name, value in others.items():
        if value is not None:
            raise ArgumentError(
                f"{name} is of the whole scan: give it to the last call, without {argument} and "
                f"with existing='resume' (--resume)"
            )
    return out


@contextmanager
def whole(out: Place | None, run: Run, existing: str) -> Iterator[tuple[Run, Store]]:
    """Open where a whole run goes, which nobody else writes to; see :func:`open_store`."""
    with locked(out):
        yield run, open_store(out, run.outputs, {} if out is None else run.record, existing)


@contextmanager
def joined(out: Place, run: Run, replanned: Callable[[Record], Run]) -> Iterator[tuple[Run, Store]]:
    """Make the folder that parts write to, or join it in the tiles and on the engine of its record.

    Raises
    ------
    OutputError
        If it is of another run, can't be written, or a whole run writes to it.
    """
    with shared(out):
        begun = begin_group(out, run.outputs, run.record)
        if begun != run.record:
            run = replanned(begun)
        yield run, join_store(out, run.outputs, run.record)


@contextmanager
def kept(out: Place | None, run: Run, part: Part | None) -> Iterator[None]:
    """Say of an error that interrupts a run that it is gone on with, if its folder is there."""
    try:
        yield
    except BaseException as error:
        if out is not None and recorded(out) == run.record:
            again = "resume" if part is None else "the same part again"
            error.add_note(f"The tiles that are finished are kept: {again} goes on from there")
        raise

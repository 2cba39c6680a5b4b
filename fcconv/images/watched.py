"""Files that must not change while they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Watched:
    """What tells whether files are still those that were opened.

    A file that is written to, replaced or removed differs in its size, its times or its number on
    the drive; a date can be put back, the time of that can't. Of a folder, all folders in it are
    watched: chunks of Zarr are written beside their place and moved there, which changes the folder
    that they lie in. What is not noticed is a chunk that another program writes to in its place.

    Attributes
    ----------
    states : mapping of Path to tuple of int
        For each file its state; empty where there is none, such as beside an array in memory.
    """

    states: Mapping[Path, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def at(cls, *paths: Path) -> Watched:
        """Note the state of files, or of folders and all folders in them."""
        found: list[Path] = []
        for path in paths:
            path = path.absolute()
            found += [Path(folder) for folder, _, _ in os.walk(path)] or [path]  # none of a file
        return cls({watched: _state(watched) for watched in found})

    @property
    def path(self) -> Path | None:
        """What was opened; None beside an array in memory."""
        return next(iter(self.states), None)

    def has_changed(self) -> bool:
        """Say whether any of them is not what it was."""
        return any(_state(path) != before for path, before in self.states.items())


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes with a file; nothing of one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino

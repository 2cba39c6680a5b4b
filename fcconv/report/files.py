"""How every file of a report is written, and by which suffix its format is found."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from fcconv.arguments import as_path
from fcconv.errors import OutputError

Owns: TypeAlias = Callable[[Path], bool]
"""Says whether a folder was written in a format, so that it may be replaced."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet takes for a formula."""


COLUMNS = {
    1: ("start", "length"),
    2: ("left", "top", "width", "height"),
    3: ("start_0", "start_1", "start_2", "size_0", "size_1", "size_2"),
}
"""Names of where a window begins and of its size, by the number of axes."""


def suffix_of(name: str, suffixes: Iterable[str]) -> str:
    """Return the longest of some suffixes that a file's name ends in, or nothing."""
    fits = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    return max(fits, key=len, default="")


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file that appears under its name when it is complete."""
    with whole_at(as_path(path, "path")) as made:
        made.write_bytes(content)


@contextmanager
def whole_at(target: Path, owns: Owns | None = None) -> Iterator[Path]:
    """Give a place to write to, which appears under its name when it is complete.

    Parameters
    ----------
    target : Path
        The file or folder to be.
    owns : callable, optional
        Says of a folder that is there whether it may be replaced; none may, if left out.

    Raises
    ------
    OutputError
        If it can't be written, or a folder is there that may not be replaced.
    """
    with _folder_beside(target) as folder:
        made = folder / target.name  # the suffix may say to a library what to write
        yield made
        _check_folder(target, owns)
        before = folder / f"{target.name}.before"
        if target.is_dir():  # a folder is only put where there is none
            target.rename(before)
        try:
            made.replace(target)
        except OSError:
            if before.exists():
                before.rename(target)
            raise


def check_writable(path: str | os.PathLike[str], owns: Owns | None = None) -> None:
    """Check that a file or folder could be written, by what that begins with; it stays as it is.

    Raises
    ------
    OutputError
        If it could not; see :func:`whole_at`.
    """
    target = as_path(path, "path")
    with _folder_beside(target) as folder:
        (folder / "written").touch()
        _check_folder(target, owns)


def _check_folder(target: Path, owns: Owns | None) -> None:
    """Refuse to replace a folder that may hold anything."""
    if not target.is_dir():
        return
    if owns is None:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not owns(target):
        raise OutputError(
            f"{target} is a folder that was not written as a map of scores: remove it, or take "
            f"another name"
        )


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """Make a folder for a while, and name the target in the errors of the system."""
    try:
        with tempfile.TemporaryDirectory(prefix=".fcconv.", dir=target.parent) as folder:
            yield Path(folder)
    except OutputError:  # which is one of the system's errors, too, and says more
        raise
    except OSError as error:
        raise OutputError(f"can't write {target}: {error.strerror}") from error


def table_cell(value: Any) -> Any:
    """Return what goes into a cell of a CSV: words that a spreadsheet would compute get a quote.

    As OWASP recommends (*CSV Injection*); numbers stay numbers.

    Examples
    --------
    >>> table_cell("=1+1"), table_cell("cat"), table_cell(-1.5)
    ("'=1+1", 'cat', -1.5)
    """
    formula = isinstance(value, str) and value.startswith(FORMULA_STARTS)
    return f"'{value}" if formula else value

"""One run at a time writes to a place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fcconv.errors import OutputError

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where this is left to the user
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(out: Path | None) -> Iterator[None]:
    """Keep other runs away from scores; the system lets go when a process ends, however it does.

    Raises
    ------
    OutputError
        If another run writes there.
    """
    if out is None or fcntl is None:
        yield
        return
    path = out.with_name(f".{out.name}.fcconv-lock")
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"another run writes to {out}: wait for it") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

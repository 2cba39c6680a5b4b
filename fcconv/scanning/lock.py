"""One run at a time writes to a place, or all parts of one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fcconv.errors import OutputError
from fcconv.images.libraries import needed
from fcconv.remote import Place, Remote

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What the system says where a drive has no locks: some network drives do not."""

_BUSY = "another run writes to {}: wait for it"


@contextmanager
def locked(out: Place | None) -> Iterator[None]:
    """Keep other runs away from scores.

    The system holds the lock, and lets go when a process ends, however it does. Its file, which is
    empty and hidden, stays: two runs could hold a lock whose file is removed. On a drive without
    locks the file says which process holds it, and is removed in the end. After a crash the next
    run on the same machine removes it; on another machine none can know whether it is in use.

    Raises
    ------
    OutputError
        If another run writes there, or the file can't be made.
    BackendError
        If filelock is not installed.
    """
    if not isinstance(out, Path):  # memory, or a store that has no locks
        yield
        return
    filelock = needed("filelock")
    path = _file_of(out)
    holder = path.with_name(f"{path.name}-holder")
    by_system = filelock.FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        try:
            lock = by_system.acquire()
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            # which removes one of a dead process first
            lock = filelock.SoftFileLock(holder, timeout=1).acquire()
    except filelock.Timeout as error:
        if not path.exists() and error.lock_file == str(path):  # it could not be made at all
            raise OutputError(f"{out} can't be written: its folder takes no files") from None
        said = _BUSY.format(out)
        if error.lock_file == str(holder):
            said += f", or remove {holder} if there is none: this drive has no locks"
        raise OutputError(said) from None
    except OSError as error:
        raise _without_file(out, error) from error
    with lock:
        yield


@contextmanager
def shared(out: Place) -> Iterator[None]:
    """Keep runs of a whole scan away from scores, and let its parts in.

    Nothing rests on it but that a whole scan says so, in place of computing what parts are about
    to: each tile is written whole, with its checksum, whoever writes it. So parts do without where
    the system or the drive has no lock that several can hold.

    Raises
    ------
    OutputError
        If a whole scan writes there, or the file can't be made.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    if isinstance(out, Remote):
        yield
        return
    try:
        file = os.open(
            _file_of(out), os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
        )
    except OSError as error:
        raise _without_file(out, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise OutputError(_BUSY.format(out)) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            os.close(file)
            raise _without_file(out, error) from error
    try:
        yield
    finally:
        os.close(file)  # and the lock with it


def _file_of(out: Path) -> Path:
    """Name the file of the lock."""
    return out.with_name(f".{out.name}.fcconv-lock")


def _without_file(out: Path, error: OSError) -> OutputError:
    """Say that scores can't be written, as their lock can't."""
    reason = error.strerror or error
    return OutputError(f"{out} can't be written: {reason} (its lock, {_file_of(out).name})")

"""One run at a time writes to a place, whatever process it is, and however the others end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

import fcconv
from fcconv.errors import OutputError
from fcconv.scanning.lock import locked
from scan_cases import picture, small_network
from score_files import names_in

COUNTS = """
import os, sys
from pathlib import Path
from fcconv.errors import OutputError
from fcconv.scanning.lock import locked
out, inside = Path(sys.argv[1]), Path(sys.argv[1] + "-inside")
print("ready", flush=True)
input()
held = 0
while held < 100:
    try:
        with locked(out):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails if another is inside, too
            inside.unlink()
            held += 1
    except OutputError as error:
        assert "another run writes" in str(error), error
"""

HOLDS = """
import sys, time
from pathlib import Path
from fcconv.scanning import lock
with lock.locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

WITHOUT = """
import errno, fcntl, os
def refuse(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = refuse
"""
"""What makes a drive one without locks."""


def begun(program: str, out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def refuse(*_: Any) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.fixture(params=[True, False], ids=["locks", "no locks"])
def prelude(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a drive have locks, or none."""
    if request.param:
        return ""
    pytest.importorskip("fcntl", reason="only Unix has drives without locks")
    monkeypatch.setattr("fcntl.flock", refuse)
    return WITHOUT


def test_no_two_processes_hold_one_lock(prelude: str, tmp_path: Path) -> None:
    processes = [begun(prelude + COUNTS, tmp_path / "x.zarr") for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_process_that_is_killed_lets_go(prelude: str, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    process = begun(prelude + HOLDS, out)
    with pytest.raises(OutputError, match=r"another run writes to .*: wait for it"), locked(out):
        pass
    process.kill()
    process.communicate(timeout=60)
    with locked(out):
        pass


def test_what_to_do_where_a_drive_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of another machine holds the lock, or did before it crashed: no one knows."""
    pytest.importorskip("fcntl", reason="only Unix has drives without locks")
    monkeypatch.setattr("fcntl.flock", refuse)
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "existing": "resume"}
    holder = tmp_path / ".x.zarr.fcconv-lock-holder"
    holder.write_text("1\nanother-machine\n")
    with pytest.raises(OutputError) as raised:
        fcconv.scan(**given)
    assert f"or remove {holder} if there is none: this drive has no locks" in str(raised.value)
    holder.unlink()
    fcconv.scan(**given)
    assert names_in(tmp_path) == {"x.zarr", ".x.zarr.fcconv-lock"}


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("content")
    (tmp_path / ".x.zarr.fcconv-lock").symlink_to(precious)
    with pytest.raises(OutputError, match=r"can't be written: .*its lock, \.x\.zarr\.fcconv-lock"):
        fcconv.scan(small_network(), picture(), engine="numpy", out=tmp_path / "x.zarr")
    assert precious.read_text() == "content"
    assert names_in(tmp_path) == {"precious", ".x.zarr.fcconv-lock"}


def test_a_folder_in_which_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser can write anywhere, so that the system's answer is put in."""

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(filelock.FileLock, "acquire", denied)
    with pytest.raises(OutputError, match=r"x\.npy can't be written: Permission denied"):
        fcconv.scan(small_network(), picture(), engine="numpy", out=tmp_path / "x.npy")
    assert not names_in(tmp_path)


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="a folder that takes no files, of Linux"
)
def test_a_folder_that_takes_no_files_is_named_as_that() -> None:
    with (
        pytest.raises(OutputError, match="can't be written: its folder takes no files"),
        locked(Path("/proc/x.npy")),
    ):
        pass

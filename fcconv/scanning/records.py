"""The folder or file that scores go to, and the record in it of the run that they are from."""

from __future__ import annotations

import glob
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fcconv.errors import FcconvError, OutputError
from fcconv.remote import Place, Remote, SomePlace

Record = dict[str, Any]
"""What a run is: equal records give equal bytes."""

CHUNKED = ".zarr"
"""The suffix of a folder of chunks."""

METADATA = "zarr.json"
"""The file that describes a group or an array, in its folder."""

ATTRIBUTE = "fcconv"
"""Under which the record stands in the attributes of a zarr group."""

DESCRIBED = "fcconv-scan"
"""Under which stands what a finished scan is beyond its record, in either place."""


@contextmanager
def writing(path: Place) -> Iterator[None]:
    """Turn the errors of the system, which do not always name a file, into one that does.

    Raises
    ------
    OutputError
        In place of what the system, or a store, says.
    """
    try:
        yield
    except FcconvError:
        raise
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    except Exception as error:
        if isinstance(path, Path):
            raise
        raise OutputError(f"{path} can't be written: {error}") from error  # each store has its own


def remove(path: Place) -> None:
    """Remove whatever stands in a place: a file, a link but not what it leads to, a folder."""
    if isinstance(path, Remote):
        path.unlink()
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard(folder: Place) -> None:
    """Remove a folder so that half of it is never taken for a whole one."""
    if isinstance(folder, Remote):
        (folder / METADATA).unlink()
        folder.remove()
        return
    old = folder.with_name(f".{folder.name}.fcconv-old")
    folder.replace(old)
    shutil.rmtree(old, ignore_errors=True)


def clear_leftovers(chunks: Place) -> None:
    """Remove what runs that were cut off left beside a folder of chunks."""
    if isinstance(chunks, Remote):
        return  # where nothing is renamed
    for state in ("new", "old"):
        for leftover in chunks.parent.glob(f".{glob.escape(chunks.name)}.fcconv-{state}*"):
            shutil.rmtree(leftover, ignore_errors=True)


def new_beside(chunks: Path) -> Path:
    """Name where chunks are written until they are whole, in each run another place."""
    return chunks.with_name(f".{chunks.name}.fcconv-new-{uuid.uuid4().hex}")


def chunks_of(out: SomePlace) -> SomePlace:
    """Return the folder of chunks: the output itself, or beside it until it is complete."""
    return out if out.suffix == CHUNKED else out.with_name(f"{out.name}{CHUNKED}")


def record_in(chunks: Place) -> Record | None:
    """Read what the run is whose chunks lie in a folder; None if it is not such a folder."""
    attributes = read_json(chunks / METADATA).get("attributes")
    record = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    return record if isinstance(record, dict) else None


def record_beside(out: Path) -> tuple[Record, str] | None:
    """Read of what run a file of scores is, and its digest; None if nothing tells."""
    told = read_json(beside(out))
    run, digest = told.get("run"), told.get("blake2b")
    return (run, digest) if isinstance(run, dict) and isinstance(digest, str) else None


def record_of(out: Place) -> Record | None:
    """Read what the run was whose scores are there; None without any."""
    if isinstance(out, Remote):
        return record_in(out)
    told = record_beside(out)
    return record_in(chunks_of(out)) or (told and told[0])


def description_in(out: Place) -> dict[str, Any] | None:
    """Read what a finished scan is beyond its record; None if nothing tells."""
    if isinstance(out, Remote) or out.suffix == CHUNKED:
        told = read_json(out / METADATA).get("attributes")
    else:
        told = read_json(beside(out))
    found = told.get(DESCRIBED) if isinstance(told, dict) else None
    return found if isinstance(found, dict) else None


def describe_beside(out: Path, description: Mapping[str, Any]) -> None:
    """Write what :func:`description_in` reads of a file of scores."""
    told = {**read_json(beside(out)), DESCRIBED: description}
    made = out.with_name(f".{out.name}.fcconv-description")
    made.write_text(json.dumps(told, indent=1), encoding="utf-8")
    made.replace(beside(out))


def write_record(path: Path, record: Record, digest: str) -> None:
    """Write what :func:`record_beside` reads."""
    path.write_text(json.dumps({"run": record, "blake2b": digest}, indent=1), encoding="utf-8")


def beside(out: Path) -> Path:
    """Name the file that tells of what run a file of scores is."""
    return out.with_name(f"{out.name}.fcconv.json")


def read_json(path: Place) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""Folders in stores that many machines see, such as S3, by fsspec: objects that are put whole."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from fcconv.arguments import as_path
from fcconv.errors import BackendError, FcconvError

VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")
"""What stores call that by which a version of an object is told from others."""


@dataclass(frozen=True)
class Remote:
    """A folder or an object, by its address; it has what scores and images need of a path.

    Attributes
    ----------
    url : str
        Such as ``s3://bucket/scores.zarr``.
    """

    url: str

    def __str__(self) -> str:
        """Return the address."""
        return self.url

    @property
    def name(self) -> str:
        """The last part of the address."""
        return posixpath.basename(self.url.rstrip("/"))

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return posixpath.splitext(self.name)[1]

    def joinpath(self, *parts: str) -> Remote:
        """Name what lies in it."""
        return Remote("/".join([self.url.rstrip("/"), *parts]))

    def __truediv__(self, part: str) -> Remote:
        """Name what lies in it."""
        return self.joinpath(part)

    def with_name(self, name: str) -> Remote:
        """Name what lies beside it."""
        return Remote(self.url.rstrip("/")[: -len(self.name)] + name)

    def absolute(self) -> Remote:
        """Return itself: an address is the same everywhere."""
        return self

    def is_file(self) -> bool:
        """Say whether there is an object."""
        with self._opened() as (files, place):
            return bool(files.isfile(place))

    def is_symlink(self) -> bool:
        """Say no: an object is not a link."""
        return False

    def is_dir(self) -> bool:
        """Say whether objects lie in it."""
        with self._opened() as (files, place):
            return bool(files.isdir(place))

    def exists(self) -> bool:
        """Say whether there is an object, or any in it."""
        with self._opened() as (files, place):
            return bool(files.exists(place))

    def read_bytes(self) -> bytes:
        """Read an object; FileNotFoundError says that there is none."""
        with self._opened() as (files, place):
            content: bytes = files.cat_file(place)
        return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """Read an object that is text; FileNotFoundError says that there is none."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Put an object in the place of one that may be there."""
        with self._opened() as (files, place):
            files.pipe_file(place, content)

    def create(self, content: bytes) -> bool:
        """Put an object unless there is one, and say whether it was put: of several, one is."""
        with self._opened() as (files, place):
            try:
                files.pipe_file(place, content, mode="create")
            except FileExistsError:
                return False
        return True

    def unlink(self) -> None:
        """Remove an object, if there is one."""
        with self._opened() as (files, place), suppress(FileNotFoundError):
            files.rm_file(place)

    def remove(self) -> None:
        """Remove all objects in it."""
        with self._opened() as (files, place):
            files.rm(place, recursive=True)

    def names(self) -> frozenset[str]:
        """Return the addresses of all objects in it."""
        with self._opened() as (files, place):
            found = files.find(place)
        return frozenset(f"{self.url.rstrip('/')}{name.removeprefix(place)}" for name in found)

    def stamp(self) -> str:
        """Return a digest of what lies in it: names, sizes and versions; "" if none can say."""
        with self._opened() as (files, place):
            try:
                found = files.find(place, detail=True)
            except (NotImplementedError, FileNotFoundError):
                found = {}
        told = [
            (name, info.get("size"), *(str(info[key]) for key in VERSIONS if key in info))
            for name, info in sorted(found.items())
        ]
        return hashlib.blake2b(repr(told).encode()).hexdigest() if told else ""

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        """Give the store, and what it calls the place.

        Raises
        ------
        BackendError
            If it can't be reached, or a library is missing.
        """
        try:
            import fsspec
        except ModuleNotFoundError:
            raise BackendError("fsspec is not installed: pip install 'fcconv[remote]'") from None
        try:
            # other machines write there, so that lists are not kept
            yield fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (FcconvError, FileNotFoundError):
            raise
        except ImportError as error:
            raise BackendError(f"{self}: {error}: install it with pip") from error
        except Exception as error:  # each store has errors of its own
            raise BackendError(f"{self} can't be reached: {error}") from error


Place: TypeAlias = Path | Remote
"""Where scores go, or an image lies."""

SomePlace = TypeVar("SomePlace", Path, Remote, Place)


def is_remote(value: Any) -> bool:
    """Say whether a word is an address, and no path."""
    return isinstance(value, str) and "://" in value


def as_place(value: Any, name: str) -> Place:
    """Return a path, or what an address names.

    Raises
    ------
    OutputError
        If it is neither.
    """
    if isinstance(value, Remote):
        return value
    return Remote(value) if is_remote(value) else as_path(value, name)

"""The errors that fcconv raises; all of them derive from :class:`FcconvError`."""

from __future__ import annotations

from typing import Self


class FcconvError(Exception):
    """Base class of every error that fcconv raises on purpose.

    Attributes
    ----------
    node : str or None
        The node of the network that it is about, if it is about one.
    reason : str
        Its message without what it is said to be about.

    Examples
    --------
    >>> import numpy as np
    >>> import fcconv
    >>> try:
    ...     fcconv.dense(np.ones(3), np.ones((2, 4)))
    ... except fcconv.FcconvError as error:
    ...     print(type(error).__name__, isinstance(error, ValueError), error.reason)
    ShapeError True x has 3 features in its last axis, but weight reads 4
    """

    node: str | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.reason = message

    def about(self, what: str) -> Self:
        """Return the same error, its message beginning with what it is about."""
        made = type(self)(f"{what}: {self}")
        made.node, made.reason = self.node, self.reason
        for note in getattr(self, "__notes__", ()):
            made.add_note(note)
        return made


class ShapeError(FcconvError, ValueError):
    """The shape of an array, of an image or of a window does not fit."""


class ArgumentError(FcconvError, ValueError):
    """An argument that is not an array is of a wrong type, out of range, or not known."""


class DtypeError(FcconvError, TypeError):
    """An array has a data type that the operation does not compute with."""


class BackendError(FcconvError):
    """No backend fits: an unknown or missing library, no array, or arrays of two libraries."""


class ModelError(FcconvError, ValueError):
    """A file, or a graph in it, is not a valid network."""


class UnsupportedError(FcconvError, NotImplementedError):
    """A request is well formed, but there is no way here to carry it out correctly."""


class ImageError(FcconvError, ValueError):
    """An image, or a part of it, can't be read, or does not fit the network."""


class OutputError(FcconvError, OSError):
    """A network, or scores, can't be written where they are to go, or read from there."""

"""The errors that fcconv raises; all of them derive from :class:`FcconvError`."""


class FcconvError(Exception):
    """Base class of every error that fcconv raises on purpose.

    Attributes
    ----------
    node : str or None
        The node of the network that it is about, if its message begins with one.
    """

    node: str | None = None


class ShapeError(FcconvError, ValueError):
    """A shape, or an argument that shapes a result, does not fit."""


class DtypeError(FcconvError, TypeError):
    """An array has a data type that the operation does not compute with."""


class BackendError(FcconvError):
    """No backend fits: an unknown or missing library, no array, or arrays of two libraries."""


class ModelError(FcconvError, ValueError):
    """A file, or a graph in it, is no valid network."""


class UnsupportedError(FcconvError, NotImplementedError):
    """A request is well formed, but there is no way here to carry it out correctly."""


class ImageError(FcconvError, ValueError):
    """An image, or a part of it, can't be read, or does not fit the network."""


class OutputError(FcconvError, OSError):
    """A network, or scores, can't be written where they are to go."""

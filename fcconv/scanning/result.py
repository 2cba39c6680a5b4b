"""What a scan gives: scores, and which pixels each is about."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.arguments import as_integer, as_number
from fcconv.errors import ArgumentError
from fcconv.graph.engines.providers import in_words
from fcconv.images.coordinates import Coordinates
from fcconv.images.layouts import unit
from fcconv.images.overviews import MAX_RATIO
from fcconv.images.source import Pictured
from fcconv.scanning.cut_out import CutOut
from fcconv.scanning.differences import Audit
from fcconv.scanning.peaks import Criterion, Peak, Progress, find_peaks
from fcconv.scanning.windows import Windows

if TYPE_CHECKING:
    from fcconv.certificate.report import Certificate
    from fcconv.graph.rules.layer import Layer


MOST_PIXELS = {1: 2**18, 2: 1600, 3: 256}
"""Pixels along the longest axis of the image in a picture or page, by the number of axes."""

MOST_STRIP_PIXELS = 8192
"""Pixels along a strip, a picture of which has few across."""

MAX_NAMED_CLASSES = 5
"""Most classes that a scan's text names."""


@dataclass(frozen=True, repr=False)
class Scan(Windows):
    """The scores of every window of an image.

    Attributes
    ----------
    outputs : mapping of str to array, shape (K, *cells) or (N, K, *cells)
        The scores of each output of the network; where they were written to a file, an array that
        reads it by region.
    labels : tuple of str
        Names of the `K` channels of the first output.
    size : tuple of int
        Pixels of the image, for each spatial axis.
    window, stride : tuple of int
        Pixels of a window, and from one to the next.
    windows : {"shared", "exact", "crops"}
        Whether windows shared one pass, or one that scores each as its crop, or each was cut out.
    exact : bool
        Whether every score equals that of its window, cut out.
    reasons : tuple of str
        The nodes that forbid it, and why.
    engine : str
        What computed.
    preparation : str
        What was done to the pixels, in words.
    tiles : int
        Tiles that the image was cut into.
    computed : int
        Tiles that this run computed; the others were finished before.
    seconds : float
        Time that this run took.
    unscored : int
        Windows that have no score, of all images: NaN in every output, because they contain a
        pixel without a value.
    outside : int
        Windows that have no score, of all images, because a region or a mask left them out.
    part : (int, int) or None
        Which part of the tiles this run was of, and of how many: `tiles`, `computed`, `unscored`
        and `outside` count in these, and scores are those that are there by now. None for all.
    pad : {"edge", "reflect", "constant"} or None
        What was added at the ends of the image, whose `size` counts it, until windows covered it.
    padding : tuple of int
        Pixels that are new at the end of each axis; empty if none were asked for.
    providers : tuple of str
        What onnxruntime computed by, each what those before it could not; empty for the CPU, unless
        others were asked for.
    device : str or None
        Where the backend was told to compute.
    coordinates : Coordinates or None
        Where in the world the pixels of the picture lie that peaks are about, if its file says so.
    scale : float
        Size of the scanned image in parts of the picture that peaks are about.
    notes : tuple of str
        What was decided about the file of the image, or found in it: which of its pictures was
        taken, how it was turned, which way the axes of a volume run; and why windows were cut out
        that were to share a pass exactly.
    images : tuple
        What was scanned, a picture each, of which reports show an overview.
    layers : tuple of Layer
        The dense layers of the network that became convolutions.
    audit : Audit or None
        How far scores are from those of windows that were also cut out, if that was asked for,
        and any window has a score.
    cut_out : CutOut or None
        Scores some windows again, each cut out.
    activation : {"softmax", "sigmoid"} or None
        What made probabilities of the scores of the first output; None if nothing did.

    Examples
    --------
    >>> import numpy as np
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> found = fcconv.scan(load_faces(), np.zeros((1, 28, 31), np.float32), engine="numpy")
    >>> found.scores.shape, found.cells, found.box(1, 2), found.remainder
    ((1, 2, 3), (2, 3), (slice(3, 28, None), slice(6, 31, None)), (0, 0))

    What is looked at, or goes on to other programs:

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     peaks = found.peaks("score", threshold=-99)
    ...     found.write_heatmap(f"{folder}/heat.png", peaks=peaks)
    ...     found.write_page(f"{folder}/page.html", peaks=peaks)
    ...     found.write_peaks(f"{folder}/peaks.geojson", peaks)
    ...     found.write_map(f"{folder}/scores.csv")
    ...     sorted(os.listdir(folder))
    ['heat.png', 'page.html', 'peaks.geojson', 'scores.csv']
    """

    outputs: Mapping[str, Any]
    labels: tuple[str, ...]
    size: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    windows: str
    exact: bool
    reasons: tuple[str, ...]
    engine: str
    preparation: str
    tiles: int
    computed: int
    seconds: float
    unscored: int = 0
    scale: float = 1.0
    notes: tuple[str, ...] = ()
    images: tuple[Pictured, ...] = ()
    layers: tuple[Layer, ...] = ()
    audit: Audit | None = None
    cut_out: CutOut | None = None
    activation: str | None = None
    outside: int = 0
    pad: str | None = None
    padding: tuple[int, ...] = ()
    providers: tuple[str, ...] = ()
    device: str | None = None
    part: tuple[int, int] | None = None
    coordinates: Coordinates | None = None

    def __repr__(self) -> str:
        """Say what was scanned and how, without the scores."""
        few = ", ".join(self.labels[:MAX_NAMED_CLASSES]) + (
            ", ..." if len(self.labels) > MAX_NAMED_CLASSES else ""
        )
        arrays = ", ".join(f"{name} {y.shape} {y.dtype}" for name, y in self.outputs.items())
        return (
            f"<{self._what} of {self.size} {unit(len(self.size))}: {self.cells} windows of "
            f"{self.window}, {self.stride} apart; scores: {arrays}; {len(self.labels)} "
            f"{'class' if len(self.labels) == 1 else 'classes'}: {few}; windows {self.windows}, "
            f"{'exact' if self.exact else 'not exact'}; {self.computed_by}, {self.seconds:.3g} s>"
        )

    @property
    def _what(self) -> str:
        return "Scan" if self.part is None else f"Part {self.part[0]} of {self.part[1]} of the scan"

    @property
    def scores(self) -> Any:
        """The scores of the first output."""
        return next(iter(self.outputs.values()))

    @property
    def map_coordinates(self) -> Coordinates | None:
        """Where in the world the cells lie: each stands for a stride around its window's centre."""
        return None if self.coordinates is None else self.of_cells(self.coordinates)

    @property
    def unpadded(self) -> tuple[int, ...]:
        """Cells along each axis, from the first on, whose windows hold pixels of the image only."""
        added = self.padding or (0,) * len(self.size)
        axes = zip(self.size, added, self.window, self.stride, strict=True)
        return tuple(max((n - new - k) // s + 1, 0) for n, new, k, s in axes)

    @property
    def computed_by(self) -> str:
        """The engine, and what it computed on, if that was chosen."""
        return in_words(self.engine, self.providers or (self.device and (self.device,)) or ())

    @property
    def measure(self) -> str:
        """What `scores` are: "score", or "probability" after an activation."""
        return "score" if self.activation is None else "probability"

    def peaks(
        self,
        label: int | str | Sequence[int | str],
        threshold: float,
        *,
        overlap: float = 0.3,
        image: int = 0,
        most: int | None = None,
        exact: bool = False,
        progress: Progress | None = None,
    ) -> list[Peak]:
        """Find the windows that score highest around, strongest first.

        A peak scores at least `threshold` and no less than the cells beside it, more than those
        before it, so that a flat part has one; and no stronger peak of its class overlaps it by
        more than `overlap` (greedy non-maximum suppression). Scores in a file are read once for all
        classes.

        Parameters
        ----------
        label : int or str, or a sequence of these
            Channels of the first output, or their names; ``scan.labels`` for all.
        threshold : float
            Lowest score of a peak.
        overlap : float
            Area that two peaks may share, in parts of the area that both cover; 0 to 1.
        image : int
            Which image of a batch.
        most : int, optional
            Peaks to return, the strongest of all; by default all. A million take some 500 MB.
        exact : bool
            Whether the windows of these peaks are cut out and scored again, and have their crops'
            scores, by which they are sorted; they are found by those of the scan. Nothing is done
            where every score is its crop's already.
        progress : callable, optional
            Is told which part is done, from 0 to 1.

        Returns
        -------
        list of Peak
            Label, score, cell and box in pixels of the picture.

        Raises
        ------
        ArgumentError
            If there is no such label or image, `threshold` is not a number, `overlap` is not one
            from 0 to 1, `most` is not an integer from 0 on, `progress` is not a function, or
            `exact` needs the network of a scan that was opened.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> found = fcconv.scan(load_faces(), np.zeros((1, 28, 31), np.float32), engine="numpy")
        >>> [(peak.cell, peak.box) for peak in found.peaks("score", -99)]
        [((0, 0), ((0.0, 25.0), (0.0, 25.0)))]
        """
        many = isinstance(label, Sequence) and not isinstance(label, str | bytes)
        labels: Any = label if many else (label,)
        channels = [self._channel(one) for one in labels]
        lead = self.lead(image)
        lowest, shared = as_number(threshold), as_number(overlap)
        if math.isnan(lowest):
            raise ArgumentError(f"threshold needs a number, got {threshold!r}")
        if not 0 <= shared <= 1:
            raise ArgumentError(f"overlap is a part of an area, 0 to 1, got {overlap!r}")
        limit = None if most is None else as_integer(most)
        if most is not None and (limit is None or limit < 0):
            raise ArgumentError(f"most needs an integer from 0 on, got {most!r}")
        if progress is not None and not callable(progress):
            raise ArgumentError(f"progress needs a function, got {progress!r}")
        if not channels:
            return []
        if exact and not self.exact and self.cut_out is None:
            raise ArgumentError(
                "exact=True cuts windows out, which takes the network, and this scan was opened "
                "without it: scan again with existing='resume', which computes what is missing only"
            )
        criterion = Criterion(self.window, self.stride, lowest, shared)
        cells, scores = find_peaks(
            self.scores, lead, channels, criterion, progress or (lambda part: None)
        )
        cells, scores = cells[:limit], scores[:limit]
        if exact and not self.exact and self.cut_out is not None and len(cells):
            again = self.cut_out(np.insert(cells[:, 1:], 0, image, axis=1))
            scores = again[np.arange(len(cells)), cells[:, 0]]
            order = np.argsort(-scores, kind="stable")
            cells, scores = cells[order], scores[order]
        boxes = criterion.boxes(cells[:, 1:]) / self.scale
        return [
            Peak(self.labels[channel], score, tuple(map(tuple, box)), tuple(cell))
            for (channel, *cell), score, box in zip(
                cells.tolist(), scores.astype(float).tolist(), boxes.tolist(), strict=True
            )
        ]

    def overview(self, most: int | None = None, *, image: int = 0) -> np.ndarray:
        """Return the whole image in few pixels, reading it part by part.

        Parameters
        ----------
        most : int, optional
            Pixels along the longest axis, at most; by default as many as a picture shows.
        image : int
            Which image of a batch.

        Returns
        -------
        array, shape (C, *small)
            Every n-th pixel of what peaks are about: of a scan at another scale, of the image
            before it was resized. Fewer are left out across a strip than along it. Of a recording
            the lowest and the highest sample of each part, in turn.

        Raises
        ------
        ArgumentError
            If there is no such image, or `most` is not an integer from 1 on.
        ImageError
            If it can no longer be read.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> found = fcconv.scan(load_faces(), np.zeros((1, 60, 90), np.float32), engine="numpy")
        >>> found.overview(30).shape  # every third pixel
        (1, 20, 30)
        """
        number = as_integer(image)
        pixels = as_integer(self._most_pixels if most is None else most)
        if number is None or not 0 <= number < len(self.images):
            raise ArgumentError(f"there is no image {image!r}: the scan knows {len(self.images)}")
        if pixels is None or pixels < 1:
            raise ArgumentError(f"most needs an integer from 1 on, got {most!r}")
        return self.images[number].overview(pixels)

    def of_image(self, number: int) -> Scan:
        """Return one image of a batch as a scan of its own, of which no score is copied.

        Parameters
        ----------
        number : int
            Which image, from 0 on.

        Returns
        -------
        Scan
            Its scores have no axis for the batch.

        Raises
        ------
        ArgumentError
            If there is no such image.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> pixels = np.zeros((4, 1, 28, 31), np.float32)
        >>> found = fcconv.scan(load_faces(), pixels, engine="numpy")
        >>> found.scores.shape, found.of_image(3).scores.shape
        ((4, 1, 2, 3), (1, 2, 3))
        """
        from fcconv.scanning.batches import image_of

        lead = self.lead(number)
        return image_of(self, *lead) if lead else self

    def write_heatmap(
        self,
        path: str | os.PathLike[str],
        *,
        labels: Sequence[str] | None = None,
        peaks: Sequence[Peak] = (),
    ) -> None:
        """Write the scores over the image, a PNG.

        Parameters
        ----------
        path : path
            Where it goes.
        labels : sequence of str, optional
            Names of the classes to draw; all by default.
        peaks : sequence of Peak, optional
            Windows to outline.

        Raises
        ------
        ArgumentError, ShapeError, OutputError
            See :func:`fcconv.report.write_heatmap`, which has more on what is drawn.
        """
        from fcconv.report.heatmap import write_heatmap

        write_heatmap(path, self, self.overview(), labels, peaks)

    def write_page(
        self,
        path: str | os.PathLike[str],
        *,
        certificate: Certificate | None = None,
        peaks: Sequence[Peak] = (),
    ) -> None:
        """Write a page to look into the scores, one file of HTML.

        Parameters
        ----------
        path : path
            Where it goes.
        certificate : Certificate, optional
            What is proved of the network.
        peaks : sequence of Peak, optional
            Windows to outline and to list.

        Raises
        ------
        ArgumentError, ShapeError, OutputError
            See :func:`fcconv.report.write_page`, which has more on what is shown.
        """
        from fcconv.report.page import write_page

        write_page(path, self, self.overview(), certificate, self.layers, peaks)

    def write_peaks(
        self, path: str | os.PathLike[str], peaks: Sequence[Peak], *, crs: str = "lonlat"
    ) -> None:
        """Write peaks, GeoJSON, CSV and others, where in the world they lie.

        Parameters
        ----------
        path : path
            Its suffix says in which format.
        peaks : sequence of Peak
            In the order to write them.
        crs : {"lonlat", "file"}
            What GeoJSON on the ground is in: longitude and latitude, or the system of the image.

        Raises
        ------
        OutputError, ArgumentError, BackendError
            See :func:`fcconv.report.write_peaks`, which has the formats.
        """
        from fcconv.report.peak_files import write_peaks

        write_peaks(path, peaks, len(self.size), self.coordinates, crs=crs, scan=self)

    def write_map(self, path: str | os.PathLike[str]) -> None:
        """Write the scores of all windows for other programs, where in the world they lie.

        Parameters
        ----------
        path : path
            Its suffix says in which format.

        Raises
        ------
        OutputError, BackendError
            See :func:`fcconv.report.write_map`, which has the formats.
        """
        from fcconv.report.maps import write_map

        write_map(path, self)

    def of_cells(self, picture: Coordinates) -> Coordinates:
        """Return the coordinates of cells, each a stride around its window's centre.

        Parameters
        ----------
        picture : Coordinates
            Those of pixels of the picture that peaks are about.

        Returns
        -------
        Coordinates
            In the same unit; :attr:`map_coordinates` are these of what the image's file says.

        Examples
        --------
        >>> import numpy as np
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> from fcconv.images.coordinates import spaced
        >>> found = fcconv.scan(load_faces(), np.zeros((1, 28, 31), np.float32), engine="numpy")
        >>> pixels = spaced((0.5, 0.5), "µm", ("y", "x"))
        >>> found.of_cells(pixels).at((0.5, 0.5))  # the first window's centre, in pixels 12.5
        (6.25, 6.25)
        """
        first = [(k - s) / 2 / self.scale for k, s in zip(self.window, self.stride, strict=True)]
        return picture.of_steps([s / self.scale for s in self.stride], first)

    def lead(self, image: int = 0) -> tuple[int, ...]:
        """Return what `scores` are indexed by before their channel: the image of a batch, if any.

        Parameters
        ----------
        image : int
            Which image of a batch.

        Returns
        -------
        tuple of int
            ``scores[*scan.lead(image)]`` has the shape (K, *cells). Empty where there is no batch.

        Raises
        ------
        ArgumentError
            If there is no such image.
        """
        batch = self.scores.shape[: -len(self.size) - 1]
        number = as_integer(image)
        if number is None or not 0 <= number < math.prod(batch):
            raise ArgumentError(f"there is no image {image!r}: it has {math.prod(batch)}")
        return (number,) if batch else ()

    @property
    def _most_pixels(self) -> int:
        """Pixels along the longest axis of the image in a picture or page."""
        most = MOST_PIXELS[len(self.size)]
        is_strip = len(self.size) == 2 and max(self.size) > MAX_RATIO * min(self.size)
        return MOST_STRIP_PIXELS if is_strip else most

    def _channel(self, label: int | str) -> int:
        names = self.labels
        if isinstance(label, str):
            number = names.index(label) if label in names else None
        else:
            number = as_integer(label)
        if number is None or not 0 <= number < len(names):
            raise ArgumentError(
                f"there is no label {label!r}: give its number or its name, of {', '.join(names)}"
            )
        return number

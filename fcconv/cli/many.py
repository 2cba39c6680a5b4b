"""``fcconv scan`` of several images: one job each, with one network, and a table of all."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from fcconv.cli.network import print_json
from fcconv.cli.options import EXPECTED, said
from fcconv.cli.output import results
from fcconv.cli.scan_results import Peaks, facts, highest
from fcconv.cli.scanning import Options, network_of, outs_of, scans_of
from fcconv.cli.wanted import each_image, find_peaks
from fcconv.remote import Place, Remote, is_remote
from fcconv.scanning.network import Network
from fcconv.scanning.plan import share
from fcconv.scanning.records import CHUNKED
from fcconv.scanning.result import Scan
from fcconv.scanning.score_files import suffixes
from fcconv.scanning.store import recorded

FAILED = 1


@dataclass(frozen=True)
class Done:
    """What became of an image: a scan for each size, and their peaks; or why there are none."""

    image: Place
    scans: Sequence[Scan] = ()
    peaks: Sequence[Peaks] = ()
    error: str = ""


def images_of(words: Sequence[str]) -> tuple[list[Place], bool]:
    """Find the images that were named, and say whether they may be several.

    Raises
    ------
    click.BadParameter
        If one does not exist, or a pattern fits none.
    """
    images: list[Place] = []
    for word in words:
        if is_remote(word):
            images.append(Remote(word))
            continue
        found = [Path(word)]
        if not found[0].exists():  # pathlib's pattern would take hidden files, too
            found = sorted(map(Path, glob.glob(word)))  # noqa: PTH207
        if not found:
            missing = "fits no file" if glob.has_magic(word) else "does not exist"
            raise click.BadParameter(f"{word} {missing}", param_hint="IMAGE")
        images += found
    is_pattern = any(glob.has_magic(word) and not Path(word).exists() for word in words)
    return images, len(words) > 1 or is_pattern


def scan_many(options: Options, images: Sequence[Place]) -> int:
    """Scan images one after the other, or a part of them; 1 means that some failed."""
    folder = _checked(options, images)
    if options.part is not None:
        images, options = share(images, options.part), replace(options, part=None)
    network = network_of(options)
    if isinstance(folder, Path):
        folder.mkdir(exist_ok=True)
    jobs = [replace(options, image=image, out=_out(folder, image)) for image in images]
    for job in jobs:
        outs_of(job)
    done = list(_done(jobs, network))
    failed = [one for one in done if one.error]
    if options.wanted.as_json:
        made = [
            {"image": str(one.image), **facts(one.scans, one.peaks)}
            for one in done
            if not one.error
        ]
        print_json({"images": made, "failed": {str(one.image): one.error for one in failed}})
    else:
        _show(done, failed, folder)
    return FAILED if failed else 0


def _checked(options: Options, images: Sequence[Place]) -> Place:
    """Return the folder of all scores, after checking that each image has a place in it."""
    wanted, out = options.wanted, options.out
    for option, path in wanted.files.items():
        if path is not None:
            raise click.UsageError(
                f"{option} is of one image, here are {len(images)}: leave it out, and then make it "
                f"of each by fcconv show"
            )
    if out is None:
        raise click.UsageError(f"{len(images)} images need --out, a folder for their scores")
    if out.suffix in suffixes() or (out.exists() and not out.is_dir()):
        raise click.BadParameter(
            f"{out} takes the scores of one image, here are {len(images)}: name a folder",
            param_hint="--out",
        )
    stems: dict[str, Place] = {}
    for image in images:
        other = stems.setdefault(image.stem, image)
        if other is not image:
            raise click.BadParameter(
                f"scores of {other} and {image} would both go to {_out(out, image)}: scan them "
                f"into two folders",
                param_hint="IMAGE",
            )
    return out


def _out(folder: Place, image: Place) -> Place:
    return folder / f"{image.stem}{CHUNKED}"


def _done(jobs: Sequence[Options], network: Network) -> Iterator[Done]:
    """Scan each image; the engine that is chosen for the first stays for those that follow."""
    chosen: dict[str, Any] = {}
    for job in jobs:
        if recorded(job.out) is None:  # there is nothing to resume
            job = replace(job, existing="refuse" if job.existing == "resume" else job.existing)
            job = replace(job, **chosen)
        try:
            scans = scans_of(job, network)
            if job.engine == "auto":
                found = scans[0]
                chosen = {
                    "engine": found.engine,
                    "providers": found.providers or None,
                    "device": found.device,
                }
            looked = each_image(scans) if job.wanted.asks_for_peaks else ()
            peaks = [find_peaks(job.wanted, image) for image in looked]
        except EXPECTED as error:
            yield Done(job.image, error=said(error))
        else:
            yield Done(job.image, scans, peaks)


def _show(done: Sequence[Done], failed: Sequence[Done], folder: Place) -> None:
    """Print a line for each image, and why those failed that did."""
    console = results()
    table = Table(title="Scans", title_justify="left")
    for heading in ("image", "windows", "without a score", "highest", "peaks", "tiles", "time"):
        table.add_column(heading, justify="left" if heading == "image" else "right")
    for one in done:
        table.add_row(str(one.image), *(["failed"] if one.error else _row(one)))
    console.print(table)
    for one in failed:
        console.print(f"Failed: {one.image}: {one.error}", soft_wrap=True)
    console.print(
        f"Written: {len(done) - len(failed)} of {len(done)} into {folder}", soft_wrap=True
    )


def _row(one: Done) -> list[str]:
    every = [scan for image in each_image(one.scans) for scan in image]
    cells = sum(math.prod(scan.cells) for scan in every)
    count = sum(len(found.listed) for found in one.peaks)
    without = sum(scan.unscored + scan.outside for scan in one.scans)
    best = max(map(highest, every))
    computed = sum(scan.computed for scan in one.scans)
    return [
        f"{cells:,}",
        f"{without:,}" if without else "none",
        f"{best:.3g}" if math.isfinite(best) else "none",
        "" if not one.peaks else f"{count:,}" + " or more" * any(p.cut for p in one.peaks),
        f"{sum(scan.tiles for scan in one.scans):,}, {computed:,} computed",
        f"{sum(scan.seconds for scan in one.scans):.2f} s",
    ]

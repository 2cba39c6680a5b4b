"""``fcconv scan``: its options, and what it needs of the libraries that scanning brings."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from fcconv.arguments import either
from fcconv.backend import engines
from fcconv.cli.options import (
    NETWORK,
    extra,
    integers_of,
    seed_option,
    stride_of,
    stride_option,
    wanted_options,
    window_option,
)
from fcconv.cli.parameters import Names, Numbers, PartOf, PlaceType, Plane, Region
from fcconv.images.padded import PADS
from fcconv.images.reading import Reading, as_reading
from fcconv.images.volumes import ORIENTATIONS
from fcconv.scanning.activation import ACTIVATIONS
from fcconv.scanning.score_files import suffixes
from fcconv.scanning.windows import WINDOWS


@click.command()
@click.argument("model", type=NETWORK)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--out",
    type=PlaceType(),
    help=f"Where scores go: a {either(suffixes())}; of several images "
    f"a folder, in which each has a .zarr.",
)
@stride_option
@window_option
@click.option(
    "--engine",
    type=click.Choice(["auto", *engines()]),
    default="auto",
    show_default=True,
    help="What computes; auto takes the fastest that is there.",
)
@click.option(
    "--providers",
    type=Names(),
    metavar="P,P",
    help="What onnxruntime computes by, the first that can: cuda, tensorrt, coreml, directml, cpu, "
    "or a name of its own. The CPU takes what is left.",
)
@click.option(
    "--device",
    help="Where jax or torch computes, as each names it: cpu, cuda:1, for jax gpu, for torch mps.",
)
@click.option(
    "--memory", default="512MB", show_default=True, help="Bytes for pixels, values and scores."
)
@click.option(
    "--windows",
    type=click.Choice(WINDOWS),
    help="For a network that pads: one pass that windows share, or one that scores each as when it "
    "is cut out, or each window cut out. The latter two also for one that can't slide; crops with "
    "a --stride.",
)
@click.option(
    "--audit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Cuts out N windows as well, at random, at peaks and at close decisions, and tells how "
    "far the scores of a shared pass are from theirs.",
)
@click.option("--gray", is_flag=True, help="Make a colour image grey.")
@click.option("--rgb", is_flag=True, help="Make a grey image three equal channels.")
@click.option(
    "--scale", type=Numbers(), help="Multiplies pixels, 1/255 say; 8 and 16 bits become 0 to 1."
)
@click.option("--mean", type=Numbers(), default="0", show_default=True, help="Is subtracted then.")
@click.option("--std", type=Numbers(), default="1", show_default=True, help="Divides then.")
@click.option(
    "--nodata",
    type=click.FLOAT,
    help="Pixels of this number have no value, and windows with one no score; what a TIFF says "
    "itself, if left out.",
)
@click.option("--layout", help="The axes of the image, HWC say, where its format does not tell.")
@click.option("--series", type=int, help="Which picture of a file that holds several, from 0 on.")
@click.option("--page", type=int, help="Which page of a stack, time, image of a batch, from 0 on.")
@click.option("--level", type=int, help="Which level of a pyramid is read, from 0 on.")
@click.option(
    "--mpp",
    type=click.FLOAT,
    help="Microns a pixel at which the image is read, 0.5 say, by those that its file tells.",
)
@click.option(
    "--magnification",
    type=click.FLOAT,
    help="Reads the image as an objective of this power shows it, by the power that its file "
    "tells, or at 10 / MAGNIFICATION microns a pixel.",
)
@click.option("--source-mpp", type=click.FLOAT, help="Microns a pixel of the image itself.")
@click.option(
    "--channels",
    type=Names(),
    metavar="C,C",
    help="Which channels or bands are read, in this order, by number from 1 on or by name: 4,3,2.",
)
@click.option("--z", type=Plane(), metavar="Z|all", help="Which plane of a stack, from 0 on.")
@click.option("--time", type=Plane(), metavar="T|all", help="Which point in time, from 0 on.")
@click.option(
    "--orientation",
    type=click.Choice(ORIENTATIONS),
    help="Which way D, H, W of a volume run: to right, anterior, superior, or as in its file; by "
    "default ras.",
)
@click.option(
    "--rate",
    type=click.IntRange(min=1),
    help="Samples a second that the network was trained at, to which sound is resampled.",
)
@click.option(
    "--mono", is_flag=True, flag_value=True, default=None, help="The mean of a sound's channels."
)
@click.option("--labels", type=Names(), help="Names of the network's classes: cat,dog.")
@click.option(
    "--activation",
    type=click.Choice([*ACTIVATIONS, "none"]),
    default="none",
    show_default=True,
    help="Makes probabilities of the scores, which are stored and shown in their place.",
)
@click.option(
    "--scales",
    type=Numbers(),
    default="1",
    help="Scans the image in several sizes: 1,0.5,0.25. Scores of each go to a file of its own, "
    "NAME-0.5.zarr; pictures show the one with the highest score.",
)
@click.option(
    "--region",
    type=Region(),
    help="Scores windows inside a box of pixels only, from which to which along each axis, rows "
    "before columns: 1000:3000,2000:5000.",
)
@click.option(
    "--mask",
    default="none",
    show_default=True,
    metavar="FILE|tissue|none",
    help="Scores windows only whose centre a picture of any resolution marks, or lies in the "
    "polygons of a .geojson; or tissue, by Otsu's threshold on its saturation.",
)
@click.option(
    "--pad",
    type=click.Choice(PADS),
    help="Adds pixels at the ends of the image, the last ones again, mirrored, or 0, until windows "
    "cover it.",
)
@click.option(
    "--part",
    type=PartOf(),
    metavar="K/N",
    help="Computes part K of N, 1/16 to 16/16, into a .zarr that any number of processes and "
    "machines write to; of several images, these are shared out. When all parts are done, the "
    "same command with --resume in place of --part finishes the scan.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="Computes in parts on the workers of a Dask cluster, by the address of its scheduler, or "
    "in a process for each core of this machine.",
)
@wanted_options
@click.option("--resume", is_flag=True, help="Goes on with a run that was cut off.")
@click.option("--overwrite", is_flag=True, help="Replaces the scores of another run.")
@seed_option
def scan(
    images: tuple[str, ...],
    stride: str | None,
    window: str | None,
    scale: tuple[float, ...] | None,
    resume: bool,
    overwrite: bool,
    activation: str,
    mask: str,
    part: tuple[int, int] | None,
    dask: str | None,
    **options: Any,
) -> int:
    """Score every window of IMAGE with the network MODEL, in bounded memory.

    Several images, or a pattern such as '*.tif', are scanned one after the other, each into a file
    of its own; what fails is told in the end. --resume goes on with those that are not finished.
    """
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    if scale is not None and len(scale) != 1:
        raise click.BadParameter("needs one number", param_hint="--scale")
    if resume and options["out"] is None:
        raise click.UsageError("--resume needs --out, the scores of the run to go on with")
    if part is not None and dask is not None:
        raise click.UsageError("--part and --dask exclude each other: a cluster makes the parts")
    with extra("scan"):
        from fcconv.cli.cluster import connected
        from fcconv.cli.many import images_of, scan_many
        from fcconv.cli.scanning import Options, scan_and_show
        from fcconv.cli.wanted import Wanted
    wanted = Wanted(**{field.name: options.pop(field.name) for field in fields(Wanted)})
    reading = as_reading({name: options.pop(name) for name in Reading.__annotations__})
    found, are_several = images_of(images)
    with connected(dask) as client:
        asked = Options(
            image=found[0],
            wanted=wanted,
            reading=reading,
            stride=stride_of(stride),
            window=integers_of("--window", window),
            scale=None if scale is None else scale[0],
            activation=None if activation == "none" else activation,
            mask=None if mask == "none" else mask,
            existing="resume" if resume else "overwrite" if overwrite else "refuse",
            part=part,
            client=client,
            **options,
        )
        return scan_many(asked, found) if are_several else scan_and_show(asked)

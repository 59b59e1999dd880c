"""The commands that show results: pictures, maps for other programs, viewers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.options import is_quiet


@click.command()
@click.argument("run")
@click.argument("tomograms", nargs=-1, metavar="[TOMOGRAM]...")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="File (.png, .jpg, .webp, .svg, .pdf; {name} stands for the tomogram) or folder. Default: snapshot.png in the "
    "folder of each tomogram.",
)
@click.option(
    "--image",
    default="tomogram",
    show_default=True,
    metavar="NAME",
    help="What is drawn: tomogram, equalized, rescaled, probability, or probability:CLASS.",
)
@click.option("--classes", metavar="A,B,..", help="Classes to draw. Default: all.")
@click.option("--particles", metavar="TABLE", help="Draw these particles instead of those of the run.")
@click.option("--truth", metavar="TABLE", help="Draw these as crosses.")
@click.option("--slices", type=int, default=1, show_default=True, help="How many x-y slices.")
@click.option(
    "--z", metavar="Z,..", help="Planes of the x-y slices, in voxels, instead of the program's choice."
)
@click.option("--y", metavar="Y,..", help="Planes of the x-z slices.")
@click.option(
    "--thickness",
    type=float,
    default=10.0,
    show_default=True,
    metavar="NM",
    help="A slice is the mean of so much, in nm.",
)
@click.option(
    "--contrast",
    default="1,99",
    show_default=True,
    metavar="LOW,HIGH",
    help="Percentiles of the voxels drawn that become black and white.",
)
@click.option(
    "--gaussian",
    type=float,
    default=0.0,
    show_default=True,
    metavar="NM",
    help="Smooth within the slice; sigma in nm.",
)
@click.option(
    "--diameter", type=float, metavar="NM", help="Of all particles, in nm. Default: what their tables say."
)
@click.option("--width", type=int, default=720, show_default=True, help="Of an x-y slice, in pixels.")
@click.option(
    "--gallery", is_flag=True, help="Draw boxes around the picks instead, the best-scored first, in pages."
)
@click.option(
    "--most",
    type=int,
    default=100,
    show_default=True,
    help="Gallery: picks of each class; of more as many, in even steps from the best to the worst.",
)
@click.option(
    "--box",
    type=float,
    metavar="NM",
    help="Gallery: edge of the boxes. Default: twice the particles' diameter.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is no picture of this program.")
@click.pass_context
def snapshot(context: click.Context, /, **options: Any) -> None:
    """Draw slices with picks.

    RUN is a run folder, the folder of a tomogram in one, an image, or any tomogram. Slices in x-y and x-z, a circle
    where a slice cuts a particle, a scale bar; one picture for each tomogram.
    """
    from deepict_dask.cli.draw import draw_snapshots

    draw_snapshots(is_quiet(context), **options)


@click.command("export-map")
@click.argument("image", metavar="IMAGE")
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="File to write (.mrc, .map, .rec)."
)
@click.option("--class", "class_name", metavar="CLASS", help="Which class of a probability map of several.")
@click.option(
    "--dtype",
    type=click.Choice(["int8", "int16", "uint16", "float16", "float32"]),
    help="Default: that of a tomogram, float32 for probabilities, the smallest that holds them for labels. In integers "
    "probabilities are percent, and a tomogram that does not fit is stretched around its mean.",
)
@click.option(
    "--gaussian", type=float, default=0.0, show_default=True, metavar="NM", help="Smooth; sigma in nm."
)
@click.option("--overwrite", is_flag=True, help="Replace the file.")
@click.pass_context
def export_map(context: click.Context, /, **options: Any) -> None:
    """Write an image as MRC, for ChimeraX and IMOD.

    IMAGE is a probability map, a label image or a tomogram of a run (RUN/NAME/probability.zarr, also equalized.zarr), or
    any tomogram. Voxel size and origin are those of the tomogram's file.
    """
    from deepict_dask.cli.draw import write_map

    write_map(is_quiet(context), **options)


@click.command()
@click.argument("run")
@click.argument("tomogram", required=False)
@click.option("--classes", metavar="A,B,..", help="Classes to show. Default: all.")
@click.option(
    "--viewer",
    type=click.Choice(["napari", "neuroglancer"]),
    help="Default: napari where it is installed and there is a screen, else Neuroglancer.",
)
@click.option(
    "--port",
    type=int,
    default=0,
    help="Neuroglancer: port to listen on, on loopback. Default: any that is free.",
)
@click.pass_context
def view(context: click.Context, /, **options: Any) -> None:
    """Look at a tomogram with what was found.

    RUN is a run folder, or the folder of a tomogram in one. Tomogram, probabilities, labels and particles, in a window of
    napari, or in Neuroglancer, whose address is printed, with the line for ssh that makes it work from another
    machine.
    """
    from deepict_dask.cli.look import view_tomogram

    view_tomogram(is_quiet(context), **options)


COMMANDS = (snapshot, export_map, view)

"""The commands that give particles to other programs, take them from there, and clean lists of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.options import OVERWRITE, is_quiet

# As `deepict_dask.io.exchange.FORMATS` has them; repeated here so that --help loads none of it (a test compares them).
FORMATS = (
    "relion5", "relion4", "relion31", "warp", "dynamo", "tom", "tom_csv", "stopgap", "eman2", "copick", "portal", "imod",
    "imod_points", "napari", "parquet", "csv",
)  # fmt: skip
_LISTED = "|".join(FORMATS)


def _geometry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say voxels, pixels and origins."""
    options = (
        click.option(
            "--voxel-size", metavar="N or Z,Y,X", help="Of the tomograms, in A; overrides what tables say."
        ),
        click.option(
            "--shape",
            metavar="Z,Y,X",
            help="Of the tomograms, in voxels; where positions are counted from the center.",
        ),
        click.option(
            "--pixel-size", type=float, metavar="X", help="Of the tilt series' images (bin 1), in A."
        ),
        click.option(
            "--binning",
            type=float,
            metavar="X",
            help="Pixels per voxel of the tomogram, instead of --pixel-size.",
        ),
        click.option(
            "--tomograms",
            metavar="STAR",
            help="RELION 5's tomograms.star: bin-1 sizes and pixel sizes by tilt series.",
        ),
        click.option(
            "--first-voxel",
            type=click.Choice(["0", "1"]),
            help="Coordinate of the center of the first voxel, where the program does not take it as the format does.",
        ),
        click.option(
            "--relion-center",
            "center",
            type=click.Choice(["half", "half-minus-one"]),
            default="half",
            show_default=True,
            help="Index of the center that RELION 5 counts from: n / 2 as in RELION itself, or one pixel before as in its pickers.",
        ),
        click.option(
            "--offset", metavar="Z,Y,X", help="Added to positions on export, taken off on import; in A."
        ),
        click.option(
            "--rename",
            metavar="PATTERN",
            help="Tilt series' names of tomograms' names: 'rec_{name}_*Apx', 'OLD{name}=NEW{name}', or a CSV of old and new names.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@click.argument("tables", nargs=-1, required=True, metavar="RUN|TABLE...")
@click.option("--format", "-f", required=True, metavar=_LISTED, help="Of which program.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option(
    "--class", "class_name", multiple=True, metavar="CLASS", help="Only this class; may be repeated."
)
@_geometry
@click.option(
    "--diameter",
    type=float,
    metavar="X",
    help="Of particles, in A: boxes of EMAN2, spheres of copick and IMOD.",
)
@click.option(
    "--user", default="deepict-dask", show_default=True, help="copick's user, or author of annotations."
)
@click.option("--session", default="1", show_default=True, help="copick's session.")
@click.option(
    "--tomogram-path", default="{name}.mrc", show_default=True, help="Where Dynamo finds a tomogram."
)
@click.option(
    "--angles-as-priors", is_flag=True, help="RELION: tilt and psi are priors too (filaments, membranes)."
)
@OVERWRITE
@click.pass_context
def export(context: click.Context, /, **options: Any) -> None:
    """Write particles as other programs read them.

    RUN is a run folder with all its tomograms; TABLE a particle table or a folder of them.

    \b
    relion5      particles.star, tomograms.star, optimisation_set.star; A from the center
    relion4      particles.star; pixels of the tilt series
    relion31     particles.star with optics; voxels
    warp         particles.star of NAME.tomostar for Warp, WarpTools, M; voxels
    dynamo       particles.tbl, particles.doc; voxels from 1
    tom          particles.em of TOM and AV3; voxels from 1 (tom_csv: as CSV)
    stopgap      particles.star; voxels from 1
    eman2        info/NAME_info.json (experimental); pixels of the tilt series from the center
    copick       a project; A
    portal       CryoET Data Portal: ndjson and metadata; voxels
    imod         NAME.mod (imod_points: for point2model); voxels
    napari       NAME/CLASS.csv; voxels
    parquet      one table of all (csv: as CSV); our own columns

    Files are written all or none, and nothing that this program did not write is replaced. dynamo, tom, stopgap and eman2 have no
    word for an unknown score: they get 0 where no particle has one, and refuse tables of which only some have.
    """  # noqa: D301
    from deepict_dask.cli.exchanging import export_particles

    export_particles(is_quiet(context), **options)


@click.command(name="import")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option("--format", "-f", metavar=_LISTED, help="Of which program. Default: told from the contents.")
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Table (.csv, .parquet, .star)."
)
@click.option("--tomogram", default="", metavar="NAME", help="Of files that do not say theirs.")
@click.option("--class", "class_name", default="", metavar="CLASS", help="Of files that do not say theirs.")
@click.option("--user", default="", metavar="USER", help="Only this user's picks of a copick project.")
@click.option(
    "--session", default="", metavar="SESSION", help="Only this session's picks of a copick project."
)
@_geometry
@OVERWRITE
@click.pass_context
def import_(context: click.Context, /, **options: Any) -> None:
    """Read particles of other programs into a table of this one.

    TABLE is a file, or a folder of programs that have one file per tomogram; of RELION's optimisation_set.star the particles are
    read that it names. Positions become voxels of --voxel-size where a file says that it counts in others. The table serves as truth, for training, or to be exported again.
    """
    from deepict_dask.cli.exchanging import import_particles

    import_particles(is_quiet(context), **options)


@click.command()
@click.argument("tables", nargs=-1, required=True, metavar="RUN|TABLE...")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="Table, or a folder with one per tomogram and class.",
)
@click.option("--class", "class_name", metavar="CLASS", help="Only this class.")
@click.option("--min-score", type=float, metavar="X", help="Smallest mean probability that stays.")
@click.option("--max-score", type=float, metavar="X", help="Largest mean probability that stays.")
@click.option("--min-size", type=int, metavar="N", help="Fewest voxels that stay.")
@click.option("--max-size", type=int, metavar="N", help="Most voxels that stay.")
@click.option(
    "--mask",
    metavar="FILE",
    help="Volume, above 0 where particles stay; {name} stands for the tomogram's name.",
)
@click.option(
    "--outside", is_flag=True, help="Particles outside of the mask stay, such as one of the carbon edge."
)
@click.option(
    "--abc",
    metavar="N or Z,Y,X",
    help="Semi-axes in A of the ellipsoid within which only the better-scored particle stays.",
)
@click.option(
    "--direction", metavar="Z,Y,X", help="Of filaments, along which the first semi-axis is measured."
)
@click.option("--distance", type=float, metavar="X", help="Smallest distance in A between two particles.")
@click.option(
    "--top", type=int, metavar="N", help="So many of the best-scored stay in each tomogram and class."
)
@click.option("--voxel-size", metavar="N or Z,Y,X", help="In A; overrides what the tables say.")
@click.option(
    "--shape", metavar="Z,Y,X", help="Of the tomograms, in voxels, for --mask where the tables do not say."
)
@OVERWRITE
@click.pass_context
def clean(context: click.Context, /, **options: Any) -> None:
    """Remove particles from lists: by score, size, mask, distance, number.

    The rules are applied in this order, to each tomogram and class by itself. What stays does not depend on the order of rows, and
    stays as it was, labels and columns of other programs included.
    """
    from deepict_dask.cli.exchanging import clean_tables

    clean_tables(is_quiet(context), **options)


COMMANDS = (export, import_, clean)

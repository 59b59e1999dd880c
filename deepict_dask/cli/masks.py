"""What ``deepict-dask masks`` does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deepict_dask.cli.by_class import read_by_class
from deepict_dask.cli.terminal import TerminalReporter, print_table
from deepict_dask.cli.work import workers
from deepict_dask.config import load_settings
from deepict_dask.errors import InputError, SettingsError


def make_masks(
    quiet: bool,
    *,
    tomogram: str,
    positions: Sequence[str],
    output: Path,
    radius: Sequence[str] = (),
    radius_nm: Sequence[str] = (),
    shape: Sequence[str] = (),
    layout: str = "channels",
    overwrite: bool = False,
    **options: Any,
) -> None:
    """Paste shapes at particle positions and write the masks beside the tomogram's other outputs.

    Parameters
    ----------
    quiet : bool
        Say only what went wrong.
    tomogram : str
        File or OME-Zarr group; only its header is read.
    positions : sequence of str
        ``CLASS=TABLE``, or a table alone, whose class is then ``particle``.
    output : Path
        Run folder; the masks are ``output / NAME / "masks.zarr"``.
    radius, radius_nm, shape : sequence of str
        One value for all classes, or ``CLASS=VALUE`` for each.
    layout : {"channels", "labels"}
        One mask per class, or one image of labels.
    overwrite : bool
        Whether masks made with other settings may be replaced.
    **options
        Settings of the sections ingest and cluster.
    """
    from deepict_dask.config.by_class import OTHERS
    from deepict_dask.config.load import validated
    from deepict_dask.config.masks import MaskSettings
    from deepict_dask.io.claim import claimed
    from deepict_dask.io.location import Location
    from deepict_dask.learning.masks import masks
    from deepict_dask.learning.positions import read_positions
    from deepict_dask.names import check_name
    from deepict_dask.stages.ingest import open_as_set
    from deepict_dask.stages.work import Work

    settings = load_settings(None, options)
    shapes = validated(
        MaskSettings,
        {
            "radius": read_by_class(radius, "--radius", _number("--radius")),
            "radius_nm": read_by_class(radius_nm, "--radius-nm", _number("--radius-nm")),
            "shape": read_by_class(shape, "--shape"),
            "layout": layout,
            "zarr_version": settings.ingest.zarr_version,
        },
    )
    tables = read_by_class(positions, "--positions")
    if isinstance(tables, dict) and OTHERS in tables:
        raise InputError("--positions is given for classes and without one; give CLASS=TABLE for each")
    source = open_as_set(tomogram, settings.ingest)
    reporter = TerminalReporter(quiet)
    particles = read_positions(tables if isinstance(tables, dict) else {"particle": tables}, source, reporter)
    for sentence in source.warnings:
        reporter.warn(sentence)
    folder = Location.of(output) / check_name(source.name, f"the tomogram {tomogram}")
    with workers(settings.cluster, reporter), claimed(folder, "deepict-dask masks") as claim:
        image = masks(source, particles, folder, shapes, Work(reporter, overwrite, claim=claim))
    if not quiet:
        n_voxels = math.prod(image.shape[-3:])
        rows = [
            (name, str(image.attributes["n_particles"][name]), str(n), f"{100 * n / n_voxels:.2f}")
            for name, n in image.attributes["labelled"].items()
        ]
        print_table(image.path, ("class", "particles", "labelled voxels", "%"), rows)


def _number(option: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise SettingsError(f"{option} {text!r} is not a number; give VALUE or CLASS=VALUE") from None

    return read

"""What ``deepict-dask masks`` does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    from pydantic import ValidationError

    from deepict_dask.config.masks import MaskSettings
    from deepict_dask.io.claim import claimed
    from deepict_dask.io.location import Location
    from deepict_dask.learning.masks import masks, read_positions
    from deepict_dask.names import check_name
    from deepict_dask.stages.ingest import open_as_set
    from deepict_dask.stages.work import Work

    settings = load_settings(None, options)
    try:
        wanted = MaskSettings(
            radius=_by_class(radius, "radius", number=True),
            radius_nm=_by_class(radius_nm, "radius-nm", number=True),
            shape=_by_class(shape, "shape"),
            layout=layout,  # type: ignore[arg-type]
            zarr_version=settings.ingest.zarr_version,
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"][:1])
        raise SettingsError(f"masks: {place}{first['msg'].removeprefix('Value error, ')}") from error
    tables = _by_class(positions, "positions")
    source = open_as_set(tomogram, settings.ingest)
    particles = read_positions(tables if isinstance(tables, dict) else {"particle": tables})
    reporter = TerminalReporter(quiet)
    for sentence in source.warnings:
        reporter.warn(sentence)
    folder = Location.of(output) / check_name(source.name, f"the tomogram {tomogram}")
    with workers(settings.cluster, reporter), claimed(folder, "deepict-dask masks") as claim:
        image = masks(source, particles, folder, wanted, Work(reporter, overwrite, claim=claim))
    if not quiet:
        n_voxels = math.prod(image.shape[-3:])
        rows = [
            (name, str(image.attributes["n_particles"][name]), str(n), f"{100 * n / n_voxels:.2f}")
            for name, n in image.attributes["labelled"].items()
        ]
        print_table(image.path, ("class", "particles", "labelled voxels", "%"), rows)


def _by_class(given: Sequence[str], option: str, number: bool = False) -> Any:
    """Read ``VALUE`` or several ``CLASS=VALUE``."""

    def value(text: str) -> Any:
        try:
            return float(text) if number else text
        except ValueError:
            raise SettingsError(f"--{option} {text!r} is not a number; give VALUE or CLASS=VALUE") from None

    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        return value(given[0])
    named: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not (name and equals and text):
            raise InputError(f"--{option} {item!r} is one of several, so it must be CLASS=VALUE")
        if name in named:
            raise InputError(f"--{option} is given twice for class {name!r}; give it once")
        named[name] = value(text)
    return named

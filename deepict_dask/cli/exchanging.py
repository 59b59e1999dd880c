"""What ``deepict-dask export``, ``import`` and ``clean`` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli.terminal import print_table
from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.io.location import Location
from deepict_dask.tomogram import axes_of, per_axis


def geometry_of(
    *,
    voxel_size: str | None,
    shape: str | None,
    pixel_size: float | None,
    binning: float | None,
    first_voxel: str | None,
    center: str,
    offset: str | None,
) -> Any:
    """Make what the options say of voxels, pixels and origins; InputError where they are no numbers."""
    from deepict_dask.io.exchange import Geometry

    return Geometry(
        voxel_size=None if voxel_size is None else per_axis(voxel_size, "--voxel-size"),
        shape=_shape_of(shape),
        pixel_size=pixel_size,
        binning=binning,
        first_voxel=None if first_voxel is None else float(first_voxel),
        center=center,  # type: ignore[arg-type]
        offset=(0.0, 0.0, 0.0) if offset is None else per_axis(offset, "--offset", signed=True),
    )


def _shape_of(shape: str | None) -> Shape | None:
    """Read ``--shape``; InputError where it is not three whole numbers."""
    if shape is None:
        return None
    try:
        z, y, x = (int(n) for n in axes_of(shape))
    except ValueError:
        z = y = x = 0
    if min(z, y, x) < 1:
        raise InputError(f"--shape is three whole numbers as z,y,x, not {shape!r:.100}")
    return z, y, x


def export_particles(
    quiet: bool,
    *,
    tables: Sequence[str],
    format: str,
    output: Path,
    class_name: Sequence[str],
    tomograms: str | None,
    rename: str | None,
    diameter: float | None,
    user: str,
    session: str,
    tomogram_path: str,
    angles_as_priors: bool,
    overwrite: bool,
    **geometry: Any,
) -> None:
    """Export, and say what came of it."""
    from deepict_dask.io.exchange import Details, format_of
    from deepict_dask.scoring.export import export

    if diameter is not None and not diameter > 0:
        raise InputError(f"--diameter is a positive length in A, not {diameter}")
    exported = export(
        tables,
        Location.of(output),
        format,
        geometry=geometry_of(**geometry),
        details=Details(user, session, tomogram_path, diameter, angles_as_priors),
        tomograms=tomograms,
        rename=rename,
        class_name=class_name,
        overwrite=overwrite,
    )
    if quiet:
        return
    status = "kept" if exported.is_kept else "written"
    rows = [(own, there, str(n), status) for own, there, n in exported.tomograms]
    print_table(
        f"{format_of(format).title}: {output}", ("tomogram", "name there", "particles", "status"), rows
    )
    click.echo(
        ", ".join(file.relative_to(Location.of(output)) for file in exported.files[:6])
        + (f" and {len(exported.files) - 6} more files" if len(exported.files) > 6 else "")
    )
    if note := format_of(format).note:
        click.echo(note)


def import_particles(
    quiet: bool,
    *,
    tables: Sequence[str],
    format: str | None,
    output: Path,
    tomogram: str,
    class_name: str,
    tomograms: str | None,
    rename: str | None,
    user: str,
    session: str,
    overwrite: bool,
    **geometry: Any,
) -> None:
    """Import, and say what came of it."""
    from deepict_dask.scoring.importing import import_tables

    imported = import_tables(
        tables,
        Location.of(output),
        format,
        geometry=geometry_of(**geometry),
        tomograms=tomograms,
        rename=rename,
        tomogram=tomogram,
        class_name=class_name,
        user=user,
        session=session,
        overwrite=overwrite,
    )
    if quiet:
        return
    particles, rows = imported.particles, []
    status = "kept" if imported.is_kept else "written"
    for name in particles.names("tomogram") or [""]:
        part = particles.of_tomogram(name) if name else particles
        size = part.voxel_size
        rows.append(
            (
                name or "-",
                ", ".join(k for k in part.names("class") if k) or "-",
                str(len(part)),
                "unknown" if size is None else " x ".join(dict.fromkeys(f"{e:g}" for e in size)),
                status,
            )
        )
    print_table(f"Imported: {output}", ("tomogram", "classes", "particles", "voxel size (A)", "status"), rows)
    for sentence in imported.sentences:
        click.echo(sentence)


def clean_tables(
    quiet: bool,
    *,
    tables: Sequence[str],
    output: Path,
    class_name: str | None,
    abc: str | None,
    direction: str | None,
    voxel_size: str | None,
    shape: str | None,
    overwrite: bool,
    **rules: Any,
) -> None:
    """Clean, and say what each rule has removed."""
    from deepict_dask.scoring.clean import Rules, clean

    cleaned = clean(
        tables,
        Location.of(output),
        Rules(
            semi_axes=None if abc is None else per_axis(abc, "--abc"),
            direction=None if direction is None else per_axis(direction, "--direction", signed=True),
            **rules,
        ),
        class_name=class_name,
        voxel_size=None if voxel_size is None else per_axis(voxel_size, "--voxel-size"),
        shape=_shape_of(shape),
        overwrite=overwrite,
    )
    if quiet:
        return
    names = list(dict.fromkeys(rule for c in cleaned for rule in c.removed))
    rows = [
        (
            c.tomogram,
            c.class_name or "-",
            str(c.n_given),
            *(str(-c.removed.get(name, 0)) for name in names),
            str(c.n_particles),
        )
        for c in cleaned
    ]
    print_table(f"Cleaned: {output}", ("tomogram", "class", "given", *names, "stay"), rows)

"""Positions of classes: which rows of which table belong to a class, in the voxels of a tomogram."""

from __future__ import annotations

from collections.abc import Mapping

from deepict_dask.errors import InputError, NeedsGridError
from deepict_dask.io.ome_zarr import Image
from deepict_dask.io.source import Source
from deepict_dask.io.tables.files import Table, find_tables
from deepict_dask.particles import Particles, VoxelGrid
from deepict_dask.stages.report import Reporter
from deepict_dask.tomogram import same_voxel_size


def read_positions(
    tables: Mapping[str, str], tomogram: Image | Source, reporter: Reporter, *, may_be_absent: bool = False
) -> dict[str, Particles]:
    """Read the positions of each class in a tomogram.

    Parameters
    ----------
    tables : mapping of str to path
        Table per class, or a folder of tables. Of a table that says classes or tomograms only the rows of that class and
        of that tomogram are taken, so one table may serve several; of any other all rows, and it serves one class.
    tomogram : Image or Source
        Its name and its voxels count: positions in voxels of another size are scaled, the center of the first voxel
        staying where it is. A table of one tomogram is taken for it whatever its name.
    reporter : Reporter
        Told where a table calls the tomogram otherwise.
    may_be_absent : bool
        Whether a class may have no rows, as long as a table with rows has some of one of the classes: an empty table
        says that there is nothing in the tomogram.

    Returns
    -------
    dict of str to Particles
        By class, in the order of ``tables``.

    Raises
    ------
    InputError
        If a table cannot be read, has no rows of the class or of the tomogram, or is given for two classes and does not
        say which row is of which.
    """
    opened = {name: _open(path, name, tomogram.name) for name, path in tables.items()}
    for table in {table.path: table for table in opened.values()}.values():
        if table.is_named and table.tomogram != tomogram.name:
            reporter.warn(
                f"{table.path} is of tomogram {table.tomogram!r}; taken for {tomogram.name!r}, since it is of no other"
            )
    positions: dict[str, Particles] = {}
    for name, table in opened.items():
        particles = _in_voxels_of(tomogram, table, name)
        other_classes = [
            n for n, t in opened.items() if n != name and t.path.resolve() == table.path.resolve()
        ]
        if len(particles) and other_classes and not table.has_column:
            raise InputError(
                f"{table.path} is given for the classes {name!r} and {other_classes[0]!r}, and has no column class that says "
                "which row is of which; add that column, or give a table per class"
            )
        if not len(particles) and not may_be_absent:
            raise InputError(f"{table.path} has no particles of class {name!r}{_instead(table)}")
        positions[name] = particles
    if may_be_absent and not any(map(len, positions.values())):
        for name, table in opened.items():
            if len(_in_voxels_of(tomogram, table, next(iter(table.classes), name))):
                raise InputError(
                    f"{table.path} has no particles of class {', '.join(map(repr, opened))}{_instead(table, name)}"
                )
    return positions


def _open(path: str, class_name: str, tomogram: str) -> Table:
    tables = find_tables(path)
    names = list(dict.fromkeys(table.tomogram for table in tables))
    if len(names) > 1:
        tables = [table for table in tables if table.tomogram == tomogram]
        if not tables:
            raise InputError(
                f"{path} has no particles in {tomogram!r}, but in {', '.join(names[:6])}"
                f"{' and others' if len(names) > 6 else ''}; call the tomogram as the table does"
            )
    fitting = [t for t in tables if class_name in t.classes] or [t for t in tables if not t.classes] or tables
    if len(fitting) > 1 and fitting is not tables:
        raise InputError(
            f"{path} holds {fitting[0].path.name} and {fitting[1].path.name}, which may both be of class {class_name!r}; "
            "name the one to use"
        )
    return fitting[0]


def _in_voxels_of(tomogram: Image | Source, table: Table, class_name: str) -> Particles:
    if not table.holds(class_name):
        return Particles.from_positions([], tomogram=tomogram.name, class_name=class_name)
    z, y, x = tomogram.shape[-3:]
    grid = VoxelGrid(tomogram.voxel_size, (z, y, x), tomogram.origin or (0.0, 0.0, 0.0))
    try:
        # What the table itself says of its voxels comes first.
        particles = table.read(class_name)
    except NeedsGridError:
        particles = table.read(class_name, grid)
    source, target = particles.voxel_size, grid.voxel_size
    if source is None or target is None or same_voxel_size(source, target):
        return particles
    a, b, c = (p / q for p, q in zip(source, target, strict=True))
    return particles.scaled((a, b, c), target)


def _instead(table: Table, name: str | None = None) -> str:
    if not table.classes or table.classes == (name,):
        return "; check the name, or leave out the class"
    return f", but of {', '.join(table.classes)}; check the name of the class"

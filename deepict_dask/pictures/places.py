"""Which tomograms are to be drawn, and where their pictures go."""

from __future__ import annotations

from collections.abc import Sequence

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.formats.zarr_listing import is_zarr
from deepict_dask.io.location import Location
from deepict_dask.pictures.files import check_suffix


def find_places(run: Location, names: Sequence[str]) -> list[Location]:
    """Find the tomograms of a run that something is to be drawn of.

    Parameters
    ----------
    run : Location
        Run folder; or the folder of a tomogram in one, an image, or any tomogram, which are taken as they are.
    names : sequence of str
        Of the tomograms; all of the run if empty.

    Returns
    -------
    list of Location
        Folders of tomograms in the order of the names given, or ``run`` itself.

    Raises
    ------
    MissingFileError
        If there is nothing.
    InputError
        If a run holds no tomogram, or none of a name that is given.
    """
    if not run.exists():
        raise MissingFileError(f"there is no run folder or tomogram {run}; check the path")
    folders = (
        {c.name: c for c in run.children() if c.is_folder() and _holds_images(c)} if run.is_folder() else {}
    )
    if not folders or is_zarr(run.local_path()) or _holds_images(run):
        if run.is_folder() and not is_zarr(run.local_path()) and not _holds_images(run):
            raise InputError(f"{run} holds no tomogram of a run; give the --output of a run, or a tomogram")
        if names:
            raise InputError(
                f"{run} is one tomogram, so none can be chosen in it ({', '.join(names)}); leave that out"
            )
        return [run]
    for name in names:
        if name not in folders:
            raise InputError(f"{run} holds no tomogram {name!r}; it holds {_listed(sorted(folders))}")
    return [folders[name] for name in dict.fromkeys(names)] or list(folders.values())


def picture_of(place: Location, output: Location | None, usual: str, *, is_alone: bool) -> Location:
    """Say where the picture of a tomogram goes.

    Parameters
    ----------
    place : Location
        From `find_places`.
    output : Location or None
        What was asked: a file, in whose path ``{name}`` stands for the tomogram; or a folder.
    usual : str
        Its name in the folder of the tomogram, where nothing was asked.
    is_alone : bool
        Whether it is the only one.

    Raises
    ------
    InputError
        If several tomograms would go to one file, or nothing says where.
    """
    if output is None:
        if place.is_folder() and not is_zarr(place.local_path()):
            return place / usual
        raise InputError(f"{place} is not in the folder of a run; say where the picture goes with --output")
    name = place.name if place.is_folder() and not is_zarr(place.local_path()) else place.stem
    if not output.suffix or output.is_folder():
        # Folders that are to be made have no suffix.
        return Location(output.url.replace("{name}", name)) / f"{name}{Location(usual).suffix}"
    target = Location(output.url.replace("{name}", name))
    check_suffix(target)
    if not is_alone and target == output:
        raise InputError(
            f"several pictures cannot go to the one file {output}; put {{name}} into its name, or name a folder"
        )
    return target


def _holds_images(folder: Location) -> bool:
    return any(c.name.endswith(".zarr") and c.is_folder() for c in folder.children()) and not is_zarr(
        folder.local_path()
    )


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

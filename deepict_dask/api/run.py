"""What a run folder holds, from Python: complete tomograms only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.particles import Particles, join

if TYPE_CHECKING:
    import xarray

    from deepict_dask.io.location import Location


@dataclass(frozen=True)
class RunTomogram:
    """One tomogram of a run; what it holds is opened when it is asked for.

    Attributes
    ----------
    name : str
        Of the tomogram.
    folder : Location
        Where its outputs are.
    """

    name: str
    folder: Location

    def __repr__(self) -> str:
        return f"<RunTomogram {self.name}: {', '.join(self.outputs) or 'nothing complete'}>"

    @property
    def outputs(self) -> list[str]:
        """Names of what is complete."""
        from deepict_dask.io.ome_zarr import open_own_image

        names = []
        for child in self.folder.children():
            if (
                child.name.endswith(".zarr")
                and (image := open_own_image(child)) is not None
                and image.is_complete
            ):
                names.append(child.name.removesuffix(".zarr"))
        return names

    @property
    def tomogram(self) -> xarray.DataArray:
        """The tomogram as it was ingested, lazy."""
        return self.open("tomogram")

    @property
    def probability(self) -> xarray.DataArray:
        """The probability map, lazy; of several networks see `open`."""
        return self.open("probability")

    @property
    def labels(self) -> xarray.DataArray:
        """The label image, lazy; with a leading ``class`` where there are several."""
        import xarray

        names = [name for name in self.outputs if name.startswith("particles") and name.endswith("_labels")]
        if not names:
            raise InputError(f"{self.folder} holds no label image; pick with --write-labels")
        if len(names) == 1:
            return self.open(names[0])
        classes = [name.removeprefix("particles_").removesuffix("_labels") for name in names]
        together: xarray.DataArray = xarray.concat([self.open(name) for name in names], dim="class")
        return together.assign_coords({"class": classes})

    @property
    def particles(self) -> Particles:
        """The particles of all classes, read from their tables."""
        from deepict_dask.io.tables.files import find_tables

        try:
            tables = find_tables(self.folder.local_path())
        except MissingFileError as error:
            raise InputError(f"{self.folder} holds no particle table; run pick") from error
        return join([table.read() for table in tables])

    def open(self, name: str) -> xarray.DataArray:
        """Open an image by its name without suffix, such as ``rescaled`` or ``probability_NETWORK``.

        Raises
        ------
        InputError
            If there is none, naming those that are complete.
        """
        from deepict_dask.api.opening import open_own
        from deepict_dask.io.ome_zarr import open_own_image

        image = open_own_image(self.folder / f"{name}.zarr")
        if image is None or not image.is_complete:
            known_outputs = ", ".join(self.outputs) or "nothing"
            raise InputError(f"{self.folder} holds no complete {name}.zarr; complete there: {known_outputs}")
        image.check_whole()
        return open_own(image)


class Run(Mapping[str, RunTomogram]):
    """The tomograms of a run folder by name.

    >>> dd.open_run("run")["TS_01"].probability  # doctest: +SKIP
    """

    def __init__(self, folder: Location):
        self.folder = folder

    def __getitem__(self, name: str) -> RunTomogram:
        if name not in (names := list(self)):
            raise KeyError(
                f"{self.folder} has no tomogram {name!r} that was ingested; it has {', '.join(names)}"
            )
        return RunTomogram(name, self.folder / name)

    def __iter__(self) -> Iterator[str]:
        from deepict_dask.io.ome_zarr import open_own_image

        for child in self.folder.children():
            if not child.is_folder() or child.name.startswith("."):
                continue
            images = (open_own_image(child / f"{name}.zarr") for name in ("tomogram", "probability"))
            if any(image is not None and image.is_complete for image in images):
                yield child.name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        names = list(self)
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return (
            f"<Run {self.folder}: {len(names)} tomogram{'s' * (len(names) != 1)}{': ' * bool(names)}{shown}>"
        )


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open a run folder; it may still be written to, complete outputs are shown.

    Raises
    ------
    MissingFileError
        If there is none.
    InputError
        If it holds no complete tomogram.
    """
    from deepict_dask.io.location import Location

    where = Location.of(folder)
    if not where.is_folder():
        raise MissingFileError(f"{where} is no folder; give the --output of a run")
    run = Run(where)
    if not any(True for _ in run):
        raise InputError(f"{where} holds no complete tomogram; give the --output of a run")
    return run

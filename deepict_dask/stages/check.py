"""Check: whether what a run left is whole: every shard and every table against what was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deepict_dask.errors import DeepictError, InputError
from deepict_dask.io.location import Location
from deepict_dask.stages.finished import check_tomogram, open_own
from deepict_dask.stages.tables import ALL, check_table, read_record


@dataclass(frozen=True)
class Finding:
    """What was found of one output.

    Attributes
    ----------
    output : Location
        Image, or side file of tables.
    state : {"whole", "not finished", "damaged"}
        How it is.
    problem : str
        What is wrong; empty where nothing is.
    """

    output: Location
    state: str
    problem: str = ""


def check_run(folder: Location, *, deep: bool = False) -> Iterator[Finding]:
    """Check the outputs of a run folder, or of one tomogram's folder in it; nothing is changed.

    Parameters
    ----------
    folder : Location
        The folder.
    deep : bool
        Compare every byte with the digests of the manifests; else names and sizes. Tables are compared whole.

    Raises
    ------
    InputError
        If there is nothing of a run in it.
    """
    is_run = False
    for place in (folder, *(child for child in folder.children() if child.is_folder())):
        for child in place.children():
            if child.name.endswith(".zarr") and child.is_folder():
                is_run = True
                yield _image(child, deep)
            elif child.name.startswith(("particles", ALL)) and child.suffix == ".json":
                is_run = True
                yield _tables(child)
    if not is_run:
        raise InputError(
            f"{folder} holds nothing that a run left; give a run folder, or that of a tomogram in it"
        )


def _image(location: Location, deep: bool) -> Finding:
    try:
        image = open_own(location)
        if image is None or not image.is_complete:
            return Finding(location, "not finished", "run the same command again to finish it")
        image.check_whole(deep=deep)
        check_tomogram(image)
    except DeepictError as error:
        return Finding(location, "damaged", str(error))
    return Finding(location, "whole")


def _tables(side: Location) -> Finding:
    try:
        record = read_record(side)
        if record is None or not record.is_complete:
            return Finding(side, "not finished", "run the same command again to finish it")
        for name, digest in record.tables.items():
            check_table(side.parent / name, digest)
    except DeepictError as error:
        return Finding(side, "damaged", str(error))
    return Finding(side, "whole")

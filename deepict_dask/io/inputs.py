"""The tomograms that a user names: paths, globs, folders, lists."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.zarr_volume import is_zarr

# Longest first, so that .ome.zarr is taken off whole.
_SUFFIXES = (".ome.zarr", ".zarr", ".mrc", ".rec", ".map", ".em", ".hdf5", ".hdf", ".h5")
_PACKED = (".gz", ".bz2")


def tomogram_name(path: str | Path) -> str:
    """Give the name of a tomogram: its file name without the suffixes of formats and compression.

    >>> tomogram_name("a/TS_01.mrc.gz"), tomogram_name("b/TS_02.ome.zarr"), tomogram_name("TS_03_10.00Apx.rec")
    ('TS_01', 'TS_02', 'TS_03_10.00Apx')
    """
    name = Path(path).name
    for group in (_PACKED, _SUFFIXES):
        for suffix in group:
            if name.lower().endswith(suffix) and len(name) > len(suffix):
                name = name[: -len(suffix)]
                break
    return name


def find_tomograms(arguments: Sequence[str]) -> list[str]:
    """Find the tomograms that the arguments of a command name.

    Parameters
    ----------
    arguments : sequence of str
        Each a file, an OME-Zarr group, a folder (the tomograms directly in it, sorted by
        name), a glob (tomograms and folders that match, sorted), or a ``.txt`` list with one of these
        per line (``#`` begins a comment; relative to the folder of the list).

    Returns
    -------
    list of str
        Paths in the order given, each once.

    Raises
    ------
    InputError
        If an argument names nothing, or two tomograms have the same name (their outputs
        would be the same).
    """
    found: dict[Path, str] = {}
    for argument in arguments:
        for path in _expand(argument, Path()):
            found.setdefault(path.resolve(), str(path))
    names: dict[str, str] = {}
    for shown in found.values():
        name = tomogram_name(shown)
        if name in names:
            raise InputError(
                f"{names[name]} and {shown} would both be called {name}; run them into different outputs or "
                "rename one"
            )
        names[name] = shown
    return list(found.values())


def _expand(argument: str, folder: Path, place: str = "") -> list[Path]:
    path = folder / Path(argument).expanduser()
    if path.exists():  # before globbing: a name may hold brackets
        paths = list(_expand_path(path, allow_list=not place))
        nothing = "no tomogram in it (MRC, REC, MAP, EM, HDF5, packed ones, .zarr)"
    elif glob.has_magic(str(path)):
        paths = list(_expand_glob(str(path)))
        nothing = "no tomogram that matches it"
    else:
        raise MissingFileError(f"{path}{place} does not exist")
    if not paths:
        raise InputError(f"{path}{place} names no tomogram: there is {nothing}")
    return paths


def _expand_path(path: Path, *, allow_list: bool) -> Iterator[Path]:
    if path.is_dir() and not is_zarr(path):
        yield from (inner for inner in sorted(path.iterdir()) if _is_tomogram(inner))
    elif path.suffix.lower() == ".txt" and path.is_file():
        if not allow_list:
            raise InputError(f"{path} is a list within a list; name its tomograms instead")
        yield from _expand_list(path)
    else:
        yield path


def _expand_glob(pattern: str) -> Iterator[Path]:
    for name in sorted(glob.glob(pattern, recursive=True)):
        path = Path(name)
        if path.is_dir() and not is_zarr(path):
            # `**` matches the folders inside a Zarr group too.
            if not any(is_zarr(parent) for parent in path.parents):
                yield from _expand_path(path, allow_list=False)
        elif _is_tomogram(path) and not any(is_zarr(parent) for parent in path.parents):
            yield path


def _expand_list(path: Path) -> Iterator[Path]:
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a list of paths in plain text") from error
    for number, line in enumerate(lines, start=1):
        if entry := line.partition("#")[0].strip():
            yield from _expand(entry, path.parent, place=f" (line {number} of {path})")


def _is_tomogram(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return is_zarr(path)
    name = path.name.lower()
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    return name.endswith(_SUFFIXES[2:])

"""The tomograms that a user names: paths, globs, folders, lists."""

from __future__ import annotations

import codecs
import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepict_dask.errors import InputError, MissingFileError
from deepict_dask.io.formats.zarr_listing import is_zarr
from deepict_dask.io.location import Location
from deepict_dask.names import check_name, first_duplicate

# Longest first, so that .ome.zarr is taken off whole.
_ZARR = (".ome.zarr", ".zarr")
# The suffixes that a folder is searched for; .st, .ali and .mrcs are mostly tilt series and particles.
_SEARCHED = (".mrc", ".rec", ".map", ".em", ".hdf5", ".hdf", ".h5")
_SUFFIXES = (*_ZARR, *_SEARCHED, ".mrcs", ".st", ".ali", ".ccp4", ".vol")
_PACKED = (".gz", ".bz2")


@dataclass(frozen=True)
class Input:
    """A tomogram that a user named.

    Attributes
    ----------
    path : str
        Where it is, as given.
    name : str
        What it and the folder of its outputs are called.
    """

    path: str
    name: str


def tomogram_name(path: str | os.PathLike[str]) -> str:
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


def find_inputs(arguments: Sequence[str], *, name: str | None = None, recursive: bool = False) -> list[Input]:
    """Find the tomograms that the arguments of a command name.

    Parameters
    ----------
    arguments : sequence of str
        Each a file, an OME-Zarr group, a folder (the tomograms directly in it, sorted by
        name), a glob (tomograms and folders that match, sorted), or a ``.txt`` list with one of these
        per line (``#`` begins a comment; relative to the folder of the list).
    name : str, optional
        What they are called: ``{name}`` in it stands for the file name without suffixes, ``{file}`` for the whole
        file name, ``{parent}`` for the name of the folder that the file is in. By default the file name; where all of several inputs are called the same
        (``TS_*/tomogram.mrc``) in folders side by side, their folders.
    recursive : bool
        Whether folders are searched to their depth; outputs of this program are passed over.

    Returns
    -------
    list of Input
        In the order given, each once. What cannot be opened (a dangling link) is among them: it fails in
        its turn.

    Raises
    ------
    InputError
        If an argument names nothing, a name cannot be one, or two tomograms have the same (their outputs
        would be the same).
    """
    places: dict[str, str] = {}
    for argument in arguments:
        if not Location.of(argument).is_local:
            places[argument] = argument  # which this version cannot open, and says so in its turn
            continue
        for path in _expand(argument, Path(), recursive):
            places.setdefault(os.path.realpath(path), str(path))
    inputs = [Input(path, tomogram_name(path)) for path in places.values()]
    if name is not None:
        inputs = [replace(i, name=_named(name, i)) for i in inputs]
    elif len(inputs) > 1 and len({i.name for i in inputs}) == 1:
        by_folder = [replace(i, name=_parent(i.path)) for i in inputs]
        # Of siblings only: TS_01.mrc and even/TS_01.mrc are something else.
        above = {os.path.dirname(os.path.dirname(os.path.abspath(i.path))) for i in inputs}
        if len(above) == 1 and first_duplicate([i.name for i in by_folder]) is None:
            inputs = by_folder
    for i in inputs:
        if not i.name.isascii() and sys.getfilesystemencoding().lower() != "utf-8":
            raise InputError(
                f"the tomogram {i.path!r} has a name that this locale ({sys.getfilesystemencoding()}) cannot write; set "
                "PYTHONUTF8=1, or give it another with --name"
            )
        shown = i.path if i.path.isprintable() else ascii(i.path)
        check_name(i.name, f"the tomogram {shown} (rename it, or use --name)")
    if twice := first_duplicate([i.name for i in inputs]):
        first, second = [i.path for i in inputs if first_duplicate([i.name, twice])][:2]
        other = "{file}" if _parent(first) == _parent(second) else "{parent}_{name}"
        raise InputError(
            f"{first} and {second} would both be called {twice}; name them otherwise (--name '{other}'), or run them "
            "into different outputs"
        )
    return inputs


def _named(template: str, tomogram: Input) -> str:
    """Fill in a template of names."""
    parts = {
        "{name}": tomogram.name,
        "{file}": os.path.basename(tomogram.path.rstrip("/")),
        "{parent}": _parent(tomogram.path),
    }
    # In one pass: a folder may be called {name}.
    return re.sub("|".join(map(re.escape, parts)), lambda match: parts[match.group()], template)


def _parent(path: str) -> str:
    return os.path.basename(os.path.dirname(os.path.abspath(path)))


def _expand(argument: str, folder: Path, recursive: bool, place: str = "") -> list[Path]:
    if argument.startswith("file://"):
        argument = argument.removeprefix("file://")
    path = folder / Path(argument).expanduser()
    if os.path.lexists(path):  # before globbing: a name may hold brackets
        paths = list(_expand_path(path, recursive, allow_list=not place))
        nothing = "no tomogram in it (MRC, REC, MAP, EM, HDF5, packed ones, .zarr)"
        nothing += "" if recursive else "; --recursive searches its folders too"
    elif glob.has_magic(str(path)):
        paths = list(_expand_glob(str(path), recursive))
        nothing = "no tomogram that matches it"
    else:
        raise MissingFileError(f"{path}{place} does not exist")
    if not paths:
        raise InputError(f"{path}{place} names no tomogram: there is {nothing}")
    return paths


def _expand_path(path: Path, recursive: bool, *, allow_list: bool) -> Iterator[Path]:
    if path.is_dir() and not is_zarr(path):
        try:
            children = sorted(path.iterdir())
        except PermissionError as error:
            raise InputError(
                f"the folder {path} may not be listed by this user; ask its owner to allow it"
            ) from error
        for child in children:
            if _is_tomogram(child) and not (recursive and _is_output(child)):
                yield child
            elif recursive and _is_searched(child):
                yield from _expand_path(child, recursive, allow_list=False)
    elif path.suffix.lower() == ".txt" and path.is_file():
        if not allow_list:
            raise InputError(f"{path} is a list within a list; name its tomograms instead")
        yield from _expand_list(path, recursive)
    else:
        yield path


def _expand_glob(pattern: str, recursive: bool) -> Iterator[Path]:
    for name in sorted(glob.glob(pattern, recursive=True)):
        path = Path(name)
        if path.is_dir() and not is_zarr(path):
            # `**` matches the folders inside a Zarr group too.
            if not any(is_zarr(parent) for parent in path.parents):
                yield from _expand_path(path, recursive, allow_list=False)
        elif (_is_tomogram(path) or tomogram_name(path) != path.name) and not any(
            is_zarr(parent) for parent in path.parents
        ):
            yield path


def _expand_list(path: Path, recursive: bool) -> Iterator[Path]:
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if b"\0" in content:
        raise InputError(f"{path} is not a list of paths in plain text (UTF-8)")
    for number, line in enumerate(content.splitlines(), start=1):
        # As the file system has it, whatever the locale.
        entry = os.fsdecode(line).strip()
        # A # in a name is not a comment where the file is there.
        if entry and not (not entry.startswith("#") and os.path.lexists(path.parent / entry)):
            entry = entry.partition("#")[0].strip()
        if entry:
            yield from _expand(entry, path.parent, recursive, place=f" (line {number} of {path})")


def _is_tomogram(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return is_zarr(path)
    name = path.name.lower()
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    return name.endswith(_SEARCHED)


def _is_searched(path: Path) -> bool:
    is_plain = path.is_dir() and not path.is_symlink() and not is_zarr(path)
    return is_plain and not path.name.startswith(".")


def _is_output(path: Path) -> bool:
    """Tell whether it is a Zarr group that this program wrote."""
    from deepict_dask.io.ome_zarr import read_attributes

    try:
        return path.is_dir() and bool(read_attributes(path))
    except InputError:
        return False

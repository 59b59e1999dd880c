"""What a file is, told by its content and not by its name."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.formats import em, hdf5, mrc
from deepict_dask.io.formats.packed import HeadOfStream, PackedVoxels, is_packed, packed_head
from deepict_dask.io.formats.plain import NibbleVoxels, PlainVoxels
from deepict_dask.io.formats.volume import Choice, Volume

HEAD = 1024
_CONVERT = "convert it to MRC, EM, HDF5 or OME-Zarr"
_OTHERS = {
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"II+\0": "a TIFF file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "a NumPy array",
    b"\xfd7zXZ": "an xz archive",
    b"(\xb5/\xfd": "a Zstandard archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"NRRD": "an NRRD file",
    b"# Amira": "an Amira mesh",
    b"# Avizo": "an Amira mesh",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"BRIK": "an AFNI file",
    b"ObjectType": "a MetaImage",
    b"\0\0\0\3\0": "a Digital Micrograph file",
    b"SIMPLE  =": "a FITS file",
}


def is_folder_or_file(path: Path) -> bool:
    """Tell whether it is a folder (else it is a file).

    Raises
    ------
    MissingFileError
        If there is nothing.
    InputError
        If it is neither: a pipe, a device, a link to itself.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.islink(path):
            raise MissingFileError(
                f"{path} is a link to {os.readlink(path)}, which does not exist"
            ) from error
        raise MissingFileError(f"{path} does not exist") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be looked at by this user; ask its owner to allow it") from error
    except OSError as error:  # a link to itself, a name that is too long, a dead disk
        raise InputError(f"{path} cannot be opened ({error.strerror}); give another path") from error
    if stat.S_ISDIR(mode):
        return True
    if not stat.S_ISREG(mode):
        kinds = {
            stat.S_IFIFO: "a pipe",
            stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
        }
        kind = kinds.get(stat.S_IFMT(mode), "no file")
        raise FormatError(f"{path} is {kind}, which cannot be read piece by piece; write it to a file first")
    return False


def open_file(path: Path, choice: Choice) -> Volume:
    """Read the header of a file, packed or not; of a packed one nothing is unpacked.

    Raises
    ------
    FormatError
        If it is none of the formats, damaged, cut off, or of voxels that are not real numbers.
    InputError
        If it leaves a choice that was not made.
    """
    head = _head(path)
    if not is_packed(head):
        return open_plain(path, choice)
    head = packed_head(path, HEAD)
    place = str(path)
    _refuse_others(head, place)
    if head.startswith(hdf5.MAGIC):
        n_bytes = hdf5.end_of_file(head)
        if n_bytes is None:
            raise InputError(f"{place} is an HDF5 file of a kind that cannot be read packed; unpack it")
        with HeadOfStream(path, n_bytes) as stream:
            volume = hdf5.open_hdf5(place, choice, stream)
        volume = _turned(volume, choice)
    elif head[208:211] != b"MAP" and not mrc.looks_like_mrc(head) and em.looks_like_em(head, None):
        volume = em.read_em(head, None, place)
        n_bytes = _end(volume)
        volume = _turned(volume, choice)
    elif mrc.looks_like_mrc(head):
        volume = mrc.read_mrc(head, None, place, choice.axes)
        n_bytes = _end(volume)
    else:
        raise _unknown(head, place)
    return replace(volume, voxels=PackedVoxels(place, volume.shape, choice, n_bytes))


def open_plain(path: Path, choice: Choice, place: str | None = None) -> Volume:
    """Read the header of a plain file.

    Parameters
    ----------
    path : Path
        The file.
    choice : Choice
        How to read it.
    place : str, optional
        What to call it in sentences.
    """
    if place is None:
        return _open_plain(path, choice)
    try:
        volume = _open_plain(path, choice)
    except InputError as error:
        raise type(error)(str(error).replace(str(path), place)) from error
    warnings = tuple(warning.replace(str(path), place) for warning in volume.warnings)
    doubt = volume.doubt and volume.doubt.replace(str(path), place)
    return replace(volume, warnings=warnings, doubt=doubt)


def _open_plain(path: Path, choice: Choice) -> Volume:
    head, size = _head(path), os.stat(path).st_size
    _refuse_others(head, str(path))
    if head.startswith(hdf5.MAGIC):
        return _turned(hdf5.open_hdf5(path, choice), choice)
    # EM has no magic number but a size that must fit; MRC since 2000 says MAP.
    suffix = path.suffix.lower()
    if head[208:211] != b"MAP" and (em.looks_like_em(head, size) or suffix == ".em"):
        return _turned(em.open_em(path), choice)
    if mrc.looks_like_mrc(head) or suffix in (".mrc", ".rec", ".map", ".st", ".ali", ".mrcs"):
        return mrc.open_mrc(path, choice.axes)
    raise _unknown(head, str(path))


def _refuse_others(head: bytes, place: str) -> None:
    """Name what is no tomogram but has a well-known beginning."""
    if not head:
        raise FormatError(f"{place} is empty")
    if head.startswith(b"version https://git-lfs"):
        raise FormatError(
            f"{place} is a pointer of Git LFS and not the file that it stands for; run `git lfs pull`"
        )
    if _is_text(head[:200]) and head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise FormatError(f"{place} is a web page and not a tomogram; download the file itself")
    other = next((kind for magic, kind in _OTHERS.items() if head.startswith(magic)), None)
    if head[257:262] == b"ustar":
        other = "a tar archive"
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        other = "a NIfTI file"
    if other and head[208:211] != b"MAP":
        raise FormatError(f"{place} is {other}; {_CONVERT}")


def _unknown(head: bytes, place: str) -> FormatError:
    what = "a text and not a tomogram" if _is_text(head) else "not a tomogram that can be read"
    return FormatError(f"{place} is {what}; give MRC, EM, HDF5 or OME-Zarr")


def _is_text(head: bytes) -> bool:
    return not set(head) - set(range(32, 127)) - {9, 10, 13}


def _turned(volume: Volume, choice: Choice) -> Volume:
    return volume.with_y_and_z_swapped() if choice.axes == "xzy" else volume


def _end(volume: Volume) -> int:
    assert isinstance(volume.voxels, (PlainVoxels, NibbleVoxels))
    return volume.voxels.end


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD)

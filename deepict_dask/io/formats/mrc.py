"""MRC, REC and MAP files (MRC2014 and its older and IMOD's dialects).

Files are written with mrcfile, and tests read with it. Here they are read by ourselves, because what
comes from microscopes and old programs must be read too where mrcfile refuses it or takes it at its word: a
wrong nz, a damaged machine stamp, unsigned bytes, permuted axes, extended headers that are not there; and
because a region is all that a worker may touch.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.geometry import Shape
from deepict_dask.io.formats.mrc_header import (
    N_BYTES,
    MrcHeader,
    check_mode,
    looks_like_mrc,
    parse_header,
    stored_dtype,
)
from deepict_dask.io.formats.plain import NibbleVoxels, PlainVoxels
from deepict_dask.io.formats.volume import FileAxes, StoredAxes, Volume, Voxels, check_shape, judge_voxel_size
from deepict_dask.tomogram import VoxelSize

__all__ = ["looks_like_mrc", "open_mrc", "read_mrc"]

_FOUR_BITS = 101
_STACK_SUFFIXES = (".st", ".ali", ".mrcs", ".preali")
_VOLUME_STACKS = range(401, 631)


def open_mrc(path: str | Path, axes: FileAxes | None = None) -> Volume:
    """Read the header of a plain MRC file, see `read_mrc`."""
    with open(path, "rb") as file:
        return read_mrc(file.read(N_BYTES), os.stat(path).st_size, str(path), axes)


def read_mrc(head: bytes, size: int | None, path: str, axes: FileAxes | None = None) -> Volume:
    """Understand the header of an MRC file.

    Parameters
    ----------
    head : bytes
        The first 1024 bytes.
    size : int or None
        Bytes of the file; None where it is not known (packed files), and the header is taken at its word.
    path : str
        The file, to read from and for sentences.
    axes : {"xyz", "xzy"}, optional
        How the axes lie in the file, the fastest first, whatever its header says; ``"xyz"`` also says that an
        image stack is a tomogram after all.

    Returns
    -------
    Volume
        Modes 0 and 1 (signed or unsigned, see `mrc_header.stored_dtype`), 2, 6, 12 and 101.

    Raises
    ------
    FormatError
        For any other mode, a header that makes no sense, a file that is cut off, a stack of images or volumes.

    Notes
    -----
    *Number of sections.* Where ``nz`` and the length of the file disagree: a file that holds
    fewer sections than ``nz`` is cut off and refused, unless ``nz`` is nonsense (zero, negative
    or more than ten times what is there) and the file holds a whole number of sections; a file that
    holds more whole sections than ``nz`` is read to its end where nz is 1 (old programs leave that) or mz says as
    many; other bytes behind the last section are ignored. All but the refusal give a warning.

    *Extended header.* One that is announced but not there (the file is exactly that much too short) is not
    skipped; bytes that a header with a type but without a length does not explain are refused.

    *Axes.* ``mapc, mapr, maps`` other than 1, 2, 3 are honored: the volume is delivered as z, y, x.
    """
    if len(head) < N_BYTES:
        raise FormatError(f"{path} has {len(head)} bytes, fewer than the {N_BYTES} of an MRC header")
    warnings: list[str] = []
    header = parse_header(head, path, warnings)
    check_mode(header, path)
    dtype = stored_dtype(header, path, warnings)
    is_packed = header.mode == _FOUR_BITS
    row = -(-header.columns // 2) if is_packed else header.columns * dtype.itemsize
    section = row * header.rows
    offset, sections = _where(header, section, size, path, warnings)
    _refuse_stacks(header, sections, axes, path, warnings)
    stored = _axes(header, axes, sections, path, warnings)
    z, y, x = stored.of((sections, header.rows, header.columns))
    shape = check_shape((z, y, x), path)
    voxel_size, doubt = judge_voxel_size(_voxel_size(header, axes), path, shape)
    voxels: Voxels
    if is_packed:
        lying = PlainVoxels(path, offset, (sections, header.rows, row), dtype.str)
        voxels = NibbleVoxels(lying, header.columns, stored)
    else:
        voxels = PlainVoxels(path, offset, (sections, header.rows, header.columns), dtype.str, stored)
    if header.mode == 0 and size is not None and header.imod_signed is None and header.value_range is None:
        _doubt_signed(voxels, shape, path, warnings)
    return Volume(
        format="mrc",
        shape=shape,
        dtype=dtype.newbyteorder("="),
        voxels=voxels,
        voxel_size=voxel_size,
        doubt=doubt,
        origin=_origin(header, voxel_size, stored, axes),
        value_range=header.value_range,
        details={
            "mode": header.mode,
            "byte_order": "big" if header.order == ">" else "little",
            "extended_header_bytes": offset - N_BYTES,
            "extended_header_type": header.extended_type,
            "origin_xyz_angstrom": list(header.origin),
            "labels": list(header.labels),
        },
        warnings=tuple(warnings),
    )


def _where(
    header: MrcHeader, section: int, size: int | None, path: str, warnings: list[str]
) -> tuple[int, int]:
    """Give where the voxels begin, and the number of sections."""
    announced, sections = header.extended_bytes, header.sections
    if size is None:
        if announced < 0 or sections < 1:
            raise FormatError(
                f"{path} says nz = {sections} and an extended header of {announced} bytes; it is damaged, so "
                "unpack it and repair its header"
            )
        return N_BYTES + announced, sections
    voxels, behind = section * sections, size - N_BYTES
    if announced != 0 and voxels > 0 and behind == voxels:
        warnings.append(
            f"the header of {path} claims an extended header of {announced} bytes; there is none, so the voxels "
            "were read from where it would be"
        )
        return N_BYTES, sections
    if not 0 <= announced <= behind:
        raise FormatError(
            f"{path} claims an extended header of {announced} bytes in a file of {size}; it is damaged or cut off"
        )
    if announced == 0 and header.extended_type and behind > voxels > 0:
        raise FormatError(
            f"{path} names an extended header ({header.extended_type}) of 0 bytes, but has {behind - voxels} bytes "
            f"more than its {sections} sections; write the true length into the header (nsymbt)"
        )
    return N_BYTES + announced, _sections(header, section, behind - announced, path, warnings)


def _sections(header: MrcHeader, section: int, available: int, path: str, warnings: list[str]) -> int:
    claimed = header.sections
    held, rest = divmod(available, section)
    if held == claimed:
        if rest:
            warnings.append(
                f"{path} has {rest} bytes behind its last section, which were ignored; if they are an extended "
                "header that the header does not announce, the voxels are read from the wrong place"
            )
        return claimed
    nonsense = claimed <= 0 or claimed > 10 * held
    # Old programs leave nz = 1; where nz and mz agree on more than that, what follows is something else.
    is_left = claimed == 1 or held == header.grid[2]
    if held >= 1 and rest == 0 and (nonsense or (claimed < held and is_left)):
        warnings.append(
            f"the header of {path} says nz = {claimed}, but the file holds {held} sections, which were used"
        )
        return held
    if claimed <= 0:
        raise FormatError(
            f"{path} says nz = {claimed} and holds {held} sections and {rest} bytes more; it is damaged, "
            "so repair nz in its header"
        )
    if claimed > held:
        missing = claimed * section - available
        raise FormatError(
            f"{path} is cut off: {missing} of {claimed * section} bytes of its {claimed} sections are missing; "
            "copy it again"
        )
    extra = available - claimed * section
    warnings.append(
        f"{path} has {extra} bytes behind its {claimed} sections, which were ignored; if they are an extended header "
        "that the header does not announce, the voxels are read from the wrong place"
    )
    return claimed


def _refuse_stacks(
    header: MrcHeader, sections: int, axes: FileAxes | None, path: str, warnings: list[str]
) -> None:
    per_volume = header.grid[2]
    bare = path.lower().removesuffix(".gz").removesuffix(".bz2")
    if axes is None and (suffix := next((s for s in _STACK_SUFFIXES if bare.endswith(s)), None)):
        warnings.append(
            f"{path} is named as a stack of images is ({suffix}), such as a tilt series; give what was reconstructed from "
            "it, or --axes xyz if it is a tomogram"
        )
    if sections == 1:
        warnings.append(f"{path} holds one section: it is an image and not a tomogram")
    if axes is not None or sections == 1:
        return
    if header.space_group in _VOLUME_STACKS and 0 < per_volume < sections:
        raise FormatError(
            f"{path} is a stack of {sections // per_volume} volumes of {per_volume} sections each (space group "
            f"{header.space_group}) and not one tomogram; give one of them"
        )
    # Old programs leave nz = mz = 1 in a volume; those files have more sections than their header says.
    if header.space_group == 0 and per_volume == 1 and header.sections > 1:
        raise FormatError(
            f"{path} is a stack of {sections} images (space group 0, mz = 1), such as a tilt series, and not a "
            "tomogram; give what was reconstructed from it, or --axes xyz if it is a tomogram after all"
        )


def _doubt_signed(voxels: Voxels, shape: Shape, path: str, warnings: list[str]) -> None:
    """Say that bytes were taken for signed ones, where neighbors of a middle section differ less as unsigned ones."""
    signed = voxels.read((slice(shape[0] // 2, shape[0] // 2 + 1), slice(None), slice(None)))[0]
    steps = [float(np.abs(np.diff(signed.view(kind).astype("i2"))).mean()) for kind in ("i1", "u1")]
    if shape[2] > 1 and steps[1] < steps[0]:
        warnings.append(
            f"the header of {path} says neither whether its bytes are signed nor their minimum and maximum; they "
            "were read as signed ones, which is the standard, but look like unsigned ones: have minimum and maximum "
            "written into the header (IMOD: alterheader, option mmm)"
        )


def _axes(
    header: MrcHeader, axes: FileAxes | None, sections: int, path: str, warnings: list[str]
) -> StoredAxes:
    if axes == "xzy":
        return StoredAxes((1, 0, 2))
    mapped = list(header.axes)
    if axes == "xyz" or mapped == [1, 2, 3]:
        if axes is None and 3 * header.rows <= 2 * min(header.columns, sections):
            warnings.append(
                f"{path} has few rows ({header.rows}) and many sections ({sections}), as IMOD's tilt writes tomograms "
                "before they are rotated (x, z, y); if it is one, read it with --axes xzy"
            )
        return StoredAxes()
    if sorted(mapped) != [1, 2, 3]:
        if any(mapped):
            warnings.append(f"the axis order {mapped} in the header of {path} is nonsense and was ignored")
        return StoredAxes()
    names = ", ".join("xyz"[axis - 1] for axis in reversed(mapped))
    warnings.append(f"{path} is stored with its axes in the order {names}; it is delivered as z, y, x")
    # Stored axes are sections, rows, columns: the reverse of mapc, mapr, maps.
    z, y, x = (2 - mapped.index(axis) for axis in (3, 2, 1))
    return StoredAxes((z, y, x))


def _voxel_size(header: MrcHeader, axes: FileAxes | None) -> VoxelSize:
    x, y, z = (
        length / count if count > 0 else 0.0 for length, count in zip(header.cell, header.grid, strict=True)
    )
    # The cell is along x, y and z of a header that takes rows for y.
    return (y, z, x) if axes == "xzy" else (z, y, x)


def _origin(
    header: MrcHeader, voxel_size: VoxelSize | None, stored: StoredAxes, axes: FileAxes | None
) -> VoxelSize | None:
    x, y, z = header.origin
    if all(math.isfinite(value) and abs(value) < 1e9 for value in (x, y, z)) and any((x, y, z)):
        return (y, z, x) if axes == "xzy" else (z, y, x)
    if voxel_size is None or not any(header.start):
        return None
    first: Shape = stored.of(tuple(reversed(header.start)))
    a, b, c = (n * edge for n, edge in zip(first, voxel_size, strict=True))
    return a, b, c

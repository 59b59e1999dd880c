"""Headers of MRC, REC and MAP files (MRC2014 and its older and IMOD's dialects).

Files are written with mrcfile, and tests read with it. Here the header is read by ourselves, because what
comes from microscopes and old programs must be read too where mrcfile refuses it or takes it at its word: a
wrong nz, a damaged machine stamp, unsigned bytes of IMOD, permuted axes; and because a region is all
that a worker may touch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError
from deepict_dask.io.raw import RawVolume, checked_voxel_size

HEADER_BYTES = 1024
_IMOD_STAMP = 1146047817
_LARGEST_AXIS = 65535
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_REFUSED = {
    3: "complex 16-bit integers",
    4: "complex 32-bit floats (a Fourier transform)",
    16: "RGB colors",
    101: "4-bit integers",
}


def _header_dtype(order: str) -> np.dtype:
    fields: list[tuple[Any, ...]] = [
        ("n", "i4", 3),
        ("mode", "i4"),
        ("start", "i4", 3),
        ("m", "i4", 3),
        ("cell", "f4", 3),
        ("angles", "f4", 3),
        ("map", "i4", 3),
        ("range", "f4", 3),
        ("ispg", "i4"),
        ("nsymbt", "i4"),
        ("extra1", "V8"),
        ("exttyp", "S4"),
        ("nversion", "i4"),
        ("extra2", "V40"),
        ("imod_stamp", "i4"),
        ("imod_flags", "i4"),
        ("extra3", "V36"),
        ("origin", "f4", 3),
        ("map_id", "V4"),
        ("stamp", "V4"),
        ("rms", "f4"),
        ("n_labels", "i4"),
        ("labels", "S80", 10),
    ]
    return np.dtype(fields).newbyteorder(order)  # type: ignore[arg-type]


def looks_like_mrc(head: bytes) -> bool:
    """Tell from its first 1024 bytes whether a file can be MRC, in either byte order."""
    if len(head) < HEADER_BYTES:
        return False
    return head[208:211] == b"MAP" or any(_is_plausible(_parse(head, order)) for order in "<>")


def open_mrc(path: str | Path) -> RawVolume:
    """Read the header of an MRC file.

    Parameters
    ----------
    path : str or Path
        A plain file; compressed ones go through ``open_source``.

    Returns
    -------
    RawVolume
        Modes 0 (signed unless IMOD's flags say otherwise), 1, 2, 6 and 12.

    Raises
    ------
    FormatError
        For any other mode, a header that makes no sense, or a file that is cut off.

    Notes
    -----
    *Number of sections.* Where ``nz`` and the length of the file disagree: a file that holds
    fewer sections than ``nz`` is cut off and refused, unless ``nz`` is nonsense (zero, negative
    or more than ten times what is there) and the file holds a whole number of sections; a file that
    holds more whole sections than ``nz`` (old programs leave 1) is read to its end; bytes behind the last
    section that do not make a whole one are ignored. All but the refusal give a warning.

    *Axes.* ``mapc, mapr, maps`` other than 1, 2, 3 are honored: the volume is delivered as z, y, x.

    *Voxel size.* Cell length over grid size per axis, as ``checked_voxel_size`` judges it.
    """
    path = Path(path)
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        raise FormatError(f"{path} has {size} bytes, fewer than the {HEADER_BYTES} of an MRC header")
    warnings: list[str] = []
    order = _byte_order(head, path, warnings)
    header = _parse(head, order)
    mode = int(header["mode"])
    if mode not in _DTYPES:
        kind = _REFUSED.get(mode, "an unknown kind of voxel")
        known = ", ".join(map(str, _DTYPES))
        raise FormatError(f"{path} has MRC mode {mode}, {kind}; convert it to one of the modes {known}")
    stored = np.dtype(order + _DTYPES[mode])
    if mode == 0 and int(header["imod_stamp"]) == _IMOD_STAMP and not int(header["imod_flags"]) & 1:
        stored = np.dtype("u1")
    columns, rows, sections = (int(n) for n in header["n"])
    if columns < 1 or rows < 1:
        raise FormatError(f"{path} has an MRC header with {columns} columns and {rows} rows; it is damaged")
    section = columns * rows * stored.itemsize
    offset = HEADER_BYTES + _extended_header(path, int(header["nsymbt"]), size, section * sections, warnings)
    sections = _sections(path, sections, section, size - offset, warnings)
    axes = _axes(path, header, warnings)
    voxel_size, remarks = checked_voxel_size(_voxel_size(header), str(path))
    labels = [bytes(label).decode("ascii", "replace").strip("\0 ") for label in header["labels"]]
    details = {
        "mode": mode,
        "byte_order": "big" if order == ">" else "little",
        "extended_header_bytes": offset - HEADER_BYTES,
        "extended_header_type": bytes(header["exttyp"]).decode("ascii", "replace").strip("\0 "),
        "origin_xyz_angstrom": [float(value) for value in header["origin"]],
        "labels": [label for label in labels[: max(0, int(header["n_labels"]))] if label],
    }
    return RawVolume(
        path=str(path),
        format="mrc",
        offset=offset,
        stored_shape=(sections, rows, columns),
        stored_dtype=stored.str,
        axes=axes,
        voxel_size=voxel_size,
        details=details,
        warnings=warnings + remarks,
    )


def _parse(head: bytes, order: str) -> np.void:
    parsed: np.void = np.frombuffer(head, _header_dtype(order), count=1)[0]
    return parsed


def _is_plausible(header: np.void) -> bool:
    columns, rows, _ = (int(n) for n in header["n"])
    known = int(header["mode"]) in {*_DTYPES, *_REFUSED}
    return known and 1 <= columns <= _LARGEST_AXIS and 1 <= rows <= _LARGEST_AXIS


def _byte_order(head: bytes, path: Path, warnings: list[str]) -> str:
    stamp = head[212:214]
    stamped = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}.get(stamp)
    sensible = [order for order in "<>" if _is_plausible(_parse(head, order))]
    if not sensible:
        if stamped:
            return stamped  # the mode or the shape is then named as what is wrong
        raise FormatError(f"{path} is not an MRC file: its header makes no sense in either byte order")
    if stamped in sensible:
        return str(stamped)
    order = sensible[0]
    name = "big" if order == ">" else "little"
    if stamp != b"\0\0":  # files from before MRC2000 have none
        warnings.append(
            f"the machine stamp of {path} is {stamp.hex()}, but the header makes sense as {name}-endian"
        )
    return order


def _extended_header(path: Path, n_bytes: int, size: int, voxels: int, warnings: list[str]) -> int:
    if 0 <= n_bytes <= size - HEADER_BYTES:
        return n_bytes
    if voxels > 0 and size == HEADER_BYTES + voxels:
        warnings.append(f"the header of {path} claims an extended header of {n_bytes} bytes; there is none")
        return 0
    raise FormatError(
        f"{path} claims an extended header of {n_bytes} bytes in a file of {size}; it is damaged or cut off"
    )


def _sections(path: Path, claimed: int, section: int, available: int, warnings: list[str]) -> int:
    held, rest = divmod(available, section)
    if held == claimed:
        if rest:
            warnings.append(f"{path} has {rest} bytes behind its last section, which were ignored")
        return claimed
    nonsense = claimed <= 0 or claimed > 10 * held
    if held >= 1 and rest == 0 and (nonsense or claimed < held):
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
    warnings.append(f"{path} has {extra} bytes behind its {claimed} sections, which were ignored")
    return claimed


def _axes(path: Path, header: np.void, warnings: list[str]) -> tuple[int, int, int]:
    mapped = [int(axis) for axis in header["map"]]
    if mapped == [1, 2, 3]:
        return 0, 1, 2
    if sorted(mapped) != [1, 2, 3]:
        if any(mapped):
            warnings.append(f"the axis order {mapped} in the header of {path} is nonsense and was ignored")
        return 0, 1, 2
    names = ", ".join("xyz"[axis - 1] for axis in reversed(mapped))
    warnings.append(f"{path} is stored with its axes in the order {names}; it is delivered as z, y, x")
    # Stored axes are sections, rows, columns: the reverse of mapc, mapr, maps.
    z, y, x = (2 - mapped.index(axis) for axis in (3, 2, 1))
    return z, y, x


def _voxel_size(header: np.void) -> tuple[float, float, float]:
    x, y, z = (
        float(length) / int(count) if int(count) > 0 else 0.0
        for length, count in zip(header["cell"], header["m"], strict=True)
    )
    return z, y, x

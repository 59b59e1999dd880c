"""The 1024 bytes at the beginning of an MRC file, and what can be believed of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError

N_BYTES = 1024
# What numpy calls the voxels of each mode; 4-bit voxels lie in bytes.
DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", 101: "u1"}
_REFUSED = {
    3: "complex 16-bit integers",
    4: "complex 32-bit floats (a Fourier transform)",
    16: "RGB colors",
}
IMOD_STAMP = 1146047817
_SIGNED_BYTES, _ORIGIN_AS_MRC2014 = 1, 4
SIGNED_AS_MRC2014 = _SIGNED_BYTES | _ORIGIN_AS_MRC2014
"""IMOD's flags of a file whose bytes are signed and whose origin has the sign of MRC2014."""
_LARGEST_AXIS = 65535


def header_dtype(order: str) -> np.dtype:
    """Give the fields of a header, ``<`` or ``>`` endian."""
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


@dataclass(frozen=True)
class MrcHeader:
    """The fields that are used.

    Attributes
    ----------
    order : str
        ``"<"`` or ``">"``.
    columns, rows, sections : int
        As the header says, which may be nonsense.
    mode : int
        Kind of voxel.
    grid : (int, int, int)
        Intervals of the cell along x, y, z.
    cell : (float, float, float)
        Its lengths along x, y, z in A.
    start : (int, int, int)
        First voxel along columns, rows, sections.
    axes : (int, int, int)
        Which of x (1), y (2), z (3) columns, rows and sections are.
    value_range : (float, float) or None
        Smallest and largest value of a voxel; None where they are not set.
    space_group : int
        0 image stack (or a volume of careless programs), 1 volume, 401 stack of volumes.
    extended_bytes : int
        Of the extended header, as announced.
    extended_type : str
        Its kind; mostly empty.
    origin : (float, float, float)
        (x, y, z) in A of the first voxel, the sign of IMOD's older files turned.
    imod_signed : bool or None
        What IMOD's flags say about bytes; None where IMOD did not write the header.
    labels : tuple of str
        Texts.
    """

    order: str
    columns: int
    rows: int
    sections: int
    mode: int
    grid: tuple[int, ...]
    cell: tuple[float, ...]
    start: tuple[int, ...]
    axes: tuple[int, ...]
    value_range: tuple[float, float] | None
    space_group: int
    extended_bytes: int
    extended_type: str
    origin: tuple[float, ...]
    imod_signed: bool | None
    labels: tuple[str, ...]

    @classmethod
    def parse(cls, head: bytes, order: str) -> MrcHeader:
        """Read the fields in a byte order."""
        h: np.void = np.frombuffer(head, header_dtype(order), count=1)[0]
        columns, rows, sections = (int(n) for n in h["n"])
        low, high = float(h["range"][0]), float(h["range"][1])
        is_imod = int(h["imod_stamp"]) == IMOD_STAMP
        flags = int(h["imod_flags"])
        sign = -1.0 if is_imod and not flags & _ORIGIN_AS_MRC2014 else 1.0
        labels = [bytes(label).decode("ascii", "replace").strip("\0 ") for label in h["labels"]]
        return cls(
            order=order,
            columns=columns,
            rows=rows,
            sections=sections,
            mode=int(h["mode"]),
            grid=tuple(int(n) for n in h["m"]),
            cell=tuple(float(edge) for edge in h["cell"]),
            start=tuple(int(n) for n in h["start"]),
            axes=tuple(int(axis) for axis in h["map"]),
            value_range=(low, high) if _is_set(low, high) else None,
            space_group=int(h["ispg"]),
            extended_bytes=int(h["nsymbt"]),
            extended_type=bytes(h["exttyp"]).decode("ascii", "replace").strip("\0 "),
            origin=tuple(sign * float(value) + 0.0 for value in h["origin"]),
            imod_signed=bool(flags & _SIGNED_BYTES) if is_imod else None,
            labels=tuple(label for label in labels[: max(0, int(h["n_labels"]))] if label),
        )

    @property
    def is_plausible(self) -> bool:
        """Whether mode, columns and rows can be those of an MRC file."""
        has_mode = self.mode in {*DTYPES, *_REFUSED}
        return has_mode and 1 <= self.columns <= _LARGEST_AXIS and 1 <= self.rows <= _LARGEST_AXIS


def _is_set(low: float, high: float) -> bool:
    # Zeros, or a maximum below the minimum, mean that nobody computed them.
    return math.isfinite(low) and math.isfinite(high) and low <= high and (low, high) != (0.0, 0.0)


def looks_like_mrc(head: bytes) -> bool:
    """Tell from its first 1024 bytes whether a file can be MRC, in either byte order."""
    if len(head) < N_BYTES:
        return False
    return head[208:211] == b"MAP" or any(MrcHeader.parse(head, order).is_plausible for order in "<>")


def parse_header(head: bytes, place: str, warnings: list[str]) -> MrcHeader:
    """Read the header in the byte order in which it makes sense.

    Raises
    ------
    FormatError
        If it makes sense in neither, or its mode or shape is not one of a tomogram.
    """
    stamp = head[212:214]
    stamped = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}.get(stamp)
    both = {order: MrcHeader.parse(head, order) for order in "<>"}
    sensible = [order for order, header in both.items() if header.is_plausible]
    if stamped in sensible:
        return both[str(stamped)]
    if sensible:
        order = sensible[0]
        name = "big" if order == ">" else "little"
        if stamp != b"\0\0":  # files from before MRC2000 have none
            warnings.append(
                f"the machine stamp of {place} is {stamp.hex()}, but the header makes sense as {name}-endian"
            )
        return both[order]
    if stamped is None and head[208:211] != b"MAP":
        raise FormatError(f"{place} is not an MRC file: its header makes no sense in either byte order")
    header = both[stamped or "<"]
    if header.mode not in {*DTYPES, *_REFUSED}:
        raise FormatError(
            f"{place} has MRC mode {header.mode}, which does not exist; its header is damaged, so copy or "
            "convert the file again"
        )
    raise FormatError(
        f"{place} has an MRC header with {header.columns} columns and {header.rows} rows; it is damaged"
    )


def pixel_size_of(path: Path) -> float | None:
    """Read the edge of a pixel along x in A from the header of a stack or volume.

    Returns
    -------
    float or None
        None where the header says 0 or exactly 1, as programs write that do not know it.

    Raises
    ------
    FormatError
        If it is no MRC file.
    """
    with path.open("rb") as file:
        head = file.read(N_BYTES)
    if not looks_like_mrc(head):
        raise FormatError(f"{path} is not an MRC file")
    header = parse_header(head, str(path), [])
    size = header.cell[0] / header.grid[0] if header.grid[0] > 0 else 0.0
    # The shortest number that is this float32: 1.35, not 1.350000023.
    size = float(str(np.float32(size)))
    return size if math.isfinite(size) and size > 0 and size != 1.0 else None


def check_mode(header: MrcHeader, place: str) -> None:
    """Refuse kinds of voxels that are not real numbers."""
    if header.mode in _REFUSED:
        modes = ", ".join(map(str, DTYPES))
        raise FormatError(
            f"{place} has MRC mode {header.mode}, {_REFUSED[header.mode]}; convert it to one of the modes {modes}"
        )


def stored_dtype(header: MrcHeader, place: str, warnings: list[str]) -> np.dtype:
    """Give the dtype of the voxels: signed or unsigned as IMOD's flags and the header's range say.

    Notes
    -----
    Mode 0 is signed by the standard; IMOD before 2010, EPU, Amira and others write unsigned bytes. A
    value below 0 is only possible in signed voxels, one above 127 (32767 in mode 1) only in unsigned ones. IMOD's
    flags are believed where the range does not contradict them.
    """
    dtype = np.dtype(header.order + DTYPES[header.mode])
    if header.mode not in (0, 1):
        return dtype
    unsigned = np.dtype(header.order + dtype.str[1:].replace("i", "u"))
    largest = int(np.iinfo(dtype).max)
    low, high = header.value_range or (0.0, 0.0)
    what = "bytes" if header.mode == 0 else "16-bit integers"
    header_range = f"the header of {place} says that its voxels lie between {low:g} and {high:g}"
    needs_signed, needs_unsigned = low < 0, high > largest
    if header.mode == 0 and header.imod_signed is not None:
        if not header.imod_signed and needs_signed and not needs_unsigned:
            warnings.append(
                f"{header_range}, though it is marked as unsigned bytes; they were read as signed ones"
            )
            return dtype
        if header.imod_signed and needs_unsigned:
            warnings.append(
                f"{header_range}, though it is marked as signed bytes; they were read as signed ones"
            )
        return dtype if header.imod_signed else unsigned
    if needs_unsigned and not needs_signed:
        warnings.append(f"{header_range}, so its {what} (mode {header.mode}) were read as unsigned ones")
        return unsigned
    if needs_signed and needs_unsigned:
        warnings.append(f"{header_range}, which no {what} can; they were read as signed ones")
    return dtype

"""Amplitude spectra as tab-separated tables: the original's, and ours with its units in comments."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.location import Location
from deepict_dask.spectrum import Convention, Spectrum

_DEEPICT = ["freq", "intensity"]
_PHYSICAL = ["frequency", "amplitude"]


def write_spectrum(spectrum: Spectrum, path: str | Path | Location) -> None:
    """Write a spectrum.

    Parameters
    ----------
    spectrum : Spectrum
        ``deepict`` becomes the original's file, byte for byte: columns ``freq`` (index) and ``intensity``.
        ``physical`` has columns ``frequency`` (1/A) and ``amplitude``, below ``#`` lines with convention,
        voxel size and shape.
    path : str or Path
        Overwritten if it exists.
    """
    lines = []
    if spectrum.convention == "physical":
        lines.append("# convention: physical")
        if spectrum.voxel_size is not None:
            lines.append(f"# voxel_size: {' '.join(repr(float(v)) for v in spectrum.voxel_size)}")
        if spectrum.shape is not None:
            lines.append(f"# shape: {' '.join(str(int(n)) for n in spectrum.shape)}")
        lines.append("# frequency in 1/A, amplitude in density x A**1.5; voxel_size in A, both (z, y, x)")
        lines.append("\t".join(_PHYSICAL))
        keys = [repr(float(f)) for f in spectrum.frequency]
    else:
        lines.append("\t".join(_DEEPICT))
        keys = [str(int(f)) for f in spectrum.frequency]
    lines += [f"{key}\t{float(a)!r}" for key, a in zip(keys, spectrum.amplitude, strict=True)]
    Location.of(path).write("\n".join(lines) + "\n")


def read_spectrum(path: str | Path, convention: Convention | None = None) -> Spectrum:
    """Read a spectrum; the file says in which convention it is.

    Parameters
    ----------
    path : str or Path
        As written by `write_spectrum` or by the original.
    convention : {"physical", "deepict"}, optional
        Refuse the other one.

    Returns
    -------
    Spectrum

    Raises
    ------
    MissingFileError
        If there is no such file.
    FormatError
        If it is no spectrum; names the line.
    InputError
        If it is in the other convention; says what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"there is no target spectrum {path}; check the path, or extract one first")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise FormatError(
            f"{path} is no text file and so no spectrum; give a .tsv of `deepict-dask spectrum`"
        ) from None
    comments: dict[str, tuple[int, str]] = {}
    header: list[str] | None = None
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            comments[key.strip()] = (number, value.strip())
        elif not line.strip():
            continue
        elif header is None:
            header = line.split("\t") if "\t" in line else line.split()
            if header not in (_DEEPICT, _PHYSICAL):
                raise FormatError(
                    f'line {number} of {path} must be the header "freq<TAB>intensity" or '
                    f'"frequency<TAB>amplitude", not "{line[:60]}"; extract the spectrum again'
                )
        else:
            rows.append(_row(path, number, line, header == _DEEPICT, rows))
    if header is None or not rows:
        raise FormatError(
            f"{path} holds no spectrum: it ends at line {len(lines)}; extract the spectrum again"
        )
    stated: Convention = "deepict" if header == _DEEPICT else "physical"
    if convention is not None and stated != convention:
        raise InputError(_other(path, stated))
    table = np.array(rows)
    voxel_size = _triple(path, comments, "voxel_size", float)
    shape = _triple(path, comments, "shape", int)
    return Spectrum(stated, table[:, 0].copy(), table[:, 1].copy(), voxel_size, shape)  # type: ignore[arg-type]


def _row(
    path: Path, number: int, line: str, is_indexed: bool, before: list[tuple[float, float]]
) -> tuple[float, float]:
    fields = line.split("\t") if "\t" in line else line.split()
    try:
        frequency, amplitude = map(float, fields)
    except ValueError:
        raise FormatError(
            f'line {number} of {path} must be two numbers separated by a tab, not "{line[:60]}"; '
            "extract the spectrum again"
        ) from None
    if not (math.isfinite(frequency) and math.isfinite(amplitude) and frequency >= 0 and amplitude >= 0):
        raise FormatError(
            f'line {number} of {path} must hold finite numbers of at least 0, not "{line[:60]}"; '
            "extract the spectrum again"
        )
    if not is_indexed and frequency == 0:
        raise FormatError(
            f"line {number} of {path} must have a frequency above 0: the mean is no part of a spectrum; "
            "extract the spectrum again"
        )
    if is_indexed and frequency != len(before):
        raise FormatError(
            f"line {number} of {path} must be shell {len(before)}, not {frequency:g}: the original numbers them "
            "0, 1, 2, ...; extract the spectrum again"
        )
    if before and frequency <= before[-1][0]:
        raise FormatError(
            f"line {number} of {path} must have a higher frequency than {before[-1][0]:g}, not {frequency:g}; "
            "extract the spectrum again"
        )
    return frequency, amplitude


def _triple(
    path: Path, comments: dict[str, tuple[int, str]], key: str, kind: type[float] | type[int]
) -> tuple[float, ...] | None:
    if key not in comments:
        return None
    number, text = comments[key]
    try:
        values = tuple(kind(v) for v in text.split())
    except ValueError:
        values = ()
    if len(values) != 3 or not all(math.isfinite(v) and v > 0 for v in values):
        raise FormatError(
            f'line {number} of {path} must give three positive numbers (z, y, x) as {key}, not "{text[:60]}"; '
            "extract the spectrum again"
        )
    return values


def _other(path: Path, convention: Convention) -> str:
    if convention == "deepict":
        return (
            f"{path} is a spectrum of the original DeePiCt, which knows no voxel size and so no frequency in 1/A; "
            'equalize with convention "deepict", or give the tomogram it was taken from as the target'
        )
    return (
        f'{path} is a "physical" spectrum in 1/A, which the original\'s equalization by index cannot use; '
        'equalize with convention "physical", or extract the target with convention "deepict"'
    )

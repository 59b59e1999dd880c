"""Dtypes of exported maps, and what their values mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import BlockGrid
from deepict_dask.io.formats.mrc_writing import MODES
from deepict_dask.kernels.statistics import Statistics, block_statistics, combine
from deepict_dask.stages.exporting.exportable import Exportable, blocks_of
from deepict_dask.stages.report import Reporter

_PERCENT = 100
# Integers of a tomogram span so many standard deviations on each side of its mean.
_SPAN = 5
# Largest whole number up to which all are held exactly.
_EXACT = {"int8": 127, "int16": 32767, "uint16": 65535, "float16": 2048, "float32": 1 << 24}


@dataclass(frozen=True)
class Values:
    """How voxels become those of the file: ``voxel * factor + shift``, in a dtype.

    Attributes
    ----------
    dtype : str
        Of the file.
    meaning : str
        What the values are, in a few words.
    factor, shift : float
        1 and 0 where they stay as they are.
    """

    dtype: str
    meaning: str
    factor: float = 1.0
    shift: float = 0.0

    def of(self, block: np.ndarray) -> np.ndarray:
        """Convert a block; what does not fit into integers is clipped.

        Raises
        ------
        InputError
            If a voxel is not a number, and integers are to be written.
        """
        dtype = np.dtype(self.dtype)
        if dtype.kind in "iu" and block.dtype.kind == "f" and not np.isfinite(block).all():
            raise InputError(f"voxels are NaN or infinite, which {self.dtype} cannot hold; choose float32")
        if (self.factor, self.shift) == (1.0, 0.0):
            is_rounded = dtype.kind in "iu" and block.dtype.kind == "f"
            return (np.rint(block) if is_rounded else block).astype(dtype)
        values = block.astype(np.float32) * np.float32(self.factor) + np.float32(self.shift)
        if dtype.kind in "iu":
            values = np.clip(np.rint(values), *_limits(dtype))
        return values.astype(dtype)


def choose_values(
    exportable: Exportable,
    dtype: str | None,
    is_smoothed: bool,
    grid: BlockGrid,
    reporter: Reporter,
) -> Values:
    """Choose the dtype of a file, and what becomes of the voxels in it.

    Parameters
    ----------
    exportable : Exportable
        What is written.
    dtype : str or None
        As asked for; None for the program's choice.
    is_smoothed : bool
        Whether its values become fractions.
    grid : BlockGrid
        In which it is read where the range of its voxels decides.
    reporter : Reporter
        Follows that reading.

    Raises
    ------
    InputError
        If the voxels do not fit.
    """
    if exportable.kind == "probability":
        chosen = dtype or "float32"
        if np.dtype(chosen).kind in "iu":
            return Values(chosen, "probability in percent", exportable.scale * _PERCENT)
        return Values(chosen, "probability", exportable.scale)
    own = np.dtype(exportable.voxels.dtype)
    as_they_are = "values as they are" if not is_smoothed else "smoothed values"
    if exportable.kind == "tomogram":
        native = own.name if own.name in MODES else "int16" if own.itemsize == 1 else "float32"
        usual = "float32" if is_smoothed else native
        chosen = dtype or usual
        if chosen in (own.name, "float32"):
            return Values(chosen, as_they_are)
    # Whether the values fit is known only when they have been read.
    with reporter.progress("read", exportable.name, grid.n_blocks) as advance:
        statistics = _scanned(exportable, grid, advance)
    low, high = statistics.minimum, statistics.maximum
    if exportable.kind == "labels":
        chosen = dtype or next((n for n in ("int16", "uint16", "float32") if high <= _EXACT[n]), "float32")
        if high > _EXACT[chosen]:
            raise InputError(
                f"the largest label is {high:g}, and {chosen} holds whole numbers up to {_EXACT[chosen]}; choose one of "
                f"{', '.join(n for n, most in _EXACT.items() if high <= most) or 'the labels: MRC holds none so large'}"
            )
        return Values(chosen, "labels")
    target = np.dtype(chosen)
    if target.kind == "f":
        if max(abs(low), abs(high)) > float(np.finfo(target).max):
            raise InputError(
                f"{exportable.name} holds values from {low:g} to {high:g}, and {chosen} holds up to "
                f"{float(np.finfo(target).max):g}; choose float32"
            )
        return Values(chosen, as_they_are)
    first, last = _limits(target)
    if own.kind in "iub" and np.iinfo(target).min <= low and high <= last:
        return Values(chosen, as_they_are)
    if not statistics.std > 0:
        raise InputError(f"{exportable.name} is constant and cannot be stretched to {chosen}; choose float32")
    factor = (last - first) / (2 * _SPAN * statistics.std)
    shift = (first + last) / 2 - statistics.mean * factor
    meaning = f"{first} to {last} stand for {_SPAN} standard deviations on each side of the mean"
    return Values(chosen, meaning, factor, shift)


def _scanned(exportable: Exportable, grid: BlockGrid, advance: Callable[[int], None]) -> Statistics:
    parts = []
    for _, block in blocks_of(exportable.voxels, grid, (0.0, 0.0, 0.0)):
        parts.append(block_statistics(block))
        advance(1)
    return combine(parts)


def _limits(dtype: np.dtype) -> tuple[int, int]:
    """Give the range of an integer dtype, the same on both sides of 0 where it is signed."""
    limits = np.iinfo(dtype)
    return max(limits.min, -limits.max), limits.max

"""What values voxels have, in one line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BARS, _PLAIN_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"


@dataclass(frozen=True)
class Histogram:
    """Of a sample of voxels.

    Attributes
    ----------
    counts : tuple of int
        Voxels per bin; bins are equally wide from ``low`` to ``high``.
    low, high : float
        Smallest and largest finite value.
    mean, std : float
        Of the finite values.
    commonest : float
        The value that most voxels have.
    share : float
        Part of the voxels that have it, 0 to 1.
    n_not_finite : int
        Voxels that are NaN or infinite.
    """

    counts: tuple[int, ...]
    low: float
    high: float
    mean: float
    std: float
    commonest: float
    share: float
    n_not_finite: int

    @property
    def largest_deviation(self) -> float:
        """Of a voxel from the mean, in standard deviations; 0 where all are equal."""
        if self.std == 0:
            return 0.0
        return max(self.high - self.mean, self.mean - self.low) / self.std

    def line(self, *, plain: bool = False) -> str:
        """Draw it, one character per bin; a bin with few voxels shows, one with none is blank.

        Parameters
        ----------
        plain : bool
            Use ASCII only.

        Examples
        --------
        >>> histogram(np.array([0, 0, 0, 0, 1, 1, 3]), 4).line(plain=True)
        '@= :'
        """
        bars = _PLAIN_BARS if plain else _BARS
        most = max(self.counts)
        steps = len(bars) - 1
        return "".join(bars[-(-c * steps // most)] if c else " " for c in self.counts)


def histogram(values: np.ndarray, n_bins: int = 40) -> Histogram | None:
    """Count values.

    Parameters
    ----------
    values : numpy.ndarray
        Of any real dtype and shape.
    n_bins : int
        Of equal width.

    Returns
    -------
    Histogram or None
        None if no value is finite.
    """
    flat = np.ravel(values)
    finite = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat
    if finite.size == 0:
        return None
    finite = finite.astype(np.float64)
    low, high = float(finite.min()), float(finite.max())
    # Where the range is beyond what a bin's width can say, all voxels are in the first and the last bin.
    width = (high - low) / n_bins
    bins = np.zeros(finite.size, np.int64)
    if width > 0:
        bins = np.minimum(((finite - low) / width).astype(np.int64), n_bins - 1)
    same, n = np.unique(finite, return_counts=True)
    at = int(n.argmax())
    return Histogram(
        counts=tuple(int(c) for c in np.bincount(bins, minlength=n_bins)),
        low=low,
        high=high,
        mean=float(finite.mean()),
        std=float(finite.std()),
        commonest=float(same[at]),
        share=float(n[at] / flat.size),
        n_not_finite=int(flat.size - finite.size),
    )

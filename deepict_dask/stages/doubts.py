"""Doubts about the voxels of a tomogram: one of them, or one value, may spoil what a network sees."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from deepict_dask.kernels.occurrences import Occurrences
from deepict_dask.kernels.statistics import Statistics

# A largest deviation beyond so many standard deviations is no density.
FAR = 100.0
# Shares of the voxels, and of their variance, that one value should not have.
MANY, SPREAD = 0.1, 0.2
# With fewer voxels a value is that of outliers and no padding.
_FEW = 0.01


def doubts(
    statistics: Statistics,
    occurrences: Occurrences | None,
    name: str,
    dtype: np.dtype,
    asked: Collection[str] = (),
) -> list[str]:
    """Say what mean and standard deviation suffer from.

    Parameters
    ----------
    statistics : Statistics
        Of the voxels that count.
    occurrences : Occurrences or None
        Of the same voxels; None where they were not counted.
    name : str
        Of the tomogram.
    dtype : numpy.dtype
        Of its voxels, in whose digits values are written.
    asked : collection of str
        Settings that are in use, and no way out any more: ``clip``.

    Returns
    -------
    list of str
        Sentences with the number and the way out; none for a tomogram that is as they are.
    """
    if not statistics.std > 0 or _is_mask(occurrences):
        return []
    sentences = []
    padding = _padding(statistics, occurrences)
    for value, share in padding.items():
        way_out = f"--ignore-value {plain(value, dtype)} leaves them out"
        if "ignore_value" in asked:
            way_out = "one value can be left out, so give these that one in the file"
        sentences.append(
            f"{name}: {_percent(share)} of the voxels are {plain(value, dtype)}, as if nothing were there (padding, a mask, a "
            "bar); they count for mean, standard deviation and spectrum, and spoil what a network sees; "
            f"{way_out}"
        )
    low, high = statistics.minimum, statistics.maximum
    farthest = high if high - statistics.mean >= statistics.mean - low else low
    deviation = abs(farthest - statistics.mean) / statistics.std
    spread = _spread(statistics, occurrences, farthest)
    if "clip" not in asked and farthest not in padding and (deviation > FAR or spread > SPREAD):
        part = f" and make {_percent(spread)} of the variance" if spread > SPREAD else ""
        sentences.append(
            f"{name}: voxels of {plain(farthest, dtype)} lie {deviation:.0f} standard deviations from the mean "
            f"{statistics.mean:.6g}{part} (hot pixels, gold, damage); the contrast of all others is lost to a network; --clip 6 "
            "limits voxels to 6 standard deviations, taken without them"
        )
    return sentences


def plain(value: float, dtype: np.dtype) -> str:
    """Write a value with as many digits as its dtype has, so that it can be given back.

    >>> plain(float(np.float32(0.1)), np.dtype(np.float32)), plain(-150.0, np.dtype(np.float32))
    ('0.1', '-150')
    """
    if dtype.kind != "f":
        return f"{value:.17g}"
    exact = dtype.type(value)
    is_short = value == 0 or 1e-4 <= abs(value) < 1e9
    return np.format_float_positional(exact, trim="-") if is_short else str(exact)


def _is_mask(occurrences: Occurrences | None) -> bool:
    """Tell what has two values only: no tomogram."""
    return occurrences is not None and sum(n for _, n in occurrences.common[:2]) == occurrences.count


def _padding(statistics: Statistics, occurrences: Occurrences | None) -> dict[float, float]:
    """Give values that many voxels have, or that carry much of the variance; and their share of the voxels."""
    if occurrences is None or not occurrences.count:
        return {}
    n = occurrences.count
    shares = {value: times / n for value, times in occurrences.outstanding}
    for value, times in (
        (occurrences.minimum, occurrences.n_minimum),
        (occurrences.maximum, occurrences.n_maximum),
    ):
        if times / n >= _FEW and _spread(statistics, occurrences, value) > SPREAD:
            shares[value] = times / n
    return {
        value: share
        for value, share in shares.items()
        if share >= MANY or (share >= _FEW and share * _square(statistics, value) > SPREAD)
    }


def _spread(statistics: Statistics, occurrences: Occurrences | None, value: float) -> float:
    """Give the part of the variance that comes from the voxels of an extreme value."""
    if occurrences is None or not occurrences.count:
        return 0.0
    times = {
        occurrences.minimum: occurrences.n_minimum,
        occurrences.maximum: occurrences.n_maximum,
    }.get(value, 0)
    return min(1.0, times / occurrences.count * _square(statistics, value))


def _square(statistics: Statistics, value: float) -> float:
    return ((value - statistics.mean) / statistics.std) ** 2


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"

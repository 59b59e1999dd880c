"""Which tomograms are unlike the others: robust z-scores by median and median absolute deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepict_dask.campaign.report.facts import ReportFacts, TomogramFacts

LIMIT = 3.5
"""Of a robust z-score's magnitude, beyond which a value is far from the others."""
LEAST = 5
"""Tomograms with a value, below which none of them is called unusual."""
SIGMA_PER_MAD = 1.4826
_VOXEL_SIZE_SLACK, _CONTRAST_SLACK = 0.01, 0.05
RULE = (
    f"A value is far from the others if it lies more than {LIMIT:g} standard deviations from their median, where a standard "
    f"deviation is {SIGMA_PER_MAD:g} times the median absolute deviation, but not less than the counting noise of the "
    "expected number (its square root) for particles, "
    f"{100 * _VOXEL_SIZE_SLACK:g} % of the median for voxel sizes and {100 * _CONTRAST_SLACK:g} % for contrast (standard "
    f"deviation over range of the voxels). It takes at least {LEAST} tomograms. Numbers of particles are compared per volume "
    "where the volumes are known. A tomogram without any particle is always named."
)


@dataclass(frozen=True)
class Remark:
    """Why a tomogram is worth a look.

    Attributes
    ----------
    kind : {"none", "count", "voxel size", "contrast"}
        What is unusual.
    sentence : str
        For people.
    score : float
        Robust z-score; NaN where the remark needs none.
    """

    kind: str
    sentence: str
    score: float = math.nan


def robust_scores(values: Sequence[float], floor: Sequence[float] | float = 0.0) -> np.ndarray:
    """Give how many standard deviations each value lies from the median, both estimated robustly.

    Parameters
    ----------
    values : (n,)
        NaN where not known; such have the score NaN.
    floor : float or (n,)
        Standard deviations are not taken to be smaller than this.

    Returns
    -------
    numpy.ndarray of float64, (n,)
        0 for all where less than `LEAST` values are known.

    Examples
    --------
    >>> robust_scores([9, 10, 11, 10, 30], floor=1.0).round(1)
    array([-0.7,  0. ,  0.7,  0. , 13.5])
    """
    x = np.asarray(values, np.float64)
    known = x[np.isfinite(x)]
    if len(known) < LEAST:
        return np.where(np.isfinite(x), 0.0, np.nan)
    median = np.median(known)
    spread = SIGMA_PER_MAD * np.median(np.abs(known - median))
    scale = np.maximum(spread, np.broadcast_to(np.asarray(floor, np.float64), x.shape))
    difference = x - median
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = difference / scale
    # Without any spread, whatever differs is far away.
    return np.where(difference == 0, 0.0, scores)


def remarks(facts: ReportFacts) -> dict[str, tuple[Remark, ...]]:
    """Say which tomograms are worth a look, by name; those of which nothing is to be said are left out."""
    said: dict[str, list[Remark]] = {}

    def note(tomogram: TomogramFacts, remark: Remark) -> None:
        said.setdefault(tomogram.name, []).append(remark)

    complete = facts.complete
    for t in complete:
        if t.n == 0:
            note(t, Remark("none", "no particles"))
    for name in facts.classes:
        _counts(name, [t for t in complete if t.of_class(name) is not None], note)
    sizes = [_edge(t) for t in facts.tomograms]
    for t, size, score, median in _far(facts.tomograms, sizes, _VOXEL_SIZE_SLACK):
        note(t, Remark("voxel size", f"voxel size {size:.4g} Å; the others have {median:.4g} Å", score))
    contrasts = [math.nan if t.state.contrast is None else t.state.contrast for t in facts.tomograms]
    for t, contrast, score, median in _far(facts.tomograms, contrasts, _CONTRAST_SLACK):
        note(t, Remark("contrast", f"contrast {contrast:.3g}; the others have about {median:.3g}", score))
    return {name: tuple(list_) for name, list_ in said.items()}


def _counts(name: str, tomograms: list[TomogramFacts], note: object) -> None:
    """Compare the particles of one class."""
    assert callable(note)
    found = [t.of_class(name) for t in tomograms]
    counts = np.array([f.n for f in found if f is not None], np.float64)
    volumes = [t.searched(f) for t, f in zip(tomograms, found, strict=True) if f is not None]
    by_volume = all(volumes)
    volume = np.array([v or 1.0 for v in volumes]) if by_volume else np.ones(len(counts))
    values = counts / volume
    median = float(np.median(values)) if len(values) else 0.0
    noise = np.sqrt(np.maximum(median * volume, 1.0)) / volume
    for t, n, size, score in zip(
        tomograms, counts, volume, robust_scores(values.tolist(), noise.tolist()), strict=True
    ):
        if abs(score) > LIMIT and t.n > 0:
            word = "many" if score > 0 else "few"
            expected = median * size
            note(
                t,
                Remark(
                    "count",
                    f"{word} particles of {name}: {n:.0f}, where about {expected:.0f} are usual",
                    float(score),
                ),
            )


def _edge(tomogram: TomogramFacts) -> float:
    """Give the edge of a cube as large as a voxel in A; NaN where it is not known."""
    size = tomogram.state.voxel_size
    return math.nan if size is None else float(np.cbrt(np.prod(size)))


def _far(
    tomograms: Sequence[TomogramFacts], values: list[float], slack: float
) -> list[tuple[TomogramFacts, float, float, float]]:
    """Give those far from the others: tomogram, value, score, median."""
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return []
    median = float(np.median(known))
    scores = robust_scores(values, slack * abs(median))
    rows = zip(tomograms, values, scores, strict=True)
    return [(t, v, float(s), median) for t, v, s in rows if abs(s) > LIMIT]

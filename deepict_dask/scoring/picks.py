"""Evaluate picks: match them with the truth, per tomogram and pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepict_dask.errors import InputError, NeedsGridError
from deepict_dask.io.tables.files import NAMELESS, Table, find_tables
from deepict_dask.kernels.curves import added_matches, precision_recall_curve
from deepict_dask.kernels.matching import match
from deepict_dask.particles import UNKNOWN_GRID, Particles, VoxelGrid
from deepict_dask.scoring.scores import POOLED, Evaluation, Scores
from deepict_dask.stages.report import Reporter
from deepict_dask.tomogram import VoxelSize, per_axis

TOLERANCE = 135.0
"""Largest distance in A between a pick and the true position that it is, as in the paper."""

ParticlesOrPath = Particles | str


@dataclass(frozen=True, eq=False)
class _Matched:
    """Picks of one class in one tomogram, and which of them add a match in order of their score."""

    class_name: str
    tomogram: str
    truth_name: str
    scores: np.ndarray
    added: np.ndarray
    n_matched: int
    n_truth: int
    remarks: tuple[str, ...] = ()


def evaluate(
    picks: ParticlesOrPath,
    truth: ParticlesOrPath,
    *,
    pairs: Iterable[tuple[ParticlesOrPath, ParticlesOrPath]] = (),
    tolerance: float = TOLERANCE,
    voxel_size: float | VoxelSize | None = None,
    class_name: str | Sequence[str] | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Compare picks with true positions.

    Parameters
    ----------
    picks, truth : Particles or path
        A table; or a folder (run folder, ``NAME/particles.csv``, ``NAME.csv``), in which tomograms are
        found by name. ``{name}`` in the path of the truth stands for the tomogram's name.
    pairs : sequence of (picks, truth)
        Further tomograms.
    tolerance : float
        Largest distance of a pair in A.
    voxel_size : float or (float, float, float), optional
        In A; needed where no table says it, and overrides what tables say.
    class_name : str or sequence of str, optional
        Classes to evaluate; all that the picks name unless given.
    reporter : Reporter, optional
        Told of tomograms that are left out.

    Returns
    -------
    Evaluation
        Pairs are one pick and one true position, closest pairs first. The curve counts, at every
        score, the pairs that the picks with at least this score make among themselves; so its last point
        has the precision and recall of all picks. Pooled scores add up counts over tomograms.

    Raises
    ------
    InputError
        If no tomogram is in both, the voxel size is not known, or the class is not clear.

    Examples
    --------
    >>> picks = Particles.from_positions([[0, 0, 0], [0, 0, 50]], score=np.array([0.9, 0.4]))
    >>> truth = Particles.from_positions([[0, 0, 3], [9, 9, 9]])
    >>> found = evaluate(picks, truth, voxel_size=10).pooled[0]
    >>> found.precision, found.recall, found.auprc
    (0.5, 0.5, 0.5)
    """
    reporter = reporter or Reporter()
    class_names = [class_name] if isinstance(class_name, str) else list(class_name or ())
    edges = None if voxel_size is None else per_axis(voxel_size)
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"tolerance {tolerance!r} is not a positive distance in A")
    matched: list[_Matched] = []
    compared = [(picks, truth), *pairs]
    for some_picks, some_truth in compared:
        for one, other in _paired(some_picks, some_truth, class_names, reporter):
            matched.append(_match(one, other, tolerance, edges))
    for sentence in dict.fromkeys(remark for m in matched for remark in m.remarks):
        reporter.warn(sentence)
    matched = _told_apart(matched)
    classes = list(dict.fromkeys(m.class_name for m in matched))
    return Evaluation(
        "picks",
        [_scores([m], m.tomogram) for name in classes for m in matched if m.class_name == name],
        [_scores([m for m in matched if m.class_name == name], POOLED) for name in classes],
        {
            "tolerance": tolerance,
            "voxel_size": edges,
            "classes": classes,
            "pairs": [[str(a), str(b)] for a, b in compared],
        },
    )


def _match(picks: Particles, truth: Particles, tolerance: float, edges: VoxelSize | None) -> _Matched:
    picks_size, truth_size = (
        edges or picks.voxel_size or truth.voxel_size,
        edges or truth.voxel_size or picks.voxel_size,
    )
    if picks_size is None or truth_size is None:
        raise InputError(
            f"nothing says the voxel size of the picks in {picks.tomogram or 'the tomogram'}; "
            "give it with --voxel-size (in A)"
        )
    # In units of one voxel edge: where voxels are cubes of one size positions stay as they are.
    unit = truth_size[0]
    picked = picks.positions * (np.array(picks_size) / unit)
    true = truth.positions * (np.array(truth_size) / unit)
    pairs = match(picked, true, tolerance / unit)
    added = added_matches(picked, true, picks.score, tolerance / unit)
    class_name = picks.class_name or truth.class_name
    name, other = picks.tomogram or truth.tomogram or "tomogram", truth.tomogram or "tomogram"
    remarks = []
    if not len(pairs.pairs) and len(picks) and len(truth):
        remarks.append(explain_no_match(picked, true, tolerance / unit, unit, name))
    if (twice := _n_twice(true)) > 0:
        remarks.append(
            f"the truth of {class_name or name} holds {twice} of its {len(true)} positions more than once, and each counts as a "
            "particle of its own; leave the copies out"
        )
    return _Matched(class_name, name, other, picks.score, added, len(pairs.pairs), len(truth), tuple(remarks))


def _n_twice(positions: np.ndarray) -> int:
    """Count the rows that are there already further up."""
    return len(positions) - len(np.unique(np.round(positions, 3), axis=0))


def explain_no_match(picked: np.ndarray, true: np.ndarray, tolerance: float, unit: float, where: str) -> str:
    """Say what may be wrong where nothing matches although there are positions on both sides.

    Parameters
    ----------
    picked, true : numpy.ndarray, shapes (n, 3) and (m, 3)
        Positions (z, y, x) in the same voxels.
    tolerance : float
        In these voxels.
    unit : float
        Edge of these voxels in A.
    where : str
        Name of the tomogram.

    Returns
    -------
    str
        Both boxes, and the factor, order of axes or shift with which the most would match, if any helps.
    """

    def box(positions: np.ndarray) -> str:
        low, high = positions.min(axis=0), positions.max(axis=0)
        return " x ".join(f"{a:.0f}..{b:.0f}" for a, b in zip(low, high, strict=True))

    sentence = f"nothing matches in {where}: the picks lie in {box(picked)} (z, y, x, voxels of {unit:g} A) and the truth in {box(true)}"
    guesses: list[tuple[str, np.ndarray]] = [
        (f"the truth is in A and was taken for voxels (divide it by {unit:g})", true / unit),
        (f"the truth is in nm (multiply it by {10 / unit:g})", true * (10 / unit)),
        ("the truth has its axes as x, y, z", true[:, ::-1]),
        ("the truth is in A, with its axes as x, y, z", true[:, ::-1] / unit),
        *((f"the truth is in voxels binned by {b} (multiply it by {b})", true * b) for b in (2, 4, 8)),
        *((f"the truth is in unbinned voxels (divide it by {b})", true / b) for b in (2, 4, 8)),
        (
            "the truth is counted from the tomogram's center (add half its shape)",
            true + (_middle(picked) - _middle(true)),
        ),
    ]
    best, share = "", 0.0
    for words, moved in guesses:
        hits = len(match(picked, moved, tolerance).pairs) / min(len(picked), len(true))
        if hits > share + 0.05:
            best, share = words, hits
    if share > 0.2:
        return f"{sentence}; {100 * share:.0f} % would match if {best}"
    size, other = (np.ptp(p, axis=0).max() for p in (picked, true))
    if size > 0 and other > 0 and not 0.67 < other / size < 1.5:
        return f"{sentence}; the truth is {other / size:.3g} times as large, so its voxel size may be another"
    return (
        f"{sentence}; check that both are of the same tomogram, in voxels of the same size and order of axes"
    )


def _middle(positions: np.ndarray) -> np.ndarray:
    return (positions.min(axis=0) + positions.max(axis=0)) / 2


def _scores(matched: Sequence[_Matched], tomogram: str) -> Scores:
    scores = np.concatenate([m.scores for m in matched])
    n_truth, n_matched = sum(m.n_truth for m in matched), sum(m.n_matched for m in matched)
    n = len(scores)
    curve = None
    if not np.isnan(scores).all() or not n:
        curve = precision_recall_curve(scores, np.concatenate([m.added for m in matched]), 1, n_truth)
    return Scores.of_counts(
        matched[0].class_name, tomogram, n_picked=n, n_truth=n_truth, n_matched=n_matched, curve=curve
    )


def _told_apart(matched: list[_Matched]) -> list[_Matched]:
    """Name tomograms by their truth where those of the picks have one name, such as tomogram.mrc, in all folders."""
    for named in (matched, [replace(m, tomogram=m.truth_name) for m in matched]):
        if len({(m.class_name, m.tomogram) for m in named}) == len(named):
            return named
    names = [(m.class_name, m.tomogram) for m in matched]
    class_name, tomogram = next(n for n in names if names.count(n) > 1)
    raise InputError(
        f"{class_name or 'picks'} in tomogram {tomogram!r} were given twice; give each tomogram once, "
        "in folders or files of different names"
    )


def _paired(
    picks: ParticlesOrPath, truth: ParticlesOrPath, class_names: Sequence[str], reporter: Reporter
) -> list[tuple[Particles, Particles]]:
    """Pair picks and truth by class and tomogram."""
    if (
        isinstance(picks, Particles)
        and isinstance(truth, Particles)
        and picks.tomograms is None
        and truth.tomograms is None
    ):
        return [(picks, truth)]
    picked = _parts(picks) if isinstance(picks, Particles) else find_tables(picks)
    true: list[Particles | Table]
    if isinstance(truth, Particles):
        true = list(_parts(truth))
    elif "{name}" in str(truth):
        names = dict.fromkeys(t.tomogram for t in picked)
        true = [table for name in names for table in _renamed(str(truth), name)]
    else:
        true = list(find_tables(truth))
    pairs = []
    for class_name in _classes(picked, true, class_names):
        pairs += _paired_by_name(
            [t for t in picked if _holds(t, class_name)],
            [t for t in true if _holds(t, class_name)],
            class_name,
            reporter,
        )
    return pairs


def _parts(particles: Particles) -> list[Particles]:
    """Split particles by tomogram."""
    if particles.tomograms is None:
        return [particles]
    return [particles.of_tomogram(name) for name in particles.names("tomogram")]


def _renamed(pattern: str, name: str) -> list[Table]:
    tables = find_tables(pattern.replace("{name}", name))
    if len(tables) > 1 and any(t.is_part for t in tables):
        # A table of several tomograms: the rows of this one.
        of_tomogram = [t for t in tables if t.tomogram == name]
        if not of_tomogram:
            raise InputError(
                f"{tables[0].path} holds no rows of {name}, but of {_listed({t.tomogram for t in tables})}"
            )
        return of_tomogram
    if len(tables) > 1:
        raise InputError(f"{pattern} names several tables for {name}; let it name one")
    return [replace(tables[0], tomogram=name)]


def _classes(
    picked: Sequence[Particles | Table], true: Sequence[Particles | Table], class_names: Sequence[str]
) -> list[str | None]:
    """Choose the classes to evaluate; None stands for everything, where nobody names a class."""
    of_picks = sorted({name for t in picked for name in _classes_of(t)})
    of_truth = sorted({name for t in true for name in _classes_of(t)})
    for name in class_names:
        for tables, available, what in ((picked, of_picks, "picks"), (true, of_truth, "truth")):
            if available and name not in available and all(_classes_of(t) for t in tables):
                raise InputError(
                    f"there is no class {name!r} in the {what}, but {', '.join(available)}; give one with --class"
                )
    if class_names:
        return list(class_names)
    if of_picks:
        both = [name for name in of_picks if name in of_truth] if of_truth else of_picks
        if not both:
            raise InputError(
                f"the picks hold {', '.join(of_picks)} and the truth {', '.join(of_truth)}; nothing is in both"
            )
        return list(both)
    if len(of_truth) > 1:
        raise InputError(
            f"the truth holds the classes {', '.join(of_truth)} and the picks do not say theirs; choose one with --class"
        )
    return list(of_truth) or [None]


def _classes_of(table: Particles | Table) -> tuple[str, ...]:
    """Give the classes that a table names; the only one of a nameless network is none."""
    if isinstance(table, Table):
        return table.classes
    names = tuple(table.names("class"))
    return () if all(name in NAMELESS for name in names) else names


def _holds(table: Particles | Table, class_name: str | None) -> bool:
    return class_name is None or not _classes_of(table) or class_name in _classes_of(table)


def _paired_by_name(
    picked: Sequence[Particles | Table],
    true: Sequence[Particles | Table],
    class_name: str | None,
    reporter: Reporter,
) -> list[tuple[Particles, Particles]]:
    if len(picked) == 1 and len(true) == 1 and not (_says(picked[0]) and _says(true[0])):
        return [_both(picked[0], true[0], class_name)]
    truth = {t.tomogram: t for t in true}
    if len(truth) < len(true):
        raise InputError("the truth holds two tables of one class and tomogram; give one for each")
    pairs = [_both(t, truth[t.tomogram], class_name) for t in picked if t.tomogram in truth]
    names, what = {t.tomogram for t in picked}, f" of {class_name}" if class_name else ""
    if not pairs:
        if len(picked) == 1 and len(true) == 1:
            # One of each, called differently: what else could be meant.
            reporter.warn(
                f"the picks{what} are of {_listed(names)} and the truth of {_listed(set(truth))}; taken for the same tomogram"
            )
            return [_both(picked[0], true[0], class_name)]
        raise InputError(
            f"no tomogram is in both: there are picks{what} in {_listed(names)} and truth in {_listed(set(truth))}; rows "
            "without a column tomogram are of the tomogram that the file is named after, so give the truth that column"
        )
    for missing, where in ((names - set(truth), "is no truth"), (set(truth) - names, "are no picks")):
        if missing:
            reporter.warn(f"there {where}{what} for {_listed(missing)}; left out")
    return pairs


def _says(table: Particles | Table) -> bool:
    return table.is_named if isinstance(table, Table) else bool(table.tomogram)


def _both(
    picks: Particles | Table, truth: Particles | Table, class_name: str | None
) -> tuple[Particles, Particles]:
    """Read both; what one knows of the voxels helps to read the other."""
    try:
        picked = _read(picks, class_name, UNKNOWN_GRID)
    except NeedsGridError:
        true = _read(truth, class_name, UNKNOWN_GRID)
        return _read(picks, class_name, true.grid_of(true.tomogram)), true
    return picked, _read(truth, class_name, picked.grid_of(picked.tomogram))


def _read(table: Particles | Table, class_name: str | None, grid: VoxelGrid) -> Particles:
    if isinstance(table, Table):
        return table.read(class_name, grid)
    if class_name is None or not _classes_of(table):
        return table
    return table.of_class(class_name)


def _listed(names: set[str]) -> str:
    few = sorted(names)[:6]
    return ", ".join(few) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "none"

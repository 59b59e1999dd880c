"""Evaluate picks: match them with the truth, per tomogram and pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.io.tables.found import Table, find_tables
from deepict_dask.kernels.curves import added_matches, precision_recall_curve
from deepict_dask.kernels.matching import match
from deepict_dask.particles import Particles
from deepict_dask.scoring.scores import POOLED, Evaluation, Scores
from deepict_dask.stages.report import Reporter
from deepict_dask.tomogram import VoxelSize, per_axis

TOLERANCE = 135.0
"""Largest distance in A between a pick and the true position that it is, as in the paper."""

Given = Particles | str | Path


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


def evaluate(
    picks: Given,
    truth: Given,
    *,
    pairs: Iterable[tuple[Given, Given]] = (),
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
    wanted = [class_name] if isinstance(class_name, str) else list(class_name or ())
    edges = None if voxel_size is None else per_axis(voxel_size)
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"tolerance {tolerance!r} is not a positive distance in A")
    matched: list[_Matched] = []
    given = [(picks, truth), *pairs]
    for found, there in given:
        for one, other in _paired(found, there, wanted, reporter):
            matched.append(_match(one, other, tolerance, edges))
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
            "pairs": [[str(a), str(b)] for a, b in given],
        },
    )


def _match(picks: Particles, truth: Particles, tolerance: float, edges: VoxelSize | None) -> _Matched:
    own, its = edges or picks.voxel_size or truth.voxel_size, edges or truth.voxel_size or picks.voxel_size
    if own is None or its is None:
        raise InputError(
            f"nothing says the voxel size of the picks in {picks.tomogram or 'the tomogram'}; "
            "give it with --voxel-size (in A)"
        )
    # In units of one voxel edge: where voxels are cubes of one size positions stay as they are.
    unit = its[0]
    found = picks.positions * (np.array(own) / unit)
    there = truth.positions * (np.array(its) / unit)
    pairs = match(found, there, tolerance / unit)
    added = added_matches(found, there, picks.score, tolerance / unit)
    class_name = picks.class_name or truth.class_name
    name, other = picks.tomogram or truth.tomogram or "tomogram", truth.tomogram or "tomogram"
    return _Matched(class_name, name, other, picks.score, added, len(pairs.pairs), len(truth))


def _scores(matched: Sequence[_Matched], tomogram: str) -> Scores:
    scores = np.concatenate([m.scores for m in matched])
    n_truth, n_matched = sum(m.n_truth for m in matched), sum(m.n_matched for m in matched)
    n = len(scores)
    curve = None
    if not np.isnan(scores).all() or not n:
        curve = precision_recall_curve(scores, np.concatenate([m.added for m in matched]), 1, n_truth)
    return Scores(
        matched[0].class_name,
        tomogram,
        n,
        n_truth,
        n_matched,
        n_matched / n if n else 0.0,
        n_matched / n_truth if n_truth else 0.0,
        2 * n_matched / (n + n_truth) if n_matched else 0.0,
        curve,
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
    picks: Given, truth: Given, wanted: Sequence[str], reporter: Reporter
) -> list[tuple[Particles, Particles]]:
    """Pair picks and truth by class and tomogram."""
    if isinstance(picks, Particles) and isinstance(truth, Particles):
        return [(picks, truth)]
    found = [picks] if isinstance(picks, Particles) else find_tables(picks)
    if isinstance(truth, Particles):
        there: list[Particles | Table] = [truth]
    elif "{name}" in str(truth):
        names = dict.fromkeys(t.tomogram for t in found)
        there = [_renamed(str(truth), name) for name in names]
    else:
        there = list(find_tables(truth))
    pairs = []
    for class_name in _classes(found, there, wanted):
        pairs += _paired_by_name(
            [t for t in found if _holds(t, class_name)],
            [t for t in there if _holds(t, class_name)],
            class_name,
            reporter,
        )
    return pairs


def _renamed(pattern: str, name: str) -> Table:
    tables = find_tables(pattern.replace("{name}", name))
    if len(tables) > 1:
        raise InputError(f"{pattern} names several tables for {name}; let it name one")
    return replace(tables[0], tomogram=name)


def _classes(
    found: Sequence[Particles | Table], there: Sequence[Particles | Table], wanted: Sequence[str]
) -> list[str | None]:
    """Choose the classes to evaluate; None stands for everything, where nobody names a class."""
    picked = sorted({name for t in found for name in _known(t)})
    true = sorted({name for t in there for name in _known(t)})
    for name in wanted:
        for known, what in ((picked, "picks"), (true, "truth")):
            if (
                known
                and name not in known
                and not any(not _known(t) for t in (found, there)[what == "truth"])
            ):
                raise InputError(f"the {what} hold no class {name!r}; they hold {', '.join(known)}")
    if wanted:
        return list(wanted)
    if picked:
        both = [name for name in picked if name in true] if true else picked
        if not both:
            raise InputError(
                f"the picks hold {', '.join(picked)} and the truth {', '.join(true)}; nothing is in both"
            )
        return list(both)
    if len(true) > 1:
        raise InputError(
            f"the truth holds the classes {', '.join(true)} and the picks do not say theirs; choose one with --class"
        )
    return list(true) or [None]


def _known(table: Particles | Table) -> tuple[str, ...]:
    if isinstance(table, Table):
        return table.classes
    return (table.class_name,) if table.class_name else ()


def _holds(table: Particles | Table, class_name: str | None) -> bool:
    return class_name is None or not _known(table) or class_name in _known(table)


def _paired_by_name(
    found: Sequence[Particles | Table],
    there: Sequence[Particles | Table],
    class_name: str | None,
    reporter: Reporter,
) -> list[tuple[Particles, Particles]]:
    if len(found) == 1 and len(there) == 1:
        return [(_read(found[0], class_name), _read(there[0], class_name))]
    truth = {t.tomogram: t for t in there}
    if len(truth) < len(there):
        raise InputError("the truth holds two tables of one class and tomogram; give one for each")
    pairs = [
        (_read(t, class_name), _read(truth[t.tomogram], class_name)) for t in found if t.tomogram in truth
    ]
    names, what = {t.tomogram for t in found}, f" of {class_name}" if class_name else ""
    if not pairs:
        raise InputError(
            f"no tomogram is in both: there are picks{what} in {_listed(names)} and truth in {_listed(set(truth))}"
        )
    for missing, where in ((names - set(truth), "truth"), (set(truth) - names, "picks")):
        if missing:
            reporter.warn(f"there is no {where}{what} for {_listed(missing)}; left out")
    return pairs


def _read(table: Particles | Table, class_name: str | None) -> Particles:
    return table if isinstance(table, Particles) else table.read(class_name)


def _listed(names: set[str]) -> str:
    few = sorted(names)[:6]
    return ", ".join(few) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "none"

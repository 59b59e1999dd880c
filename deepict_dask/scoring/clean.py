"""Clean lists of particles: scores, sizes, a mask, duplicates and distances, the best so many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.io.location import Location
from deepict_dask.io.tables import split_name
from deepict_dask.io.tables.files import Table, find_tables, read_tables
from deepict_dask.kernels.deduplication import best_first, check_semi_axes, deduplicate
from deepict_dask.names import check_name
from deepict_dask.particles import Particles, Triple, VoxelGrid, join
from deepict_dask.provenance import FileInput
from deepict_dask.scoring.tomogram_mask import open_tomogram_mask
from deepict_dask.scoring.write_table import made_of, write_table


@dataclass(frozen=True)
class Rules:
    """What a particle must be to stay; applied in this order.

    Attributes
    ----------
    min_score, max_score : float or None
        Smallest and largest mean probability that stays.
    min_size, max_size : int or None
        Fewest and most voxels that stay.
    mask : str or None
        Tomogram-sized volume, above 0 inside; ``{name}`` stands for the tomogram's name.
    outside : bool
        Whether particles outside of the mask stay instead of those inside (a mask of the carbon edge).
    semi_axes : (float, float, float) or None
        Of the ellipsoid, (z, y, x) in A: of two particles within it only the better-scored stays.
    direction : (float, float, float) or None
        Direction (z, y, x) that the first semi-axis follows.
    distance : float or None
        Smallest distance in A between two particles, in all directions.
    top : int or None
        So many of the best stay, in each tomogram and class.
    """

    min_score: float | None = None
    max_score: float | None = None
    min_size: int | None = None
    max_size: int | None = None
    mask: str | None = None
    outside: bool = False
    semi_axes: Triple | None = None
    direction: Triple | None = None
    distance: float | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        if self.semi_axes is not None:
            check_semi_axes(self.semi_axes)
        for rule in ("min_score", "max_score"):
            value = getattr(self, rule)
            if value is not None and np.isnan(value):
                raise InputError(f"--{rule.replace('_', '-')} is a number, not {value}")
        if self.distance is not None and not (np.isfinite(self.distance) and self.distance > 0):
            raise InputError(f"--distance is a positive length in A, not {self.distance}")
        if self.top is not None and self.top < 1:
            raise InputError(f"--top is a number of particles, 1 or more, not {self.top}")
        if self.direction is not None and self.semi_axes is None:
            raise InputError("--direction turns the ellipsoid of --abc, which is not given; give it too")
        if self.outside and self.mask is None:
            raise InputError("--outside is about --mask, which is not given; give it too")
        for name in ("score", "size"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low is not None and high is not None and low > high:
                raise InputError(
                    f"--min-{name} {low:g} is larger than --max-{name} {high:g}; no particle would stay"
                )
        if (
            not any(value for name, value in vars(self).items() if name != "outside")
            and self.min_score is None
        ):
            raise InputError(
                "nothing is to be cleaned; give --min-score, --min-size, --mask, --abc, --distance or --top"
            )


@dataclass(frozen=True)
class Cleaned:
    """What cleaning the particles of one tomogram and class gave.

    Attributes
    ----------
    tomogram, class_name : str
        Of the particles.
    n_given, n_particles : int
        Before and after.
    removed : mapping of str to int
        By rule, in the order in which they were applied.
    path : Location
        The table.
    """

    tomogram: str
    class_name: str
    n_given: int
    n_particles: int
    removed: dict[str, int]
    path: Location


def clean_particles(
    particles: Particles, rules: Rules, is_inside: Callable[[np.ndarray], np.ndarray] | None = None
) -> tuple[Particles, dict[str, int]]:
    """Keep the particles that the rules allow.

    Parameters
    ----------
    particles : Particles
        Of one tomogram and class.
    rules : Rules
        What stays.
    is_inside : callable, optional
        Tells of positions (n, 3) in voxels which lie in the mask, bool (n,).

    Returns
    -------
    particles : Particles
        As they were, in the order in which they were: which stay does not depend on that order.
    removed : dict of str to int
        How many each rule has removed.

    Raises
    ------
    InputError
        If scores, sizes or the voxel size are needed and not known.

    Examples
    --------
    >>> p = Particles.from_positions([[0, 0, 0], [0, 0, 3], [0, 0, 9]], score=np.array([0.5, 0.9, 0.7]),
    ...                              voxel_size=(10.0, 10.0, 10.0))
    >>> kept, removed = clean_particles(p, Rules(distance=40.0))
    >>> kept.x, removed
    (array([3., 9.]), {'distance': 1})
    """
    removed: dict[str, int] = {}

    def keep(chosen: Particles, rule: str, stays: np.ndarray) -> Particles:
        removed[rule] = int((~stays).sum())
        return chosen[stays]

    for rule, smallest, largest, column in (
        ("score", rules.min_score, rules.max_score, particles.score),
        ("size", rules.min_size, rules.max_size, np.where(particles.size > 0, particles.size, np.nan)),
    ):
        if (smallest is None and largest is None) or not len(particles):
            continue
        if np.isnan(column).any():
            raise InputError(
                f"particles of {particles.tomogram or 'the tomogram'} have no {rule}; leave out --min-{rule} and --max-{rule}"
            )
    if rules.min_score is not None or rules.max_score is not None:
        particles = keep(particles, "score", _between(particles.score, rules.min_score, rules.max_score))
    if rules.min_size is not None or rules.max_size is not None:
        particles = keep(particles, "size", _between(particles.size, rules.min_size, rules.max_size))
    if is_inside is not None:
        particles = keep(particles, "mask", is_inside(particles.positions) != rules.outside)
    lengths = [("duplicates", rules.semi_axes, rules.direction)]
    lengths.append(("distance", None if rules.distance is None else (rules.distance,) * 3, None))
    for rule, axes, direction in lengths:
        if axes is not None:
            particles = keep(particles, rule, _apart(particles, axes, direction))
    if rules.top is not None:
        stays = np.zeros(len(particles), bool)
        stays[_order(particles)[: rules.top]] = True
        particles = keep(particles, "top", stays)
    return particles, removed


def _between(values: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    stays = np.ones(len(values), bool)
    if low is not None:
        stays &= values >= low
    if high is not None:
        stays &= values <= high
    return stays


def _order(particles: Particles) -> np.ndarray:
    return best_first(particles.score, particles.positions, particles.score_max, particles.size)


def _apart(particles: Particles, semi_axes: Sequence[float], direction: Sequence[float] | None) -> np.ndarray:
    """Tell which particles stay where of two within an ellipsoid only the better one does."""
    if particles.voxel_size is None:
        raise InputError(
            f"nothing says the voxel size of {particles.tomogram or 'the tomogram'}, and distances are in A; give it with "
            "--voxel-size"
        )
    angstrom = particles.positions * np.asarray(particles.voxel_size)
    stands_for = deduplicate(angstrom, _order(particles), semi_axes, direction)
    return stands_for == np.arange(len(particles))


def clean(
    tables: Sequence[str],
    output: Location | str,
    rules: Rules,
    *,
    class_name: str | None = None,
    voxel_size: Triple | None = None,
    shape: Shape | None = None,
    overwrite: bool = False,
) -> list[Cleaned]:
    """Clean tables, or run folders, tomogram by tomogram and class by class.

    Parameters
    ----------
    tables : sequence of path
        Tables, run folders or folders of tables.
    output : path
        A table, which gets all tomograms and classes; else a folder, which gets ``NAME/particles.csv``, or
        ``NAME/particles_CLASS.csv`` where a tomogram has several classes.
    rules : Rules
        What stays.
    class_name : str, optional
        Only this class.
    voxel_size : (float, float, float), optional
        In A; overrides what the tables say.
    shape : (int, int, int), optional
        Of the tomograms, (z, y, x) voxels; overrides what the tables say. A mask must lie on them.
    overwrite : bool
        Whether a table made of other tables or with other rules, or by somebody else, may be replaced.

    Returns
    -------
    list of Cleaned
        One per tomogram and class, sorted.

    Raises
    ------
    InputError
        If there is nothing to clean, or something is not known.
    OutputExistsError
        If something else is there.
    """
    output = Location.of(output)
    by_tomogram: dict[str, list[Table]] = {}
    for path in tables:
        for table in find_tables(path):
            by_tomogram.setdefault(table.tomogram, []).append(table)
    cleaned: list[Cleaned] = []
    parts: list[Particles] = []
    masks: dict[str, FileInput] = {}
    is_table = split_name(output.name)[1] is not None
    for name in sorted(by_tomogram):
        mask = None
        for one in _classes(by_tomogram[name], class_name, voxel_size, shape):
            if rules.mask is not None and mask is None:
                mask = open_tomogram_mask(rules.mask, name, one)
                masks[name] = mask.file
            inside = None if mask is None else mask.inside
            kept, removed = clean_particles(one, rules, inside)
            parts.append(kept)
            cleaned.append(Cleaned(name, one.class_name, len(one), len(kept), removed, output))
    if not parts:
        raise InputError(f"there are no particles of class {class_name!r} in {', '.join(map(str, tables))}")
    settings = {**asdict(rules), "class": class_name, "voxel_size": voxel_size}
    if shape is not None:
        settings["shape"] = shape
    files = [Location.of(t.path) for members in by_tomogram.values() for t in members]
    if is_table:
        made_by = made_of("clean", list(dict.fromkeys(files)), settings)
        for name, file in masks.items():
            made_by = made_by.with_file(f"mask of {name}", file)
        write_table(join(parts), output, made_by, overwrite=overwrite)
        return cleaned
    several = {c.tomogram for c in cleaned if sum(d.tomogram == c.tomogram for d in cleaned) > 1}
    placed = []
    for about, part in zip(cleaned, parts, strict=True):
        has_others = about.tomogram in several and about.class_name
        stem = f"particles_{about.class_name}" if has_others else "particles"
        table_place = output.join(check_name(about.tomogram, "a tomogram of the tables"), f"{stem}.csv")
        of_tomogram = dict.fromkeys(Location.of(t.path) for t in by_tomogram[about.tomogram])
        made_by = made_of("clean", list(of_tomogram), {**settings, "class": about.class_name})
        if about.tomogram in masks:
            made_by = made_by.with_file("mask", masks[about.tomogram])
        write_table(part, table_place, made_by, overwrite=overwrite)
        placed.append(replace(about, path=table_place))
    return placed


def _classes(
    tables: Sequence[Table], class_name: str | None, edges: Triple | None, shape: Shape | None
) -> list[Particles]:
    """Read the particles of one tomogram, class by class."""
    united = join(read_tables(tables, VoxelGrid(edges, shape)))
    if edges is not None:
        united = replace(united, voxel_size=edges)
    if shape is not None:
        united = replace(united, shape=shape)
    names = united.names("class") or [united.class_name]
    if class_name is not None:
        names = [name for name in names if name == class_name]
    return [united.of_class(name) for name in sorted(names)]

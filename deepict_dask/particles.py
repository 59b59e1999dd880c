"""Particles: accepted picks with position, score and size, of any number of tomograms and classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "tomogram", "class", "label", "z", "y", "x", "z_angstrom", "y_angstrom", "x_angstrom",
    "score", "score_max", "size", "touches_edge",
)  # fmt: skip
"""Columns of the canonical particle table, in order; behind them come `RESERVED` ones and those of other programs."""

RESERVED = ("rot", "tilt", "psi", "source")
"""Columns with a set meaning that a table need not have: ZYZ angles in degrees, and where a particle came from."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class VoxelGrid:
    """What turns voxels of one tomogram into A.

    Attributes
    ----------
    voxel_size : (float, float, float) or None
        Edges of a voxel in A, (z, y, x).
    shape : (int, int, int) or None
        The tomogram, (z, y, x) voxels; formats that count from its center need it.
    origin : (float, float, float)
        Where the center of the first voxel lies, in A; not 0 only where a run was asked to use the header's.
    """

    voxel_size: Triple | None = None
    shape: Shape | None = None
    origin: Triple = (0.0, 0.0, 0.0)


UNKNOWN_GRID = VoxelGrid()
"""Nothing is known of the voxels."""

_writers: list[Callable[..., Path]] = []


def register_writer(writer: Callable[..., Path]) -> None:
    """Say what `Particles.write` calls; the room that knows files does, so that this noun need not know it."""
    _writers[:] = [writer]


@dataclass(frozen=True, eq=False)
class Particles:
    """A table of particles.

    Attributes
    ----------
    label : int64 (n,)
        Number of the particle's component among all components of the segmentation, from 1, in
        the order of their first voxels (C order). This is the value that the particle has in a
        label image, so labels of components that the size filter refused are missing here.
    z, y, x : float64 (n,)
        Centroids in voxels of their tomogram; the center of the first voxel is (0, 0, 0).
    score, score_max : float64 (n,)
        Mean and largest probability of the particle's voxels; NaN where unknown.
    size : int64 (n,)
        Voxels of the map that was picked from; 0 where unknown.
    touches_edge : bool (n,) or int8 (n,), optional
        Whether the particle reaches the edge of the tomogram (of what ``border`` leaves of it)
        and may therefore be cut; -1 where it is not known of some.
    bounding_box : int64 (n, 2, 3), optional
        First voxel and the one after the last, (z, y, x). Not known of a table read from a file.
    voxel_size : (float, float, float), optional
        Edges of a voxel in A, (z, y, x), of a table of one tomogram.
    shape : (int, int, int), optional
        Its size in voxels.
    origin : (float, float, float)
        Where the center of its first voxel lies in A.
    tomogram, class_name : str
        What all particles were found in and what they are; empty where unknown, or where rows differ.
    tomograms, classes : object (n,), optional
        The same row by row, where rows differ.
    grids : mapping of str to VoxelGrid
        Of each tomogram by its name, where rows differ in it.
    others : mapping of str to (n,)
        Columns that this package does not know, and `RESERVED` ones; kept by everything that reads, joins and writes.
    attributes : mapping
        Settings that led to them; plain values only.
    """

    label: np.ndarray
    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    score: np.ndarray
    score_max: np.ndarray
    size: np.ndarray
    touches_edge: np.ndarray | None = None
    bounding_box: np.ndarray | None = None
    voxel_size: Triple | None = None
    tomogram: str = ""
    class_name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    shape: Shape | None = None
    origin: Triple = (0.0, 0.0, 0.0)
    tomograms: np.ndarray | None = None
    classes: np.ndarray | None = None
    grids: Mapping[str, VoxelGrid] = field(default_factory=dict)
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _ROWS}
        for name, column in {**columns, **self.others}.items():
            if column is not None and len(column) != len(self.z):
                raise InputError(f"column {name} has {len(column)} rows where column z has {len(self.z)}")
        for rows, one in (("tomograms", "tomogram"), ("classes", "class_name")):
            column = getattr(self, rows)
            if column is None:
                continue
            values = list(dict.fromkeys(column.tolist()))
            if len(values) > 1:
                object.__setattr__(self, rows, np.asarray(column, object))
                object.__setattr__(self, one, "")
            else:
                object.__setattr__(self, rows, None)
                object.__setattr__(self, one, values[0] if values else getattr(self, one))
        if self.tomograms is None and self.grids:
            grid = self.grids.get(self.tomogram)
            object.__setattr__(self, "grids", {})
            if grid is not None:
                for name in ("voxel_size", "shape", "origin"):
                    object.__setattr__(self, name, getattr(grid, name))

    @classmethod
    def from_positions(cls, positions: np.ndarray | Sequence[Sequence[float]], **columns: Any) -> Particles:
        """Make particles of which only positions are known; other fields by name.

        >>> Particles.from_positions([[1, 2, 3.5]], tomogram="TS_011").x
        array([3.5])
        """
        z, y, x = np.asarray(positions, np.float64).reshape(-1, 3).T
        n = len(z)
        unknown: dict[str, Any] = {
            "label": np.arange(1, n + 1),
            "score": np.full(n, np.nan),
            "score_max": np.full(n, np.nan),
            "size": np.zeros(n, np.int64),
        }
        return cls(z=z, y=y, x=x, **(unknown | columns))

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, key: Any) -> Any:
        """Give a column by its name, or some of the rows.

        Parameters
        ----------
        key : str, int, slice, mask or sequence of int
            A name of `columns`; or rows, which are particles again.

        Raises
        ------
        InputError
            If there is no such column, or rows cannot be chosen so.
        """
        if isinstance(key, str):
            columns = self.columns()
            if key not in columns:
                raise InputError(f"particles have no column {key!r}; they have {', '.join(columns)}")
            return columns[key]
        if isinstance(key, (int, np.integer)):
            key = [int(key)]
        try:
            rows = np.arange(len(self))[key if isinstance(key, slice) else np.asarray(key)]
        except (IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"rows of {len(self)} particles are chosen by a slice, a mask of as many values or their numbers, not by "
                f"{key!r:.100} ({error})"
            ) from None
        return self._rows(rows)

    def __repr__(self) -> str:
        what = self.class_name or (
            "particles" if self.classes is None else f"particles of {len(self.names('class'))} classes"
        )
        where = self.tomogram or (
            "a tomogram" if self.tomograms is None else f"{len(self.names('tomogram'))} tomograms"
        )
        return f"<Particles: {len(self)} {what} in {where}>"

    def _repr_html_(self) -> str:
        from html import escape

        table = self[:10].to_dataframe().to_html(index=False, border=0, float_format="{:.4g}".format)
        more = f"<p>... {len(self) - 10} more</p>" if len(self) > 10 else ""
        return f"<div><b>{escape(repr(self)[1:-1])}</b><br>{_picture(self)}{table}{more}</div>"

    @property
    def positions(self) -> np.ndarray:
        """Centroids (z, y, x) in voxels, float64 (n, 3)."""
        return np.stack([self.z, self.y, self.x], axis=1).astype(np.float64)

    def names(self, column: str) -> list[str]:
        """Give the different values of ``tomogram`` or ``class``, in the order in which they come."""
        rows, one = (
            (self.tomograms, self.tomogram) if column == "tomogram" else (self.classes, self.class_name)
        )
        return list(dict.fromkeys(rows.tolist())) if rows is not None else [one] if one else []

    def grid_of(self, tomogram: str) -> VoxelGrid:
        """Give what is known of the voxels of a tomogram."""
        if self.tomograms is None:
            return VoxelGrid(self.voxel_size, self.shape, self.origin)
        return self.grids.get(tomogram, VoxelGrid())

    def of_tomogram(self, name: str) -> Particles:
        """Give the particles of one tomogram.

        Raises
        ------
        InputError
            If there are none of it, naming those there are.
        """
        if self.tomograms is None:
            if self.tomogram not in ("", name):
                raise InputError(f"there are no particles of tomogram {name!r}, but of {self.tomogram}")
            return self if self.tomogram else replace(self, tomogram=name)
        if name not in self.names("tomogram"):
            raise InputError(
                f"there are no particles of tomogram {name!r}, but of {_listed(self.names('tomogram'))}"
            )
        return self._rows(np.flatnonzero(self.tomograms == name))

    def of_class(self, name: str) -> Particles:
        """Give the particles of one class; none if there are none of it."""
        if self.classes is None:
            return self if name == self.class_name else self._rows(np.zeros(0, int))
        return replace(self._rows(np.flatnonzero(self.classes == name)), class_name=name)

    def columns(self) -> dict[str, np.ndarray]:
        """Give the columns of the table by name: `COLUMNS`, then reserved ones, then those of other programs.

        Positions in A are voxels times the voxel size plus the origin, NaN where the size is unknown.
        """
        n = len(self)
        names = np.full(n, self.tomogram, object) if self.tomograms is None else self.tomograms
        classes = np.full(n, self.class_name, object) if self.classes is None else self.classes
        unknown = np.full(n, -1, np.int8)
        table = {
            "tomogram": names,
            "class": classes,
            "label": self.label,
            "z": self.z,
            "y": self.y,
            "x": self.x,
        }
        table |= dict(zip(COLUMNS[6:9], self._angstrom(names), strict=True))
        table |= {"score": self.score, "score_max": self.score_max, "size": self.size}
        table["touches_edge"] = unknown if self.touches_edge is None else self.touches_edge
        other_names = [name for name in RESERVED if name in self.others]
        other_names += [name for name in self.others if name not in RESERVED]
        return table | {name: self.others[name] for name in other_names}

    def to_dataframe(self) -> pd.DataFrame:
        """Give the table as a pandas data frame with the columns of `columns`."""
        import pandas as pd

        table = pd.DataFrame(self.columns())
        edge = self.columns()["touches_edge"]
        at_edge = pd.array(np.where(edge == 1, True, False), dtype="boolean")
        at_edge[np.asarray(edge == -1)] = pd.NA
        table["touches_edge"] = at_edge if (edge == -1).any() else at_edge.astype(bool)
        return table

    def scaled(
        self, factor: float | Triple, voxel_size: Triple | None = None, offset: Triple = (0.0, 0.0, 0.0)
    ) -> Particles:
        """Express the positions in the voxels of another grid over the same specimen.

        Parameters
        ----------
        factor : float or (float, float, float)
            Voxels of the other grid per voxel of this one, (z, y, x).
        voxel_size : (float, float, float), optional
            Of the other grid, in A; this one's divided by the factor unless given.
        offset : (float, float, float)
            Where the center of this grid's first voxel lies in the other grid, in its voxels:
            ``(factor - 1) / 2`` where the corners of the grids coincide.

        Returns
        -------
        Particles
            Bounding boxes are rounded outward. Sizes stay in voxels of the map that was picked
            from, since that is what the size limits were compared with. The shape is not known.

        Raises
        ------
        InputError
            If the factor is not positive, or the particles are of several tomograms.

        Examples
        --------
        >>> Particles.from_positions([[1, 2, 3]]).scaled((2, 1, 0.5)).positions
        array([[2. , 2. , 1.5]])
        """
        f = np.broadcast_to(np.asarray(factor, np.float64), (3,))
        o = np.asarray(offset, np.float64)
        if not (np.isfinite(f).all() and (f > 0).all()):
            raise InputError(f"factor {factor!r} is not positive; positions are scaled by positive factors")
        if self.tomograms is not None:
            raise InputError(
                "particles of several tomograms are scaled one tomogram at a time; see of_tomogram"
            )
        z, y, x = (self.positions * f + o).T
        box = None
        if self.bounding_box is not None:
            # Index k begins at k - 1/2.
            edges = (self.bounding_box - 0.5) * f + o + 0.5
            box = np.stack([np.floor(edges[:, 0]), np.ceil(edges[:, 1])], axis=1).astype(np.int64)
        if voxel_size is None and self.voxel_size is not None:
            a, b, c = (float(v) for v in np.asarray(self.voxel_size) / f)
            voxel_size = (a, b, c)
        return replace(self, z=z, y=y, x=x, bounding_box=box, voxel_size=voxel_size, shape=None)

    def write(self, path: str | os.PathLike[str], *, format: str | None = None) -> Path:
        """Write the table; the suffix says how: .csv, _motl.csv, .star or .parquet.

        See :func:`deepict_dask.io.tables.write_particles`.
        """
        if not _writers:
            raise InputError("write tables with deepict_dask.write_particles(particles, path)")
        return _writers[0](self, path, format=format)

    def _angstrom(self, names: np.ndarray) -> list[np.ndarray]:
        """Give z, y and x in A."""
        columns = []
        for axis, values in enumerate((self.z, self.y, self.x)):
            if self.tomograms is None:
                edge = np.nan if self.voxel_size is None else self.voxel_size[axis]
                columns.append(values * edge + self.origin[axis] if self.origin[axis] else values * edge)
                continue
            grids = {name: self.grid_of(name) for name in self.names("tomogram")}
            edges = {n: np.nan if g.voxel_size is None else g.voxel_size[axis] for n, g in grids.items()}
            shifts = {n: g.origin[axis] for n, g in grids.items()}
            edge_of_row = np.array([edges[name] for name in names], np.float64)
            shift_of_row = np.array([shifts[name] for name in names], np.float64)
            columns.append(
                values * edge_of_row + shift_of_row if shift_of_row.any() else values * edge_of_row
            )
        return columns

    def _rows(self, rows: np.ndarray) -> Particles:
        chosen: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows] for name in _ROWS
        }
        names = [] if self.tomograms is None else dict.fromkeys(chosen["tomograms"].tolist())
        grids = {name: self.grid_of(name) for name in names}
        other_columns = {name: column[rows] for name, column in self.others.items()}
        return replace(self, **chosen, grids=grids, others=other_columns)


_ROWS = (
    "label", "z", "y", "x", "score", "score_max", "size", "touches_edge", "bounding_box", "tomograms", "classes",
)  # fmt: skip


def join(tables: Iterable[Particles]) -> Particles:
    """Put tables below each other; columns that only some have are empty for the others.

    Parameters
    ----------
    tables : iterable of Particles
        Of any tomograms and classes; of one tomogram all in voxels of one size.

    Returns
    -------
    Particles
        In the order given. Settings are not kept where tables differ in them.

    Raises
    ------
    InputError
        If there is none, or two give other voxel sizes to one tomogram.

    Examples
    --------
    >>> a = Particles.from_positions([[1, 2, 3]], tomogram="a", voxel_size=(10.0, 10.0, 10.0))
    >>> b = Particles.from_positions([[4, 5, 6]], tomogram="b", voxel_size=(20.0, 20.0, 20.0))
    >>> join([a, b])["x_angstrom"]
    array([ 30., 120.])
    """
    tables = list(tables)
    if not tables:
        raise InputError("there is no table to join; give at least one")
    grids: dict[str, VoxelGrid] = {}
    for table in tables:
        for name in table.names("tomogram") or [table.tomogram]:
            new, old = table.grid_of(name), grids.get(name, VoxelGrid())
            if (
                old.voxel_size
                and new.voxel_size
                and not np.allclose(old.voxel_size, new.voxel_size, rtol=1e-6)
            ):
                raise InputError(
                    f"tables of {name or 'one tomogram'} have voxels of {old.voxel_size} and {new.voxel_size} A; join "
                    "particles in voxels of one size"
                )
            grids[name] = old if old.voxel_size else new
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(t, name) for t in tables])
        for name in ("label", "z", "y", "x", "score", "score_max", "size")
    }
    edge = None
    if any(t.touches_edge is not None for t in tables):
        edge = np.concatenate([t.columns()["touches_edge"].astype(np.int8) for t in tables])
        edge = edge if (edge == -1).any() else edge.astype(bool)
    names = list(dict.fromkeys(name for t in tables for name in t.others))
    other_columns = {name: np.concatenate([_or_empty(t, name, tables) for t in tables]) for name in names}
    same = all(t.attributes == tables[0].attributes for t in tables)
    return Particles(
        **columns,
        touches_edge=edge,
        tomograms=np.concatenate([t.columns()["tomogram"] for t in tables]),
        classes=np.concatenate([t.columns()["class"] for t in tables]),
        tomogram=tables[0].tomogram,
        class_name=tables[0].class_name,
        grids=grids,
        others=other_columns,
        attributes=tables[0].attributes if same else {},
    )


def _or_empty(table: Particles, name: str, tables: Sequence[Particles]) -> np.ndarray:
    if name in table.others:
        return table.others[name]
    like = next(t.others[name] for t in tables if name in t.others)
    if like.dtype.kind == "f":
        return np.full(len(table), np.nan)
    return np.full(len(table), "", object)


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _picture(particles: Particles, edge: int = 160, most: int = 2000) -> str:
    """Draw y over x as SVG, as on a slice seen from above."""
    if not len(particles):
        return ""
    step = -(-len(particles) // most)
    x, y = particles.x[::step], particles.y[::step]
    width, height = max(float(x.max()), 1.0), max(float(y.max()), 1.0)
    if particles.shape is not None:
        height, width = float(particles.shape[1]), float(particles.shape[2])
    scale = edge / max(width, height)
    dots = "".join(
        f'<circle cx="{a * scale:.1f}" cy="{b * scale:.1f}" r="1.6"/>' for a, b in zip(x, y, strict=True)
    )
    w, h = width * scale + 2, height * scale + 2
    return (
        f'<svg width="{w:.0f}" height="{h:.0f}" viewBox="-1 -1 {w:.0f} {h:.0f}" role="img" aria-label="y over x">'
        f'<rect x="-1" y="-1" width="{w:.0f}" height="{h:.0f}" fill="#f5f5f5" stroke="#999"/>'
        f'<g fill="#1f6fb4" fill-opacity="0.7">{dots}</g></svg>'
    )

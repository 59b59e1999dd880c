"""Small simulated cells with complete truth, for examples, tests and training.

>>> from deepict_dask.simulation import simulate_cell
>>> cell = simulate_cell(shape=(32, 64, 64), n_ribosome=2, n_fas=1, n_vesicles=0, organelle_radius=0)
>>> cell.tomogram.shape, len(cell.truth)
((32, 64, 64), 3)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepict_dask.errors import SettingsError
from deepict_dask.simulation.cell import draw_cell
from deepict_dask.simulation.microscope import image_cell
from deepict_dask.simulation.settings import CellSettings
from deepict_dask.simulation.truth import TRUTH_DTYPE

__all__ = ["TRUTH_DTYPE", "CellSettings", "SimulatedCell", "simulate_cell"]


@dataclass(frozen=True, eq=False)
class SimulatedCell:
    """A tomogram and all that is known about it.

    Attributes
    ----------
    tomogram : numpy.ndarray of float32, (z, y, x)
        Relative change of intensity per voxel; density is dark.
    truth : numpy.ndarray of TRUTH_DTYPE
        The particles: class, z, y, x in voxels, rot, tilt, psi in degrees.
    masks : dict of str to numpy.ndarray of bool, (z, y, x)
        ``membrane``, ``organelle`` and ``cytosol``: every voxel is in exactly one of them.
    density : numpy.ndarray of float32, (z, y, x)
        The specimen before it was imaged, volts above ice.
    settings : CellSettings
        What it was made from.
    """

    tomogram: np.ndarray
    truth: np.ndarray
    masks: dict[str, np.ndarray]
    density: np.ndarray
    settings: CellSettings

    @property
    def voxel_size(self) -> float:
        """Edge of a voxel in angstrom."""
        return self.settings.voxel_size


def simulate_cell(settings: CellSettings | None = None, **changes: Any) -> SimulatedCell:
    """Draw a crowded cell and take a tomogram of it.

    Parameters
    ----------
    settings : CellSettings, optional
        The default describes the cell of the demo.
    **changes
        Settings to use instead, by the names in ``CellSettings``.

    Returns
    -------
    SimulatedCell

    Raises
    ------
    SettingsError
        If a setting is unknown or out of range, or what was asked for does not fit.
    """
    names = [field.name for field in dataclasses.fields(CellSettings)]
    if unknown := sorted(set(changes) - set(names)):
        raise SettingsError(f"unknown setting {', '.join(unknown)} of a cell; there are {', '.join(names)}")
    settings = dataclasses.replace(settings or CellSettings(), **changes)
    specimen = draw_cell(settings)
    # Apart from the seeds of the specimen, so that it is the same at any dose.
    rng = np.random.default_rng(np.random.SeedSequence([settings.seed, 1]))
    tomogram = image_cell(specimen.density, settings, rng)
    return SimulatedCell(tomogram, specimen.truth, specimen.masks, specimen.density, settings)

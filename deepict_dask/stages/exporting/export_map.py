"""Export: an image of a run, or any tomogram, as MRC for ChimeraX, IMOD and manual revision; block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.geometry import storage_grid
from deepict_dask.io.formats.mrc_writing import MODES, MrcForm, create_mrc
from deepict_dask.io.location import Location
from deepict_dask.kernels.statistics import block_statistics, combine
from deepict_dask.stages.exporting.exportable import blocks_of, open_exportable
from deepict_dask.stages.exporting.values import choose_values
from deepict_dask.stages.report import Reporter
from deepict_dask.tomogram import VoxelSize

SUFFIXES = (".mrc", ".map", ".rec")
_MOST_SIGMA = 24  # voxels; the halo is four times as wide


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    place : Location
        The file.
    form : MrcForm
        Shape, dtype, voxel size and origin.
    meaning : str
        What its values are, in a few words.
    """

    place: Location
    form: MrcForm
    meaning: str


def export_map(
    image: Location,
    output: Location,
    *,
    class_name: str | None = None,
    dtype: str | None = None,
    sigma: float = 0.0,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Exported:
    """Write an image as MRC.

    Parameters
    ----------
    image : Location
        A probability map, label image or tomogram of a run; or any tomogram.
    output : Location
        The file, .mrc, .map or .rec; there whole or not at all.
    class_name : str, optional
        Which class of a probability map of several.
    dtype : {"int8", "int16", "uint16", "float16", "float32"}, optional
        Chosen by the image unless given: that of a tomogram, float32 for probabilities, the smallest that holds them for
        labels. In integers probabilities become percent, and a tomogram that does not fit is stretched: 5 standard
        deviations on each side of its mean.
    sigma : float
        Of a Gaussian smoothing in A; 0 for none.
    overwrite : bool
        Whether a file may be replaced.
    reporter : Reporter, optional
        Follows the blocks.

    Returns
    -------
    Exported

    Raises
    ------
    OutputExistsError
        If there is a file.
    InputError
        If the image is not finished, has several classes of which none is chosen, or does not fit into the dtype.

    Notes
    -----
    Holds one block of at most 208 voxels a side with the halo of the smoothing, 36 MB of float32 and the halo; the file is a
    memory map. The origin is that of the file that the tomogram came from, so that programs which honor it lay the map
    over that file.
    """
    reporter = reporter or Reporter()
    _check_output(output, dtype, overwrite=overwrite)
    with open_exportable(image, class_name, output.parent) as exportable:
        if sigma and exportable.kind == "labels":
            raise InputError(f"{image} holds labels, which smoothing would mix; leave it out")
        if exportable.n_not_computed:
            reporter.warn(
                f"{exportable.n_not_computed} blocks of {image} were not computed, since nothing is to be found there; they "
                "are exported as 0"
            )
        grid = storage_grid(exportable.shape)
        sigmas = _in_voxels(sigma, exportable.voxel_size)
        values = choose_values(exportable, dtype, is_smoothed=any(sigmas), grid=grid, reporter=reporter)
        about = ("deepict_dask:", exportable.kind, exportable.class_name, f"({values.meaning})")
        label = " ".join(filter(None, about))
        form = MrcForm(exportable.shape, values.dtype, exportable.voxel_size, exportable.origin, label)
        parts = []
        with (
            create_mrc(output, form) as (target, describe),
            reporter.progress("export", exportable.name, grid.n_blocks) as advance,
        ):
            for region, block in blocks_of(exportable.voxels, grid, sigmas):
                target[region] = written = values.of(block)
                parts.append(block_statistics(written))
                advance(1)
            describe(combine(parts))
    return Exported(output, form, values.meaning)


def _check_output(output: Location, dtype: str | None, *, overwrite: bool) -> None:
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"{output} does not end like an MRC file; use one of {', '.join(SUFFIXES)}")
    if dtype is not None and dtype not in MODES:
        raise InputError(f"dtype {dtype!r} is none that MRC files hold; choose one of {', '.join(MODES)}")
    if output.is_folder():
        raise OutputExistsError(f"{output} is a folder; name a file")
    if output.exists() and not overwrite:
        raise OutputExistsError(f"{output} exists; use --overwrite to replace it")


def _in_voxels(sigma: float, voxel_size: VoxelSize) -> tuple[float, float, float]:
    if not (np.isfinite(sigma) and sigma >= 0):
        raise InputError(f"gaussian is {sigma / 10:g} nm; give a length of 0 or more")
    z, y, x = (sigma / edge for edge in voxel_size)
    if max(z, y, x) > _MOST_SIGMA:
        raise InputError(
            f"gaussian of {sigma / 10:g} nm is {max(z, y, x):.3g} voxels, and more than {_MOST_SIGMA} would need too much "
            "memory; smooth less"
        )
    return z, y, x

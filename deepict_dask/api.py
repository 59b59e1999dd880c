"""The package from Python: lazy tomograms in, probability maps and particles out.

All of it works with or without a distributed Client; everything but `pick` only builds a graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.networks.checkpoint import Model, load_model
from deepict_dask.particles import Particles
from deepict_dask.tomogram import VoxelSize, tomogram, voxel_size_of

if TYPE_CHECKING:
    import dask.array as da
    import xarray
    from dask.delayed import Delayed

    from deepict_dask.spectrum import Convention, Spectrum

__all__ = ["equalize", "extract_spectrum", "label", "load_model", "open_tomogram", "pick", "segment"]


def open_tomogram(
    url: str | Path,
    voxel_size: float | VoxelSize | None = None,
    dataset: str | None = None,
    channel: int | None = None,
    axes: Literal["xyz", "xzy"] | None = None,
) -> xarray.DataArray:
    """Open a tomogram lazily.

    Parameters
    ----------
    url : str or Path
        MRC, EM or HDF5 (also .gz, .bz2), or an OME-Zarr group.
    voxel_size : float or (float, float, float), optional
        In A; overrides what the file says.
    dataset : str, optional
        Dataset inside an HDF5 file, or image inside a Zarr group of several.
    channel : int, optional
        Which of several channels, from 0.
    axes : {"xyz", "xzy"}, optional
        How the axes lie in the file, the fastest first, whatever its header says; xzy is what IMOD's tilt writes.

    Returns
    -------
    xarray.DataArray
        Dims (z, y, x) in the file's dtype, chunked by the shape alone; attribute ``voxel_size`` in A. For an
        OME-Zarr group that this package wrote, a probability map included, its own attributes too. What is
        doubtful in a header is said in Python warnings.
    """
    import warnings

    from deepict_dask.engine.stored import open_lazily
    from deepict_dask.geometry import storage_grid
    from deepict_dask.io.ome_zarr import open_own_image
    from deepict_dask.io.source import open_source

    if (image := open_own_image(url)) is not None:
        if not image.is_complete:
            raise InputError(f"{url} was never finished; run the stage that writes it again")
        chunks = storage_grid(image.shape[-3:]).chunks  # type: ignore[arg-type]
        lead = tuple((1,) * n for n in image.shape[:-3])
        array = open_lazily(image.array, (*lead, *chunks))
        known = {k: v for k, v in image.attributes.items() if k in ("scale", "classes", "model", "source")}
        found = tomogram(array, voxel_size or image.voxel_size, image.name, **known)
        return found.assign_coords({"class": image.classes}) if lead else found
    source = open_source(url, voxel_size=voxel_size, dataset=dataset, channel=channel, axes=axes)
    for sentence in source.warnings:
        warnings.warn(sentence, stacklevel=2)
    chunks = storage_grid(source.shape).chunks
    array = open_lazily(source, chunks)
    return tomogram(array, source.voxel_size, source.name, source=str(url))


def extract_spectrum(tomogram: xarray.DataArray, convention: Convention = "physical") -> Delayed:
    """Extract the amplitude spectrum of a tomogram, lazily.

    Parameters
    ----------
    tomogram : xarray.DataArray
        Dims (z, y, x); ``physical`` needs its voxel size.
    convention : {"physical", "deepict"}
        physical: mean FFT magnitude by frequency in 1/A. deepict: by shell index, as the original's.

    Returns
    -------
    dask.delayed.Delayed
        Of a `Spectrum`; ``.compute()`` it, or give it to `equalize` as it is.
    """
    from deepict_dask.engine.spectrum import extract_spectrum as extract

    array, size = _array(tomogram), voxel_size_of(tomogram.attrs)
    return extract(array, size, convention)


def equalize(
    tomogram: xarray.DataArray,
    target: str | Path | Spectrum | xarray.DataArray,
    convention: Convention = "physical",
    cutoff: float | None = None,
    smooth: float | None = None,
) -> xarray.DataArray:
    """Bring the amplitude spectrum of a tomogram to a target's, lazily.

    Parameters
    ----------
    tomogram : xarray.DataArray
        Dims (z, y, x).
    target : path, Spectrum or xarray.DataArray
        A spectrum in a ``.tsv``, one that was extracted, or another tomogram (or its path).
    convention : {"physical", "deepict"}
        physical: isotropic in 1/A, block by block with a halo. deepict: the original's global filter, by
        index and with its defects, since published networks were trained on it.
    cutoff : float, optional
        Low-pass: in A (physical), or a shell index (deepict).
    smooth : float, optional
        physical: smoothing of the gain in frequency shells, 2 by default. deepict: softness of the cutoff.

    Returns
    -------
    xarray.DataArray
        float32, the same for every chunking of the tomogram.
    """
    from dask import delayed

    from deepict_dask.engine.equalize import equalize_deepict, equalize_physical
    from deepict_dask.kernels.fir import halo_voxels
    from deepict_dask.kernels.physical_gain import physical_gain

    array, size = _array(tomogram), voxel_size_of(tomogram.attrs)
    wanted = _target_spectrum(target, convention)
    if convention == "deepict":
        return _like(tomogram, equalize_deepict(array, wanted, cutoff, smooth))
    if size is None:
        raise InputError(
            "physical equalization needs the tomogram's voxel size in A; set attrs['voxel_size']"
        )
    gain = delayed(physical_gain)(extract_spectrum(tomogram), wanted, cutoff, smooth)
    return _like(tomogram, equalize_physical(array, gain, halo=halo_voxels(size)))


def segment(
    tomogram: xarray.DataArray,
    model: Model | str | Path,
    tiling: Literal["exact", "deepict"] = "exact",
    runtime: Literal["auto", "torch", "openvino"] = "auto",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    block: int = 208,
) -> xarray.DataArray:
    """Compute the probability maps of a tomogram, lazily.

    Parameters
    ----------
    tomogram : xarray.DataArray
        Dims (z, y, x), at the voxel size that the network was trained at.
    model : Model or path
        From `load_model`, or a checkpoint.
    tiling : {"exact", "deepict"}
        exact: the map of one pass over the whole, mirrored tomogram. deepict: the original's boxes.
    runtime : {"auto", "torch", "openvino"}
        auto: OpenVINO on CPUs where it is installed, else torch.
    device : {"auto", "cpu", "cuda"}
        auto: a CUDA device if there is one.
    block : int
        Largest edge of a block in voxels, without its halo.

    Returns
    -------
    xarray.DataArray
        float32 probabilities, dims (z, y, x), with a leading ``class`` for several classes. Normalized by
        the mean and standard deviation of this tomogram, which cost one more pass over it.
    """
    import dask.array as da

    from deepict_dask.engine.segment import segment as segment_lazily
    from deepict_dask.engine.segment import segment_grid, usable_statistics
    from deepict_dask.networks.blocks import BlockPredictor
    from deepict_dask.networks.predictor import ModelSpec, resolve_runtime

    opened = load_model(model) if isinstance(model, (str, Path)) else model
    array = _array(tomogram)
    if not isinstance(array, da.Array):
        array = da.from_array(array)
    architecture = opened.architecture
    grid, halo = segment_grid(array.shape, tiling, block, architecture.alignment, architecture.halo())
    spec = ModelSpec.of(opened, runtime=resolve_runtime(runtime, device), device=device, tiling=tiling)  # type: ignore[arg-type]
    statistics = usable_statistics(array)
    probability = segment_lazily(
        array,
        BlockPredictor(spec, halo, tiling == "deepict"),
        grid,
        halo,
        n_classes=len(opened.classes),
        mean=statistics.mean,
        std=statistics.std,
        in_boxes=tiling == "deepict",
    )
    found = _like(tomogram, probability, classes=list(opened.classes), model=opened.card.name)
    return found.assign_coords({"class": list(opened.classes)}) if found.ndim == 4 else found


def label(mask: xarray.DataArray | da.Array | np.ndarray, connectivity: int = 26) -> Any:
    """Number the connected components of a segmentation, lazily.

    Parameters
    ----------
    mask : array, shape (z, y, x)
        Segmentation; everything but zero is foreground.
    connectivity : {6, 18, 26}
        Which neighbors belong together.

    Returns
    -------
    xarray.DataArray or dask.array.Array
        int32 label image, numbered by first voxel: scipy.ndimage.label's, for every chunking. What
        was given decides which of the two.
    """
    from deepict_dask.engine.labelling import label as label_lazily

    labels = label_lazily(_array(mask), connectivity)
    return _like(mask, labels) if hasattr(mask, "dims") else labels  # type: ignore[arg-type]


def pick(
    probability: xarray.DataArray | da.Array | np.ndarray,
    threshold: float = 0.5,
    min_size: int = 100,
    max_size: int | None = None,
    connectivity: int = 26,
    border: tuple[int, int, int] = (0, 0, 0),
    region: xarray.DataArray | da.Array | np.ndarray | None = None,
) -> Particles:
    """Pick particles from a probability map; this computes.

    Parameters
    ----------
    probability : array, shape (z, y, x)
        Probabilities in [0, 1], or a stored uint8 map from `open_tomogram`. Of several classes choose
        one first: ``probability.sel({"class": "ribosome"})``.
    threshold : float
        A voxel is foreground if its probability is above.
    min_size, max_size : int, int or None
        A component is a particle if ``min_size < size <= max_size``, in voxels.
    connectivity : {6, 18, 26}
        Which neighbors belong together.
    border : (int, int, int)
        Thickness (z, y, x) in voxels that is excluded on each side before labelling.
    region : array, shape (z, y, x), optional
        Region mask; particles are picked where it is not 0.

    Returns
    -------
    Particles

    Raises
    ------
    InputError
        If a setting is out of range, or the region has another shape.
    """
    from deepict_dask.engine.picking import pick as pick_eagerly

    attributes = getattr(probability, "attrs", {})
    name = getattr(probability, "name", None)
    chosen = probability.coords.get("class") if hasattr(probability, "coords") else None
    classes = (
        [str(chosen.values)] if chosen is not None and chosen.ndim == 0 else attributes.get("classes", [])
    )
    return pick_eagerly(
        _array(probability),
        threshold=threshold,
        min_size=min_size,
        max_size=max_size,
        connectivity=connectivity,
        border=border,
        region=None if region is None else _array(region),
        voxel_size=voxel_size_of(attributes),
        scale=attributes.get("scale"),
        tomogram=str(name or ""),
        class_name=classes[0] if len(classes) == 1 else "",
    )


def _array(given: Any) -> Any:
    return given.data if hasattr(given, "dims") else given


def _like(given: xarray.DataArray, array: Any, **attributes: Any) -> xarray.DataArray:
    """Make a tomogram of an array with the name and the voxel size of another."""
    return tomogram(array, voxel_size_of(given.attrs), str(given.name or "tomogram"), **attributes)


def _target_spectrum(target: Any, convention: Convention) -> Any:
    from deepict_dask.io.spectra import read_spectrum
    from deepict_dask.spectrum import Spectrum

    if isinstance(target, (str, Path)):
        if str(target).lower().endswith((".tsv", ".txt")):
            target = read_spectrum(target)
        else:
            target = open_tomogram(target)
    if isinstance(target, Spectrum):
        target.require(convention, "target spectrum")
        return target
    return extract_spectrum(target, convention) if hasattr(target, "dims") else target

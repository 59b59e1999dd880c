"""What is computed lazily: spectra, equalized tomograms, probability maps, label images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from deepict_dask.api.opening import load_model, open_tomogram
from deepict_dask.api.shown import Seen
from deepict_dask.api.tomograms import as_tomogram, like, voxel_size_at
from deepict_dask.errors import InputError
from deepict_dask.networks.checkpoint import Model

if TYPE_CHECKING:
    import dask.array as da
    import xarray
    from dask.delayed import Delayed

    from deepict_dask.spectrum import Convention, Spectrum


def extract_spectrum(
    tomogram: xarray.DataArray | da.Array | str | os.PathLike[str],
    convention: Convention = "physical",
    clip: float | None = None,
    ignore_value: float | None = None,
    invert: bool = False,
) -> Delayed:
    """Extract the amplitude spectrum of a tomogram, lazily.

    Parameters
    ----------
    tomogram : xarray.DataArray, array or path
        Dims (z, y, x); ``physical`` needs its voxel size.
    convention : {"physical", "deepict"}
        physical: mean FFT magnitude by frequency in 1/A. deepict: by shell index, as the original's.
    clip, ignore_value, invert
        As for `segment`.

    Returns
    -------
    dask.delayed.Delayed
        Of a `Spectrum`; ``.compute()`` it, or give it to `equalize` as it is.
    """
    from deepict_dask.engine.spectrum import extract_spectrum as extract

    opened = as_tomogram(tomogram)
    seen = Seen.of(opened, clip, ignore_value, invert)
    return extract(
        seen.array, voxel_size_at(opened), convention, has_holes=seen.value is not None, **seen.spectrum_facts
    )


def equalize(
    tomogram: xarray.DataArray | da.Array | str | os.PathLike[str],
    target: str | os.PathLike[str] | Spectrum | xarray.DataArray,
    convention: Convention = "physical",
    cutoff: float | None = None,
    smooth: float | None = None,
    clip: float | None = None,
    ignore_value: float | None = None,
    invert: bool = False,
) -> xarray.DataArray:
    """Bring the amplitude spectrum of a tomogram to a target's, lazily.

    Parameters
    ----------
    tomogram : xarray.DataArray, array or path
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
    clip, ignore_value, invert
        As for `segment`, of the tomogram, not of the target.

    Returns
    -------
    xarray.DataArray
        float32, the same for every chunking of the tomogram. Voxels that were left out have their value again, which
        is the attribute ``ignore_value``: `segment` then leaves them out, too.
    """
    from dask import delayed

    from deepict_dask.engine.equalize import equalize_deepict, equalize_physical
    from deepict_dask.kernels.fir import halo_voxels
    from deepict_dask.kernels.physical_gain import physical_gain

    opened = as_tomogram(tomogram)
    seen, size = Seen.of(opened, clip, ignore_value, invert), voxel_size_at(opened)
    target_spectrum = _target_spectrum(target, convention)
    if convention == "deepict":
        ends = {k: v for k, v in seen.spectrum_facts.items() if k != "mean"}
        return seen.like(equalize_deepict(seen.array, target_spectrum, cutoff, smooth, **ends), seen.facts)
    if size is None:
        raise InputError(
            "physical equalization needs the tomogram's voxel size in A; set attrs['voxel_size']"
        )
    spectrum = extract_spectrum(opened, clip=clip, ignore_value=ignore_value, invert=invert)
    gain = delayed(physical_gain)(spectrum, target_spectrum, cutoff, smooth)
    mean = seen.spectrum_facts.get("mean")
    return seen.like(equalize_physical(seen.array, gain, mean, halo=halo_voxels(size)), gain)


def segment(
    tomogram: xarray.DataArray | da.Array | str | os.PathLike[str],
    model: Model | str | os.PathLike[str],
    tiling: Literal["exact", "deepict"] = "exact",
    runtime: Literal["auto", "torch", "openvino"] = "auto",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    block: int = 208,
    clip: float | None = None,
    ignore_value: float | None = None,
    invert: bool = False,
    z_cutoff: int | None = None,
    z_smoothing: float | None = None,
) -> xarray.DataArray:
    """Compute the probability maps of a tomogram, lazily.

    Parameters
    ----------
    tomogram : xarray.DataArray, array or path
        Dims (z, y, x), at the voxel size that the network was trained at.
    model : Model or path
        From `load_model`, or a checkpoint.
    tiling : {"exact", "deepict"}
        exact: the map of one pass over the whole, mirrored tomogram (of a 2D network: over whole slices). deepict: the
        original's boxes, or tiles of slices.
    runtime : {"auto", "torch", "openvino"}
        auto: OpenVINO on CPUs where it is installed, else torch.
    device : {"auto", "cpu", "cuda"}
        auto: a CUDA device if there is one.
    block : int
        Largest edge of a block in voxels, without its halo; of a 2D network the block has about as many voxels.
    clip : float, optional
        Voxels farther than so many standard deviations (at least 3) from the mean are shown as if they were there, mean and
        standard deviation being those of the others: three more passes over the tomogram.
    ignore_value : float, optional
        Voxels of this value are left out of mean, standard deviation and spectrum; the network sees the mean there, and the
        map is 0. What a tomogram from `equalize` says itself, unless given.
    invert : bool
        Change the sign of the voxels.
    z_cutoff : int, optional
        2D networks: map only so many slices around the center, standardized by themselves; the others are 0.
    z_smoothing : float, optional
        2D networks: standard deviation in slices of the Gaussian that smooths the map along z; 5 unless given.

    Returns
    -------
    xarray.DataArray
        float32 probabilities, dims (z, y, x), with a leading ``class`` for several classes. Normalized by
        the mean and standard deviation of this tomogram, which cost one more pass over it.
    """
    from dask import delayed

    from deepict_dask.config import load_settings
    from deepict_dask.engine.segment import usable
    from deepict_dask.stages.inference import check_network, inference_grid, probability_map
    from deepict_dask.stages.segment import model_spec

    network = model if isinstance(model, Model) else load_model(model)
    options: dict[str, Any] = {"tiling": tiling, "runtime": runtime, "device": device, "block": block}
    options |= {"z_cutoff": z_cutoff, "z_smoothing": z_smoothing}
    settings = load_settings(None, options).segment
    check_network(network, settings)
    opened = as_tomogram(tomogram)
    value = opened.attrs.get("ignore_value") if ignore_value is None else ignore_value
    seen = Seen.of(opened, clip, value, invert)
    probability = probability_map(
        seen.source,
        network,
        model_spec(network, settings),
        settings,
        inference_grid(seen.source.shape, network.architecture, settings, block),
        delayed(usable)(seen.statistics()),
        "float32",
        None if seen.facts is None else seen.facts[0],
        seen.value,
    )
    return like(
        opened,
        probability,
        classes=list(network.classes),
        model=network.card.name,
        network=network.architecture.network,
    )


def label(mask: Any, connectivity: int = 26) -> Any:
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

    opened = as_tomogram(mask, "a segmentation")
    labels = label_lazily(opened.data, connectivity)
    is_plain = hasattr(mask, "dtype") and not hasattr(mask, "dims")
    return labels if is_plain else like(opened, labels)


def _target_spectrum(target: Any, convention: Convention) -> Any:
    from dask.delayed import Delayed

    from deepict_dask.io.spectra import read_spectrum
    from deepict_dask.spectrum import Spectrum

    if isinstance(target, (str, os.PathLike)):
        if str(target).lower().endswith((".tsv", ".txt")):
            target = read_spectrum(os.fspath(target))
        else:
            target = open_tomogram(target)
    if isinstance(target, Spectrum):
        target.require(convention, "target spectrum")
        return target
    # A Delayed of a spectrum is taken as it is.
    return target if isinstance(target, Delayed) else extract_spectrum(target, convention)

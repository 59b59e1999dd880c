"""Batch normalization folded into the convolutions that follow it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepict_dask.networks.architecture import Architecture

State = dict[str, np.ndarray]

EPSILON = 1e-5
"""torch's default, which the original never changed."""


def batch_norm_affine(state: Mapping[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Give the scale and shift (float64, shape (channels,)) of a layer in inference."""
    weight, bias, mean, var = (
        state[f"{prefix}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / np.sqrt(var + EPSILON)
    return scale, bias - mean * scale


def amplification(state: Mapping[str, np.ndarray]) -> float:
    """Estimate by how much a network multiplies the size of what it sees, in decades.

    All layers lie on one way from entry to exit; each counts as its strongest channel does for noise, batch
    normalization included, and never as less than 1. A trained network has few decades. Runtimes differ in what they make
    of an overflow (OpenVINO's ReLU turns NaN into 0), so it is not left to them.
    """
    decades = 0.0
    for name in (n for n in state if n.endswith(".weight") and state[n].ndim in (4, 5)):
        weight = state[name].astype(np.float64)
        taps = tuple(range(2, weight.ndim))
        # An upsampler has its outputs second, and each of its outputs sees one voxel, or four at most in 2D.
        outputs = np.abs(weight).max(axis=taps).T if name.startswith("upsamplers.") else weight
        gain = np.sqrt((outputs**2).sum(axis=tuple(range(1, outputs.ndim))))
        prefix, _, index = name.removesuffix(".weight").rpartition(".")
        norm = f"{prefix}.{int(index) + 2}" if index.isdigit() else ""
        if f"{norm}.running_var" in state:
            gain = gain * np.abs(batch_norm_affine(state, norm)[0])
        decades += max(0.0, float(np.log10(max(gain.max(), 1e-300))))
    return decades


def fold_batch_norm(architecture: Architecture, state: Mapping[str, np.ndarray]) -> State:
    """Move batch normalization into the next convolution, as far as that is exact.

    It stands after the activation, so it belongs to the convolution that comes next. That is exact
    where that convolution pads nothing (zeros around a map are not zeros before normalization), so
    the result is only for the cropping forward. A map that is pooled first can be folded where all
    scales are positive, since only then does the maximum commute with them.

    Parameters
    ----------
    architecture : Architecture
        Hyperparameters of the network.
    state : mapping of str to numpy.ndarray
        The weights by the original's names.

    Returns
    -------
    dict of str to numpy.ndarray
        The same computation; layers of batch normalization that were folded are gone.
    """
    new: State = dict(state)
    if not architecture.batch_norm:
        return new
    depth = architecture.depth
    for level in range(depth):
        _fold(new, f"encoder.{level}.2", [f"encoder.{level}.4"])
        following = f"encoder.{level + 1}.0" if level + 1 < depth else "base.0"
        # The map also skips to the decoder, as the first channels of what is joined there.
        if (batch_norm_affine(new, f"encoder.{level}.6")[0] > 0).all():
            _fold(new, f"encoder.{level}.6", [following, f"decoder.{depth - 1 - level}.0"])
    for level in range(depth):
        _fold(new, f"decoder.{level}.2", [f"decoder.{level}.4"])
    # Before an upsampler the shift would differ by voxel parity, so only the last level's can go.
    _fold(new, f"decoder.{depth - 1}.6", ["out_conv"])
    return new


def _fold(state: State, norm: str, followers: list[str]) -> None:
    scale, shift = batch_norm_affine(state, norm)
    for name in followers:
        weight, bias = (state[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        part = weight[:, : len(scale)]
        bias += (part.sum(axis=tuple(range(2, part.ndim))) * shift).sum(axis=1)
        part *= scale.reshape(1, -1, *(1,) * (part.ndim - 2))
        state[f"{name}.weight"], state[f"{name}.bias"] = weight.astype(np.float32), bias.astype(np.float32)
    for key in [k for k in state if k.startswith(f"{norm}.")]:
        del state[key]

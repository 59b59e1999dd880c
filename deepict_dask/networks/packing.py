"""Neighboring voxels packed into channels, so that thin layers fill a processor's vectors.

A U-Net of the original's size has 4 channels at full resolution, where most of the work is, but
a vector unit holds 16 numbers. So 2 x 2 voxels in y and x become 4 groups of channels of one
voxel twice as large, ordered (y, x, channel) with the channel fastest. An unpadded 3x3x3
convolution of single voxels is then a 3x2x2 convolution of packed ones: a pack of outputs at
positions 1 and 2 of an axis needs the inputs 0 to 3, which are just two packs. Each function
rewrites the weights of one kind of layer; the numbers computed are the same.
"""

from __future__ import annotations

import numpy as np

Pack = tuple[int, int]
"""Voxels packed together along y and x, each 1 or 2."""

_VECTOR = 16  # float32 of 512 bits; also right for two vectors of 256


def pack_factor(features: int) -> Pack:
    """Choose how many voxels to pack for a layer of some channels.

    >>> pack_factor(4), pack_factor(8), pack_factor(16)
    ((2, 2), (1, 2), (1, 1))
    """
    if 4 * features <= _VECTOR:
        return 2, 2
    return (1, 2) if 2 * features <= _VECTOR else (1, 1)


def pack_convolution(weight: np.ndarray, pack: Pack) -> np.ndarray:
    """Rewrite a convolution from packed to packed voxels, with no padding.

    Parameters
    ----------
    weight : numpy.ndarray of float32, shape (out, in, 3, 3, 3)
        Weights of the plain convolution.
    pack : (int, int)
        Voxels packed along y and x.

    Returns
    -------
    numpy.ndarray of float32, shape (groups * out, groups * in, 3, ky, kx)
        ``k`` is 2 along a packed axis, else 3.
    """
    y, x = (_placement(3, 2 if p == 2 else 3, p, p) for p in pack)
    packed = np.einsum("oizyx,yYab,xXcd->acobdizYX", weight, y, x)
    return _merge(packed, 3, 3)


def pack_entry(weight: np.ndarray, pack: Pack) -> np.ndarray:
    """Rewrite a convolution from plain to packed voxels; its stride is (1, *pack).

    Takes (out, in, 3, 3, 3), gives (groups * out, in, 3, ky, kx), ``k`` being 4 along a packed axis.
    """
    y, x = (_placement(3, p + 2, p, 1)[..., 0] for p in pack)
    return _merge(np.einsum("oizyx,yYa,xXc->acoizYX", weight, y, x), 3, 1)


def pack_upsampler(weight: np.ndarray, pack: Pack) -> np.ndarray:
    """Rewrite a 2x2x2 transposed convolution from plain to packed voxels; its stride is its kernel.

    Takes (in, out, 2, 2, 2), gives (in, groups * out, 2, 2 / py, 2 / px).
    """
    i, o, *_ = weight.shape
    (py, px), (ky, kx) = pack, (2 // pack[0], 2 // pack[1])
    # Along each of y and x either the kernel or the group has the two positions.
    split = weight.reshape(i, o, 2, ky, py, kx, px)
    return np.ascontiguousarray(split.transpose(0, 4, 6, 1, 2, 3, 5)).reshape(i, py * px * o, 2, ky, kx)


def pack_exit(weight: np.ndarray, pack: Pack) -> np.ndarray:
    """Rewrite a 1x1x1 convolution as a transposed one from packed to plain voxels.

    Takes (out, in, 1, 1, 1), gives (groups * in, out, 1, py, px); its stride is its kernel.
    """
    py, px = pack
    packed = np.einsum("oi,ya,xc->acioyx", weight[:, :, 0, 0, 0], np.eye(py), np.eye(px))
    return packed.reshape(-1, len(weight), 1, py, px).astype(np.float32)


def pack_channels(values: np.ndarray, pack: Pack) -> np.ndarray:
    """Repeat one value per channel for each group."""
    return np.tile(values, pack[0] * pack[1])


def _placement(kernel: int, taps: int, outs: int, ins: int) -> np.ndarray:
    """Say which plain tap a packed tap is: 1 at [plain tap, tap, output in its pack, input in its pack]."""
    k, t, a, b = np.ogrid[:kernel, :taps, :outs, :ins]
    return np.asarray(k == ins * t + b - a, np.float32)


def _merge(packed: np.ndarray, out_axes: int, in_axes: int) -> np.ndarray:
    shape = packed.shape
    out, rest = shape[:out_axes], shape[out_axes : out_axes + in_axes]
    merged = packed.reshape(np.prod(out), np.prod(rest), *shape[out_axes + in_axes :])
    return np.ascontiguousarray(merged, np.float32)

"""What happens to the densities of a training patch: noise, missing wedge, spectrum; shapes (1, z, y, x)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_AXES = (-3, -2, -1)


def keep_moments(x: Tensor, before: Tensor) -> Tensor:
    """Bring a patch to the mean and standard deviation that it had before."""
    std, mean = torch.std_mean(x)
    std_before, level = torch.std_mean(before)
    return (x - mean) * (std_before / std.clamp_min(1e-12)) + level


def add_noise(x: Tensor, std: float, rng: np.random.Generator) -> Tensor:
    """Add white Gaussian noise."""
    return x + std * _normal(x, rng)


def add_colored_noise(x: Tensor, std: float, rng: np.random.Generator) -> Tensor:
    """Add Gaussian noise with the patch's own amplitude spectrum, direction by direction."""
    level = x.mean()
    amplitude = torch.fft.rfftn(x - level, dim=_AXES).abs()
    noise = torch.fft.irfftn(
        torch.fft.rfftn(_normal(x, rng), dim=_AXES) * amplitude, s=x.shape[-3:], dim=_AXES
    )
    return x + std * noise / noise.std().clamp_min(1e-12)


def salt_and_pepper(x: Tensor, fraction: float, rng: np.random.Generator) -> Tensor:
    """Set a fraction of the voxels to the patch's minimum or, as often, to its maximum."""
    coin = torch.from_numpy(rng.random(tuple(x.shape), dtype=np.float32)).to(x.device)
    x = torch.where(coin < fraction / 2, x.min(), x)
    return torch.where(coin > 1 - fraction / 2, x.max(), x)


def widen_wedge(x: Tensor, tilt: float, azimuth: float) -> Tensor:
    """Remove the frequencies that a tilt series up to an angle does not reach.

    Parameters
    ----------
    x : torch.Tensor of float32, shape (1, z, y, x)
        The patch.
    tilt : float
        Largest tilt in degrees, above 0 and at most 90.
    azimuth : float
        Direction of the tilt axis in the xy plane, radians from y towards x.
    """
    z, y, xx = _frequencies(tuple(x.shape[-3:]))
    across = (xx * math.cos(azimuth) - y * math.sin(azimuth)).abs()
    # The plane of tilt a holds kz = tan(a) * k_across; zero frequency stays.
    kept = z.abs() <= math.tan(math.radians(tilt)) * across + 1e-6
    kept[0, 0, 0] = True
    return _filtered(x, kept.to(x))


def apply_spectrum(x: Tensor, log_gain: Sequence[float]) -> Tensor:
    """Multiply with a radial gain, given by its logarithm at equally spaced frequencies up to the corner."""
    z, y, xx = _frequencies(tuple(x.shape[-3:]))
    radius = (z**2 + y**2 + xx**2).sqrt()
    place = radius / (math.sqrt(3) / 2) * (len(log_gain) - 1)
    knots = torch.tensor(log_gain, dtype=torch.float32)
    low = place.floor().clamp(0, len(log_gain) - 2).long()
    # Smoothstep between the knots: no kinks, so no ringing.
    t = (place - low).clamp(0, 1)
    t = t * t * (3 - 2 * t)
    return _filtered(x, (knots[low] * (1 - t) + knots[low + 1] * t).exp().to(x))


def _filtered(x: Tensor, gain: Tensor) -> Tensor:
    return torch.fft.irfftn(torch.fft.rfftn(x, dim=_AXES) * gain, s=x.shape[-3:], dim=_AXES)


def _normal(x: Tensor, rng: np.random.Generator) -> Tensor:
    # Drawn by numpy on every device, so that a GPU sees what a CPU sees.
    return torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32)).to(x.device)


@lru_cache(maxsize=4)
def _frequencies(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    z, y = (torch.fft.fftfreq(n) for n in shape[:2])
    return z[:, None, None], y[None, :, None], torch.fft.rfftfreq(shape[2])[None, None, :]

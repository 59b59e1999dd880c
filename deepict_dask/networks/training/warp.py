"""Where the voxels of a training patch go: flips, quarter turns, rotation and elastic deformation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional

# Displacements are cut off at so many standard deviations, which bounds the margin.
_REACH = 2.5


def turn(values: Tensor, flipped: Sequence[int], turns: Sequence[tuple[tuple[int, int], int]]) -> Tensor:
    """Mirror along axes (from -3) and turn by quarters in planes of axes (0 to 2); exact."""
    if flipped:
        values = torch.flip(values, list(flipped))
    for (a, b), quarters in turns:
        values = torch.rot90(values, quarters, (a - 3, b - 3))
    return values.contiguous()


@dataclass(frozen=True)
class Warp:
    """A rotation about the patch's center, after a smooth random displacement.

    Attributes
    ----------
    rotation : (float, float, float)
        Rotation vector (z, y, x), length in radians.
    elastic : float
        Standard deviation of the displacement at a control point, voxels.
    spacing : int
        Distance of the control points, voxels.
    """

    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    elastic: float = 0.0
    spacing: int = 16

    def matrix(self) -> np.ndarray:
        """Give the rotation as a matrix on (z, y, x) offsets: where an output voxel looks."""
        z, y, x = self.rotation
        return Rotation.from_rotvec([x, y, z]).as_matrix()[::-1, ::-1].copy()

    def margin(self, patch: int) -> tuple[int, int, int]:
        """Voxels around a patch at which its voxels may look, on each side of (z, y, x)."""
        reach = np.abs(self.matrix()).sum(axis=1) * (patch - 1) / 2 - (patch - 1) / 2
        reach = np.maximum(reach + _REACH * self.elastic, 0)
        z, y, x = (int(np.ceil(r - 1e-6)) for r in reach)
        return z, y, x

    def apply(
        self, x: Tensor, y: Tensor, patch: int | None, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Resample x linearly and y to the nearest voxel; mirrored where no margin was given."""
        shape = x.shape[-3:]
        out = shape if patch is None else (patch,) * 3
        matrix = torch.from_numpy(self.matrix().astype(np.float32))
        # Offsets from the center, (z, y, x), then where each looks.
        where = _offsets(tuple(out)) @ matrix.T
        if self.elastic:
            where = where + self._displacement(tuple(out), rng)
        # grid_sample wants x first, and 1 at the center of the last voxel.
        half = torch.tensor([max((n - 1) / 2, 0.5) for n in shape])
        grid = (where / half).flip(-1)[None].to(x.device)
        options = {"padding_mode": "reflection", "align_corners": True}
        moved = functional.grid_sample(x[None], grid, mode="bilinear", **options)[0]  # type: ignore[arg-type]
        target = functional.grid_sample(y[None].float(), grid, mode="nearest", **options)[0]  # type: ignore[arg-type]
        return moved, target.to(y.dtype)

    def _displacement(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        points = tuple(max(2, -(-n // self.spacing) + 1) for n in shape)
        coarse = rng.normal(size=(1, 3, *points)).clip(-_REACH, _REACH) * self.elastic
        fine = functional.interpolate(
            torch.from_numpy(coarse.astype(np.float32)), size=shape, mode="trilinear", align_corners=True
        )
        return fine[0].movedim(0, -1)


@lru_cache(maxsize=4)
def _offsets(shape: tuple[int, ...]) -> Tensor:
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)

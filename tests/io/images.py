"""Images as stages write them, small and whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepict_dask.io.ome_zarr import Image, create_image, finish_image


def write_image(
    path: Path, values: np.ndarray, voxel_size: float = 13.48, version: str = "0.5", name: str = "TS_1"
) -> Image:
    """Write one block, and finish the image."""
    image = create_image(
        path,
        shape=values.shape,
        dtype=values.dtype,
        voxel_size=(voxel_size,) * 3,
        name=name,
        core=(8, 8, 8),
        n_levels=1,
        version=version,
    )
    assert max(values.shape) <= 8
    shards = image.writer.write(tuple(slice(0, n) for n in values.shape), values)
    return finish_image(image, shards)

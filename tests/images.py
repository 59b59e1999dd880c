"""Images as the stages leave them, for tests of what reads them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.io.ome_zarr import Image, create_image, finish_image


def stored_image(
    path: Path,
    values: np.ndarray,
    *,
    core: tuple[int, int, int] = (16, 24, 32),
    finish: dict[str, Any] | None = None,
    computed: list[tuple[int, int, int]] | None = None,
    **options: Any,
) -> Image:
    """Write an image block by block and finish it with some attributes; options are those of `create_image`."""
    chosen = {"voxel_size": (10.0, 10.0, 10.0), "name": "a", "n_levels": 1} | options
    image = create_image(path, shape=values.shape, dtype=values.dtype, core=core, **chosen)
    shards = []
    for corner in itertools.product(*(range(0, n, k) for n, k in zip(values.shape[-3:], core, strict=True))):
        spatial = tuple(
            slice(a, min(a + k, n)) for a, k, n in zip(corner, core, values.shape[-3:], strict=True)
        )
        region = (*(slice(0, n) for n in values.shape[:-3]), *spatial)
        shards += image.writer.write(region, values[region])
    return finish_image(image, shards, computed, **(finish or {}))

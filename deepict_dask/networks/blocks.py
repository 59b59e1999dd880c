"""What travels in a graph instead of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepict_dask.networks.predictor import ModelSpec, get_predictor


@dataclass(frozen=True)
class BlockPredictor:
    """A network by reference, called on blocks; some hundred bytes.

    Attributes
    ----------
    spec : ModelSpec
        Path and checksum of the checkpoint, and how to run it.
    halo : (int, int, int)
        Voxels of context around a core, (z, y, x).
    in_boxes : bool
        Whether it is called with the original's boxes instead of a core with its halo.
    """

    spec: ModelSpec
    halo: tuple[int, int, int]
    in_boxes: bool

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Predict standardized float32 voxels with this process's copy of the network."""
        predictor = get_predictor(self.spec)
        return predictor.predict_boxes(block) if self.in_boxes else predictor.predict_core(block, self.halo)

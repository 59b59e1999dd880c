"""What travels in a graph instead of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepict_dask.errors import WorkError
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
        """Predict standardized float32 voxels with this process's copy of the network.

        Raises
        ------
        WorkError
            If a probability is NaN or infinite, which would be stored as 0.
        """
        predictor = get_predictor(self.spec)
        probability = (
            predictor.predict_boxes(block) if self.in_boxes else predictor.predict_core(block, self.halo)
        )
        # A sum is one pass without a copy, and NaN and infinity survive it.
        if not np.isfinite(probability.sum(dtype=np.float64)):
            raise WorkError(self._why_not_finite(block, probability))
        return probability

    def _why_not_finite(self, block: np.ndarray, probability: np.ndarray) -> str:
        n = int(np.count_nonzero(~np.isfinite(probability)))
        return (
            f"the network {self.spec.path} gave {n} of {probability.size} probabilities that are NaN or infinite in a "
            f"block of {' x '.join(map(str, block.shape))} voxels between {block.min():.3g} and {block.max():.3g} standard "
            "deviations; its weights are too large to compute with, so train it again or take an earlier checkpoint"
        )

"""What is known about a simulated cell: its particles and regions."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

TRUTH_DTYPE = np.dtype(
    [("class", "U16"), ("z", "f8"), ("y", "f8"), ("x", "f8"), ("rot", "f8"), ("tilt", "f8"), ("psi", "f8")]
)
"""One row per particle: class, position in voxels, ZYZ Euler angles in degrees.

``pandas.DataFrame(truth)`` makes a table of it. The angles are RELION's: the intrinsic ZYZ rotation
takes (x, y, z) offsets from the particle's center *in the tomogram* to the frame of the reference.
"""


def random_orientations(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n orientations, uniform over all rotations: (n, 3) rot, tilt, psi in degrees."""
    rot, psi = rng.uniform(-180, 180, (2, n))
    tilt = np.degrees(np.arccos(rng.uniform(-1, 1, n)))
    return np.stack([rot, tilt, psi], axis=1)


def to_reference(rot: float, tilt: float, psi: float) -> np.ndarray:
    """Give the matrix that takes (x, y, z) offsets in the tomogram to the reference's frame.

    >>> to_reference(90, 0, 0).round(6) + 0.0
    array([[ 0., -1.,  0.],
           [ 1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    return Rotation.from_euler("ZYZ", [rot, tilt, psi], degrees=True).as_matrix()

"""What is known about a simulated cell: its particles and regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape

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


def sphere_targets(
    truth: np.ndarray, shape: Shape, classes: Sequence[str], radius: float | Sequence[float]
) -> np.ndarray:
    """Draw a solid sphere about every particle, one channel per class, to train on.

    Parameters
    ----------
    truth : numpy.ndarray of TRUTH_DTYPE
        The particles; those of other classes are left out.
    shape : (int, int, int)
        The tomogram, (z, y, x) voxels.
    classes : sequence of str
        The channels, in order.
    radius : float or sequence of float
        In voxels, one for all or one per class.

    Returns
    -------
    numpy.ndarray of uint8, shape (len(classes), z, y, x)
        1 where a voxel's center is within the radius, else 0.

    Raises
    ------
    InputError
        If a radius is not above 0 or there are not as many as classes.

    Examples
    --------
    >>> row = np.zeros(1, TRUTH_DTYPE)
    >>> row["class"], row["x"] = "fas", 2
    >>> sphere_targets(row, (1, 1, 5), ["fas"], 1)[0, 0, 0]
    array([0, 1, 1, 1, 0], dtype=uint8)
    """
    radii = [float(radius)] * len(classes) if isinstance(radius, int | float) else [float(r) for r in radius]
    if len(radii) != len(classes) or not all(r > 0 for r in radii):
        raise InputError(f"radius must be one number above 0, or one per class {list(classes)}, not {radius}")
    targets = np.zeros((len(classes), *shape), np.uint8)
    for target, name, r in zip(targets, classes, radii, strict=True):
        for row in truth[truth["class"] == name]:
            center = np.array([row["z"], row["y"], row["x"]])
            low = np.maximum(np.ceil(center - r).astype(int), 0)
            high = np.maximum(np.minimum(np.floor(center + r).astype(int) + 1, shape), low)
            z, y, x = (np.arange(a, b) - c for a, b, c in zip(low, high, center, strict=True))
            near = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= r * r
            target[low[0] : high[0], low[1] : high[1], low[2] : high[2]][near] = 1
    return targets

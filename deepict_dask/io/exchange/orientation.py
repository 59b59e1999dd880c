"""Euler angles of other programs, by way of the matrix that turns a reference into the particle.

Tables hold ``rot``, ``tilt``, ``psi`` as RELION does: the reference is turned by ``Rz(-psi) Ry(-tilt) Rz(-rot)``, axes x-y-z
(``Euler_angles2matrix``; the same matrix is what copick and the CryoET Data Portal keep). TOM, AV3 and STOPGAP turn it by ``Rz(psi)
Rx(theta) Rz(phi)``, Dynamo by the inverse of ``Rz(narot) Rx(tilt) Rz(tdrot)``.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.particles import Particles

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

ANGLES = ("rot", "tilt", "psi")


def angles_of(particles: Particles) -> np.ndarray:
    """Give rot, tilt and psi in degrees, float64 (n, 3).

    Raises
    ------
    InputError
        If some rows do not say them, which an exported table would have to make up.
    """
    angles = np.stack([np.asarray(particles.others[name], np.float64) for name in ANGLES], axis=1)
    if not np.isfinite(angles).all():
        raise InputError(
            f"some particles of {particles.tomogram or 'a tomogram'} have no rot, tilt and psi and others have; export them "
            "apart (--class), or fill in the angles"
        )
    return angles


def canonical(angles: np.ndarray) -> np.ndarray:
    """Give the usual ones of all rot, tilt and psi that mean the same, to a millionth of a degree.

    >>> canonical(np.array([[10, 0, 20.0], [10, -5, 20]]))
    array([[  30.,    0.,    0.],
           [-170.,    5., -160.]])
    """
    rot, tilt, psi = np.round(np.asarray(angles, np.float64).reshape(-1, 3), 6).T
    tilt = _wrapped(tilt)
    turned = np.where(tilt < 0, 180.0, 0.0)
    rot, tilt, psi = rot + turned, np.abs(tilt), psi + turned
    # Here only the sum of the others counts, or their difference.
    rot = np.where(tilt == 0, rot + psi, np.where(tilt == 180, rot - psi, rot))
    psi = np.where((tilt == 0) | (tilt == 180), 0.0, psi)
    return np.round(np.stack([_wrapped(rot), tilt, _wrapped(psi)], axis=1), 6) + 0.0


def _wrapped(degrees: np.ndarray) -> np.ndarray:
    """Give angles above -180 and up to 180."""
    return np.round(180 - (180 - degrees) % 360, 6)


def matrices(angles: np.ndarray) -> np.ndarray:
    """Give what turns the reference, float64 (n, 3, 3), axes x-y-z, of rot, tilt and psi (n, 3) in degrees.

    Angles that mean the same give the same bits.

    >>> matrices(np.array([[0.0, 0.0, 90.0]]))[0].round(6) @ [1, 0, 0] + 0.0
    array([ 0., -1.,  0.])
    """
    return np.round(_rotation("ZYZ", canonical(angles)).inv().as_matrix(), 12) + 0.0


def from_matrices(matrices: np.ndarray) -> np.ndarray:
    """Give rot, tilt and psi (n, 3) in degrees of matrices (n, 3, 3)."""
    from scipy.spatial.transform import Rotation

    if not len(matrices):
        return np.zeros((0, 3))
    return _euler(Rotation.from_matrix(matrices).inv(), "ZYZ")


def to_motl(angles: np.ndarray) -> np.ndarray:
    """Give phi, theta and psi of TOM, AV3 and STOPGAP of RELION's angles.

    Parameters
    ----------
    angles : float64 (n, 3)
        rot, tilt, psi in degrees.

    Returns
    -------
    float64 (n, 3)
        phi, theta, psi in degrees, in the order in which they turn the reference (z, x, z); lists hold phi, psi, theta.
    """
    return _euler(_rotation("ZYZ", angles).inv(), "zxz") if len(angles) else np.zeros((0, 3))


def from_motl(angles: np.ndarray) -> np.ndarray:
    """Give RELION's angles of those of TOM, AV3 and STOPGAP.

    Parameters
    ----------
    angles : float64 (n, 3)
        phi, theta, psi in degrees, in that order.

    Returns
    -------
    float64 (n, 3)
        rot, tilt, psi in degrees.
    """
    return _euler(_rotation("zxz", angles).inv(), "ZYZ") if len(angles) else np.zeros((0, 3))


def to_dynamo(angles: np.ndarray) -> np.ndarray:
    """Give the angles of Dynamo of RELION's.

    Parameters
    ----------
    angles : float64 (n, 3)
        rot, tilt, psi in degrees.

    Returns
    -------
    float64 (n, 3)
        tdrot, tilt, narot in degrees: columns 7 to 9 of a table.
    """
    return _euler(_rotation("ZYZ", angles), "zxz") if len(angles) else np.zeros((0, 3))


def from_dynamo(angles: np.ndarray) -> np.ndarray:
    """Give RELION's angles of those of Dynamo.

    Parameters
    ----------
    angles : float64 (n, 3)
        tdrot, tilt, narot in degrees.

    Returns
    -------
    float64 (n, 3)
        rot, tilt, psi in degrees.
    """
    return _euler(_rotation("zxz", angles), "ZYZ") if len(angles) else np.zeros((0, 3))


def _rotation(order: str, angles: np.ndarray) -> Rotation:
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler(order, angles, degrees=True)


def _euler(rotation: Rotation, order: str) -> np.ndarray:
    with warnings.catch_warnings():
        # Where the second angle is 0 or 180 only the sum of the others counts; the third is 0 then.
        warnings.simplefilter("ignore", UserWarning)
        angles = rotation.as_euler(order, degrees=True)
    # One number for one angle: 180 and not -180, and never -0.
    angles = np.where(np.abs(angles + 180) < 5e-7, 180.0, angles)
    return np.where(np.abs(angles) < 5e-13, 0.0, angles)

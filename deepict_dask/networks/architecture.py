"""The U-Nets in integers: their hyperparameters, their receptive field and what a core needs.

Nothing here imports an array library; both runtimes and the engine take their halos and crops
from this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from deepict_dask.errors import FormatError, InputError

Shape = tuple[int, ...]
Trim = tuple[int, int]
"""Voxels to take off an axis: (at its start, at its end)."""

NetworkKind = Literal["unet3d", "unet2d"]
_MARGIN = 2  # two convolutions of 3 voxels in a row


@dataclass(frozen=True)
class AxisCrops:
    """What to take off one axis so that every stage computes only what the core needs.

    Attributes
    ----------
    block : (int, int)
        Voxels to take off the block before the first convolution.
    skip : tuple of (int, int)
        Per level, voxels to take off the encoder's output before it joins the decoder.
    up : tuple of (int, int)
        Per level, voxels to take off the upsampled features before they join the decoder.
    """

    block: Trim
    skip: tuple[Trim, ...]
    up: tuple[Trim, ...]


@dataclass(frozen=True)
class Architecture:
    """Hyperparameters of the original's U-Nets.

    Attributes
    ----------
    depth : int
        Number of poolings; blocks are aligned to ``2**depth`` voxels along the pooled axes.
    initial_features : int
        Channels of the first level; each level doubles them.
    in_channels, out_classes : int
        Channels of the input, and probability maps of the output (each with its own sigmoid).
    batch_norm : bool
        Batch normalization after each activation of encoder and decoder, never in the base.
    elu : bool
        ELU instead of ReLU. It leaves no trace in the weights.
    encoder_dropout, decoder_dropout : float
        Probability of dropping a value in training; without effect in inference.
    network : {"unet3d", "unet2d"}
        unet2d sees slices along z, each by itself: its kernels and poolings have two axes, and it goes up by
        transposed convolutions of 3x3 pixels, of which the last row and column are cut off (Keras' ``same``).
    """

    depth: int
    initial_features: int
    in_channels: int = 1
    out_classes: int = 1
    batch_norm: bool = True
    elu: bool = False
    encoder_dropout: float = 0.0
    decoder_dropout: float = 0.0
    network: NetworkKind = "unet3d"

    # Read by pydantic when an architecture is part of a model card.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name in ("depth", "initial_features", "in_channels", "out_classes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} of a U-Net must be a whole number of at least 1, not {value!r}")
        if self.depth > 8:
            raise InputError(f"depth of a U-Net must be at most 8, not {self.depth}")
        for name in ("encoder_dropout", "decoder_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 0 and below 1, not {getattr(self, name)!r}")
        if self.network not in ("unet3d", "unet2d"):
            raise InputError(f"a network is unet3d or unet2d, not {self.network!r}")

    @property
    def is_2d(self) -> bool:
        """Whether it sees single slices."""
        return self.network == "unet2d"

    @property
    def n_axes(self) -> int:
        """Axes of its kernels: 3, or 2 for slices."""
        return 2 if self.is_2d else 3

    @property
    def alignment(self) -> int:
        """Voxels to which cores are aligned along the pooled axes, ``2**depth``."""
        return int(2**self.depth)

    @property
    def alignment_zyx(self) -> tuple[int, int, int]:
        """Voxels to which cores are aligned along each axis.

        >>> Architecture(4, 16, network="unet2d").alignment_zyx
        (1, 16, 16)
        """
        return (1 if self.is_2d else self.alignment, self.alignment, self.alignment)

    @property
    def halo_zyx(self) -> tuple[int, int, int]:
        """`halo` along each axis; none along z where slices are seen each by itself.

        >>> Architecture(4, 16, network="unet2d").halo_zyx
        (0, 128, 128)
        """
        return (0 if self.is_2d else self.halo(), self.halo(), self.halo())

    def features(self, level: int) -> int:
        """Channels of a level; level ``depth`` is the base."""
        return int(self.initial_features * 2**level)

    def activation_bytes(self, runtime: str) -> int:
        """Bytes per voxel of a block, core and halo, that a forward pass of one block takes.

        Measured for 4, 8 and 16 initial features (2D: 8 and 16); the first level's activations are nearly all of it.

        Examples
        --------
        >>> Architecture(2, 4).activation_bytes("openvino"), Architecture(2, 4).activation_bytes("torch")
        (52, 60)
        """
        if self.is_2d:
            return 33 * self.initial_features + 60 if runtime == "torch" else 20 * self.initial_features + 20
        return 8 * self.initial_features + (28 if runtime == "torch" else 20)

    def receptive_radius(self) -> int:
        """Largest distance in voxels at which an input voxel can change an output voxel.

        The exact value over both directions and over all positions of the output voxel on the
        grid of the poolings.

        Examples
        --------
        >>> [Architecture(depth, 4).receptive_radius() for depth in (1, 2, 3)]
        [9, 23, 51]
        """
        reach = 0
        for position in range(self.alignment):
            low, high = self._needed(position, position + 1)[0]
            reach = max(reach, position - low, high - 1 - position)
        return reach

    def halo(self) -> int:
        """Receptive radius rounded up to a multiple of ``2**depth``, in voxels.

        Examples
        --------
        >>> Architecture(2, 4).halo()
        24
        """
        return -(-self.receptive_radius() // self.alignment) * self.alignment

    def block_crops(self, shape: Shape, halo: Shape) -> tuple[AxisCrops, ...]:
        """Derive what to crop of a block (z, y, x) along each axis, see `crops`."""
        none: tuple[Trim, ...] = ((0, 0),) * self.depth
        planes = (AxisCrops((halo[0], halo[0]), none, none),) if self.is_2d else ()
        pooled = zip(shape[-self.n_axes :], halo[-self.n_axes :], strict=True)
        return planes + tuple(self.crops(n, h) for n, h in pooled)

    def crops(self, size: int, halo: int) -> AxisCrops:
        """Derive what to crop along one axis of a block, stage by stage.

        Parameters
        ----------
        size : int
            Edge of the block in voxels, core and both halos.
        halo : int
            Voxels of context on each side, at least ``receptive_radius()``. The core must start at
            a multiple of ``2**depth`` of the tomogram.

        Returns
        -------
        AxisCrops

        Raises
        ------
        InputError
            Where the halo is too small or the core is not a multiple of ``2**depth``.
        """
        core = size - 2 * halo
        if core < 1 or core % self.alignment:
            raise InputError(
                f"a core of {core} voxels ({size} without twice the halo of {halo}) must be a positive "
                f"multiple of 2**depth = {self.alignment}; pad the block or choose another core"
            )
        if halo < self.receptive_radius():
            raise InputError(
                f"a halo of {halo} voxels is smaller than the network's receptive radius of "
                f"{self.receptive_radius()}; use a halo of {self.halo()}"
            )
        enter, joins = self._needed(0, core)
        # Outputs of each encoder level, then of the base, and of each decoder level.
        encoded = [_grow(enter, -_MARGIN)]
        for _ in range(self.depth):
            low, high = encoded[-1]
            encoded.append(_grow((low // 2, high // 2), -_MARGIN))
        decoded = [_grow(join, -_MARGIN) for join in joins] + [encoded[-1]]
        skip = tuple((low - a, b - high) for (low, high), (a, b) in zip(joins, encoded[:-1], strict=True))
        up = tuple(
            (low - 2 * a, 2 * b - high) for (low, high), (a, b) in zip(joins, decoded[1:], strict=True)
        )
        return AxisCrops((halo + enter[0], halo + core - enter[1]), skip, up)

    def _needed(self, low: int, high: int) -> tuple[Trim, tuple[Trim, ...]]:
        """Intervals that outputs [low, high) need: of the input, and of each level's join."""
        join: list[Trim] = []
        for _ in range(self.depth):
            low, high = low - _MARGIN, high + _MARGIN
            join.append((low, high))
            # A transposed convolution of three pixels takes every second pixel from its left neighbor, too.
            low, high = (low - self.is_2d) // 2, -(-high // 2)
        low, high = low - _MARGIN, high + _MARGIN
        for _ in range(self.depth):
            low, high = 2 * low - _MARGIN, 2 * high + _MARGIN
        return (low, high), tuple(join)

    def state_shapes(self) -> dict[str, Shape]:
        """Names and shapes of the weights, in the original's order."""
        n, k = self.depth, self.n_axes
        encoder = [(self.in_channels, self.features(0))]
        encoder += [(self.features(level - 1), self.features(level)) for level in range(1, n)]
        decoder = [(self.features(n - level), self.features(n - level - 1)) for level in range(n)]
        shapes: dict[str, Shape] = {}
        for level, (a, b) in enumerate(encoder):
            shapes |= _double_convolution(f"encoder.{level}", a, b, self.batch_norm, k)
        shapes |= _double_convolution("base", self.features(n - 1), self.features(n), False, k)
        for level, (a, b) in enumerate(decoder):
            shapes |= _double_convolution(f"decoder.{level}", a, b, self.batch_norm, k)
        for level, (a, b) in enumerate(decoder):
            shapes[f"upsamplers.{level}.weight"] = (a, b, *((3, 3) if self.is_2d else (2, 2, 2)))
            shapes[f"upsamplers.{level}.bias"] = (b,)
        shapes["out_conv.weight"] = (self.out_classes, self.initial_features, *(1,) * k)
        shapes["out_conv.bias"] = (self.out_classes,)
        return shapes

    def check_shapes(self, shapes: Mapping[str, Shape], place: str) -> None:
        """Refuse weights that are not this architecture's, naming the first difference.

        Raises
        ------
        FormatError
        """
        expected = self.state_shapes()
        for name, shape in expected.items():
            if name not in shapes:
                raise FormatError(
                    f"{place}: the weights lack {name}, which {self} needs; it is another network"
                )
            if tuple(shapes[name]) != shape:
                raise FormatError(
                    f"{place}: {name} has the shape {tuple(shapes[name])}, but {self} needs {shape}; "
                    "it is another network"
                )
        if surplus := sorted(set(shapes) - set(expected)):
            raise FormatError(
                f"{place}: the weights hold {surplus[0]}, which {self} has not; it is another network"
            )

    @classmethod
    def from_state_dict_shapes(
        cls, shapes: Mapping[str, Shape], place: str = "state dict", *, elu: bool = False
    ) -> Architecture:
        """Infer the hyperparameters from the names and shapes of the weights.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            The weights' names, without ``module.``, and shapes.
        place : str
            What error messages name.
        elu : bool
            The activation, which leaves no trace in the weights.

        Raises
        ------
        FormatError
            For any other network.
        """
        levels = {
            int(m[1]) for name in shapes if (m := re.fullmatch(r"encoder\.([0-9]{1,3})\.0\.weight", name))
        }
        first, last = shapes.get("encoder.0.0.weight"), shapes.get("out_conv.weight")
        if not levels or first is None or last is None or not len(first) == len(last) in (4, 5):
            raise FormatError(
                f"{place}: the weights are not of DeePiCt's U-Nets (no encoder.0.0.weight and out_conv.weight "
                "of five dimensions, or of four); only those networks can be loaded here"
            )
        if "encoder.0.1.running_mean" in shapes:
            raise FormatError(
                f"{place}: batch normalization stands before the activation, as in an early DeePiCt; only networks "
                "with it after the activation can be loaded"
            )
        if min(first[:2]) < 1 or last[0] < 1 or len(levels) > 8:
            raise FormatError(f"{place}: the weights' shapes are not those of a U-Net")
        architecture = cls(
            depth=len(levels),
            initial_features=first[0],
            in_channels=first[1],
            out_classes=last[0],
            batch_norm="encoder.0.2.running_mean" in shapes,
            elu=elu,
            network="unet3d" if len(first) == 5 else "unet2d",
        )
        architecture.check_shapes(shapes, place)
        return architecture


def _double_convolution(prefix: str, a: int, b: int, batch_norm: bool, n_axes: int) -> dict[str, Shape]:
    """Names and shapes of (convolution, activation[, batch normalization], dropout) twice."""
    step = 4 if batch_norm else 3
    shapes: dict[str, Shape] = {}
    for index, channels in ((0, a), (step, b)):
        shapes[f"{prefix}.{index}.weight"] = (b, channels, *(3,) * n_axes)
        shapes[f"{prefix}.{index}.bias"] = (b,)
        if batch_norm:
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{prefix}.{index + 2}.{name}"] = (b,)
            shapes[f"{prefix}.{index + 2}.num_batches_tracked"] = ()
    return shapes


def _grow(interval: Trim, by: int) -> Trim:
    return interval[0] - by, interval[1] + by

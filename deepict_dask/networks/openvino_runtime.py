"""The U-Nets through OpenVINO, on CPUs.

The graph is built straight from the weights instead of converting the torch module: it starts
in a fraction of the time, without torch in the process, and the cropping forward decides itself
where batch normalization can be folded.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from deepict_dask.errors import InputError
from deepict_dask.geometry import Shape
from deepict_dask.networks.architecture import Architecture, AxisCrops
from deepict_dask.networks.extras import is_installed
from deepict_dask.networks.folding import batch_norm_affine, fold_batch_norm
from deepict_dask.networks.packing import (
    Pack,
    pack_channels,
    pack_convolution,
    pack_entry,
    pack_exit,
    pack_factor,
    pack_upsampler,
)

_LARGEST_CACHE = 4  # compiled shapes: a grid of blocks has one for its inside and a few for its ends


def has_openvino() -> bool:
    """Say whether OpenVINO is installed, without importing it."""
    return is_installed("openvino")


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    Its Python package reports each import over the network and writes to the user's home where
    the package openvino_telemetry is found; with that name blocked it falls back to a stub.

    Raises
    ------
    InputError
        Where OpenVINO is not installed.
    """
    if not has_openvino():
        raise InputError(
            "the runtime openvino is not installed; install the package openvino or use the runtime torch"
        )
    blocked = "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules
    if blocked:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if blocked:
            del sys.modules["openvino_telemetry"]
    return openvino


class OpenVinoNetwork:
    """Forward passes of one network, compiled for each shape of block that comes.

    Parameters
    ----------
    architecture : Architecture
    state : mapping of str to numpy.ndarray
        Weights by the original's names.
    threads : int or None
        Threads of a forward pass; None for all cores.
    """

    name = "openvino"

    def __init__(
        self, architecture: Architecture, state: Mapping[str, np.ndarray], threads: int | None
    ) -> None:
        self._openvino = import_openvino()
        self.architecture = architecture
        self._state = _in_3d(state)
        self._folded = _in_3d(fold_batch_norm(architecture, state))
        self._core = self._openvino.Core()
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Several workers on one machine would all be pinned to its first cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._compiled: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._in_use: tuple[Any, ...] | None = None

    def core(self, block: np.ndarray, halo: Shape) -> np.ndarray:
        """Compute the probabilities of a block's core, float32 (classes, *core)."""
        axes = self.architecture.block_crops(block.shape, halo)
        size = tuple(n - 2 * h for n, h in zip(block.shape, halo, strict=True))
        # Cropped before it is made contiguous, so that there is at most one copy of it.
        needed = block[
            tuple(
                slice(low, n - high)
                for (low, high), n in zip((a.block for a in axes), block.shape, strict=True)
            )
        ]
        return self._run(needed[None, None], (self.architecture.out_classes, *size), axes)

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Compute probabilities with zero padding, float32 (n, classes, z, y, x)."""
        n, *size = boxes.shape
        return self._run(boxes[:, None], (n, self.architecture.out_classes, *size), None)

    def _run(
        self, batch: np.ndarray, shape: tuple[int, ...], axes: tuple[AxisCrops, ...] | None
    ) -> np.ndarray:
        key = (batch.shape, axes)
        if self._in_use is not None and key != self._in_use and self._in_use in self._compiled:
            # Activations of a shape are as large as the work itself: keep those of one shape only.
            self._compiled[self._in_use].release_memory()
        self._in_use = key
        if key not in self._compiled:
            while len(self._compiled) >= _LARGEST_CACHE:
                self._compiled.popitem(last=False)
            model = self._build(batch.shape, axes)
            self._compiled[key] = self._core.compile_model(model, "CPU", self._options)
        self._compiled.move_to_end(key)
        out = np.empty(shape, np.float32)
        request = self._compiled[key].create_infer_request()
        tensor = self._openvino.Tensor
        # Both tensors are the arrays' own memory, which OpenVINO does not keep alive: hold the names until the end.
        entry = np.ascontiguousarray(batch, np.float32)
        whole = out if axes is None else out[None]
        request.set_input_tensor(tensor(entry, shared_memory=True))
        request.set_output_tensor(tensor(whole, shared_memory=True))
        request.infer()
        return out

    def _build(self, shape: tuple[int, ...], axes: tuple[AxisCrops, ...] | None) -> Any:
        return self._build_core(shape, axes) if axes is not None else self._build_padded(shape)

    def _build_padded(self, shape: tuple[int, ...]) -> Any:
        graph, depth = _Graph(self._state, self.architecture, is_padded=True), self.architecture.depth
        entry = graph.op.parameter(list(shape), np.float32)
        x, skips = entry, []
        for level in range(depth):
            x = graph.block([x], f"encoder.{level}")
            skips.append(x)
            x = graph.pool(x)
        x = graph.block([x], "base")
        for i in range(depth):
            x = graph.block([skips.pop(), graph.upsample(x, f"upsamplers.{i}")], f"decoder.{i}")
        return self._openvino.Model([graph.op.result(graph.leave(x))], [entry])

    def _build_core(self, shape: tuple[int, ...], axes: tuple[AxisCrops, ...]) -> Any:
        graph, depth = _Graph(self._folded, self.architecture, is_padded=False), self.architecture.depth
        # A transposed convolution of 3 x 3 pixels mixes neighboring packs, so the 2D network's are not packed.
        pack = (1, 1) if self.architecture.is_2d else pack_factor(self.architecture.initial_features)
        entry = graph.op.parameter(list(shape), np.float32)
        x, skips = entry, []
        for level in range(depth):
            here = pack if level == 0 else (1, 1)
            x = graph.block([x], f"encoder.{level}", here, entry=level == 0)
            skips.append(graph.crop(x, [axis.skip[level] for axis in axes], here))
            x = graph.pool(x, here)
        x = graph.block([x], "base")
        for i in range(depth):
            level = depth - 1 - i
            here = pack if level == 0 else (1, 1)
            x = graph.upsample(x, f"upsamplers.{i}", here)
            x = graph.crop(x, [axis.up[level] for axis in axes], here)
            x = graph.block([skips.pop(), x], f"decoder.{i}", here)
        return self._openvino.Model([graph.op.result(graph.leave(x, pack))], [entry])


class _Graph:
    """The network's steps as nodes of OpenVINO, on plain voxels or (unpadded only) on packed ones."""

    def __init__(
        self, state: Mapping[str, np.ndarray], architecture: Architecture, *, is_padded: bool
    ) -> None:
        from openvino import opset13

        self.op, self._state, self._elu = opset13, state, architecture.elu
        # Along z slices are neither convolved nor pooled.
        self._z = 1 if architecture.is_2d else 2
        self._pad = [self._z - 1, 1, 1] if is_padded else [0] * 3
        # The last row and column of a transposed convolution of three pixels stand for half of what they need.
        self._beyond = [0, 1, 1] if architecture.is_2d else [0] * 3

    def block(self, inputs: list[Any], name: str, pack: Pack = (1, 1), *, entry: bool = False) -> Any:
        """Convolution, activation and what is left of the batch normalization, twice."""
        x = inputs[0] if len(inputs) == 1 else self.op.concat(inputs, 1)
        second = 4 if f"{name}.4.weight" in self._state else 3
        for index in (0, second):
            weight = self._state[f"{name}.{index}.weight"]
            stride = [1, 1, 1]
            if entry and index == 0:
                weight, stride = pack_entry(weight, pack), [1, *pack]
            else:
                # Joined inputs are packed each by itself.
                parts = np.split(weight, len(inputs), axis=1) if index == 0 else [weight]
                weight = np.concatenate([pack_convolution(part, pack) for part in parts], axis=1)
            x = self.op.convolution(x, self._constant(weight), stride, self._pad, self._pad, [1] * 3)
            x = self.op.add(x, self._channels(self._state[f"{name}.{index}.bias"], pack))
            x = self.op.elu(x, 1.0) if self._elu else self.op.relu(x)
            if second == 4 and f"{name}.{index + 2}.weight" in self._state:
                scale, shift = batch_norm_affine(self._state, f"{name}.{index + 2}")
                x = self.op.add(self.op.multiply(x, self._channels(scale, pack)), self._channels(shift, pack))
        return x

    def pool(self, x: Any, pack: Pack = (1, 1)) -> Any:
        """Maximum of 2x2x2 voxels; those of a pack are groups of channels."""
        size = [self._z, 2 // pack[0], 2 // pack[1]]
        x = self.op.max_pool(x, size, [1] * 3, [0] * 3, [0] * 3, size).output(0)
        groups = pack[0] * pack[1]
        if groups == 1:
            return x
        parts = self.op.split(x, self.op.constant(np.int64(1)), groups).outputs()
        while len(parts) > 1:
            parts = [self.op.maximum(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def upsample(self, x: Any, name: str, pack: Pack = (1, 1)) -> Any:
        weight = self._state[f"{name}.weight"]
        if weight.shape[2] == 2:
            x = self._transposed(x, pack_upsampler(weight, pack))
        else:
            x = self._transposed(x, weight, [1, 2, 2], self._beyond)
        return self.op.add(x, self._channels(self._state[f"{name}.bias"], pack))

    def leave(self, x: Any, pack: Pack = (1, 1)) -> Any:
        """Last convolution, back to plain voxels, and the sigmoid."""
        x = self._transposed(x, pack_exit(self._state["out_conv.weight"], pack))
        return self.op.sigmoid(self.op.add(x, self._channels(self._state["out_conv.bias"], (1, 1))))

    def crop(self, x: Any, trims: list[tuple[int, int]], pack: Pack = (1, 1)) -> Any:
        # The crops of the first level are even (its joins lie on poolings), so whole packs.
        steps = (1, *pack)
        axes = [axis for axis, trim in enumerate(trims) if any(trim)]
        if not axes:
            return x
        begin = [trims[axis][0] // steps[axis] for axis in axes]
        end = [-(trims[axis][1] // steps[axis]) or np.iinfo(np.int32).max for axis in axes]
        ones = [1] * len(axes)
        return self.op.slice(
            x, *(self.op.constant(np.array(v, np.int64)) for v in (begin, end, ones, [a + 2 for a in axes]))
        )

    def _transposed(
        self, x: Any, weight: np.ndarray, stride: list[int] | None = None, cut: list[int] | None = None
    ) -> Any:
        """Transposed convolution, by default with its kernel as stride; ``cut`` voxels are taken off at its end."""
        return self.op.convolution_backprop_data(
            x,
            self._constant(weight),
            stride or list(weight.shape[2:]),
            pads_begin=[0] * 3,
            pads_end=cut or [0] * 3,
        )

    def _constant(self, weight: np.ndarray) -> Any:
        return self.op.constant(np.ascontiguousarray(weight, np.float32))

    def _channels(self, values: np.ndarray, pack: Pack) -> Any:
        return self._constant(pack_channels(values, pack).reshape(1, -1, 1, 1, 1))


def _in_3d(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give kernels of slices as kernels of volumes that are one voxel thick."""
    return {name: array[:, :, None] if array.ndim == 4 else array for name, array in state.items()}

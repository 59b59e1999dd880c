"""From the name of a checkpoint to probabilities: what a task carries, and what a process keeps.

A task carries a `ModelSpec`, some hundred bytes; each process loads the weights once and keeps
the predictor. One forward pass runs at a time, on all of its threads, while other threads of the
process read and write.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from deepict_dask.errors import InputError, WorkError
from deepict_dask.geometry import Shape
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.checkpoint import Model, load_checkpoint
from deepict_dask.networks.extras import has_torch, require_torch
from deepict_dask.networks.openvino_runtime import has_openvino

# Pixels of slices that go through a 2D network at once: some boxes of the original, or one slice of a tomogram.
PIXELS = 2**20
_FORWARD = threading.Lock()
_LOADING = threading.Lock()
# The process that loaded networks; one that was forked from it inherits this set, and no threads.
_LOADED_IN: set[int] = set()
_PREDICTORS: dict[ModelSpec, Predictor] = {}


@dataclass(frozen=True)
class ModelSpec:
    """A network by reference, and how to run it; hashable and small.

    Attributes
    ----------
    path : str
        The checkpoint, as the worker sees it.
    checksum : str
        ``sha256:...`` of that file.
    runtime : {"auto", "torch", "openvino"}
    device : {"auto", "cpu", "cuda"}
    threads : int or None
        Threads of one forward pass on a CPU; None for all cores.
    tiling : {"exact", "deepict"}
        Which of the two ways to cut a tomogram the tasks use.
    precision : {"float32"}
        Of the computation. It decides on the particles, so unlike runtime, device and threads it is compared.
    """

    path: str
    checksum: str
    runtime: Literal["auto", "torch", "openvino"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    tiling: Literal["exact", "deepict"] = "exact"
    precision: Literal["float32"] = "float32"

    @classmethod
    def of(
        cls,
        model: Model,
        *,
        runtime: Literal["auto", "torch", "openvino"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        threads: int | None = None,
        tiling: Literal["exact", "deepict"] = "exact",
    ) -> ModelSpec:
        """Refer to an opened model."""
        return cls(str(model.path), model.checksum, runtime, device, threads, tiling)


class Network(Protocol):
    """What a runtime offers."""

    name: str

    def core(self, block: np.ndarray, halo: Shape) -> np.ndarray:
        """Compute the probabilities of a block's core."""

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Compute the probabilities of whole boxes with zero padding."""


class Predictor:
    """A loaded network.

    Attributes
    ----------
    architecture : Architecture
    runtime : str
        ``torch`` or ``openvino``.
    """

    def __init__(self, network: Network, architecture: Architecture) -> None:
        self._network = network
        self.architecture = architecture
        self.runtime = network.name

    def predict_core(self, block: np.ndarray, halo: Shape) -> np.ndarray:
        """Compute the probabilities of a block's core, as one pass over the whole tomogram would.

        Parameters
        ----------
        block : numpy.ndarray of float32, shape (z, y, x)
            Core and halo, normalized; the core a multiple of ``2**depth`` that starts at one (along y and x in 2D).
        halo : (int, int, int)
            Voxels of context on each side, at least the receptive radius.

        Returns
        -------
        numpy.ndarray of float32, shape (classes, *core), in [0, 1]

        Raises
        ------
        InputError
            Where block and halo do not fit the network.
        """
        if not self.architecture.is_2d:
            with _FORWARD:
                return self._network.core(block, halo)
        z, y, x = (n - 2 * h for n, h in zip(block.shape, halo, strict=True))
        out = np.empty((self.architecture.out_classes, z, y, x), np.float32)
        for part in self._slices(block[0].size, z):
            with _FORWARD:
                out[:, part] = self._network.core(block[halo[0] :][part], (0, *halo[1:]))
        return out

    def predict_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Compute the probabilities of boxes with zero padding, as the original does.

        Parameters
        ----------
        boxes : numpy.ndarray of float32, shape (n, z, y, x)
            Normalized boxes (64^3 in the original, 1 x 288 x 288 in 2D); edges are multiples of ``2**depth``.

        Returns
        -------
        numpy.ndarray of float32, shape (n, classes, z, y, x), in [0, 1]

        Raises
        ------
        InputError
            Where the edges are not multiples of ``2**depth``.
        """
        steps = self.architecture.alignment_zyx
        if boxes.ndim != 4 or any(n % k or n < 1 for n, k in zip(boxes.shape[1:], steps, strict=True)):
            raise InputError(
                f"boxes of shape {boxes.shape} do not fit the network; they must be (n, z, y, x) with edges that are "
                f"multiples of 2**depth = {steps[-1]}"
            )
        if not self.architecture.is_2d:
            with _FORWARD:
                return self._network.boxes(boxes)
        n, z, y, x = boxes.shape
        out = np.empty((n, self.architecture.out_classes, z, y, x), np.float32)
        for part in self._slices(boxes[0].size, n):
            with _FORWARD:
                out[part] = self._network.boxes(boxes[part])
        return out

    @staticmethod
    def _slices(n_pixels: int, n: int) -> Iterator[slice]:
        """Cut n slices of some pixels into what goes through the network at once."""
        step = max(1, PIXELS // n_pixels)
        for start in range(0, n, step):
            yield slice(start, min(n, start + step))


def resolve_runtime(runtime: str = "auto", device: str = "auto") -> str:
    """Choose ``torch`` or ``openvino``.

    ``auto`` is OpenVINO where it is installed and there is no GPU to use, else torch.

    Raises
    ------
    InputError
        For a runtime that is unknown or not installed, or a device it cannot use.
    """
    if runtime == "auto":
        if device != "cpu" and (device == "cuda" or _has_gpu()):
            require_torch("the device cuda", "gpu")
            return "torch"
        if has_openvino():
            return "openvino"
        require_torch("a network without the package openvino", "gpu")
        return "torch"
    if runtime == "openvino":
        if not has_openvino():
            raise InputError(
                "the runtime openvino is not installed; install the package openvino or use the runtime torch"
            )
        if device == "cuda":
            raise InputError(
                "the runtime openvino has no device cuda; use the runtime torch or the device cpu"
            )
    elif runtime == "torch":
        require_torch("the runtime torch", "gpu")
    else:
        raise InputError(f"the runtime {runtime!r} is unknown; use auto, torch or openvino")
    return runtime


def check_device(device: str) -> None:
    """Refuse a device that this machine, whose workers are to use it, does not have.

    Raises
    ------
    InputError
        For ``cuda`` where torch sees no GPU.
    """
    if device == "cuda":
        require_torch("the device cuda", "gpu")
        if not _has_gpu():
            raise InputError(
                "the device cuda was asked for, but torch sees no GPU here; use the device auto or cpu"
            )


def get_predictor(spec: ModelSpec) -> Predictor:
    """Give this process's predictor, which is loaded on the first call.

    Raises
    ------
    InputError
        Where the file is not the one that the specification means, or a runtime is missing.
    WorkError
        In a process that was forked from one in which a network ran: the runtime's threads are not there, and it
        would wait for them forever.
    """
    if _LOADED_IN and os.getpid() not in _LOADED_IN:
        raise WorkError(
            f"process {os.getpid()} was forked from one in which a network had run, and cannot run one itself; start "
            "processes with the method 'spawn' (multiprocessing.get_context('spawn')), or before the first network runs"
        )
    with _LOADING:
        _LOADED_IN.add(os.getpid())
        if spec not in _PREDICTORS:
            _PREDICTORS[spec] = _load(spec)
        return _PREDICTORS[spec]


def forget_predictor(spec: ModelSpec) -> None:
    """Drop this process's predictor, and its memory, where no more blocks will come for it."""
    with _LOADING:
        _PREDICTORS.pop(spec, None)


def _load(spec: ModelSpec) -> Predictor:
    runtime = resolve_runtime(spec.runtime, spec.device)
    loaded = load_checkpoint(Path(spec.path))
    if loaded.checksum != spec.checksum:
        raise InputError(
            f"the checkpoint {spec.path} has the checksum {loaded.checksum}, but the work was planned with "
            f"{spec.checksum}; it changed meanwhile or differs between machines; start again with the present file"
        )
    network: Network
    if runtime == "openvino":
        from deepict_dask.networks.openvino_runtime import OpenVinoNetwork

        network = OpenVinoNetwork(loaded.architecture, loaded.state, spec.threads)
    else:
        from deepict_dask.networks.torch_runtime import TorchNetwork

        network = TorchNetwork(loaded.architecture, loaded.state, spec.threads, spec.device)
    return Predictor(network, loaded.architecture)


def _has_gpu() -> bool:
    # Importing torch takes seconds and hundreds of megabytes: without NVIDIA's driver there is no need to ask it.
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if sys.platform == "linux" and not any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    if not has_torch():
        return False
    import torch

    return torch.cuda.is_available()

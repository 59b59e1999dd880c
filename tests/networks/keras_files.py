"""Small 2D U-Nets in the files that Keras writes, and what they compute, by SciPy and loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.signal import correlate2d

Weights = dict[str, tuple[np.ndarray, np.ndarray]]


def layers_of(depth: int) -> list[str]:
    """Names of the layers with weights, in the order of the network."""
    names = [f"conv2d_{i}" for i in range(2 * (depth + 1))]
    for level in range(depth):
        names += [f"up_{level}", f"conv2d_{2 * (depth + 1 + level)}", f"conv2d_{2 * (depth + 1 + level) + 1}"]
    return [*names, "last"]


def random_weights(depth: int = 2, filters: int = 2, classes: int = 1, seed: int = 0) -> Weights:
    """Kernels in Keras' order (y, x, in, out), or (y, x, out, in) for transposed convolutions."""
    rng = np.random.default_rng(seed)

    def pair(shape, n):
        size = 1.5 / np.sqrt(np.prod(shape[:2]) * max(shape[2:]))
        return rng.normal(0, size, shape).astype("f4"), rng.normal(0, 0.2, n).astype("f4")

    widths = [filters * 2**level for level in range(depth + 1)]
    weights: Weights = {}
    names = iter(layers_of(depth))
    for a, b in zip([1, *widths[:-1]], widths, strict=True):
        weights[next(names)] = pair((3, 3, a, b), b)
        weights[next(names)] = pair((3, 3, b, b), b)
    for deep, b in zip(widths[:0:-1], widths[-2::-1], strict=True):
        weights[next(names)] = pair((3, 3, b, deep), b)
        weights[next(names)] = pair((3, 3, 2 * b, b), b)
        weights[next(names)] = pair((3, 3, b, b), b)
    weights[next(names)] = pair((1, 1, filters, classes), classes)
    return weights


def description(weights: Weights, *, keras: int = 2, is_reversed: bool = False) -> dict[str, Any]:
    """What Keras 2 or 3 says about the network; ``is_reversed`` joins the encoder's features first."""
    names = [name for name in weights if name != "last"]
    depth = sum(name.startswith("up_") for name in names)
    layers: list[dict[str, Any]] = []

    def add(kind, name, inputs, **config):
        nodes: Any = [[[i, 0, 0, {}] for i in inputs]] if inputs else []
        if keras == 3 and inputs:
            tensors = [
                {"class_name": "__keras_tensor__", "config": {"keras_history": [i, 0, 0]}} for i in inputs
            ]
            nodes = [{"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}]
        layers.append(
            {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}
        )
        return name

    def convolve(name, x, **more):
        filters = len(weights[name][1])
        options = {"filters": filters, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}
        options |= {"data_format": "channels_last", "dilation_rate": [1, 1], "use_bias": True}
        kind = "Conv2DTranspose" if name.startswith("up_") else "Conv2D"
        return add(kind, name, [x], **(options | {"activation": "linear"} | more))

    def double(x, order):
        for _ in range(2):
            name = next(order)
            x = add("Activation", f"relu_of_{name}", [convolve(name, x)], activation="relu")
        return x

    order = iter(names)
    x, skips = add("InputLayer", "input", [], batch_input_shape=[None, 288, 288, 1]), []
    for level in range(depth):
        x = double(x, order)
        skips.append(x)
        x = add(
            "MaxPooling2D",
            f"pool_{level}",
            [x],
            pool_size=[2, 2],
            strides=[2, 2],
            data_format="channels_last",
        )
    x = double(x, order)
    for level in range(depth):
        up = convolve(next(order), x, strides=[2, 2])
        joined = [skips.pop(), up] if is_reversed else [up, skips.pop()]
        x = double(add("Concatenate", f"join_{level}", joined, axis=-1), order)
    convolve("last", x, kernel_size=[1, 1], padding="valid", activation="sigmoid")
    return {"class_name": "Functional", "config": {"name": "model", "layers": layers}}


def write_keras(path: Path, weights: Weights, said: dict[str, Any] | None = None, *, keras: int = 2) -> Path:
    """Write a network as `model.save` does."""
    end = ":0" if keras == 2 else ""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(description(weights, keras=keras) if said is None else said)
        for name, (kernel, bias) in weights.items():
            group = file.create_group(f"model_weights/{name}/{name}")
            group[f"kernel{end}"], group[f"bias{end}"] = kernel, bias
    return path


def predicted(weights: Weights, x: np.ndarray, *, is_reversed: bool = False) -> np.ndarray:
    """Compute the probabilities (class, y, x) of one slice (y, x) with zeros around it, without any framework."""

    def convolve(x, name):
        kernel, bias = weights[name]
        out = [
            sum(correlate2d(c, kernel[:, :, i, o], mode="same") for i, c in enumerate(x)) + bias[o]
            for o in range(kernel.shape[3])
        ]
        return np.array(out)

    def double(x, order):
        for _ in range(2):
            x = np.maximum(convolve(x, next(order)), 0)
        return x

    order = iter(name for name in weights if name != "last")
    depth = sum(name.startswith("up_") for name in weights)
    x, skips = np.asarray(x, "f8")[None], []
    for _ in range(depth):
        x = double(x, order)
        skips.append(x)
        x = np.maximum.reduce([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    x = double(x, order)
    for _ in range(depth):
        kernel, bias = weights[next(order)]
        n, m = 2 * x.shape[1], 2 * x.shape[2]
        up = np.zeros((kernel.shape[2], n + 1, m + 1))
        for i in range(3):
            for j in range(3):
                up[:, i : i + n - 1 : 2, j : j + m - 1 : 2] += np.einsum("oc,cyx->oyx", kernel[i, j], x)
        up = up[:, :n, :m] + bias[:, None, None]
        x = double(np.concatenate([skips.pop(), up] if is_reversed else [up, skips.pop()]), order)
    return 1 / (1 + np.exp(-convolve(x, "last")))

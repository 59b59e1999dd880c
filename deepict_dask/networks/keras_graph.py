"""What a Keras network's description says it is made of; only the original's 2D U-Net is recognized.

The description is JSON. It is read as data: nothing that it names is imported or called, and a layer that holds
code (Lambda) or that is none of the U-Net's is refused by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepict_dask.errors import FormatError, UnsafeCheckpointError

_ACTIVATIONS = ("relu", "elu")
# What Keras writes into a layer's description, and what the U-Net's layers have there.
_CONVOLUTION = {
    "padding": "same",
    "kernel_size": [3, 3],
    "strides": [1, 1],
    "dilation_rate": [1, 1],
    "groups": 1,
    "data_format": "channels_last",
    "use_bias": True,
}
_UPSAMPLER = _CONVOLUTION | {"strides": [2, 2], "output_padding": None}
_LAST = {key: value for key, value in _CONVOLUTION.items() if key != "padding"} | {"kernel_size": [1, 1]}
_POOL = {"pool_size": [2, 2], "strides": [2, 2], "data_format": "channels_last"}


@dataclass(frozen=True)
class KerasUNet:
    """The layers of a 2D U-Net.

    Attributes
    ----------
    depth : int
        Number of poolings.
    elu : bool
        ELU instead of ReLU.
    layers : dict of str to str
        Names of Keras layers by what their weights are called here, such as ``encoder.0.0``.
    skips_last : frozenset of str
        Which of these see the upsampled features before the encoder's.
    """

    depth: int
    elu: bool
    layers: dict[str, str]
    skips_last: frozenset[str]


def recognize_unet(description: str, place: str) -> KerasUNet:
    """Follow the layers of a Keras network from its input to its output.

    Parameters
    ----------
    description : str
        The attribute ``model_config`` of a file that Keras wrote.
    place : str
        What errors name.

    Raises
    ------
    UnsafeCheckpointError
        For a layer that holds code.
    FormatError
        For any other network than the original's 2D U-Net, naming the first layer that it has not.
    """
    try:
        content = json.loads(description)
        layers = {entry["config"]["name"]: _Layer.of(entry) for entry in content["config"]["layers"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{place}: its model_config describes no Keras network of layers that follow each other "
            f"({type(error).__name__} {error!s:.80}); save the whole network again, with model.save"
        ) from error
    return _Walk(layers, place).unet()


@dataclass(frozen=True)
class _Layer:
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> _Layer:
        return cls(str(entry["class_name"]), dict(entry["config"]), tuple(_inputs(entry["inbound_nodes"])))


def _inputs(nodes: Any) -> list[str]:
    """Name the layers that a layer takes, in their order; Keras 2 and 3 write them differently."""
    if isinstance(nodes, dict):
        if nodes.get("class_name") == "__keras_tensor__":
            return [str(nodes["config"]["keras_history"][0])]
        return _inputs(nodes.get("args", []))
    if isinstance(nodes, list):
        if nodes and isinstance(nodes[0], str):
            return [nodes[0]]
        return [name for node in nodes for name in _inputs(node)]
    return []


@dataclass
class _Walk:
    """Along the layers, each of which must be what the U-Net has there."""

    layers: Mapping[str, _Layer]
    place: str
    seen: set[str] = field(default_factory=set)
    activations: set[str] = field(default_factory=set)

    def unet(self) -> KerasUNet:
        for name, layer in self.layers.items():
            if layer.kind in ("Lambda", "TFOpLambda", "SlicingOpLambda"):
                raise UnsafeCheckpointError(
                    f"{self.place}: the layer {name!r:.60} is a {layer.kind}, which holds a program; nothing of a file is "
                    "executed, so only networks without such layers can be loaded"
                )
        starts = [name for name, layer in self.layers.items() if layer.kind == "InputLayer"]
        if len(starts) != 1:
            self._refuse(f"it has {len(starts)} inputs, and the U-Net has one")
        names: dict[str, str] = {}
        skips_last: set[str] = set()
        x = starts[0]
        ends: list[str] = []
        self.seen.add(x)
        while True:
            prefix = f"encoder.{len(ends)}"
            # The last double convolution of the way down is the base; only then is this known.
            first, second, x = self._double(x)
            if self._next(x, "MaxPooling2D") is None:
                names |= {"base.0": first, "base.3": second}
                break
            names |= {f"{prefix}.0": first, f"{prefix}.3": second}
            ends.append(x)
            x = self._take(x, "MaxPooling2D", _POOL)
        depth = len(ends)
        for level in range(depth):
            up = names[f"upsamplers.{level}"] = self._take(x, "Conv2DTranspose", _UPSAMPLER, "linear")
            skip = ends.pop()
            x = self._take(up, "Concatenate", {})
            joined = self.layers[x].inputs
            if sorted(joined) != sorted((up, skip)) or self.layers[x].config.get("axis", -1) not in (-1, 3):
                self._refuse(f"the layer {x!r:.60} joins {', '.join(joined)[:120]}, and not {up} and {skip}")
            if joined[0] == up:
                skips_last.add(f"decoder.{level}.0")
            names[f"decoder.{level}.0"], names[f"decoder.{level}.3"], x = self._double(x)
        names["out_conv"] = self._end(x)
        if depth == 0 or (surplus := sorted(set(self.layers) - self.seen)):
            self._refuse(f"it has the layer {surplus[0]!r:.60} besides" if depth else "it has no pooling")
        if len(self.activations) != 1:
            self._refuse(f"its layers have different activations ({', '.join(sorted(self.activations))})")
        return KerasUNet(depth, self.activations == {"elu"}, names, frozenset(skips_last))

    def _double(self, x: str) -> tuple[str, str, str]:
        """Two convolutions, each with its activation: their names, and that of the last layer of both."""
        convolutions = []
        for _ in range(2):
            x = self._take(x, "Conv2D", _CONVOLUTION)
            convolutions.append(x)
            activation = self._activation(x)
            if activation == "linear":
                x = self._take(x, "Activation", {})
                activation = self._activation(x)
            if activation not in _ACTIVATIONS:
                self._refuse(f"the activation of {x!r:.60} is {activation!r:.60}, and not relu or elu")
            self.activations.add(activation)
        return convolutions[0], convolutions[1], x

    def _end(self, x: str) -> str:
        """The last convolution, and its sigmoid, which may be a layer of its own."""
        last = x = self._take(x, "Conv2D", _LAST)
        if self._activation(x) == "linear":
            x = self._take(x, "Activation", {})
        if self._activation(x) != "sigmoid":
            self._refuse(f"it ends in {self._activation(x)!r:.60}, and not in a sigmoid")
        return last

    def _activation(self, name: str) -> str:
        given = self.layers[name].config.get("activation", "linear")
        return given if isinstance(given, str) else repr(given)

    def _next(self, x: str, kind: str) -> str | None:
        followers = (name for name, layer in self.layers.items() if x in layer.inputs and layer.kind == kind)
        return next(followers, None)

    def _take(self, x: str, kind: str, options: Mapping[str, Any], activation: str | None = None) -> str:
        """Give the layer of a kind that follows, checked."""
        name = self._next(x, kind)
        if name is None:
            others = [f"{n} ({layer.kind})" for n, layer in self.layers.items() if x in layer.inputs]
            self._refuse(
                f"{x!r:.60} is followed by {', '.join(others)[:120] or 'nothing'}, and not by a {kind}"
            )
        assert name is not None
        if name in self.seen:
            self._refuse(f"the layer {name!r:.60} is used twice")
        self.seen.add(name)
        config = self.layers[name].config
        for key, value in options.items():
            given = config.get(key, value)
            if (list(given) if isinstance(given, tuple) else given) != value:
                self._refuse(f"{key} of the layer {name!r:.60} is {given!r:.60}, and not {value}")
        if activation is not None and self._activation(name) != activation:
            self._refuse(f"the activation of {name!r:.60} is {self._activation(name)!r:.60}")
        return name

    def _refuse(self, what: str) -> None:
        raise FormatError(
            f"{self.place} is a Keras network, but not DeePiCt's 2D U-Net: {what}; only that network can be loaded from a "
            "Keras file"
        )

"""The original's 2D networks: weights and layers of an ``.h5`` file that Keras wrote, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepict_dask.errors import DeepictError, FormatError
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.keras_graph import recognize_unet

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
# A file of a few bytes can claim any number of zeros.
_LARGEST_RATIO = 1000


def is_hdf5(file: Path) -> bool:
    """Say whether a file begins as HDF5 files do."""
    with file.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC


def holds_network(file: Path) -> bool:
    """Say whether an HDF5 file describes a network of Keras, of whatever kind; False for one that cannot be read."""
    import h5py

    try:
        with h5py.File(file, "r", locking="best-effort") as opened:
            return "model_config" in opened.attrs
    except (OSError, RuntimeError, KeyError):
        return False


def read_keras_h5(file: Path) -> tuple[Architecture, dict[str, np.ndarray]]:
    """Read a 2D U-Net from what ``model.save`` of Keras wrote.

    Parameters
    ----------
    file : Path
        Legacy HDF5, of Keras 2 (also as part of TensorFlow) or Keras 3.

    Returns
    -------
    Architecture
    dict of str to numpy.ndarray of float32
        Weights by the names of `Architecture.state_shapes`. The original joins upsampled features before those of the
        encoder; here they come after them, and the weights are put in that order.

    Raises
    ------
    FormatError
        If it is damaged, or another network.
    UnsafeCheckpointError
        If a layer holds code.

    Notes
    -----
    Everything in the file is data: attributes and arrays. Links out of the file are not followed.
    """
    with _opened(file) as opened:
        description = opened.attrs.get("model_config")
        if description is None:
            raise FormatError(_what_instead(file, opened))
        text = description.decode() if isinstance(description, bytes) else str(description)
        unet = recognize_unet(text, str(file))
        datasets = {
            f"{name}.{part}": _dataset(opened, layer, part, file)
            for name, layer in unet.layers.items()
            for part in ("kernel", "bias")
        }
        claimed = sum(d.size * d.dtype.itemsize for d in datasets.values())
        if claimed > _LARGEST_RATIO * file.stat().st_size:
            raise FormatError(
                f"{file} claims {claimed / 1e9:.3g} GB of weights in {file.stat().st_size} bytes; it is damaged, or no network"
            )
        first = datasets["encoder.0.0.kernel"].shape
        last = datasets["out_conv.kernel"].shape
        if min(len(first), len(last)) < 4 or min(first[2:] + last[3:]) < 1:
            raise FormatError(f"{file}: its weights have no channels; it is damaged")
        architecture = Architecture(
            depth=unet.depth,
            initial_features=first[3],
            in_channels=first[2],
            out_classes=last[3],
            batch_norm=False,
            elu=unet.elu,
            network="unet2d",
        )
        architecture.check_shapes(
            {_weight_name(name): _shape(dataset.shape) for name, dataset in datasets.items()}, str(file)
        )
        state = {_weight_name(name): _weights(dataset) for name, dataset in datasets.items()}
    for name in unet.skips_last:
        weight = state[f"{name}.weight"]
        state[f"{name}.weight"] = np.roll(weight, weight.shape[1] // 2, axis=1)
    return architecture, state


def _weight_name(name: str) -> str:
    return name.removesuffix("kernel") + "weight" if name.endswith("kernel") else name


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    # Keras has (y, x, in, out) and for transposed convolutions (y, x, out, in), torch the two last first and reversed.
    return (*shape[:-3:-1], *shape[:-2]) if len(shape) == 4 else shape


def _weights(dataset: h5py.Dataset) -> np.ndarray:
    array = np.asarray(dataset[()], np.float32)
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array


def _dataset(file: h5py.File, layer: str, part: str, place: Path) -> h5py.Dataset:
    """Find one array of a layer, which lies some groups deep below its name."""
    import h5py

    group = _child(_child(file, "model_weights"), layer)
    found: list[h5py.Dataset] = []
    groups = [group] if isinstance(group, h5py.Group) else []
    while groups and len(found) < 2:
        here = groups.pop()
        for name in here:
            child = _child(here, name)
            if isinstance(child, h5py.Group):
                groups.append(child)
            elif isinstance(child, h5py.Dataset) and name.partition(":")[0] == part:
                found.append(child)
    if len(found) != 1:
        raise FormatError(
            f"{place}: the layer {layer!r:.60} has {len(found) or 'no'} array{'s' * (len(found) > 1)} {part}; "
            "save the whole network again, with model.save"
        )
    dataset = found[0]
    if dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual:
        raise FormatError(f"{place}: {part} of the layer {layer!r:.60} are no numbers in this file")
    return dataset


def _child(group: Any, name: str) -> Any:
    """Give what lies in a group by name; nothing where it is a link out of the file or into nowhere."""
    import h5py

    if not isinstance(group, h5py.Group) or name not in group:
        return None
    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _what_instead(file: Path, opened: h5py.File) -> str:
    names: Mapping[str, Any] = opened
    if "layer_names" in opened.attrs or "layers" in names or "_layer_checkpoint_dependencies" in names:
        return f"{file} holds weights without the network that they are of; save both, with model.save"
    return f"{file} is HDF5, but no Keras network (no model_config in it); give a network, such as the original's .h5"


@contextmanager
def _opened(file: Path) -> Iterator[h5py.File]:
    """Open the file, and turn what goes wrong in it into one sentence."""
    import h5py

    try:
        with h5py.File(file, "r", locking="best-effort") as opened:
            yield opened
    except DeepictError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, UnicodeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise FormatError(f"{file} cannot be read as HDF5 ({reason[:120]}); copy it again") from error

"""Checkpoints: safetensors with a model card, and the original's ``.pth`` and Keras ``.h5``.

Weights are NumPy arrays under the original's names, so that reading a checkpoint, and running it
through OpenVINO, needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from deepict_dask.atomic import publish
from deepict_dask.data import demo_network_path
from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.names import what_is_wrong
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.card import ModelCard
from deepict_dask.networks.folding import amplification
from deepict_dask.networks.keras_h5 import is_hdf5, read_keras_h5
from deepict_dask.networks.pickles import Record
from deepict_dask.networks.torch_files import read_torch_checkpoint
from deepict_dask.networks.weights import find_weights

State = dict[str, np.ndarray]
BUNDLED = "demo_network"
"""What the network that comes with the package is called, in the place of a path."""
# Its square is still a float32.
_LARGEST = 1e18
# Decades; a float32 ends at 1e38, and what networks see is about 1.
_LARGEST_AMPLIFICATION = 30
_CARD_KEY = "deepict_dask.card"


@dataclass(frozen=True)
class LoadedModel:
    """Weights and what they are.

    Attributes
    ----------
    architecture : Architecture
    state : dict of str to numpy.ndarray
        Weights by the original's names; float32, but for int64 counters.
    card : ModelCard
    checksum : str
        ``sha256:`` and the digest of the file the weights came from.
    """

    architecture: Architecture
    state: State = field(repr=False)
    card: ModelCard
    checksum: str


@dataclass(frozen=True, repr=False)
class Model:
    """A checkpoint by reference: everything but the weights, so it is small and picklable."""

    path: Path
    checksum: str
    card: ModelCard

    def __repr__(self) -> str:
        size = "unknown voxel size" if self.card.voxel_size is None else f"{self.card.voxel_size:g} A"
        return f"<Model {self.card.name}: {', '.join(self.classes)}; {size}; halo {self.halo}>"

    @property
    def architecture(self) -> Architecture:
        """Hyperparameters of the network."""
        return self.card.architecture

    @property
    def halo(self) -> int:
        """Voxels of context that a block needs on each side."""
        return self.architecture.halo()

    @property
    def classes(self) -> tuple[str, ...]:
        """One name per probability map."""
        return self.card.classes


def load_model(path: str | os.PathLike[str]) -> Model:
    """Open a checkpoint: check it whole and give its card, without keeping the weights.

    Parameters
    ----------
    path : path-like
        ``.safetensors``, a folder that holds one, or the original's ``.pth`` or (2D) Keras ``.h5``; ``"demo_network"``
        is the network that comes with the package, unless there is such a file.

    Raises
    ------
    MissingFileError, FormatError, UnsafeCheckpointError
    """
    file = _checkpoint_file(Path(path))
    loaded = load_checkpoint(file)
    return Model(file.absolute(), loaded.checksum, loaded.card)


def load_checkpoint(path: str | os.PathLike[str]) -> LoadedModel:
    """Read weights and card of a checkpoint; nothing in it is executed.

    Parameters
    ----------
    path : path-like
        ``.safetensors``, a folder that holds one, or the original's ``.pth``, also one saved under
        DataParallel, torch.compile or Lightning, or without a descriptor; its Keras ``.h5``; or ``"demo_network"``.

    Raises
    ------
    MissingFileError
    FormatError
        Where the file is damaged or is none of DeePiCt's U-Nets.
    UnsafeCheckpointError
        Where a pickle asks for code.
    """
    return _load(_checkpoint_file(Path(path)), {})


def _load(file: Path, entries: Mapping[str, Any]) -> LoadedModel:
    suffix = file.suffix.lower()
    if suffix == ".keras":
        raise FormatError(
            f"{file} is an archive of Keras 3; save the network as HDF5, with model.save('NAME.h5'), which can be read here"
        )
    if suffix in (".h5", ".hdf5") or is_hdf5(file):
        card, state = _read_h5(file, entries)
    elif suffix == ".safetensors":
        card, state = _read_safetensors(file)
    else:
        card, state = _read_pth(file, entries)
    state = _with_counters(state)
    card.architecture.check_shapes({name: array.shape for name, array in state.items()}, str(file))
    _check_values(state, file)
    return LoadedModel(card.architecture, state, card, file_checksum(file))


def _check_values(state: State, file: Path) -> None:
    """Refuse weights with which nothing can be computed."""
    for name, array in state.items():
        if array.dtype.kind != "f":
            continue
        if not np.isfinite(array).all():
            raise FormatError(
                f"{file}: {name} holds NaN or infinity; the training failed or the file is damaged"
            )
        if (largest := np.abs(array).max(initial=0)) > _LARGEST:
            raise FormatError(
                f"{file}: {name} holds {largest:.3g}, with which a network's output is infinite; the training failed or the "
                "file is damaged"
            )
        if name.endswith(".running_var") and array.min(initial=0) < 0:
            raise FormatError(
                f"{file}: {name} holds {array.min():.3g}, and a variance is never negative; the file is damaged"
            )

    if (decades := amplification(state)) > _LARGEST_AMPLIFICATION:
        raise FormatError(
            f"{file}: the weights multiply what they see by about 1e{decades:.0f}, so the output is no number; the training "
            "failed, so train again or take an earlier checkpoint"
        )


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any], card: ModelCard) -> Path:
    """Write weights as safetensors, with the card inside and, for people, as JSON beside it.

    Parameters
    ----------
    path : path-like
        ``NAME.safetensors``, or a folder, where the card's name becomes the file's.
    state : mapping of str to numpy.ndarray or torch.Tensor
        Weights by the original's names (``module.state_dict()``).
    card : ModelCard
        Description of these weights.

    Returns
    -------
    pathlib.Path
        The ``.safetensors`` file.

    Raises
    ------
    FormatError
        Where the weights are not those of the card's architecture.
    """
    from safetensors.numpy import save

    file = Path(path)
    if file.suffix != ".safetensors":
        file = file / f"{card.name}.safetensors"
    arrays = {name: _numpy(value) for name, value in state.items()}
    card.architecture.check_shapes({name: array.shape for name, array in arrays.items()}, str(file))
    with publish(file) as partial:
        partial.write_bytes(save(arrays, metadata={_CARD_KEY: card.model_dump_json()}))
    with publish(file.with_suffix(".json")) as partial:
        partial.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return file


def convert_checkpoint(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **card: Any
) -> Path:
    """Turn the original's ``.pth`` (or any checkpoint) into safetensors with a card.

    Parameters
    ----------
    source, destination : path-like
        As for `load_checkpoint` and `save_checkpoint`.
    **card
        Entries of the card to set, such as ``voxel_size=13.48``, which a ``.pth`` does not know, or ``classes``
        where those of the ``.pth`` cannot be names.

    Raises
    ------
    InputError
        Where an entry is unknown or wrong, and what loading and saving raise.
    """
    loaded = _load(_checkpoint_file(Path(source)), card)
    try:
        new = ModelCard.model_validate(loaded.card.model_dump() | card)
    except ValidationError as error:
        raise InputError(f"the model card cannot be made: {_first(error)}") from error
    return save_checkpoint(destination, loaded.state, new)


def file_checksum(path: Path) -> str:
    """Give ``sha256:`` and the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _checkpoint_file(path: Path) -> Path:
    if str(path) == BUNDLED and not path.exists():
        return demo_network_path()
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            raise FormatError(f"{path} holds {len(files)} .safetensors files; name the one checkpoint to use")
        return files[0]
    if not path.is_file():
        raise MissingFileError(
            f"there is no checkpoint {path}; give a .safetensors, .pth or .h5 file, or {BUNDLED}, which comes "
            "with the package"
        )
    return path


def _read_safetensors(file: Path) -> tuple[ModelCard, State]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as content:
            inside = (content.metadata() or {}).get(_CARD_KEY)
            state = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, TypeError, ValueError, OSError) as error:
        raise FormatError(f"{file} cannot be read as safetensors ({error}); copy or save it again") from error
    state = {name: _float32(array) for name, array in state.items()}
    beside = file.with_suffix(".json")
    cards = [_card(inside, file)] if inside is not None else []
    if beside.is_file():
        cards.append(_card(_text(beside), beside))
    if not cards:
        raise FormatError(
            f"{file} has no model card, neither inside nor as {beside.name}; save it again with its card"
        )
    if cards[0] != cards[-1]:
        raise FormatError(
            f"the model card {beside} differs from the one inside {file.name}; "
            "remove it, or save the checkpoint again with the card you want"
        )
    return cards[0], state


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise FormatError(
            f"the model card {file} cannot be read as UTF-8 text ({error!s:.100}); remove it, or save the checkpoint again"
        ) from error


def _card(text: str, place: Path) -> ModelCard:
    try:
        return ModelCard.model_validate_json(text)
    except (ValidationError, InputError) as error:
        what = _first(error) if isinstance(error, ValidationError) else str(error)
        raise FormatError(f"the model card of {place} is not valid: {what}") from error


def _read_pth(file: Path, entries: Mapping[str, Any]) -> tuple[ModelCard, State]:
    """Read a checkpoint of torch; entries of the card that are given stand for the descriptor's."""
    content, materialize = read_torch_checkpoint(file)
    tensors = find_weights(content, str(file))
    described = _described(content.get("model_descriptor"))
    shapes = _with_counter_shapes({name: tensor.size for name, tensor in tensors.items()})
    architecture = Architecture.from_state_dict_shapes(shapes, str(file), elu=described.get("elu") is True)
    for key, value in (("depth", architecture.depth), ("initial_features", architecture.initial_features)):
        stated = described.get(key)
        if type(stated) is int and stated != value:
            raise FormatError(f"{file}: the descriptor says {key} {stated:.6g}, but the weights have {value}")
    classes = _strings(described.get("semantic_classes"))
    if len(classes) != architecture.out_classes:
        classes = tuple(f"class_{i}" for i in range(architecture.out_classes))
    metrics = {
        key: float(number)
        for key in ("epoch", "loss")
        if isinstance(number := content.get(key), int | float) and abs(number) < 1e300
    }
    of_file = {
        "name": _model_name(described.get("model_name"), file),
        "classes": classes,
        "training_data": _strings(described.get("training_set")),
        "metrics": metrics,
        "description": f"Converted from {file.name} of the original DeePiCt.",
    }
    overrides = {key: value for key, value in entries.items() if key in of_file}
    try:
        card = ModelCard.model_validate(of_file | overrides | {"architecture": architecture})
    except ValidationError as error:
        raise FormatError(
            f"the descriptor of {file} makes no model card: {_first(error)}; convert_checkpoint sets it otherwise"
        ) from error
    return card, {name: _float32(materialize(tensor)) for name, tensor in tensors.items()}


def _read_h5(file: Path, entries: Mapping[str, Any]) -> tuple[ModelCard, State]:
    """Read a network of Keras, which names no classes: one is called as the file, unless entries of the card say."""
    architecture, state = read_keras_h5(file)
    name = _model_name(None, file)
    n = architecture.out_classes
    usable = what_is_wrong(name, is_class=True) is None
    of_file = {
        "name": name,
        "classes": (name,) if n == 1 and usable else tuple(f"class_{i}" for i in range(n)),
        "description": f"Converted from {file.name}, a network of Keras.",
    }
    known = {key: value for key, value in entries.items() if key in of_file}
    try:
        card = ModelCard.model_validate(of_file | known | {"architecture": architecture})
    except ValidationError as error:
        raise FormatError(f"{file} makes no model card: {_first(error)}") from error
    return card, state


def _described(descriptor: Any) -> dict[str, Any]:
    """Give what the original's descriptor says; nothing where it is something else."""
    fields = vars(descriptor) if isinstance(descriptor, Record) else descriptor
    return (
        {key: value for key, value in fields.items() if isinstance(key, str)}
        if isinstance(fields, dict)
        else {}
    )


def _model_name(described_name: Any, file: Path) -> str:
    for name in (described_name, file.stem):
        if isinstance(name, str):
            usable = name.replace("/", "_").replace("\\", "_").strip().lstrip(".")[:100]
            if what_is_wrong(usable) is None:
                return usable
    return "network"


def _with_counters(state: State) -> State:
    """Add the counters of batch normalization that some programs do not save; nothing is computed from them."""
    shapes = _with_counter_shapes({name: array.shape for name, array in state.items()})
    return state | {name: np.zeros((), np.int64) for name in shapes if name not in state}


def _with_counter_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    means = [name for name in shapes if name.endswith(".running_mean")]
    counters = (name.removesuffix("running_mean") + "num_batches_tracked" for name in means)
    return dict.fromkeys(counters, ()) | dict(shapes)


def _strings(value: Any) -> tuple[str, ...]:
    is_row = isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value)
    return tuple(str(v)[:1000] for v in value) if is_row else ()


def _float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _numpy(value: Any) -> np.ndarray:
    array = value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()
    # safetensors would write a strided array's memory as it lies.
    return np.ascontiguousarray(_float32(array)).reshape(array.shape)


def _first(error: ValidationError) -> str:
    detail = json.loads(error.json(include_url=False, include_context=False))[0]
    message = detail["msg"].removeprefix("Value error, ")
    if message != detail["msg"]:
        return str(message)
    return f"{'.'.join(map(str, detail['loc'])) or 'card'}: {message} (got {str(detail['input'])[:80]!r})"

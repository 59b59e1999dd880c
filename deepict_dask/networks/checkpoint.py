"""Checkpoints: safetensors with a model card, and the original's ``.pth``.

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

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.card import ModelCard
from deepict_dask.networks.pickles import read_torch_checkpoint, tensors_of

State = dict[str, np.ndarray]
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


@dataclass(frozen=True)
class Model:
    """A checkpoint by reference: everything but the weights, so it is small and picklable."""

    path: Path
    checksum: str
    card: ModelCard

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
        ``.safetensors``, a folder that holds one, or the original's ``.pth``.

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
        DataParallel or without a descriptor.

    Raises
    ------
    MissingFileError
    FormatError
        Where the file is damaged or is not DeePiCt's 3D U-Net.
    UnsafeCheckpointError
        Where a pickle asks for code.
    """
    file = _checkpoint_file(Path(path))
    if file.suffix.lower() in (".h5", ".hdf5", ".keras"):
        raise FormatError(f"{file} is a Keras network, not a 3D U-Net; give a .safetensors or .pth file")
    card, state = _read_safetensors(file) if file.suffix.lower() == ".safetensors" else _read_pth(file)
    card.architecture.check_shapes({name: array.shape for name, array in state.items()}, str(file))
    for name, array in state.items():
        if not np.isfinite(array).all():
            raise FormatError(
                f"{file}: {name} holds NaN or infinity; the training failed or the file is damaged"
            )
    return LoadedModel(card.architecture, state, card, file_checksum(file))


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
    file.parent.mkdir(parents=True, exist_ok=True)
    _replace(file, save(arrays, metadata={_CARD_KEY: card.model_dump_json()}))
    _replace(file.with_suffix(".json"), (card.model_dump_json(indent=2) + "\n").encode())
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
        Entries of the card to set, such as ``voxel_size=13.48``, which a ``.pth`` does not know.

    Raises
    ------
    InputError
        Where an entry is unknown or wrong, and what loading and saving raise.
    """
    loaded = load_checkpoint(source)
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
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise FormatError(f"{path} holds {len(found)} .safetensors files; name the one checkpoint to use")
        return found[0]
    if not path.is_file():
        raise MissingFileError(f"there is no checkpoint {path}; give a .safetensors or .pth file")
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
        cards.append(_card(beside.read_text(encoding="utf-8"), beside))
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


def _card(text: str, place: Path) -> ModelCard:
    try:
        return ModelCard.model_validate_json(text)
    except (ValidationError, InputError) as error:
        what = _first(error) if isinstance(error, ValidationError) else str(error)
        raise FormatError(f"the model card of {place} is not valid: {what}") from error


def _read_pth(file: Path) -> tuple[ModelCard, State]:
    content, materialize = read_torch_checkpoint(file)
    inner = content.get("model_state_dict", content.get("state_dict", content))
    tensors = tensors_of(inner if isinstance(inner, dict) else {})
    if not tensors:
        raise FormatError(f"{file} holds no weights (no model_state_dict of tensors)")
    descriptor: dict[str, Any] = vars(content.get("model_descriptor", object)) or {}
    known = {key: value for key, value in descriptor.items() if isinstance(key, str)}
    shapes = {name: tensor.size for name, tensor in tensors.items()}
    found = Architecture.from_state_dict_shapes(shapes, str(file), elu=known.get("elu") is True)
    for key, value in (("depth", found.depth), ("initial_features", found.initial_features)):
        if known.get(key, value) != value:
            raise FormatError(f"{file}: the descriptor says {key} {known[key]}, but the weights have {value}")
    classes = _strings(known.get("semantic_classes"))
    if len(classes) != found.out_classes:
        classes = tuple(f"class_{i}" for i in range(found.out_classes))
    metrics = {
        key: float(content[key])
        for key in ("epoch", "loss")
        if isinstance(content.get(key), int | float) and np.isfinite(content[key])
    }
    card = ModelCard(
        name=str(known.get("model_name") or file.stem).replace("/", "_").replace("\\", "_")[:200],
        classes=classes,
        architecture=found,
        training_data=_strings(known.get("training_set")),
        metrics=metrics,
        description=f"Converted from {file.name} of the original DeePiCt.",
    )
    return card, {name: _float32(materialize(tensor)) for name, tensor in tensors.items()}


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _numpy(value: Any) -> np.ndarray:
    array = value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()
    # safetensors would write a strided array's memory as it lies.
    return np.ascontiguousarray(_float32(array)).reshape(array.shape)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _first(error: ValidationError) -> str:
    detail = json.loads(error.json(include_url=False, include_context=False))[0]
    return (
        f"{'.'.join(map(str, detail['loc'])) or 'card'}: {detail['msg']} (got {str(detail['input'])[:80]!r})"
    )

"""Run folders, and folders of tomograms, described."""

from __future__ import annotations

import json
from pathlib import Path

from deepict_dask.cli.info import Facts
from deepict_dask.errors import DeepictError, InputError


def describe(path: Path) -> Facts:
    """Describe a run folder, the folder of a tomogram in one, or a folder of tomograms.

    Raises
    ------
    InputError
        If it is none of these.
    """
    from deepict_dask.io.ome_zarr import open_own_image

    if not any(path.iterdir()):
        raise InputError(f"{path} is an empty folder; give a file, an OME-Zarr group or a run folder")
    inside = {
        folder: images
        for folder in (path, *sorted(child for child in path.iterdir() if child.is_dir()))
        if (images := [p for p in sorted(folder.glob("*.zarr")) if _is_own(p)]) or _sides(folder)
    }
    if not inside:
        return _of_inputs(path)
    s = "s" * (len(inside) > 1)
    facts: Facts = {"what": f"run folder, {len(inside)} tomogram{s}"}
    if (path / "settings.yaml").is_file():
        facts["settings"] = "settings.yaml"
    for folder, images in inside.items():
        done = []
        for image in images:
            try:
                opened = open_own_image(image)
                done.append(f"{image.stem}{'' if opened and opened.is_complete else ' (incomplete)'}")
            except DeepictError:
                done.append(f"{image.stem} (damaged)")
        facts[folder.name] = ", ".join([*done, *(_picks(side) for side in _sides(folder))])
    return facts


def _is_own(path: Path) -> bool:
    from deepict_dask.io.ome_zarr import read_attributes

    try:
        return bool(read_attributes(path))
    except DeepictError:
        return False


def _sides(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("particles*.json") if p.is_file())


def _picks(side: Path) -> str:
    """Say what the file beside tables of particles says."""
    try:
        content = json.loads(side.read_text(encoding="utf-8"))
        name = content.get("class") or content["made_by"].get("class") or ""
        return " ".join(f"{content['n_particles']} {name} picks".split())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{side.name} (damaged)"


def _of_inputs(path: Path) -> Facts:
    from deepict_dask.io.inputs import find_inputs

    try:
        inputs = find_inputs([str(path)])
    except InputError:
        raise InputError(
            f"{path} is neither a run folder nor a tomogram, and holds no tomogram; give a file, an OME-Zarr group or "
            "a run folder"
        ) from None
    names = ", ".join(i.name for i in inputs[:8]) + (
        f" and {len(inputs) - 8} more" if len(inputs) > 8 else ""
    )
    return {"what": f"folder of {len(inputs)} tomogram{'s' * (len(inputs) > 1)}", "names": names}

"""copick: the tomograms of a project, ``ExperimentRuns/RUN/VoxelSpacing10.000/TYPE.zarr`` below its static or overlay root."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.exchange.frame import Series
from deepict_dask.io.projects.series import row_of
from deepict_dask.io.tomogram_row import TomogramRow

_PLACE = re.compile(r"VoxelSpacing(?P<size>[0-9.]+)$")


def rows(config: Path, chosen: str = "") -> Iterator[TomogramRow]:
    """Give a row per run.

    Parameters
    ----------
    config : Path
        ``config.json``.
    chosen : str
        Voxel spacing and type, ``10.000/wbp``; needed where there are several.

    Raises
    ------
    InputError
        If there is no tomogram on this machine, or several of one run.
    """
    found: dict[str, dict[str, Path]] = {}
    for root in _roots(config):
        for file in sorted(root.glob("ExperimentRuns/*/VoxelSpacing*/*.zarr")):
            place = _PLACE.search(file.parent.name)
            if place is None or file.stem.endswith("_features") or "_" in file.stem:
                continue  # features of tomograms are called TYPE_NAME_features
            found.setdefault(file.parent.parent.name, {})[f"{place['size']}/{file.stem}"] = file
    kinds = sorted({kind for files in found.values() for kind in files})
    if chosen:
        found = {run: {chosen: files[chosen]} for run, files in found.items() if chosen in files}
    if not found:
        about = f"; there are {', '.join(kinds)}" if kinds else " in a folder of this machine"
        raise InputError(f"the copick project {config} has no tomograms {chosen}{about}")
    for run, files in found.items():
        if len(files) > 1:
            raise InputError(
                f"the run {run} of {config} has {len(files)} tomograms; choose one kind, such as '{config}#{next(iter(files))}' "
                f"(there are {', '.join(kinds)})"
            )
        file = next(iter(files.values()))
        yield row_of(str(file), Series(run), str(file), config.parent)


def _roots(config: Path) -> list[Path]:
    """Give the folders that the configuration names, and that of the configuration itself."""
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise FormatError(f"{config} is not JSON ({error})") from None
    roots = [config.parent.absolute()]
    for key in ("static_root", "overlay_root"):
        root = str(content.get(key) or "")
        if "://" in root and not root.startswith(("local://", "file://")):
            continue
        place = Path(re.sub(r"^(local|file)://", "", root)).expanduser()
        if root and (place := config.parent / place).is_dir() and place.absolute() not in roots:
            roots.append(place.absolute())
    return roots

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
    """Give a row per run; runs without a tomogram of the kind are named in a warning.

    Parameters
    ----------
    config : Path
        ``config.json``.
    chosen : str
        Voxel spacing and type, ``10/wbp``, or one of them; needed where the project has several kinds.

    Raises
    ------
    InputError
        If there is no tomogram on this machine, or there are several kinds: they are not mixed.
    """
    found: dict[str, dict[str, Path]] = {}
    for root in _roots(config):
        for file in sorted(root.glob("ExperimentRuns/*/VoxelSpacing*/*.zarr")):
            place = _PLACE.search(file.parent.name)
            if place is None or file.stem.endswith("_features") or "_" in file.stem:
                continue  # features of tomograms are called TYPE_NAME_features
            found.setdefault(file.parent.parent.name, {})[f"{place['size']}/{file.stem}"] = file
    kinds = sorted({kind for files in found.values() for kind in files})
    fitting = [kind for kind in kinds if _fits(kind, chosen)]
    if not fitting:
        about = f"; there are {', '.join(kinds)}" if kinds else " in a folder of this machine"
        raise InputError(f"the copick project {config} has no tomograms {chosen}{about}")
    if len(fitting) > 1:
        most = max(len([kind for kind in files if kind in fitting]) for files in found.values())
        about = f"up to {most} tomograms per run" if most > 1 else "different tomograms in different runs"
        raise InputError(
            f"the copick project {config} has {about}; choose one kind, such as '{config}#{fitting[0]}' (there are "
            f"{', '.join(fitting)})"
        )
    kind = fitting[0]
    missing = [run for run, files in found.items() if kind not in files]
    warnings: tuple[str, ...] = ()
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        warnings = (
            f"{', '.join(missing[:5])}{more} of {config} have no tomogram {kind} and are left out; there are {', '.join(kinds)}",
        )
    for run, files in found.items():
        if kind in files:
            yield row_of(str(files[kind]), Series(run), str(files[kind]), config.parent, warnings=warnings)


def _fits(kind: str, chosen: str) -> bool:
    """Tell whether a kind is the chosen one; spacings are compared as numbers, and either part may be left out.

    >>> _fits("10.000/wbp", "10/wbp"), _fits("10.000/wbp", "wbp"), _fits("10.000/wbp", "5")
    (True, True, False)
    """
    size, _, name = kind.partition("/")
    first, has_both, second = chosen.partition("/")
    if not has_both:
        return not chosen or chosen == name or _number(chosen) == float(size)
    return _number(first) == float(size) and second == name


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


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

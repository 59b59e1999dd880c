"""A copick project: ``config.json`` and ``ExperimentRuns/RUN/Picks/USER_SESSION_OBJECT.json``.

Positions are A, x, y, z, from the center of the first voxel; ``transformation_`` turns the reference (copick ``models.py``). Names of
objects, users and sessions hold no underscore, blank or character that file systems forbid; these become hyphens (``util/escape.py``); the name of before is
kept in the object's metadata. The project has no tomograms: copick reads Zarr v2 with OME-Zarr 0.4 only, and those of a run are
Zarr v3; add your own, or give a static root with them in ``config.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.exchange.export import ANY_CLASS, Export, numbers_of, plain_number
from deepict_dask.io.exchange.orientation import angles_of, from_matrices, matrices
from deepict_dask.io.exchange.reading import Reading, read_object
from deepict_dask.io.exchange.table import on_frames
from deepict_dask.names import first_duplicate
from deepict_dask.particles import Particles, VoxelGrid, join

CONFIG, RUNS, PICKS = "config.json", "ExperimentRuns", "Picks"
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1F\x7F\s_]')
_COLORS = ((0, 117, 220), (251, 192, 45), (216, 27, 96), (0, 137, 123), (123, 31, 162), (244, 81, 30))


def plain_name(name: str, what: str) -> str:
    """Give a name that copick takes.

    Raises
    ------
    InputError
        If nothing is left of it.

    Examples
    --------
    >>> plain_name("80S_ribosome", "class")
    '80S-ribosome'
    """
    plain = _FORBIDDEN.sub("-", name).strip("-")
    if not plain:
        raise InputError(f"the {what} {name!r} has no character that copick allows in names; rename it")
    return plain


def write(export: Export, folder: Path) -> None:
    """Write picks of each tomogram and class, and a configuration with ``--diameter`` as twice the radius."""
    user, session = plain_name(export.details.user, "user"), plain_name(export.details.session, "session")
    names = export.classes or (ANY_CLASS,)
    objects = {name: plain_name(name, "class") for name in names}
    if twice := first_duplicate(list(objects.values())):
        raise InputError(
            f"several classes would be called {twice!r} in copick, which allows no underscore; rename one"
        )
    for frame, particles in export.parts():
        size = frame.voxel_size
        place = folder / RUNS / frame.name / PICKS
        place.mkdir(parents=True, exist_ok=True)
        for name, _, chosen in export.by_class(particles):
            points = [
                {
                    "location": {"x": plain_number(x), "y": plain_number(y), "z": plain_number(z)},
                    "transformation_": turned,
                    "instance_id": int(label),
                    "score": None if np.isnan(score) else plain_number(score, 9),
                }
                for (z, y, x), turned, label, score in zip(
                    (chosen.positions * size).tolist(),
                    _transformations(chosen, export.has_angles),
                    chosen.label.tolist(),
                    chosen.score.tolist(),
                    strict=True,
                )
            ]
            content = {
                "pickable_object_name": objects[name],
                "user_id": user,
                "session_id": session,
                "run_name": frame.name,
                "voxel_spacing": plain_number(size[2]),
                "unit": "angstrom",
                "points": points,
                "trust_orientation": export.has_angles,
            }
            _write(place / f"{user}_{session}_{objects[name]}.json", content)
    _write(folder / CONFIG, _config(export, folder, objects, user))


def _config(export: Export, folder: Path, objects: dict[str, str], user: str) -> dict[str, Any]:
    radius = {} if export.details.diameter is None else {"radius": export.details.diameter / 2}
    pickable = [
        {
            "name": objects[name],
            "is_particle": True,
            "label": k,
            "color": [*_COLORS[place % len(_COLORS)], 255],
            **radius,
            **({} if name == objects[name] else {"metadata": {"name": name}}),
        }
        for place, (name, k) in enumerate(zip(objects, numbers_of(tuple(objects)), strict=True))
    ]
    return {
        "name": "Particles of deepict_dask",
        "description": "Picks; add tomograms as Zarr v2 with OME-Zarr 0.4",
        "version": "0.5.0",
        "config_type": "filesystem",
        "pickable_objects": pickable,
        "user_id": user,
        "overlay_root": f"local://{export.place or folder}/",
        "overlay_fs_args": {"auto_mkdir": True},
    }


def _transformations(particles: Particles, has_angles: bool) -> Sequence[list[list[float]]]:
    turns = matrices(angles_of(particles)) if has_angles else np.tile(np.eye(3), (len(particles), 1, 1))
    transforms = []
    for turn in turns:
        matrix = np.eye(4)
        matrix[:3, :3] = turn
        transforms.append(matrix.tolist())
    return transforms


def read(path: Path, reading: Reading) -> Particles:
    """Read a project (its folder or configuration) or one file of picks.

    Positions become voxels of ``--voxel-size``, else of the ``voxel_spacing`` that the picks name.

    Raises
    ------
    FormatError
        If a file is no picks of copick.
    InputError
        If there are none, or nothing says a voxel size.
    """
    folder, called = path, {}
    if path.is_file():
        content = _open(path, reading)
        if "pickable_object_name" in content:
            _chosen([(path, content)], path, reading)
            return _picks(path, content, {}, reading)
        called, folder = _names(content), _root(path, content)
    elif (path / CONFIG).is_file():
        content = _open(path / CONFIG, reading)
        called, folder = _names(content), _root(path / CONFIG, content)
    files = sorted((folder / RUNS).glob(f"*/{PICKS}/*.json"))
    if not files:
        raise InputError(f"{folder} holds no {RUNS}/RUN/{PICKS}/*.json; give a copick project with picks")
    picked = [(file, _open(file, reading)) for file in files]
    return join(
        [_picks(file, content, called, reading) for file, content in _chosen(picked, folder, reading)]
    )


def _open(path: Path, reading: Reading) -> dict[str, Any]:
    return read_object(reading.opening(path), "a configuration or picks of copick")


def _chosen(
    picked: Sequence[tuple[Path, dict[str, Any]]], folder: Path, reading: Reading
) -> list[tuple[Path, dict[str, Any]]]:
    """Choose the picks of one user and session; InputError where several of one run and object are left."""
    chosen = []
    who_of: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for file, content in picked:
        named = [*file.stem.split("_", 2), "", ""]
        user, session = str(content.get("user_id") or named[0]), str(content.get("session_id") or named[1])
        if (reading.user and user != reading.user) or (reading.session and session != reading.session):
            continue
        run = str(content.get("run_name") or file.parent.parent.name)
        thing = str(content.get("pickable_object_name") or file.stem)
        who_of.setdefault((run, thing), []).append((user, session))
        chosen.append((file, content))
    if not chosen:
        raise InputError(
            f"{folder} has no picks of user {reading.user or '(any)'} and session {reading.session or '(any)'}; check --user and "
            "--session"
        )
    for (run, thing), who in who_of.items():
        if len(who) > 1:
            listed = ", ".join(f"{user} (session {session})" for user, session in sorted(who))
            raise InputError(
                f"the run {run} of {folder} has picks of {thing} by {listed}, which may be the same particles; choose with --user and "
                "--session"
            )
    return chosen


def _names(config: dict[str, Any]) -> dict[str, str]:
    """Give the classes as they were called before copick's rules."""
    names = {}
    for item in config.get("pickable_objects") or ():
        metadata = item.get("metadata") or {}
        names[str(item.get("name"))] = str(metadata.get("name") or item.get("name"))
    return names


def _root(config: Path, content: dict[str, Any]) -> Path:
    """Give the folder of the picks: beside the configuration, else where it says."""
    if (config.parent / RUNS).is_dir():
        return config.parent
    root = str(content.get("overlay_root") or content.get("static_root") or "")
    return Path(re.sub(r"^(local|file)://", "", root)) if root else config.parent


def _picks(path: Path, content: dict[str, Any], called: dict[str, str], reading: Reading) -> Particles:
    run, points = str(content.get("run_name") or path.parent.parent.name), content.get("points") or []
    try:
        angstrom = np.array(
            [[float(p["location"][axis]) for axis in "zyx"] for p in points], np.float64
        ).reshape(-1, 3)
        turns = np.array(
            [np.asarray(p.get("transformation_", np.eye(4)), np.float64)[:3, :4] for p in points]
        ).reshape(-1, 3, 4)
        score = np.array([np.nan if p.get("score") is None else float(p["score"]) for p in points])
        labels = np.array([int(p.get("instance_id") or 0) for p in points], np.int64)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path} holds a point that is none of copick's ({error!r:.100})") from None
    if str(content.get("unit", "angstrom")) != "angstrom":
        raise FormatError(f"{path} counts in {content['unit']!r}; copick's picks are in angstrom")
    angstrom += turns[:, ::-1, 3]
    spacing = content.get("voxel_spacing")
    grid = VoxelGrid((float(spacing),) * 3) if spacing else VoxelGrid()
    frame = reading.geometry.frame(run, grid)
    angles = {}
    if content.get("trust_orientation", True) and not np.allclose(turns[:, :, :3], np.eye(3)):
        angles = dict(zip(("rot", "tilt", "psi"), from_matrices(turns[:, :, :3]).T, strict=True))
    name = str(content.get("pickable_object_name"))
    kind = "" if called.get(name, name) == ANY_CLASS else called.get(name, name)
    particles = on_frames(
        angstrom / frame.voxel_size,
        np.full(len(points), run, object),
        np.full(len(points), kind or reading.class_name, object),
        score,
        angles,
        replace(reading, tomogram=run, class_name=kind or reading.class_name),
        {run: frame.grid},
    )
    return replace(particles, label=labels)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

"""Annotations as the CryoET Data Portal has them: points in ndjson, and a JSON file that says what they are.

Positions are voxels of the tomogram, x, y, z, the center of the first one being 0 (``point_converter.py`` of the portal's
backend); ``xyz_rotation_matrix`` turns the reference. There is no place for scores. Files lie as in the portal's bucket,
``RUN/Reconstructions/VoxelSpacing13.480/Annotations/100/OBJECT-1.0_point.ndjson``; with ``orientedpoint`` where angles are known.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepict_dask import __version__
from deepict_dask.errors import FormatError, InputError
from deepict_dask.io.exchange.export import Export, plain_number
from deepict_dask.io.exchange.frame import Frame
from deepict_dask.io.exchange.orientation import angles_of, from_matrices, matrices
from deepict_dask.io.exchange.reading import Reading, read_object
from deepict_dask.io.exchange.table import on_frames
from deepict_dask.particles import Particles, VoxelGrid, join

VERSION = "1.0"
FIRST_ID = 100
_PLACE = re.compile(r"/(?P<run>[^/]+)/Reconstructions/VoxelSpacing(?P<size>[0-9.]+)/Annotations/[^/]+/[^/]+$")


def write(export: Export, folder: Path) -> None:
    """Write points and metadata of each tomogram and class; voxels must be cubes."""
    form = "OrientedPoint" if export.has_angles else "Point"
    for frame, particles in export.parts():
        size = frame.cubic("the CryoET Data Portal")
        for name, number, chosen in export.by_class(particles):
            below = f"{frame.name}/Reconstructions/VoxelSpacing{size:.3f}/Annotations/{FIRST_ID + number - 1}"
            where = folder / below
            where.mkdir(parents=True, exist_ok=True)
            stem = f"{re.sub(r'[^A-Za-z0-9.-]+', '_', name)}-{VERSION}"
            points = f"{stem}_{form.lower()}.ndjson"
            with (where / points).open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in _lines(chosen, export.has_angles))
            about = _metadata(export, frame, name, len(chosen), f"{below}/{points}", form)
            text = json.dumps(about, indent=2, ensure_ascii=False)
            (where / f"{stem}.json").write_text(text + "\n", encoding="utf-8")


def _lines(particles: Particles, has_angles: bool) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [
        {
            "type": "orientedPoint" if has_angles else "point",
            "location": {"x": plain_number(x), "y": plain_number(y), "z": plain_number(z)},
        }
        for z, y, x in particles.positions.tolist()
    ]
    if has_angles:
        for line, turn in zip(lines, matrices(angles_of(particles)).tolist(), strict=True):
            line["xyz_rotation_matrix"] = turn
    return lines


def _metadata(export: Export, frame: Frame, name: str, n: int, path: str, form: str) -> dict[str, Any]:
    return {
        "annotation_object": {"name": name, "id": ""},
        "annotation_method": "3D U-Net and connected components",
        "method_type": "automated",
        "annotation_software": f"deepict_dask {__version__}",
        "annotation_publications": "10.1038/s41592-022-01746-2",
        "authors": [{"name": export.details.user, "primary_author_status": True}],
        "ground_truth_status": False,
        "is_curator_recommended": False,
        "object_count": n,
        "version": VERSION,
        "voxel_spacing": plain_number(frame.voxel_size[2]),
        "files": [{"format": "ndjson", "path": path, "shape": form, "is_visualization_default": True}],
    }


def read(path: Path, reading: Reading) -> Particles:
    """Read the points of one file, or of all below a folder.

    Run, object and voxel size are what the folders and the metadata beside the points say.

    Raises
    ------
    FormatError
        If a line is no point.
    InputError
        If there is no such file.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.ndjson"))
        if not files:
            raise InputError(f"{path} holds no .ndjson; give a file or folder of the CryoET Data Portal")
        return join([read(file, reading) for file in files])
    positions, turns, labels = [], [], []
    for k, line in enumerate(reading.text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            point = json.loads(line)
            positions.append([float(point["location"][axis]) for axis in "zyx"])
            turn = point.get("xyz_rotation_matrix", point.get("rotation_matrix"))
            turns.append(None if turn is None else np.asarray(turn, np.float64).reshape(3, 3))
            labels.append(int(point.get("instance_id", k)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"{path} holds in line {k} no point of the CryoET Data Portal ({error!r:.80})"
            ) from None
    stem = re.sub(
        r"_(point|orientedpoint|instancesegmentation|instancepoint)$", "", path.stem, flags=re.IGNORECASE
    )
    about = _metadata_beside(path.with_name(f"{stem}.json"), reading)
    name = str(
        about.get("annotation_object", {}).get("name") or reading.class_name or stem.rpartition("-")[0]
    )
    place = _PLACE.search(path.resolve().as_posix())
    run = place["run"] if place else reading.tomogram or stem
    size = float(about.get("voxel_spacing") or (place["size"] if place else 0))
    grid = VoxelGrid((size,) * 3) if size > 0 else VoxelGrid()
    angles = {}
    oriented = [turn for turn in turns if turn is not None]
    if turns and len(oriented) == len(turns):
        angles = dict(zip(("rot", "tilt", "psi"), from_matrices(np.stack(oriented)).T, strict=True))
    n = len(positions)
    particles = on_frames(
        np.array(positions, np.float64).reshape(-1, 3),
        np.full(n, run, object),
        np.full(n, name, object),
        np.full(n, np.nan),
        angles,
        replace(reading, tomogram=run, class_name=name),
        {run: grid},
    )
    return replace(particles, label=np.array(labels, np.int64))


def _metadata_beside(side: Path, reading: Reading) -> dict[str, Any]:
    """Read what lies beside the points; nothing where there is no such file, or it is not the portal's."""
    if not side.is_file():
        return {}
    content = read_object(reading.opening(side), "metadata of the CryoET Data Portal")
    return content if isinstance(content.get("annotation_object"), dict) else {}

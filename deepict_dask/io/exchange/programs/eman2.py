"""EMAN2's ``info/NAME_info.json``; experimental, since it was checked against EMAN2's source and not against EMAN2 itself.

``boxes_3d`` holds ``[x, y, z, method, score, class]``: pixels of the tilt series (``apix_unbin``, A) counted from voxel ``n // 2`` of the
tomogram on each axis; ``class_list`` names the classes and their boxes in the same pixels (``e2spt_boxer.py``, ``SaveJson`` and
the reading before it; ``e2spt_extract.py``). EMAN2 keeps the alignment of a tilt series in the same file: copy these two entries
into the file of a project, not the file over it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepict_dask.errors import FormatError, InputError, NeedsGridError
from deepict_dask.io.exchange.export import ANY_CLASS, Export, numbers_of, plain_number
from deepict_dask.io.exchange.reading import Reading, read_object
from deepict_dask.io.exchange.table import on_frames
from deepict_dask.particles import Particles, VoxelGrid, join

FOLDER, END = "info", "_info.json"
# What e2spt_boxer takes where nobody says.
_BOX = 64
_METHOD = "deepict_dask"


def write(export: Export, folder: Path) -> None:
    """Write ``info/NAME_info.json`` for each tomogram; boxes have ``--diameter``."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    names = export.classes or (ANY_CLASS,)
    # EMAN2 numbers classes from 0.
    numbers = [k - 1 for k in numbers_of(names)]
    for frame, particles in export.parts():
        ratio = frame.voxel_size / frame.pixel_size
        pixels = (particles.positions - frame.shape // 2) * ratio
        kinds = export.numbers_of_classes(particles) - 1
        scores = export.scores(particles)
        boxes = [
            [plain_number(x), plain_number(y), plain_number(z), _METHOD, plain_number(score), kind]
            for (z, y, x), score, kind in zip(pixels.tolist(), scores.tolist(), kinds.tolist(), strict=True)
        ]
        diameter = export.details.diameter
        box = _BOX if diameter is None else int(np.ceil(diameter / frame.pixel_size / 2)) * 2
        content = {
            "apix_unbin": plain_number(frame.pixel_size),
            "boxes_3d": boxes,
            "class_list": {
                str(k): {"name": name, "boxsize": box} for k, name in zip(numbers, names, strict=True)
            },
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (folder / FOLDER / f"{frame.name}{END}").write_text(text + "\n", encoding="utf-8")


def read(path: Path, reading: Reading) -> Particles:
    """Read one file, or all of a folder ``info``.

    Raises
    ------
    FormatError
        If it has no ``boxes_3d``.
    InputError
        If the size of the tomogram is not known, from whose center boxes are counted.
    """
    if path.is_dir():
        files = sorted(path.glob(f"*{END}")) or sorted((path / FOLDER).glob(f"*{END}"))
        if not files:
            raise InputError(f"{path} holds no {FOLDER}/NAME{END}; give the folder of an EMAN2 project")
        return join([read(file, reading) for file in files])
    content = read_object(reading.opening(path), "an info file of EMAN2")
    if not isinstance(content.get("boxes_3d"), list):
        raise FormatError(f"{path} has no boxes_3d; give an info file of EMAN2 with particles")
    name = path.name.removesuffix(END) if path.name.endswith(END) else path.stem
    boxes = content["boxes_3d"]
    try:
        pixels = np.array([[float(b[2]), float(b[1]), float(b[0])] for b in boxes]).reshape(-1, 3)
        score = np.array([float(b[4]) if len(b) > 4 else np.nan for b in boxes])
        kinds = [int(b[5]) if len(b) > 5 else 0 for b in boxes]
    except (TypeError, ValueError, IndexError) as error:
        raise FormatError(f"{path} has a box that is not [x, y, z, method, score, class] ({error})") from None
    frame = reading.geometry.frame(name, VoxelGrid())
    pixel = content.get("apix_unbin")
    if pixel is None:
        positions = pixels  # files of before 2018 count voxels of the tomogram
    else:
        if frame.grid.voxel_size is None or frame.grid.shape is None:
            raise NeedsGridError(
                f"EMAN2 counts boxes from the center of the tomogram in pixels of the tilt series, so {path} needs the voxel size and "
                "shape of its tomogram; give them with --voxel-size and --shape"
            )
        positions = pixels * float(pixel) / frame.voxel_size + frame.shape // 2
    listed = content.get("class_list")
    called = {int(k): str(v["name"] if isinstance(v, dict) else v) for k, v in (listed or {}).items()}
    classes = np.array([called.get(k, str(k)) for k in kinds], object)
    if set(called.values()) <= {ANY_CLASS}:
        classes = np.full(len(kinds), reading.class_name, object)
    if not score.any():
        score = np.full(len(score), np.nan)
    of_tomogram = replace(reading, tomogram=name)
    return on_frames(positions, np.full(len(kinds), name, object), classes, score, {}, of_tomogram)

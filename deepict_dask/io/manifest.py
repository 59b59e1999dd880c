"""Manifests: every shard of an output with its size and digest, and which blocks were computed.

A manifest is written before the mark of completion, as the attributes of a Zarr group ``manifest`` inside the
image's, so that it travels with the image and no reader stumbles over it. The mark holds its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deepict_dask.errors import DamagedOutputError
from deepict_dask.geometry import BlockGrid, Shape
from deepict_dask.io.location import Location

GROUP = "manifest"
METADATA = ("zarr.json", ".zgroup", ".zattrs", ".zarray", ".zmetadata")
"""Files of a Zarr hierarchy that are no voxels."""
WAY_OUT = "run the same command with --overwrite to make it again"


@dataclass(frozen=True, order=True)
class Shard:
    """A stored object: shard (Zarr v3) or chunk (v2) of one level.

    Attributes
    ----------
    key : str
        Its name within the image: ``0/c/0/1/0``.
    size : int
        Bytes.
    digest : str
        SHA-256 of them, in hexadecimal.
    """

    key: str
    size: int
    digest: str

    @classmethod
    def of(cls, key: str, data: Any) -> Shard:
        """Describe what is about to be written."""
        view = memoryview(data).cast("B")
        return cls(key, view.nbytes, hashlib.sha256(view).hexdigest())


@dataclass(frozen=True)
class Manifest:
    """What an image consists of.

    Attributes
    ----------
    grid : BlockGrid
        The blocks that tasks computed.
    computed : tuple of (int, int, int), or None
        Numbers (z, y, x) of the blocks that were; None for all. The others are not computed, which is not 0.
    shards : tuple of Shard
        Sorted by key.
    """

    grid: BlockGrid
    computed: tuple[Shape, ...] | None
    shards: tuple[Shard, ...]

    @classmethod
    def of(
        cls, grid: BlockGrid, shards: Iterable[Shard], computed: Iterable[Shape] | None = None
    ) -> Manifest:
        """Make a manifest of what the tasks wrote, in any order."""
        blocks = None if computed is None else tuple(sorted(computed))
        return cls(grid, blocks, tuple(sorted(shards)))

    def missing(self, region: tuple[slice, ...]) -> list[Shape]:
        """Give the numbers of the blocks in a region, (z, y, x) slices in voxels, that were not computed."""
        if self.computed is None:
            return []
        held = set(self.computed)
        spans = [
            range(r.start // core, -(-r.stop // core)) for r, core in zip(region, self.grid.core, strict=True)
        ]
        return [(i, j, k) for i in spans[0] for j in spans[1] for k in spans[2] if (i, j, k) not in held]

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "version": 1,
            "shape": list(self.grid.shape),
            "core": list(self.grid.core),
            "computed": "all" if self.computed is None else [list(block) for block in self.computed],
            "shards": {s.key: [s.size, s.digest] for s in self.shards},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Manifest:
        """Read what `to_json` gave; KeyError, TypeError or ValueError where it is something else."""
        computed = content["computed"]
        blocks = None if computed == "all" else tuple((int(a), int(b), int(c)) for a, b, c in computed)
        shape, core = (tuple(map(int, content[name])) for name in ("shape", "core"))
        shards = (Shard(key, int(size), str(digest)) for key, (size, digest) in content["shards"].items())
        return cls.of(BlockGrid(shape, core), shards, blocks)  # type: ignore[arg-type]

    @property
    def digest(self) -> str:
        """Identify it; what the mark of completion holds."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def find_damage(image: Location, manifest: Manifest, *, deep: bool = False) -> str | None:
    """Compare an image with its manifest.

    Parameters
    ----------
    image : Location
        The group.
    manifest : Manifest
        Of it.
    deep : bool
        Read everything and compare digests; else only list names and sizes.

    Returns
    -------
    str or None
        What is wrong with the first shard of which something is, naming its file.
    """
    sizes = {key: size for key, size in image.files() if not _is_metadata(key)}
    for shard in manifest.shards:
        file = f"{image}/{shard.key}"
        if shard.key not in sizes:
            return f"{file} is missing"
        if sizes[shard.key] != shard.size:
            return f"{file} has {sizes[shard.key]} bytes where {shard.size} were written"
        if deep and Shard.of(shard.key, image.join(shard.key).read_bytes()) != shard:
            return f"{file} holds other bytes than were written"
    return None


def check_whole(image: Location, manifest: Manifest, *, deep: bool = False) -> None:
    """Refuse a damaged image.

    Raises
    ------
    DamagedOutputError
        Naming file and way out.
    """
    if (damage := find_damage(image, manifest, deep=deep)) is not None:
        raise DamagedOutputError(f"{damage}, so {image.name} is damaged; {WAY_OUT}")


def _is_metadata(key: str) -> bool:
    return key.rpartition("/")[2] in METADATA

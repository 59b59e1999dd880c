from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from deepict_dask.errors import WorkError
from deepict_dask.io.source import open_source
from deepict_dask.io.staging import decoding, stage, staging_folder, staging_memory

edges = st.integers(1, 40)
shapes = st.tuples(edges, edges, edges)


@given(shapes, shapes, shapes)
def test_decoding_counts_what_every_block_has_to_decode(
    shape: tuple[int, int, int], chunk: tuple[int, int, int], core: tuple[int, int, int]
) -> None:
    total = 1
    for n, k, c in zip(shape, chunk, core, strict=True):
        per_axis = 0
        for start in range(0, n, c):
            touched = {i // k for i in range(start, min(start + c, n))}
            per_axis += sum(1 for i in range(n) if i // k in touched)
        total *= per_axis
    assert decoding(shape, chunk, core) == pytest.approx(total / math.prod(shape))


# The high-water mark of getrusage is the parent's, too.
PEAK = """
import sys
from deepict_dask.io.source import open_source
from deepict_dask.io.staging import stage

def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

source = open_source(sys.argv[1])
before = peak()
stage(source.volume, sys.argv[2])
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["h5", "zarr"])
def test_the_memory_that_is_needed_is_the_memory_that_is_used(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 50, (96, 400, 400)).astype("f4")
    path = tmp_path / f"a.{kind}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "data", data=values, chunks=values.shape, compression="gzip", compression_opts=1
            )
    else:
        zarr.create_array(path, data=values, chunks=values.shape)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
    )
    needed, used = staging_memory(open_source(path).volume), int(done.stdout)
    imports = 100 << 20
    assert needed / 4 < used < needed + imports


def test_a_volume_of_many_chunks_holds_one_of_them(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 50, (96, 400, 400)).astype("f4")
    zarr.create_array(tmp_path / "a.zarr", data=values, chunks=(1, 400, 400))
    volume = open_source(tmp_path / "a.zarr").volume
    assert staging_memory(volume) == 4 * 400 * 400 * 4
    stage(volume, str(tmp_path / "out"))
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out", "f4").reshape(values.shape), values)


def test_a_folder_that_goes_is_said_and_a_chunk_that_is_torn_leaves_nothing(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.ones((4, 5, 6), "f4"), chunks=(2, 5, 6))
    volume = open_source(tmp_path / "a.zarr").volume
    with pytest.raises(WorkError, match="not visible from this process, or was removed"):
        stage(volume, str(tmp_path / "absent" / "out"))
    (tmp_path / "a.zarr/c/1/0/0").write_bytes(b"torn")
    with pytest.raises(Exception, match="damaged"), staging_folder(tmp_path) as place:
        stage(volume, str(place / "out"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr"]

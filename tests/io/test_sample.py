from __future__ import annotations

import gzip
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from deepict_dask.errors import WorkError
from deepict_dask.io import sample as module
from deepict_dask.io.sample import sample
from deepict_dask.io.source import open_source

VALUES = np.arange(40 * 30 * 20, dtype="f4").reshape(40, 30, 20)


def written(path: Path) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(VALUES)
        file.set_volume()
    return path


def test_a_small_tomogram_is_read_whole(tmp_path: Path) -> None:
    values, share = sample(open_source(written(tmp_path / "a.mrc")), VALUES.size)
    assert share == 1 and np.array_equal(values, VALUES.ravel())


@pytest.mark.parametrize("n", [20_000, 5_000, 900, 8, 1])
def test_a_large_one_is_read_from_bottom_to_top_each_voxel_once(tmp_path: Path, n: int) -> None:
    values, share = sample(open_source(written(tmp_path / "a.mrc")), n)
    assert len(set(values.tolist())) == values.size == round(share * VALUES.size)
    assert values.size <= max(n, 8)
    assert values.min() < VALUES[4].max() and values.max() > VALUES[-5].min()


def test_too_much_to_unpack_for_a_look_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(written(tmp_path / "a.mrc").read_bytes()))
    with pytest.raises(WorkError, match="packed"):
        sample(open_source(tmp_path / "a.mrc.gz"), 10)

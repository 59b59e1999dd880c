"""Spectra of whole tomograms: chunking, storage and transform in pieces must not show."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.engine.spectrum import extract_spectrum, global_statistics
from deepict_dask.errors import InputError
from deepict_dask.kernels.spectrum import deepict_spectrum

edge = st.sampled_from([1, 2, 7, 13, 30, 53])
chunk_edge = st.sampled_from([7, 11, 20, 60])
shapes = st.tuples(edge, edge, edge).filter(lambda s: max(s) > 2)


def volume_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(4, 2, shape).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(
    shape=shapes,
    chunk=st.tuples(chunk_edge, chunk_edge, chunk_edge),
    convention=st.sampled_from(["physical", "deepict"]),
)
def test_chunking_and_storage_change_no_bit(shape, chunk, convention):
    volume = volume_of(shape)
    sources = [da.from_array(volume, -1), da.from_array(volume, chunk), zarr.array(volume, chunks=chunk)]
    one, *others = (extract_spectrum(s, (12.0, 10.0, 10.0), convention, window=16).compute() for s in sources)
    for other in others:
        np.testing.assert_array_equal(other.amplitude, one.amplitude)
    assert one.convention == convention
    assert one.shape == shape
    assert one.voxel_size == (12.0, 10.0, 10.0)
    assert np.isfinite(one.amplitude).all()


@pytest.mark.parametrize("shape", [(20, 31, 17), (3, 40, 8), (37, 2, 11)])
def test_pieces_give_what_one_task_gives(shape):
    volume = volume_of(shape)
    wanted = deepict_spectrum(volume)
    for source in (zarr.array(volume, chunks=(9, 9, 9)), da.from_array(volume, (8, 5, 30))):
        found = extract_spectrum(source, None, "deepict", large=1).compute()
        np.testing.assert_allclose(found.amplitude, wanted, rtol=1e-5)
        np.testing.assert_array_equal(found.frequency, np.arange(len(wanted)))


def test_known_statistics_save_a_pass_and_change_nothing():
    volume = volume_of((30, 40, 50))
    stored = zarr.array(volume, chunks=(16, 16, 16))
    known = global_statistics(stored).compute()
    assert known.mean == pytest.approx(volume.mean(dtype=np.float64), rel=1e-12)
    for convention, facts in (
        ("physical", {"mean": known.mean}),
        ("deepict", {"minimum": known.minimum, "maximum": known.maximum, "large": 1}),
    ):
        given_ = extract_spectrum(stored, 10.0, convention, **facts).compute()
        looked_up = extract_spectrum(stored, 10.0, convention, large=1).compute()
        np.testing.assert_array_equal(given_.amplitude, looked_up.amplitude)


def test_a_stored_tomogram_takes_fewer_tasks_than_blocks():
    stored = zarr.zeros((500, 960, 928), chunks=(128, 128, 128), dtype="f4")
    with dask.config.set(scheduler=_refuse):
        graph = extract_spectrum(stored, 10.0, mean=0.0).__dask_graph__()
    assert len(graph) <= 4 * 8 * 8 + 10


def test_a_physical_spectrum_needs_a_voxel_size():
    with pytest.raises(InputError, match="voxel size in A"):
        extract_spectrum(np.ones((3, 3, 3)), None)


def _refuse(*_args, **_kwargs):
    raise AssertionError("computed while the graph was built")

"""Patches on their way to the network: what is read, in which order, and that augmentation arrives."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from deepict_dask.engine.overlap import read_window
from deepict_dask.errors import InputError
from deepict_dask.geometry import block_grid
from deepict_dask.kernels.probability import standardize
from deepict_dask.networks.training.augmentation import Augmentation, AugmentationSettings
from deepict_dask.networks.training.dataset import (
    PatchDataset,
    PatchIndex,
    TrainingTomogram,
    balanced_sampler,
    draw_patches,
    select_patches,
)
from deepict_dask.networks.training.loading import EpochBatches, SampledOrder, make_loader
from deepict_dask.networks.unet3d import UNet3D

PATCH = 16
SHAPES = {"a": (20, 37, 53), "b": (33, 26, 41)}
DTYPES = {"a": "i1", "b": "f4"}
AUGMENT = Augmentation(AugmentationSettings(rotation=180, elastic=1, gaussian_noise=1, probability=0.7), 5)


@pytest.fixture(scope="module")
def tomograms(tmp_path_factory):
    """Two stored tomograms of different shape, dtype and scale, with two classes; the second is rare."""
    folder, rng = tmp_path_factory.mktemp("stores"), np.random.default_rng(2)
    made = []
    for name, shape in SHAPES.items():
        voxels = (rng.normal(size=shape) * 20 + 7).astype(DTYPES[name])
        target = np.zeros((2, *shape), "u1")
        target[0, 4:12, :, 4:40] = 1
        target[1, 4:8, :6, :6] = 1
        stored = []
        for kind, values, chunks in (("t", voxels, (16, 16, 16)), ("m", target, (1, 16, 16, 16))):
            array = zarr.create_array(
                folder / f"{name}{kind}", shape=values.shape, dtype=values.dtype, chunks=chunks
            )
            array[:] = values
            stored.append(zarr.open_array(folder / f"{name}{kind}", mode="r"))
        made.append(
            TrainingTomogram(
                name, stored[0], float(voxels.mean(dtype="f8")), float(voxels.std(dtype="f8")), stored[1]
            )
        )
    return made


@pytest.fixture(scope="module")
def patches(tomograms):
    return draw_patches(tomograms, PATCH, 3, 0.001)


def same(a, b):
    return len(a) == len(b) and all(x.equal(u) and y.equal(v) for (x, y), (u, v) in zip(a, b, strict=True))


def test_a_patch_is_what_inference_would_show_the_network(tomograms):
    for t in tomograms:
        # The original's grid is that of blocks of 10 with a halo of 3.
        grid = block_grid(t.tomogram.shape, 10)
        grid = replace(grid, core=(10, 10, 10))
        patches = select_patches(t.target, PATCH, 3, None, tomogram=t.name)
        dataset = PatchDataset(tomograms, patches, PATCH)
        whole = [index for index in grid if all(r.stop - r.start == 10 for r in grid.region(index))]
        places = {p.start: k for k, p in enumerate(patches)}
        for index in whole:
            start = tuple(10 * i - 3 for i in index)
            x, y = dataset[places[start]]
            block = read_window(t.tomogram, grid, (3, 3, 3), index)
            assert x.dtype == y.dtype == torch.float32 and x.shape == (1, *(PATCH,) * 3)
            np.testing.assert_array_equal(x[0], standardize(block, t.mean, t.std))
            for channel, target in enumerate(y):
                mask = read_window(t.target[channel], grid, (3, 3, 3), index)
                np.testing.assert_array_equal(target, mask)
        assert len(whole) >= 12


def test_tomograms_of_different_dtype_come_out_alike(tomograms):
    for t in tomograms:
        everywhere = select_patches(t.target, PATCH, 3, None, tomogram=t.name)
        x = torch.stack([x for x, _ in PatchDataset(tomograms, everywhere, PATCH)])
        assert x.mean() == pytest.approx(0, abs=0.1) and x.std() == pytest.approx(1, abs=0.1)


def test_only_the_patch_is_read(tomograms, patches):
    reads = []

    class Counting:
        def __init__(self, array):
            self.array, self.shape = array, array.shape

        def __getitem__(self, key):
            reads.append(self.array[key].size)
            return self.array[key]

    counted = [replace(t, tomogram=Counting(t.tomogram)) for t in tomograms]
    dataset = PatchDataset(counted, patches, PATCH)
    assert not reads
    assert dataset[1][0].shape == (1, *(PATCH,) * 3)
    assert len(reads) == 1 and reads[0] <= PATCH**3


def test_a_dataset_travels_as_paths_and_numbers(tomograms, patches):
    dataset = PatchDataset(tomograms, patches, PATCH, augmentation=AUGMENT)
    sent = pickle.dumps(dataset)
    assert len(sent) < 20_000
    received = pickle.loads(sent)
    assert received[2][0].equal(dataset[2][0])
    # There it may start loader workers, which must see the epoch change.
    assert received._epoch.is_shared()


def test_one_class_may_come_without_a_channel(tomograms, patches):
    alone = [replace(t, target=t.target[1]) for t in tomograms]
    dataset = PatchDataset(alone, patches, PATCH)
    assert dataset.n_classes == 1
    assert dataset[0][1].equal(PatchDataset(tomograms, patches, PATCH)[0][1][1:])


def test_workers_and_their_number_do_not_show(tomograms, patches):
    dataset = PatchDataset(tomograms, patches, PATCH, augmentation=AUGMENT, jitter=3, seed=1)
    sampler = balanced_sampler(dataset, 4, n_samples=14)
    orders = [EpochBatches(SampledOrder(sampler), 3) for _ in range(2)]
    loaders = [make_loader(dataset, order, w, False) for order, w in zip(orders, (0, 2), strict=True)]
    epochs = []
    for epoch in (1, 2, 1):
        dataset.set_epoch(epoch)
        orders[0].epoch = orders[1].epoch = epoch
        torch.manual_seed(len(epochs))
        epochs.append(list(loaders[0]))
        # The workers live on, and still see the epoch change.
        assert same(epochs[-1], list(loaders[1]))
    assert same(epochs[0], epochs[2]) and not same(epochs[0], epochs[1])


@pytest.mark.parametrize("workers", [0, 1])
def test_augmentation_reaches_the_input_of_the_network(tomograms, patches, workers):
    network = UNet3D(depth=1, initial_features=2, out_classes=2)
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))

    def inputs(augmentation, workers):
        dataset = PatchDataset(tomograms, patches[:4], PATCH, augmentation=augmentation)
        loader = make_loader(dataset, EpochBatches(lambda _epoch: range(4), 2), workers, False)
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            seen.clear()
            for x, _ in loader:
                network(x)
            yield torch.cat(seen)

    plain, same_plain = inputs(None, 0)
    first, second = inputs(AUGMENT, workers)
    for k in range(4):
        assert not first[k].equal(plain[k]) and not second[k].equal(plain[k])
        assert not first[k].equal(second[k])
    assert plain.equal(same_plain)


def test_augmentation_is_applied_to_real_surroundings(tomograms):
    # A patch in the middle, rotated by 45 degrees: its corners show voxels beyond the patch.
    t = replace(tomograms[1], tomogram=np.zeros(SHAPES["b"], "f4"), mean=0.0, std=1.0)
    t.tomogram[:, :5] = t.tomogram[:, 21:] = t.tomogram[:, :, :12] = t.tomogram[:, :, 28:] = 1
    place = PatchIndex((8, 5, 12), (1, 1), "b")
    augment = Augmentation(AugmentationSettings(flips=False, rot90=False, rotation=180, probability=1.0))
    dataset = PatchDataset([t], [place], PATCH, augmentation=augment)
    assert not PatchDataset([t], [place], PATCH)[0][0].any()
    shares = [dataset[k][0].mean().item() for k in range(8)]
    assert max(shares) > 0.1


def test_repetitions_of_a_patch_are_augmented_anew(tomograms, patches):
    dataset = PatchDataset(tomograms, patches, PATCH, augmentation=AUGMENT)
    again = 1 + len(dataset)
    assert not dataset[again][0].equal(dataset[1][0])
    plain = PatchDataset(tomograms, patches, PATCH)
    assert plain[again][0].equal(plain[1][0])


def test_jitter_moves_patches_by_no_more_than_asked(tomograms):
    volume = np.arange(SHAPES["a"][2], dtype="f4") * np.ones(SHAPES["a"], "f4")
    t = replace(tomograms[0], tomogram=volume, mean=0.0, std=1.0)
    dataset = PatchDataset([t], [PatchIndex((2, 10, 20), (1, 1), "a")], PATCH, jitter=4)
    starts = set()
    for epoch in range(60):
        dataset.set_epoch(epoch)
        starts.add(int(dataset[0][0][0, 0, 0, 0]))
    assert starts == set(range(16, 25))


def test_patches_stay_within_a_region(tomograms):
    box = (slice(None), slice(None), slice(0, 20))
    volume = tomograms[0].tomogram[:].astype("f4")
    volume[:, :, 20:] = np.nan
    t = replace(tomograms[0], tomogram=volume, region=box)
    dataset = PatchDataset([t], draw_patches([t], PATCH, 3, 0.0), PATCH, augmentation=AUGMENT, jitter=5)
    assert all(torch.isfinite(x).all() for x, _ in dataset)


def one_voxel(shape):
    target = np.zeros(shape, "u1")
    target[3, 4, 5] = 1
    return target


def test_a_tomogram_without_particles_teaches_what_is_none(tomograms):
    a, b = tomograms
    nothing = replace(a, name="none", target=np.zeros(SHAPES["a"], "u1"))
    every = draw_patches([nothing], PATCH, 3, None)
    assert len(every) > 1 and draw_patches([nothing, b], PATCH, 3) == every + draw_patches([b], PATCH, 3)


def wrong(tomograms, patches, what):
    a, b = tomograms
    return {
        "shape": lambda: replace(a, target=b.target),
        "std": lambda: replace(a, std=0.0),
        "region": lambda: replace(a, region=(slice(None), slice(9, 9), slice(None))),
        "classes": lambda: PatchDataset([a, replace(b, target=b.target[0])], patches, PATCH),
        "names": lambda: PatchDataset([a, a], patches, PATCH),
        "unknown": lambda: PatchDataset([a], patches, PATCH),
        "thin": lambda: draw_patches([replace(a, target=one_voxel(SHAPES["a"]))], PATCH, 3),
    }[what]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("shape", "must have the"),
        ("std", "cannot standardize"),
        ("region", "nothing of the 37 voxels on axis y"),
        ("classes", "same classes"),
        ("names", "same name"),
        ("unknown", "tomogram 'b'"),
        ("thin", "lower min_label_fraction, or check its mask"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_a_reason(tomograms, patches, what, words):
    with pytest.raises(InputError, match=words):
        wrong(tomograms, patches, what)()

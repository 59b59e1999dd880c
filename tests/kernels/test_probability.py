"""Standardizing, storing, and the original's boxes."""

from __future__ import annotations

import numpy as np
import pytest

from deepict_dask.kernels.probability import predict_in_boxes, quantize, standardize


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float32", "float16"])
def test_standardizing_is_exact_to_float32_even_far_from_zero(dtype):
    block = (np.random.default_rng(0).normal(60, 10, (3, 5, 7))).astype(dtype)
    shifted = block.astype("f8") + (60000 if dtype == "uint16" else 0)
    block = shifted.astype(dtype)
    mean, std = shifted.mean(), shifted.std()
    out = standardize(block, mean, std)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, (block.astype("f8") - mean) / std, rtol=0, atol=3e-7)


def test_uint8_keeps_every_level_and_is_at_most_half_a_level_off():
    p = np.linspace(0, 1, 100_001, dtype="f4")
    levels = quantize(p, "uint8")
    assert abs(levels / 255 - p).max() <= 0.5 / 255 + 1e-7
    np.testing.assert_array_equal(quantize((np.arange(256) / 255).astype("f4"), "uint8"), np.arange(256))


def test_boxes_cover_the_core_once_and_see_twelve_voxels_around():
    block = np.random.default_rng(0).normal(size=(64, 104, 144)).astype("f4")
    seen = []

    def predict(boxes):
        seen.append(boxes.shape)
        return np.stack([boxes, boxes + 1], axis=1)

    out = predict_in_boxes(block, predict)
    core = block[12:-12, 12:-12, 12:-12]
    np.testing.assert_array_equal(out, np.stack([core, core + 1]))
    assert sum(s[0] for s in seen) == 1 * 2 * 3 and {s[1:] for s in seen} == {(64, 64, 64)}

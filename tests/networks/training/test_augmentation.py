"""Augmentation: the same for x and y, the same for the same key, and really there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from deepict_dask.errors import SettingsError
from deepict_dask.networks.training import density
from deepict_dask.networks.training.augmentation import Augmentation, AugmentationSettings
from deepict_dask.networks.training.warp import Warp

NONE = {"flips": False, "rot90": False, "probability": 1.0}
KINDS = {
    "flips": {"flips": True},
    "rot90": {"rot90": True},
    "rot90_all_axes": {"rot90_all_axes": True},
    "rotation": {"rotation": 180.0},
    "rotation_all_axes": {"rotation": 180.0, "rotation_all_axes": True},
    "elastic": {"elastic": 2.0},
    "gaussian_noise": {"gaussian_noise": 1.0},
    "colored_noise": {"colored_noise": 1.0},
    "salt_and_pepper": {"salt_and_pepper": 0.1},
    "missing_wedge": {"missing_wedge": 30.0},
    "spectrum": {"spectrum": 0.5},
}
GEOMETRY = list(KINDS)[:6]
EVERYTHING = {key: value for kind in KINDS.values() for key, value in kind.items()}


@pytest.fixture(scope="module")
def pair():
    """Smooth blobs, unlike in every direction, and where they are above a level."""
    rng = np.random.default_rng(4)
    x = ndimage.gaussian_filter(rng.normal(size=(24, 24, 24)), 2)
    x = torch.from_numpy((x / x.std()).astype("f4"))[None]
    return x, torch.cat([x > 0.5, x < -0.7]).float()


def make(seed=0, **changes):
    return Augmentation(AugmentationSettings(**{**NONE, **changes}), seed)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_the_input(kind, pair):
    augment = make(**KINDS[kind])
    changed = [not augment(*pair, index=i)[0].equal(pair[0]) for i in range(8)]
    assert sum(changed) >= 5
    assert make(
        **{**KINDS[kind], "flips": False, "rot90": False, "rot90_all_axes": False, "probability": 0.0}
    )(*pair)[0].equal(pair[0])


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in GEOMETRY])
def test_what_happens_to_densities_leaves_the_target_alone(kind, pair):
    assert make(**KINDS[kind])(*pair)[1].equal(pair[1])


@pytest.mark.parametrize("kind", GEOMETRY)
def test_targets_move_with_the_voxels(kind, pair):
    augment, unmoved = make(**KINDS[kind]), []
    for index in range(6):
        x, y = augment(*pair, index=index)
        assert x.shape == pair[0].shape and y.shape == pair[1].shape
        # Linear against nearest: they disagree near the surfaces of blobs only.
        same = (x > 0.5) == (y[:1] > 0)
        assert same.float().mean() > 0.93 and same[(x - 0.5).abs() > 1.2].all()
        unmoved.append(((x > 0.5) == (pair[1][:1] > 0)).float().mean().item())
    # The test can tell: without moving, the target would be wrong.
    assert min(unmoved) < 0.85


def test_a_target_stays_binary_whatever_happens(pair):
    augment = make(**EVERYTHING)
    for index in range(5):
        x, y = augment(*pair, index=index)
        assert set(y.unique().tolist()) <= {0.0, 1.0} and y.any() and torch.isfinite(x).all()


def test_the_same_key_gives_the_same_and_any_other_another(pair):
    results = [
        make(seed, **EVERYTHING)(*pair, epoch=epoch, index=index)[0]
        for seed, epoch, index in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    ]
    assert make(0, **EVERYTHING)(*pair, epoch=0, index=0)[0].equal(results[0])
    for k, other in enumerate(results):
        assert not any(other.equal(r) for r in results[:k])


def test_global_random_states_are_neither_read_nor_changed(pair):
    augment = make(**EVERYTHING)
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = augment(*pair)[0]
    assert torch.get_rng_state().equal(before[0]) and (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.manual_seed(2)
    assert augment(*pair)[0].equal(first)


def test_a_batch_is_its_patches(pair):
    augment = make(3, **EVERYTHING)
    batch = torch.stack([pair[0]] * 3), torch.stack([pair[1]] * 3)
    x, y = augment(*batch, epoch=2, index=[5, 9, 5])
    one, target = augment(*pair, epoch=2, index=9)
    assert x[1].equal(one) and y[1].equal(target) and x[0].equal(x[2]) and not x[0].equal(x[1])


def test_flips_and_turns_reach_all_their_orientations_and_no_other(pair):
    x = torch.arange(27.0).reshape(1, 3, 3, 3)
    seen = {kind: set() for kind in ("flips", "rot90", "rot90_all_axes")}
    for kind, found in seen.items():
        augment = make(**KINDS[kind])
        for index in range(400):
            found.add(tuple(augment(x, x, index=index)[0].int().flatten().tolist()))
    assert [len(found) for found in seen.values()] == [8, 4, 24]
    plane = torch.arange(3.0)[None, :, None, None].expand(1, 3, 3, 3)
    for index in range(20):
        assert make(rot90=True)(plane, plane, index=index)[0].equal(plane)


def test_a_rotation_is_that_of_scipy(pair):
    warp = Warp((0.4, -0.3, 0.7))
    x, y = warp.apply(*pair, None, np.random.default_rng(0))
    center = np.full(3, 11.5)
    options = {"matrix": warp.matrix(), "offset": center - warp.matrix() @ center, "mode": "mirror"}
    expected = ndimage.affine_transform(pair[0][0].numpy(), order=1, **options)
    np.testing.assert_allclose(x[0], expected, atol=1e-4)
    for got, target in zip(y, pair[1], strict=True):
        assert (got.numpy() == ndimage.affine_transform(target.numpy(), order=0, **options)).mean() > 0.999


def test_a_rotation_about_z_keeps_planes_and_turns_within_them():
    matrix = Warp((np.pi / 2, 0, 0)).matrix()
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    for index in range(10):
        draw = make(rotation=30.0).draw(0, index)
        assert draw.warp.rotation[1:] == (0, 0) and abs(draw.warp.rotation[0]) <= np.radians(30)


@pytest.mark.parametrize("kind", ["rotation", "rotation_all_axes", "elastic"])
def test_with_its_margin_a_patch_holds_nothing_mirrored(kind):
    volume = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 60, 60, 60)).astype("f4"))

    def around(margin):
        return volume[(0, *(slice(22 - m, 38 + m) for m in margin))][None]

    for index in range(5):
        draw = make(**KINDS[kind]).draw(0, index)
        margin = draw.margin(16)
        tight, _ = draw.apply(around(margin), around(margin), 16)
        wide, _ = draw.apply(around([m + 3 for m in margin]), around([m + 3 for m in margin]), 16)
        assert tight.shape == (1, 16, 16, 16)
        torch.testing.assert_close(tight, wide, atol=1e-4, rtol=0)


def test_displacements_are_as_strong_as_asked_and_smooth():
    field = Warp(elastic=2.0, spacing=8)._displacement((57, 57, 57), np.random.default_rng(0))
    at_points = field[::7, ::7, ::7]
    assert at_points.std() == pytest.approx(2, rel=0.05) and field.abs().max() <= 5
    between = torch.lerp(field[:-7:7], field[7::7], 3 / 7)
    torch.testing.assert_close(field[3::7][:8], between, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["gaussian_noise", "colored_noise", "missing_wedge", "spectrum"])
def test_mean_and_standard_deviation_are_kept(kind, pair):
    x = 3 + 2 * pair[0]
    changed, _ = make(**KINDS[kind])(x, pair[1])
    assert changed.mean() == pytest.approx(x.mean().item(), abs=1e-4)
    assert changed.std() == pytest.approx(x.std().item(), rel=1e-4)


def test_white_noise_has_the_strength_asked_for():
    x = torch.zeros(1, 32, 32, 32)
    noise = density.add_noise(x, 0.7, np.random.default_rng(0))
    assert noise.std() == pytest.approx(0.7, rel=0.02) and abs(noise.mean()) < 0.02
    spectrum = torch.fft.rfftn(noise[0]).abs()
    assert spectrum[:4, :4, :4].mean() == pytest.approx(spectrum.mean().item(), rel=0.15)


def test_colored_noise_has_the_spectrum_of_the_patch(pair):
    x = pair[0] - pair[0].mean()
    noise = density.add_colored_noise(x, 1.0, np.random.default_rng(0)) - x
    near, far = np.s_[0, :3, :3, 1:3], np.s_[0, 8:16, 8:16, 8:]
    own, other = (torch.fft.rfftn(v, dim=(-3, -2, -1)).abs() for v in (x, noise))
    assert (own[near].mean() / own[far].mean()) == pytest.approx(
        (other[near].mean() / other[far].mean()).item(), rel=0.5
    )
    assert own[near].mean() > 50 * own[far].mean()
    assert noise.std() == pytest.approx(1, rel=1e-4)
    assert abs(torch.corrcoef(torch.stack([x.flatten(), noise.flatten()]))[0, 1]) < 0.2


def test_salt_and_pepper_sets_a_fraction_to_the_extremes():
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 32, 32, 32)).astype("f4"))
    changed = density.salt_and_pepper(x, 0.1, np.random.default_rng(0))
    low, high = (changed == x.min()).float().mean(), (changed == x.max()).float().mean()
    assert low == pytest.approx(0.05, abs=0.005) and high == pytest.approx(0.05, abs=0.005)
    assert (changed != x).float().mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("azimuth", "across"), [(0.0, 2), (np.pi / 2, 1)])
def test_a_wedge_is_empty_beyond_its_tilt_and_untouched_within(azimuth, across):
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 24, 20, 28)).astype("f4")) + 2
    before, after = (np.fft.fftn(v[0].numpy()) for v in (x, density.widen_wedge(x, 40.0, azimuth)))
    k = np.meshgrid(*(np.fft.fftfreq(n) for n in x.shape[1:]), indexing="ij")
    angle = np.degrees(np.arctan2(np.abs(k[0]), np.abs(k[across])))
    beyond = (angle > 40.1) & (np.abs(before) > 0)
    assert beyond.mean() > 0.4 and np.abs(after[beyond]).max() < 1e-3
    within = angle < 39.9
    np.testing.assert_allclose(after[within], before[within], atol=2e-2)
    assert after[0, 0, 0] == pytest.approx(before[0, 0, 0], rel=1e-5)


def test_a_spectrum_gain_is_radial_and_goes_through_its_knots():
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 16, 20, 24)).astype("f4"))
    knots = (0.3, -0.2, 0.5)
    before, after = (np.fft.fftn(v[0].numpy().astype("f8")) for v in (x, density.apply_spectrum(x, knots)))
    gain = after / before
    assert np.abs(gain.imag).max() < 1e-2
    assert gain[0, 0, 0].real == pytest.approx(np.exp(0.3), rel=1e-3)
    assert gain[8, 10, 12].real == pytest.approx(np.exp(0.5), rel=1e-3)  # the corner
    assert gain[4, 5, 6].real == pytest.approx(np.exp(-0.2), rel=1e-3)  # half way
    # 5 / 20 along y is 6 / 24 along x and 4 / 16 along z.
    assert gain[4, 0, 0].real == pytest.approx(gain[0, 5, 0].real, rel=1e-3)
    assert gain[4, 0, 0].real == pytest.approx(gain[0, 0, 6].real, rel=1e-3)


def test_switching_one_on_does_not_change_the_others():
    one, two = make(rotation=90.0).draw(1, 2), make(rotation=90.0, gaussian_noise=1.0, flips=True).draw(1, 2)
    assert one.warp == two.warp and two.gaussian > 0


def test_augmentations_come_as_often_as_asked():
    draws = [make(probability=0.3, gaussian_noise=1.0, rotation=9.0).draw(0, i) for i in range(500)]
    for share in (np.mean([d.gaussian > 0 for d in draws]), np.mean([d.warp is not None for d in draws])):
        assert share == pytest.approx(0.3, abs=0.07)
    strengths = [d.gaussian for d in draws if d.gaussian]
    assert max(strengths) > 0.9 and min(strengths) < 0.1


@pytest.mark.parametrize("wrong", [{"probability": 1.5}, {"rotation": -3}, {"missing_wedge": 70}])
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        AugmentationSettings(**wrong)


def test_doing_nothing_is_known():
    assert AugmentationSettings(**NONE).does_nothing
    for kind in KINDS.values():
        assert not AugmentationSettings(**{**NONE, **kind}).does_nothing

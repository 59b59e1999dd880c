"""The loop: it learns, repeats, resumes, stops, and says what went wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from deepict_dask.errors import InputError, OutputExistsError, WorkError
from deepict_dask.networks.training.losses import LOSSES, loss_sums
from deepict_dask.networks.training.recipe import Epoch, Resume
from deepict_dask.networks.training.trainer import Patches, Watcher, fit
from deepict_dask.networks.unet3d import UNet3D
from tests.networks.training.toy import QUICK, Blobs, FailsElsewhere, FilledOrder, Net2D


def net(seed=0, dropout=0.1, **options):
    torch.manual_seed(seed)
    more = {"depth": 1, "initial_features": 2, "encoder_dropout": dropout, "decoder_dropout": dropout}
    return UNet3D(**more | options)


def patches(**options):
    return Patches(**{"training": Blobs(6, noise=0.1), "validation": Blobs(3, seed=1)} | options)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def course(fitted):
    """What an epoch gave, without what a clock gave."""
    return [(e.epoch, e.loss, e.validation_loss, e.dice, e.learning_rate, e.is_best) for e in fitted.history]


class Interrupted(Exception):
    pass


def interrupt_after(epoch):
    def on_epoch(done, state):
        if done.epoch > epoch:
            raise Interrupted

    return Watcher(on_epoch=on_epoch)


def test_it_learns():
    result = fit(net(dropout=0), patches(), replace(QUICK, epochs=25, learning_rate=0.05))
    first, last = result.history[0], result.history[-1]
    assert last.loss < 0.6 * first.loss and result.best.dice[0] > 0.8
    assert result.best.validation_loss == min(e.validation_loss for e in result.history)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    a, b = (fit(net(), patches(), QUICK) for _ in range(2))
    assert same(a.state, b.state) and course(a) == course(b)
    assert not same(a.state, fit(net(), patches(), replace(QUICK, seed=1)).state)


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path, after):
    # A plateau patience of 0 so that the learning rate changes on the way.
    recipe = replace(QUICK, epochs=5, plateau_patience=0, learning_rate=3.0)
    whole = fit(net(), patches(), recipe)
    assert len({e.learning_rate for e in whole.history}) > 1, "the schedule must have something to lose"
    place = Resume(tmp_path / "last.pt", "key")
    with pytest.raises(Interrupted):
        fit(net(), patches(), recipe, resume=place, watcher=interrupt_after(after))
    heard = []
    # Other weights to begin with: everything must come from the file.
    resumed = fit(net(seed=9), patches(), recipe, resume=place, watcher=Watcher(on_resume=heard.extend))
    assert [e.epoch for e in heard] == list(range(1, after + 1))
    assert same(resumed.state, whole.state) and course(resumed) == course(whole)


def test_more_epochs_go_on_where_fewer_ended(tmp_path):
    place = Resume(tmp_path / "last.pt", "key")
    fit(net(), patches(), replace(QUICK, epochs=2), resume=place)
    longer = fit(net(), patches(), QUICK, resume=place)
    assert course(longer) == course(fit(net(), patches(), QUICK))


def test_the_best_weights_are_those_of_the_best_epoch():
    kept = {}

    def on_epoch(epoch, state):
        kept[epoch.epoch] = {k: v.clone() for k, v in state.items()}

    result = fit(
        net(), patches(), replace(QUICK, learning_rate=0.3, epochs=6), watcher=Watcher(on_epoch=on_epoch)
    )
    best = min(result.history, key=lambda e: e.validation_loss)
    assert result.best == best and same(result.state, kept[best.epoch])
    assert [e.is_best for e in result.history] == [
        e.validation_loss < min([f.validation_loss for f in result.history[:k]], default=math.inf)
        for k, e in enumerate(result.history)
    ]


def test_validation_loss_and_dice_are_those_of_all_patches_at_once():
    network, data = net(), patches(training=Blobs(6))
    result = fit(network, data, replace(QUICK, epochs=1, loss="dice_bce"))
    network.load_state_dict(result.state)
    with torch.no_grad():
        logits = network.eval()(data.validation.x)
    expected = LOSSES["dice_bce"](loss_sums(logits.double(), data.validation.y)).item()
    assert result.history[0].validation_loss == pytest.approx(expected, rel=1e-5)
    p, t = logits.numpy() > 0, data.validation.y.numpy() > 0
    assert result.history[0].dice[0] == pytest.approx(2 * (p & t).sum() / (p.sum() + t.sum()))


def test_the_first_step_is_that_of_adam_by_hand():
    data = patches(training=Blobs(2))
    network = net(dropout=0)
    by_hand = net(dropout=0)
    fit(network, data, replace(QUICK, epochs=1))
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=QUICK.learning_rate)
    LOSSES["dice"](loss_sums(by_hand(data.training.x), data.training.y)).backward()
    optimizer.step()
    for ours, theirs in zip(network.parameters(), by_hand.parameters(), strict=True):
        # Adam's first step has the size of the learning rate whatever the gradient, where it is not next to nothing.
        assert torch.isclose(ours, theirs, atol=1e-3).float().mean() > 0.95


def test_early_stopping_and_the_plateau_count_epochs_without_improvement():
    # A learning rate of almost nothing, and a score that counts voxels: the first epoch stays the best.
    recipe = replace(
        QUICK, learning_rate=1e-7, monitor="dice", epochs=30, stop_patience=4, plateau_patience=1
    )
    constant = net(dropout=0, batch_norm=False)
    result = fit(constant, patches(training=Blobs(6)), recipe)
    assert len(result.history) == 5 and result.best.epoch == 1 and "early stopping" in result.ended_by
    assert result.history[-1].learning_rate < recipe.learning_rate


def test_an_early_stop_is_final(tmp_path):
    place = Resume(tmp_path / "last.pt", "key")
    recipe = replace(QUICK, learning_rate=1e-7, monitor="dice", epochs=30, stop_patience=2)
    first = fit(net(dropout=0, batch_norm=False), patches(training=Blobs(6)), recipe, resume=place)
    again = fit(net(batch_norm=False), patches(training=Blobs(6)), replace(recipe, epochs=90), resume=place)
    assert len(again.history) == len(first.history) and again.ended_by == first.ended_by


def test_time_ends_training_between_epochs():
    result = fit(net(), patches(), replace(QUICK, epochs=1000, max_minutes=1e-6))
    assert len(result.history) == 1 and "minutes" in result.ended_by


def test_two_spatial_axes_train_in_the_same_loop(tmp_path):
    data = patches(training=Blobs(6, dims=2, edge=16), validation=Blobs(2, seed=1, dims=2, edge=16))
    torch.manual_seed(0)
    result = fit(Net2D(), data, replace(QUICK, epochs=20))
    assert result.best.dice[0] > 0.8


def test_several_classes_have_their_own_scores():
    data = patches(training=Blobs(4, classes=2), validation=Blobs(2, seed=1, classes=2))
    data.validation.y[:, 1] = 0
    network = net(out_classes=2)
    with torch.no_grad():
        network.out_conv.weight[1] = 0
        network.out_conv.bias[1] = -100
    (epoch,) = fit(network, data, replace(QUICK, epochs=1)).history
    assert 0 <= epoch.dice[0] <= 1 and math.isnan(epoch.dice[1])
    assert epoch.mean_dice == epoch.dice[0]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_too(precision):
    # On a CPU, where torch has the same switches as on a GPU.
    recipe = replace(QUICK, precision=precision, epochs=25, learning_rate=0.05)
    assert fit(net(dropout=0), patches(), recipe).best.dice[0] > 0.8


def test_loader_processes_change_nothing():
    # They import this package anew, which takes seconds.
    data, recipe = patches(training=Blobs(4, noise=0.3)), replace(QUICK, epochs=2)
    a = fit(net(), data, recipe)
    b = fit(net(), data, replace(recipe, loader_workers=1))
    assert same(a.state, b.state) and course(a) == course(b)


@pytest.mark.filterwarnings("ignore:Grad strides")
@pytest.mark.parametrize("loss", ["dice", "generalized_dice_bce"])
def test_two_processes_train_like_one(loss):
    data = patches(training=Blobs(5, classes=2), validation=Blobs(3, seed=1, classes=2))
    recipe = replace(QUICK, batch_size=4, epochs=2, loss=loss)
    plain = {"dropout": 0, "batch_norm": False, "out_classes": 2}
    # Five patches: the last batch of two processes is filled up, so one process must see the same.
    order = FilledOrder(5)
    alone = fit(net(**plain), replace(data, order=order), recipe)
    together = fit(net(**plain), replace(data, order=order), replace(recipe, n_processes=2))
    for key, value in alone.state.items():
        torch.testing.assert_close(together.state[key], value, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        [e.validation_loss for e in together.history], [e.validation_loss for e in alone.history], rtol=1e-3
    )
    np.testing.assert_allclose([e.loss for e in together.history], [e.loss for e in alone.history], rtol=1e-3)


def test_a_failure_in_one_of_two_processes_ends_both_with_a_sentence():
    data = patches(training=Blobs(4, spoiled=(1,)))
    with pytest.raises(WorkError, match="loss became nan in epoch 1, step"):
        fit(net(), data, replace(QUICK, n_processes=2))
    with pytest.raises(WorkError, match="one of the training processes failed.*fails in the other"):
        fit(net(), patches(training=FailsElsewhere(4)), replace(QUICK, n_processes=2))


def test_what_a_watcher_raises_ends_two_processes():
    with pytest.raises(Interrupted):
        fit(net(), patches(), replace(QUICK, n_processes=2), watcher=interrupt_after(0))


def test_a_loss_that_is_no_number_ends_training_with_a_way_out(tmp_path):
    place = Resume(tmp_path / "last.pt", "key")
    with pytest.raises(
        WorkError, match=r"loss became nan in epoch 1, step \d, at a learning rate of 0.02; lower"
    ):
        fit(net(), patches(training=Blobs(4, spoiled=(2,))), QUICK, resume=place)
    with pytest.raises(WorkError, match="validation loss became nan in epoch 1"):
        fit(net(), patches(validation=Blobs(4, spoiled=(2,))), QUICK, resume=place)
    assert not place.path.exists()


def test_a_state_of_other_settings_or_a_damaged_one_is_refused(tmp_path):
    place = Resume(tmp_path / "last.pt", "key")
    fit(net(), patches(), replace(QUICK, epochs=1), resume=place)
    with pytest.raises(OutputExistsError, match="another training, since settings or data have changed"):
        fit(net(), patches(), QUICK, resume=replace(place, key="another"))
    place.path.write_bytes(place.path.read_bytes()[:500])
    with pytest.raises(InputError, match="remove it to train from the beginning"):
        fit(net(), patches(), QUICK, resume=place)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs: 0"),
        ({"n_processes": 3}, "batch_size 2 cannot be shared equally by 3"),
        pytest.param(
            {"device": "cuda"},
            "no CUDA GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_what_cannot_work_is_said(change, said):
    with pytest.raises(InputError, match=said):
        fit(net(), patches(), replace(QUICK, **change))
    with pytest.raises(InputError, match="no validation patches"):
        fit(net(), patches(validation=Blobs(0)), QUICK)


def test_training_leaves_torch_as_it_was():
    network, threads = net(), torch.get_num_threads()
    state = torch.get_rng_state()
    fit(network, patches(), replace(QUICK, epochs=1))
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads


def test_an_epoch_says_its_mean_dice():
    nan = float("nan")
    assert Epoch(1, 0, 0, (0.5, nan, 0.25), 0, 0, 0, True).mean_dice == 0.375
    assert Epoch(1, 0, 0, (nan,), 0, 0, 0, True).mean_dice == 0

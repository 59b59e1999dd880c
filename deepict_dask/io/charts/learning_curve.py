"""How a training went: a table of its epochs and a picture."""

from __future__ import annotations

from collections.abc import Sequence

from deepict_dask.io.charts.figure import COLORS, legend_below, new_figure, require_matplotlib, save_figure
from deepict_dask.io.location import Location
from deepict_dask.io.scores import Row, write_rows
from deepict_dask.networks.training.recipe import Epoch

_COLUMNS = ("epoch", "loss", "validation_loss", "learning_rate", "seconds", "patches_per_second", "is_best")


def write_history(path: Location, history: Sequence[Epoch], classes: Sequence[str]) -> Location:
    """Write a CSV with a row per epoch: losses, learning rate, time, and the Dice score of each class."""
    columns = (*_COLUMNS, *(f"dice_{name}" for name in classes))
    rows = []
    for epoch in history:
        row: Row = {name: getattr(epoch, name) for name in _COLUMNS}
        row["is_best"] = int(epoch.is_best)
        rows.append(row | {f"dice_{name}": d for name, d in zip(classes, epoch.dice, strict=True)})
    return write_rows(path, columns, rows)


def plot_learning_curve(
    path: Location, history: Sequence[Epoch], classes: Sequence[str], title: str = ""
) -> Location:
    """Draw losses, Dice scores and learning rate over the epochs as PNG.

    Parameters
    ----------
    path : Location
        Appears when it is whole.
    history : sequence of Epoch
        At least one.
    classes : sequence of str
        Names for the Dice scores.
    title : str
        Above.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.ticker import MaxNLocator

    epochs = [e.epoch for e in history]
    best = next(e.epoch for e in reversed(history) if e.is_best)
    figure = new_figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    # A single epoch would be an invisible line.
    mark = "o" if len(history) < 10 else None
    left.plot(epochs, [e.loss for e in history], color=COLORS[0], marker=mark, ms=3, label="training")
    left.plot(
        epochs, [e.validation_loss for e in history], color=COLORS[1], marker=mark, ms=3, label="validation"
    )
    left.set(xlabel="epoch", ylabel="loss")
    rate = left.twinx()
    rate.plot(
        epochs, [e.learning_rate for e in history], color="#999999", lw=1, ls=":", label="learning rate"
    )
    rate.set(ylabel="learning rate", yscale="log")
    for k, name in enumerate(classes):
        color = COLORS[k % len(COLORS)]
        right.plot(epochs, [e.dice[k] for e in history], color=color, marker=mark, ms=3, label=name)
    right.set(xlabel="epoch", ylabel="Dice score, validation", ylim=(0, 1))
    for axes in (left, right):
        axes.axvline(best, color="#bbbbbb", lw=1, zorder=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines["top"].set_visible(False)
    legend_below(left, rate, title=f"best: epoch {best}", ncols=3)
    legend_below(right, ncols=4)
    figure.suptitle(title, parse_math=False)
    return save_figure(figure, path, dpi=120)

"""Colors of classes, the same in pictures, viewers and the metadata of images; told apart with any color vision."""

from __future__ import annotations

from collections.abc import Sequence

# Okabe and Ito, without black and gray; the two that differ most from gray and each other first.
CLASS_COLORS = ("#E69F00", "#56B4E9", "#CC79A7", "#F0E442", "#009E73", "#D55E00", "#0072B2")
"""``#rrggbb``; from the eighth class on they come again."""


def class_colors(classes: Sequence[str]) -> dict[str, str]:
    """Give each class its color, in the order given; all that is drawn of a tomogram orders them by name.

    >>> class_colors(["fas", "ribosome"])["ribosome"]
    '#56B4E9'
    """
    return {name: CLASS_COLORS[i % len(CLASS_COLORS)] for i, name in enumerate(classes)}

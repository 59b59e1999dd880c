"""Charts say what numpy says."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from deepict_dask.campaign.report.svg import Dot, Part, Series, bar, bins, histograms, strips, ticks


@pytest.mark.parametrize("values", [[1.0], [3.0, 3.0], [0.1, 0.2, 0.35], [1e-6, 5e5], [-4.0, 7.0]])
def test_bins_hold_all_values(values):
    edges = bins(np.array(values))
    assert edges[0] <= min(values) and max(values) <= edges[-1]
    assert np.all(np.diff(edges) > 0) and len(edges) < 120


def test_ticks_are_round_and_within():
    for low, high in ((0, 1), (0.93, 0.99), (-3, 12), (1e5, 7e5)):
        at = ticks(low, high)
        assert 2 <= len(at) <= 8 and low <= at[0] and at[-1] <= high


def test_bars_of_a_histogram_say_numpys_counts_and_leave_out_what_is_unknown():
    values = np.array([*np.random.default_rng(0).normal(25, 3, 500), np.nan])
    drawing = histograms([Series("a <b>", "#E69F00", values)], "nm", "sizes")
    ElementTree.fromstring(drawing)
    counts = [int(n.replace(",", "")) for n in re.findall(r"nm: ([\d,]+)</title>", drawing)]
    expected, _ = np.histogram(values[:-1], bins(values))
    assert counts == [n for n in expected if n]
    assert f"median {np.median(values[:-1]):.3g} nm, n = 500" in drawing
    assert "a &lt;b&gt;" in drawing


def test_every_tomogram_is_a_dot_and_no_dot_lies_on_another():
    dots = [Dot(v, f"t{i}") for i, v in enumerate([5, 5, 5, 6, 0, 12.5])]
    drawing = strips([("fas", "#E69F00", dots)], "per µm³", "densities")
    ElementTree.fromstring(drawing)
    at = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawing)]
    assert len(at) == 6
    near = [np.hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(at) for b in at[:i]]
    assert min(near) > 7


def test_parts_of_a_bar_add_up():
    drawing = bar([Part("a", 1, "#000", "1 s"), Part("b", 3, "#111", "3 s")], "shares")
    widths = [float(w) + 1 for w in re.findall(r'width="([\d.]+)" height="22"', drawing)]
    assert widths[1] == pytest.approx(3 * widths[0])

"""The settings file of a run says what made each of its tomograms."""

from __future__ import annotations

from deepict_dask.config import Settings
from deepict_dask.io.location import Location
from deepict_dask.stages.run_folder import FILE, read_settings, write_effective, write_settings


def test_what_a_later_command_has_otherwise_by_class_is_what_is_read_back(tmp_path):
    run = Location.of(tmp_path / "run")
    first = Settings(pick={"threshold": {"fas": 0.3, "*": 0.6}, "min_size": 40})
    write_settings(run, first, ["a"])
    write_effective(run / "a", first)
    second = Settings(pick={"threshold": {"ribosome": 0.4}, "min_size": {"ribosome": 9}})
    write_settings(run, second, ["b"])
    both = read_settings(run / FILE)
    assert both.for_tomogram("a") == first and both.for_tomogram("b") == second
    assert both.pick == first.pick, "the run's defaults stay"

"""Options by class, as ``CLASS=VALUE``."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from deepict_dask.cli.by_class import read_by_class
from deepict_dask.cli.options import setting_options
from deepict_dask.config import Settings, load_settings, merge_given
from deepict_dask.errors import InputError


def test_plain_by_class_and_mixed():
    assert read_by_class([], "--x") is None
    assert read_by_class(["3"], "--x", int) == 3
    assert read_by_class(["fas=3"], "--x", int) == {"fas": 3}
    assert read_by_class(["3", "fas=4", "ribosome=5"], "--x", int) == {"*": 3, "fas": 4, "ribosome": 5}
    assert read_by_class(["*=3"], "--x", int) == 3
    assert read_by_class(["fas=a=b.mrc"], "--x") == {"fas": "a=b.mrc"}
    assert read_by_class(["./a=b.mrc"], "--x") == "./a=b.mrc", "a path, and no class"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["1", "2"], "twice for all classes"),
        (["fas=1", "fas=2"], "twice for class 'fas'"),
        (["fas="], "has no value"),
    ],
)
def test_what_is_given_twice_or_without_a_value_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        read_by_class(given, "--x")


def options_of(*arguments):
    """What a command is given of its options."""
    given = {}
    result = _invoke(given, arguments)
    assert result.exit_code == 0, result.output
    return given


def settings_of(*arguments):
    given = {}
    result = _invoke(given, arguments)
    return (load_settings(None, given), result.output) if result.exit_code == 0 else (None, result.output)


def _invoke(given, arguments):

    @click.command()
    @setting_options("ingest", "pick")
    def command(**options):
        given.update(options)

    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_options_of_all_kinds_reach_the_settings():
    settings, _ = settings_of(
        *("--threshold", "0.5", "--threshold", "fas=0.3", "--min-size", "9nm", "--min-size", "fas=40"),
        *("--connectivity", "fas=6", "--border", "fas=1,2,3", "--region", "fas={name}_cytosol.mrc"),
        *(
            "--classes",
            "ribosome, fas",
            "--formats",
            "star,csv",
            "--voxel-size",
            "13.48",
            "--max-size",
            "none",
        ),
        *("--use-origin", "--no-write-labels"),
    )
    pick = settings.pick
    fas, other = pick.of_class("fas"), pick.of_class("ribosome")
    assert (fas.threshold, fas.min_size, fas.connectivity, fas.border) == (0.3, 40, 6, (1, 2, 3))
    assert (other.threshold, other.min_size, other.connectivity, other.border) == (0.5, "9nm", 26, (0, 0, 0))
    assert (fas.region, other.region, other.max_size) == ("{name}_cytosol.mrc", None, None)
    assert pick.classes == ["ribosome", "fas"] and pick.formats == ["star", "csv"]
    assert settings.ingest.voxel_size == (13.48,) * 3 and settings.ingest.use_origin and not pick.write_labels


def test_none_takes_back_what_a_run_had_for_all_classes():
    base = Settings(pick={"threshold": 0.3, "region": "cytosol.mrc", "max_size": 9, "min_size": 5})
    given = options_of("--threshold", "none", "--region", "none", "--max-size", "none")
    pick = merge_given(base, None, given).pick
    assert (pick.threshold, pick.region, pick.max_size, pick.min_size) == (None, None, None, 5)
    assert pick.of_class("ribosome").threshold == 0.5 and pick.of_class("er", "unet2d").threshold == 0.75


def test_help_shows_what_may_be_written():
    _, shown = settings_of("--help")
    for written in (
        "[CLASS=]X",
        "[CLASS=]N or 90A",
        "[CLASS=]6|18|26",
        "[CLASS=]N or Z,Y,X",
        "A,B,..",
        "0.5|0.4",
    ):
        assert written in shown, shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--connectivity", "8"), "'8' is not one of '6', '18', '26'"),
        (("--threshold", "fas=much"), "'much' is not a valid float"),
    ],
)
def test_values_of_another_kind_are_refused(arguments, said):
    assert said in settings_of(*arguments)[1]

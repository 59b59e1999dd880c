"""What a terminal shows: names as they are, words and numbers in one piece."""

from __future__ import annotations

import pytest

from deepict_dask.cli.terminal import TerminalReporter, print_table

HEADER = ("tomogram", "status", "particles", "ingest (s)", "segment (s)", "pick (s)")


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("forced", [True, False])
def test_columns_never_break_inside_words_or_numbers(capsys, monkeypatch, columns, forced):
    monkeypatch.setenv("COLUMNS", str(columns))
    if forced:
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
    name = "TS_001_a_name_that_is_long_enough_to_need_more_than_a_line"
    print_table("Run", HEADER, [(name, "done", "1234567", "1000.1", "20000.2", "3.0")])
    shown = capsys.readouterr().out
    for word in (name, "1234567", "1000.1", "20000.2", "particles"):
        assert word in shown, shown


@pytest.mark.parametrize("name", ["TS[red]x", "a:bug:b", "[/x]", "[b]1"])
def test_names_are_shown_as_they_are(capsys, name):
    print_table(f"Run {name}", ("tomogram", name), [(name, "1")])
    shown = capsys.readouterr().out
    assert shown.count(name) == 3
    reporter = TerminalReporter()
    reporter.say(name)
    reporter.warn(f"{name} twice")
    with reporter.progress("segment", name, 1) as advance:
        advance(1)
    assert capsys.readouterr().err.count(name) == 3


def test_lines_say_which_of_how_many_tomograms(capsys):
    reporter = TerminalReporter()
    reporter.tomogram(12, 40, "cell")
    with reporter.progress("segment", "cell", 2) as advance:
        advance(2)
    assert "12/40 cell: segment done" in capsys.readouterr().err

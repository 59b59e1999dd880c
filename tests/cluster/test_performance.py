"""Dask's performance report: written on request, whole, over nothing else, at no cost to the work."""

from __future__ import annotations

import re

import pytest

from deepict_dask.cluster.performance import check_performance_report, performance_report
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location


def inc(x):
    return x + 1


def test_it_holds_what_was_done_and_loads_no_script(client, tmp_path):
    file = tmp_path / "new folder" / "dask.html"
    with performance_report(Location.of(file), pytest.fail):
        assert client.submit(inc, 1).result() == 2
    text = file.read_text()
    assert "Dask Performance Report" in text and "inc" in text
    assert not re.findall(r'<script[^>]*src=|<link[^>]*rel="stylesheet"', text)
    assert [p.name for p in file.parent.iterdir()] == ["dask.html"]
    check_performance_report(Location.of(file))  # one of Dask's may be replaced


def test_what_cannot_be_written_is_said_and_the_work_stands(client, tmp_path):
    said = []
    (tmp_path / "file").write_text("")
    with performance_report(Location.of(tmp_path / "file" / "dask.html"), said.append):
        assert client.submit(inc, 2).result() == 3
    assert len(said) == 1 and said[0].startswith("no performance report was written (")


def test_other_files_and_other_names_are_refused_before_anything_is_done(tmp_path):
    notes = Location.of(tmp_path / "notes.html")
    notes.write("<p>mine</p>")
    with pytest.raises(OutputExistsError, match="no performance report of Dask"):
        check_performance_report(notes)
    check_performance_report(notes, overwrite=True)
    with pytest.raises(InputError, match=r"end in \.html"):
        check_performance_report(Location.of(tmp_path / "dask.txt"))


def test_without_a_file_nothing_happens():
    with performance_report(None, pytest.fail):
        pass

"""Complete, incomplete, other settings, somebody else's."""

from __future__ import annotations

import json

import pytest

from deepict_dask.errors import OutputExistsError
from deepict_dask.stages.output import is_finished, write_json


def group(path, **attributes):
    path.mkdir()
    (path / "zarr.json").write_text(json.dumps({"attributes": {"deepict_dask": attributes}}))
    (path / "c").mkdir()
    return path


def test_nothing_there_means_work(tmp_path):
    assert not is_finished(tmp_path / "a.zarr", {"x": 1}, overwrite=False)


def test_a_complete_output_with_the_same_settings_is_kept(tmp_path):
    path = group(tmp_path / "a.zarr", complete=True, made_by={"x": [1, 2]})
    assert is_finished(path, {"x": (1, 2)}, overwrite=False)
    assert is_finished(path, {"x": (1, 2)}, overwrite=True)
    assert path.exists()


def test_an_incomplete_output_is_cleared_away(tmp_path):
    path = group(tmp_path / "a.zarr", made_by={"x": 1})
    assert not is_finished(path, {"x": 1}, overwrite=False)
    assert not path.exists()


def test_other_settings_are_refused_by_name_unless_overwritten(tmp_path):
    path = group(tmp_path / "a.zarr", complete=True, made_by={"settings": {"threshold": 0.5}})
    with pytest.raises(OutputExistsError, match=r"threshold 0\.5 and not 0\.3; use --overwrite"):
        is_finished(path, {"settings": {"threshold": 0.3}}, overwrite=False)
    assert path.exists()
    assert not is_finished(path, {"settings": {"threshold": 0.3}}, overwrite=True)
    assert not path.exists()


def test_what_is_not_ours_is_never_removed(tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.tex").write_text("x")
    plain = tmp_path / "particles.json"
    plain.write_text("{}")
    for path in (foreign, plain):
        with pytest.raises(OutputExistsError, match="not written by this program"):
            is_finished(path, {}, overwrite=True)
        assert path.exists()


def test_a_side_file_is_whole_or_absent(tmp_path):
    write_json(tmp_path / "new" / "p.json", {"made_by": {"x": 1}, "complete": True})
    assert is_finished(tmp_path / "new" / "p.json", {"x": 1}, overwrite=False)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["p.json"]

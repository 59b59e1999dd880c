"""A report's facts are those of the tables, by pandas and by hand, whatever state the folder is in."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from deepict_dask.campaign.report.gather import MASK, gather, plain_settings
from deepict_dask.config import load_settings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.stages.run_folder import write_settings
from tests.campaign.report.runs import VOLUME, many, plant, state, summarize


def test_counts_sizes_scores_and_densities_are_those_of_the_tables(tmp_path):
    run = many(tmp_path, [3, 8], with_image=True)
    facts = gather(run)
    tables = [pd.read_csv(tmp_path / f"TS_0{i}" / "particles.csv") for i in range(2)]
    assert facts.total("ribosome") == sum(map(len, tables)) == 11
    for t, table in zip(facts.tomograms, tables, strict=True):
        (found,) = t.found
        np.testing.assert_allclose(found.scores, table["score"])
        # 524 voxels of 10 nm are a sphere of 100 nm.
        np.testing.assert_allclose(found.diameters, 100, rtol=1e-3)
        assert t.density("ribosome") == pytest.approx(len(table) / VOLUME)
        assert (t.runtime, found.table) == ("openvino on cpu", f"{t.name}/particles.csv")


def test_density_is_that_of_the_region_and_unknown_where_its_size_is(tmp_path):
    run = many(tmp_path, [6], share=0.25)
    (tomogram,) = gather(run).tomograms
    assert tomogram.density("ribosome") == pytest.approx(6 / (VOLUME / 4))
    side = tmp_path / "TS_00" / "particles.json"
    content = json.loads(side.read_text())
    content["made_by"]["recorded"] = {}
    side.write_text(json.dumps(content))
    assert gather(run).tomograms[0].density("ribosome") is None


def test_a_folder_that_is_being_written_shows_complete_tomograms_only(tmp_path):
    run = many(tmp_path, [3])
    begun = run / "TS_01"
    begun.make_folder()
    (begun / "particles.json").write_json(
        {
            "complete": False,
            "tables": {"particles.csv": None},
            "made_by": {"stage": "pick", "inputs": {}, "settings": {}},
        }
    )
    (begun / "particles.csv").write("half of a ta")
    summarize(run, [state("TS_00"), state("TS_01", state="running"), state("TS_02", state="waiting")])
    facts = gather(run)
    assert [t.name for t in facts.complete] == ["TS_00"]
    assert [t.state.state for t in facts.tomograms] == ["done", "running", "waiting"]


def test_a_folder_without_summary_is_shown_too(tmp_path):
    run = many(tmp_path, [3, 4], with_image=True)
    (run / "summary.json").remove()
    facts = gather(run)
    assert not facts.has_summary
    assert [t.n for t in facts.tomograms] == [3, 4]
    assert facts.tomograms[0].volume == pytest.approx(VOLUME)
    assert facts.tomograms[0].state.contrast == pytest.approx(0.1)


@pytest.mark.parametrize(
    "path, value",
    [
        (("tomograms",), 5),
        (("tomograms", 0, "shape", 1), "x"),
        (("tomograms", 0, "seconds", "ingest"), []),
        (("tomograms", 0, "name"), {}),
        (("tomograms", 0, "state"), "lost"),
        (("now",), 1e400),
    ],
)
def test_a_summary_of_other_things_counts_as_none(tmp_path, path, value):
    run = many(tmp_path, [3, 4])
    content = json.loads((tmp_path / "summary.json").read_text())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / "summary.json").write_text(json.dumps(content))
    facts = gather(run)
    assert not facts.has_summary and facts.total("ribosome") == 7


def test_a_damaged_summary_counts_as_none_and_a_changed_table_is_said(tmp_path):
    run = many(tmp_path, [3, 4])
    (tmp_path / "summary.json").write_text('{"tomograms": 5')
    table = tmp_path / "TS_00" / "particles.csv"
    table.write_text(table.read_text().replace("ribosome", "cat"))
    first, second = gather(run).tomograms
    assert first.n == 3 and "is not the table that was written" in first.problems[0]
    assert second.problems == ()


def test_several_classes_are_told_apart_and_sorted_as_pictures_are(tmp_path):
    run = Location.of(tmp_path)
    plant(run, "TS_00", {"ribosome": 5, "fas": 2})
    summarize(run, [state("TS_00")])
    facts = gather(run)
    assert facts.classes == ("fas", "ribosome") and facts.total("fas") == 2


def test_nothing_of_a_run_is_a_mistake(tmp_path):
    with pytest.raises(InputError, match="holds nothing of a run"):
        gather(Location.of(tmp_path))
    with pytest.raises(InputError, match="there is no run folder"):
        gather(Location.of(tmp_path / "missing"))


def test_settings_say_what_differs_and_hide_what_is_secret(tmp_path):
    run = many(tmp_path, [3, 4])
    settings = load_settings(None, {"threshold": 0.3, "scheduler": "tls://me:hunter2@host:8786"})
    tree = settings.model_dump(mode="json")
    tree["tomograms"] = {"TS_01": {"pick": {"min_size": 70}}}
    settings = type(settings).model_validate(tree)
    write_settings(run, settings, ["TS_00", "TS_01"])
    facts = gather(run)
    changed = {f"{s.section}.{s.name}": s.value for s in facts.settings if not s.is_default}
    assert changed == {"pick.threshold": "0.3", "cluster.scheduler": f"tls://{MASK}@host:8786"}
    assert [t.differs for t in facts.tomograms] == [{}, {"pick.min_size": "70"}]
    assert not any("hunter2" in s.value for s in plain_settings(settings))


def test_versions_are_those_of_the_run_and_of_each_table(tmp_path):
    run = many(tmp_path, [3])
    summarize(run, [state("TS_00")], version="0.0.9", versions={"Python": "3.11.1", "numpy": "2.0.0"})
    versions = gather(run).versions
    assert (versions["Python"], versions["numpy"]) == ("3.11.1", "2.0.0")
    assert versions["deepict_dask (last command)"] == "0.0.9"
    assert versions["deepict_dask (tables)"] == versions["deepict_dask (report)"]

"""What a scheduler keeps of runs is bounded, and looked into only when somebody looks."""

from __future__ import annotations

import tracemalloc

import pytest

from deepict_dask.campaign.dashboard import frames
from deepict_dask.campaign.dashboard.seen import MOST_RUNS, Picture, SeenRun, keep, pack, unpack
from deepict_dask.campaign.summary import Summary, TomogramState

STATES = (
    TomogramState(
        "TS_01",
        "done",
        particles={"fas": 2, "ribosome": 30},
        seconds={"ingest": 1.0, "segment": 9.5},
        ended=5.0,
    ),
    TomogramState("TS_02", "failed", reason="cut <off>", seconds={"ingest": 2.0}),
    TomogramState("TS_03", "running", "segment", 8, 3),
    TomogramState("TS_04"),
    TomogramState("TS_05", "done", particles={"fas": 1}, ended=9.0),
)
SUMMARY = Summary("/data/<run>", "deepict-dask run", STATES, began=100.0, now=160.0)


def test_a_snapshot_comes_back_as_it_was():
    assert unpack(pack(SUMMARY)) == SUMMARY


def test_memory_does_not_grow_with_the_night():
    run, packed = SeenRun("/run"), pack(SUMMARY)
    for second in range(700):
        run.take(packed, float(second), 5 * second, Picture("TS_01", bytes(1000)))
    tracemalloc.start()
    for second in range(700, 3000):
        run.take(bytes(packed), float(second), 5 * second, Picture("TS_01", bytes(1000)))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200_000
    times, rates = run.rates()
    assert len(times) < 601 and rates == pytest.approx([5.0] * len(rates))


def test_runs_are_few_and_the_one_unheard_of_longest_is_forgotten():
    runs: dict[str, SeenRun] = {}
    for n in range(MOST_RUNS + 3):
        keep(runs, f"/run{n}")
        keep(runs, "/run0")
    assert len(runs) == MOST_RUNS and "/run0" in runs and "/run1" not in runs
    assert list(runs)[-1] == "/run0"


def test_another_command_in_the_folder_begins_at_0():
    run = SeenRun("/run")
    for now, n in ((0.0, 0), (10.0, 50), (20.0, 0), (30.0, 10)):
        run.take(b"", now, n, None)
    assert run.rates() == ([30.0], [1.0])


def test_the_page_shows_the_summary():
    bars = frames.state_bars(SUMMARY)
    assert dict(zip(bars["label"], bars["value"], strict=True)) == {
        "waiting": 1,
        "running": 1,
        "done": 2,
        "failed": 1,
    }
    stages = frames.stage_bars(SUMMARY)
    assert dict(zip(stages["label"], stages["value"], strict=True)) == {"ingest": 3.0, "segment": 9.5}
    table = frames.table(SUMMARY)
    assert table["name"] == ["TS_03", "TS_02", "TS_05", "TS_01", "TS_04"]
    assert table["blocks"][0] == "3 of 8" and table["particles"][3] == "2 fas, 30 ribosome"
    assert "cut &lt;off&gt;" in frames.failures(SUMMARY) and "<off>" not in frames.failures(SUMMARY)
    head = frames.head(SUMMARY, 2.0)
    assert "&lt;run&gt;" in head and "<run>" not in head and "1 failed" in head

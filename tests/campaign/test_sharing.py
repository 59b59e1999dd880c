"""Several processes in one run folder: tables of one, nothing computed twice, dead ones' work taken over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.config import load_settings, merge_given
from deepict_dask.errors import ClaimedError, InputError, WorkersDiedError
from deepict_dask.io.claim import NAME, claimed, shared_claim, turn
from deepict_dask.io.location import Location
from tests.campaign.conftest import OPTIONS, N, tables

# Writes which tomogram it computes, and waits on request in the middle of one, to be killed there.
_PROCESS = """
import sys, time
from deepict_dask.campaign import run as module
from deepict_dask.campaign.plan import plan_run
from deepict_dask.config import load_settings
from deepict_dask.io.location import Location

tomograms, output, network, diary, stop_at = sys.argv[1:6]
real = module.run_node

def noting(node, made, work):
    before = set(work.kept)
    result = real(node, made, work)
    name = node.output.parent.name if node.stage != "pick" else node.output.name
    if work.kept == before:
        open(diary, "a").write(f"{name} {node.stage}\\n")
    if node.stage == "segment" and name == stop_at:
        open(diary, "a").write("waiting\\n")
        time.sleep(600)
    time.sleep(0.05)
    return result

module.run_node = noting
settings = load_settings(None, {"min_size": 5, "threshold": 0.4, "block": 32, "model": network})
outcomes = module.run(plan_run([tomograms], Location.of(output), settings), threads=1, share=True)
assert all(o.error is None for o in outcomes), outcomes
print(sorted((o.name, o.state) for o in outcomes))
"""


def begin(cells, output, network, diary, stop_at="-"):
    command = [sys.executable, "-c", _PROCESS, str(cells), str(output), str(network), str(diary), stop_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def lines(*diaries):
    return [line for d in diaries if d.exists() for line in d.read_text().splitlines()]


def test_two_processes_make_the_tables_of_one(cells, network, tmp_path, alone):
    diaries = [tmp_path / "a", tmp_path / "b"]
    processes = [begin(cells, tmp_path / "out", network, d) for d in diaries]
    outputs = [p.communicate(timeout=240)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    assert tables(tmp_path / "out") == tables(alone)
    computed = lines(*diaries)
    assert len(computed) == len(set(computed)) == 3 * N  # nothing twice
    assert all(lines(d) for d in diaries)  # and both had a part in it
    assert not list((tmp_path / "out").glob(".deepict*"))


def test_what_a_killed_process_had_is_taken_over(cells, network, tmp_path, alone):
    diaries = [tmp_path / "a", tmp_path / "b"]
    first = begin(cells, tmp_path / "out", network, diaries[0], stop_at="TS_00")
    while "waiting" not in lines(diaries[0]):
        assert first.poll() is None
        time.sleep(0.1)
    second = begin(cells, tmp_path / "out", network, diaries[1])
    while len(lines(diaries[1])) < 3 * (N - 1):
        assert second.poll() is None
        time.sleep(0.1)
    time.sleep(1.5)
    assert second.poll() is None  # it waits for the tomogram that the first one has
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert second.wait(timeout=120) == 0
    assert tables(tmp_path / "out") == tables(alone)
    # What the first had finished of it is kept.
    assert [line for line in lines(diaries[1]) if line.startswith("TS_00")] == ["TS_00 pick"]


def test_other_settings_are_refused_with_what_differs(cells, network, tmp_path):
    options = {**OPTIONS, "model": str(network)}
    plan = plan_run([str(cells / "TS_00.mrc")], Location.of(tmp_path), load_settings(None, options))
    run(plan, threads=1, share=True)
    options["block"] = 40
    plan = plan_run([str(cells / "TS_01.mrc")], Location.of(tmp_path), load_settings(None, options))
    with pytest.raises(InputError, match=r"segment.block 32 where 40"):
        run(plan, threads=1, share=True)
    options["block"] = 32
    plan = plan_run(
        [str(cells / "TS_01.mrc")], Location.of(tmp_path), load_settings(None, options), overwrite=True
    )
    with pytest.raises(InputError, match="--overwrite"):
        run(plan, threads=1, share=True)


def test_a_command_that_does_not_share_is_alone(folder):
    with (
        shared_claim(folder, "a"),
        shared_claim(folder, "b"),
        pytest.raises(ClaimedError),
        claimed(folder, "c"),
    ):
        pass
    with claimed(folder, "c"), pytest.raises(ClaimedError), shared_claim(folder, "a"):
        pass
    with claimed(folder, "d") as claim:  # nothing is left of the others
        assert [f.name for f in folder.children()] == [NAME] and claim.began > 0


def test_turns_are_waited_for(folder):
    import threading

    order = []

    def take(name):
        with turn(folder, "tables", name):
            order.append(name)
            time.sleep(0.2)
            order.append(name)

    threads = [threading.Thread(target=take, args=(n,)) for n in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order[0] == order[1] and order[2] == order[3]


def test_what_one_set_aside_is_set_aside_for_those_at_work_then(cells, network, tmp_path, monkeypatch):
    from deepict_dask.campaign import run as module
    from deepict_dask.campaign.sharing import Sharing

    output = Location.of(tmp_path / "out")
    settings = load_settings(None, {**OPTIONS, "model": str(network)})
    plan = plan_run([str(cells / "TS_00.mrc"), str(cells / "TS_01.mrc")], output, settings)
    real = module.run_node

    def other_fails(node, made, work):
        # Another process comes to TS_01 while this one has TS_00.
        if node.stage == "segment" and node.output.parent.name == "TS_00":
            with shared_claim(output, "other") as claim:
                Sharing(output, "other", claim).set_aside("TS_01", "it is cut off")
        return real(node, made, work)

    monkeypatch.setattr(module, "run_node", other_fails)
    outcomes = run(plan, threads=1, share=True)
    assert outcomes[0].error is None and "it is cut off" in str(outcomes[1].error)
    monkeypatch.undo()
    outcomes = run(plan_run([str(cells)], output, settings), threads=1, share=True)
    assert all(o.error is None for o in outcomes)  # the next command tries it again


def test_a_tomogram_that_another_takes_before_it_is_tried_again_is_waited_for(
    cells, network, client, tmp_path, alone, monkeypatch
):
    """Its workers died here; meanwhile another process makes it."""
    from deepict_dask.campaign import run as module

    output = Location.of(tmp_path)
    settings = load_settings(None, {**OPTIONS, "model": str(network)})
    plan = plan_run([str(cells)], output, settings)
    real, tries = module.claimed, []

    @contextmanager
    def taken(folder, what):
        if folder.name == "TS_01":
            tries.append(folder)
            if len(tries) == 1:
                raise WorkersDiedError("the workers that computed block (0, 0, 0) died 4 times")
            if len(tries) == 2:
                raise ClaimedError("it is being written by another process")
        with real(folder, what) as claim:
            yield claim

    monkeypatch.setattr(module, "claimed", taken)
    outcomes = run(plan, threads=1, share=True)
    assert len(tries) == 3 and all(o.error is None for o in outcomes) and len(outcomes) == N
    assert tables(tmp_path) == tables(alone)


def test_tomograms_of_other_processes_may_have_settings_of_their_own(cells, network, tmp_path):
    output = Location.of(tmp_path)
    for name, threshold in (("TS_00", 0.45), ("TS_01", 0.5)):
        options = {**OPTIONS, "model": str(network)}
        config = {"tomograms": {name: {"pick": {"threshold": threshold}}}}
        settings = merge_given(load_settings(None, options), config)
        run(plan_run([str(cells / f"{name}.mrc")], output, settings), threads=1, share=True)
    of_run = load_settings(tmp_path / "settings.yaml")
    assert {n: t.pick.threshold for n, t in of_run.tomograms.items()} == {"TS_00": 0.45, "TS_01": 0.5}
    settings = merge_given(
        load_settings(None, options), {"tomograms": {"TS_00": {"pick": {"threshold": 0.3}}}}
    )
    plan = plan_run([str(cells / "TS_02.mrc"), str(cells / "TS_03.mrc")], output, settings)
    run(plan, threads=1, share=True)  # it has nothing to do with TS_00
    with pytest.raises(InputError, match=r"pick.threshold"):
        run(replace(plan, tomograms=(_named(plan.tomograms[0], "TS_00"),)), threads=1, share=True)


def _named(planned, name):
    return replace(planned, plan=replace(planned.plan, name=name))

"""Claims: one writer at a time; real processes that live, are killed, and take over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from deepict_dask.errors import ClaimedError, WorkError
from deepict_dask.io import claim as module
from deepict_dask.io.claim import NAME, Owner, claimed
from deepict_dask.io.location import Location

HOLD = (
    "import sys, time\nfrom deepict_dask.io.claim import claimed\nfrom deepict_dask.io.location import Location\n"
    "with claimed(Location.of(sys.argv[1]), 'hold'):\n    print('held', flush=True)\n    time.sleep(60)\n"
)


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_meets_a_sentence(tmp_path, holder):
    sentence = f"is being written by `hold` .process {holder.pid} on .*; wait"
    with pytest.raises(ClaimedError, match=sentence), claimed(Location.of(tmp_path), "run"):
        pass
    assert (tmp_path / NAME).exists()


def test_a_stopped_process_is_not_dead(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(ClaimedError), claimed(Location.of(tmp_path), "run"):
        pass


def test_a_killed_process_is_followed_at_once(tmp_path, holder):
    holder.kill()
    holder.wait()
    (tmp_path / ".partial-x").write_text("left")
    with claimed(Location.of(tmp_path), "run") as claim:
        claim.check()
        assert os.listdir(tmp_path) == [NAME]
    assert os.listdir(tmp_path) == []


def test_a_process_number_used_again_does_not_hold(tmp_path):
    dead = replace(Owner.me("old"), pid=os.getpid(), started=1, token="x")
    (tmp_path / NAME).write_text(json.dumps(asdict(dead)))
    with claimed(Location.of(tmp_path), "run") as claim:
        claim.check()


def test_the_age_of_the_file_judges_other_machines(tmp_path, monkeypatch):
    other = replace(Owner.me("far"), host="far", boot="another", token="x")
    file = tmp_path / NAME
    file.write_text(json.dumps(asdict(other)))
    with pytest.raises(ClaimedError, match="on far.*heard of"), claimed(Location.of(tmp_path), "run"):
        pass
    old = time.time() - 2 * module.DEAD_AFTER_SECONDS
    os.utime(file, (old, old))
    with claimed(Location.of(tmp_path), "run"):
        pass


def test_a_damaged_claim_is_followed_when_it_is_old(tmp_path):
    file = tmp_path / NAME
    file.write_text("")
    with pytest.raises(ClaimedError, match="another process"), claimed(Location.of(tmp_path), "run"):
        pass
    os.utime(file, (1, 1))
    with claimed(Location.of(tmp_path), "run"):
        pass


def test_who_was_taken_for_dead_finishes_nothing(tmp_path):
    with claimed(Location.of(tmp_path), "first") as claim:
        (tmp_path / NAME).write_text(json.dumps(asdict(replace(claim.owner, token="other", what="second"))))
        with pytest.raises(WorkError, match="taken over by `second`"):
            claim.check()
    assert json.loads((tmp_path / NAME).read_text())["token"] == "other"


def test_the_heartbeat_touches(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    with claimed(Location.of(tmp_path), "run"):
        os.utime(tmp_path / NAME, (1, 1))
        time.sleep(0.5)
        assert (tmp_path / NAME).stat().st_mtime > 1e9


def test_of_many_at_once_one_wins(tmp_path):
    (tmp_path / NAME).write_text(json.dumps(asdict(replace(Owner.me("dead"), started=1, token="x"))))
    code = HOLD.replace("time.sleep(60)", "time.sleep(3)")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(6)
    ]
    outs = [p.communicate()[0] for p in processes]
    assert sum(out == "held\n" for out in outs) == 1
    assert os.listdir(tmp_path) == []


def test_half_written_files_of_others_stay(folder):
    (folder / "movie.mrc.partial").write("theirs")
    (folder / ".partial-0123456789ab").write("ours, of a process that was killed")
    with claimed(folder, "a"):
        pass
    names = {path.name for path in folder.local_path().iterdir()}
    assert names == {"movie.mrc.partial"}


def test_a_claim_is_never_empty(folder, monkeypatch):
    """Who looks at it at any moment reads its owner, or finds none."""
    import json
    import os

    seen = []
    real = os.link

    def looking(source, target):
        real(source, target)
        seen.append(json.loads(folder.local_path().joinpath(target).read_text())["what"])

    monkeypatch.setattr(os, "link", looking)
    with claimed(folder, "a"):
        assert seen == ["a"]


def test_claims_without_hard_links(folder, monkeypatch):
    import errno
    import os

    def none(source, target):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", none)
    with claimed(folder, "a"), pytest.raises(ClaimedError), claimed(folder, "b"):
        pass
    with claimed(folder, "c"):
        pass
    assert not list(folder.local_path().iterdir())

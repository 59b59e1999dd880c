"""Disks that take no more: real limits and a real small disk, for what the client writes and what workers write."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepict_dask.atomic import publish
from deepict_dask.disk import disk_errors, fault_of
from deepict_dask.errors import DiskError, InputError, WorkError
from deepict_dask.io.claim import NAME, claimed
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import create_image
from tests.conftest import write_mrc

ROOT = Path(__file__).parents[1]
CLI = "from deepict_dask.cli.main import main\nif __name__ == '__main__':\n    main()\n"


@contextlib.contextmanager
def files_of_at_most(n_bytes: int):
    """Have the system refuse larger files, as ``ulimit -f`` does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, ("no space is left on the disk", " free now)", "free some there")),
        (errno.EDQUOT, ("your quota on the disk", "have the quota raised")),
        (errno.EFBIG, ("no file of that size", "another disk")),
        (errno.EIO, ("failed (input/output error)", "looked at")),
    ],
)
def test_the_sentence_says_which_disk_and_what_to_do(tmp_path, number, words):
    with pytest.raises(DiskError) as caught, disk_errors(tmp_path / "out" / "0"):
        raise OSError(number, os.strerror(number))
    sentence = str(caught.value)
    mount = next(str(p) for p in (tmp_path, *tmp_path.parents) if os.path.ismount(p))
    assert all(word in sentence for word in (*words, f"the disk {mount} ", str(tmp_path / "out" / "0")))
    assert sentence.count("\n") == 0


def test_what_is_not_the_disks_is_passed_on(tmp_path):
    for error in (ValueError("os error"), PermissionError(errno.EACCES, "denied"), InputError("os error 28")):
        with pytest.raises(type(error)), disk_errors(tmp_path):
            raise error
    # As libraries in Rust, and errors that were wrapped on their way, say it.
    assert fault_of(RuntimeError("IO error: No space left on device (os error 28)")) == errno.ENOSPC
    assert fault_of(RuntimeError("failed: [Errno 122] Disk quota exceeded")) == errno.EDQUOT


def test_what_the_client_writes_is_whole_or_not_there(tmp_path):
    with files_of_at_most(1000), pytest.raises(DiskError, match=r"at most 1 kB here \(ulimit -f\)"):
        Location.of(tmp_path / "table.csv").write("x" * 5000)
    assert list(tmp_path.iterdir()) == []
    with files_of_at_most(1000), publish(tmp_path / "small") as path:
        path.write_text("x" * 900)
    assert (tmp_path / "small").stat().st_size == 900


def test_a_claim_that_cannot_be_written_is_not_left_behind(tmp_path):
    with files_of_at_most(10), pytest.raises(DiskError), claimed(Location.of(tmp_path), "deepict-dask run"):
        pass
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_what_workers_write_names_the_shard(tmp_path, version):
    image = create_image(
        tmp_path / "a.zarr", shape=(32, 32, 32), dtype="f4", voxel_size=(10.0,) * 3, name="a",
        core=(32, 32, 32), n_levels=1, version=version,
    )  # fmt: skip
    noise = np.random.default_rng(0).normal(size=(32, 32, 32)).astype("f4")
    with files_of_at_most(20_000), pytest.raises(DiskError, match=r"a\.zarr/0/(c/)?0/0/0; raise the limit"):
        image.writer.write((slice(0, 32),) * 3, noise)
    with files_of_at_most(50), pytest.raises(DiskError, match=r"b\.zarr"):
        create_image(
            tmp_path / "b.zarr", shape=(32, 32, 32), dtype="f4", voxel_size=(10.0,) * 3, name="b",
            core=(32, 32, 32), n_levels=1, version=version,
        )  # fmt: skip


def test_a_checkpoint_that_does_not_fit_is_the_disks_fault(tmp_path, network):
    from deepict_dask.networks.checkpoint import load_checkpoint, save_checkpoint

    loaded = load_checkpoint(network)
    with files_of_at_most(500), pytest.raises(DiskError, match="ulimit"):
        save_checkpoint(tmp_path / "copy.safetensors", loaded.state, loaded.card)


def run(folder: Path, *command: str, within: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in a shell that was limited before."""
    (folder / "cli.py").write_text(CLI)
    words = " ".join(f"'{word}'" for word in (sys.executable, str(folder / "cli.py"), *command))
    return subprocess.run(
        ["bash", "-c", f"{within}{words}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=180,
    )  # fmt: skip


@pytest.fixture
def cells(tmp_path, volume):
    """Two tomograms, of which the first is no smaller than the other."""
    return [str(write_mrc(tmp_path / f"{name}.mrc", volume)) for name in ("a", "b")]


def test_a_limit_of_workers_is_no_tomograms_fault_and_the_same_command_goes_on(tmp_path, network, cells):
    command = ["run", *cells, "--model", str(network), "--output", str(tmp_path / "out"), "--workers", "1"]
    stopped = run(tmp_path, *command, within="ulimit -f 100; ")
    assert stopped.returncode == 1
    (error,) = [line for line in stopped.stderr.splitlines() if "error" in line]
    assert error.startswith("error: a file may have at most 102 kB here (ulimit -f) while writing ")
    # Both are in flight.
    assert any(str(tmp_path / "out" / name / "tomogram.zarr") in error for name in "ab")
    assert not list((tmp_path / "out").rglob("particles.csv"))
    done = run(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / "out" / name / "particles.csv").is_file() for name in "ab")


def test_a_full_disk_is_named_and_the_same_command_goes_on_with_room(tmp_path, network, cells):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["run", *cells, "--model", str(network), "--output", str(disk / "out"), "--workers", "1"]
    words = " ".join(f"'{word}'" for word in (sys.executable, str(tmp_path / "cli.py"), *command))
    (tmp_path / "cli.py").write_text(CLI)
    script = f"""
        mount --make-rprivate / && mount -t tmpfs -o size=600k tmpfs '{disk}' || exit 77
        {words}; echo code $? >&2
        mount -o remount,size=100m '{disk}'
        {words}; echo code $? >&2
        find '{disk}' -name '*.csv' -path '*/[ab]/*'; find '{disk}' -name '*.partial*'
    """
    try:
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", script],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("there is no program `unshare` here, so no small disk can be mounted")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no disk can be mounted here ({done.stderr.strip()[:100]})")
    full, _, rest = done.stderr.partition("code 1\n")
    assert f"error: no space is left on the disk {disk} (" in full and full.count("error:") == 1, done.stderr
    assert rest.endswith("code 0\n")
    assert sorted(
        Path(line).parent.name for line in done.stdout.splitlines() if line.endswith("particles.csv")
    ) == ["a", "b"]
    assert ".partial" not in done.stdout


def test_faults_of_the_disk_are_of_the_family():
    assert issubclass(DiskError, WorkError) and issubclass(DiskError, OSError)

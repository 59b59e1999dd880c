"""The command line as a user meets it: words, tables, exit codes, one-sentence errors."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from deepict_dask.cli.main import cli, main
from deepict_dask.config import Settings
from deepict_dask.config.section import keys_of, section_of
from tests.conftest import write_mrc

CLUSTER = ["--workers", "1", "--threads", "1", "--memory-limit", "1GB", "--dashboard-port", "0"]


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_every_setting_is_an_option_of_run_by_the_same_name():
    options = {p.name for p in cli.commands["run"].params}
    for field in Settings.model_fields.values():
        assert (section := section_of(field)) is None or set(keys_of(section)) <= options


def test_run_then_pick_again_then_info(capsys, mrc, network, tmp_path):
    out = tmp_path / "out"
    code, shown, said = call(
        capsys, "run", mrc, "--model", network, "-o", out, "--threshold", 0.4, "--min-size", 20, *CLUSTER
    )
    assert code == 0, said
    table = pd.read_csv(out / "cell" / "particles.csv")
    assert str(len(table)) in shown and "done" in shown and "dashboard http" in said
    code, shown, said = call(
        capsys, "pick", out, "--threshold", 0.5, "--min-size", 20, "--formats", "csv,star", *CLUSTER
    )
    assert code == 2 and "threshold 0.4 and not 0.5" in said and "--overwrite" in said
    assert "dashboard" not in said  # what is refused needs no workers, and neither does what is kept
    code, shown, said = call(capsys, "pick", out, *CLUSTER)
    assert code == 0 and "kept" in shown and "no workers are started" in said and "dashboard" not in said
    code, shown, said = call(
        capsys,
        "pick",
        out,
        "--threshold",
        0.5,
        "--min-size",
        20,
        "--formats",
        "csv,star",
        "--overwrite",
        *CLUSTER,
    )
    assert code == 0 and (out / "cell" / "particles.star").exists()
    again = pd.read_csv(out / "cell" / "particles.csv")
    assert len(again) != len(table) and str(len(again)) in shown
    for path, expected in {
        mrc: "13.48",
        out: "picks",
        out / "cell" / "tomogram.zarr": "complete",
        network: "depth 1",
        out / "cell" / "particles.csv": str(len(again)),
    }.items():
        code, shown, _ = call(capsys, "info", path)
        assert code == 0 and expected in shown


def test_info_of_a_map_of_several_classes_and_of_labels(capsys, mrc, tmp_path):
    from deepict_dask.data import demo_network_path

    code, _, said = call(
        capsys, "-q", "run", mrc, "--model", demo_network_path(), "-o", tmp_path, "--write-labels",
        "--dtype", "float16", "--zarr-version", "0.4", *CLUSTER,
    )  # fmt: skip
    assert code == 0, said
    code, shown, _ = call(capsys, "info", tmp_path / "cell" / "probability.zarr")
    assert code == 0 and "ribosome, fas" in shown and "37 x 83 x 101" in shown and "float16" in shown
    code, shown, _ = call(capsys, "info", tmp_path / "cell" / "particles_fas_labels.zarr")
    assert code == 0 and "label image of cell, OME-Zarr 0.4" in shown


def test_spectrum_is_a_target_for_equalize(capsys, mrc, tmp_path):
    for convention in ("physical", "deepict"):
        tsv = tmp_path / f"{convention}.tsv"
        code, _, said = call(capsys, "spectrum", mrc, "-o", tsv, "--convention", convention, *CLUSTER)
        assert code == 0, said
        code, _, said = call(
            capsys, "equalize", mrc, "--target-spectrum", tsv, "--convention", convention, "-o",
            tmp_path / convention, *CLUSTER,
        )  # fmt: skip
        assert code == 0 and (tmp_path / convention / "cell" / "equalized.zarr").is_dir(), said
    code, _, said = call(
        capsys, "equalize", mrc, "--target-spectrum", tmp_path / "deepict.tsv", "-o", tmp_path / "x", *CLUSTER
    )
    assert code == 2 and "deepict" in said and "physical" in said


def test_settings_print_as_yaml_and_come_back(capsys, tmp_path):
    code, shown, _ = call(capsys, "settings")
    assert code == 0 and yaml.safe_load(shown)["pick"]["min_size"] == 100
    (tmp_path / "s.yaml").write_text("pick: {threshold: 0.25}\n")
    code, shown, _ = call(capsys, "settings", "--config", tmp_path / "s.yaml")
    assert yaml.safe_load(shown)["pick"]["threshold"] == 0.25


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.mrc", "--model", "{network}", "-o", "{out}"], "nowhere.mrc"),
        (["run", "{mrc}", "-o", "{out}"], "no model is given"),
        (["run", "{mrc}", "--model", "nowhere.pth", "-o", "{out}"], "nowhere.pth"),
        (["run", "{mrc}", "--model", "{mrc}", "-o", "{out}"], "cell.mrc"),
        (
            ["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--threshold", "2"],
            "pick.threshold is 2.0",
        ),
        (["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--border", "1,2"], "pick.border"),
        (
            ["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--connectivity", "8"],
            "'8' is not one of '6', '18', '26'",
        ),
        (
            ["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--classes", "ribosome"],
            "no class 'ribosome'",
        ),
        (
            ["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--threshold", "fas=0.3"],
            "pick.threshold: there is no class 'fas' in the model",
        ),
        (
            ["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--voxel-size", "1,2"],
            "ingest.voxel_size: a voxel size in A is one positive number, or three as z,y,x, not '1,2'",
        ),
        (["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--border", "30"], "border 30"),
        (["run", "{mrc}", "--model", "{network}", "-o", "{mrc}"], "is a file"),
        (["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--memory-limit", "9PB"], "memory"),
        (["run", "{mrc}", "--model", "{network}", "-o", "{out}", "--memory-limit", "lots"], "memory_limit"),
        (["equalize", "{mrc}", "-o", "{out}"], "--target-spectrum"),
        (["pick", "{out}"], "holds no probability map"),
        (["info", "nowhere"], "nowhere does not exist"),
        (["run", "{mrc}", "--model", "{network}"], "--output"),
        (["ru", "{mrc}"], "No such command"),
        (["run", "{zero}", "--model", "{network}", "-o", "{out}"], "--voxel-size"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(capsys, mrc, network, tmp_path, volume, arguments, said):
    zero = write_mrc(tmp_path / "zero.mrc", volume[:8], 0.0)
    places = {"mrc": mrc, "network": network, "out": tmp_path / "out", "zero": zero}
    code, _, err = call(capsys, *[a.format(**places) for a in arguments])
    assert code == 2 and said in err and "Traceback" not in err
    assert len([line for line in err.splitlines() if "error:" in line.lower()]) == 1


def test_work_that_failed_is_exit_code_1(capsys, mrc, network, tmp_path):
    code, _, err = call(
        capsys, "run", mrc, "--model", network, "-o", tmp_path / "o", "--scheduler", "tcp://127.0.0.1:9"
    )
    assert code == 1 and "no Dask scheduler answers at tcp://127.0.0.1:9" in err


def test_one_failure_among_several_is_exit_code_1_and_named(capsys, mrc, network, tmp_path, volume):
    write_mrc(tmp_path / "flat.mrc", np.full((8, 9, 10), 7, "f4"))
    code, shown, err = call(
        capsys, "run", mrc, tmp_path / "flat.mrc", "--model", network, "-o", tmp_path / "o", *CLUSTER
    )
    assert code == 1 and "flat" in err and "constant" in err
    assert "failed" in shown and "done" in shown


def test_a_traceback_is_shown_only_when_asked_for(capsys):
    from deepict_dask.errors import MissingFileError

    with pytest.raises(MissingFileError):
        main(["--traceback", "info", "nowhere"])


def test_the_traceback_of_a_tomogram_that_failed_is_shown_when_asked_for(capsys, network, tmp_path):
    write_mrc(tmp_path / "flat.mrc", np.full((8, 9, 10), 7, "f4"))
    arguments = ["run", tmp_path / "flat.mrc", "--model", network, "-o", tmp_path / "o", *CLUSTER]
    code, _, err = call(capsys, *arguments)
    assert code == 2 and "Traceback" not in err
    code, _, err = call(capsys, "--traceback", *arguments)
    assert code == 2 and "Traceback" in err and "constant" in err


def test_help_is_fast_and_loads_neither_dask_nor_torch():
    code = (
        "import sys\nsys.argv=['deepict-dask','--help']\nfrom deepict_dask.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "import json; print(json.dumps([m for m in ('dask','torch','zarr','pandas','distributed') if m in sys.modules]))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
    # Generous, for a busy machine; alone it takes 0.2 s.
    assert time.perf_counter() - start < 5
    assert "Commands" in done.stdout


def test_a_running_scheduler_is_used_with_its_workers_threads(capsys, client, mrc, network, tmp_path):
    address = client.scheduler.address
    code, _, said = call(
        capsys, "run", mrc, "--model", network, "-o", tmp_path / "o", "--scheduler", address, "--min-size", 20
    )
    assert code == 0 and f"scheduler {address}" in said, said
    assert (tmp_path / "o" / "cell" / "particles.csv").exists()
    assert client.submit(lambda: 1).result() == 1, "the scheduler and its workers go on"


def test_a_batch_systems_sigterm_removes_what_was_unpacked(tmp_path):
    """What is unpacked is large, and nobody comes back to a scratch disk to remove it."""
    import gzip
    import os
    import signal
    import subprocess
    import sys
    import time

    import mrcfile
    import numpy as np

    with mrcfile.new(tmp_path / "plain") as file:
        file.set_data(np.random.default_rng(0).normal(size=(60, 512, 512)).astype("f4"))
        file.set_volume()
        file.voxel_size = 10
    content = (tmp_path / "plain").read_bytes()
    (tmp_path / "cell.mrc.gz").write_bytes(gzip.compress(content, compresslevel=1))
    code = "import sys; from deepict_dask.cli.main import main; main(sys.argv[1:])"
    arguments = ["ingest", str(tmp_path / "cell.mrc.gz"), "-o", str(tmp_path / "out"), "--workers", "1"]
    # Its own session: the signal is for the program, which stops its workers.
    program = subprocess.Popen([sys.executable, "-c", code, *arguments], start_new_session=True)
    start = time.monotonic()
    while not list(tmp_path.glob("out/cell/.unpacked-*/*")):
        assert program.poll() is None and time.monotonic() - start < 60
        time.sleep(0.02)
    os.kill(program.pid, signal.SIGTERM)
    assert program.wait(30) == 143
    assert not list(tmp_path.rglob(".unpacked-*"))

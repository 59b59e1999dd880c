"""What people bring reaches the outputs as what it is: names, axes, bytes, packed files, chunks, doubts."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
import zarr

from deepict_dask.campaign.plan import plan_run
from deepict_dask.campaign.run import run
from deepict_dask.cli.main import main
from deepict_dask.config import IngestSettings, load_settings
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.io.source import open_source
from deepict_dask.stages.contents import check_chunk
from deepict_dask.stages.equalize import spectrum_of_file
from deepict_dask.stages.report import Reporter
from tests.conftest import write_mrc

VALUES = np.random.default_rng(5).normal(size=(12, 40, 44)).astype("f4")


class Notes(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)


def ingest(
    path: Path, output: Path, *, name: str | None = None, recursive: bool = False, **options: Any
) -> tuple[list[Any], Notes]:
    settings, notes = load_settings(None, options), Notes()
    plan = plan_run(
        [str(path)], Location.of(output), settings, until="ingest", name=name, recursive=recursive
    )
    outcomes = run(plan, threads=1, reporter=notes)
    errors = [o.error for o in outcomes if o.error is not None]
    if errors:
        raise errors[0]
    return outcomes, notes


def stored(output: Path, name: str = "cell") -> np.ndarray:
    return np.asarray(open_image(output / name / "tomogram.zarr").array[...])


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if ".unpacked" in p.name or ".partial" in p.name]


def test_unsigned_bytes_are_ingested_as_such_and_said(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (12, 40, 44)).astype("u1")
    path = write_mrc(tmp_path / "cell.mrc", values.view("i1"))
    with open(path, "r+b") as file:
        file.seek(76)
        file.write(struct.pack("<3f", 0, 255, 128))
    _, notes = ingest(path, tmp_path / "out")
    np.testing.assert_array_equal(stored(tmp_path / "out"), values)
    assert any("were read as unsigned ones" in w for w in notes.warnings)
    with open(path, "r+b") as file:
        file.seek(76)
        file.write(struct.pack("<3f", -20, 20, 0))
    _, notes = ingest(path, tmp_path / "other")
    assert any("lie between -20 and 20, but they lie between -128 and 127" in w for w in notes.warnings)


def test_what_tilt_writes_is_turned_when_asked(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "cell.mrc", np.ascontiguousarray(VALUES.transpose(1, 0, 2)))
    _, notes = ingest(path, tmp_path / "out")
    assert any("--axes xzy" in w for w in notes.warnings)
    _, notes = ingest(path, tmp_path / "turned", axes="xzy")
    assert notes.warnings == []
    np.testing.assert_array_equal(stored(tmp_path / "turned"), VALUES)


@pytest.mark.parametrize("kind", ["gz", "h5", "zarr"])
def test_packed_files_and_huge_chunks_leave_no_copy(
    tmp_path: Path, kind: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepict_dask.io.source.MOST_DECODING", 0.5)
    path = tmp_path / f"cell.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(write_mrc(tmp_path / "plain", VALUES).read_bytes()))
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=VALUES, chunks=VALUES.shape, compression="gzip")
    else:
        zarr.create_array(path, data=VALUES, chunks=VALUES.shape)
    _, notes = ingest(path, tmp_path / "out", voxel_size=10)
    np.testing.assert_array_equal(stored(tmp_path / "out"), VALUES)
    assert leftovers(tmp_path / "out") == [] and notes.warnings == []


def test_what_a_killed_process_unpacked_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "cell.mrc.gz").write_bytes(gzip.compress(write_mrc(tmp_path / "plain", VALUES).read_bytes()))
    left = tmp_path / "out" / "cell" / ".unpacked-0123456789ab"
    left.mkdir(parents=True)
    (left / "cell").write_bytes(bytes(1000))
    ingest(tmp_path / "cell.mrc.gz", tmp_path / "out")
    assert leftovers(tmp_path / "out") == []


def test_what_only_the_unpacked_file_shows_is_said(tmp_path: Path) -> None:
    content = write_mrc(tmp_path / "plain", VALUES).read_bytes()
    (tmp_path / "cell.mrc.gz").write_bytes(gzip.compress(content + b"xyz"))
    _, notes = ingest(tmp_path / "cell.mrc.gz", tmp_path / "out")
    assert any("cell.mrc.gz has 3 bytes behind its last section" in w for w in notes.warnings)


def test_a_chunk_that_no_worker_has_the_memory_for_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "cell.zarr", data=VALUES, chunks=VALUES.shape)
    source = open_source(tmp_path / "cell.zarr")
    check_chunk(source, None)
    check_chunk(source, 4 * VALUES.nbytes)
    with pytest.raises(InputError, match="but a worker has 8.4e-05 GB; use fewer workers"):
        check_chunk(source, VALUES.nbytes)


@pytest.mark.parametrize("size", [1.0, 0.0, 1.348, (13.48, 13.48, 1.0)])
def test_a_voxel_size_that_cannot_be_believed_is_refused_until_it_is_given(
    tmp_path: Path, size: float | tuple[float, float, float]
) -> None:
    path = write_mrc(tmp_path / "cell.mrc", VALUES)
    with mrcfile.open(path, "r+") as file:
        file.voxel_size = size
    with pytest.raises(InputError, match="--voxel-size"):
        ingest(path, tmp_path / "out")
    ingest(path, tmp_path / "out", voxel_size=13.48)
    assert open_image(tmp_path / "out/cell/tomogram.zarr").voxel_size == (13.48, 13.48, 13.48)


def test_rescaling_by_a_wrong_voxel_size_is_refused_with_both_shapes(tmp_path: Path, network: Path) -> None:
    path = write_mrc(tmp_path / "cell.mrc", VALUES, 13.48)
    options = {"model": str(network), "rescale": True, "model_voxel_size": 13.48}

    def plan(**more: Any) -> None:
        plan_run([str(path)], Location.of(tmp_path / "out"), load_settings(None, options | more))

    plan(voxel_size=12)
    with pytest.raises(
        InputError, match=r"would be rescaled to 13.48 A and have 2 x 5 x 5 voxels .* looks at"
    ):
        plan(voxel_size=1.5)
    with pytest.raises(
        InputError, match="times as many as it has; give the true voxel size with --voxel-size"
    ):
        plan(voxel_size=200)


def test_tomograms_of_one_name_are_called_as_their_folders_or_as_asked(tmp_path: Path) -> None:
    for name in ("TS_01", "TS_02"):
        (tmp_path / "in" / name).mkdir(parents=True)
        write_mrc(tmp_path / "in" / name / "tomogram.mrc", VALUES)
    outcomes, _ = ingest(tmp_path / "in", tmp_path / "out", recursive=True)
    assert [o.name for o in outcomes] == ["TS_01", "TS_02"]
    assert open_image(tmp_path / "out/TS_02/tomogram.zarr").name == "TS_02"
    outcomes, _ = ingest(tmp_path / "in/TS_01/tomogram.mrc", tmp_path / "one", name="cell_{parent}")
    assert [o.name for o in outcomes] == ["cell_TS_01"]
    with pytest.raises(SystemExit) as exit_:
        main(
            [
                "ingest",
                str(tmp_path / "in"),
                "-o",
                str(tmp_path / "o"),
                "--recursive",
                "--name",
                "same",
                "--workers",
                "1",
            ]
        )
    assert exit_.value.code == 2


def test_a_link_to_itself_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_mrc(tmp_path / "in" / "cell.mrc", VALUES)
    (tmp_path / "in" / "loop.mrc").symlink_to(tmp_path / "in" / "loop.mrc")
    plan = plan_run([str(tmp_path / "in")], Location.of(tmp_path / "out"), load_settings(), until="ingest")
    outcomes = {o.name: o.error for o in run(plan, threads=1)}
    assert outcomes["cell"] is None and "loop.mrc cannot be opened" in str(outcomes["loop"])


def test_a_spectrum_of_what_is_no_number_is_refused_and_its_warnings_are_said(tmp_path: Path) -> None:
    turned = np.ascontiguousarray(VALUES.transpose(1, 0, 2))
    path = write_mrc(tmp_path / "cell.mrc", turned)
    notes = Notes()
    assert spectrum_of_file(str(path), "physical", IngestSettings(), notes).amplitude.all()
    assert any("--axes xzy" in w for w in notes.warnings)
    for wrong in (np.nan, np.inf):
        turned[3, 4, 5] = wrong
        path = write_mrc(tmp_path / f"{wrong}.mrc", turned)
        with pytest.raises(InputError, match=rf"{wrong}\.mrc holds NaN or infinite voxels"):
            spectrum_of_file(str(path), "physical")


def test_a_target_of_what_is_no_number_is_blamed_on_the_target(tmp_path: Path) -> None:
    bad = VALUES.copy()
    bad[3, 4, 5] = np.nan
    target = write_mrc(tmp_path / "target.mrc", bad)
    path = write_mrc(tmp_path / "cell.mrc", VALUES)
    settings = load_settings(None, {"target_spectrum": str(target)})
    plan = plan_run([str(path)], Location.of(tmp_path / "out"), settings, until="equalize")
    (outcome,) = run(plan, threads=1)
    assert isinstance(outcome.error, InputError)
    assert str(outcome.error).startswith(f"the target {target} holds NaN")


def test_doubts_about_targets_and_regions_are_said(tmp_path: Path, network: Path) -> None:
    wide = np.random.default_rng(1).normal(size=(40, 12, 44)).astype("f4")
    target = write_mrc(tmp_path / "target.mrc", wide)
    path = write_mrc(tmp_path / "cell.mrc", wide)
    region = write_mrc(tmp_path / "region.mrc", np.ones(wide.shape, "i1"))
    with open(region, "ab") as file:
        file.write(b"xyz")
    options = {"target_spectrum": str(target), "model": str(network), "region": str(region), "axes": "xyz"}
    notes = Notes()
    plan = plan_run([str(path)], Location.of(tmp_path / "out"), load_settings(None, options))
    (outcome,) = run(plan, threads=1, reporter=notes)
    assert outcome.error is None
    assert any("target.mrc has few rows" in w for w in notes.warnings)
    assert any("region.mrc has 3 bytes behind its last section" in w for w in notes.warnings)

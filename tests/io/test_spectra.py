"""Spectrum files: the original's to the last byte, ours there and back, and what is wrong is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.spectra import read_spectrum, write_spectrum
from deepict_dask.spectrum import Spectrum

AMPLITUDE = np.array([180.27748662072258, 1e-17, 3.0])
PHYSICAL = Spectrum("physical", np.arange(1, 4) / 81.3, AMPLITUDE, (13.48, 10.0, 9.5), (128, 400, 300))
DEEPICT = Spectrum("deepict", np.arange(3.0), AMPLITUDE)


@pytest.mark.parametrize(
    "name", ["equalize/target_spectrum.tsv", "equalize/defocus_spectrum.tsv", "models/spectrum_TS_011.tsv"]
)
def test_files_of_the_original_are_written_back_byte_for_byte(shared, tmp_path, name):
    original = shared / "reference" / name
    spectrum = read_spectrum(original)
    assert spectrum.convention == "deepict"
    write_spectrum(spectrum, tmp_path / "copy.tsv")
    assert (tmp_path / "copy.tsv").read_bytes() == original.read_bytes()


@pytest.mark.parametrize("spectrum", [PHYSICAL, DEEPICT])
def test_round_trip_keeps_every_bit(tmp_path, spectrum):
    write_spectrum(spectrum, tmp_path / "s.tsv")
    found = read_spectrum(tmp_path / "s.tsv", spectrum.convention)
    np.testing.assert_array_equal(found.frequency, spectrum.frequency)
    np.testing.assert_array_equal(found.amplitude, spectrum.amplitude)
    assert (found.convention, found.voxel_size, found.shape) == (
        spectrum.convention,
        spectrum.voxel_size,
        spectrum.shape,
    )


def test_pandas_reads_both(tmp_path):
    for spectrum, columns in ((PHYSICAL, ["frequency", "amplitude"]), (DEEPICT, ["freq", "intensity"])):
        write_spectrum(spectrum, tmp_path / "s.tsv")
        table = pd.read_csv(tmp_path / "s.tsv", sep="\t", comment="#")
        assert list(table.columns) == columns
        np.testing.assert_allclose(table[columns[1]], AMPLITUDE)


def test_the_other_convention_is_refused_with_a_way_out(tmp_path):
    write_spectrum(DEEPICT, tmp_path / "old.tsv")
    write_spectrum(PHYSICAL, tmp_path / "new.tsv")
    with pytest.raises(
        InputError, match=r'old\.tsv.*knows no voxel size.*convention "deepict", or give the tomogram'
    ):
        read_spectrum(tmp_path / "old.tsv", "physical")
    with pytest.raises(InputError, match=r'new\.tsv.*convention "physical"'):
        read_spectrum(tmp_path / "new.tsv", "deepict")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no spectrum"),
        ("freq\tintensity\n", "ends at line 1"),
        ("a,b\n0,1\n", "line 1 .* header"),
        ("freq\tintensity\n0\t1\n1\tabc\n", "line 3 .* two numbers"),
        ("freq\tintensity\n0\t1\n1\t2\t3\n", "line 3 .* two numbers"),
        ("freq\tintensity\n0\t1\n2\t2\n", "line 3 .* shell 1, not 2"),
        ("freq\tintensity\n0\t-1\n", "line 2 .* at least 0"),
        ("freq\tintensity\n0\tnan\n", "line 2 .* finite"),
        ("# shape: 3 4\nfrequency\tamplitude\n0.1\t1\n", "line 1 .* shape"),
        ("# voxel_size: 1 x 2\nfrequency\tamplitude\n0.1\t1\n", "line 1 .* voxel_size"),
        ("frequency\tamplitude\n0.1\t1\n0.1\t1\n", "line 3 .* higher frequency"),
        ("frequency\tamplitude\n0\t1\n", "line 2 .* above 0"),
    ],
)
def test_malformed_files_name_the_line(tmp_path, text, message):
    (tmp_path / "s.tsv").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_spectrum(tmp_path / "s.tsv")


def test_binary_and_missing_files_are_refused(tmp_path):
    (tmp_path / "s.tsv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(FormatError, match="no text file"):
        read_spectrum(tmp_path / "s.tsv")
    with pytest.raises(MissingFileError, match=r"none\.tsv"):
        read_spectrum(tmp_path / "none.tsv")

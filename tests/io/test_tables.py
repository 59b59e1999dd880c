"""Particle tables: round trips, third-party readers, and errors that name the cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import starfile
from hypothesis import given, settings
from hypothesis import strategies as st

from deepict_dask.errors import FormatError, InputError, MissingFileError, NeedsGridError
from deepict_dask.io.tables import FORMATS, read_particles, write_particles
from deepict_dask.io.tables.star_text import read_star, write_star
from deepict_dask.particles import COLUMNS, Particles, VoxelGrid, join

NAMES = {"csv": "picks.csv", "motl": "picks_motl.csv", "star": "picks.star", "parquet": "picks.parquet"}


def some(n=5, **others):
    rng = np.random.default_rng(n)
    known = {
        "label": np.arange(1, n + 1) * 3,
        "score": rng.random(n),
        "score_max": rng.random(n),
        "size": rng.integers(1, 999, n),
        "positions": rng.random((n, 3)) * 100,
        "voxel_size": (13.48, 13.48, 13.48),
        "shape": (120, 130, 141),
        "tomogram": "001",
        "class_name": "ribosome",
    }
    return Particles.from_positions(**(known | others))


def test_formats_all_have_a_test_name():
    assert set(NAMES) == set(FORMATS)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.tuples(*[st.floats(0, 1e4)] * 4), max_size=6), edge=st.floats(0.5, 50))
@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_csv_and_parquet_give_every_bit_back(tmp_path_factory, name, values, edge):
    rows = np.array(values).reshape(-1, 4)
    before = some(len(rows), positions=rows[:, :3], score=rows[:, 3], voxel_size=(edge, 2 * edge, 3 * edge))
    after = read_particles(write_particles(before, tmp_path_factory.mktemp("t") / NAMES[name]))
    for column in ("label", "z", "y", "x", "score", "score_max", "size"):
        assert getattr(after, column).tobytes() == getattr(before, column).tobytes()
    if name == "parquet":
        assert after.voxel_size == before.voxel_size


@pytest.mark.parametrize("edges", [(13.48, 13.48, 13.48), (31.36, 13.48, 10.0), (1 / 3, 7.123456789, 2.5)])
def test_csv_gives_the_voxel_size_back(tmp_path, edges):
    assert read_particles(write_particles(some(voxel_size=edges), tmp_path / "p.csv")).voxel_size == edges


@pytest.mark.parametrize("name", FORMATS)
def test_empty_tables_round_trip(tmp_path, name):
    path = write_particles(some(0), tmp_path / NAMES[name])
    assert path.is_file()
    after = read_particles(path)
    assert len(after) == 0 and after.positions.shape == (0, 3)


def test_an_unknown_voxel_size_and_unknown_scores_stay_unknown(tmp_path):
    for name in ("csv", "parquet"):
        before = Particles.from_positions([[1, 2, 3]], tomogram="t")
        after = read_particles(write_particles(before, tmp_path / NAMES[name]))
        assert after.voxel_size is None
        assert np.isnan(after.score).all()
        assert after.positions.tolist() == [[1, 2, 3]]


def test_csv_as_pandas_reads_it(tmp_path):
    table = pd.read_csv(
        write_particles(some(touches_edge=np.arange(5) > 2), tmp_path / "p.csv"), dtype={"tomogram": str}
    )
    assert tuple(table) == COLUMNS
    pd.testing.assert_frame_equal(
        table, some(touches_edge=np.arange(5) > 2).to_dataframe(), rtol=1e-14, check_dtype=False
    )


def test_motl_rounds_half_to_even_and_counts_from_one(tmp_path):
    particles = Particles.from_positions(
        [[0.5, 1.5, 2.5], [3.49, 4.51, 7]], size=np.array([62, 301]), label=np.array([4, 9])
    )
    text = write_particles(particles, tmp_path / "a_motl.csv").read_bytes()
    assert text == (
        b"62,2,2,1,0,0,0,2,2,0,0,0,0,0,0,0,0,0,0,1\n"
        b"301,7,5,2,0,0,0,7,5,3,0,0,0,0,0,0,0,0,0,1\n"
    )  # fmt: skip


@pytest.mark.parametrize("case", ["plain", "six", "intersection", "contact", "colocalization"])
def test_the_originals_motls_are_read_and_written_back_byte_for_byte(shared, tmp_path, case):
    original = shared / "reference" / "pick" / f"even_{case}_motl.csv"
    assert (
        write_particles(read_particles(original), tmp_path / "x_motl.csv").read_bytes()
        == original.read_bytes()
    )


def centered(particles):
    """Positions as RELION 5 has them: A from the tomogram's center."""
    return (particles.positions - np.array(particles.shape) / 2) * np.array(particles.voxel_size)


@pytest.mark.parametrize("edges", [(13.48,) * 3, (31.36, 13.48, 10.0)])
def test_star_is_relion_5s_as_starfile_reads_it(tmp_path, edges):
    before = some(3, voxel_size=edges)
    blocks = starfile.read(
        write_particles(before, tmp_path / "p.star"), always_dict=True, parse_as_string=["rlnTomoName"]
    )
    assert list(blocks) == ["particles"]
    table = blocks["particles"]
    assert list(table) == [
        "rlnTomoName", "rlnCenteredCoordinateXAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateZAngst",
        "rlnAutopickFigureOfMerit",
    ]  # fmt: skip
    assert table["rlnTomoName"].tolist() == ["001"] * 3
    for k, axis in enumerate("ZYX"):
        np.testing.assert_allclose(
            table[f"rlnCenteredCoordinate{axis}Angst"], centered(before)[:, k], rtol=1e-12
        )


@pytest.mark.parametrize("n", [1, 4])
def test_star_gives_positions_back_where_the_voxels_are_known(tmp_path, n):
    before = some(n, tomogram="my tomogram 7")
    path = write_particles(before, tmp_path / "p.star")
    grid = VoxelGrid(before.voxel_size, before.shape)
    after = read_particles(path, grid=grid)
    np.testing.assert_allclose(after.positions, before.positions, atol=1e-9)
    assert after.score.tobytes() == before.score.tobytes()
    assert (after.tomogram, after.voxel_size) == ("my tomogram 7", before.voxel_size)
    # Writing what was read changes nothing that a program would see.
    again = read_particles(write_particles(after, tmp_path / "again.star"), grid=grid)
    np.testing.assert_allclose(again.positions, before.positions, atol=1e-9)
    if n:
        assert read_particles(path).positions.tobytes() == after.positions.tobytes()
    path.write_text("".join(line for line in path.read_text().splitlines(True) if line[0] != "#"))
    with pytest.raises(NeedsGridError, match="counted from the center .* without its voxel size and shape"):
        read_particles(path)
    with pytest.raises(NeedsGridError, match="cannot be written without its shape"):
        write_particles(some(n, shape=None), tmp_path / "no.star")


ODD = [
    "data_1",
    "_n2n_unet-medium_TS_10_EVN",
    "a#b",
    "it's",
    "tomo 1 (bin8)",
    "00255",
    "loop_",
    "$x",
    ";y",
    "[z]",
    'say "a"',
    "a'b c",
    "#",
    "'",
    "Zürich",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_come_back_from_star(tmp_path, name):
    before = some(2, tomogram=name)
    grid = VoxelGrid(before.voxel_size, before.shape)
    assert read_particles(write_particles(before, tmp_path / "p.star"), grid=grid).tomogram == name


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_star_can_hold_comes_back(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("s") / "a.star"
    try:
        write_star(path, {"x": {"a": values, "b": [str(k) for k in range(len(values))]}})
    except InputError as error:
        assert "both kinds of quotes" in str(error)
        return
    assert read_star(path)["x"]["a"] == values


def star(path, columns, rows, optics=None):
    def loop(name, names, values):
        head = "".join(f"_{n} #{k}\n" for k, n in enumerate(names, 1))
        return (
            f"data_{name}\n\nloop_\n{head}" + "".join(" ".join(map(str, row)) + "\n" for row in values) + "\n"
        )

    text = loop("optics", *optics) if optics else ""
    path.write_text("# version 50001\n\n" + text + loop("particles", columns, rows))
    return path


XYZ = ("rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")


@pytest.mark.parametrize(
    ("columns", "row", "optics", "edge"),
    [
        (("rlnPixelSize",), (5.0,), None, 5.0),
        (("rlnDetectorPixelSize", "rlnMagnification"), (5.0, 10000), None, 5.0),
        (("rlnOpticsGroup",), (2,), (("rlnOpticsGroup", "rlnImagePixelSize"), [(1, 9.0), (2, 5.0)]), 5.0),
        (
            ("rlnOpticsGroup", "rlnPixelSize"),
            (1, 13.48),
            (("rlnOpticsGroup", "rlnTomoTiltSeriesPixelSize"), [(1, 2.5)]),
            2.5,
        ),
        ((), (), (("rlnOpticsGroup", "rlnTomoTiltSeriesPixelSize"), [(1, 2.5)]), 2.5),
        ((), (), None, None),
    ],
)
def test_pixels_of_every_dialect_are_what_the_file_says(tmp_path, columns, row, optics, edge):
    path = star(
        tmp_path / "a.star", ("rlnTomoName", *XYZ, *columns), [("TS_1", 30, 20, 10, *row)] * 2, optics
    )
    found = read_particles(path)
    assert found.positions.tolist() == [[10, 20, 30]] * 2
    assert found.voxel_size == (None if edge is None else (edge,) * 3)


def test_shifts_of_refinement_are_applied(tmp_path):
    names = ("rlnTomoName", *XYZ, "rlnOriginXAngst", "rlnOriginZAngst", "rlnPixelSize")
    path = star(tmp_path / "a.star", names, [("TS_1", 30, 20, 10, 20, -5, 10.0)])
    assert read_particles(path).positions.tolist() == [[10.5, 20, 28]]
    path = star(tmp_path / "b.star", (*XYZ, "rlnOriginX"), [(30, 20, 10, 4)])
    assert read_particles(path).positions.tolist() == [[10, 20, 26]]
    path = star(tmp_path / "c.star", (*XYZ, "rlnOriginXAngst"), [(30, 20, 10, 20)])
    with pytest.raises(NeedsGridError, match="shifts in A .* --voxel-size"):
        read_particles(path)
    assert read_particles(path, grid=VoxelGrid((10.0,) * 3)).positions.tolist() == [[10, 20, 28]]
    motl = tmp_path / "a_motl.csv"
    motl.write_text("9,0,0,1,0,0,0,30,20,10,1.5,-2,0.25,0,0,0,0,0,0,1\n")
    assert read_particles(motl).positions.tolist() == [[10.25, 18, 31.5]]


def test_several_tomograms_are_never_read_as_one(tmp_path):
    path = star(tmp_path / "a.star", ("rlnTomoName", *XYZ), [("TS_1", 1, 2, 3), ("TS_2", 4, 5, 6)])
    table = tmp_path / "a.csv"
    table.write_text("id,experiment,particle_type,x,y,z\n1,TS_1,fas,1,2,3\n2,TS_2,ribosome,4,5,6\n")
    motl = tmp_path / "a_motl.csv"
    motl.write_text("".join(f"9,0,0,1,{t},0,0,3,2,1,0,0,0,0,0,0,0,0,0,1\n" for t in (7, 8)))
    for file, names in ((path, ["TS_1", "TS_2"]), (table, ["TS_1", "TS_2"]), (motl, ["7", "8"])):
        found = read_particles(file)
        assert found.tomogram == "" and found.names("tomogram") == names
        assert len(read_particles(file, tomogram=names[1])) == 1
        with pytest.raises(InputError, match=f"but of {', '.join(names)}"):
            read_particles(file, tomogram="TS_3")
    assert read_particles(table, class_name="fas").positions.tolist() == [[3, 2, 1]]
    assert read_particles(table).others["id"].tolist() == [1, 2]


def test_parquet_keeps_settings_in_the_schema(tmp_path):
    before = some(attributes={"threshold": 0.5, "border": [0, 1, 2]}, class_name="ribosome")
    path = write_particles(before, tmp_path / "p.parquet")
    assert tuple(pq.read_schema(path).names) == COLUMNS
    after = read_particles(path)
    assert after.attributes == before.attributes
    assert (after.class_name, after.tomogram, after.voxel_size) == ("ribosome", "001", (13.48,) * 3)


def test_truth_tables_are_read_by_class(shared):
    path = shared / "data" / "phantom" / "TS_014" / "particles.csv"
    truth = read_particles(path, class_name="ribosome")
    table = pd.read_csv(path)
    expected = table[table["class"] == "ribosome"][["z", "y", "x"]].to_numpy()
    np.testing.assert_array_equal(truth.positions, expected)
    assert truth.class_name == "ribosome"


def test_a_format_can_be_said_and_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    path = write_particles(some(), tmp_path / "deep" / "picks.txt", format="csv")
    assert len(read_particles(path, format="csv")) == 5
    for call in (lambda: write_particles(some(), tmp_path / "picks.xlsx"), lambda: read_particles(path)):
        with pytest.raises(InputError, match=r"_motl.csv, .csv, .star, .parquet"):
            call()
    with pytest.raises(InputError, match="csv, motl, star, parquet"):
        write_particles(some(), tmp_path / "p.csv", format="tsv")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_particles(some(2), tmp_path / "p.csv")
    old = path.read_bytes()

    def broken(particles, temporary):
        temporary.write_text("half a ta")
        raise OSError("disk full")

    monkeypatch.setattr(FORMATS["csv"], "write", broken)
    with pytest.raises(OSError, match="disk full"):
        write_particles(some(3), path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "z,y,x\n1,2,3\n1,two,3\n", ("a.csv", "column y", "'two'", "line 3")),
        ("a.csv", "z,y,x\n1,,3\n", ("column y", "line 2")),
        ("a.csv", "z,y,x\n1,nan,3\n", ("column y", "finite")),
        ("a.csv", "z,y,x\n1,2\n", ("line 2", "2 cells")),
        ("a.csv", "z,y\n1,2\n", ("no column x", "z, y, x")),
        ("a.csv", "z,y,x\n1_0,2,3\n", ("column z", "'1_0'", "not a number")),
        ("a.csv", "z,y,x,label\n1,2,3,nan\n", ("column label", "'nan'", "whole number")),
        ("a.csv", "z,y,x,size\n1,2,3,4.5\n", ("column size", "'4.5'", "whole number")),
        ("a.csv", "x,y,z,x,y,z\n3,2,1,30,20,10\n", ("two columns called 'x'",)),
        ("a.csv", "z;y;x\n1,5;2,5;3,5\n", ("semicolons", "commas")),
        ("a.csv", "z\ty\tx\n1\t2\t3\n", ("tabs", "commas")),
        ("a.csv", "z;y;x\n1;2;3\n", ("semicolons", "commas")),
        ("a.csv", "", ("no column z, y, x", "none")),
        ("a.csv", "z,y,x,score\n1,2,3,good\n", ("column score", "'good'")),
        ("a_motl.csv", "1,2,3\n", ("line 1", "20")),
        ("a_motl.csv", "1,2,3,4,5,6,7,8,9,z,0,0,0,0,0,0,0,0,0,1\n", ("column 10", "'z'")),
        ("a.star", "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n", ("rlnCoordinateZ",)),
        ("a.star", "nothing of the kind\n", ("a.star", "rlnCoordinateX")),
        (
            "a.star",
            "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnCoordinateZ #3\n1 2 3\n1 q 3\n",
            ("rlnCoordinateY", "'q'", "row 2"),
        ),
        ("a.parquet", "PAR1 and nothing", ("a.parquet", "not a Parquet file")),
    ],
)
def test_faulty_tables_are_refused_with_file_column_and_row(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        read_particles(path)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(MissingFileError, match="no particle table"):
        read_particles(tmp_path / "none.csv")


def test_a_missing_class_column_is_said_so(tmp_path):
    path = write_particles(some(class_name=""), tmp_path / "p.csv")
    with pytest.raises(FormatError, match="no column class"):
        read_particles(path, class_name="ribosome")


def test_bom_crlf_and_blanks_are_no_part_of_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffclass,z,y,x\r\nribosome ,1,2,3\r\n ribosome,4,5,6\r\n\r\nfas,7,8,9\r\n".encode())
    assert len(read_particles(path, class_name="ribosome")) == 2


def test_star_keeps_classes_and_columns_of_other_programs(tmp_path):
    def of(tomogram, name, foo):
        others = {
            "foo": np.array(foo, object),
            "rot": np.array([1.0, 2.5]),
            "source": np.array(["a", "b c"], object),
        }
        return replace(some(2, tomogram=tomogram, class_name=name), others=others)

    before = join([of("A", "r", ["007", ""]), of("B", "s", ["x", "y z"]), of("A", "s", ["it's", "1"])])
    after = read_particles(write_particles(before, tmp_path / "all.star"))
    for column in ("tomogram", "class", "foo", "rot", "source"):
        assert after[column].tolist() == before[column].tolist(), column
    one = read_particles(write_particles(of("A", "r", ["a", "b"]), tmp_path / "one.star"))
    assert one.class_name == "r"


def test_star_holds_no_coordinates_of_another_kind_beside_its_own(tmp_path):
    before = replace(
        some(2), others={"rlnCoordinateX": np.array([900, 901]), "rlnOriginXAngst": np.array([7.0, 8.0])}
    )
    path = write_particles(before, tmp_path / "x.star")
    assert "rlnCoordinateX " not in path.read_text() and "rlnOriginXAngst" not in path.read_text()
    np.testing.assert_allclose(read_particles(path).positions, before.positions, atol=1e-9)

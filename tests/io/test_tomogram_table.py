"""Tables of tomograms: rows by the names of their columns, and mistakes said where they are."""

from __future__ import annotations

import pytest

from deepict_dask.errors import FormatError, InputError, MissingFileError
from deepict_dask.io.tomogram_table import is_tomogram_table, read_tomogram_table


@pytest.mark.parametrize(
    "text",
    [
        "tomo_name,tomo,q\na,x.mrc,1\n",
        "\ufefftomo_name;tomo;q\r\na;x.mrc;1\r\n\r\n",
        "id\tdata\tq\na\tx.mrc\t1\n",
    ],
)
def test_csv_in_its_dialects(tmp_path, text):
    file = tmp_path / "t.csv"
    file.write_text(text, encoding="utf-8", newline="")
    (tmp_path / "x.mrc").write_bytes(b"")
    (row,) = read_tomogram_table(str(file))
    assert (row.name, row.path, dict(row.cells), row.is_found) == (
        "a",
        str(tmp_path / "x.mrc"),
        {"q": "1"},
        True,
    )


@pytest.mark.parametrize(
    "text",
    [
        "- {path: /d/x.mrc, tomo_name: a, q: 1}\n",
        "a: {path: /d/x.mrc, q: 1}\n",
        "tomograms:\n  a: {path: /d/x.mrc, q: 1}\n",
    ],
)
def test_yaml(tmp_path, text):
    file = tmp_path / "t.yaml"
    file.write_text(text)
    (row,) = read_tomogram_table(str(file))
    assert (row.name, row.path, dict(row.cells)) == ("a", "/d/x.mrc", {"q": 1})


def test_names_come_from_files_and_slashes_go(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("tomo\n/d/TS_01_10.00Apx.mrc\n")
    assert [r.name for r in read_tomogram_table(str(file))] == ["TS_01_10.00Apx"]
    file.write_text("tomo_name,tomo\n190301/001,/d/a.mrc\n")
    assert [r.name for r in read_tomogram_table(str(file))] == ["190301_001"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n", "no column of paths"),
        ("tomo,tomo\nx,y\n", "'tomo' twice"),
        ("tomo,q\nx.mrc\n", "line 2"),
        ("tomo,q\n,3\n", "no path"),
        ("tomo,q\n", "no rows"),
        ("", "no rows"),
        ("tomo_name,tomo\n..,x.mrc\n", "tomogram of line 2"),
    ],
)
def test_mistakes_are_said_where_they_are(tmp_path, text, sentence):
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=sentence):
        list(read_tomogram_table(str(file)))


def test_what_is_no_table(tmp_path):
    with pytest.raises(MissingFileError):
        list(read_tomogram_table(str(tmp_path / "no.csv")))
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(FormatError, match="UTF-8"):
        list(read_tomogram_table(str(tmp_path / "b.csv")))
    (tmp_path / "s.yaml").write_text("pick: {threshold: 0.3}\n")
    with pytest.raises(InputError, match=r"path"):
        list(read_tomogram_table(str(tmp_path / "s.yaml")))
    assert is_tomogram_table("A.CSV") and not is_tomogram_table("a.mrc")

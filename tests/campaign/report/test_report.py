"""The page: whole, safe, small, and only where it is wanted."""

from __future__ import annotations

import base64
import os
import re
import time
from html.parser import HTMLParser

import pytest

from deepict_dask.campaign.report import embedding, leave_report, write_report
from deepict_dask.cli.main import main
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.stages.report import Reporter
from tests.campaign.report.runs import many, plant, state, summarize

VOID = {"meta", "input", "img", "br", "rect", "line", "circle"}


class Page(HTMLParser):
    """Checks that tags are balanced; collects those that there are, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.rows = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data
            if self.rows and data.strip():
                self.rows[-1].append(data.strip())


def read(file):
    page = Page()
    page.feed(file.read_text())
    assert page.open == []
    return page


class Hearing(Reporter):
    def __init__(self):
        self.warned = []

    def warn(self, sentence):
        self.warned.append(sentence)


def test_the_page_says_what_happened(tmp_path):
    run = many(tmp_path, [20, 21, 19, 20, 0], with_image=True)
    plant(run, "TS_10", {"ribosome": 2000})
    states = [state(f"TS_{i:02d}", metadata={"quality": "good", "thickness": 120.5}) for i in range(5)]
    states += [
        state("TS_10"),
        state("TS_20", state="failed", reason="the file is cut off; copy it again", seconds={}),
    ]
    summarize(run, states, warnings=("TS_03: odd header",))
    page = read(write_report(run))
    for sentence in (
        "the file is cut off; copy it again",
        "TS_03: odd header",
        "many particles of ribosome: 2000, where about 20 are usual",
        "no particles",
        "120.5",
        "deepict-dask run",
        "Time by stage",
    ):
        assert sentence in page.text
    assert next(r for r in page.rows if r[:1] == ["TS_04"])[:4] == ["TS_04", "done", "0", "0"]
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) == 5  # that of TS_10 is missing, since it has no image
    assert base64.b64decode(pictures[0]["src"].partition(",")[2])[8:12] == b"WEBP"
    assert "No picture" in page.text


def test_names_are_text_and_never_markup(tmp_path):
    run = Location.of(tmp_path)
    evil = '<img src=x onerror="alert(1)">'
    plant(run, "TS <b>1", {"<script>alert(2)<": 3, "b&b": 1})
    summarize(
        run,
        [
            state("TS <b>1", metadata={evil: evil, "x": "</script>"}, reason=evil),
        ],
    )
    page = read(write_report(run))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [a for tag, a in page.tags if tag == "img"]
    assert evil in page.text and "TS <b>1" in page.text


def test_nothing_is_loaded_from_anywhere(tmp_path):
    run = many(tmp_path, [4], with_image=True)
    file = write_report(run)
    page = read(file)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed")
        for name in ("src", "srcset", "data", "action"):
            assert attributes.get(name, "data:").startswith("data:")
        assert "://" not in attributes.get("href", "")
    assert "default-src 'none'" in file.read_text()
    assert "@import" not in file.read_text() and "url(" not in file.read_text()


def test_links_lead_to_files_only_where_the_page_lies_beside_them(tmp_path):
    run = many(tmp_path / "run 1", [4])
    inside = [a["href"] for tag, a in read(write_report(run)).tags if tag == "a"]
    assert "TS_00/particles.csv" in inside
    elsewhere = write_report(run, Location.of(tmp_path / "other.html"))
    assert not [a for tag, a in read(elsewhere).tags if tag == "a" and not a["href"].startswith("#")]


def test_pictures_fit_into_the_budget_and_what_was_left_out_is_said(tmp_path, monkeypatch):
    run = many(tmp_path, [4] * 5, with_image=True)
    names = [f"TS_{i:02d}" for i in range(5)]
    whole = embedding.embed(run, names)
    assert whole.width == 640 and not whole.note and all(p.content for p in whole.by_name.values())
    budget = 5 * 9000
    small = embedding.embed(run, names, budget=budget)
    assert sum(len(base64.b64decode(p.content)) for p in small.by_name.values()) <= budget
    few = embedding.embed(run, names, budget=2 * embedding.SMALLEST + 5)
    assert list(few.by_name) == names[:2] and "3 more tomograms have no picture" in few.note


def test_pictures_of_an_earlier_page_are_used_again_and_a_changed_table_is_drawn_anew(tmp_path, monkeypatch):
    run = many(tmp_path, [4, 5], with_image=True)
    write_report(run)
    drawn = []
    draw = embedding.snapshot_bytes
    monkeypatch.setattr(
        embedding, "snapshot_bytes", lambda place, *a, **k: drawn.append(place.name) or draw(place, *a, **k)
    )
    first = write_report(run).read_bytes()
    assert drawn == []
    plant(run, "TS_01", {"ribosome": 9})
    assert write_report(run).read_bytes() != first
    assert drawn == ["TS_01"]


def test_what_is_no_report_stays(tmp_path):
    run = many(tmp_path, [4])
    (tmp_path / "report.html").write_text("<p>my notes</p>")
    with pytest.raises(OutputExistsError, match="no report of this program"):
        write_report(run)
    hearing = Hearing()
    assert leave_report(run, hearing) is None
    assert "no report was written" in hearing.warned[0]
    assert (tmp_path / "report.html").read_text() == "<p>my notes</p>"
    write_report(run, overwrite=True)
    with pytest.raises(InputError, match=r"end in \.html"):
        write_report(run, Location.of(tmp_path / "TS_00" / "particles.csv"), overwrite=True)


def test_nothing_is_written_where_nothing_is_new_and_a_failure_costs_nothing(tmp_path, monkeypatch):
    run = many(tmp_path, [4])
    hearing = Hearing()
    file = leave_report(run, hearing)
    os.utime(file, (1, 1))
    summarize(run, [state("TS_00", state="kept", seconds={})])
    assert leave_report(run, hearing).local_path().stat().st_mtime == 1
    summarize(run, [state("TS_00"), state("TS_01", state="failed", reason="cut off")])
    assert leave_report(run, hearing).local_path().stat().st_mtime > time.time() - 100
    (tmp_path / "report.html").unlink()
    monkeypatch.setattr("deepict_dask.campaign.report.gather", lambda folder: 1 / 0)
    assert leave_report(run, hearing) is None and "division by zero" in hearing.warned[-1]


def test_the_command_says_where_and_mistakes_are_one_sentence(tmp_path, capsys):
    run = many(tmp_path / "run", [4])
    for arguments, code, said in (
        (["report", str(run)], 0, f"{run}/report.html\n"),
        (["report", str(run), "-o", str(tmp_path / "a.html")], 0, f"{tmp_path}/a.html\n"),
        (["report", str(tmp_path / "none")], 2, "there is no run folder"),
        (["report", str(run), "-o", str(tmp_path / "a.pdf")], 2, "end in .html"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        out, err = capsys.readouterr()
        assert stop.value.code == code
        assert said in out + err
        assert re.search("Traceback", err) is None

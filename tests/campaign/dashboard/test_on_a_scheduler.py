"""The page and the metrics on real schedulers: one of this process, one elsewhere, one without a dashboard."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace

import pytest
from distributed import Client

from deepict_dask.campaign.dashboard.seen import pack
from deepict_dask.campaign.dashboard.sender import bring_plugin, page_link
from deepict_dask.campaign.listeners import Events
from deepict_dask.campaign.summary import Summary, TomogramState, now
from tests.campaign.conftest import go
from tests.campaign.dashboard.test_seen import STATES


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.status, answer.read().decode()


def columns(link):
    """Pull the live document through the websocket; give all columns of all its sources."""
    from bokeh.client import pull_session
    from bokeh.models import ColumnDataSource, Div

    with pull_session(url=link) as session:
        sources = session.document.select({"type": ColumnDataSource})
        texts = [d.text for d in session.document.select({"type": Div})]
        return {key: list(value) for s in sources for key, value in s.data.items()}, " ".join(texts)


def test_a_run_is_shown_while_and_after_it_runs(cells, network, client, tmp_path):
    outcomes = go(cells, tmp_path / "run", network, window=2)
    assert all(o.error is None for o in outcomes)
    link = page_link(client.dashboard_link)
    assert get(link)[0] == 200
    data, text = columns(link)
    assert sorted(data["name"]) == [o.name for o in outcomes]
    n = sum(p.n_particles for o in outcomes for p in o.picked)
    assert f">{n:,}<" in text and "Finished last: TS_0" in text and "data:image/webp" in text
    # In the navigation of the other pages, once.
    assert get(client.dashboard_link)[1].count('href="deepict"') == 1
    _, metrics = get(client.dashboard_link.replace("/status", "/metrics"))
    run = f'run="{tmp_path}/run"'
    assert f'deepict_tomograms{{{run},state="done"}} {len(outcomes)}.0' in metrics
    assert f'deepict_particles{{class="blob",{run}}} {n}.0' in metrics
    assert f"deepict_failures{{{run}}} 0.0" in metrics
    blocks = next(
        line for line in metrics.splitlines() if line.startswith("deepict_blocks_computed_total{" + run)
    )
    assert float(blocks.split()[-1]) > 0
    assert "dask_scheduler_workers" in metrics
    # Nothing is kept as an event, of which a scheduler keeps a thousand.
    assert not [topic for topic in client.get_events() if "deepict" in topic]


def test_a_page_is_brought_once_and_failures_come_with_reasons(client):
    for _ in range(2):
        sender, sentence = bring_plugin(client)
        assert sentence == f"this run is shown at {page_link(client.dashboard_link)}"
    time_ = now()
    sender.update(Summary("/data/two", "deepict-dask run", STATES, began=time_ - 5, now=time_))
    _, text = columns(page_link(client.dashboard_link))
    assert "cut &lt;off&gt;" in text
    assert get(client.dashboard_link)[1].count('href="deepict"') == 1


def test_what_is_the_same_is_not_sent_again(client):
    sender, _ = bring_plugin(client)
    sent = []
    sender._client = type(
        "C",
        (),
        {"status": "running", "scheduler": client.scheduler, "sync": lambda self, f, **k: sent.append(k)},
    )()
    summary = Summary(
        "/data/same", "run", (TomogramState("a", "running", "segment", 8, 1),), began=0.0, now=1000.0
    )
    sender.update(summary)
    sender.update(replace(summary, now=1000.5))
    sender.update(replace(summary, now=1002.0))
    assert len(sent) == 1
    changed = (replace(summary.tomograms[0], n_blocks_done=2),)
    sender.update(replace(summary, tomograms=changed, now=1002.5))
    sender.update(replace(summary, tomograms=changed, now=1002.6, state="done"))
    assert [s["now"] for s in sent] == [1000.0, 1002.5, 1002.6]
    assert sent[1]["packed"] == pack(replace(summary, tomograms=changed, now=1002.5))


@pytest.mark.parametrize("options", [(), ("--no-dashboard",)])
def test_a_scheduler_elsewhere(tmp_path, options):
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not file.is_file() or not file.read_text().strip():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        said = []
        with Client(address) as client:
            events = Events(said.append)
            events.update(Summary("/data/elsewhere", "run", STATES, began=now(), now=now()))
            if options:
                assert said == ["there is no page of this run: the scheduler runs without a dashboard"]
            else:
                assert said == [f"this run is shown at {page_link(client.dashboard_link)}"]
                assert "TS_03" in columns(page_link(client.dashboard_link))[0]["name"]
            with Client(address) as second:
                # Another client of the same scheduler finds the plugin there.
                assert bring_plugin(second)[1] == said[0]
    finally:
        process.terminate()
        process.wait(30)


def test_a_scheduler_that_cannot_take_the_plugin_costs_a_line(client, monkeypatch):
    def refuse(*arguments):
        raise ModuleNotFoundError("No module named 'deepict_dask'")

    monkeypatch.setattr(type(client), "register_plugin", refuse)
    said = []
    Events(said.append).update(Summary("/data/none", "run", STATES, began=now(), now=now()))
    assert said == [
        "the scheduler cannot show this run (ModuleNotFoundError: No module named 'deepict_dask')"
    ]


def test_without_a_client_nothing_is_sent_and_nothing_said():
    said = []
    Events(said.append).update(Summary("/data/none", "run", STATES))
    assert said == []

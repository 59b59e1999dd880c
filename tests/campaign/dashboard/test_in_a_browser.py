"""The page of the dashboard in Chromium: what it shows arrives, and follows the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepict_dask.campaign.dashboard.sender import bring_plugin, page_link
from deepict_dask.campaign.summary import Summary, TomogramState, now
from tests.browser import chromium
from tests.campaign.dashboard.test_seen import STATES

pytestmark = pytest.mark.browser
# Bokeh draws into shadow trees, which text of the document leaves out.
TEXT = """(() => {
  const collect = (node) => Array.from(node.childNodes).map((c) =>
    c.nodeType === 3 ? c.data : (c.shadowRoot ? collect(c.shadowRoot) : '') + collect(c)).join(' ');
  return collect(document.body);
})()"""


def test_names_failures_and_counts_are_shown_and_follow_the_run(client, tmp_path):
    sender, _ = bring_plugin(client)
    began = now() - 60
    summary = Summary("/data/session 12", "deepict-dask run", STATES, began=began, now=began + 60)
    sender.update(summary)
    with chromium(tmp_path) as browser:
        browser.open(page_link(client.dashboard_link))
        browser.wait(f"{TEXT}.includes('TS_03')")
        text = browser.evaluate(TEXT)
        for words in ("session 12", "running", "Failures (1)", "cut <off>", "2 fas, 30 ribosome", "3 of 8"):
            assert words in text
        later = (
            *STATES[:2],
            replace(STATES[2], state="done", particles={"fas": 77}, ended=99.0),
            *STATES[3:],
        )
        sender.update(replace(summary, tomograms=(*later, TomogramState("TS_77")), now=began + 62))
        browser.wait(f"{TEXT}.includes('77 fas') && {TEXT}.includes('TS_77')")
        foreign = [u for u in browser.requests() if not u.startswith(("data:", "http://127.0.0.1", "blob:"))]
        assert foreign == []

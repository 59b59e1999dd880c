"""The report in Chromium: it sorts, it finds, it asks nobody for anything, and it prints."""

from __future__ import annotations

import re

import pytest

from deepict_dask.campaign.report import write_report
from tests.browser import chromium
from tests.campaign.report.runs import many, plant, state, summarize

pytestmark = pytest.mark.browser
COUNTS = [20, 9, 31, 0, 100, 11]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    run = many(tmp_path_factory.mktemp("run"), COUNTS, with_image=True)
    names = [f"TS_{i:02d}" for i in range(len(COUNTS))]
    plant(run, "TS_99", {"ribosome": 5})
    marks = [
        state(name, metadata={"grid": f"g{i}", "evil": "<img src=http://127.0.0.1:9/x onerror=alert(1)>"})
        for i, name in enumerate(names)
    ]
    summarize(run, [*marks, state("TS_99"), state("TS_50", state="failed", reason="cut off")])
    return write_report(run).local_path()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


ROWS = "Array.from(document.querySelectorAll('#table tbody tr:not([hidden])'))"


def names(browser):
    return browser.evaluate(f"{ROWS}.map((r) => r.cells[0].textContent)")


def click(browser, column):
    browser.evaluate(
        f"Array.from(document.querySelectorAll('#table thead button')).find((b) => b.textContent === {column!r}).click()"
    )


def test_a_click_sorts_and_another_one_the_other_way(browser, file):
    browser.open(f"file://{file}")
    before = names(browser)
    assert before == [*(f"TS_{i:02d}" for i in range(6)), "TS_99", "TS_50"]
    click(browser, "ribosome")
    by_count = browser.evaluate(f"{ROWS}.map((r) => r.cells[2].textContent)")
    assert by_count == ["100", "31", "20", "11", "9", "5", "0", "–"]
    head = "document.querySelectorAll('#table thead th')[2].getAttribute('aria-sort')"
    assert browser.evaluate(head) == "descending"
    click(browser, "ribosome")
    assert browser.evaluate(f"{ROWS}.map((r) => r.cells[2].textContent)") == by_count[::-1]
    click(browser, "Tomogram")
    assert names(browser) == sorted(before)


def test_words_narrow_the_table(browser, file):
    browser.open(f"file://{file}")
    browser.evaluate(
        "(() => { const i = document.getElementById('filter'); i.value = 'done ts_0'; i.dispatchEvent(new Event('input')); })()"
    )
    assert names(browser) == [f"TS_{i:02d}" for i in range(6)]
    assert browser.evaluate("document.getElementById('shown').textContent") == "6 of 8"


def test_nothing_is_asked_for_and_no_foreign_script_runs(browser, file):
    browser.open(f"file://{file}")
    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert asked == [f"file://{file}"]
    assert browser.evaluate("document.querySelectorAll('.gallery img').length") == 6
    assert browser.evaluate("Array.from(document.images).every((i) => i.complete && i.naturalWidth > 100)")
    # The browser refuses what the page itself would not do.
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img id=out src=\"http://127.0.0.1:9/x.png\">')"
    )
    browser.wait("document.getElementById('out').complete")
    browser.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); })()"
    )
    assert browser.evaluate("window.ran") is None


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_the_page_is_as_wide_as_the_screen(browser, file, width):
    browser.open(f"file://{file}", width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(browser, file):
    browser.open(f"file://{file}")
    printed = browser.pdf()
    assert printed[:5] == b"%PDF-" and 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12

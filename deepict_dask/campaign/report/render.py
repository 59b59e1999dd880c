"""The page: its head, and its sections in the order in which they are read."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from deepict_dask import __version__
from deepict_dask.campaign.report import details, gallery, overview, table
from deepict_dask.campaign.report.page import Page
from deepict_dask.campaign.report.words import escaped


def render(page: Page) -> str:
    """Give the HTML of a page.

    It may load nothing: the browser is told so, and that only this page's own script may run.
    """
    style, script = _asset("page.css"), _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = escaped(page.facts.summary.folder.rstrip("/").rpartition("/")[2] or "run")
    sections = [
        overview.header(page),
        "<main>",
        overview.tiles(page),
        overview.attention(page),
        table.section(page),
        overview.distributions(page),
        gallery.section(page),
        details.timing(page),
        details.settings(page),
        details.versions(page),
        "</main>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="generator" content="deepict_dask {__version__}">\n'
        f'<meta name="deepict-fingerprint" content="{page.fingerprint}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} – particles in tomograms</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + f"\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

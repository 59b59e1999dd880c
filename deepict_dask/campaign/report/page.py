"""The page: its head, and its sections in the order in which they are read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from urllib.parse import quote

from deepict_dask import __version__
from deepict_dask.campaign.report.embedding import Pictures
from deepict_dask.campaign.report.facts import ReportFacts, TomogramFacts
from deepict_dask.campaign.report.outliers import Remark
from deepict_dask.campaign.report.words import escaped
from deepict_dask.pictures.palette import strokes


@dataclass(frozen=True, eq=False)
class Page:
    """All that a page is made of.

    Attributes
    ----------
    facts : ReportFacts
        Of the run.
    remarks : mapping of str to tuple of Remark
        Why tomograms are worth a look, by name.
    pictures : Pictures
        To be embedded.
    fingerprint : str
        Of what is shown.
    is_in_folder : bool
        Whether the page lies in the run folder, so that files there can be linked.
    """

    facts: ReportFacts
    remarks: Mapping[str, tuple[Remark, ...]]
    pictures: Pictures
    fingerprint: str = ""
    is_in_folder: bool = False

    @cached_property
    def colors(self) -> dict[str, str]:
        """Of each class, as in the pictures."""
        return {name: stroke.color for name, stroke in strokes(self.facts.classes).items()}

    @cached_property
    def anchors(self) -> dict[str, str]:
        """Of the picture of each tomogram; names may hold anything, anchors are numbered."""
        return {t.name: f"tomogram-{i}" for i, t in enumerate(self.facts.tomograms)}

    def link(self, tomogram: TomogramFacts) -> str:
        """Give a name that leads to its picture, where it has one."""
        if tomogram.name in self.pictures.by_name:
            return f'<a href="#{self.anchors[tomogram.name]}">{escaped(tomogram.name)}</a>'
        return escaped(tomogram.name)

    def file_link(self, path: str, text: str) -> str:
        """Give a link to a file of the run folder; only its text where the page lies elsewhere."""
        return (
            f'<a href="{escaped(quote(path))}">{escaped(text)}</a>'
            if self.is_in_folder and path
            else escaped(text)
        )


def render(page: Page) -> str:
    """Give the HTML of a page.

    It may load nothing: the browser is told so, and that only this page's own script may run.
    """
    from deepict_dask.campaign.report import details, gallery, overview, table

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

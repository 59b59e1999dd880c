"""All that the sections of a page are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

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

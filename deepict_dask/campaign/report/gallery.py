"""Slices of tomograms with their picks."""

from __future__ import annotations

from deepict_dask.campaign.report.facts import TomogramFacts
from deepict_dask.campaign.report.page import Page
from deepict_dask.campaign.report.words import escaped, number, whole


def section(page: Page) -> str:
    """Show a picture for each tomogram whose particles are known, those worth a look marked."""
    shown = [t for t in page.facts.tomograms if t.name in page.pictures.by_name]
    if not shown:
        return ""
    size = "large" if page.pictures.width >= 600 else "middle" if page.pictures.width >= 450 else "small"
    figures = "".join(_figure(page, t) for t in shown)
    note = "Slices in x-y and x-z through where most particles are; circles are picks, as large as they are in the slice."
    if page.pictures.note:
        note += f" {page.pictures.note}"
    return (
        f'<section id="pictures"><h2>Slices with picks</h2><p class="note">{escaped(note)}</p>'
        f'<div class="gallery {size}">{figures}</div></section>'
    )


def _figure(page: Page, t: TomogramFacts) -> str:
    picture = page.pictures.by_name[t.name]
    counts = ", ".join(f"{whole(f.n)} {f.name}" for f in t.found)
    dense = [(f, t.density(f.name)) for f in t.found]
    described = ", ".join(
        f"{whole(f.n)} {f.name}" + (f" ({number(d)} per µm³)" if d is not None else "") for f, d in dense
    )
    said = "; ".join(r.sentence for r in page.remarks.get(t.name, ()))
    remark = f'<p class="remark">{escaped(said)}</p>' if said else ""
    image = (
        f'<img alt="{escaped(f"Slices of {t.name} with {counts}")}" data-key="{picture.key}" '
        f'src="data:image/webp;base64,{picture.content}">'
        if picture.content
        else f'<p class="missing">No picture: {escaped(picture.reason)}</p>'
    )
    return (
        f'<figure class="card" id="{page.anchors[t.name]}">{image}<figcaption><h3>{escaped(t.name)}</h3>'
        f"<p>{escaped(described)}</p>{remark}</figcaption></figure>"
    )

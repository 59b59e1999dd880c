"""What ``deepict-dask view`` does: a window of napari, or a page of Neuroglancer."""

from __future__ import annotations

import os
import sys
import time

import click

from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.pictures.places import find_places
from deepict_dask.viewing import napari_viewer, neuroglancer_viewer
from deepict_dask.viewing.layers import layers_of


def view_tomogram(
    quiet: bool, *, run: str, tomogram: str | None, classes: str | None, viewer: str | None, port: int
) -> None:
    """Show one tomogram of a run until the user has seen enough."""
    places = find_places(Location.of(run), [] if tomogram is None else [tomogram])
    if len(places) > 1:
        names = ", ".join(place.name for place in places[:8])
        more = f" and {len(places) - 8} more" if len(places) > 8 else ""
        raise InputError(f"{run} holds {len(places)} tomograms; name one of them: {names}{more}")
    (place,) = places
    if not place.is_folder() or place.name.endswith(".zarr"):
        raise InputError(f"{place} is no tomogram of a run; give the run folder, and ingest tomograms first")
    chosen = viewer or _usual_viewer()
    wanted = None if classes is None else [word.strip() for word in classes.split(",") if word.strip()]
    layers = layers_of(place, wanted)
    title = f"{place.name} - deepict-dask"
    if chosen == "napari":
        if not napari_viewer.is_installed():
            raise InputError(
                "napari is not installed; run pip install 'napari[all]>=0.9', or leave out --viewer napari"
            )
        napari_viewer.show(layers, title)
        return
    if not neuroglancer_viewer.is_installed():
        raise InputError("Neuroglancer is not installed; run pip install 'deepict_dask[view]'")
    with neuroglancer_viewer.serve(layers, title, port) as page:
        click.echo(page.url)
        if not quiet:
            click.echo(
                f"{place.name} is shown there until Ctrl-C. From another machine, first:\n  {page.tunnel}",
                err=True,
            )
        sys.stdout.flush()
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            # The way to end it, also for a batch system.
            return


def _usual_viewer() -> str:
    """Choose napari where there is one and a screen for it, else Neuroglancer."""
    has_screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if napari_viewer.is_installed() and (has_screen or not neuroglancer_viewer.is_installed()):
        return "napari"
    if neuroglancer_viewer.is_installed():
        return "neuroglancer"
    raise InputError(
        "there is neither napari nor Neuroglancer to look with; run pip install 'deepict_dask[view]' (a page in the "
        "browser), or pip install 'napari[all]>=0.9' (a window)"
    )

"""What the commands that draw do once they have been understood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deepict_dask.cli.failure import exit_with, report_error
from deepict_dask.errors import InputError
from deepict_dask.io.location import Location
from deepict_dask.pictures import GALLERY, SNAPSHOT, write_gallery, write_snapshot
from deepict_dask.pictures.look import Look
from deepict_dask.pictures.places import find_places, picture_of
from deepict_dask.tomogram import angstrom, by


def draw_snapshots(
    quiet: bool,
    *,
    run: str,
    tomograms: Sequence[str],
    output: Path | None,
    image: str,
    classes: str | None,
    particles: str | None,
    truth: str | None,
    slices: int,
    z: str | None,
    y: str | None,
    thickness: float,
    contrast: str,
    gaussian: float,
    diameter: float | None,
    width: int,
    gallery: bool,
    most: int,
    box: float | None,
    overwrite: bool,
) -> None:
    """Draw tomograms one by one and say where the pictures are; one that fails does not stop the others."""
    low_high = _numbers(contrast, "--contrast")
    if len(low_high) != 2:
        raise InputError(f"--contrast takes two percentiles, such as 1,99, not {contrast!r}")
    look = Look(
        image=image,
        classes=_words(classes),
        slices=slices,
        z=_numbers(z, "--z"),
        y=_numbers(y, "--y"),
        thickness=thickness,
        contrast=(low_high[0], low_high[1]),
        gaussian=gaussian,
        diameter=diameter,
        width=width,
    )
    places = find_places(Location.of(run), tomograms)
    where = None if output is None else Location.of(output)
    usual = GALLERY if gallery else SNAPSHOT
    targets = [picture_of(p, where, usual, is_alone=len(places) == 1) for p in places]
    table = None if particles is None else Location.of(particles)
    codes = []
    for place, target in zip(places, targets, strict=True):
        try:
            if gallery:
                written = write_gallery(
                    place, target, look, most=most, box=box, particles=table, overwrite=overwrite
                )
            else:
                second = None if truth is None else Location.of(truth)
                written = [
                    write_snapshot(place, target, look, particles=table, truth=second, overwrite=overwrite)
                ]
        except Exception as error:
            codes.append(report_error(error, place.name))
            continue
        if not quiet:
            click.echo("\n".join(map(str, written)))
    exit_with(codes, len(places))


def write_map(
    quiet: bool,
    *,
    image: str,
    output: Path,
    class_name: str | None,
    dtype: str | None,
    gaussian: float,
    overwrite: bool,
) -> None:
    """Export an image and say what the values of the file mean."""
    from deepict_dask.cli.terminal import TerminalReporter
    from deepict_dask.stages.exporting.export_map import export_map

    reporter = TerminalReporter(quiet)
    exported = export_map(
        Location.of(image),
        Location.of(output),
        class_name=class_name,
        dtype=dtype,
        sigma=gaussian * 10,
        overwrite=overwrite,
        reporter=reporter,
    )
    form = exported.form
    x, y, z = (f"{value:g}" for value in reversed(form.origin))
    reporter.say(
        f"{exported.place}: {by(form.shape)} voxels of {angstrom(form.voxel_size)} (z, y, x), {form.dtype}, "
        f"{exported.meaning}; origin {x}, {y}, {z} A (x, y, z)"
    )


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str | None, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in (text or "").split(",") if word.strip())
    except ValueError:
        raise InputError(f"{option} takes numbers separated by commas, not {text!r:.80}") from None

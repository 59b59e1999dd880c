"""The report of a run: one HTML file that needs nothing else, for whoever was not there."""

from __future__ import annotations

import hashlib
import re

from deepict_dask.campaign.report.gather import gather
from deepict_dask.campaign.summary import read_summary
from deepict_dask.errors import InputError, OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.stages.report import Reporter

FILE = "report.html"
_GENERATOR = re.compile(r'<meta name="generator" content="deepict_dask ')
_FINGERPRINT = re.compile(r'<meta name="deepict-fingerprint" content="([0-9a-f]*)">')
_HEAD = 4096


def write_report(run: Location, output: Location | None = None, *, overwrite: bool = False) -> Location:
    """Write the report of a run folder.

    Parameters
    ----------
    run : Location
        The run folder; a command may write to it meanwhile, of which complete tomograms are shown.
    output : Location, optional
        The file; ``report.html`` in the run folder unless given.
    overwrite : bool
        Whether something else than a report of this program may be replaced.

    Returns
    -------
    Location
        The file.

    Raises
    ------
    InputError
        If there is no run, or the file's name does not end in .html or .htm.
    OutputExistsError
        If something else is in the way.
    """
    from deepict_dask.campaign.report.embedding import embed
    from deepict_dask.campaign.report.outliers import remarks
    from deepict_dask.campaign.report.page import Page
    from deepict_dask.campaign.report.render import render

    output = output or run / FILE
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"the report {output} is a web page; let its name end in .html")
    if output.exists() and not overwrite and not _is_ours(output):
        raise OutputExistsError(
            f"{output} exists and is no report of this program; use --overwrite to replace it, or another --output"
        )
    seen = fingerprint(run) if run.is_folder() else ""
    facts = gather(run)
    said = remarks(facts)
    # Where not all of them fit, what is unusual is shown first.
    names = sorted((t.name for t in facts.complete), key=lambda name: name not in said)
    earlier = output.read_text() if output.is_file() and _is_ours(output) else ""
    pictures = embed(run, names, earlier)
    return output.write(render(Page(facts, said, pictures, seen, output.parent == run)))


def leave_report(run: Location, reporter: Reporter) -> Location | None:
    """Leave the report in a run folder, as a run does; what goes wrong is said and costs nothing else.

    Parameters
    ----------
    run : Location
        Where the summary and all tables are written already.
    reporter : Reporter
        Told where it is, or why there is none.

    Returns
    -------
    Location or None
        The report; None where it could not be written. One that shows the same already is left alone.
    """
    try:
        file = run / FILE
        if (
            file.is_file()
            and (known := _FINGERPRINT.search(_head(file)))
            and known.group(1) == fingerprint(run)
        ):
            return file
        file = write_report(run)
        reporter.say(f"report: {file}")
        return file
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        reporter.warn(f"no report was written ({reason}); the results are not touched by that")
        return None


def fingerprint(run: Location) -> str:
    """Give a digest of what a report shows, from small files only: it says when there is nothing new to be reported.

    States count as far as they are failures: that everything was kept is no news.
    """
    seen = hashlib.sha256()
    summary = read_summary(run)
    for t in summary.tomograms if summary is not None else ():
        over = "done" if t.state in ("done", "kept", "elsewhere") else t.state
        seen.update(repr((t.name, over, t.reason, sorted(t.metadata.items()))).encode())
    for place in [run, *sorted(c for c in run.children() if c.is_folder() and not c.name.startswith("."))]:
        for file in sorted(place.children()):
            if (place == run and file.name == "settings.yaml") or (
                place != run and file.name.startswith("particles") and file.suffix == ".json"
            ):
                seen.update(f"{place.name}/{file.name}".encode())
                seen.update(file.read_bytes())
    return seen.hexdigest()


def _is_ours(file: Location) -> bool:
    return file.is_file() and _GENERATOR.search(_head(file)) is not None


def _head(file: Location) -> str:
    return file.read_bytes()[:_HEAD].decode("utf-8", "replace")

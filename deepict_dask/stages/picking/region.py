"""The region that particles of a class are allowed in: opened, described, and read once where nothing is known of it."""

from __future__ import annotations

import math

from deepict_dask.stages.contents import file_of, read_contents
from deepict_dask.stages.picking.findings import Region
from deepict_dask.stages.picking.jobs import PickJob
from deepict_dask.stages.tables import TableRecord
from deepict_dask.stages.work import Work

SHARE = "region_share"
"""How much of the tomogram lies inside, between 0 and 1; recorded with the particles, as their density needs it."""


def read_region(job: PickJob, record: TableRecord | None, work: Work) -> Region:
    """Open the region of a class, check its values and take its checksum; say how much of the tomogram lies inside.

    Parameters
    ----------
    job : PickJob
        Whose region.
    record : TableRecord or None
        Of the tables that are there: a file that was not touched since is not read again.
    work : Work
        Follows the blocks.

    Returns
    -------
    Region
        With the checksum of its file.

    Raises
    ------
    InputError
        If it holds NaN, or values between 0 and 1 and no threshold is given.
    """
    if job.rules.region is None:
        return Region()
    source, mask = job.open_region()
    for sentence in source.volume.warnings:
        work.reporter.warn(sentence)
    threshold = job.settings.region_threshold or 0.0
    before = None if record is None else record.made_by
    if before is not None and (before.settings.get("region_threshold") or 0.0) != threshold:
        # Another part of the mask is inside than was counted then.
        before = None
    file = file_of(source, None if before is None else before.file("region"))
    share = None if before is None else before.recorded.get(SHARE)
    if file.checksum is None:
        place = (source.path, threshold)
        is_said = place in work.regions
        if not is_said:
            # Once for all classes that it is the region of.
            work.regions[place] = read_contents(source, work, job.folder, threshold=threshold)
        contents = work.regions[place]
        mask.check_values(has_nan=contents.n_nan > 0, has_between=contents.n_between > 0)
        file, n_inside = contents.file, contents.n_inside
        total = math.prod(source.shape)
        share = n_inside / total
        sentence = (
            f"{job.tomogram}: {100 * n_inside / total:.3g} % of the region mask {source.name} is inside"
        )
        if is_said:
            pass
        elif n_inside in (0, total):
            word = "nothing" if n_inside == 0 else "everything"
            work.reporter.warn(
                f"{sentence}: {word} of {source.path} is above {threshold:g}; check that it is the right mask"
            )
        else:
            work.reporter.say(sentence)
    return Region(file, mask, share)

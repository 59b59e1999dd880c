"""Dask's settings for workers that this program starts: its defaults and ours, whatever a user has set for others."""

from __future__ import annotations

import copy
import os
from typing import Any

# What Dask does when a worker fills up. Spilling is of no use here: what lies in memory are blocks in
# work, not results. Queuing (saturation 1) keeps blocks from being read before a thread can take them.
BEHAVIOR = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.85,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.allowed-failures": 3,
    "distributed.comm.timeouts.connect": "60s",
}


def own_settings() -> dict[str, Any]:
    """Give the settings to compute with, for ``dask.config.set``.

    A user's lifetimes, time-outs, encryption, preloads, protocols are made for other clusters, and some of them end or
    hang a run on this machine. Kept are the link to the dashboard, where it can be written here, and the folder for
    temporary files, where there is one.
    """
    import dask
    import distributed.config  # noqa: F401  (its defaults are known from here on)

    settings: dict[str, Any] = copy.deepcopy(dask.config.merge(*dask.config.defaults))
    link = dask.config.get("distributed.dashboard.link", None)
    try:
        link.format(**os.environ | {"scheme": "http", "host": "127.0.0.1", "port": "1"})
    except (AttributeError, LookupError, ValueError):
        # Made for another session, with variables that this one does not have.
        link = None
    folder = dask.config.get("temporary-directory", None)
    usable = isinstance(folder, str) and os.path.isdir(folder) and os.access(folder, os.W_OK)
    changes = BEHAVIOR | ({"distributed.dashboard.link": link} if link else {})
    for name, value in changes.items():
        *path, last = name.split(".")
        section = settings
        for step in path:
            section = section[step]
        section[last] = value
    settings["temporary-directory"] = folder if usable else None
    return settings

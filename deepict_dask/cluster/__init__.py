"""From settings to a Dask client; knows no tomograms."""

from deepict_dask.cluster.local import connect, local_plan

__all__ = ["connect", "local_plan"]

"""How blocks meet: lazy Dask graphs over the kernels, or one small table."""

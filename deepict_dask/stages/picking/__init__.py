"""Picking: from stored probability maps to tables of particles.

`maps` finds and opens what is picked from, `jobs` says what is picked of it, `pick` is the stage, `region` and `outputs` are
what it reads and writes, and `again` does it once more for the maps of runs.
"""

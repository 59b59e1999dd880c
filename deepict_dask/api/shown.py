"""A tomogram from Python as it is asked to be shown: without some voxels, limited, inverted; and doubts about it."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepict_dask.api.tomograms import like

if TYPE_CHECKING:
    import dask.array as da
    import xarray


@dataclass(frozen=True)
class Seen:
    """A tomogram as it is asked to be shown.

    Attributes
    ----------
    opened : xarray.DataArray
        As it was given.
    source : dask.array.Array
        Its voxels.
    array : dask.array.Array or stored array
        The voxels as they are shown.
    facts : Delayed or None
        Of a pair (`Conditioning`, `Statistics`); None where nothing was asked for.
    value : float or None
        Of voxels that are left out.
    """

    opened: xarray.DataArray
    source: da.Array
    array: Any
    facts: Any = None
    value: float | None = None

    @classmethod
    def of(
        cls, opened: xarray.DataArray, clip: float | None, ignore_value: float | None, invert: bool
    ) -> Seen:
        """Ask for it; SettingsError if a setting is out of range."""
        from deepict_dask.config import load_settings
        from deepict_dask.engine.conditioning import condition_lazily
        from deepict_dask.engine.shown import conditioned

        source = lazily(opened)
        options = {"clip": clip, "ignore_value": ignore_value, "invert": invert}
        conditions = load_settings(None, options).ingest.conditions
        if not conditions:
            return cls(opened, source, source)
        facts = condition_lazily(source, **conditions)
        return cls(opened, source, conditioned(source, facts[0]), facts, conditions.get("ignore_value"))

    def statistics(self) -> Any:
        """Mean and standard deviation that the network needs, lazily; doubts about the voxels are Python warnings."""
        from dask import delayed

        from deepict_dask.engine.conditioning import counted_lazily

        if self.facts is not None:
            return self.facts[1]
        name = str(self.opened.name or "the tomogram")
        return delayed(_with_warnings)(counted_lazily(self.source), name, self.source.dtype)

    @property
    def spectrum_facts(self) -> dict[str, Any]:
        """What is known for a spectrum, lazily; nothing where nothing was asked for."""
        if self.facts is None:
            return {}
        return {name: getattr(self.facts[1], name) for name in ("mean", "minimum", "maximum")}

    def like(self, made: da.Array, after: Any) -> xarray.DataArray:
        """Make a tomogram of what was made of this one, in a pass that began after some result was there."""
        from deepict_dask.engine.passes import again
        from deepict_dask.engine.shown import with_holes

        if self.value is None:
            return like(self.opened, made)
        return like(
            self.opened, with_holes(made, again(self.source, after), self.value), ignore_value=self.value
        )


def _with_warnings(counted: Any, name: str, dtype: Any) -> Any:
    """Warn of voxels that spoil what a network sees: where this is computed, and at the client of a cluster."""
    from deepict_dask.stages.doubts import doubts

    statistics, occurrences = counted
    for sentence in doubts(statistics, occurrences, name, dtype):
        if "distributed" in sys.modules:
            from distributed.worker import warn

            warn(sentence)
        else:
            warnings.warn(sentence, stacklevel=2)
    return statistics


def lazily(opened: xarray.DataArray) -> da.Array:
    """Give the voxels of a tomogram as a Dask array."""
    import dask.array as da

    return opened.data if isinstance(opened.data, da.Array) else da.from_array(opened.data)

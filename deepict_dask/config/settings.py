"""The settings of a run. A name here is the name in the YAML, on the command line and in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    FieldSerializationInfo,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from deepict_dask.config.merging import merge_trees
from deepict_dask.config.pick import ClassPickSettings, PickSettings
from deepict_dask.config.section import Clip, PositiveLength, Section, VoxelSize, VoxelValue
from deepict_dask.names import first_duplicate, what_is_wrong


class IngestSettings(Section):
    """Conversion to chunked OME-Zarr."""

    voxel_size: VoxelSize | None = Field(
        None, description="Voxel size in A (one number, or z,y,x); overrides what the file's header says."
    )
    zarr_version: Literal["0.5", "0.4"] = Field(
        "0.5", description="OME-Zarr version of what is written: 0.5 (Zarr v3, sharded) or 0.4 (Zarr v2)."
    )
    dataset: str | None = Field(
        None,
        description="Dataset inside an HDF5 file, or image inside a Zarr group; needed where there are several.",
    )
    channel: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Which of several channels of a file, from 0; needed where it holds several."
    )
    axes: Literal["xyz", "xzy"] | None = Field(
        None,
        description="How the axes lie in the file, the fastest first; xzy: as IMOD's tilt leaves a tomogram. "
        "None: as the header says.",
    )
    use_origin: bool = Field(False, description="Add the origin in the file's header to the positions in A.")
    clip: Clip | None = Field(
        None,
        description="Hot voxels: show those farther than so many standard deviations from the mean as if they were "
        "there, mean and standard deviation being those of the others. What is stored stays; nothing is ingested again.",
    )
    ignore_value: VoxelValue | None = Field(
        None,
        description="Padding: leave voxels of this value out of mean, standard deviation, spectrum and picking; networks "
        "see the mean there. What is stored stays; nothing is ingested again.",
    )
    invert: bool = Field(
        False,
        description="Change the sign of the voxels: bright particles for a network that was trained on dark ones, or the "
        "reverse. What is stored stays; nothing is ingested again.",
    )

    @property
    def conditions(self) -> dict[str, Any]:
        """How voxels are shown that would spoil others, as far as it is asked for; empty if it is not."""
        asked = {"clip": self.clip, "ignore_value": self.ignore_value, "invert": self.invert}
        return {name: value for name, value in asked.items() if value not in (None, False)}


class EqualizeSettings(Section):
    """Amplitude-spectrum equalization; skipped without a target."""

    target_spectrum: str | None = Field(
        None, description="What to equalize to: a spectrum (.tsv) or another tomogram. None: no equalization."
    )
    convention: Literal["physical", "deepict"] = Field(
        "physical",
        description="physical: isotropic, frequencies in 1/A; deepict: as the original does it, by index.",
    )
    cutoff: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Low-pass cutoff: in A (physical), or a shell index (deepict)."
    )
    smooth: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="physical: smoothing of the gain in frequency bins (default 2); "
        "deepict: softness of the cutoff, as the original's.",
    )


class SegmentSettings(Section):
    """Inference with a U-Net, in 3D or slice by slice."""

    model: str | None = Field(
        None, description="Checkpoint: .safetensors, or the original's .pth or (2D network) .h5."
    )
    tiling: Literal["exact", "deepict"] = Field(
        "exact",
        description="exact: the map of one pass over the whole tomogram; deepict: the original's 64-voxel boxes, "
        "or its tiles of 288 pixels for a 2D network.",
    )
    runtime: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        description="What runs the network: auto is OpenVINO on CPUs where it is installed, else torch.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a CUDA device if there is one.")
    rescale: bool = Field(
        False, description="Resample the tomogram to the voxel size that the network was trained at."
    )
    model_voxel_size: PositiveLength | None = Field(
        None, description="Voxel size in A the network was trained at, where its model card does not say."
    )
    precision: Literal["float32"] = Field("float32", description="Of the network's arithmetic.")
    dtype: Literal["uint8", "float16", "float32"] = Field(
        "uint8", description="How probabilities are stored; uint8 holds multiples of 1/255."
    )
    block: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        None,
        description="Largest edge in voxels of the block that one task computes (without its halo); for a 2D network "
        "the block has about as many voxels, in few slices. None: that of the map "
        "that is there, else 208, or less where workers have not the memory; what was taken is in NAME/settings.yaml.",
    )
    z_cutoff: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="2D networks: map only so many slices around the center, standardized by themselves; the others are 0. "
        "None: all.",
    )
    z_smoothing: Annotated[float, Field(ge=0, le=100)] | None = Field(
        None,
        description="2D networks: smooth the map along z by a Gaussian of this standard deviation in slices; 0: not at "
        "all. None: 5.",
    )


class ClusterSettings(Section):
    """Who computes: a running scheduler, or workers on this machine."""

    scheduler: str | None = Field(
        None, description="Address of a running Dask scheduler (tcp://...). None: workers on this machine."
    )
    workers: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Worker processes. None: one per four cores."
    )
    threads: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Threads of each worker. None: workers x threads = cores."
    )
    memory_limit: str | None = Field(
        None, description="Memory of each worker, such as 4GB. None: 90 % of the machine's, shared equally."
    )
    window: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="Most tomograms in flight at a time. None: as many as keep the threads of all workers busy.",
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        1,
        description="How often a tomogram whose workers died is tried again, alone, before it is set aside.",
    )
    dashboard_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None,
        description="Port of the Dask dashboard; 0 takes any free one. None: 8787, or any if it is taken.",
    )


class PickOverrides(PickSettings):
    """What is picked otherwise in one tomogram; checked and completed with the settings that it lies over."""

    @field_validator(*(field.name for field in fields(ClassPickSettings)))
    @classmethod
    def _other_classes_are_said(cls, value: Any, info: ValidationInfo) -> Any:
        return value

    @model_validator(mode="after")
    def _sizes_leave_something(self) -> Self:
        return self


class TomogramOverrides(Section):
    """What one tomogram has otherwise: of these settings only those that are given."""

    ingest: IngestSettings = IngestSettings()
    equalize: EqualizeSettings = EqualizeSettings()
    segment: SegmentSettings = SegmentSettings()
    pick: PickOverrides = PickOverrides()

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, sections: Any) -> Any:
        if sections is None:
            return {}
        if not isinstance(sections, Mapping):
            return sections
        if "cluster" in sections:
            raise ValueError(
                "settings of the cluster are those of the whole run, and no tomogram has its own"
            )
        return {key: value for key, value in sections.items() if value is not None}

    def by_section(self) -> dict[str, dict[str, Any]]:
        """Give what is set, by section."""
        return self.model_dump(exclude_unset=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TomogramOverrides) and self.by_section() == other.by_section()

    __hash__ = None  # type: ignore[assignment]


class Settings(Section):
    """All settings of ``deepict-dask run``."""

    ingest: IngestSettings = IngestSettings()
    equalize: EqualizeSettings = EqualizeSettings()
    segment: SegmentSettings = SegmentSettings()
    pick: PickSettings = PickSettings()
    cluster: ClusterSettings = ClusterSettings()
    tomograms: dict[str, TomogramOverrides] = Field(
        {},
        description="What single tomograms have otherwise, by their names: TS_014: {pick: {threshold: 0.4}}.",
    )

    @field_validator("tomograms")
    @classmethod
    def _names_can_be_names(cls, tomograms: dict[str, TomogramOverrides]) -> dict[str, TomogramOverrides]:
        for name in tomograms:
            if (wrong := what_is_wrong(name)) is not None:
                raise ValueError(f"the tomogram {name!r:.120} {wrong}; give it as outputs are named")
        if twice := first_duplicate(list(tomograms)):
            raise ValueError(f"the tomogram {twice!r} is named twice; give all of its settings in one place")
        return tomograms

    @field_serializer("tomograms")
    def _only_what_is_given(
        self, tomograms: dict[str, TomogramOverrides], info: FieldSerializationInfo
    ) -> dict[str, Any]:
        mode = "json" if info.mode_is_json() else "python"
        return {
            name: overrides.model_dump(mode=mode, exclude_unset=True) for name, overrides in tomograms.items()
        }

    @model_validator(mode="after")
    def _each_tomogram_has_valid_settings(self) -> Self:
        for name in self.tomograms:
            try:
                self.for_tomogram(name)
            except ValidationError as error:
                reason = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"tomograms.{name}: {reason}") from None
        return self

    def for_tomogram(self, name: str) -> Settings:
        """Give the settings of one tomogram: its own over those of the run.

        Parameters
        ----------
        name : str
            As outputs are named; one without settings of its own has the run's.

        Returns
        -------
        Settings
            Without ``tomograms``.

        Examples
        --------
        >>> settings = Settings(tomograms={"TS_014": {"pick": {"threshold": 0.4}}})
        >>> settings.for_tomogram("TS_014").pick.threshold, settings.for_tomogram("TS_015").pick.threshold
        (0.4, None)
        """
        common = self.model_dump(exclude={"tomograms"})
        overrides = self.tomograms[name].by_section() if name in self.tomograms else {}
        return Settings.model_validate(merge_trees(Settings, common, overrides))

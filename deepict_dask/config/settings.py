"""The settings of a run. A name here is the name in the YAML, on the command line and in Python."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Section(BaseModel):
    """What all settings share: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _per_axis(value: object) -> object:
    """Let one number stand for all three axes, and ``"a,b,c"`` for a list, as a command line writes it."""
    if isinstance(value, str):
        value = [part for part in value.replace(",", " ").split() if part]
        value = value[0] if len(value) == 1 else value
    if isinstance(value, (int, float, str)):
        return (value, value, value)
    return value


PositiveLength = Annotated[float, Field(gt=0, le=10_000)]
VoxelSize = Annotated[tuple[PositiveLength, PositiveLength, PositiveLength], BeforeValidator(_per_axis)]
Thickness = Annotated[int, Field(ge=0)]
Border = Annotated[tuple[Thickness, Thickness, Thickness], BeforeValidator(_per_axis)]


class IngestSettings(Section):
    """Conversion to chunked OME-Zarr."""

    voxel_size: VoxelSize | None = Field(
        None, description="Voxel size in A (one number, or z,y,x); overrides what the file's header says."
    )
    zarr_version: Literal["0.5", "0.4"] = Field(
        "0.5", description="OME-Zarr version of what is written: 0.5 (Zarr v3, sharded) or 0.4 (Zarr v2)."
    )
    dataset: str | None = Field(
        None, description="Dataset inside an HDF5 file; needed where it holds several."
    )


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
    """Inference with the 3D U-Net."""

    model: str | None = Field(None, description="Checkpoint: .safetensors, or the original's .pth.")
    tiling: Literal["exact", "deepict"] = Field(
        "exact",
        description="exact: the map of one pass over the whole tomogram; deepict: the original's 64-voxel boxes.",
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
    dtype: Literal["uint8", "float16", "float32"] = Field(
        "uint8", description="How probabilities are stored; uint8 holds multiples of 1/255."
    )
    block: Annotated[int, Field(ge=8, le=1024)] = Field(
        208, description="Largest edge in voxels of the block that one task computes (without its halo)."
    )


class PickSettings(Section):
    """From probability map to particles."""

    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="A voxel belongs to a particle if its probability is above this."
    )
    min_size: Annotated[int, Field(ge=0)] = Field(
        100, description="Components of this many voxels or fewer are dropped."
    )
    max_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Components of more voxels than this are dropped. None: no limit."
    )
    connectivity: Literal[6, 18, 26] = Field(26, description="Neighbors that connect two voxels.")
    border: Border = Field(
        (0, 0, 0), description="Thickness in voxels (one number, or z,y,x) at the tomogram's edges left out."
    )
    region: str | None = Field(
        None,
        description="Region mask of the tomogram's shape; particles are picked where it is not 0. "
        "{name} stands for the tomogram's name.",
    )
    classes: list[str] | None = Field(None, description="Classes to pick. None: all that the network knows.")
    formats: list[Literal["csv", "motl", "star", "parquet"]] = Field(
        ["csv"], min_length=1, description="Tables to write: csv, motl, star, parquet."
    )
    write_labels: bool = Field(False, description="Also write the label image as OME-Zarr.")

    @model_validator(mode="after")
    def _sizes_leave_something(self) -> PickSettings:
        if self.max_size is not None and self.max_size <= self.min_size:
            raise ValueError(
                f"max_size {self.max_size} must be larger than min_size {self.min_size}, or no size is left"
            )
        return self


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
    dashboard_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None,
        description="Port of the Dask dashboard; 0 takes any free one. None: 8787, or any if it is taken.",
    )


class Settings(Section):
    """All settings of ``deepict-dask run``."""

    ingest: IngestSettings = IngestSettings()
    equalize: EqualizeSettings = EqualizeSettings()
    segment: SegmentSettings = SegmentSettings()
    pick: PickSettings = PickSettings()
    cluster: ClusterSettings = ClusterSettings()

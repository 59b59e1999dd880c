"""Torch's global switches, for the length of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from deepict_dask.networks.allocator import freed_memory_kept
from deepict_dask.networks.training.recipe import Precision, Recipe


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Give the dtype of mixed precision; float32 for none."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


@contextmanager
def torch_switches(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Set torch's global switches for the length of a training; random state is given back as it was."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    on_gpu = device.type == "cuda"
    memory = nullcontext() if on_gpu else freed_memory_kept()
    with memory, torch.random.fork_rng(devices=[device] if on_gpu else []):
        try:
            if recipe.threads:
                torch.set_num_threads(recipe.threads)
            if on_gpu:
                # On a CPU everything is deterministic already.
                torch.use_deterministic_algorithms(recipe.deterministic, warn_only=True)
                torch.backends.cudnn.benchmark = not recipe.deterministic
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)

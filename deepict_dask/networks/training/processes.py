"""One process, or one per GPU: what the loop needs to know of the others."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepict_dask.errors import InputError, WorkError

# Seconds to wait for other processes to say what they died of, or to end.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Team:
    """One process among those that train together.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and how many there are.
    device : torch.device
        What this process computes on.
    """

    rank: int
    size: int
    device: torch.device

    def wrap(self, network: nn.Module) -> nn.Module:
        """Let the gradients of a network (on the device already) be averaged over the team."""
        if self.size == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        on_gpu = self.device.type == "cuda"
        if on_gpu:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(network, device_ids=[self.device.index] if on_gpu else None)

    def total(self, sums: Tensor) -> Tensor:
        """Add up a tensor over the team; gradients pass.

        With the averaged gradients of `wrap`, the gradient of a function of the total is the one that
        a single process would find.
        """
        if self.size == 1:
            return sums
        total = sums.detach().clone()
        torch.distributed.all_reduce(total)
        # The value is the total's; the slope is ours, times the size that averaging divides by.
        return total + self.size * (sums - sums.detach())

    def agree(self, value: float) -> float:
        """Give everyone the first process's number."""
        if self.size == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(box, src=0)
        return float(box.item())


def choose_device(device: str) -> str:
    """Give ``"cuda"`` or ``"cpu"``.

    Raises
    ------
    InputError
        If there is no GPU where one is asked for.
    """
    has_gpus = torch.cuda.is_available()
    if device == "cuda" and not has_gpus:
        raise InputError("device is cuda, but torch finds no CUDA GPU here; use device: cpu or auto")
    return "cuda" if has_gpus and device != "cpu" else "cpu"


def team_size(kind: str, n_processes: int | None, batch_size: int) -> int:
    """Decide how many processes train together.

    Raises
    ------
    InputError
        If there are not that many GPUs, or a batch cannot be shared equally.
    """
    gpus = torch.cuda.device_count() if kind == "cuda" else 0
    if kind == "cuda" and n_processes is not None and n_processes > gpus:
        raise InputError(f"{n_processes} GPUs are asked for, but torch finds {gpus}; use gpus: {gpus}")
    size = n_processes or max(gpus, 1)
    if n_processes is None:
        # All GPUs that a batch can be shared out to equally.
        size = max(n for n in range(1, size + 1) if batch_size % n == 0)
    if batch_size % size:
        raise InputError(
            f"batch_size {batch_size} cannot be shared equally by {size} processes; use a multiple of {size}"
        )
    return size


def train_together(
    size: int, kind: str, work: Callable[..., Any], own_arguments: tuple, other_arguments: tuple
) -> Any:
    """Run ``work(team, *arguments)`` in this process and, for a larger team, in others beside it.

    Parameters
    ----------
    size : int
        Processes of the team.
    kind : str
        ``"cpu"`` or ``"cuda"``.
    work : callable
        A function of a module.
    own_arguments, other_arguments : tuple
        Arguments in this process, which has rank 0, and in the others, where they must be picklable.

    Returns
    -------
    Any
        What the work gives in this process.
    """
    if size == 1:
        return work(
            Team(0, 1, torch.device(kind, 0) if kind == "cuda" else torch.device("cpu")), *own_arguments
        )
    from torch.multiprocessing.spawn import start_processes

    with tempfile.TemporaryDirectory(prefix="deepict_dask_team_") as folder:
        other_processes = start_processes(
            _enter, (size, kind, folder, work, other_arguments), nprocs=size - 1, join=False
        )
        assert other_processes is not None
        patience = 0.0
        try:
            with _joined(0, size, kind, folder) as team:
                result = work(team, *own_arguments)
            patience = _PATIENCE
            return result
        except RuntimeError as error:
            # Where another process died, what is seen here is a lost connection.
            last_words = (
                None if isinstance(error, WorkError) else _last_words(folder, other_processes.processes)
            )
            if last_words is None:
                raise
            raise WorkError(f"one of the training processes failed: {last_words}") from error
        finally:
            for process in other_processes.processes:
                # After a failure the others may wait for this one for ever.
                process.join(patience)
                if process.is_alive():
                    process.terminate()
                    process.join(_PATIENCE)
                if process.is_alive():
                    # One that waits inside gloo does not hear a signal that Python has to handle.
                    process.kill()
                    process.join()


def _enter(index: int, size: int, kind: str, folder: str, work: Callable[..., Any], arguments: tuple) -> None:
    code = 0
    try:
        with _joined(index + 1, size, kind, folder) as team:
            work(team, *arguments)
    except BaseException as error:
        (Path(folder) / f"failed_{index}").write_text(" ".join(f"{type(error).__name__}: {error}".split()))
        code = 1
    # gloo's threads end the interpreter with an abort now and then; all is said and written by now.
    sys.stderr.flush()
    os._exit(code)


def _last_words(folder: str, processes: list[Any]) -> str | None:
    """Say what another process died of, waiting a little for it; the one that died first counts."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and all(process.is_alive() for process in processes):
        time.sleep(0.05)
    notes = sorted(Path(folder).glob("failed_*"), key=lambda note: note.stat().st_mtime_ns)
    return notes[0].read_text() if notes else None


@contextmanager
def _joined(rank: int, size: int, kind: str, folder: str) -> Iterator[Team]:
    import torch.distributed as dist

    device = torch.device("cuda", rank) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(device)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group(
        "nccl" if kind == "cuda" else "gloo", init_method=meeting, rank=rank, world_size=size
    )
    try:
        yield Team(rank, size, device)
    finally:
        dist.destroy_process_group()

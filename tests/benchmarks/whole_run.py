"""Time a whole run against one bare forward pass of torch over the same voxels.

    python -m tests.benchmarks.whole_run [TOMOGRAM] [--model MODEL] [--runtime openvino torch] [--repeat 3]

The bare pass is the yardstick: the network in torch, channels_last, all cores, blocks of 128^3 without
halos, voxels already standardized in memory. It is timed before and after each run in the same
process, since other work on a machine comes and goes; the run's workers are separate processes.
Without a tomogram it takes the shared phantom, or else a simulated one of the same size and the bundled network.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

CORES = len(os.sched_getaffinity(0))


def bare_pass(model: str, volume: np.ndarray) -> float:
    """Seconds of one torch pass over standardized voxels, as good as torch alone can do it."""
    import torch

    from deepict_dask.networks.checkpoint import load_checkpoint
    from deepict_dask.networks.torch_runtime import build_module

    torch.set_num_threads(CORES)
    loaded = load_checkpoint(model)
    net = build_module(loaded.architecture, loaded.state).eval().to(memory_format=torch.channels_last_3d)
    edges = [range(0, n, 128) for n in volume.shape]
    blocks = [volume[z : z + 128, y : y + 128, x : x + 128] for z, y, x in product(*edges)]
    blocks = [b for b in blocks if min(b.shape) >= 4]
    batches = [
        torch.from_numpy(np.ascontiguousarray(b))[None, None].to(memory_format=torch.channels_last_3d)
        for b in blocks
    ]
    with torch.inference_mode():
        torch.sigmoid(net(batches[0]))
        start = time.perf_counter()
        for batch in batches:
            torch.sigmoid(net(batch))
        return time.perf_counter() - start


def main() -> None:
    """Measure and print a table; figures go into the README by hand."""
    shared = Path(os.environ.get("DEEPICT_DASK_SHARED", Path(__file__).parents[3] / "shared"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tomogram", nargs="?", default=str(shared / "data/phantom/TS_014/tomogram.mrc"))
    parser.add_argument("--model", default=str(shared / "reference/models/ribosome_vpp_IF4_D2_BN.pth"))
    parser.add_argument("--runtime", nargs="+", default=["openvino", "torch"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--block", type=int)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if not Path(a.tomogram).exists() or not Path(a.model).exists():
        from deepict_dask.data import demo_network_path
        from tests.benchmarks.large import make

        a.tomogram, a.model = (
            str(Path(tempfile.mkdtemp(prefix="benchmark"), "cell.mrc")),
            str(demo_network_path()),
        )
        make(Path(a.tomogram), (128, 400, 400))
    if a.bare:
        from deepict_dask.io.source import open_source
        from deepict_dask.kernels.probability import standardize

        voxels = open_source(a.tomogram)[:]
        volume = standardize(voxels, float(voxels.mean(dtype="f8")), float(voxels.std(dtype="f8")))
        print(json.dumps(bare_pass(a.model, volume)))
    elif a.one:
        print(json.dumps(one_run(a)))
    else:
        compare(a)


def one_run(a: argparse.Namespace) -> dict[str, float]:
    """Run the job once on a fresh cluster; seconds by stage, tasks per block, memory."""
    from distributed import SchedulerPlugin

    from deepict_dask.campaign.plan import plan_run
    from deepict_dask.campaign.run import run
    from deepict_dask.cluster import connect, local_plan
    from deepict_dask.config import load_settings
    from deepict_dask.io.location import Location

    class Finished(SchedulerPlugin):
        name = "finished"
        n = 0

        def transition(self, key, start, finish, *args, **kwargs):
            self.n += start == "processing" and finish == "memory"

    options = {"model": a.model, "runtime": a.one, "min_size": 300, "connectivity": 6, "dashboard_port": 0}
    settings = load_settings(None, {**options, "workers": a.workers, "block": a.block})
    folder = Path(tempfile.mkdtemp(prefix="benchmark"))
    start = time.perf_counter()
    with connect(settings.cluster) as client:
        client.register_plugin(Finished())
        figures = {"cluster": time.perf_counter() - start}
        (outcome,) = run(
            plan_run([a.tomogram], Location.of(folder), settings),
            threads=local_plan(settings.cluster).threads,
        )
        if outcome.error:
            raise outcome.error
        figures |= outcome.seconds
        figures["run"] = sum(outcome.seconds.values())
        peaks = client.run(peak_memory)
        tasks = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.plugins["finished"].n)
    figures["workers_mb"] = sum(peaks.values()) / 1e6
    figures["client_mb"] = peak_memory() / 1e6
    (probability,) = folder.glob("*/probability.zarr")
    from deepict_dask.io.ome_zarr import open_image

    image = open_image(probability)
    blocks = np.prod([-(-n // c) for n, c in zip(image.shape[-3:], image.attributes["core"], strict=True)])
    figures |= {"blocks": float(blocks), "tasks_per_block": tasks / blocks}
    figures["particles"] = float(outcome.picked[0].n_particles)
    shutil.rmtree(folder)
    return figures


def peak_memory() -> int:
    """Peak resident memory of this process in bytes (getrusage's is inherited from the parent)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def compare(a: argparse.Namespace) -> None:
    """Interleave bare passes and runs, and print medians and ratios."""
    command = [sys.executable, "-m", "tests.benchmarks.whole_run", a.tomogram, "--model", a.model]
    for name in ("workers", "block"):
        if getattr(a, name):
            command += [f"--{name}", str(getattr(a, name))]

    def measured(*extra: str) -> dict[str, float]:
        began = time.perf_counter()
        done = subprocess.run([*command, *extra], stdout=subprocess.PIPE, text=True, check=True)
        value = json.loads(done.stdout.splitlines()[-1])
        return (
            {**value, "command": time.perf_counter() - began} if isinstance(value, dict) else {"bare": value}
        )

    print(
        f"{a.tomogram}\n{CORES} cores, {a.repeat} repeats, medians; ratios to the bare torch pass of the same repeat"
    )
    for runtime in a.runtime:
        rows = []
        for _ in range(a.repeat):
            before, run, after = measured("--bare"), measured("--one", runtime), measured("--bare")
            rows.append({**run, "bare": (before["bare"] + after["bare"]) / 2})
        print(f"\n{runtime}")
        for name in rows[0]:
            value = statistics.median(r[name] for r in rows)
            timed = name in ("ingest", "segment", "pick", "run", "cluster", "command")
            ratio = f"  {statistics.median(r[name] / r['bare'] for r in rows):6.2f} x bare" if timed else ""
            print(f"  {name:16} {value:9.2f}{ratio}")


if __name__ == "__main__":
    main()

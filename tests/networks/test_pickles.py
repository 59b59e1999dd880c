"""What a hostile checkpoint costs: no more than its size."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from deepict_dask.networks.architecture import Architecture


def in_zip(path, data):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", data)


def legacy(path, data):
    path.write_bytes(data)


def lying_entry(path):
    """An entry of a few bytes whose directory says 3 GB."""
    in_zip(path, pickle.dumps({}, 2))
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 20 : at + 28] = struct.pack("<II", 3_000_000_000, 3_000_000_000)
    path.write_bytes(content)


def same_bytes_often(path):
    """Many entries of the directory are one stored megabyte."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps({}, 2))
        archive.writestr("m/data/0", bytes(1_000_000))
        entry = archive.filelist[-1]
        for k in range(1, 3000):
            other = zipfile.ZipInfo(f"m/data/{k}")
            for field in ("compress_size", "file_size", "header_offset", "CRC"):
                setattr(other, field, getattr(entry, field))
            archive.filelist.append(other)


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Stored) else None


class Stored:
    pid = ("storage", __import__("torch").FloatStorage, "0", "cpu", 1_000_000)


class View:
    def __reduce__(self):
        import torch

        return torch._utils._rebuild_tensor_v2, (Stored(), 0, (1000, 1000), (1000, 1), False, None)


def shared_storage(path):
    """Every tensor of a large network is the same megabytes."""
    names = Architecture(1, 2).state_shapes()
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({f"{k}.{n}": View() for k in range(200) for n in names})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", buffer.getvalue())
        archive.writestr("m/data/0", np.ones(1_000_000, "<f4").tobytes())


BOMBS = {
    "LONG_BINPUT": b"\x80\x02}r\xff\xff\xff\x03.",
    "PUT": b"\x80\x02}p67108863\n.",
    "FRAME": b"\x80\x04\x95\xff\xff\xff\x7f\x00\x00\x00\x00}.",
    "BINUNICODE8": b"\x80\x04\x8d\xff\xff\xff\x7f\x00\x00\x00\x00a.",
    "BINBYTES8": b"\x80\x04\x8e\xff\xff\xff\x7f\x00\x00\x00\x00a.",
    "BYTEARRAY8": b"\x80\x05\x96\xff\xff\xff\x7f\x00\x00\x00\x00a.",
    "LONG4": b"\x80\x02\x8b\xff\xff\xff\x7fa.",
}
FILES = {
    **{f"{k} in a zip": lambda path, v=v: in_zip(path, v) for k, v in BOMBS.items()},
    **{f"{k} alone": lambda path, v=v: legacy(path, v) for k, v in BOMBS.items()},
    "lying entry": lying_entry,
    "same bytes often": same_bytes_often,
    "shared storage": shared_storage,
}
LOAD = """
import resource, sys
from deepict_dask.errors import InputError
from deepict_dask.networks.checkpoint import load_checkpoint
size = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 60_000_000,) * 2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        load_checkpoint(path)
    except InputError as error:
        assert path in str(error) and "MemoryError" not in str(error), str(error)
    else:
        raise SystemExit(f"{path} was read")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    assert grown < 40, f"{path} took {grown} MB"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bombs_cost_no_memory(tmp_path):
    paths = []
    for k, make in enumerate(FILES.values()):
        paths.append(str(tmp_path / f"{k}.pth"))
        make(tmp_path / f"{k}.pth")
    done = subprocess.run([sys.executable, "-c", LOAD, *paths], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]


def test_tuples_of_tuples_as_a_key_do_not_hang(tmp_path):
    """Hashing tuples that share their parts takes two to their depth."""
    data = b"\x80\x02}K\x01" + b"2\x86" * 60 + b"K\x01s."
    in_zip(tmp_path / "m.pth", data)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "m.pth")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert time.monotonic() - began < 30

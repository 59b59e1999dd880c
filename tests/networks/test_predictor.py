import os
import pickle
import subprocess
import sys
import threading

import mrcfile
import numpy as np
import pytest
import torch

from deepict_dask.errors import InputError
from deepict_dask.networks import predictor as module
from deepict_dask.networks.architecture import Architecture
from deepict_dask.networks.card import ModelCard
from deepict_dask.networks.checkpoint import load_model, save_checkpoint
from deepict_dask.networks.openvino_runtime import OpenVinoNetwork, has_openvino
from deepict_dask.networks.predictor import ModelSpec, get_predictor, resolve_runtime
from deepict_dask.networks.torch_runtime import TorchNetwork

RUNTIMES = [
    "torch",
    pytest.param("openvino", marks=pytest.mark.skipif(not has_openvino(), reason="needs openvino")),
]


def numpy_state(net):
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.fixture
def model(tmp_path, random_net):
    net = random_net(Architecture(2, 2))
    card = ModelCard(name="m", classes=("a",), architecture=net.architecture)
    return load_model(save_checkpoint(tmp_path, net.state_dict(), card))


def normalized(tomogram):
    return ((tomogram - tomogram.mean(dtype="f8")) / tomogram.std(dtype="f8")).astype(np.float32)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_originals_boxes_give_the_originals_map(shared, runtime):
    folder = shared / "reference" / "segment3d"
    spec = ModelSpec.of(
        load_model(folder / "ribo_IF4_D2_BN.pth"), runtime=runtime, device="cpu", tiling="deepict"
    )
    tomogram = normalized(mrcfile.read(folder / "even.mrc"))
    want = mrcfile.read(folder / "even_probability.mrc")
    padded = np.pad(tomogram, [(12, 12 + -n % 40) for n in tomogram.shape], mode="reflect")
    for z, y, x in ((0, 0, 0), (40, 80, 120), (40, 0, 80)):
        box = padded[z : z + 64, y : y + 64, x : x + 64]
        got = get_predictor(spec).predict_boxes(np.stack([box, box]))
        assert got.shape == (2, 1, 64, 64, 64)
        inner = got[1, 0, 12:52, 12:52, 12:52]
        assert np.abs(inner - want[z : z + 40, y : y + 40, x : x + 40]).max() <= 2e-6
        assert inner.std() > 0.01


@pytest.mark.skipif(not has_openvino(), reason="needs openvino")
def test_torch_and_openvino_agree_on_the_reference_network(shared):
    folder = shared / "reference" / "segment3d"
    block = normalized(mrcfile.read(folder / "even.mrc"))[:76, :104, :96]
    model = load_model(folder / "ribo_IF4_D2_BN.pth")
    a, b = (
        get_predictor(ModelSpec.of(model, runtime=runtime, device="cpu")).predict_core(block, (24, 24, 24))
        for runtime in ("torch", "openvino")
    )
    assert a.shape == (1, 28, 56, 48) and a.dtype == b.dtype == np.float32
    assert np.ptp(a) > 0.1
    assert np.abs(a - b).max() <= 5e-6


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(1, 3, batch_norm=False),
        Architecture(2, 2, out_classes=3, elu=True),
        Architecture(2, 4, in_channels=1, out_classes=2),
        Architecture(2, 5),
        Architecture(1, 9),
    ],
)
def test_core_and_boxes_are_the_sigmoid_of_the_padded_forward(random_net, architecture, runtime):
    net, halo = random_net(architecture, seed=5), architecture.halo()
    kind = TorchNetwork if runtime == "torch" else OpenVinoNetwork
    network = kind(architecture, numpy_state(net), 1)
    block = np.random.default_rng(1).standard_normal((2 * halo + 8, 2 * halo + 16, 2 * halo + 24), np.float32)
    with torch.inference_mode():
        want = net(torch.tensor(block)[None, None]).sigmoid()[0].numpy()
    core = (slice(None), *[slice(halo, -halo)] * 3)
    np.testing.assert_allclose(network.core(block, (halo,) * 3), want[core], rtol=0, atol=5e-6)
    np.testing.assert_allclose(network.boxes(block[None])[0], want, rtol=0, atol=5e-6)
    # A view with any strides, and shapes in turn: nothing may remain from the last call.
    turned = block[::-1, :, 4:-4]
    with torch.inference_mode():
        want = net(torch.tensor(turned.copy())[None, None]).sigmoid()[0].numpy()[core]
    for _ in range(2):
        np.testing.assert_allclose(network.core(turned, (halo,) * 3), want, rtol=0, atol=5e-6)
        network.boxes(block[None, :16, :16, :16])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_wrong_blocks_and_boxes_are_refused(model, runtime):
    predictor = get_predictor(ModelSpec.of(model, runtime=runtime, device="cpu"))
    assert predictor.runtime == runtime
    with pytest.raises(InputError, match="receptive radius"):
        predictor.predict_core(np.zeros((40, 40, 40), np.float32), (16, 16, 16))
    with pytest.raises(InputError, match="multiple of 2\\*\\*depth"):
        predictor.predict_core(np.zeros((50, 52, 52), np.float32), (24, 24, 24))
    with pytest.raises(InputError, match=r"boxes of shape \(1, 62, 64, 64\)"):
        predictor.predict_boxes(np.zeros((1, 62, 64, 64), np.float32))


def test_a_process_loads_a_model_once_however_many_threads_ask(model, monkeypatch):
    loads = []
    load = module._load
    monkeypatch.setattr(module, "_load", lambda spec: loads.append(spec) or load(spec))
    spec, found = ModelSpec.of(model, device="cpu"), []
    threads = [threading.Thread(target=lambda: found.append(get_predictor(spec))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and len(found) == 8 and len(set(map(id, found))) == 1


def test_one_forward_pass_runs_at_a_time(model, monkeypatch):
    predictor = get_predictor(ModelSpec.of(model, runtime="torch", device="cpu"))
    inside, most = [], []

    def slow(block, halo):
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.01)
        inside.pop()

    monkeypatch.setattr(predictor._network, "core", slow)
    threads = [threading.Thread(target=predictor.predict_core, args=(None, None)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_a_changed_checkpoint_is_refused(model):
    spec = ModelSpec.of(model, device="cpu")
    content = bytearray(model.path.read_bytes())
    content[-1] ^= 1
    model.path.write_bytes(content)
    with pytest.raises(InputError, match="but the work was planned with sha256:"):
        get_predictor(spec)


def test_a_spec_is_small_and_carries_no_weights(model):
    spec = ModelSpec.of(model, runtime="torch", threads=2)
    assert len(pickle.dumps(spec)) < 1000
    assert pickle.loads(pickle.dumps(spec)) == spec and hash(spec) == hash(pickle.loads(pickle.dumps(spec)))


def test_runtime_auto_prefers_a_gpu_then_openvino_then_torch(monkeypatch):
    choices = {}
    for gpu in (True, False):
        for openvino in (True, False):
            monkeypatch.setattr(module, "_has_gpu", lambda gpu=gpu: gpu)
            monkeypatch.setattr(module, "has_openvino", lambda openvino=openvino: openvino)
            choices[gpu, openvino] = (resolve_runtime(), resolve_runtime(device="cpu"))
    assert choices == {
        (True, True): ("torch", "openvino"),
        (True, False): ("torch", "torch"),
        (False, True): ("openvino", "openvino"),
        (False, False): ("torch", "torch"),
    }
    with pytest.raises(InputError, match="not installed"):
        resolve_runtime("openvino")
    with pytest.raises(InputError, match="'onnx' is unknown"):
        resolve_runtime("onnx")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_cuda_without_a_gpu_is_refused(model):
    with pytest.raises(InputError, match="torch sees no GPU"):
        get_predictor(ModelSpec.of(model, device="cuda"))


@pytest.mark.skipif(not has_openvino(), reason="needs openvino")
def test_openvino_runs_without_torch_telemetry_or_files_in_the_home(model, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys, socket\n"
        "def no(*a, **k): raise SystemExit('network used')\n"
        "socket.socket.connect = socket.getaddrinfo = no\n"
        "import numpy as np\n"
        "from deepict_dask.networks.predictor import ModelSpec, get_predictor\n"
        f"p = get_predictor(ModelSpec({str(model.path)!r}, {model.checksum!r}, 'openvino', 'cpu', 1))\n"
        "assert p.predict_core(np.zeros((52, 52, 52), np.float32), (24, 24, 24)).shape == (1, 4, 4, 4)\n"
        "bad = [m for m in sys.modules if m == 'torch' or m.startswith('openvino_telemetry')]\n"
        "assert not bad, bad\n"
    )
    env = {k: v for k, v in os.environ.items() if k != "CI"} | {"HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*"))

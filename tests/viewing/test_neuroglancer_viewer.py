"""Neuroglancer: what it serves on loopback are the voxels, and a browser without a network shows them."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zlib

import numpy as np
import pytest

from deepict_dask.errors import InputError, WorkError
from deepict_dask.io.ome_zarr import open_image
from deepict_dask.viewing.layers import layers_of
from deepict_dask.viewing.neuroglancer_viewer import serve
from tests.browser import chromium
from tests.viewing.test_layers import place  # noqa: F401

pytest.importorskip("neuroglancer", reason="needs Neuroglancer: pip install 'deepict_dask[view]'")


@pytest.fixture
def page(place):  # noqa: F811
    with serve(layers_of(place), "TS_01") as page:
        yield page


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.status, answer.read()


def voxels(page, name, key, start, end):
    """Ask for voxels as the browser does; (z, y, x)."""
    state = page.viewer.state
    layer = next(layer for layer in state.layers if layer.name == name)
    token = layer.layer.source[0].url.rpartition("/")[2]
    words = "/".join((key, *(",".join(map(str, corner)) for corner in (start, end))))
    host = page.url.partition("/v/")[0]
    _, content = fetch(f"{host}/neuroglancer/npz/{token}/{words}")
    return np.load(io.BytesIO(zlib.decompress(content)))


def test_the_page_answers_on_loopback_only_to_who_knows_its_address(page):
    assert fetch(page.url)[0] == 200 and page.url.startswith(f"http://127.0.0.1:{page.port}/")
    with pytest.raises(urllib.error.HTTPError):
        fetch(f"http://127.0.0.1:{page.port}/v/guessed/")
    assert page.tunnel.startswith(f"ssh -N -L {page.port}:127.0.0.1:{page.port} ")


def test_what_is_asked_for_are_the_voxels_of_the_level(page, place):  # noqa: F811
    image = open_image(place / "tomogram.zarr")
    whole, half = (np.asarray(image.level(i)[:, :, :]) for i in range(2))
    assert np.array_equal(voxels(page, "tomogram", "1,1,1", (3, 4, 5), (20, 30, 50)), whole[3:20, 4:30, 5:50])
    assert np.array_equal(voxels(page, "tomogram", "2,2,2", (1, 2, 3), (12, 20, 28)), half[1:12, 2:20, 3:28])
    stored = np.asarray(open_image(place / "probability.zarr").array[1])
    assert np.array_equal(voxels(page, "probability fas", "1,1,1", (0, 0, 0), stored.shape), stored)
    labels = voxels(page, "particles_labels", "1,1,1", (0, 0, 0), stored.shape)
    assert labels.dtype == np.uint32


def test_levels_that_are_not_stored_are_means(page, place):  # noqa: F811
    stored = np.asarray(open_image(place / "probability.zarr").array[0]).astype(float)
    means = stored.reshape(12, 2, 10, 2, 14, 2).mean((1, 3, 5))
    found = voxels(page, "probability ribosome", "2,2,2", (0, 0, 0), means.shape)
    assert np.abs(found - means).max() <= 1


def test_points_and_maps_lie_where_the_tomogram_has_them(page):
    state = page.viewer.state.to_json()
    layers = {layer["name"]: layer for layer in state["layers"]}
    assert state["dimensions"] == {"x": [1e-9, "m"], "y": [1e-9, "m"], "z": [2e-9, "m"]}
    first = layers["ribosome (2)"]["annotations"][0]
    assert first["center"] == [28.5, 20.5, 12.5], "the center of voxel k is k + 1/2"
    (source,) = layers["probability fas"]["source"]
    matrix = np.array(source["transform"]["matrix"])
    # z, y, x: the first voxels share their centers, at half a voxel of the tomogram: 1, 0.5, 0.5 nm.
    centers = (matrix[:, 3] + 0.5) * [2, 2, 2]
    assert np.allclose(centers, [1, 0.5, 0.5]) and np.array_equal(matrix[:, :3], np.eye(3))


def test_a_port_that_is_taken_is_said(page, place):  # noqa: F811
    with pytest.raises(WorkError, match=f"port {page.port} cannot be listened on"):
        serve([], "", page.port)
    with pytest.raises(InputError, match="port 70000 is none"):
        serve([], "", 70000)


def test_the_command_serves_until_it_is_told_to_stop(place):  # noqa: F811
    code = "from deepict_dask.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "view", str(place.parent), "TS_01", "--viewer", "neuroglancer"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v/\w+/", url), process.stderr.read()
        assert fetch(url)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "ssh -N -L" in process.stderr.read()
    finally:
        process.kill()


def test_a_browser_without_a_network_shows_the_tomogram(page, tmp_path):
    options = (
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
    )
    with chromium(tmp_path / "profile", *options) as browser:
        browser.open(page.url)
        browser.wait("document.querySelectorAll('.neuroglancer-layer-item').length >= 6", 60)
        assert "TS_01" in browser.evaluate("document.title")
        shown = page.viewer.screenshot(size=[600, 600])  # comes when everything is drawn
        (tmp_path / "a.png").write_bytes(shown.screenshot.image)
        from PIL import Image

        pixels = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
        assert pixels.std() > 5, "voxels, not one gray"
        assert all(
            u.startswith((f"http://127.0.0.1:{page.port}/", "data:", "blob:")) for u in browser.requests()
        )

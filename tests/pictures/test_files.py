"""Which pictures are ours: those whose own field for what made them says so, and no others."""

from __future__ import annotations

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepict_dask.errors import OutputExistsError
from deepict_dask.io.location import Location
from deepict_dask.pictures.drawing import Drawing
from deepict_dask.pictures.files import is_ours, write_picture

DRAWING = Drawing(64, 48, (), "A title")
SUFFIXES = [".png", ".jpg", ".webp", ".svg", ".pdf"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_our_own_pictures_are_known(tmp_path, suffix):
    if suffix in (".svg", ".pdf"):
        pytest.importorskip("matplotlib")
    place = Location.of(tmp_path / f"a{suffix}")
    write_picture(DRAWING, place)
    assert is_ours(place)
    write_picture(DRAWING, place)  # and drawn again
    # The version that drew it does not matter, a name that only begins alike does.
    content = place.read_bytes()
    place.write(content.replace(b"deepict_dask 0", b"deepict_dask-0"))
    assert not is_ours(place)


def foreign(path, about):
    """Pictures of somebody else that mention this program: a title, a comment, a description."""
    image = Image.new("L", (64, 48))
    if path.suffix == ".png":
        text = PngInfo()
        text.add_text("Software", "matplotlib")
        text.add_text("Title", about)
        text.add_text("Description", f"Software\0{about}")
        image.save(path, pnginfo=text)
    elif path.suffix == ".jpg":
        image.save(path, comment=f"picks of {about}".encode())
    elif path.suffix == ".webp":
        exif = Image.Exif()
        exif[0x010E], exif[0x0131] = about, "another program"
        image.save(path, exif=exif)
    elif path.suffix == ".svg":
        path.write_text(
            f"<svg><title>{about}</title><dc:creator><cc:Agent><dc:title>me</dc:title></cc:Agent></dc:creator></svg>"
        )
    else:
        path.write_bytes(b"%PDF-1.4\n<< /Title (" + about.encode() + b") /Creator (me) >>\n%%EOF\n")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_that_mention_this_program_are_not_ours(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    foreign(path, "deepict_dask 0.1.0")
    before = path.read_bytes()
    assert b"deepict_dask 0.1.0" in before and not is_ours(Location.of(path))
    with pytest.raises(OutputExistsError, match="no picture of this program"):
        write_picture(DRAWING, Location.of(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt", b"\xff\xd8\xff\xfe\0\0", b"RIFF"],
)
def test_damaged_pictures_are_nobodys(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert not is_ours(Location.of(tmp_path / "a.png"))

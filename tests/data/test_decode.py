"""Decoding: every colour mode comes out as RGB, every failure names the file in one line."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vgsearch.data.decode import MAX_PIXELS, image_size, read_image
from vgsearch.errors import ImageError


def pixels(height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_reads_what_was_written(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.uint8
    assert image.shape == (3, 20, 30)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), pixels())
    assert image_size(tmp_path / "a.png") == (20, 30)
    image += 1  # a tensor of our own, not a view of Pillow's memory


@pytest.mark.parametrize(
    ("mode", "name"), [("L", "a.jpg"), ("CMYK", "a.jpg"), ("P", "a.png"), ("RGBA", "a.png"), ("1", "a.png")]
)
def test_other_modes_become_rgb(tmp_path: Path, mode: str, name: str) -> None:
    original = Image.fromarray(pixels()).convert(mode)
    original.save(tmp_path / name)
    image = read_image(tmp_path / name)
    assert image.shape == (3, 20, 30)
    with Image.open(tmp_path / name) as opened:
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(opened.convert("RGB")))


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to look at
    Image.fromarray(pixels()).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (3, 20, 30)
    assert image_size(tmp_path / "a.jpg") == (20, 30)


def write_truncated(path: Path) -> None:
    Image.fromarray(pixels(200, 200)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:3000])


def write_damaged(path: Path) -> None:
    Image.fromarray(pixels(200, 200)).save(path, "PNG")
    content = bytearray(path.read_bytes())
    content[500:600] = bytes(100)
    path.write_bytes(bytes(content))


def write_bomb(path: Path, side: int = 9000) -> None:
    """Write a PNG of 74 bytes whose header promises `side` squared pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b""), r"empty \(0 bytes\)"),
        (lambda path: path.write_text("a text file, not a photo\n" * 20), "not an image"),
        (lambda path: path.mkdir(), "cannot be opened"),
        (write_truncated, "truncated"),
        (write_damaged, "damaged"),
        (write_bomb, f"9000 x 9000 pixels, at most {MAX_PIXELS:,}"),
        (lambda path: write_bomb(path, 20_000), f"at most {MAX_PIXELS:,} pixels"),
    ],
)
def test_failures_name_the_file_in_one_line(tmp_path: Path, write, words: str) -> None:
    path = tmp_path / "photo.jpg"
    write(path)
    with pytest.raises(ImageError, match=words) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if words not in ("truncated", "damaged"):  # the header is in order there
        with pytest.raises(ImageError, match=words):
            image_size(path)

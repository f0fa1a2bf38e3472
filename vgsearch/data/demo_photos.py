"""Take the planned photos of a demo city, or every n-th of them, and write them as JPEG files."""

from __future__ import annotations

import io
from collections.abc import Generator
from pathlib import Path

import numpy as np
from PIL import Image

from vgsearch.config.search import DemoCityConfig
from vgsearch.data.demo_layout import draw_layout
from vgsearch.data.demo_light import draw_light
from vgsearch.data.demo_plan import CITIES, SIZES, layout_seed, plan_photos
from vgsearch.data.demo_renderer import render_photo
from vgsearch.data.demo_styles import draw_styles

_JPEG_QUALITY = 90


def write_photos(folder: Path, config: DemoCityConfig, part: int = 0, parts: int = 1) -> Generator[None]:
    """Write every photo whose number is `part` modulo `parts` into folders that exist; yield after each.

    A photo depends on its own seed alone, so the files are the same however they are divided.

    Raises:
        OSError: a file cannot be written.
    """
    layouts = [draw_layout(layout_seed(config, city), SIZES[config.size].blocks_across) for city in CITIES]
    styles = [draw_styles(layout) for layout in layouts]
    for photo in plan_photos(config)[part::parts]:
        light_seed, traffic_seed = np.random.SeedSequence(photo.seed).spawn(2)
        pixels = render_photo(
            layouts[photo.city],
            styles[photo.city],
            photo.pose,
            draw_light(np.random.default_rng(light_seed), night=photo.night),
            np.random.default_rng(traffic_seed),
            config.image_px,
        )
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
        (folder / photo.path).write_bytes(buffer.getvalue())
        yield

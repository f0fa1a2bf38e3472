"""Fourier domain adaptation of a batch, against the equations in numpy, image by image.

    python benchmarks/fda.py --batch-size 32 --image-px 512
    python benchmarks/fda.py --authors CHECKOUT      # a checkout of github.com/YanchaoYang/FDA

The other side is the authors' `FDA_source_to_target_np` where their code is given, else the paper's equations
as one writes them down in numpy. Both get the same photos, decoded, in the range 0 to 255 (float32, as
the authors load them); the sides take turns. The largest difference is printed beside the ratio.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from vgsearch.data.fda import swap_low_amplitudes

Pixels = npt.NDArray[np.float32]
PerImage = Callable[[Pixels, Pixels, float], npt.NDArray[np.float64]]


def plain_fda(image: Pixels, style: Pixels, beta: float) -> npt.NDArray[np.float64]:
    """Equations 3 and 4 of the paper on one photo, (3, h, w)."""
    spectrum = np.fft.fft2(image)
    amplitude = np.fft.fftshift(np.abs(spectrum), axes=(1, 2))
    of_style = np.fft.fftshift(np.abs(np.fft.fft2(style)), axes=(1, 2))
    height_px, width_px = image.shape[1:]
    half = int(min(height_px, width_px) * beta)
    rows = slice(height_px // 2 - half, height_px // 2 + half + 1)
    columns = slice(width_px // 2 - half, width_px // 2 + half + 1)
    amplitude[:, rows, columns] = of_style[:, rows, columns]
    mixed = np.fft.ifftshift(amplitude, axes=(1, 2)) * np.exp(1j * np.angle(spectrum))
    return np.real(np.fft.ifft2(mixed))


def authors_fda(checkout: Path) -> PerImage:
    """Their function, from `utils/__init__.py` of their repository."""
    spec = importlib.util.spec_from_file_location("authors", checkout / "utils" / "__init__.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{checkout} is no checkout of github.com/YanchaoYang/FDA")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: PerImage = module.FDA_source_to_target_np
    return found


def photos(count: int, image_px: int, seed: int) -> Pixels:
    """Smooth patches with noise, float32 (count, 3, px, px) in 0 to 255."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (image_px // 16, image_px // 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((image_px, image_px), Image.Resampling.BICUBIC), np.float64)
        noisy = smooth * rng.uniform(0.3, 1) + rng.normal(0, 8, smooth.shape)
        made.append(np.clip(noisy, 0, 255).astype(np.uint8).transpose(2, 0, 1))
    return np.stack(made).astype(np.float32)


def main() -> None:
    """Run the comparison for each beta."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-px", type=int, default=512)
    parser.add_argument("--betas", type=float, nargs="+", default=[0.01, 0.05, 0.09])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--authors", type=Path, help="checkout of the authors' repository")
    parser.add_argument("--device", default="cpu", help="where our side runs")
    options = parser.parse_args()
    device = torch.device(options.device)
    other = plain_fda if options.authors is None else authors_fda(options.authors)
    named = "plain numpy" if options.authors is None else "the authors' numpy"
    images = photos(options.batch_size, options.image_px, 0)
    styles = photos(options.batch_size, options.image_px, 1)
    ours_in, ours_style = torch.from_numpy(images).to(device), torch.from_numpy(styles).to(device)
    machine = platform.processor() or platform.machine()
    print(f"{machine}, torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")

    def ours(beta: float) -> torch.Tensor:
        result = swap_low_amplitudes(ours_in, ours_style, beta)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return result

    def theirs(beta: float) -> npt.NDArray[np.float64]:
        return np.stack([other(image, style, beta) for image, style in zip(images, styles, strict=True)])

    for beta in options.betas:
        difference = np.abs(ours(beta).cpu().numpy() - theirs(beta)).max()
        times: list[tuple[float, float]] = []
        for _ in range(options.repeats):
            start = time.perf_counter()
            ours(beta)
            middle = time.perf_counter()
            theirs(beta)
            times.append((middle - start, time.perf_counter() - middle))
        our_s, their_s = (statistics.median(side) for side in zip(*times, strict=True))
        print(
            f"beta {beta:g}: vgsearch {options.batch_size / our_s:.0f} images/s, {named} "
            f"{options.batch_size / their_s:.1f} images/s, ratio {their_s / our_s:.1f}; "
            f"largest difference {difference:.1e} of 255"
        )


if __name__ == "__main__":
    main()

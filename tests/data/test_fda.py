"""Fourier domain adaptation against the equations of the paper, written out on whole spectra in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.data import fda
from vgsearch.data.fda import in_style_of, swap_low_amplitudes, window_half_width

Pixels = npt.NDArray[np.float64]


def plainly(image: Pixels, style: Pixels, beta: float) -> Pixels:
    """Mask each coefficient by its signed frequencies, (c, h, w): no shift, no cut, no symmetry used."""
    height, width = image.shape[1:]
    half = int(np.floor(min(height, width) * beta))
    down = np.abs(np.rint(np.fft.fftfreq(height) * height))[:, None] <= half
    across = np.abs(np.rint(np.fft.fftfreq(width) * width))[None, :] <= half
    spectrum, of_style = np.fft.fft2(image), np.fft.fft2(style)
    amplitude = np.where(down & across, np.abs(of_style), np.abs(spectrum))
    return np.real(np.fft.ifft2(amplitude * np.exp(1j * np.angle(spectrum))))


def photo(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    """Patches with noise, uint8 (3, h, w)."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (3, -(-height // 5), -(-width // 5)))
    smooth = np.kron(patches, np.ones((5, 5)))[:, :height, :width]
    return np.clip(smooth * rng.uniform(0.2, 1) + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    beta=st.one_of(st.sampled_from([0.0, 0.01, 0.09, 0.499]), st.floats(0, 0.499)),
    seed=st.integers(0, 99),
)
def test_equals_the_equations(height: int, width: int, beta: float, seed: int) -> None:
    image, style = photo(height, width, seed), photo(height, width, seed + 100)
    # A channel that hardly varies has coefficients that are rounding noise, with phases that mean nothing.
    if np.abs(np.fft.fft2(image)).min() < 1e-3:
        return
    result = swap_low_amplitudes(torch.from_numpy(image)[None], torch.from_numpy(style)[None], beta)[0]
    expected = plainly(image.astype(np.float64), style.astype(np.float64), beta)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, atol=255e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(96, 96), (480, 640), (97, 131)])
@pytest.mark.parametrize("beta", [0.01, 0.09])
def test_large_photos_agree_to_a_millionth_of_the_range(height: int, width: int, beta: float) -> None:
    image, style = photo(height, width, 1), photo(height, width, 2)
    result = swap_low_amplitudes(torch.from_numpy(image)[None], torch.from_numpy(style)[None], beta)[0]
    expected = plainly(image.astype(np.float64), style.astype(np.float64), beta)
    assert np.abs(result.numpy() - expected).max() < 255 * 2e-6


@pytest.mark.parametrize(
    ("beta", "height", "width", "half"),
    [(0, 9, 9, 0), (0.01, 512, 512, 5), (0.01, 99, 200, 0), (0.09, 640, 480, 43), (0.999, 10, 8, 7)],
)
def test_the_window_is_a_part_of_the_shorter_side(beta: float, height: int, width: int, half: int) -> None:
    assert window_half_width(beta, height, width) == half


def test_beta_0_moves_the_mean_colour_alone() -> None:
    image, style = (torch.from_numpy(photo(20, 30, seed)).float()[None] for seed in (0, 1))
    result = swap_low_amplitudes(image, style, 0)
    shift = (style - image).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(result, image + shift, atol=1e-3, rtol=0)


def test_a_photo_in_its_own_style_is_itself() -> None:
    image = torch.from_numpy(photo(33, 48, 0)).float()[None]
    torch.testing.assert_close(swap_low_amplitudes(image, image, 0.3), image, atol=1e-3, rtol=0)


def test_phases_stay_and_the_whole_spectrum_takes_over_from_one_half_on() -> None:
    image, style = (torch.from_numpy(photo(24, 30, seed)).double()[None] for seed in (0, 1))
    result = swap_low_amplitudes(image.float(), style.float(), 0.9).double()
    amplitude, of_style = torch.fft.fft2(result).abs(), torch.fft.fft2(style).abs()
    assert (amplitude - of_style).abs().max() < 0.1  # of up to 2e5
    phase = torch.angle(torch.fft.fft2(result) / torch.fft.fft2(image))
    assert phase.abs().max() < 1e-2


def test_a_black_photo_takes_amplitudes_at_phase_zero() -> None:
    style = torch.from_numpy(photo(16, 16, 0))[None]
    result = swap_low_amplitudes(torch.zeros_like(style), style, 0.2)
    assert torch.isfinite(result).all()
    torch.testing.assert_close(result.mean((2, 3)), style.float().mean((2, 3)), atol=1e-3, rtol=0)


def test_the_batch_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, styles = (
        torch.stack([torch.from_numpy(photo(40, 30, seed)) for seed in seeds])
        for seeds in (range(7), range(7, 14))
    )
    whole = swap_low_amplitudes(images, styles, 0.1)
    for i in range(7):
        one = swap_low_amplitudes(images[i : i + 1], styles[i : i + 1], 0.1)
        torch.testing.assert_close(one[0], whole[i], atol=1e-3, rtol=0)
    monkeypatch.setitem(fda._VALUES_AT_ONCE, "cpu", 3 * 3 * 40 * 30)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(swap_low_amplitudes(images, styles, 0.1), whole, atol=1e-3, rtol=0)


def test_photos_stay_in_their_range_and_bytes_are_as_floats() -> None:
    dark, bright = (torch.from_numpy(photo(32, 32, seed))[None] for seed in (0, 1))
    dark = dark // 8
    result = in_style_of(bright, dark, 0.1)
    raw = swap_low_amplitudes(bright, dark, 0.1) / 255
    assert raw.min() < 0  # the test is about something
    assert torch.equal(result, raw.clamp(0, 1))
    torch.testing.assert_close(in_style_of(bright / 255, dark / 255, 0.1), result, atol=1e-5, rtol=0)


def test_shapes_and_beta_are_checked() -> None:
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match="one shape"):
        swap_low_amplitudes(image, torch.zeros(1, 3, 8, 9), 0.1)
    for beta in (-0.1, 1.0):
        with pytest.raises(ValueError, match="0 <= beta < 1"):
            swap_low_amplitudes(image, image, beta)

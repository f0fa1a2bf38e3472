"""Decimal numbers read from one byte buffer, all at once and as exactly as Python's `float`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Clinger's fast path: a mantissa below 2**53 and a power of ten up to 10**22 are exact doubles, so that one
# division rounds once, as `float` does. 15 digits and at most 15 decimals stay inside both limits.
_MAX_DIGITS = 15
_MAX_WIDTH = _MAX_DIGITS + 2  # a sign and a point
_POWERS_OF_TEN = 10.0 ** np.arange(_MAX_DIGITS + 1)

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def byte_buffer(texts: list[str] | tuple[str, ...]) -> tuple[Bytes, Ints]:
    """Put texts end to end in UTF-8.

    Args:
        texts: any strings; undecodable file names (lone surrogates) are welcome.

    Returns:
        The bytes, uint8 (total,), and the border of each text, int64 (n + 1,).
    """
    joined = "".join(texts)
    if joined.isascii():
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        raw = joined.encode("ascii")
    else:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        raw = b"".join(encoded)
    borders = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths, out=borders[1:])
    return np.frombuffer(raw, np.uint8), borders


def parse_decimals(buffer: Bytes, starts: Ints, ends: Ints) -> Floats:
    """Read the number in each slice `buffer[start:end]`.

    Args:
        buffer: UTF-8 bytes, uint8 (total,).
        starts: first byte of each slice, int64 (n,).
        ends: one past the last byte, int64 (n,); `end <= start` is an empty slice.

    Returns:
        float64 (n,), equal to `float(text)` bit for bit; NaN where the slice is empty, is no number for
        `float`, or is not finite.
    """
    values = np.full(starts.shape, np.nan)
    widths = ends - starts
    filled = np.flatnonzero(widths > 0)
    if not filled.size:
        return values
    narrow = filled[widths[filled] <= _MAX_WIDTH]
    plain = np.zeros(starts.shape, bool)
    values[narrow], plain[narrow] = _parse_plain(buffer, starts[narrow], widths[narrow])
    for i in filled[~plain[filled]].tolist():  # exponents, blanks, very long or malformed: rare
        values[i] = _parse_one(buffer[starts[i] : ends[i]].tobytes())
    return values


def _parse_plain(buffer: Bytes, starts: Ints, widths: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Values of slices that read `[+-]digits[.digits]`, and which slices do."""
    mantissa = np.zeros(starts.shape, np.int64)
    digits = np.zeros(starts.shape, np.int8)
    decimals = np.zeros(starts.shape, np.int8)
    point_seen = np.zeros(starts.shape, bool)
    plain = np.ones(starts.shape, bool)
    negative = np.zeros(starts.shape, bool)
    for column in range(int(widths.max(initial=0))):
        inside = widths > column
        byte = buffer[np.minimum(starts + column, buffer.size - 1)]
        digit = byte - np.uint8(48)  # wraps: only '0'..'9' stay below 10
        is_digit = inside & (digit < 10)
        is_point = inside & (byte == ord(".")) & ~point_seen
        known = is_digit | is_point | ~inside
        if column == 0:
            negative = byte == ord("-")
            known |= negative | (byte == ord("+"))
        plain &= known
        mantissa = np.where(is_digit, mantissa * 10 + digit, mantissa)
        digits += is_digit
        decimals += is_digit & point_seen
        point_seen |= is_point
    plain &= (digits > 0) & (digits <= _MAX_DIGITS)
    values = mantissa / _POWERS_OF_TEN[np.minimum(decimals, _MAX_DIGITS)]
    return np.where(negative, -values, values), plain


def _parse_one(raw: bytes) -> float:
    try:
        value = float(raw.decode("utf-8", "surrogatepass"))
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")

"""Sizes as people read them."""

from __future__ import annotations


def readable_size(size_bytes: int) -> str:
    """A size in powers of 1000: `12 B`, `3.4 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"

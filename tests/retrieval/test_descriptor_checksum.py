from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.retrieval import descriptor_checksum
from vgsearch.retrieval.descriptor_checksum import checksum_of_file, checksum_of_parts


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor_checksum, "BLOCK_BYTES", 100)
    monkeypatch.setattr(descriptor_checksum, "_READ_BYTES", 32)


def by_hand(header: bytes, data: bytes) -> str:
    """The definition, one block after the other."""
    numbers = [zlib.crc32(header), len(data)]
    numbers += [zlib.crc32(data[start : start + 100]) for start in range(0, len(data), 100)]
    return hashlib.blake2b(b"".join(n.to_bytes(8, "little") for n in numbers), digest_size=16).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 31, 32, 99, 100, 101, 1234])
def test_memory_and_file_agree_with_the_definition(tmp_path: Path, size: int) -> None:
    header, data = b"head of it", bytes(range(256)) * 5
    path = tmp_path / "data"
    path.write_bytes(header + data[:size])
    assert checksum_of_parts(header, memoryview(data[:size])) == by_hand(header, data[:size])
    assert checksum_of_file(path, len(header)) == by_hand(header, data[:size])


@given(data=st.binary(min_size=1, max_size=500), choice=st.integers(0), bit=st.integers(0, 7))
def test_any_flipped_bit_shows(data: bytes, choice: int, bit: int) -> None:
    flipped = bytearray(data)
    flipped[choice % len(data)] ^= 1 << bit
    assert checksum_of_parts(b"", memoryview(flipped)) != checksum_of_parts(b"", memoryview(data))


@given(first=st.binary(min_size=100, max_size=100), second=st.binary(min_size=100, max_size=100))
def test_the_order_of_blocks_counts(first: bytes, second: bytes) -> None:
    swapped = checksum_of_parts(b"", memoryview(second + first))
    assert (swapped == checksum_of_parts(b"", memoryview(first + second))) == (first == second)


def test_a_file_cut_short_shows(tmp_path: Path) -> None:
    path = tmp_path / "data"
    sums = set()
    for size in range(5, 305, 7):
        path.write_bytes(bytes(size))  # zeros: a checksum of the content alone could miss them
        sums.add(checksum_of_file(path, 5))
    assert len(sums) == len(range(5, 305, 7))

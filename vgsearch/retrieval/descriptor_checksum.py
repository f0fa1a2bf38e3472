"""A checksum for gigabytes: CRC-32 of blocks on several threads, and one hash of all of them.

It is there for disks and cut-short copies, not for forgers: a damaged block passes once in 2^32. zlib's CRC
runs without the interpreter's lock at some 4 GB/s on one core; SHA-256 does less than half of that.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BLOCK_BYTES = 16 * 2**20
_READ_BYTES = 2**20
_MAX_THREADS = 8


def checksum_of_parts(header: bytes, data: memoryview) -> str:
    """Checksum, 32 hexadecimal digits, of a file that will hold `header` and then `data` (bytes)."""
    return _combined(zlib.crc32(header), data.nbytes, lambda start, end: zlib.crc32(data[start:end]))


def checksum_of_file(path: Path, header_bytes: int) -> str:
    """The same of a file, whose first `header_bytes` are its header.

    The file is read and not mapped: one that shrinks meanwhile is a short read then, not a dead process.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        descriptor = file.fileno()

        def crc(start: int, end: int) -> int:
            buffer = memoryview(bytearray(min(_READ_BYTES, end - start)))
            value, offset = 0, header_bytes + start
            while offset < header_bytes + end:
                room = buffer[: min(len(buffer), header_bytes + end - offset)]
                count = os.preadv(descriptor, [room], offset)
                if count == 0:
                    break
                value = zlib.crc32(room[:count], value)
                offset += count
            return value

        data_bytes = max(0, os.fstat(descriptor).st_size - header_bytes)
        return _combined(zlib.crc32(file.read(header_bytes)), data_bytes, crc)


def _combined(header_crc: int, data_bytes: int, crc: Callable[[int, int], int]) -> str:
    """One digest of the header's CRC and those of all blocks of the data."""
    starts = range(0, data_bytes, BLOCK_BYTES)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), "vgsearch-checksum") as pool:
        crcs = pool.map(lambda start: crc(start, min(start + BLOCK_BYTES, data_bytes)), starts)
        hasher = hashlib.blake2b(digest_size=16)
        for value in (header_crc, data_bytes, *crcs):
            hasher.update(value.to_bytes(8, "little"))
    return hasher.hexdigest()

"""Render a demo city in several processes: `python -m vgsearch.data.demo_worker` is one of them.

Threads gain nothing here (a photo is some hundred short numpy calls), and `multiprocessing` would either
fork a process that has threads or import the caller's main module again.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from vgsearch.config.search import DemoCityConfig
from vgsearch.data.demo_photos import write_photos
from vgsearch.errors import VgsearchError

_DONE = "photo"
_FAILED = "failed"


def write_photos_in_processes(folder: Path, config: DemoCityConfig, processes: int) -> Generator[None]:
    """Write every photo of the demo into `folder`, yielding after each; the caller may stop at any time.

    Raises:
        OSError: a file cannot be written.
        VgsearchError: a process died.
    """
    package_root = str(Path(__file__).resolve().parents[2])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    command = [
        sys.executable,
        "-m",
        __name__,
        str(folder.resolve()),
        config.model_dump_json(),
        str(processes),
    ]
    read_end, write_end = os.pipe()
    workers: list[subprocess.Popen[bytes]] = []
    try:
        with os.fdopen(write_end, "wb") as write_file:
            for part in range(processes):
                workers.append(
                    subprocess.Popen(
                        [*command, str(part)],
                        stdin=subprocess.DEVNULL,
                        stdout=write_file,
                        env={**os.environ, "PYTHONPATH": search_path},
                    )
                )
        with os.fdopen(read_end, encoding="ascii") as reports:
            for line in reports:
                word, _, number = line.strip().partition(" ")
                if word == _FAILED:
                    raise OSError(int(number), os.strerror(int(number)), str(folder))
                yield
        codes = [worker.wait() for worker in workers]
        if any(codes):
            raise VgsearchError(
                f"processes that draw the demo city must exit with 0, but got {codes}; "
                "free some memory and try again"
            )
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _work(folder: Path, config: DemoCityConfig, parts: int, part: int) -> None:
    """Write this process's share; one line of output for each photo, or for the error that ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent sees Ctrl-C too, and ends us
    try:
        for _ in write_photos(folder, config, part, parts):
            _report(_DONE)
    except BrokenPipeError:
        sys.exit(1)  # the parent is gone
    except OSError as error:
        _report(f"{_FAILED} {error.errno or errno.EIO}")


def _report(line: str) -> None:
    """Write a line at once: all processes share one pipe, in which a short single write stays whole."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    _work(
        Path(sys.argv[1]), DemoCityConfig.model_validate_json(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    )

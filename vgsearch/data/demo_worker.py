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
from contextlib import suppress
from pathlib import Path

from vgsearch.config.search import DemoCityConfig
from vgsearch.data.demo_photos import write_photos
from vgsearch.data.demo_plan import plan_photos
from vgsearch.errors import VgsearchError

_DONE = "photo"
_FAILED = "failed"
_KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""For glibc: arrays of 200 kB that come and go would otherwise cost a quarter of the time in page faults."""


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
    environment = {**_KEEP_FREED_MEMORY, **os.environ, "PYTHONPATH": search_path}
    read_end, write_end = os.pipe()
    workers: list[subprocess.Popen[bytes]] = []
    done = 0
    try:
        with os.fdopen(read_end, encoding="ascii") as reports:
            with os.fdopen(write_end, "wb") as pipe:
                for part in range(processes):
                    arguments = [*command, str(part)]
                    workers.append(
                        subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=pipe, env=environment)
                    )
            for line in reports:
                word, _, number = line.strip().partition(" ")
                if word == _FAILED:
                    raise OSError(int(number), os.strerror(int(number)), str(folder))
                done += 1
                yield
        codes = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    if any(codes) or done != len(plan_photos(config)):
        raise VgsearchError(
            "the processes that draw the demo city must end with exit code 0, but after "
            f"{done} photos got {codes}; free some memory and try again"
        )


def _work(folder: Path, config: DemoCityConfig, parts: int, part: int) -> None:
    """Write this process's share; one line of output for each photo, or for the error that ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent sees Ctrl-C too, and ends us
    try:
        for _ in write_photos(folder, config, part, parts):
            _report(_DONE)
    except OSError as error:
        with suppress(BrokenPipeError):  # the parent has heard from another process, or is gone
            _report(f"{_FAILED} {error.errno or errno.EIO}")


def _report(line: str) -> None:
    """Write a line at once: all processes share one pipe, in which a short single write stays whole."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    _work(
        Path(sys.argv[1]), DemoCityConfig.model_validate_json(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    )

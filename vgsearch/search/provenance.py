"""What a search was run on, as files for the record: code, packages, hardware, configuration, data.

Environment variables are never recorded: they are where secrets live.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.errors import DataError
from vgsearch.search.data_tags import folder_tags
from vgsearch.search.git_state import git_files

FOLDER = "provenance"
MANIFEST = "manifest.json"


def gather(
    document: SearchDocument, data: DataConfig, nodes: Sequence[Mapping[str, object]]
) -> dict[str, bytes]:
    """Describe a search as it starts or goes on.

    Args:
        document: The search file.
        data: Its data section with absolute folders.
        nodes: What `this_node` says on each machine.

    Returns:
        Contents by name: `search.yaml` (as it was written, with every `--set`), `parsed.json` (as it was
        understood, with the seeds), `data.json` (content hashes and counts of every split), `hardware.json`,
        `packages.txt`, and `git.txt` and `git.diff` where the search file lies in a repository.
    """
    # Here, because each machine of a cluster imports this file for `this_node` alone.
    from vgsearch.search.ledger import recorded_text

    return {
        "search.yaml": recorded_text(document).encode(),
        "parsed.json": _json(_parsed(document, data)),
        "data.json": _json(_data(data)),
        "hardware.json": _json(list(nodes)),
        "packages.txt": _packages().encode(),
        **git_files(document.source),
    }


def this_node() -> dict[str, object]:
    """This machine: host name, platform, Python, CPUs, memory, GPUs with theirs; sizes in bytes."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "hostname": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "usable_cpus": usable,
        "memory_bytes": _memory_bytes(),
        "gpus": _nvidia_gpus() or _torch_gpus(),
    }


@dataclass(frozen=True)
class ProvenanceUpdate:
    """What is to be recorded now.

    Attributes:
        folder: `provenance` the first time, then `provenance/resume_2` and so on.
        files: The files that are new or changed, and a manifest that says in which folder each file lies.
        state: To be kept, and handed to `changes_since` the next time.
    """

    folder: str
    files: dict[str, bytes]
    state: str


def changes_since(state: str | None, files: Mapping[str, bytes]) -> ProvenanceUpdate:
    """Leave out the files that were recorded before and have not changed.

    Args:
        state: Of the last update; None the first time.
        files: What `gather` says now.
    """
    before: dict[str, Any] = json.loads(state) if state else {"sessions": 0, "files": {}}
    session = before["sessions"] + 1
    folder = FOLDER if session == 1 else f"{FOLDER}/resume_{session}"
    known: dict[str, dict[str, str]] = {}
    fresh: dict[str, bytes] = {}
    for name, content in files.items():
        sha256 = hashlib.sha256(content).hexdigest()
        recorded = before["files"].get(name)
        if recorded is not None and recorded["sha256"] == sha256:
            known[name] = recorded
        else:
            known[name] = {"sha256": sha256, "folder": folder}
            fresh[name] = content
    state = json.dumps({"sessions": session, "files": known})
    return ProvenanceUpdate(folder, {**fresh, MANIFEST: _json(known)}, state)


def _parsed(document: SearchDocument, data: DataConfig) -> dict[str, object]:
    return {
        "name": document.name,
        "seeds": {
            "sampler": document.search.sampler.seed,
            # Several only where the file searches over the seed.
            "trial": sorted({trial.seed for trial in document.examples}),
        },
        "trial": json.loads(document.space.to_json()),
        "data": data.model_dump(mode="json"),
        "eval": document.eval.model_dump(mode="json"),
        "search": document.search.model_dump(mode="json"),
        "resources": document.resources.model_dump(mode="json"),
    }


def _data(data: DataConfig) -> dict[str, object]:
    from vgsearch.training.data_cache import load_split

    def images(folder: str) -> Callable[[], dict[str, object]]:
        return lambda: _counted(index_folder(Path(folder)))

    def split(folder: str, name: str) -> Callable[[], dict[str, object]]:
        def describe() -> dict[str, object]:
            found = load_split(folder, data.positive_distance_m, name)
            return {
                "database": _counted(found.database),
                "queries": _counted(found.queries),
                "queries_with_positive": int(found.has_positive.sum()),
                "query_set_hash": found.query_set_hash,
            }

        return describe

    described = {"train": _said(images(data.train))}
    for name, folder in data.val_splits.items():
        described[f"val/{name}".rstrip("/")] = _said(split(folder, name or "val"))
    for name, folder in data.tests.items():
        described[f"test/{name}"] = _said(split(folder, name))
    for name, folder in data.target_domains.items():
        described[f"target_domain/{name}".rstrip("/")] = {**_said(images(folder)), **folder_tags(folder)}
    return {"positive_distance_m": data.positive_distance_m, "splits": described}


def _counted(index: ImageIndex) -> dict[str, object]:
    return {"folder": str(index.root), "images": len(index), "content_hash": index.content_hash}


def _said(describe: Callable[[], dict[str, object]]) -> dict[str, object]:
    """Describe a split; one that cannot be read is the trials' error to make, not the record's."""
    try:
        return describe()
    except DataError as error:
        return {"error": str(error)}


def _packages() -> str:
    versions = {
        name: distribution.version
        for distribution in metadata.distributions()
        if (name := distribution.metadata["Name"])
    }
    lines = [f"{name}=={versions[name]}" for name in sorted(versions, key=str.casefold)]
    return "\n".join([f"# Python {sys.version}".replace("\n", " "), *lines]) + "\n"


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _nvidia_gpus() -> list[dict[str, object]]:
    """Ask the driver's own tool: PyTorch would hold hundreds of MB of each GPU from here on."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
        return [
            {"name": name, "memory_bytes": int(mebibytes) * 1024**2, "driver": driver}
            for name, mebibytes, driver in rows
        ]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def _torch_gpus() -> list[dict[str, object]]:
    """GPUs that only PyTorch knows (ROCm)."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [{"name": gpu.name, "memory_bytes": gpu.total_memory} for gpu in found]


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()

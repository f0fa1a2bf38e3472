"""Whether every machine of a cluster sees the same folders as the driver, asked before the first trial.

Machines that agree on a path may still mean different disks, so each is asked for a word that the driver has
just written there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vgsearch import __version__
from vgsearch.config.folders import folder_by_key
from vgsearch.config.search import DataConfig
from vgsearch.config.split_folder import folder_on_disk
from vgsearch.errors import ResourceError, StorageError
from vgsearch.search.provenance import this_node
from vgsearch.search.resources import Node

ANSWER_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class NodeAnswer:
    """What one machine says: its version of vgsearch, folders that it lacks, whether the word was there."""

    version: str
    missing: tuple[str, ...]
    sees_home: bool
    facts: Mapping[str, object]


def data_folders(data: DataConfig) -> dict[str, str]:
    """The folders that trials read, by their key in the file."""
    return {
        ".".join(keys): folder_on_disk(folder) if keys[1] in ("val", "tests") else folder
        for keys, folder in folder_by_key(data).items()
    }


def check_nodes(nodes: Sequence[Node], data: DataConfig, home: Path) -> list[Mapping[str, object]]:
    """Ask each node whether it can work on this search.

    Args:
        nodes: those that are up.
        data: the data section with absolute folders.
        home: where trials write.

    Returns:
        the hardware of each node, for the record.

    Raises:
        ResourceError: nodes lack a folder, see another home, or have another version; all by name.
        StorageError: the driver cannot write to `home`.
    """
    word = secrets.token_hex(8)
    token = home / f".nodes-{word}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        token.write_text(word)
    except OSError as error:
        raise StorageError(f"cannot write {home}: {error.strerror}; choose another --home") from error
    folders = data_folders(data)
    try:
        asked = {node.key: _ask(node, folders, token, word) for node in nodes}
        answers = {node.key: _answer(asked[node.key]) for node in nodes}
    finally:
        with suppress(OSError):
            token.unlink()
    problems = [
        f"node {node.name} {text}" for node in nodes for text in _problems(answers[node.key], folders, home)
    ]
    if problems:
        raise ResourceError("\n".join(problems))
    return [answer.facts for answer in answers.values() if answer is not None]


def _ask(node: Node, folders: Mapping[str, str], token: Path, word: str) -> Any:
    strategy = NodeAffinitySchedulingStrategy(node.key, soft=False)
    task = ray.remote(_look).options(num_cpus=0, scheduling_strategy=strategy, max_retries=0)
    return task.remote(dict(folders), str(token), word)


def _answer(reference: Any) -> NodeAnswer | None:
    try:
        found: NodeAnswer = ray.get(reference, timeout=ANSWER_TIMEOUT_S)
    except ray.exceptions.RayError:
        return None
    return found


def _look(folders: Mapping[str, str], token: str, word: str) -> NodeAnswer:
    try:
        sees_home = Path(token).read_text() == word
    except OSError:
        sees_home = False
    return NodeAnswer(
        version=__version__,
        missing=tuple(key for key, folder in folders.items() if not os.path.isdir(folder)),
        sees_home=sees_home,
        facts=this_node(),
    )


def _problems(answer: NodeAnswer | None, folders: Mapping[str, str], home: Path) -> list[str]:
    if answer is None:
        return [
            "cannot run vgsearch, or does not answer: install the same environment on it, or take it out of "
            "the cluster"
        ]
    found = []
    if answer.version != __version__:
        found.append(f"has vgsearch {answer.version}, the driver {__version__}: install the same one")
    for key in answer.missing:
        found.append(
            f"has no folder {folders[key]} ({key}): put the data where every node sees it under one path "
            f"(--data-root)"
        )
    if not answer.sees_home:
        found.append(
            f"does not see the driver's {home}: put --home on storage that all nodes share under one path"
        )
    return found

"""`weights:` is a word, a recorded model or a file.

Before a search begins a recorded model becomes the file of its weights, and a relative file an absolute one
that starts at the data root, so that every worker finds the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from vgsearch.config.problems import Problem
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.tree import Node, Options, at
from vgsearch.config.wording import show
from vgsearch.errors import VgsearchError

WEIGHT_WORDS = ("imagenet", "none", "bundled")
RECORDED_PREFIXES = ("models:/", "runs:/")

_WEIGHT_KEYS = (("trial", "weights"), ("trial", "backbone", "weights"))
_START_WITH = ("search", "start_with")
# What a checkpoint's folder keeps its weights in.
_CHECKPOINT_FILE = "model.safetensors"


@dataclass(frozen=True)
class RecordedWeights:
    """The weights of a recorded model.

    Attributes:
        file: where they lie.
        tags: of the model, those that whatever starts from it has too.
    """

    file: Path
    tags: Mapping[str, str] = field(default_factory=dict)


def with_absolute_weights(
    root: Node, data_root: Path, find_recorded: Callable[[str], RecordedWeights] | None = None
) -> tuple[Node, list[Problem], dict[str, RecordedWeights]]:
    """`root` with every weights file absolute, in every option of every choice and in `search.start_with`.

    Args:
        root: the whole file.
        data_root: where relative files start.
        find_recorded: gives the weights of a recorded model, by its reference; null leaves references as
            they are.

    Returns:
        the tree, what is wrong with references, and what each other reference was found to be.
    """
    problems: list[Problem] = []
    found: dict[str, RecordedWeights] = {}

    def absolute(leaf: Node, keys: tuple[str, ...]) -> Node:
        weights = leaf.content
        if not isinstance(weights, str):
            return leaf
        if is_recorded(weights):
            if find_recorded is None:
                return leaf
            try:
                if weights not in found:
                    found[weights] = find_recorded(weights)
            except VgsearchError as error:
                problems.append(Problem(leaf.place, keys, str(error)))
                return leaf
            return replace(leaf, content=str(found[weights].file))
        if not _is_file_name(weights):
            return leaf
        path = os.path.abspath(data_root / os.path.expanduser(weights))
        inside = os.path.join(path, _CHECKPOINT_FILE)
        return replace(leaf, content=inside if os.path.isfile(inside) else path)

    def absolute_entries(entries: Node) -> Node:
        if not isinstance(entries.content, list):
            return entries
        content = entries.content
        for keys in _WEIGHT_KEYS:
            content = [
                _changed(entry, keys[1:], partial(absolute, keys=(*_START_WITH, str(i), *keys[1:])))
                for i, entry in enumerate(content)
            ]
        return replace(entries, content=content)

    for keys in _WEIGHT_KEYS:
        root = _changed(root, keys, partial(absolute, keys=keys))
    return _changed(root, _START_WITH, absolute_entries), problems, found


def is_recorded(weights: str) -> bool:
    """Whether `weights` refers to a recorded model."""
    return weights.startswith(RECORDED_PREFIXES)


def check_weights(decided: Node, data_root: Path | None) -> list[Problem]:
    """Each weights key is a word, a recorded model or a file; that must exist if the data root is known."""
    problems = []
    for keys in _WEIGHT_KEYS:
        node = at(decided, keys)
        if node is None or not isinstance(node.content, str) or node.content in ("", *WEIGHT_WORDS):
            continue
        weights = node.content
        if is_recorded(weights):
            continue
        if not _is_file_name(weights):
            text = f"must be {', '.join(WEIGHT_WORDS)}, a file or a recorded model, got {show(weights)}"
            problems.append(Problem(node.place, keys, text + nearest_hint(weights, WEIGHT_WORDS)))
        elif data_root is not None and not os.path.isfile(weights):
            text = f"file {weights} does not exist; a relative path starts at the data root"
            if os.path.isdir(weights):
                text = (
                    f"{weights} is a folder without {_CHECKPOINT_FILE}; give a file or a checkpoint's folder"
                )
            problems.append(Problem(node.place, keys, text))
    return problems


def _is_file_name(weights: str) -> bool:
    """Whether `weights` can only be meant as a file: it has a suffix or a folder."""
    return weights not in WEIGHT_WORDS and (Path(weights).suffix != "" or "/" in weights)


def _changed(node: Node, keys: tuple[str, ...], change: Callable[[Node], Node]) -> Node:
    content = node.content
    if isinstance(content, Options):
        return replace(node, content=Options(tuple(_changed(o, keys, change) for o in content.options)))
    if not keys:
        return change(node)
    if isinstance(content, dict) and keys[0] in content:
        child = _changed(content[keys[0]], keys[1:], change)
        return replace(node, content={**content, keys[0]: child})
    return node

"""`weights:` is a word or a file; a relative file starts at the data root, so that every worker finds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vgsearch.config.problems import Problem
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.tree import Node, Options, at
from vgsearch.config.wording import show

WEIGHT_WORDS = ("imagenet", "none", "bundled")

_WEIGHT_KEYS = (("trial", "weights"), ("trial", "backbone", "weights"))
_START_WITH = ("search", "start_with")


def with_absolute_weights(root: Node, data_root: Path) -> Node:
    """`root` with every weights file absolute, in every option of every choice and in `search.start_with`."""

    def absolute(leaf: Node) -> Node:
        weights = leaf.content
        if not isinstance(weights, str) or not _is_file_name(weights):
            return leaf
        return replace(leaf, content=os.path.abspath(data_root / os.path.expanduser(weights)))

    def absolute_entries(entries: Node) -> Node:
        if not isinstance(entries.content, list):
            return entries
        content = entries.content
        for keys in _WEIGHT_KEYS:
            content = [_changed(entry, keys[1:], absolute) for entry in content]
        return replace(entries, content=content)

    for keys in _WEIGHT_KEYS:
        root = _changed(root, keys, absolute)
    return _changed(root, _START_WITH, absolute_entries)


def check_weights(decided: Node, data_root: Path | None) -> list[Problem]:
    """Each weights key is one of the words or a file, which must exist where the data root is known."""
    problems = []
    for keys in _WEIGHT_KEYS:
        node = at(decided, keys)
        if node is None or not isinstance(node.content, str) or node.content in ("", *WEIGHT_WORDS):
            continue
        weights = node.content
        if not _is_file_name(weights):
            text = f"must be {', '.join(WEIGHT_WORDS)} or a file, got {show(weights)}"
            problems.append(Problem(node.place, keys, text + nearest_hint(weights, WEIGHT_WORDS)))
        elif data_root is not None and not os.path.isfile(weights):
            text = f"file {weights} does not exist; a relative path starts at the data root"
            problems.append(Problem(node.place, keys, text))
    return problems


def _is_file_name(weights: str) -> bool:
    """Whether `weights` can only be meant as a file: it has a suffix or a folder."""
    path = Path(weights)
    return weights not in WEIGHT_WORDS and (path.suffix != "" or len(path.parts) > 1)


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

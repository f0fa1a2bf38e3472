"""Rules that span keys: names that become paths, the objective, and what the trial needs of the data."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import PurePath

from pydantic import ValidationError

from vgsearch.config.problems import Problem
from vgsearch.config.search import DataConfig, SearchConfig
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.tree import Node, at, find, plain
from vgsearch.config.trial import AugmentConfig
from vgsearch.config.wording import show

RECALLS_AT = (1, 5, 10, 20)

# A trial is named by its search and 20 characters more, and a name may have 128.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def is_safe_name(name: str) -> bool:
    """Whether `name` can be one segment of a path and of a metric's name."""
    return _NAME.fullmatch(name) is not None and name.strip(".") != ""


def check_names(root: Node, data: DataConfig | None) -> list[Problem]:
    """The search's name and those of the splits: each becomes part of paths and of metric names."""
    problems = []
    rule = "must be 1 to 100 letters, digits, '.', '_' or '-'"
    name = find(root, ("name",))
    if isinstance(name.content, str) and not is_safe_name(name.content):
        problems.append(Problem(name.place, ("name",), f"{rule}, got {show(name.content)}"))
    if data is None:
        return problems
    splits = [("val", split) for split in data.val_splits if not isinstance(data.val, str)]
    for section, split in [*splits, *(("tests", split) for split in data.tests)]:
        keys = ("data", section, split)
        if not is_safe_name(split):
            problems.append(Problem(find(root, keys).place, keys[:2], f"a name {rule}, got {show(split)}"))
        elif section == "val" and split == "mean":
            text = "'mean' is kept for the mean over all splits; choose another name"
            problems.append(Problem(find(root, keys).place, keys, text))
    if not data.val_splits:
        problems.append(
            Problem(find(root, ("data", "val")).place, ("data", "val"), "needs at least one split")
        )
    return problems


def check_splits_apart(root: Node, data: DataConfig) -> list[Problem]:
    """Train, val and tests must not overlap: nothing learns from val, and selection never reads a test."""
    parts: list[tuple[tuple[str, ...], str]] = [(("data", "train"), data.train)]
    single = isinstance(data.val, str)
    parts += [(("data", "val") if single else ("data", "val", s), f) for s, f in data.val_splits.items()]
    parts += [(("data", "tests", split), folder) for split, folder in data.tests.items()]
    problems = []
    for i, (keys, folder) in enumerate(parts):
        for others, other in parts[:i]:
            if folder and other and keys[1] != others[1] and _overlap(folder, other):
                text = f"must be apart from {'.'.join(others)} ({other}), got {folder}; name another folder"
                problems.append(Problem(find(root, keys).place, keys, text))
    return problems


def _overlap(folder: str, other: str) -> bool:
    """Whether one path is the other or lies inside it."""
    one, two = (PurePath(os.path.normpath(path)) for path in (folder, other))
    return one.is_relative_to(two) or two.is_relative_to(one)


def objectives(data: DataConfig) -> list[str]:
    """Every metric that a search over `data` may maximise: recalls on the selection splits."""
    if isinstance(data.val, str):
        return [f"val/recall_at_{n}" for n in RECALLS_AT]
    return [f"val/{split}/recall_at_{n}" for split in [*data.val, "mean"] for n in RECALLS_AT]


def check_objective(root: Node, data: DataConfig) -> list[Problem]:
    """Selection reads only the splits that are declared for it."""
    keys = ("search", "objective")
    node = at(root, keys)
    valid = objectives(data)
    given = SearchConfig().objective if node is None else node.content
    if not isinstance(given, str) or given in valid:
        return []
    ways = [objective.removesuffix("recall_at_1") + "recall_at_N" for objective in valid[:: len(RECALLS_AT)]]
    text = f"must be {' or '.join(ways)} with N one of {', '.join(str(n) for n in RECALLS_AT)}"
    if node is None:
        place = find(root, ("data", "val")).place
        return [Problem(place, keys, f"must be set when data.val names its splits; it {text}")]
    return [Problem(node.place, keys, f"{text}, got {show(given)}{nearest_hint(given, valid)}")]


def check_domain(decided: Node, data: DataConfig) -> list[Problem]:
    """A domain classifier needs photos of the other domain."""
    keys = ("trial", "domain")
    domain = at(decided, keys)
    if data.target_domain is not None or domain is None or not isinstance(domain.content, dict):
        return []
    placement = domain.content.get("placement")
    if placement is not None and placement.content == "inline":
        return []
    text = "needs a folder of photos of the target domain; set data.target_domain, or domain: null"
    return [Problem(domain.place, keys, text)]


def check_styles(decided: Node, data: DataConfig) -> list[Problem]:
    """Fourier domain adaptation needs photos whose style to take."""
    keys = ("trial", "augment", "fda_beta")
    beta, augment = at(decided, keys), at(decided, keys[:2])
    if data.target_domain is not None or beta is None or augment is None:
        return []
    try:
        if not AugmentConfig.model_validate(plain(augment)).takes_styles:
            return []
    except ValidationError:
        return []
    text = f"{show(beta.content)} needs a folder of photos whose style to take; set data.target_domain, or 0"
    return [Problem(beta.place, keys, text)]


def check_backbones(decided: Iterable[Node], check: Callable[[str], str | None]) -> list[Problem]:
    """Every backbone name that can be chosen, by a check that is handed in; each name is asked about once."""
    answers: dict[str, str | None] = {}
    problems = []
    for root in decided:
        keys: tuple[str, ...] = ("trial", "backbone")
        node = at(root, keys)
        if node is not None and isinstance(node.content, dict):
            keys = (*keys, "name")
            node = node.content.get("name")
        if node is None or not isinstance(node.content, str):
            continue
        name = node.content
        if name not in answers:
            answers[name] = check(name)
        answer = answers[name]
        if answer is not None:
            problems.append(Problem(node.place, keys, answer.removeprefix("trial.backbone: ")))
    return problems

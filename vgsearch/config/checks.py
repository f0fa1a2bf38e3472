"""Rules that span keys: names that become paths, the objective, and what the trial needs of the data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from pydantic import ValidationError

from vgsearch.config.folders import folder_by_key, overlap
from vgsearch.config.problems import Problem
from vgsearch.config.search import DataConfig, SearchConfig
from vgsearch.config.split_folder import folder_and_queries
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.tree import Node, at, find, plain
from vgsearch.config.trial import AugmentConfig
from vgsearch.config.wording import show

RECALLS_AT = (1, 5, 10, 20)

_DISCRIMINATOR_KEYS = ("where", "hidden", "lr", "weight", "batch_fraction")

# A trial is named by its search and 20 characters more, and a name may have 128.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_KEPT_NAMES = {
    ("val", "mean"): "the mean over all splits",
    ("target_domain", "source"): "the training photos",
}


def is_safe_name(name: str) -> bool:
    """Whether `name` can be one segment of a path and of a metric's name."""
    return _NAME.fullmatch(name) is not None and name.strip(".") != ""


def check_names(root: Node, data: DataConfig | None) -> list[Problem]:
    """The search's name, those of the splits and the target domains: parts of paths and of metric names."""
    problems = []
    rule = "must be 1 to 100 letters, digits, '.', '_' or '-'"
    name = find(root, ("name",))
    if isinstance(name.content, str) and not is_safe_name(name.content):
        problems.append(Problem(name.place, ("name",), f"{rule}, got {show(name.content)}"))
    if data is None:
        return problems
    for keys in (keys for keys in folder_by_key(data) if len(keys) == 3):
        if not is_safe_name(keys[2]):
            text = f"a name {rule}, got {show(keys[2])}"
            problems.append(Problem(find(root, keys).place, keys[:2], text))
        elif keys[1:] in _KEPT_NAMES:
            text = f"{show(keys[2])} is kept for {_KEPT_NAMES[keys[1:]]}; choose another name"
            problems.append(Problem(find(root, keys).place, keys, text))
    for section, text in (
        ("val", "needs at least one split"),
        ("target_domain", "needs at least one domain; name a folder, or write null"),
    ):
        if getattr(data, section) == {}:
            problems.append(Problem(find(root, ("data", section)).place, ("data", section), text))
    return problems


def check_splits_apart(root: Node, data: DataConfig) -> list[Problem]:
    """What trains, val and tests must not overlap: nothing learns from val, and selection never reads a test.

    Target domains must be apart from each other too: nothing tells one photo from itself.
    """
    parts = list(folder_by_key(data).items())
    problems = []
    for i, (keys, folder) in enumerate(parts):
        for others, other in parts[:i]:
            alike = keys[1] == others[1] and keys[1] != "target_domain"
            apart = not (folder and other) or not overlap(
                *(folder_and_queries(f)[0] for f in (folder, other))
            )
            if not alike and not apart:
                text = f"must be apart from {'.'.join(others)} ({other}), got {folder}; name another folder"
                problems.append(Problem(find(root, keys).place, keys, text))
    return problems


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
    """A domain classifier needs photos of the other domain; without one, nothing can be said about it."""
    keys = ("trial", "domain")
    domain = at(decided, keys)
    if domain is None or not isinstance(domain.content, dict):
        return []
    placement = domain.content.get("placement")
    if placement is not None and placement.content == "inline":
        text = (
            "is about the domain classifier, which placement: inline does not have; leave it out, or give "
            "each placement an option of its own in a !choice"
        )
        return [
            Problem(node.place, (*keys, key), text)
            for key, node in domain.content.items()
            if key in _DISCRIMINATOR_KEYS
        ]
    if data.target_domain is not None:
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

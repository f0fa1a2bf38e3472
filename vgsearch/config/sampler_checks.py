"""Whether a sampler can take a space at all, said when the file is read and not at trial 11."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vgsearch.config.grid import grid_size
from vgsearch.config.problems import Problem
from vgsearch.config.search import SearchConfig
from vgsearch.config.space import Space
from vgsearch.config.tree import Node, Options, at, find, unwrap

MAX_GRID = 10_000

_NAME = ("search", "sampler", "name")


@dataclass(frozen=True)
class _Searched:
    """A searched value of the file: where it stands, and the place of the choice that it is an option of."""

    node: Node
    keys: tuple[str, ...]
    choice: Node | None


def check_sampler(root: Node, search: SearchConfig) -> list[Problem]:
    """What in the `trial` section the sampler of the `search` section cannot take.

    Args:
        root: the whole file, its searched values undecided.
        search: its `search` section.
    """
    trial = at(root, ("trial",)) or Node({}, root.place)
    if not isinstance(trial.content, dict):
        return []  # which is a problem of its own
    name = search.sampler.name
    searched = list(_searched(trial, ("trial",), None))
    if name in ("gp", "cmaes") and not searched:
        text = f"{name} has nothing to search; give a value of trial a range, or use sampler random"
        return [Problem(find(root, _NAME).place, _NAME, text)]
    if name == "cmaes":
        also = "" if any(value.choice for value in searched) else "gp, "
        text = (
            f"sampler cmaes takes no !choice; write one value, or use sampler {also}tpe, random, grid or qmc"
        )
        return [
            Problem(value.node.place, value.keys, text)
            for value in searched
            if isinstance(value.node.content, Options)
        ]
    if name == "gp":
        return [
            Problem(
                value.node.place,
                value.keys,
                f"sampler gp takes no value that is searched inside an option of a !choice (that of line "
                f"{value.choice.place.line}); write one value, or use sampler tpe, random, grid or qmc",
            )
            for value in searched
            if value.choice is not None
        ]
    if name == "grid":
        tree = unwrap(trial)
        size = grid_size(Space(tree if isinstance(tree, dict) else {}), search.sampler)
        if size > MAX_GRID:
            text = (
                f"a grid over this space has {size:,} combinations, and at most {MAX_GRID:,} are walked "
                f"through; lower search.sampler.grid_points, fix some values, or use sampler qmc"
            )
            return [Problem(find(root, _NAME).place, _NAME, text)]
    return []


def sampler_remarks(space: Space, search: SearchConfig) -> list[str]:
    """What is allowed and may yet not be meant, one sentence each.

    Args:
        space: what is searched.
        search: the `search` section, checked by `check_sampler`.
    """
    name, scheduler, num_trials = search.sampler.name, search.scheduler, search.num_trials
    rules = [] if scheduler.name == "none" else [f"name {scheduler.name}"]
    rules += [] if scheduler.patience_epochs is None else [f"patience_epochs {scheduler.patience_epochs}"]
    remarks = []
    if name in ("gp", "cmaes") and rules:
        remarks.append(
            f"sampler {name} learns from complete trials only, and search.scheduler ({', '.join(rules)}) "
            f"stops trials early: it sees few of them; sampler tpe learns from stopped ones too"
        )
    if name == "grid":
        size = grid_size(space, search.sampler)
        if num_trials < size:
            remarks.append(
                f"the grid has {size:,} combinations and search.num_trials is {num_trials:,}: the first "
                f"{num_trials:,} are tried, the last searched value of the file varying fastest"
            )
        elif num_trials > size:
            remarks.append(
                f"the grid has {size:,} combinations and search.num_trials is {num_trials:,}: the search "
                f"ends when all are tried"
            )
    return remarks


def _searched(node: Node, keys: tuple[str, ...], choice: Node | None) -> Iterator[_Searched]:
    if node.is_searched:
        yield _Searched(node, keys, choice)
    content = node.content
    if isinstance(content, Options):
        for option in content.options:
            yield from _searched(option, keys, choice or node)
    elif isinstance(content, Mapping):
        for key, child in content.items():
            yield from _searched(child, (*keys, key), choice)
    elif isinstance(content, list):
        for i, child in enumerate(content):
            yield from _searched(child, (*keys, str(i)), choice)

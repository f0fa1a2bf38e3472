"""The folders of the data section: below the data root, and there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from vgsearch.config.search import DataConfig
from vgsearch.config.split_folder import folder_and_queries, missing_queries, part_folders


def absolute_data(data: DataConfig, data_root: Path) -> DataConfig:
    """`data` with every folder absolute: relative ones start at `data_root`, `~` is the user's home."""

    def absolute(folder: str) -> str:
        return os.path.abspath(data_root / os.path.expanduser(folder))

    def absolute_each(folders: str | dict[str, str]) -> str | dict[str, str]:
        if isinstance(folders, str):
            return absolute(folders)
        return {name: absolute(folder) for name, folder in folders.items()}

    demo, target = data.demo_city, data.target_domain
    return data.model_copy(
        update={
            "train": absolute(data.train),
            "val": absolute_each(data.val),
            "tests": absolute_each(data.tests),
            "target_domain": None if target is None else absolute_each(target),
            "demo_city": None if demo is None else demo.model_copy(update={"folder": absolute(demo.folder)}),
        }
    )


def folder_by_key(data: DataConfig) -> dict[tuple[str, ...], str]:
    """Every folder of `data` by its keys inside the file."""
    sections = {"val": data.val_splits, "tests": data.tests, "target_domain": data.target_domains}
    found: dict[tuple[str, ...], str] = {("data", "train"): data.train}
    for section, folders in sections.items():
        # A single folder stands at the section's own key, under the empty name.
        single = isinstance(getattr(data, section), str)
        found |= {
            ("data", section) if single else ("data", section, name): folder
            for name, folder in folders.items()
        }
    return found


def folder_problems(
    data: DataConfig, data_root: Path, *, allow_unbuilt_demo: bool
) -> Mapping[tuple[str, ...], str]:
    """What is wrong with each folder, by its keys.

    Args:
        data: the section as it is written.
        data_root: where relative folders start.
        allow_unbuilt_demo: folders inside the demo city's may be missing, because a command will draw them.
    """
    resolved = absolute_data(data, data_root)
    city = None if resolved.demo_city is None else Path(resolved.demo_city.folder)
    written = folder_by_key(data)
    problems: dict[tuple[str, ...], str] = {}
    for keys, folder in folder_by_key(resolved).items():
        in_city = city is not None and Path(folder).is_relative_to(city)
        no_queries = None
        if keys[1] in ("val", "tests"):
            no_queries = missing_queries(folder)
            folder = folder_and_queries(folder)[0]
        if not written[keys].strip():
            problems[keys] = "must name a folder, got ''"
        elif no_queries is not None:
            problems[keys] = no_queries
        elif os.path.isdir(folder) or (in_city and allow_unbuilt_demo and not os.path.lexists(folder)):
            continue
        elif os.path.lexists(folder):
            problems[keys] = f"must be a folder, got the file {folder}"
        elif in_city:
            problems[keys] = f"folder {folder} does not exist; build it with `vgsearch data demo {city}`"
        else:
            root = os.path.abspath(data_root)
            problems[keys] = f"folder {folder} does not exist; put it there, or set --data-root (now {root})"
    return {**linked_together(resolved), **problems}


def linked_together(data: DataConfig) -> dict[tuple[str, ...], str]:
    """Folders of train, val and tests that are one folder, or share one, by way of a link, by their keys.

    The Mapillary SLS layout makes `msls/test` a link to `msls/val`: apart by name, the same photos. The night
    queries of a set, or its queries translated, stand beside a link to its database.

    Args:
        data: with absolute folders; those that are not there are left alone.
    """
    problems: dict[tuple[str, ...], str] = {}
    folders = {keys: folder_and_queries(split)[0] for keys, split in folder_by_key(data).items()}
    seen: list[tuple[tuple[str, ...], str, list[str]]] = []
    for keys, folder in folders.items():
        if keys[1] == "target_domain" or not os.path.isdir(folder):
            continue
        real = [os.path.realpath(each) for each in (folder, *part_folders(folder))]
        for others, other, theirs in seen:
            if keys[1] == others[1] or overlap(folder, other):
                continue
            shared = next((mine for mine in real for their in theirs if overlap(mine, their)), None)
            if shared is not None:
                problems[keys] = (
                    f"must be apart from {'.'.join(others)}, but a link leads to the same photos: {folder} "
                    f"and {other} share {shared}; name another folder"
                )
        seen.append((keys, folder, real))
    return problems


def val_problems(data: DataConfig) -> list[str]:
    """Why selection splits that were named later are not apart from what trains and tests, one line each.

    Args:
        data: With absolute folders.
    """
    folders = {keys: folder_and_queries(split)[0] for keys, split in folder_by_key(data).items() if split}
    inside = [
        f"{folder} must be apart from {'.'.join(others)} ({other})"
        for keys, folder in folders.items()
        for others, other in folders.items()
        if keys[1] == "val" and others[1] in ("train", "tests") and overlap(folder, other)
    ]
    return inside or [f"{'.'.join(keys)} {text}" for keys, text in linked_together(data).items()]


def overlap(folder: str, other: str) -> bool:
    """Whether one path is the other or lies inside it, by their names alone."""
    one, two = (PurePath(os.path.normpath(path)) for path in (folder, other))
    return one.is_relative_to(two) or two.is_relative_to(one)

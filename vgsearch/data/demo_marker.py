"""The file that says what a demo city's folder holds, and what may be done with a folder because of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from vgsearch.config.search import DemoCityConfig
from vgsearch.errors import DataError

MARKER = "demo_city.json"
GENERATION = 1
"""To be raised whenever the same config gives other photos."""


def write_marker(folder: Path, config: DemoCityConfig, counts: Mapping[str, int]) -> None:
    """Record what `folder` was built from, and how many photos each of its folders holds."""
    content = {"config": _identity(config), "photos": dict(counts)}
    (folder / MARKER).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def is_complete(folder: Path, config: DemoCityConfig) -> bool:
    """Whether `folder` holds the whole demo of `config`; False where it may be built, or built again.

    It may be built where there is nothing or an empty folder, and built again where photos of this same demo
    have gone missing.

    Raises:
        DataError: the folder holds anything else, which is not ours to replace.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file, but the demo city needs a folder there; name another one")
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    found, counts = _read_marker(folder)
    wanted = _identity(config)
    # A key that only one of the two has is one that leaves no trace at its default.
    defaults = {name: field.default for name, field in DemoCityConfig.model_fields.items()}
    changed = [
        f"{key} {there} instead of {value}"
        for key in {**wanted, **found}
        if (there := found.get(key, defaults.get(key))) != (value := wanted.get(key, defaults.get(key)))
    ]
    if changed:
        raise DataError(
            f"{folder} holds a demo city with {', '.join(changed)}; delete that folder, "
            "or set data.demo_city.folder to another one"
        )
    if all(_count_photos(folder / name) >= count for name, count in counts.items()):
        return True
    strangers = (
        {entry.name for entry in folder.iterdir()} - {name.partition("/")[0] for name in counts} - {MARKER}
    )
    if strangers:
        raise DataError(
            f"{folder} is a demo city that lacks photos, and building it again would remove "
            f"{min(strangers)}, which is no part of it; move that elsewhere"
        )
    return False


def _identity(config: DemoCityConfig) -> dict[str, int | str]:
    """What decides the photos; the folder's own name does not."""
    settings = config.model_dump(mode="json", exclude={"folder"})
    first = ("size", "image_px", "seed")
    return {"generation": GENERATION, **{key: settings.pop(key) for key in first}, **settings}


def _read_marker(folder: Path) -> tuple[dict[str, object], dict[str, int]]:
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return dict(content["config"]), {str(name): int(count) for name, count in content["photos"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = "no" if isinstance(error, FileNotFoundError) else "a damaged"
        raise DataError(
            f"{folder} is not empty and has {fault} {MARKER}, so it is no demo city to be replaced; "
            "delete it, or set data.demo_city.folder to another one"
        ) from error


def _count_photos(folder: Path) -> int:
    return sum(entry.suffix == ".jpg" for entry in folder.iterdir()) if folder.is_dir() else 0

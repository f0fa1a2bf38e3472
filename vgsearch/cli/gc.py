"""`vgsearch gc`: free the space of what nothing refers to any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_HOME, Home
from vgsearch.cli.sizes import readable_size as _size
from vgsearch.errors import RegistryUnreachableError, StorageError

if TYPE_CHECKING:
    from vgsearch.search.gc import Garbage

_NO_METRIC = "@"  # MLflow forbids it in names, so that none is read


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be deleted, with sizes and reasons.")
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Delete what nothing refers to: folders of forgotten trials, Ray's notes, interrupted writes, downloads.

    The trials of every study, recorded checkpoints and the MLflow store stay, and so does all of a search
    that is running. Look first with --dry-run.
    """
    from vgsearch.search.gc import delete, find_unreferenced, running_searches

    home = home.resolve()
    if not home.is_dir():
        raise StorageError(f"{home} does not exist: name the folder of your searches with --home")
    console = Console()

    def show(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show_item(item: Garbage) -> None:
        show(f"{_size(item.size_bytes):>9}  {item.path.relative_to(home)}  ({item.reason})")

    for search in running_searches(home):
        show(f"search {search!r} is running: nothing of it is touched")
    training_runs, downloads = _in_store(home, show)
    found = find_unreferenced(home, training_runs=training_runs, downloads=downloads)
    if dry_run:
        for item in found:
            show_item(item)
        show(f"{_sum(found)} would be deleted from {home}" if found else f"nothing to delete in {home}")
        return
    deleted = delete(found, tell=show_item)
    show(f"{_sum(deleted)} deleted from {home}" if deleted else f"nothing to delete in {home}")


def _in_store(
    home: Path, show: Callable[[str], None]
) -> tuple[Mapping[str, Collection[str]] | None, Collection[Path] | None]:
    """Uids of the training runs by search, and the folders of downloads that the store knows; None: unknown.

    The store is only asked where there is something to ask about: it takes seconds.
    """
    from vgsearch.registry.mlflow_versions import DOWNLOADS_FOLDER, download_folder
    from vgsearch.registry.store_uri import STORE_FILE
    from vgsearch.search.gc import has_training_runs

    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
    has_downloads = (home / DOWNLOADS_FOLDER).is_dir()
    if not (tracking_uri or (home / STORE_FILE).exists()) or not (has_downloads or has_training_runs(home)):
        return None, None
    from vgsearch.cli.store import open_registry

    try:
        registry = open_registry(home)
        names = [search.name for search in registry.searches()]
        training_runs = {
            name: {trial.uid for trial in registry.trials(name, metric_prefix=_NO_METRIC)}
            for name in names
            if name.endswith("_train")
        }
        if not has_downloads:
            return training_runs, None
        versions = (version for name in names for version in registry.versions(name))
        return training_runs, {download_folder(home, version) for version in versions}
    except RegistryUnreachableError as error:
        show(f"{error}; downloads and training runs are kept")
        return None, None


def _sum(items: Sequence[Garbage]) -> str:
    noun = "item" if len(items) == 1 else "items"
    return f"{len(items)} {noun}, {_size(sum(item.size_bytes for item in items))}"

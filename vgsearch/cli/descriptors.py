"""`vgsearch descriptors`: the store of what networks made of images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.descriptor_table import KEY_SHOWN, entry_blocks, in_words
from vgsearch.cli.options import (
    DEFAULT_DATA_ROOT,
    DEFAULT_HOME,
    BatchSize,
    CropHeight,
    CropWidth,
    DataRoot,
    Home,
    ScoredQueryMethod,
)
from vgsearch.cli.sizes import readable_size
from vgsearch.errors import RegistryError, StorageError

if TYPE_CHECKING:
    from vgsearch.retrieval.descriptor_upkeep import StoredEntry

descriptors_app = typer.Typer(
    no_args_is_help=True,
    help="Stored descriptors: what models made of images, kept so that nothing is extracted twice.",
)

_KEY = re.compile(r"[0-9a-f]{4,32}")


@descriptors_app.command("ls")
def list_stored(home: Home = DEFAULT_HOME) -> None:
    """List what is stored: key, size, when, by which model, of which images; the newest last."""
    from vgsearch.retrieval.descriptor_upkeep import leftover_bytes, list_entries

    root = _root(home)
    entries = list_entries(root)
    console = Console()
    say = _plain(console)
    for heading, table in entry_blocks(entries):
        say(heading)
        console.print(table)
    if entries:
        say(f"{_sum(entries)} in {root}")
    else:
        say(f"no descriptors in {root}")
    if unfinished := leftover_bytes(root):
        say(
            f"and {readable_size(unfinished)} being written or left by killed processes; "
            "vgsearch descriptors rm --unused deletes the latter"
        )


@descriptors_app.command("rm")
def remove(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY|MODEL]...",
            help="Beginning of a key as `ls` shows it (4 digits or more), or a model as `evaluate` takes it: "
            "then all that it made.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all entries.")] = False,
    unused: Annotated[
        bool,
        typer.Option("--unused", help="Delete entries of weights that no version in the MLflow store has."),
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Delete stored descriptors. They can be made again at any time, from the model and the images."""
    from vgsearch.retrieval.descriptor_upkeep import list_entries, remove_entry, remove_leftovers

    if not which and not everything and not unused:
        raise StorageError("say what to delete: beginnings of keys, models, --unused or --all")
    root = _root(home)
    say = _plain(Console())
    entries = list_entries(root)
    chosen = {entry.name: entry for entry in entries if everything}
    for text in which or []:
        chosen |= {entry.name: entry for entry in _named(text, entries, home.resolve())}
    if unused:
        used = _registered_weights(home.resolve())
        chosen |= {entry.name: entry for entry in entries if _weights(entry) not in used}
    deleted: list[StoredEntry] = []
    kept: list[StoredEntry] = []
    for entry in chosen.values():
        (deleted if remove_entry(root, entry.name) else kept).append(entry)
    for entry in deleted:
        say(f"{readable_size(entry.size_bytes):>8}  {entry.name[:KEY_SHOWN]}  {in_words(entry)}")
    freed_bytes = remove_leftovers(root) if everything or unused else 0
    if freed_bytes:
        say(f"{readable_size(freed_bytes):>8}  left by killed processes")
    for entry in kept:
        say(f"{entry.name[:KEY_SHOWN]} is being made just now and stays")
    if deleted:
        say(f"{_sum(deleted)} deleted from {root}, {len(entries) - len(deleted)} kept")
    else:
        say(f"nothing to delete in {root}, {len(entries)} kept")


@descriptors_app.command("warm")
def warm(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Checkpoint folders, runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION.",
        ),
    ],
    on: Annotated[
        list[str],
        typer.Option(metavar="SPLIT", help="As for evaluate. May be given several times."),
    ],
    resize_px: Annotated[
        int | None, typer.Option(min=16, help="Shorter side at scoring; default as in the checkpoint.")
    ] = None,
    batch_size: BatchSize = None,
    query_method: ScoredQueryMethod = None,
    crop_height_px: CropHeight = None,
    crop_width_px: CropWidth = None,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Extract now what evaluate, compare, soup and ensemble would extract later."""
    from vgsearch.cli.checkpoints import find_split
    from vgsearch.cli.named_model import extraction_bar, lasting_name, named_model
    from vgsearch.data.retrieval_set import index_parts
    from vgsearch.retrieval.descriptor_store import DescriptorStore

    console = Console()
    say = _plain(console)
    home, root = home.resolve(), _root(home)
    store = DescriptorStore(root)
    for reference in models:
        model = named_model(
            reference,
            home,
            resize_px=resize_px,
            batch_size=batch_size,
            query_method=query_method,
            crop_height_px=crop_height_px,
            crop_width_px=crop_width_px,
        )
        label = lasting_name(model, home)
        for split in on:
            name, folder = find_split(split, model.spec.data, data_root.resolve())
            parts = model.parts(*index_parts(folder))
            missing = model.missing(store, parts)
            num_images = sum(len(part.index) for part in missing)
            if not missing:
                say(f"{label} on {name}: stored already")
                continue
            with extraction_bar(console, f"extracting {name}", num_images) as advance:
                made_bytes = sum(model.describe(store, part, label, advance).nbytes for part in missing)
            say(f"{label} on {name}: {num_images} images described, {readable_size(made_bytes)} stored")


def _root(home: Path) -> Path:
    from vgsearch.cli.named_model import STORE_FOLDER

    return home.resolve() / STORE_FOLDER


def _plain(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def _weights(entry: StoredEntry) -> str:
    return "" if entry.record is None else str(entry.record.key.get("weights_sha256"))


def _named(text: str, entries: Sequence[StoredEntry], home: Path) -> list[StoredEntry]:
    """Entries that a key's beginning or a model's name means.

    Raises:
        StorageError: none, or a beginning that several keys share.
        CheckpointError, RegistryError: no such model.
    """
    if _KEY.fullmatch(text) and not Path(text).is_dir():
        found = [entry for entry in entries if entry.name.startswith(text)]
        if len(found) > 1:
            keys = ", ".join(entry.name[: len(text) + 4] for entry in found[:5])
            raise StorageError(f"{len(found)} keys begin with {text} ({keys}): give more of the one you mean")
        if not found:
            raise StorageError(f"no key begins with {text}; vgsearch descriptors ls shows all")
        return found
    from vgsearch.cli.checkpoints import local_checkpoint
    from vgsearch.models.ensemble import model_identity

    weights = model_identity(local_checkpoint(text, home)).weights_sha256
    found = [entry for entry in entries if _weights(entry) == weights]
    if not found:
        raise StorageError(f"nothing that {text} made is stored; vgsearch descriptors ls shows all")
    return found


def _registered_weights(home: Path) -> set[str]:
    """Hashes of the weights of all recorded versions.

    Raises:
        RegistryError: there is no MLflow store that could tell.
    """
    from vgsearch.cli.store import open_registry
    from vgsearch.registry.store_uri import STORE_FILE

    if not os.environ.get("MLFLOW_TRACKING_URI") and not (home / STORE_FILE).exists():
        raise RegistryError(
            f"{home} has no MLflow store, so nobody can tell which weights are in use; set "
            "MLFLOW_TRACKING_URI or --home, or delete with --all"
        )
    registry = open_registry(home)
    return {
        version.weights_sha256 for search in registry.searches() for version in registry.versions(search.name)
    }


def _sum(entries: Sequence[StoredEntry]) -> str:
    noun = "entry" if len(entries) == 1 else "entries"
    return f"{len(entries)} {noun}, {readable_size(sum(entry.size_bytes for entry in entries))}"

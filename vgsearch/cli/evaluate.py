"""`vgsearch evaluate`: recalls of any model on any split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import (
    DEFAULT_DATA_ROOT,
    DEFAULT_HOME,
    MODEL_HELP,
    BatchSize,
    DataRoot,
    Home,
    UseStore,
)
from vgsearch.cli.styled_sets import Fda, FdaBeta, FdaRequest, FdaSeed, FdaStyle

if TYPE_CHECKING:
    from vgsearch.cli.named_model import NamedModel
    from vgsearch.data.retrieval_set import RetrievalSet
    from vgsearch.retrieval.descriptor_store import DescriptorStore
    from vgsearch.retrieval.recall import RetrievalResult


def evaluate(
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT", help=MODEL_HELP),
    ],
    on: Annotated[
        list[str],
        typer.Option(
            metavar="SPLIT",
            help="A split of the checkpoint's own file (val, a test's name, ...) or a folder with database/ "
            "and queries/. May be given several times.",
        ),
    ],
    resize_px: Annotated[
        int | None, typer.Option(min=16, help="Shorter side at scoring; default as in the checkpoint.")
    ] = None,
    batch_size: BatchSize = None,
    positive_distance_m: Annotated[
        float | None, typer.Option(min=0.01, help="A database image this near is right; default as trained.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for the per-query results, one .npz for each split.")
    ] = None,
    fda: Fda = None,
    fda_beta: FdaBeta = None,
    fda_seed: FdaSeed = 0,
    fda_style: FdaStyle = None,
    use_store: UseStore = True,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Score a model: recall@1, 5, 10 and 20 with their 95% intervals and the number of queries.

    Each scoring of a test split is counted in the model's search, and the count is said.

    With --fda the photos are scored in another style, kept apart from plain ones in all that is stored.

    What it makes of the images is kept, so that scoring it again reads no image (see vgsearch descriptors).
    """
    from vgsearch.cli.checkpoints import find_split
    from vgsearch.cli.files import write_files
    from vgsearch.cli.named_model import STORE_FOLDER, lasting_name, named_model
    from vgsearch.cli.sealed_tests import Seal
    from vgsearch.data.retrieval_set import load_retrieval_set
    from vgsearch.retrieval.descriptor_store import DescriptorStore

    console = Console()
    home = home.resolve()
    model = named_model(checkpoint, home, resize_px=resize_px, batch_size=batch_size)
    distance_m = positive_distance_m or model.spec.data.positive_distance_m
    sets = [
        load_retrieval_set(path, distance_m, name=name)
        for name, path in (find_split(split, model.spec.data, data_root.resolve()) for split in on)
    ]
    style = FdaRequest(fda, fda_beta, fda_seed, fda_style)
    sets = style.apply(sets, model.spec.data.train, data_root.resolve())
    store = DescriptorStore(home / STORE_FOLDER) if use_store else None
    label = lasting_name(model, home) if use_store else ""
    seal = Seal(model, home)
    seal.check(sets)
    files: dict[str, bytes] = {}
    for retrieval_set in sets:
        result, is_stored = _score(model, retrieval_set, store, label, console)
        files[f"{retrieval_set.name.replace('/', '_')}.npz"] = result.to_npz_bytes()
        looks = seal.note(retrieval_set, result.stamp)
        console.print(
            f"{retrieval_set.name}: {result.summary()}; database {len(retrieval_set.database)}, "
            f"positives within {distance_m:g} m{f'; {style}' if fda else ''}"
            f"{'; from stored descriptors' if is_stored else ''}"
            f"{f'; {looks}' if looks else ''}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if save is not None:
        write_files(save, files)
        console.print(f"per-query results: {save}", markup=False, highlight=False)


def _score(
    model: NamedModel,
    retrieval_set: RetrievalSet,
    store: DescriptorStore | None,
    label: str,
    console: Console,
) -> tuple[RetrievalResult, bool]:
    """The result, and whether it needed no extraction."""
    from vgsearch.cli.named_model import extraction_bar
    from vgsearch.errors import StorageError

    parts = [retrieval_set.database, retrieval_set.queries]
    missing = parts if store is None else model.missing(store, parts)
    with extraction_bar(
        console, f"extracting {retrieval_set.name}", sum(len(index) for index in missing)
    ) as advance:
        try:
            return model.score(retrieval_set, store, label, advance), not missing
        except StorageError as error:
            raise StorageError(f"{error}; --no-store scores without it") from error

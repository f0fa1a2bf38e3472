"""`vgsearch evaluate`: recalls of any checkpoint on any split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home


def evaluate(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A checkpoint folder, runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION.",
        ),
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
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at once.")] = None,
    positive_distance_m: Annotated[
        float | None, typer.Option(min=0.01, help="A database image this near is right; default as trained.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Folder for the per-query results, one .npz for each split.")
    ] = None,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Score a checkpoint: recall@1, 5, 10 and 20 with their 95% intervals and the number of queries."""
    from vgsearch.cli.checkpoints import find_split, local_checkpoint
    from vgsearch.cli.files import write_files
    from vgsearch.data.retrieval_set import load_retrieval_set
    from vgsearch.models.checkpoint import load_network, read_spec
    from vgsearch.models.precision import pick_device, resolve_scoring_precision
    from vgsearch.retrieval.scoring import score_set
    from vgsearch.training.threads import split_threads

    console = Console()
    folder = local_checkpoint(checkpoint, home.resolve())
    spec = read_spec(folder)
    distance_m = positive_distance_m or spec.data.positive_distance_m
    sets = [
        load_retrieval_set(path, distance_m, name=name)
        for name, path in (find_split(split, spec.data, data_root.resolve()) for split in on)
    ]
    device = pick_device()
    network = load_network(folder, device)
    changes = {"resize_px": resize_px, "batch_size": batch_size}
    eval_config = spec.eval.model_copy(update={k: v for k, v in changes.items() if v is not None})
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    files: dict[str, bytes] = {}
    for retrieval_set in sets:
        with Progress(*columns, console=console, transient=True) as bar:
            total = len(retrieval_set.database) + len(retrieval_set.queries)
            task = bar.add_task(f"extracting {retrieval_set.name}", total=total)
            result = score_set(
                network,
                retrieval_set,
                eval_config=eval_config,
                device=device,
                precision=resolve_scoring_precision(spec.trial.precision, device),
                loader_threads=max(2, split_threads(None, device).loader),
                progress=lambda done, bar=bar, task=task: bar.advance(task, done),  # type: ignore[misc]
            )
        files[f"{retrieval_set.name.replace('/', '_')}.npz"] = result.to_npz_bytes()
        console.print(
            f"{retrieval_set.name}: {result.summary()}; database {len(retrieval_set.database)}, "
            f"positives within {distance_m:g} m",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if save is not None:
        write_files(save, files)
        console.print(f"per-query results: {save}", markup=False, highlight=False)

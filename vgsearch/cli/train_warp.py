"""What `vgsearch warp train` does: split the photos, find pairs, train, keep the network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from vgsearch.cli.demo import build_city
from vgsearch.cli.kept_reranker import TRAINED, require_free_to_train
from vgsearch.cli.named_model import extraction_bar
from vgsearch.cli.pair_finding import PairFinding, pairs_by
from vgsearch.cli.rerankers import reranker_folder
from vgsearch.cli.stopping import checked
from vgsearch.cli.store import open_registry
from vgsearch.config.warp_training import WarpTraining, load_warp_training
from vgsearch.data.index import ImageIndex, index_folder, require_coordinates
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.precision import (
    PrecisionName,
    has_native_bf16,
    pick_device,
    resolve_precision,
)
from vgsearch.registry.warp_runs import WarpRun
from vgsearch.rerank.checkpoint import geowarp_identity, load_geowarp, save_geowarp
from vgsearch.rerank.continuing import latest_epoch, read_history, require_same_training, stored_pairs
from vgsearch.rerank.network import build_geowarp
from vgsearch.rerank.train import WarpEpoch, train_warp
from vgsearch.training.threads import take_cpus

WARPS_FOLDER = "warps"


def run_warp_training(
    file: Path,
    overrides: Sequence[str],
    console: Console,
    *,
    model: str | None,
    home: Path,
    data_root: Path,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Train, or go on training; see `train_warp`.

    Args:
        file: The training.
        overrides: `--set`s.
        console: Where the progress goes.
        model: Whose descriptors find the pairs; None takes the encoder's own.
        home: Absolute.
        data_root: Absolute; where a relative folder starts.
        check: Called after every iteration and batch; what it raises ends the training, whose run is closed.

    Returns:
        The folder below `home` that the network is kept in.

    Raises:
        VgsearchError: One line on what cannot be done.
    """
    document = load_warp_training(file, overrides)
    training = document.settings
    kept = reranker_folder(training.name, home)
    if training.data.demo_city is not None:
        build_city(data_root / training.data.demo_city.folder, training.data.demo_city, console)
    photos = index_folder(data_root / training.data.train)
    require_coordinates(photos, heading=False)
    device = pick_device()
    precision = resolve_precision(_available(training.precision, device), device)
    network = build_geowarp(training.network, encoder_weights=training.encoder_weights, seed=training.seed)
    network = network.to(device)
    folder = home / WARPS_FOLDER / training.name
    lineage = _lineage(training, photos, model)
    require_same_training(folder, training, lineage)
    require_free_to_train(kept, training, lineage)
    split = take_cpus(device)
    threads = max(2, split.loader)
    pairs = stored_pairs(folder)
    if pairs is None:
        pairs = np.empty((0, 2), dtype=np.int64)
        if training.uses_pairs:
            pairs = PairFinding(
                training=training,
                photos=photos,
                network=network,
                model=model,
                home=home,
                device=device,
                precision=precision,
                threads=threads,
                console=console,
                check=check,
            ).find()

    settings = training.model_dump(mode="json")
    run = WarpRun(open_registry(home), training.name, _uid(lineage), settings, document.text)
    before = latest_epoch(folder)
    # What ended between an epoch's checkpoint and its record has it only in the checkpoint.
    for epoch, losses in enumerate([] if before is None else read_history(before), start=1):
        run.log_epoch(epoch, losses)

    def show_epoch(done: WarpEpoch) -> None:
        run.log_epoch(done.epoch, done.losses)
        losses = ", ".join(f"{name} {value:.4f}" for name, value in done.losses.items())
        _say(console, f"epoch {done.epoch}/{training.epochs}: {losses}")

    total = training.epochs * training.iterations_per_epoch
    try:
        with extraction_bar(console, f"training {training.name}", total) as advance:
            latest = train_warp(
                network,
                training,
                photos,
                pairs,
                folder,
                lineage=lineage,
                device=device,
                precision=precision,
                loader_threads=threads,
                on_epoch=show_epoch,
                progress=checked(advance, check),
            )
        save_geowarp(kept, load_geowarp(latest), {**lineage, "epochs": training.epochs})
        run.finish(kept)
    except BaseException:
        run.interrupt()
        raise
    _say(console, f"kept as {kept} ({geowarp_identity(kept)}), recorded as {run.search}")
    _say(console, f"re-rank with it: vgsearch evaluate MODEL --on SPLIT --rerank geowarp:{training.name}")
    return kept


def _available(name: PrecisionName, device: torch.device) -> PrecisionName:
    """`auto` is bf16 where the device does it natively, else fp32: a gradient in float16 would underflow."""
    if name != "auto":
        return name
    return "bf16" if has_native_bf16(device) else "fp32"


def _lineage(training: WarpTraining, photos: ImageIndex, model: str | None) -> dict[str, object]:
    weights = Path(training.encoder_weights).expanduser()
    return {
        "kind": TRAINED,
        "training": training.model_dump(mode="json"),
        "photos": {"folder": str(photos.root), "count": len(photos), "content_hash": photos.content_hash},
        "pairs_by": pairs_by(training, model),
        "encoder_sha256": file_sha256(weights) if weights.is_file() else None,
    }


def _uid(lineage: Mapping[str, object]) -> str:
    """The same settings on the same photos are the same training, however long it is."""
    training = lineage["training"]
    assert isinstance(training, dict)
    kept = {key: value for key, value in training.items() if key not in ("epochs", "precision")}
    text = json.dumps({**lineage, "training": kept}, sort_keys=True)
    return f"warp-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)

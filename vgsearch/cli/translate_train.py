"""`vgsearch translate train`: a translator between the photos of two folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_HOME, Home

if TYPE_CHECKING:
    from vgsearch.config.translation import TranslationConfig
    from vgsearch.data.index import ImageIndex
    from vgsearch.translation.checkpoint import TrainingRecord


def train(
    first: Annotated[Path, typer.Argument(metavar="NIGHT", help="Photos of one domain, without labels.")],
    second: Annotated[Path, typer.Argument(metavar="DAY", help="Photos of the other, of any places.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the training's checkpoints.")],
    names: Annotated[str, typer.Option(metavar="A,B", help="What the two domains are called.")] = "night,day",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="epochs, decay_epochs, iterations_per_epoch, load_px, crop_px, flip, batch_size, lr, beta1, "
            "channels, blocks, discriminator_channels, discriminator_layers, cycle, identity, latent, "
            "forward, pool_size, precision, seed. Defaults are the authors'.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the newest checkpoint.")] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="SPLIT_FOLDER", help="A test whose queries must not be among the photos."),
    ] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Of older checkpoints, keep every n-th.")] = 5,
    name: Annotated[
        str, typer.Option("--name", help="Of its experiment in MLflow; each training is a run of it.")
    ] = "translator",
    home: Home = DEFAULT_HOME,
) -> None:
    """Train ToDayGAN between two folders of photos that need not show the same places.

    Three discriminators for each domain (colour, luminance, gradients), relativistic least squares, cycle
    and identity losses. DIR/epoch_0001 and so on are given to translate as --weights, or DIR for the last;
    each holds preview.jpg. The same command with --resume goes on after a kill, Ctrl+C or SIGTERM. Settings,
    losses, weights and the photos' hashes are recorded in MLflow.
    """
    from vgsearch.cli.named_model import extraction_bar
    from vgsearch.cli.stopping import checked, stoppable, typed
    from vgsearch.cli.store import open_registry
    from vgsearch.config.translation_settings import translation_settings
    from vgsearch.data.index import index_folder
    from vgsearch.models.precision import pick_device, resolve_precision
    from vgsearch.registry.translators import TranslatorRun
    from vgsearch.training.threads import take_cpus
    from vgsearch.translation.checkpoint import epoch_folders
    from vgsearch.translation.train import require_run_folder, train_translator
    from vgsearch.translation.training_photos import num_iterations

    console = Console()
    config = translation_settings(settings or [], _two_names(names))
    indexes = (index_folder(first), index_folder(second))
    record = _record(config, indexes, against or [])
    device = pick_device()
    split = take_cpus(device)
    steps = num_iterations(config, indexes)
    require_run_folder(out.resolve(), resume=resume)
    run = TranslatorRun(open_registry(home.resolve()), name, record)

    def report(epoch: int, metrics: Mapping[str, float], folder: Path) -> None:
        run.log_epoch(epoch, metrics)
        _say(console, _line(epoch, config.total_epochs, metrics))

    def go_on() -> str:
        # The first epoch has nothing to go on from yet.
        return typed(*["--resume"] * bool(epoch_folders(out)), home=home)

    bar = extraction_bar(console, f"training {out}", config.total_epochs * steps)
    with stoppable(console, go_on) as check:
        try:
            with bar as advance:
                last = train_translator(
                    record,
                    indexes,
                    out.resolve(),
                    device=device,
                    precision=resolve_precision(config.precision, device),
                    threads=split.loader,
                    resume=resume,
                    save_every=save_every,
                    report=report,
                    progress=checked(advance, check),
                )
            run.finish(last)
        except BaseException:
            run.interrupt()
            raise
    source, target = config.domains
    _say(console, f"the last checkpoint: {last} (see preview.jpg); recorded as {run.uid} of {name}")
    _say(console, f"use it: vgsearch translate PHOTOS OUT --from {source} --to {target} --weights {out}")


def _two_names(text: str) -> tuple[str, str]:
    from vgsearch.errors import ConfigError

    names = [name.strip() for name in text.split(",")]
    if len(names) != 2:
        raise ConfigError([f"--names must be two names with a comma between, got {text!r}"])
    return names[0], names[1]


def _record(
    config: TranslationConfig, indexes: tuple[ImageIndex, ImageIndex], against: list[Path]
) -> TrainingRecord:
    """What is trained on what; queries of the tests in `against` are refused.

    Raises:
        DataError: some are among the photos.
    """
    from vgsearch.data.index import index_folder
    from vgsearch.data.split_parts import find_parts
    from vgsearch.data.target_domain import leak, read_target_record
    from vgsearch.errors import DataError
    from vgsearch.translation.checkpoint import TrainingRecord

    for test in against:
        found = leak(indexes, str(test), index_folder(find_parts(test).queries)).queries
        if found:
            raise DataError(
                f"{len(found)} photos to train on are queries of {test}, first {next(iter(found))}: leave "
                "them out (vgsearch data target-domain --leave-out), or a score on that test means nothing"
            )
    records = [read_target_record(index.root) for index in indexes]
    photos: dict[str, dict[str, str | int]] = {
        name: {"folder": str(index.root), "photos": len(index), "hash": index.content_hash}
        for name, index in zip(config.domains, indexes, strict=True)
    }
    transductive = any(each is not None and each.transductive for each in records)
    return TrainingRecord(config, photos, tuple(str(test) for test in against), transductive)


def _line(epoch: int, epochs: int, metrics: Mapping[str, float]) -> str:
    """One line of an epoch: mean losses, both domains together."""
    kinds = dict.fromkeys(name.split("/")[1] for name in metrics if name.count("/") == 2)
    means = []
    for kind in kinds:
        values = [value for name, value in metrics.items() if name.startswith(f"train/{kind}/")]
        means.append(f"{kind} {sum(values) / len(values):.4f}")
    return f"epoch {epoch} of {epochs}: {', '.join(means)}, {metrics['train/images_per_s']:.1f} images/s"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)

"""`vgsearch translate`: photos of one domain as photos of another, and the training of what does it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from vgsearch.cli.default_command import DEFAULT_COMMAND, DefaultCommandGroup
from vgsearch.cli.translate_train import train

if TYPE_CHECKING:
    from vgsearch.models.precision import PrecisionName
    from vgsearch.translation.method import TranslationMethod

translate_app = typer.Typer(
    cls=DefaultCommandGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Photos of one domain as photos of another (ToDayGAN): vgsearch translate IN OUT --from night --to "
    "day --weights DIR. A folder called like a command is given as ./NAME.",
)
translate_app.command()(train)


class Part(StrEnum):
    """Which half of a split is translated."""

    queries = "queries"
    database = "database"


@translate_app.command(DEFAULT_COMMAND)
def translate(
    photos: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="Photos, e.g. tokyo_night/test/queries; or a split, with --part: tokyo_night/test.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder: of photos, or a whole split.")],
    source: Annotated[str, typer.Option("--from", metavar="DOMAIN", help="What the photos show.")] = "night",
    target: Annotated[str, typer.Option("--to", metavar="DOMAIN", help="What they become.")] = "day",
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The authors' folder of <epoch>_net_G<k>.pth files, or one that translate train wrote.",
        ),
    ] = None,
    domains: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Domains of the authors' files in the order of their numbers, which is that of the training "
            "folders' names. Default day,night as in the published RobotCar weights.",
        ),
    ] = None,
    epoch: Annotated[int | None, typer.Option(min=1, help="Which epoch's weights; default the last.")] = None,
    resize_px: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Shorter side at which photos are translated, 0 for their own; default 512 for the authors' "
            "files, else as trained. They are written at their own size.",
        ),
    ] = None,
    part: Annotated[
        Part | None,
        typer.Option(help="Which part of a split is translated; OUT becomes a split, its other part a link."),
    ] = None,
    method: Annotated[
        Literal["gan", "brighten"],
        typer.Option(help="brighten matches luminances to those of --like, without weights: the baseline."),
    ] = "gan",
    like: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Photos for --method brighten, e.g. of the day.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos at once.")] = 4,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="auto is bf16 where the device does it natively, else fp16 on a GPU, else fp32."),
    ] = "auto",
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jpg", help="Also a picture of eight photos before and after."),
    ] = None,
) -> None:
    """Write translated copies of photos under the same names: OUT is a folder or split like any other.

    Coordinates stay, those in names and those of an images.csv; translation.yaml says what was done. JPEGs
    are written with quality 95 at the size of the original.
    """
    from vgsearch.cli.files import write_files
    from vgsearch.cli.named_model import extraction_bar
    from vgsearch.data.index import index_folder
    from vgsearch.data.split_parts import find_parts, looks_like_a_split
    from vgsearch.errors import ConfigError
    from vgsearch.models.precision import pick_device
    from vgsearch.training.threads import take_cpus
    from vgsearch.translation.preview import before_and_after
    from vgsearch.translation.translated_folder import write_translated_folder, write_translated_split

    console = Console()
    parts = find_parts(photos) if part is not None else None
    if part is None and looks_like_a_split(photos):
        raise ConfigError(
            [f"{photos} is a split: say --part queries or --part database, or name one of both"]
        )
    if preview is not None and preview.resolve().is_relative_to(out.resolve()):
        raise ConfigError(
            [f"--preview {preview} lies in {out}, which holds photos alone; name another place"]
        )
    index = index_folder(getattr(parts, part) if part is not None else photos)
    device = pick_device()
    split = take_cpus(device)
    chosen = _method(method, weights, like, source, target, domains, epoch, resize_px, precision)
    if preview is not None:
        # Written first, so that a look at it needs no wait for the rest.
        write_files(preview.parent, {preview.name: before_and_after(index, chosen)})
        _say(console, f"before and after: {preview}")
    options = {"batch_size": batch_size, "threads": max(2, split.loader)}
    with extraction_bar(console, f"writing {out}", len(index)) as advance:
        if parts is not None and part is not None:
            write_translated_split(parts, part.value, index, out, chosen, progress=advance, **options)
        else:
            write_translated_folder(index, out, chosen, progress=advance, **options)
    how = f"{source} to {target}" if method == "gan" else f"brightened like {like}"
    _say(console, f"{len(index)} photos of {index.root}, {how}: {out}")
    if part is not None:
        _say(console, f"score it: vgsearch evaluate MODEL --on {out} --against {photos}")


def _method(
    method: str,
    weights: Path | None,
    like: Path | None,
    source: str,
    target: str,
    domains: str | None,
    epoch: int | None,
    resize_px: int | None,
    precision: PrecisionName,
) -> TranslationMethod:
    """What the options ask for.

    Raises:
        ConfigError: they do not go together.
    """
    from vgsearch.data.index import index_folder
    from vgsearch.errors import ConfigError
    from vgsearch.models.precision import pick_device, resolve_precision
    from vgsearch.translation.brightener import brightener_like
    from vgsearch.translation.weights import load_translator

    if method == "brighten":
        of_gan = {"--weights": weights, "--domains": domains, "--epoch": epoch, "--resize-px": resize_px}
        given = [option for option, value in of_gan.items() if value is not None]
        if like is None or given:
            wrong = f"without {', '.join(given)}, which it has no use for" if given else "--like FOLDER"
            raise ConfigError([f"--method brighten goes with {wrong}"])
        return brightener_like(index_folder(like))
    if weights is None or like is not None:
        wrong = (
            "needs --weights DIR"
            if weights is None
            else "has no use for --like; that is for --method brighten"
        )
        raise ConfigError([f"--method gan {wrong}"])
    device = pick_device()
    return load_translator(
        weights,
        source=source,
        target=target,
        device=device,
        precision=resolve_precision(precision, device),
        domains=None if domains is None else [name.strip() for name in domains.split(",")],
        epoch=epoch,
        load_px=resize_px,
    )


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)

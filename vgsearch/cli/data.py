"""`vgsearch data`: looking at folders, and drawing the demo city."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from vgsearch.cli.target_domain import target_domain
from vgsearch.cli.tokyo_night import tokyo_night

if TYPE_CHECKING:
    from vgsearch.data.check_report import FolderReport

data_app = typer.Typer(
    no_args_is_help=True,
    help="Check folders of photos, make Tokyo Night or a target domain, draw the demo city.",
)
data_app.command()(tokyo_night)
data_app.command()(target_domain)

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


@data_app.command()
def check(
    folder: Annotated[
        Path,
        typer.Argument(help="Training photos, or a folder with database/ and queries/, or FOLDER#QUERIES."),
    ],
    cell_m: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Side of a cell in metres (CosPlace's M).")
    ] = 10,
    heading_deg: Annotated[int, typer.Option(min=1, max=360, help="Heading bin (CosPlace's alpha).")] = 30,
    groups_across: Annotated[int, typer.Option(min=1, max=10_000, help="CosPlace's N.")] = 5,
    groups_heading: Annotated[int, typer.Option(min=1, max=360, help="CosPlace's L.")] = 2,
    groups_used: Annotated[int, typer.Option(min=1, help="How many groups take turns in training.")] = 8,
    min_images: Annotated[int, typer.Option(min=1, help="A class with fewer images goes.")] = 10,
    positive_distance_m: Annotated[float, typer.Option(min=0.01, help="A positive is this near.")] = 25.0,
    as_train: Annotated[
        bool,
        typer.Option("--as-train", help="Take database/ and queries/ together, as data.train does."),
    ] = False,
    decode: Annotated[
        bool,
        typer.Option("--decode/--no-decode", help="Read every image; without it only names are checked."),
    ] = True,
) -> None:
    """Check a folder before a search spends days on it; exit code 2 if a search on it would fail.

    Counts, classes and groups for several cell settings, missing headings, duplicate names, unreadable
    images, implausible coordinates, images shared by database and queries, queries without a positive.
    """
    from vgsearch.config.trial import CellsConfig
    from vgsearch.data.check import check_folder

    console = Console()
    cells = CellsConfig(
        cell_m=cell_m,
        heading_deg=heading_deg,
        groups_across=groups_across,
        groups_heading=groups_heading,
        groups_used=groups_used,
        min_images=min_images,
    )
    columns = (TextColumn("reading images"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        report = check_folder(
            folder,
            cells,
            positive_distance_m,
            decode,
            as_train=as_train,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _print_report(report, console)
    if report.has_errors:
        raise typer.Exit(2)


@data_app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to draw the city into.")],
    size: Annotated[
        Literal["tiny", "small", "full"], typer.Option(help="How many photos: about 100, 3,000 or 10,000.")
    ] = "small",
    image_px: Annotated[int, typer.Option(min=32, max=1024, help="Side of a photo.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another city.")] = 0,
    viewpoint: Annotated[
        Literal["usual", "strong"],
        typer.Option(help="strong: queries and database photos show only about half of the same."),
    ] = "usual",
) -> None:
    """Draw the demo city: photos of three ray-cast cities by day and night, in SF-XS layout."""
    from vgsearch.cli.demo import build_city
    from vgsearch.config.search import DemoCityConfig

    city = DemoCityConfig(folder=out.name, image_px=image_px, size=size, seed=seed, viewpoint=viewpoint)
    build_city(out, city, Console())


def _print_report(report: FolderReport, console: Console) -> None:
    kinds = {"training": "training photos", "retrieval": "a retrieval set", "unlabelled": "unlabelled photos"}
    console.print(f"{report.folder}: {kinds[report.kind]}", markup=False, highlight=False, soft_wrap=True)
    for line in report.recognised:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    for label, number in report.counts.items():
        console.print(f"  {label:<32} {number:>9,}", markup=False, highlight=False)
    for height, width, number in report.image_sizes:
        console.print(f"  {f'images of {width} x {height}':<32} {number:>9,}", markup=False, highlight=False)
    if report.cells:
        table = Table("cell setting", title_justify="left")
        for column in ("classes", "groups", "images", "classes of the groups that train"):
            table.add_column(
                column, justify="right" if column != "classes of the groups that train" else "left"
            )
        for summary in report.cells:
            used = summary.classes_per_group[: summary.cells.groups_used]
            table.add_row(
                summary.setting or "as asked for",
                f"{summary.num_classes:,}",
                str(summary.num_groups),
                f"{summary.num_images:,}",
                " ".join(str(number) for number in used) or "none",
            )
        console.print(table)
    for problem in report.problems:
        console.print(f"[{_STYLES[problem.severity]}]{problem.severity}:[/] ", end="")
        console.print(problem.text, markup=False, highlight=False, soft_wrap=True)
    if not report.problems:
        console.print("no problems found")

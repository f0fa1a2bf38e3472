"""`vgsearch fda`: a folder of photos in the style of another folder's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.styled_sets import checked_beta
from vgsearch.config.fda import DEFAULT_BETA, DEFAULT_SEED


def fda(
    photos: Annotated[Path, typer.Argument(metavar="IN", help="Photos, e.g. tokyo_night/test/queries.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="Photos whose style they take.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for the styled photos.")],
    beta: Annotated[
        float,
        typer.Option(
            help="Half the side of the window of swapped frequencies, as a part of the photo's shorter side."
        ),
    ] = DEFAULT_BETA,
    seed: Annotated[
        int, typer.Option(min=0, help="Which photo lends its style to which is drawn from this.")
    ] = DEFAULT_SEED,
) -> None:
    """Write copies of photos in the style of others (Fourier domain adaptation, Yang & Soatto, CVPR 2020).

    Names and coordinates stay, so that OUT can be a part of a split like any other folder.
    """
    import torch

    from vgsearch.cli.named_model import extraction_bar
    from vgsearch.data.index import index_folder
    from vgsearch.data.styled_index import in_style
    from vgsearch.training.threads import split_threads
    from vgsearch.translation.styled_folder import write_styled_folder

    console = Console()
    beta = checked_beta(beta, "--beta")
    index = in_style(index_folder(photos), index_folder(style), beta=beta, seed=seed)
    cpus = split_threads(None, torch.device("cpu")).compute
    with extraction_bar(console, f"writing {out}", len(index)) as advance:
        write_styled_folder(index, out, threads=cpus, progress=advance)
    console.print(
        f"{len(index)} photos of {photos} in the style of {style} (FDA, beta {beta:g}, seed {seed}): {out}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )

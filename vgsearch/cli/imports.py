"""`vgsearch import`: networks that were trained elsewhere, as recorded models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home

import_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Record networks that were trained elsewhere, to evaluate, search from, and combine them.",
)


@import_app.command("cosplace")
def cosplace(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="best_model.pth, last_checkpoint.pth, or a file of their releases."
        ),
    ],
    backbone: Annotated[
        str, typer.Option("--backbone", metavar="NAME", help="CosPlace's name of it, e.g. ResNet18.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", help="Record it as vgsearch-NAME; default cosplace-BACKBONE."),
    ] = None,
    data_of: Annotated[
        str | None,
        typer.Option(
            "--data-of",
            metavar="SEARCH|FILE",
            help="Record it with this search's data and eval sections and with recalls on val, which soups "
            "and ensembles need.",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Import a network of CosPlace or EigenPlaces; its descriptors are those that it has there.

    It becomes a version of the registered model vgsearch-NAME, and its champion if it is the first. Images
    are scored at their own size, as CosPlace does, unless --data-of says otherwise.
    """
    from vgsearch.cli.import_cosplace import run_import

    run_import(
        file, backbone, Console(), name=name, data_of=data_of, home=home.resolve(), data_root=data_root
    )


@import_app.command("geowarp")
def geowarp(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A trained homography regression, or their whole network."),
    ],
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder", metavar="NAME", help="alexnet, vgg16 or resnet50 as they cut them, or timm/NAME."
        ),
    ],
    encoder_weights: Annotated[
        str | None,
        typer.Option(
            "--encoder-weights",
            metavar="FILE|imagenet",
            help="The encoder that the regression was trained with: their pretrained baseline of the same "
            "name. Left out where FILE holds the whole network.",
        ),
    ] = None,
    pooling: Annotated[
        Literal["gem", "netvlad"] | None,
        typer.Option(
            "--pooling",
            help="What pools in the baseline; default what its file holds, and gem where that holds none.",
        ),
    ] = None,
    resize_px: Annotated[
        int | None,
        typer.Option(min=16, help="Shorter side of photos that are re-ranked; default their own size."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name to call it by; default ENCODER-FILE.")
    ] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Import a GeoWarp network (Berton et al., ICCV 2021), which re-ranks what a model found.

    It is kept below HOME/rerankers, for vgsearch evaluate --rerank geowarp:NAME.
    """
    from vgsearch.cli.import_geowarp import run_geowarp_import

    run_geowarp_import(
        file,
        encoder,
        Console(),
        encoder_weights=encoder_weights,
        pooling=pooling,
        resize_px=resize_px,
        name=name,
        home=home.resolve(),
    )

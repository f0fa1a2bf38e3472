"""`vgsearch best`: the champion of a search, and how to load it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_HOME, Home


def best(
    search: Annotated[str, typer.Argument(metavar="SEARCH", help="Name of a search, e.g. demo.")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Show a search's champion: path, alias, epoch, recalls, and a snippet that loads it."""
    from vgsearch.cli.store import open_registry
    from vgsearch.models.checkpoint import read_spec
    from vgsearch.training.val_scores import stored_results

    registry = open_registry(home.resolve())
    champion = registry.champion(search)
    reference = f"models:/{champion.name}@champion"
    folder = registry.download(reference)
    spec = read_spec(folder)
    console = Console()
    lines = [
        f"champion   {reference} (version {champion.version})",
        f"trial      {champion.uid}",
        f"run        runs:/{champion.run_id}",
        f"epoch      {champion.epoch}",
        f"backbone   {spec.trial.resolved_backbone.name}",
        f"path       {folder}",
    ]
    lines += [f"{split or 'val':<10} {result.summary()}" for split, result in stored_results(folder).items()]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    snippet = (
        "import torch\n"
        "from pathlib import Path\n"
        "from vgsearch.data.decode import read_image\n"
        "from vgsearch.models.checkpoint import load_network\n\n"
        f'network = load_network(Path("{folder}"), torch.device("cpu")).eval()\n'
        'descriptor = network(read_image(Path("photo.jpg"))[None])  # (1, '
        f"{spec.trial.descriptor_dim}), norm 1\n"
    )
    console.print()
    # Unwrapped, so that it can be copied from a narrow terminal.
    console.print(snippet, markup=False, highlight=False, soft_wrap=True)

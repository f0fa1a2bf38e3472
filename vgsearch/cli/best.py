"""`vgsearch best`: the champion of a search, and how to load it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_HOME, Home

if TYPE_CHECKING:
    from vgsearch.registry.records import ModelVersion


def best(
    search: Annotated[str, typer.Argument(metavar="SEARCH", help="Name of a search, e.g. demo.")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Show a search's champion: path, alias, epoch, recalls, and a snippet that loads it.

    What was combined from its checkpoints (`vgsearch soup`, `vgsearch ensemble`) is named by its alias.
    """
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
        f"{champion.kind:<10} {champion.uid}",
        f"run        runs:/{champion.run_id}",
        f"epoch      {champion.epoch}",
        f"backbone   {spec.trial.resolved_backbone.name}",
        f"path       {folder}",
    ]
    if champion.selected_on_test:
        lines.append("began      with weights that a test split had a say in choosing")
    if champion.transductive:
        lines.append("adapted    to queries of a test as well (transductive)")
    lines += [f"{split or 'val':<10} {result.summary()}" for split, result in stored_results(folder).items()]
    lines += combination_lines(registry.versions(search), spec.objective)
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


def combination_lines(versions: Sequence[ModelVersion], objective: str) -> list[str]:
    """One line for each alias of a soup or an ensemble: how to name it, and its value of the objective."""
    from vgsearch.registry.names import INGREDIENTS_TAG, recall_tag
    from vgsearch.registry.records import NETWORK_KINDS

    lines = []
    for version in versions:
        if version.kind in NETWORK_KINDS:
            continue
        parts = version.tags.get(INGREDIENTS_TAG, "several")
        recall = version.tags.get(recall_tag(objective))
        scored = f", {objective} {float(recall):.1f}" if recall else ""
        warning = ", selected on a test split" if version.selected_on_test else ""
        warning += ", adapted to queries of a test (transductive)" if version.transductive else ""
        lines += [
            f"{version.kind:<10} models:/{version.name}@{alias} (version {version.version}) of {parts}"
            f"{scored}{warning}"
            for alias in version.aliases
        ]
    return lines

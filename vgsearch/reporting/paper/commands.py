"""The commands that would produce our side of a row."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vgsearch.reporting.paper.asked import EPOCHS, MARGIN_KEYS, Asked, AskedTranslation
from vgsearch.rerank.reranking import RerankerSort

_LOSSES_TABLE = 1
_WEIGHTS = "weights"


@dataclass(frozen=True)
class Means:
    """What is there for commands to use.

    Attributes:
        tops: Each n that one command re-ranks; none for the row's own alone.
        reranker: Name of a network of the row's sort that re-ranks; empty where there is none yet.
        folders: Folders of test splits, by name.
    """

    tops: Sequence[int] = ()
    reranker: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)


NO_MEANS = Means()


def train_commands(table: int, asked: Asked, splits: Sequence[str], means: Means = NO_MEANS) -> list[str]:
    """Train and score what a row asks for: a search of one trial, whose champion is scored on the tests.

    Args:
        table: The row's table.
        asked: The row.
        splits: The table's test splits.
        means: What is there already.

    Returns:
        One command, and where the row scores in another way those that do so.
    """
    if asked.criterion is not None:
        return [_soup_command(asked)]
    name = search_name(asked)
    settings = [
        f"name={name}",
        "search.num_trials=1",
        "search.scheduler.name=none",
        "search.start_with=[]",
        f"trial.backbone={_backbone(asked)}",
        f"trial.loss={_loss(asked)}",
        "trial.lr=1e-5",
        "trial.frozen_bn=batch",
    ]
    if asked.grl_alpha is not None:
        settings.append(f"trial.domain={{grl_alpha: {asked.grl_alpha:g}}}")
    if asked.epochs != EPOCHS:
        settings.append(f"trial.epochs={asked.epochs}")
    if asked.precision == "fp32":
        settings.append("trial.precision=fp32")
    space = f"search_spaces/{_space(table, asked)}.yaml"
    commands = [_command("tune", space, settings)]
    if asked.query_method != "native" or asked.fda or asked.translation or asked.reranker:
        commands += score_commands(f"models:/vgsearch-{name}@champion", asked, splits, means)
    return commands


def score_commands(reference: str, asked: Asked, splits: Sequence[str], means: Means = NO_MEANS) -> list[str]:
    """Score a recorded model on test splits, and keep the results.

    Args:
        reference: The model.
        asked: The row.
        splits: Those to score on.
        means: What is there already.

    Returns:
        The command that scores, behind those that make what it needs: translated photos, or a network that
        re-ranks.
    """
    commands = []
    words = ["vgsearch", "evaluate", reference]
    for split in splits:
        if asked.translation is None:
            words += ["--on", f"test/{split}"]
        else:
            out = f"{split}_{asked.translation.part}_as_{asked.translation.target}"
            commands.append(_translate_command(means.folders.get(split), split, out, asked.translation))
            words += ["--on", out]
    if asked.query_method != "native":
        words += ["--query-method", asked.query_method]
    if asked.fda:
        words += ["--fda", asked.fda]
    if asked.reranker is not None:
        name = means.reranker
        if not name:
            name, command = _reranker_command(asked.reranker)
            commands.append(command)
        tops = ",".join(map(str, means.tops or [asked.top]))
        words += ["--rerank", f"geowarp:{name}", "--top", tops]
    return [*commands, shlex.join(words)]


def search_name(asked: Asked) -> str:
    """A name for the search of a row; rows that ask for the same network have the same one."""
    parts = ["paper", asked.backbone.split(".")[0], asked.loss, f"s{asked.scale:g}", f"m{asked.margin:g}"]
    if asked.weights != "imagenet":
        parts.append(asked.weights)
    if asked.grl_alpha is not None:
        parts.append(f"grl{asked.grl_alpha:g}")
    if asked.epochs != EPOCHS:
        parts.append(f"{asked.epochs}epochs")
    if asked.precision is not None:
        parts.append(asked.precision)
    return "_".join(parts)


def _space(table: int, asked: Asked) -> str:
    if asked.grl_alpha is not None:
        return "grl"
    return "losses" if table == _LOSSES_TABLE else "backbones"


def _backbone(asked: Asked) -> str:
    if asked.weights == "imagenet":
        return asked.backbone
    return f"{{name: {asked.backbone}, weights: weights/resnet18_{asked.weights}.pth}}"


def _loss(asked: Asked) -> str:
    detach = ", detach_margin: true" if asked.loss != "cosface" else ""
    return (
        f"{{name: {asked.loss}, scale: {asked.scale:g}, {MARGIN_KEYS[asked.loss]}: {asked.margin:g}{detach}}}"
    )


def _soup_command(asked: Asked) -> str:
    search = "losses" if asked.backbone.startswith("resnet18") else "backbones"
    command = _command("soup", "ensembles/paper_table16.yaml", [f"searches=[{search}]"])
    return f"{command} --allow-test-selection --score-tests"


def _command(verb: str, file: str, settings: Sequence[str]) -> str:
    return " ".join(["vgsearch", verb, file, *(f"--set {shlex.quote(setting)}" for setting in settings)])


def _translate_command(folder: str | None, split: str, out: str, wanted: AskedTranslation) -> str:
    words = ["vgsearch", "translate", folder or f"data/{split}/test", out, "--part", wanted.part]
    words += ["--from", wanted.source, "--to", wanted.target]
    return shlex.join([*words, "--weights", f"{_WEIGHTS}/robotcar_2day"])


def _reranker_command(sort: RerankerSort) -> tuple[str, str]:
    """A network's name, and what imports or trains it under that."""
    sign = f"{sort.encoder}_{sort.pooling}"
    baseline = f"{_WEIGHTS}/{sign}.pth"
    if sort.kind == "imported":
        words = ["vgsearch", "import", "geowarp", f"{_WEIGHTS}/{sign}_regression.pth"]
        words += ["--encoder", sort.encoder, "--encoder-weights", baseline, "--name", sign]
        return sign, shlex.join(words)
    name = f"{sign}_sf_xs"
    settings = [f"name={name}", f"network.encoder={sort.encoder}", f"encoder_weights={baseline}"]
    if sort.pooling != "gem":
        settings.append(f"network.pooling={sort.pooling}")
    return name, _command("warp train", "warps/geowarp.yaml", settings)

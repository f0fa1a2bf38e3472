"""How well the domain classifier tells the domains apart, as metrics that cannot be taken for more."""

from __future__ import annotations

from collections.abc import Sequence

METRIC = "train/domain_accuracy"
CHANCE = "train/domain_chance"
SOURCE = "source"


def accuracy_metrics(targets: Sequence[str], accuracies: Sequence[float]) -> dict[str, float]:
    """The metrics of an epoch, in percent.

    `train/domain_accuracy` is balanced, the mean over the domains: a classifier that says "source" to
    everything scores what guessing gives, `train/domain_chance`, however few target images there are. An
    alpha that works drives the one towards the other. Domains that have names get one metric each too, the
    part of their images that the classifier takes for theirs, and so does the source.

    Args:
        targets: names of the target domains; the empty one where there is a single folder.
        accuracies: in [0, 1], of the source and of each target domain.
    """
    metrics = {METRIC: 100.0 * sum(accuracies) / len(accuracies), CHANCE: 100.0 / len(accuracies)}
    if "" not in targets:
        for name, accuracy in zip((SOURCE, *targets), accuracies, strict=True):
            metrics[f"{METRIC}_{name}"] = 100.0 * accuracy
    return metrics

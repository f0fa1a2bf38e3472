"""The trunk that the trials of one architecture branch from: its configuration and its name.

What decides an architecture here: the backbone with its initial weights, `trainable_stages` and `frozen_bn`,
the kind of pooling, and `descriptor_dim`. Two trials that agree in these share a trunk.

What is assumed:

- The middle of the space is a reasonable start. A trunk takes each range's middle and each choice's first
  option, also for loss, domain, cells, image size and batch: put what you would choose yourself first.
- A trunk is short. Its epochs come on top of every trial's own, so all trials of a search have them, and a
  search with a trunk compares with one without only if that is said.
- `pooling.p` is learned: a branch takes the trunk's, and the trial's own value, which is only where learning
  starts, has no effect. The same holds for `weights` of the network, which the trunk has trained on already.
- Epochs of a branch count from the first CosPlace group again, with a learning rate and a ramp of its own.
- A repeat of a finalist on another seed starts from the same trunk: its spread is that of the branch alone.
"""

from __future__ import annotations

import hashlib
import json

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import BranchConfig
from vgsearch.config.trial import TrialConfig

_KEY_DIGITS = 16


def trunk_trial(document: SearchDocument, trial: TrialConfig) -> TrialConfig:
    """The trunk that `trial` branches from: its architecture, with the middle of the space for the rest.

    It is a function of the file and of the trial's architecture alone.

    Args:
        document: the search; without `search.branch` its default number of trunk epochs is taken.
        trial: a decided trial of its space.

    Raises:
        ConfigError: the middle of the space cannot be decided.
    """
    centre, _ = document.default_trial()
    branch = document.search.branch or BranchConfig()
    same_pooling = centre.pooling.name == trial.pooling.name
    return centre.model_copy(
        update={
            # With all that a choice may have coupled to the name; the trial's keys of that kind are in it.
            "backbone": trial.resolved_backbone,
            "weights": trial.resolved_backbone.weights,
            "trainable_stages": trial.resolved_backbone.trainable_stages,
            "frozen_bn": trial.resolved_backbone.frozen_bn,
            "pooling": centre.pooling if same_pooling else trial.pooling,
            "descriptor_dim": trial.descriptor_dim,
            "epochs": branch.trunk_epochs,
            "seed": document.search.sampler.seed,
        }
    )


def trunk_key(trunk: TrialConfig) -> str:
    """The name of a trunk: equal for equal configurations, as `trunk-3f0a9c2b7d1e4f58`.

    Args:
        trunk: what `trunk_trial` gave.
    """
    content = json.dumps(trunk.model_dump(mode="json"), sort_keys=True)
    return f"trunk-{hashlib.sha256(content.encode()).hexdigest()[:_KEY_DIGITS]}"

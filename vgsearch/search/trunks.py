"""The trunks of a search: trials of their own, trained before those that branch from them.

A trunk is a record of the study like any trial, with its key and its whole configuration as attributes. It
is no searched trial: no sampler learns from it, no stopping rule looks at it, and it becomes neither champion
nor a version of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from vgsearch.config.branch import trunk_key, trunk_trial
from vgsearch.config.document import SearchDocument
from vgsearch.config.search import TrunkSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.search.memory import Holding, would_run_out
from vgsearch.search.study import EPOCHS, HELD, REASON, STATE, TRUNK, TRUNK_TRIAL, UID, Study
from vgsearch.training.report import epoch_name

Standing = Literal["none needed", "missing", "training", "ready", "failed"]

_FAILED = {"failed": "failed", "out_of_memory": "ran out of memory"}


class Trunks:
    """Which trunk a trial branches from, and how far it is; all of it read from the study."""

    def __init__(self, document: SearchDocument, study: Study, holding: Holding) -> None:
        """Look at the trunks in `study`; without `search.branch` no trial needs one.

        Args:
            document: the loaded YAML.
            study: of the search.
            holding: what a trial of this driver holds: a trunk that ran out of memory on less is tried again.
        """
        self._document = document
        self._study = study
        self._holding = holding

    def standing(self, trial: TrialConfig) -> Standing:
        """How far the trunk of `trial` is; one that a spent budget cut short is missing again."""
        if self._document.search.branch is None:
            return "none needed"
        trunks = self._of(trial)
        if any(_is_complete(trunk) for trunk in trunks):
            return "ready"
        if any(not trunk.state.is_finished() for trunk in trunks):
            return "training"
        return "failed" if self.refusal(trial) else "missing"

    def refusal(self, trial: TrialConfig) -> str:
        """Why `trial` can never start, in words: its trunk failed; empty if it can."""
        if self._document.search.branch is None:
            return ""
        trunks = self._of(trial)
        if any(_is_complete(trunk) for trunk in trunks):
            return ""
        failed = next((trunk for trunk in trunks if self._fails_again(trunk)), None)
        if failed is None:
            return ""
        what = _FAILED[failed.user_attrs[STATE]]
        return f"its trunk, trial {failed.number}, {what}: {failed.user_attrs.get(REASON, '')}"

    def spec(self, trial: TrialConfig) -> TrunkSpec | None:
        """What `trial` starts from; None without a trunk, or before that is complete."""
        if self._document.search.branch is None:
            return None
        ready = next((trunk for trunk in self._of(trial) if _is_complete(trunk)), None)
        if ready is None:
            return None
        return TrunkSpec(uid=str(ready.user_attrs[UID]), checkpoint=epoch_name(int(ready.user_attrs[EPOCHS])))

    def proposal(self, trial: TrialConfig) -> FrozenTrial:
        """The trunk of `trial` as a RUNNING record to be written."""
        trunk = trunk_trial(self._document, trial)
        attributes: Mapping[str, object] = {
            TRUNK: trunk_key(trunk),
            TRUNK_TRIAL: trunk.model_dump(mode="json"),
            EPOCHS: trunk.epochs,
        }
        return create_trial(state=OptunaState.RUNNING, user_attrs=dict(attributes))

    def _of(self, trial: TrialConfig) -> list[FrozenTrial]:
        key = trunk_key(trunk_trial(self._document, trial))
        # Not by the recorded key: an earlier version, whose trials had fewer keys, gave another one.
        return [stored for stored in self._study.trials() if is_trunk(stored) and _key_now(stored) == key]

    def _fails_again(self, trunk: FrozenTrial) -> bool:
        state = trunk.user_attrs.get(STATE)
        if not trunk.state.is_finished() or state not in _FAILED:
            return False
        if state == "failed":
            return True
        config = TrialConfig.model_validate(trunk.user_attrs[TRUNK_TRIAL])
        then = Holding.from_attribute(trunk.user_attrs[HELD])
        return would_run_out(config, self._holding, config, then)


def is_trunk(stored: FrozenTrial) -> bool:
    """Whether a trial of a study is a trunk."""
    return TRUNK in stored.user_attrs


def settings_of(stored: FrozenTrial) -> dict[str, object]:
    """What tells a trial from others: its searched values by name, or the architecture of a trunk."""
    if not is_trunk(stored):
        return dict(stored.params)
    trunk = TrialConfig.model_validate(stored.user_attrs[TRUNK_TRIAL])
    return {
        "trial.backbone": trunk.resolved_backbone.name,
        "trial.descriptor_dim": trunk.descriptor_dim,
    }


def _key_now(trunk: FrozenTrial) -> str:
    return trunk_key(TrialConfig.model_validate(trunk.user_attrs[TRUNK_TRIAL]))


def _is_complete(trunk: FrozenTrial) -> bool:
    return trunk.state.is_finished() and trunk.user_attrs.get(STATE) == "complete"

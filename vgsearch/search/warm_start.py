"""A search that begins with what an earlier one found: the sampler knows its trials, they are not its own.

Only trials that mean the same here are used: scored by the same objective on the same data, and, decided in
this space, the very same configuration. Samplers compare values: a recall after 3 epochs beside one after 8,
or of another val set, would teach them what is not so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState
from pydantic import ValidationError

from vgsearch.config.agreement import same_value
from vgsearch.config.choice import Choice, Tree, is_scalar
from vgsearch.config.distributions import IntRange, LogUniform, Scalar, Uniform
from vgsearch.config.document import SearchDocument
from vgsearch.config.space import ROOT, Space
from vgsearch.config.space_json import space_from_json
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import SearchError
from vgsearch.search.distributions import optuna_distribution
from vgsearch.search.finalists import best_value, crownable, searched
from vgsearch.search.proposal import decide_again
from vgsearch.search.study import IDENTITY, UID, WARM_START, Study, read_study

_SAME = ("data", "eval")


@dataclass(frozen=True)
class WarmTrial:
    """A trial of an earlier search, in this space's parameters."""

    uid: str
    params: Mapping[str, Scalar]
    value: float
    intermediate: Mapping[int, float]
    is_complete: bool


@dataclass(frozen=True)
class WarmStart:
    """What an earlier search gives: usable trials, and how many could not be used, by reason."""

    search: str
    trials: tuple[WarmTrial, ...]
    unused: Mapping[str, int]

    def sentences(self) -> list[str]:
        """What was used and what was not, in words."""
        total = len(self.trials) + sum(self.unused.values())
        lines = [f"{len(self.trials)} of {total} trials of search {self.search!r} are known to the sampler"]
        return lines + [f"{count} not used: {reason}" for reason, count in self.unused.items()]

    def to_attribute(self) -> list[dict[str, Any]]:
        """As a value that the journal can hold; read back by `warm_trials`."""
        return [
            {
                "uid": trial.uid,
                "params": dict(trial.params),
                "value": trial.value,
                "intermediate": {str(epoch): value for epoch, value in trial.intermediate.items()},
                "complete": trial.is_complete,
            }
            for trial in self.trials
        ]


def read_warm_start(
    home: Path, search: str, document: SearchDocument, identity: Mapping[str, Any]
) -> WarmStart:
    """Read the trials of an earlier search that mean the same in the space of `document`.

    Args:
        home: where the earlier study lies.
        search: its name.
        document: the new search.
        identity: what the new search is, see `search_identity`.

    Raises:
        SearchError: there is no such search, or its objective, data or evaluation differ.
    """
    study = read_study(home, search)
    if IDENTITY not in study.user_attrs:
        raise SearchError(f"search {search!r} ended before its first trial: nothing to start from")
    before = json.loads(study.user_attrs[IDENTITY])
    differences = [
        f"{section}.{key} is {before[section].get(key)!r} there and {identity[section].get(key)!r} here"
        for section in _SAME
        for key in sorted(set(before[section]) | set(identity[section]))
        if before[section].get(key) != identity[section].get(key) and key not in ("tests", "batch_size")
    ]
    branches = before["search"].get("branch"), identity["search"].get("branch")
    if branches[0] != branches[1]:
        differences.append(f"search.branch is {branches[0]!r} there and {branches[1]!r} here")
    objectives = before["search"]["objective"], identity["search"]["objective"]
    if objectives[0] != objectives[1]:
        differences.append(f"search.objective is {objectives[0]} there and {objectives[1]} here")
    if differences:
        raise SearchError(
            f"search {search!r} cannot warm-start {document.name!r}, because its recalls are not comparable: "
            f"{'; '.join(differences)}"
        )
    tree = space_from_json(json.dumps(before["trial"]))
    old_space = Space(tree if isinstance(tree, Mapping) else {})
    used, unused = [], dict[str, int]()
    for trial in searched(study.get_trials(deepcopy=False)):
        found = _translate(trial, old_space, document.space)
        if isinstance(found, str):
            unused[found] = unused.get(found, 0) + 1
        else:
            used.append(found)
    return WarmStart(search, tuple(used), unused)


def warm_trials(study: Study, space: Space) -> list[FrozenTrial]:
    """The trials that a study was warm-started with, as a sampler reads them."""
    stored: Sequence[Mapping[str, Any]] = study.setting(WARM_START) or ()
    return [_as_trial(each, space) for each in stored]


def params_of(space: Space, decided: Mapping[str, Any]) -> dict[str, Scalar] | str:
    """Find the parameters that decide a space to a given configuration.

    Args:
        space: what is searched.
        decided: a whole configuration with its defaults written out.

    Returns:
        values by the parameters' names, or in words the first key that does not fit.
    """
    params: dict[str, Scalar] = {}
    problem = _match(space.tree, decided, ROOT, ROOT, params)
    return problem or params


def _translate(trial: FrozenTrial, old_space: Space, space: Space) -> WarmTrial | str:
    if not crownable([trial]):
        return "they did not end with a recall"
    old = TrialConfig.model_validate(decide_again(old_space, trial))
    params = params_of(space, old.model_dump(mode="json"))
    if isinstance(params, str):
        return params
    try:
        new = TrialConfig.model_validate(space.propose(lambda name, _: params[name]))
    except ValidationError:
        return "their values do not fit together here"
    for key, value in new.model_dump(mode="json").items():
        was = old.model_dump(mode="json")[key]
        if was != value:
            return f"trial.{key} is {was!r} there and {value!r} here"
    return WarmTrial(
        uid=str(trial.user_attrs[UID]),
        params=params,
        value=best_value(trial),
        intermediate=dict(trial.intermediate_values),
        is_complete=trial.state == OptunaState.COMPLETE,
    )


def _match(tree: Tree, value: Any, name: str, path: str, params: dict[str, Scalar]) -> str:
    """Collect into `params` what makes `tree` decide to `value`; say in words where it cannot."""
    if isinstance(tree, Mapping):
        if not isinstance(value, Mapping):
            return f"{path} is {value!r} there"
        for key, child in tree.items():
            problem = _match(child, value.get(key), f"{name}.{key}", f"{path}.{key}", params)
            if problem:
                return problem
        return ""
    if isinstance(tree, Choice):
        return _match_choice(tree, value, name, path, params)
    if isinstance(tree, (Uniform, LogUniform, IntRange)):
        if not tree.contains(value) or isinstance(value, bool):
            return f"{path} is outside {tree}"
        params[name] = value
        return ""
    if isinstance(tree, list):
        same = isinstance(value, (list, tuple)) and len(value) == len(tree)
        problems = [
            _match(child, value[i], f"{name}.{i}", f"{path}.{i}", params) if same else "other"
            for i, child in enumerate(tree)
        ]
        return next((f"{path} is {value!r} there" for problem in problems if problem), "")
    return "" if same_value(tree, value) else f"{path} is {value!r} there and {tree!r} here"


def _match_choice(choice: Choice, value: Any, name: str, path: str, params: dict[str, Scalar]) -> str:
    for index, option in enumerate(choice.options):
        inner: dict[str, Scalar] = {}
        if not _match(option, value, f"{name}.{choice.label(index)}", path, inner):
            plain = all(is_scalar(each) for each in choice.options)
            params[name] = value if plain else choice.label(index)
            params.update(inner)
            return ""
    return f"{path} is no option of the choice here"


def _as_trial(stored: Mapping[str, Any], space: Space) -> FrozenTrial:
    distributions = {
        parameter.name: optuna_distribution(parameter.distribution)
        for parameter in space.parameters()
        if parameter.name in stored["params"]
    }
    complete = stored["complete"]
    return create_trial(
        state=OptunaState.COMPLETE if complete else OptunaState.PRUNED,
        value=stored["value"] if complete else None,
        params=dict(stored["params"]),
        distributions=distributions,
        intermediate_values={int(epoch): value for epoch, value in stored["intermediate"].items()},
        user_attrs={UID: stored["uid"]},
    )

"""What we have recorded: trained networks, soups and ensembles, with their results on test splits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError, DataError, RegistryError, RegistryUnreachableError
from vgsearch.models.checkpoint import read_spec
from vgsearch.registry.checkpoint_files import LINEAGE_FILE
from vgsearch.registry.kept_tests import kept_tests
from vgsearch.registry.names import CHAMPION_ALIAS, SELECTED_ON_TAG, recall_tag
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import (
    COMBINATION_KINDS,
    ModelVersion,
    SearchRecord,
    TrialRecord,
    VersionKind,
)
from vgsearch.reporting.paper.our_tests import OurTest
from vgsearch.retrieval.recall import RetrievalResult

_OBJECTIVE_TAG = "vgsearch.objective"
_TEST_PARAM = "data.tests."
_USUAL_OBJECTIVES = ("val/recall_at_1", "val/mean/recall_at_1")


@dataclass(frozen=True)
class OurRun:
    """One recorded model.

    Attributes:
        reference: What `evaluate` takes.
        search: Name of its search.
        kind: Trial, soup or ensemble.
        trial: The declared settings; of a combination those of its first ingredient.
        method: Of a soup how it was mixed, of an ensemble its fusion; empty for a trial.
        criterion: What a combination was chosen by; empty for a trial.
        objective: What its search maximised.
        val_percent: The value of that; None where it was not recorded.
        is_champion: Whether it has its search's alias.
        is_whole: Whether it was trained to its planned end.
        selected_on_test: Whether a test split had a say in choosing it.
        trunk_epochs: Epochs of the trunk that it branched from; 0 without one.
        train_folder: The folder of training photos, as the search recorded it; empty where it did not.
        test_folders: Likewise those of its tests, by name.
        tests: Its results.
    """

    reference: str
    search: str
    kind: VersionKind
    trial: TrialConfig
    method: str
    criterion: str
    objective: str
    val_percent: float | None
    is_champion: bool
    is_whole: bool
    selected_on_test: bool
    trunk_epochs: int
    train_folder: str
    test_folders: Mapping[str, str]
    tests: tuple[OurTest, ...]


@dataclass(frozen=True)
class OurRuns:
    """All of them, and what could not be read, each in one line."""

    runs: tuple[OurRun, ...] = ()
    unreadable: tuple[str, ...] = ()


def read_our_runs(registry: Registry) -> OurRuns:
    """Read every search of a store: of each trial its newest version, and every combination.

    Networks from elsewhere are no runs of ours, and are left out.

    Raises:
        RegistryError: The store does not answer.
    """
    runs: list[OurRun] = []
    unreadable: list[str] = []
    for search in registry.searches():
        versions = _newest(registry.versions(search.name))
        if not versions:
            continue
        objective = search.tags.get(_OBJECTIVE_TAG, "")
        trials = {t.uid: t for t in registry.trials(search.name, metric_prefix=objective or "val/")}
        keys: dict[str, set[str]] = {}
        for scoring in registry.scored_tests(search.name):
            keys.setdefault(scoring.model.partition("-")[0], set()).add(scoring.model)
        for version in versions:
            own_keys = keys.get(version.weights_sha256[:32], set())
            try:
                runs.append(_our_run(registry, search, version, trials.get(version.uid), sorted(own_keys)))
            except RegistryUnreachableError:
                raise
            except (ValueError, CheckpointError, DataError, RegistryError) as error:
                reason = str(error).splitlines()[0]
                unreadable.append(f"{version.reference} is left out: {reason}")
    return OurRuns(tuple(runs), tuple(unreadable))


def trial_from_params(params: Mapping[str, str]) -> TrialConfig:
    """The declared settings of a run, from its flat parameters.

    Raises:
        ValueError: They are not those of a trial as this version knows it.
    """
    tree: dict[str, object] = {}
    for key, text in params.items():
        *parents, leaf = key.split(".")
        node = tree
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ValueError(f"the parameter {key} contradicts {parent}")
            node = child
        node[leaf] = _value(text)
    try:
        return TrialConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"its settings are of another version of vgsearch ({key}: {first['msg']})"
        ) from error


def _our_run(
    registry: Registry,
    search: SearchRecord,
    version: ModelVersion,
    record: TrialRecord | None,
    keys: Sequence[str],
) -> OurRun:
    method = ""
    if version.kind == "trial":
        if record is None:
            raise ValueError("its trial has no run")
        trial = trial_from_params(record.params)
    else:
        folder = registry.download(version.reference)
        trial = read_spec(folder).trial
        method = _method(folder) if version.kind in COMBINATION_KINDS else ""
    objective, value = _val(search, version, record)
    return OurRun(
        reference=version.reference,
        search=version.search,
        kind=version.kind,
        trial=trial,
        method=method,
        criterion=version.tags.get(SELECTED_ON_TAG, "") if version.kind != "trial" else "",
        objective=objective,
        val_percent=value,
        is_champion=CHAMPION_ALIAS in version.aliases,
        is_whole=record is None or record.state == "complete",
        selected_on_test=version.selected_on_test,
        trunk_epochs=int(search.params.get("search.branch.trunk_epochs", "0")),
        train_folder=search.params.get("data.train", ""),
        test_folders={
            key.removeprefix(_TEST_PARAM): folder
            for key, folder in search.params.items()
            if key.startswith(_TEST_PARAM)
        },
        tests=tuple(
            OurTest(split, RetrievalResult.from_npz(content))
            for key in keys
            for split, content in kept_tests(registry, version, key)
        ),
    )


def _newest(versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """Of each trial and each combination the newest version: a trial's best epoch."""
    ours = [version for version in versions if version.kind != "imported"]
    return list({(version.kind, version.uid): version for version in ours}.values())


def _val(search: SearchRecord, version: ModelVersion, record: TrialRecord | None) -> tuple[str, float | None]:
    """The objective and its value at the version's epoch."""
    named = search.tags.get(_OBJECTIVE_TAG)
    for objective in (named,) if named else _USUAL_OBJECTIVES:
        if record is not None and objective in record.history.get(version.epoch, {}):
            return objective, record.history[version.epoch][objective]
        if recall_tag(objective) in version.tags:
            return objective, float(version.tags[recall_tag(objective)])
    return named or _USUAL_OBJECTIVES[0], None


def _method(folder: Path) -> str:
    """How a combination was made, from its lineage."""
    try:
        settings = json.loads((folder / LINEAGE_FILE).read_text(encoding="utf-8"))["settings"]
        return str(settings.get("method") or settings["fusion"])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"its {LINEAGE_FILE} cannot be read ({error})") from error


def _value(text: str) -> object:
    """Numbers, booleans and null as they were; everything else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, bool | int | float | dict | list) else text

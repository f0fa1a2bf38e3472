"""Runs of an MLflow store: found by tag, opened again, filled in, and read back as records."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vgsearch.errors import RegistryError
from vgsearch.registry.mlflow_import import file_transfer
from vgsearch.registry.mlflow_store import MlflowStore, local_part, local_path, pages
from vgsearch.registry.names import (
    EXPERIMENT_PREFIX,
    KIND_TAG,
    REASON_TAG,
    SEARCH_TAG,
    STATE_TAG,
    TEXT_TAG,
    UID_TAG,
    check_key,
    experiment_name,
)
from vgsearch.registry.params import batches, flatten
from vgsearch.registry.records import (
    ModelVersion,
    SearchRecord,
    SearchState,
    TrialRecord,
    TrialState,
    finite_metrics,
)
from vgsearch.registry.references import nearest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

REASON_CHARACTERS = 5000
# What the MLflow UI shows for each of our states; ours is in the tag `vgsearch.state`.
RUN_STATUS = {
    "running": "RUNNING",
    "complete": "FINISHED",
    "stopped": "KILLED",
    "infeasible": "KILLED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "out_of_memory": "FAILED",
}
PARENT_TAG = "mlflow.parentRunId"
# The UI asks for the kind of an experiment that does not say it; these are for training models.
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}
SOURCE_TAGS = {"mlflow.source.name": "vgsearch", "mlflow.source.type": "LOCAL"}


def find_experiment(client: MlflowClient, search: str) -> Experiment:
    """Return the experiment of a search.

    Raises:
        RegistryError: There is none, or it is in MLflow's trash; the nearest names are given.
    """
    name = experiment_name(search)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        known = [each.name.removeprefix(EXPERIMENT_PREFIX) for each in search_experiments(client)]
        raise RegistryError(f"no search is named {search!r}; {nearest(search, known)}")
    if experiment.lifecycle_stage != "active":
        raise RegistryError(
            f"the experiment {name!r} was deleted in MLflow: restore it, or give the search another name"
        )
    return experiment


def search_experiments(client: MlflowClient) -> list[Experiment]:
    """Return the experiments that are searches, oldest first."""
    return pages(
        lambda token: client.search_experiments(
            filter_string=f"name LIKE '{EXPERIMENT_PREFIX}%'",
            order_by=["creation_time ASC"],
            page_token=token,
        )
    )


def find_runs(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> list[Run]:
    """Return the active runs of an experiment that carry all `tags`, oldest first."""
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    return pages(
        lambda token: client.search_runs(
            [experiment_id], filter_string=wanted, order_by=["attributes.start_time ASC"], page_token=token
        )
    )


def open_experiment(store: MlflowStore, client: MlflowClient, search: str) -> str:
    """Return the id of a search's experiment, creating it if there is none.

    Raises:
        RegistryError: It is in MLflow's trash, or its artifacts are not where they were recorded.
    """
    if client.get_experiment_by_name(experiment_name(search)) is None:
        location = store.artifact_location(search)
        return str(client.create_experiment(experiment_name(search), location, tags=EXPERIMENT_KIND))
    experiment = find_experiment(client, search)
    recorded = None if store.is_server else local_path(experiment.artifact_location)
    if (
        recorded is not None
        and not recorded.is_dir()
        and store.artifact_location(search) != recorded.as_uri()
    ):
        raise RegistryError(
            f"the artifacts of search {search!r} were recorded under {recorded}, which is not there: "
            "move the home folder back, or give the search another name"
        )
    return str(experiment.experiment_id)


def find_search_run(client: MlflowClient, experiment_id: str, search: str) -> Run | None:
    """Return the parent run of a search, None if it has none yet."""
    runs = find_runs(client, experiment_id, {KIND_TAG: "search", SEARCH_TAG: search})
    return runs[0] if runs else None


def open_run(client: MlflowClient, experiment_id: str, identity: Mapping[str, str], name: str) -> Run:
    """Return the run with the tags `identity`, running again; create it if there is none."""
    found = find_runs(client, experiment_id, {key: identity[key] for key in identity if key != PARENT_TAG})
    if not found:
        tags = {**SOURCE_TAGS, **identity, STATE_TAG: "running"}
        return client.create_run(experiment_id, tags=tags, run_name=name)
    run = found[0]
    if run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    if run.data.tags.get(STATE_TAG) != "running":
        client.set_tag(run.info.run_id, STATE_TAG, "running")
    if REASON_TAG in run.data.tags:
        client.delete_tag(run.info.run_id, REASON_TAG)
    return run


def open_child(client: MlflowClient, parent: tuple[str, str], identity: Mapping[str, str], name: str) -> Run:
    """Open a run under a search's own, `parent`: its experiment and run id; see `open_run`."""
    experiment_id, parent_id = parent
    return open_run(client, experiment_id, {PARENT_TAG: parent_id, **identity}, name)


def fill_run(
    client: MlflowClient,
    run: Run,
    params: Mapping[str, object],
    text: str,
    file: str,
    tags: Mapping[str, str],
) -> None:
    """Record what a run does not hold yet of its parameters and configuration text; update `tags`."""
    from mlflow.entities import Param, RunTag

    run_id = run.info.run_id
    missing = {key: value for key, value in flatten(params).items() if key not in run.data.params}
    for batch in batches(missing):
        client.log_batch(run_id, params=[Param(key, value) for key, value in batch.items()])
    digest = hashlib.sha256(text.encode()).hexdigest()
    # The tag comes after the artifact, so a kill between them only repeats the upload.
    if run.data.tags.get(TEXT_TAG) != digest:
        client.log_text(run_id, text, file)
        tags = {**tags, TEXT_TAG: digest}
    changed = {
        check_key(key, "a tag"): value for key, value in tags.items() if run.data.tags.get(key) != value
    }
    if changed:
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in changed.items()])


def has_other_params(run: Run, params: Mapping[str, object]) -> bool:
    """Whether a recorded parameter has another value than now."""
    return any(run.data.params.get(key, value) != value for key, value in flatten(params).items())


def close_run(client: MlflowClient, run_id: str, state: str, tags: Mapping[str, str]) -> None:
    """Write the state and `tags`, then MLflow's status."""
    from mlflow.entities import RunTag

    texts = {STATE_TAG: state, **tags}
    client.log_batch(run_id, tags=[RunTag(check_key(key, "a tag"), value) for key, value in texts.items()])
    client.set_terminated(run_id, RUN_STATUS[state])


def log_metrics(
    client: MlflowClient,
    run_id: str,
    epoch: int,
    metrics: Mapping[str, float],
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write one batch of finite metrics at step `epoch`, and tags."""
    from mlflow.entities import Metric, RunTag

    now_ms = int(time.time() * 1000)
    rows = [
        Metric(check_key(name, "a metric's name"), value, now_ms, epoch)
        for name, value in finite_metrics(metrics).items()
    ]
    labels = [RunTag(check_key(key, "a tag"), value) for key, value in (tags or {}).items()]
    if rows or labels:
        client.log_batch(run_id, metrics=rows, tags=labels)


def read_history(client: MlflowClient, run: Run, prefix: str) -> dict[int, dict[str, float]]:
    """Return a run's metrics by epoch, one request per metric name that starts with `prefix`."""
    history: dict[int, dict[str, float]] = {}
    for name in sorted(run.data.metrics):
        if name.startswith(prefix):
            points = client.get_metric_history(run.info.run_id, name)
            for point in sorted(points, key=lambda point: point.timestamp):
                history.setdefault(int(point.step), {})[name] = float(point.value)
    return dict(sorted(history.items()))


def trial_record(client: MlflowClient, search: str, run: Run, metric_prefix: str) -> TrialRecord:
    """Read a child run as a record."""
    tags = dict(run.data.tags)
    return TrialRecord(
        search=search,
        uid=tags[UID_TAG],
        run_id=run.info.run_id,
        label=run.info.run_name or tags[UID_TAG],
        state=cast(TrialState, _state(run)),
        reason=tags.get(REASON_TAG, ""),
        params=dict(run.data.params),
        tags=own_tags(tags),
        history=read_history(client, run, metric_prefix),
        started_at=_moment(run.info.start_time),
        ended_at=None if run.info.status == "RUNNING" else _moment(run.info.end_time or run.info.start_time),
    )


def search_record(search: str, run: Run) -> SearchRecord:
    """Read a parent run as a record."""
    return SearchRecord(
        name=search,
        run_id=run.info.run_id,
        state=cast(SearchState, _state(run)),
        params=dict(run.data.params),
        tags=own_tags(run.data.tags),
        started_at=_moment(run.info.start_time),
        ended_at=None if run.info.status == "RUNNING" else _moment(run.info.end_time or run.info.start_time),
    )


def read_files(
    store: MlflowStore, client: MlflowClient, version: ModelVersion, folder: str
) -> dict[str, bytes]:
    """Return a run's artifacts in `folder` and below by path inside it; links are left aside.

    Raises:
        RegistryError: The folder leads out of the run's artifacts.
    """
    run = client.get_run(version.run_id)
    root = store.run_folder(version.search, version.run_id, run.info.artifact_uri)
    if root is not None:
        return _plain_files(local_part(root, folder))
    if not client.list_artifacts(version.run_id, folder):
        return {}
    with tempfile.TemporaryDirectory(prefix="vgsearch-") as scratch, file_transfer():
        return _plain_files(Path(client.download_artifacts(version.run_id, folder, scratch)))


def _plain_files(folder: Path) -> dict[str, bytes]:
    top = folder.resolve()
    return {
        str(file.relative_to(folder).as_posix()): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink() and file.resolve().is_relative_to(top)
    }


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Leave out what MLflow itself keeps among the tags."""
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


def _state(run: Run) -> str:
    if run.info.status == "RUNNING":
        return "running"
    ours = run.data.tags.get(STATE_TAG, "running")
    # A run that was ended by hand, in the UI, has a status but none of our last states.
    return ours if ours != "running" else "complete" if run.info.status == "FINISHED" else "failed"


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

"""The registry over MLflow. The process that the user started is the only one that writes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vgsearch.errors import RegistryError
from vgsearch.models.file_hash import file_sha256
from vgsearch.registry import mlflow_runs as runs
from vgsearch.registry.checkpoint_files import (
    WEIGHTS_FILE,
    copy_recorded,
    recorded_files,
)
from vgsearch.registry.mlflow_import import file_transfer
from vgsearch.registry.mlflow_scored_tests import MlflowScoredTests
from vgsearch.registry.mlflow_store import MlflowStore
from vgsearch.registry.mlflow_versions import (
    MlflowVersions,
    fetch_version,
    version_record,
    write_version,
)
from vgsearch.registry.names import (
    CHAMPION_ALIAS,
    EPOCH_TAG,
    EXPERIMENT_PREFIX,
    KIND_TAG,
    REASON_TAG,
    SEARCH_TAG,
    UID_TAG,
    WEIGHTS_TAG,
    check_alias,
    check_folder,
    check_segment,
    experiment_name,
    model_name,
)
from vgsearch.registry.records import (
    COMBINATION_KINDS,
    SEARCH_ENDS,
    TRIAL_ENDS,
    CombinationKind,
    ModelVersion,
    SearchRecord,
    SearchState,
    TrialRecord,
    TrialState,
    check_combination,
    check_epoch,
    check_last_state,
    finite_metrics,
)
from vgsearch.registry.references import (
    FolderReference,
    VersionReference,
    champion_of,
    find_version,
    newest_of,
    parse_reference,
    require_network,
)
from vgsearch.registry.taken_names import check_not_taken

if TYPE_CHECKING:
    from mlflow import MlflowClient


class MlflowRegistry(MlflowScoredTests):
    """A `Registry` over the MLflow store of a home folder; see the protocol for the contract.

    The store is `sqlite:///<home>/mlflow.db` with its artifacts in `<home>/artifacts`, unless
    `tracking_uri` or `MLFLOW_TRACKING_URI` names a database or a server.
    """

    def __init__(self, home: Path, tracking_uri: str | None = None, *, patient: bool = True) -> None:
        """Open the store; a fresh one is created under a lock, which takes seconds.

        Args:
            home: The folder that a search writes to.
            tracking_uri: Another store than the home's own.
            patient: Whether a call to a server that does not answer is tried again for minutes; without,
                it fails within seconds, for a caller that can wait better (`SpooledRegistry`).

        Raises:
            RegistryUnreachableError: It does not answer now.
            RegistryError: It cannot be created or read.
        """
        self._store = MlflowStore(home, tracking_uri, patient=patient)
        self._opened: dict[str, tuple[str, str]] = {}
        self._recorded: dict[str, dict[str, set[int]]] = {}

    @property
    def uri(self) -> str:
        """The store's URI."""
        return self._store.uri

    def open_search(
        self,
        name: str,
        *,
        params: Mapping[str, object],
        config_text: str,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """See `Recorder.open_search`."""
        experiment_name(name)
        with self._store.calls(f"cannot open search {name!r}") as client:
            experiment_id = runs.open_experiment(self._store, client, name)
            identity = {KIND_TAG: "search", SEARCH_TAG: name}
            known = runs.find_search_run(client, experiment_id, name)
            check_not_taken(name, {} if known is None else known.data.tags, tags or {})
            run = runs.open_run(client, experiment_id, identity, name)
            if runs.has_other_params(run, params) and not runs.find_runs(
                client, experiment_id, {KIND_TAG: "trial", SEARCH_TAG: name}
            ):
                # It ended before its first trial, and a parameter of MLflow's cannot be changed.
                client.delete_run(run.info.run_id)
                run = runs.open_run(client, experiment_id, identity, name)
            runs.fill_run(client, run, params, config_text, "config.yaml", tags or {})
            self._opened[name] = (experiment_id, run.info.run_id)
            return str(run.info.run_id)

    def open_trial(
        self, search: str, uid: str, *, label: str, params: Mapping[str, object], spec_text: str
    ) -> str:
        """See `Recorder.open_trial`."""
        check_segment(uid, "a trial's uid")
        with self._store.calls(f"cannot open trial {uid!r}") as client:
            identity = {KIND_TAG: "trial", SEARCH_TAG: search, UID_TAG: uid}
            run = runs.open_child(client, self._parent(client, search), identity, label)
            runs.fill_run(client, run, params, spec_text, "trial.yaml", {})
            return str(run.info.run_id)

    def open_combination(
        self,
        search: str,
        uid: str,
        *,
        kind: CombinationKind,
        label: str,
        params: Mapping[str, object],
        spec_text: str,
    ) -> str:
        """See `Registry.open_combination`."""
        check_segment(uid, "a combination's uid")
        identity = {KIND_TAG: check_combination(kind), SEARCH_TAG: search, UID_TAG: uid}
        with self._store.calls(f"cannot open {kind} {uid!r}") as client:
            run = runs.open_child(client, self._parent(client, search), identity, label)
            runs.fill_run(client, run, params, spec_text, "combination.yaml", {})
            return str(run.info.run_id)

    def open_import(
        self, search: str, uid: str, *, label: str, params: Mapping[str, object], spec_text: str
    ) -> str:
        """See `Registry.open_import`."""
        check_segment(uid, "an import's uid")
        identity = {KIND_TAG: "imported", SEARCH_TAG: search, UID_TAG: uid}
        with self._store.calls(f"cannot open import {uid!r}") as client:
            run = runs.open_child(client, self._parent(client, search), identity, label)
            runs.fill_run(client, run, params, spec_text, "trial.yaml", {})
            return str(run.info.run_id)

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `Recorder.log_epoch`."""
        check_epoch(epoch)
        with self._store.calls(f"cannot record epoch {epoch}") as client:
            known = self._recorded_epochs(client, run_id, finite_metrics(metrics))
            fresh = {
                name: value for name, value in finite_metrics(metrics).items() if epoch not in known[name]
            }
            try:
                runs.log_metrics(client, run_id, epoch, fresh)
            except BaseException:
                # It may have arrived all the same: the next call asks the store.
                del self._recorded[run_id]
                raise
            for name in fresh:
                known[name].add(epoch)

    def record_checkpoint(
        self,
        run_id: str,
        checkpoint: Path,
        *,
        search: str,
        uid: str,
        epoch: int,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """See `Recorder.record_checkpoint`."""
        name = model_name(search)
        files = recorded_files(checkpoint)
        identity = {
            UID_TAG: check_segment(uid, "a trial's uid"),
            EPOCH_TAG: str(check_epoch(epoch)),
            WEIGHTS_TAG: file_sha256(checkpoint / WEIGHTS_FILE),
        }
        with self._store.calls(f"cannot record checkpoint {checkpoint}") as client:
            kind = client.get_run(run_id).data.tags.get(KIND_TAG)
            own = {KIND_TAG: kind} if kind in (*COMBINATION_KINDS, "imported") else {}
            version = write_version(client, name, run_id, files, identity, {**(tags or {}), **own})
            return version_record(version, client.get_registered_model(name).aliases)

    def finish_trial(
        self, run_id: str, state: TrialState, *, reason: str = "", tags: Mapping[str, str] | None = None
    ) -> None:
        """See `Recorder.finish_trial`."""
        check_last_state(state, TRIAL_ENDS)
        texts = {**(tags or {}), **({REASON_TAG: reason[: runs.REASON_CHARACTERS]} if reason else {})}
        with self._store.calls("cannot close a trial") as client:
            runs.close_run(client, run_id, state, texts)

    def finish_search(self, run_id: str, state: SearchState) -> None:
        """See `Recorder.finish_search`."""
        check_last_state(state, SEARCH_ENDS)
        with self._store.calls("cannot close a search") as client:
            runs.close_run(client, run_id, state, {})

    def set_champion(self, search: str, version: str) -> None:
        """See `Registry.set_champion`."""
        with self._store.calls(f"cannot set the champion of {search!r}") as client:
            wanted = VersionReference(model_name(search), version, None)
            found = require_network(find_version(wanted, MlflowVersions(client)))
            client.set_registered_model_alias(found.name, CHAMPION_ALIAS, found.version)

    def set_alias(self, search: str, alias: str, version: str) -> None:
        """See `Registry.set_alias`."""
        check_alias(alias)
        with self._store.calls(f"cannot set the alias {alias!r} of {search!r}") as client:
            wanted = VersionReference(model_name(search), version, None)
            found = find_version(wanted, MlflowVersions(client))
            if alias not in found.aliases:
                client.set_registered_model_alias(found.name, alias, found.version)

    def crown(self, search: str, uid: str) -> None:
        """See `Recorder.crown`."""
        with self._store.calls(f"cannot set the champion of {search!r}") as client:
            version = newest_of(uid, self.versions(search))
            if CHAMPION_ALIAS not in version.aliases:
                client.set_registered_model_alias(version.name, CHAMPION_ALIAS, version.version)

    def champion(self, search: str) -> ModelVersion:
        """See `Registry.champion`."""
        return champion_of(search, self.versions(search))

    def versions(self, search: str) -> list[ModelVersion]:
        """See `Registry.versions`."""
        with self._store.calls(f"cannot list the versions of {search!r}") as client:
            found = MlflowVersions(client).versions_of_model(model_name(search))
            if not found:
                runs.find_experiment(client, search)
            return found

    def trials(self, search: str, *, metric_prefix: str = "") -> list[TrialRecord]:
        """See `Registry.trials`."""
        with self._store.calls(f"cannot list the trials of {search!r}") as client:
            experiment = runs.find_experiment(client, search)
            found = runs.find_runs(client, experiment.experiment_id, {KIND_TAG: "trial", SEARCH_TAG: search})
            return [runs.trial_record(client, search, run, metric_prefix) for run in found]

    def searches(self) -> list[SearchRecord]:
        """See `Registry.searches`."""
        with self._store.calls("cannot list searches") as client:
            records = []
            for experiment in runs.search_experiments(client):
                search = experiment.name.removeprefix(EXPERIMENT_PREFIX)
                run = runs.find_search_run(client, experiment.experiment_id, search)
                if run is not None:
                    records.append(runs.search_record(search, run))
            return records

    def download(self, reference: str, into: Path | None = None) -> Path:
        """See `Registry.download`."""
        parsed = parse_reference(reference)
        if isinstance(parsed, FolderReference):
            recorded_files(parsed.path)
            return parsed.path if into is None else copy_recorded(parsed.path, into)
        with self._store.calls(f"cannot fetch {reference}") as client:
            version = find_version(parsed, MlflowVersions(client))
            folder = fetch_version(self._store, client, version)
        return folder if into is None else copy_recorded(folder, into)

    def log_scores(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        files: Mapping[str, bytes] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `Recorder.log_scores`."""
        self.log_files(run_id, "scores", files or {})
        with self._store.calls("cannot record scores") as client:
            known = client.get_run(run_id).data.metrics
            changed = {name: value for name, value in metrics.items() if known.get(name) != value}
            runs.log_metrics(client, run_id, 0, changed, tags)

    def log_files(self, run_id: str, folder: str, files: Mapping[str, bytes]) -> None:
        """See `Recorder.log_files`."""
        check_folder(folder)
        for name in files:
            check_segment(name, "a file's name")
        if not files:
            return
        with self._store.calls(f"cannot record files in {folder}") as client, _scratch() as scratch:
            for name, content in files.items():
                (scratch / name).write_bytes(content)
            with file_transfer():
                client.log_artifacts(run_id, str(scratch), folder)

    def kept_files(self, version: ModelVersion, folder: str) -> dict[str, bytes]:
        """See `Registry.kept_files`."""
        check_folder(folder)
        with self._store.calls(f"cannot read {folder} of {version.reference}") as client:
            return runs.read_files(self._store, client, version, folder)

    def find_run(self, search: str, uid: str | None = None) -> str:
        """See `Recorder.find_run`."""
        with self._store.calls(f"cannot find search {search!r}") as client:
            experiment_id, parent_id = self._parent(client, search)
            if uid is None:
                return parent_id
            check_segment(uid, "a trial's uid")
            found = runs.find_runs(client, experiment_id, {SEARCH_TAG: search, UID_TAG: uid})
            if not found:
                raise RegistryError(f"search {search!r} has no trial {uid!r} in this store")
            return str(found[0].info.run_id)

    def flush(self) -> int:
        """See `Recorder.flush`: nothing ever waits."""
        return 0

    def _parent(self, client: MlflowClient, search: str) -> tuple[str, str]:
        """Return a search's experiment and parent run, from memory after the first time."""
        if search not in self._opened:
            experiment_id = str(runs.find_experiment(client, search).experiment_id)
            run = runs.find_search_run(client, experiment_id, search)
            if run is None:
                raise RegistryError(f"search {search!r} has no run yet: open the search before its trials")
            self._opened[search] = (experiment_id, str(run.info.run_id))
        return self._opened[search]

    def _recorded_epochs(
        self, client: MlflowClient, run_id: str, names: Mapping[str, float]
    ) -> dict[str, set[int]]:
        """Return the recorded epochs of each metric; asked of the store once for each run and name."""
        known = self._recorded.setdefault(run_id, {})
        asked = [name for name in names if name not in known]
        if asked:
            stored = client.get_run(run_id).data.metrics
            for name in asked:
                points = client.get_metric_history(run_id, name) if name in stored else []
                known[name] = {int(point.step) for point in points}
        return known


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vgsearch-") as folder:
        yield Path(folder)

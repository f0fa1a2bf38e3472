"""The registry in memory: for tests, and for whoever wants no store. It forgets everything at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from vgsearch.errors import RegistryError
from vgsearch.models.file_hash import file_sha256
from vgsearch.registry.checkpoint_files import (
    WEIGHTS_FILE,
    check_recorded,
    copy_recorded,
    recorded_files,
)
from vgsearch.registry.memory_runs import MemoryRun, artifact_paths, checked, with_prefix
from vgsearch.registry.memory_scored_tests import MemoryScoredTests
from vgsearch.registry.names import (
    CHAMPION_ALIAS,
    COMPLETE_TAG,
    EPOCH_TAG,
    KIND_TAG,
    REASON_TAG,
    UID_TAG,
    WEIGHTS_TAG,
    check_alias,
    check_folder,
    check_key,
    check_segment,
    model_name,
)
from vgsearch.registry.records import (
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
    nearest,
    newest_of,
    parse_reference,
    require_network,
)
from vgsearch.registry.taken_names import check_not_taken


class MemoryRegistry(MemoryScoredTests):
    """A `Registry` that lives in this object; recorded files lie in a temporary folder of its own."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="vgsearch-registry-")
        self._searches: dict[str, MemoryRun] = {}
        self._trials: dict[tuple[str, str], MemoryRun] = {}
        self._versions: dict[str, list[ModelVersion]] = {}
        self._combinations: dict[tuple[str, str, str], MemoryRun] = {}
        self._aliases: dict[str, dict[str, str]] = {}

    def open_search(
        self,
        name: str,
        *,
        params: Mapping[str, object],
        config_text: str,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """See `Recorder.open_search`."""
        model_name(name)
        if name in self._searches:
            check_not_taken(name, self._searches[name].tags, tags or {})
        run = self._searches.setdefault(name, MemoryRun(name, "", f"search{len(self._searches)}", name, {}))
        if not any(search == name for search, _ in self._trials):
            run.params = {}  # it ended before its first trial and starts anew
        run.tags.update(checked(tags or {}))
        return run.reopen(params, "config.yaml", config_text)

    def open_trial(
        self, search: str, uid: str, *, label: str, params: Mapping[str, object], spec_text: str
    ) -> str:
        """See `Recorder.open_trial`."""
        check_segment(uid, "a trial's uid")
        self._search(search)
        new = MemoryRun(search, uid, f"trial{len(self._trials)}", label, {}, tags={UID_TAG: uid})
        return self._trials.setdefault((search, uid), new).reopen(params, "trial.yaml", spec_text)

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
        tags = {UID_TAG: uid, KIND_TAG: check_combination(kind)}
        self._search(search)
        new = MemoryRun(search, uid, f"combination{len(self._combinations)}", label, {}, tags=tags)
        run = self._combinations.setdefault((search, kind, uid), new)
        return run.reopen(params, "combination.yaml", spec_text)

    def open_import(
        self, search: str, uid: str, *, label: str, params: Mapping[str, object], spec_text: str
    ) -> str:
        """See `Registry.open_import`."""
        check_segment(uid, "an import's uid")
        self._search(search)
        tags = {UID_TAG: uid, KIND_TAG: "imported"}
        new = MemoryRun(search, uid, f"combination{len(self._combinations)}", label, {}, tags=tags)
        run = self._combinations.setdefault((search, "imported", uid), new)
        return run.reopen(params, "trial.yaml", spec_text)

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `Recorder.log_epoch`."""
        check_epoch(epoch)
        run = self._run(run_id)
        fresh = {check_key(name, "a metric's name"): value for name, value in finite_metrics(metrics).items()}
        if fresh:
            run.history[epoch] = {**fresh, **run.history.get(epoch, {})}

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
        recorded_files(checkpoint)
        check_segment(uid, "a trial's uid")
        run = self._run(run_id)
        sha256 = file_sha256(checkpoint / WEIGHTS_FILE)
        versions = self._versions.setdefault(name, [])
        for version in versions:
            if (version.uid, version.epoch, version.weights_sha256) == (uid, check_epoch(epoch), sha256):
                return self._with_aliases(version)
        number = str(len(versions) + 1)
        kind = {KIND_TAG: run.tags[KIND_TAG]} if KIND_TAG in run.tags else {}
        own = {
            **kind,
            UID_TAG: uid,
            EPOCH_TAG: str(check_epoch(epoch)),
            WEIGHTS_TAG: sha256,
            COMPLETE_TAG: sha256,
        }
        version = ModelVersion(
            search, name, number, uid, run_id, epoch, sha256, {**checked(tags or {}), **own}
        )
        copy_recorded(checkpoint, self._kept(version))
        versions.append(version)
        return version

    def finish_trial(
        self, run_id: str, state: TrialState, *, reason: str = "", tags: Mapping[str, str] | None = None
    ) -> None:
        """See `Recorder.finish_trial`."""
        check_last_state(state, TRIAL_ENDS)
        self._run(run_id).close(state, {**(tags or {}), **({REASON_TAG: reason} if reason else {})})

    def finish_search(self, run_id: str, state: SearchState) -> None:
        """See `Recorder.finish_search`."""
        check_last_state(state, SEARCH_ENDS)
        self._run(run_id).close(state, {})

    def set_champion(self, search: str, version: str) -> None:
        """See `Registry.set_champion`."""
        found = find_version(VersionReference(model_name(search), version, None), self)
        self._move(CHAMPION_ALIAS, require_network(found))

    def set_alias(self, search: str, alias: str, version: str) -> None:
        """See `Registry.set_alias`."""
        check_alias(alias)
        self._move(alias, find_version(VersionReference(model_name(search), version, None), self))

    def crown(self, search: str, uid: str) -> None:
        """See `Recorder.crown`."""
        self.set_champion(search, newest_of(uid, self.versions(search)).version)

    def champion(self, search: str) -> ModelVersion:
        """See `Registry.champion`."""
        return champion_of(search, self.versions(search))

    def versions(self, search: str) -> list[ModelVersion]:
        """See `Registry.versions`."""
        found = self.versions_of_model(model_name(search))
        if not found:
            self._search(search)
        return found

    def trials(self, search: str, *, metric_prefix: str = "") -> list[TrialRecord]:
        """See `Registry.trials`."""
        self._search(search)
        return [
            TrialRecord(
                search=run.search,
                uid=run.uid,
                run_id=run.run_id,
                label=run.label,
                state=cast(TrialState, run.state),
                reason=run.tags.get(REASON_TAG, ""),
                params=dict(run.params),
                tags=dict(run.tags),
                history=with_prefix(run.history, metric_prefix),
                started_at=run.started_at,
                ended_at=run.ended_at,
            )
            for (name, _), run in self._trials.items()
            if name == search
        ]

    def searches(self) -> list[SearchRecord]:
        """See `Registry.searches`."""
        return [
            SearchRecord(
                name=run.search,
                run_id=run.run_id,
                state=cast(SearchState, run.state),
                params=dict(run.params),
                tags=dict(run.tags),
                started_at=run.started_at,
                ended_at=run.ended_at,
            )
            for run in self._searches.values()
        ]

    def download(self, reference: str, into: Path | None = None) -> Path:
        """See `Registry.download`."""
        parsed = parse_reference(reference)
        if isinstance(parsed, FolderReference):
            recorded_files(parsed.path)
            folder = parsed.path
        else:
            version = find_version(parsed, self)
            folder = check_recorded(self._kept(version), version.weights_sha256)
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
        run = self._run(run_id)
        kept = artifact_paths("scores", files or {})
        fresh = {check_key(name, "a metric's name"): value for name, value in finite_metrics(metrics).items()}
        run.files.update(kept)
        run.tags.update(checked(tags or {}))
        if fresh:
            run.history[0] = {**run.history.get(0, {}), **fresh}

    def log_files(self, run_id: str, folder: str, files: Mapping[str, bytes]) -> None:
        """See `Recorder.log_files`."""
        self._run(run_id).files.update(artifact_paths(folder, files))

    def kept_files(self, version: ModelVersion, folder: str) -> dict[str, bytes]:
        """See `Registry.kept_files`."""
        start = f"{check_folder(folder)}/"
        files = self._run(version.run_id).files
        return {
            path.removeprefix(start): content for path, content in files.items() if path.startswith(start)
        }

    def find_run(self, search: str, uid: str | None = None) -> str:
        """See `Recorder.find_run`."""
        parent = self._search(search)
        if uid is None:
            return parent.run_id
        if (search, uid) in self._trials:
            return self._trials[search, uid].run_id
        for (name, _, combination), run in self._combinations.items():
            if (name, combination) == (search, uid):
                return run.run_id
        raise RegistryError(f"search {search!r} has no trial {uid!r} in this store")

    def flush(self) -> int:
        """See `Recorder.flush`: nothing ever waits."""
        return 0

    def files(self, run_id: str) -> dict[str, bytes]:
        """Contents of a run's artifacts by path, recorded checkpoints left out."""
        return dict(self._run(run_id).files)

    def models(self) -> list[str]:
        """Names of the registered models."""
        return list(self._versions)

    def versions_of_model(self, name: str) -> list[ModelVersion]:
        """Versions of one registered model, with aliases."""
        return [self._with_aliases(version) for version in self._versions.get(name, [])]

    def versions_of_run(self, run_id: str) -> list[ModelVersion]:
        """Versions recorded from one run."""
        return [
            each for name in self._versions for each in self.versions_of_model(name) if each.run_id == run_id
        ]

    def _with_aliases(self, version: ModelVersion) -> ModelVersion:
        own = self._aliases.get(version.name, {})
        aliases = sorted(alias for alias, number in own.items() if number == version.version)
        return replace(version, aliases=tuple(aliases))

    def _move(self, alias: str, version: ModelVersion) -> None:
        self._aliases.setdefault(version.name, {})[alias] = version.version

    def _kept(self, version: ModelVersion) -> Path:
        return Path(self._folder.name) / version.name / version.version

    def _search(self, search: str) -> MemoryRun:
        if search not in self._searches:
            raise RegistryError(f"no search is named {search!r}; {nearest(search, self._searches)}")
        return self._searches[search]

    def _run(self, run_id: str) -> MemoryRun:
        for run in (*self._searches.values(), *self._trials.values(), *self._combinations.values()):
            if run.run_id == run_id:
                return run
        raise RegistryError(f"there is no run {run_id!r}")

"""The interfaces of a registry. Their docstrings are the contract that every implementation is tested by.

A `Recorder` is the side that a search writes to; a `Registry` is read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from vgsearch.registry.records import (
    CombinationKind,
    ModelVersion,
    SearchRecord,
    SearchState,
    TrialRecord,
    TrialState,
)
from vgsearch.registry.scored_tests import Looks, ScoredTest


class Recorder(Protocol):
    """What a search writes: runs, epochs, checkpoints, scores and the champion.

    One process writes to a search at a time (the driver, under the search's own lock); many may read.
    Calls come from one thread at a time. Every write is idempotent: after a kill at any point the
    same call finishes what is missing and duplicates nothing.

    Names of searches, trials and files are plain path segments: 1 to 128 of letters, digits and
    `._-`. Names of metrics, parameters and tags hold letters, digits and `_-. :/`.

    Every method raises `RegistryError` when a name breaks these rules or the store refuses,
    `RegistryUnreachableError` (one of them) when it does not answer now but may later, and
    `StorageError` when a local file cannot be written. A recorder that can wait for its store
    (`SpooledRegistry`) keeps what it does not take now, and returns at once.
    """

    def open_search(
        self,
        name: str,
        *,
        params: Mapping[str, object],
        config_text: str,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create the experiment and parent run of a search, or find and re-open them.

        A name that imports, translators or re-rankers have is opened with their tag only: without it the
        call raises `RegistryError` and changes nothing.

        Args:
            name: The search's name.
            params: Its configuration, nested as it likes; recorded flat, and only once: a parameter
                that is recorded keeps its first value, once a trial was opened.
            config_text: The whole configuration, kept as artifact `config.yaml` (the latest one).
            tags: More tags of the parent run; these are updated.

        Returns:
            The parent run's id, the same for every call with this name. Run ids mean something only
            to the recorder that gave them out.
        """

    def open_trial(
        self, search: str, uid: str, *, label: str, params: Mapping[str, object], spec_text: str
    ) -> str:
        """Create the child run of a trial, or find it by its uid and re-open it ("running" again).

        Args:
            search: A search that `open_search` has opened.
            uid: The trial's own name.
            label: Run name for people; kept from the first call.
            params: The decided configuration, recorded as in `open_search`.
            spec_text: The whole specification, kept as artifact `trial.yaml`.

        Returns:
            The child run's id, the same for every call with this search and uid.
        """

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of one completed epoch, in one batch.

        A metric that is already recorded for this epoch keeps its first value, so repeating an epoch
        is a no-op. NaN and infinities are left out.

        Args:
            run_id: A trial's run.
            epoch: Completed epochs, from 1.
            metrics: Values by name, such as `val/recall_at_1` (MLflow forbids '@').
        """

    def record_checkpoint(
        self,
        run_id: str,
        checkpoint: Path,
        *,
        search: str,
        uid: str,
        epoch: int,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion | None:
        """Keep a checkpoint folder and make it a version of `vgsearch-<search>`.

        Weights, `trial.yaml`, `metrics.json` and `*.npz` are copied, of a combination also `ensemble.yaml`
        and `lineage.json`; `training_state.pt` never is.
        The same (uid, epoch, weights) is recorded once. A version is offered by `versions`,
        `champion` and `download` only when its files and tags are complete. An earlier version of
        the same trial stays as it is. Record an epoch only when it is its trial's best so far:
        `runs:/<id>` takes the newest recorded epoch for the best.

        Args:
            run_id: The trial's run.
            checkpoint: Folder with `model.safetensors`, `trial.yaml` and `metrics.json`.
            search: Name of the search.
            uid: The trial.
            epoch: Completed epochs, from 1.
            tags: What is worth finding beside the weights: architecture, recalls, data fingerprint.

        Returns:
            The version; None from a recorder that keeps the call for later.

        Raises:
            CheckpointError: A required file is missing.
        """

    def finish_trial(
        self, run_id: str, state: TrialState, *, reason: str = "", tags: Mapping[str, str] | None = None
    ) -> None:
        """Close a trial's run: complete, stopped (early), infeasible, failed or out_of_memory, and why."""

    def finish_search(self, run_id: str, state: SearchState) -> None:
        """Close a search's parent run: complete, interrupted or failed."""

    def crown(self, search: str, uid: str) -> None:
        """Move the alias `champion` to the newest complete version of a trial.

        Raises:
            RegistryError: That trial has no complete version.
        """

    def log_scores(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        files: Mapping[str, bytes] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record scores that belong to no epoch (test recalls): metrics at step 0, files, tags.

        Args:
            run_id: Any run.
            metrics: Values by name; an unchanged value is not recorded again.
            files: Contents by file name, kept as artifacts `scores/<name>`.
            tags: More tags of the run.
        """

    def log_files(self, run_id: str, folder: str, files: Mapping[str, bytes]) -> None:
        """Keep files as artifacts `<folder>/<name>` of a run; one that is there is replaced.

        Args:
            run_id: Any run.
            folder: One or more plain segments, such as `provenance/resume_2`.
            files: Contents by file name.
        """

    def find_run(self, search: str, uid: str | None = None) -> str:
        """Return the id of a trial's or combination's run, or of the search's own.

        Raises:
            RegistryError: It was never opened.
        """

    def count_test_scoring(
        self,
        search: str,
        split: str,
        *,
        reference: str,
        stamp: str,
        model: str = "",
        scoring_id: str | None = None,
    ) -> Looks | None:
        """Write down that a test split was scored; to be called before anybody sees the result.

        What is written can only be added to. Several processes may do so at a time.

        Args:
            search: The search whose file has the split.
            split: The test's name in its data section, without `test/`.
            reference: What was scored, in words or as a reference.
            stamp: How; see `retrieval.scoring.stamp_of`.
            model: `scored_tests.model_key` of what was scored, so that repeats are told apart; empty where
                it is not known.
            scoring_id: A plain segment that names this scoring: the same one again counts once. None takes a
                new one, so each call counts.

        Returns:
            How often the split was scored so far, this time included; None from a recorder that keeps the
            call for later.
        """

    def flush(self) -> int:
        """Deliver what was kept for later, as far as the store takes it; return how many records wait on."""


class Registry(Recorder, Protocol):
    """Runs, checkpoints and versions of searches, written and read."""

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
        """See `Recorder.record_checkpoint`; the version is there at once."""

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
        """Create the child run of a soup or an ensemble, or find it by its uid and re-open it.

        It is no trial: `trials` leaves it out and `crown` never takes it, but `versions` lists what
        `record_checkpoint` keeps from its run, with its kind. `finish_trial` closes it.

        Args:
            search: A search that was opened.
            uid: The combination's own name.
            kind: "soup" or "ensemble".
            label: Run name for people; kept from the first call.
            params: The settings, recorded as in `open_search`.
            spec_text: The whole specification, kept as artifact `combination.yaml`.

        Returns:
            The child run's id, the same for every call with this search, kind and uid.
        """

    def open_import(
        self, search: str, uid: str, *, label: str, params: Mapping[str, object], spec_text: str
    ) -> str:
        """Create the child run of a network from elsewhere, or find it by its uid and re-open it.

        Like a combination it is no trial: `trials` leaves it out and `crown` never takes it, but `versions`
        lists what `record_checkpoint` keeps from its run, with the kind "imported", and `set_champion` takes
        it. `finish_trial` closes it.

        Args:
            search: A search that was opened.
            uid: The import's own name.
            label: Run name for people; kept from the first call.
            params: The settings, recorded as in `open_search`.
            spec_text: The whole specification, kept as artifact `trial.yaml`.

        Returns:
            The child run's id, the same for every call with this search and uid.
        """

    def set_champion(self, search: str, version: str) -> None:
        """Move the alias `champion` to a trial's or an import's complete version, by its number as text."""

    def set_alias(self, search: str, alias: str, version: str) -> None:
        """Move an alias to a complete version, by its number as text.

        Raises:
            RegistryError: The version is unknown; or the alias is `champion`, which `crown` and
                `set_champion` own, `latest`, a number such as `v3`, or holds more than letters, digits, `_`
                and `-`.
        """

    def champion(self, search: str) -> ModelVersion:
        """Return the version with the alias `champion`; `RegistryError` if none has it yet."""

    def versions(self, search: str) -> list[ModelVersion]:
        """Return the complete versions of a search by number, of trials and of combinations (see `kind`).

        Raises:
            RegistryError: The search is unknown.
        """

    def trials(self, search: str, *, metric_prefix: str = "") -> list[TrialRecord]:
        """Return the trials of a search in the order they were opened.

        Args:
            search: Name of the search; an unknown one is a `RegistryError`.
            metric_prefix: Read only metrics whose name starts so: each costs a request per trial.
        """

    def searches(self) -> list[SearchRecord]:
        """Return all searches in the order they were opened."""

    def count_test_scoring(
        self,
        search: str,
        split: str,
        *,
        reference: str,
        stamp: str,
        model: str = "",
        scoring_id: str | None = None,
    ) -> Looks:
        """See `Recorder.count_test_scoring`; it is written at once."""

    def test_scorings(self, search: str) -> Mapping[str, Looks]:
        """Return how often each test split of a search was scored; splits that never were are left out.

        Raises:
            RegistryError: The search is unknown.
        """

    def scored_tests(self, search: str) -> list[ScoredTest]:
        """Return every scoring of a test split of a search, oldest first; errors as `test_scorings`."""

    def recorded_tests(self, version: ModelVersion, model: str) -> dict[str, bytes]:
        """Return per-query results of test splits that are recorded with a version's run, by test name.

        Args:
            version: A recorded checkpoint.
            model: `scored_tests.model_key` of it. Results of other weights of the same run are not given.

        Returns:
            What `RetrievalResult.to_npz_bytes` wrote; empty where nothing is recorded.
        """

    def kept_files(self, version: ModelVersion, folder: str) -> dict[str, bytes]:
        """Return what `log_files` kept with a version's run in a folder and the folders below it.

        Args:
            version: A recorded checkpoint.
            folder: One or more plain segments.

        Returns:
            Contents by path inside `folder`; empty where there is no such folder.
        """

    def download(self, reference: str, into: Path | None = None) -> Path:
        """Bring a checkpoint to a local folder with `model.safetensors`, `trial.yaml`, `metrics.json`.

        Args:
            reference: `runs:/<id>` (that run's best recorded checkpoint), `models:/<name>@<alias>`,
                `models:/<name>/<version>`, or a checkpoint folder.
            into: Copy it to this folder, replacing one that is there; None gives a folder that must
                not be written to: the recorded one itself where it is on this machine.

        Raises:
            RegistryError: The reference names nothing; the message lists what there is.
            CheckpointError: The files are not those that were recorded.
        """

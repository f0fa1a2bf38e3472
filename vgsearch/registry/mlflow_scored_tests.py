"""Scorings of test splits in MLflow: parameters of one child run, which the store itself lets nobody change.

A parameter is written once and never overwritten, so the list can only grow. It outlives a kill (one write,
one row), several processes may add to it at a time, and a run that was moved to MLflow's trash counts on.
"""

from __future__ import annotations

import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vgsearch.registry.mlflow_import import file_transfer
from vgsearch.registry.mlflow_runs import PARENT_TAG, SOURCE_TAGS
from vgsearch.registry.mlflow_store import MlflowStore, local_part, pages
from vgsearch.registry.names import KIND_TAG, SEARCH_TAG, STATE_TAG, check_key
from vgsearch.registry.records import ModelVersion
from vgsearch.registry.scored_tests import (
    SCORED_TESTS_KIND,
    SCORES_FOLDER,
    TEST_FILE_PREFIX,
    TESTED_TAG,
    Looks,
    ScoredTest,
    count_looks,
    new_scoring,
    scoring_from_text,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_NAME = "test scorings"
_TEST_FILE = re.compile(rf"{TEST_FILE_PREFIX}(?P<name>[A-Za-z0-9._-]{{1,128}})\.npz")


class MlflowScoredTests(ABC):
    """The part of `MlflowRegistry` that keeps tests sealed."""

    _store: MlflowStore

    @abstractmethod
    def _parent(self, client: MlflowClient, search: str) -> tuple[str, str]:
        """Return a search's experiment and parent run."""

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
        """See `Recorder.count_test_scoring`."""
        scoring = new_scoring(split, reference=reference, stamp=stamp, model=model, scoring_id=scoring_id)
        key = check_key(f"{split}/{scoring.id}", "a scoring's name")
        with self._store.calls(f"cannot count a scoring of the test {split!r}") as client:
            parent = self._parent(client, search)
            runs = _ledger_runs(client, parent[0], search)
            if not any(key in run.data.params for run in runs):
                client.log_param(_open_ledger(client, parent, search, runs), key, scoring.to_text())
            return count_looks([*_read(runs), scoring])[split]

    def scored_tests(self, search: str) -> list[ScoredTest]:
        """See `Registry.scored_tests`."""
        with self._store.calls(f"cannot read the scorings of tests of {search!r}") as client:
            experiment_id, _ = self._parent(client, search)
            return _read(_ledger_runs(client, experiment_id, search))

    def test_scorings(self, search: str) -> Mapping[str, Looks]:
        """See `Registry.test_scorings`."""
        return count_looks(self.scored_tests(search))

    def recorded_tests(self, version: ModelVersion, model: str) -> dict[str, bytes]:
        """See `Registry.recorded_tests`."""
        with self._store.calls(f"cannot read the test scores of {version.reference}") as client:
            run = client.get_run(version.run_id)
            if run.data.tags.get(TESTED_TAG) != model:
                return {}
            root = self._store.run_folder(version.search, version.run_id, run.info.artifact_uri)
            if root is not None:
                return _test_files(local_part(root, SCORES_FOLDER))
            with tempfile.TemporaryDirectory(prefix="vgsearch-") as scratch, file_transfer():
                return _test_files(Path(client.download_artifacts(version.run_id, SCORES_FOLDER, scratch)))


def _ledger_runs(client: MlflowClient, experiment_id: str, search: str) -> list[Run]:
    """All runs that hold scorings, oldest first, also those in MLflow's trash.

    Usually it is one; two processes that began it at the same moment have made two, and all of them count.
    """
    from mlflow.entities import ViewType

    wanted = f"tags.`{KIND_TAG}` = '{SCORED_TESTS_KIND}' and tags.`{SEARCH_TAG}` = '{search}'"
    return pages(
        lambda token: client.search_runs(
            [experiment_id],
            filter_string=wanted,
            run_view_type=ViewType.ALL,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
    )


def _open_ledger(client: MlflowClient, parent: tuple[str, str], search: str, runs: list[Run]) -> str:
    """Return the run to write to; it is never shown as running, since nothing runs in it."""
    active = next((run for run in runs if run.info.lifecycle_stage == "active"), None)
    if active is not None:
        return str(active.info.run_id)
    tags = {
        **SOURCE_TAGS,
        PARENT_TAG: parent[1],
        KIND_TAG: SCORED_TESTS_KIND,
        SEARCH_TAG: search,
        STATE_TAG: "complete",
    }
    run_id = str(client.create_run(parent[0], tags=tags, run_name=RUN_NAME).info.run_id)
    client.set_terminated(run_id)
    return run_id


def _read(runs: list[Run]) -> list[ScoredTest]:
    """The scorings in `runs`, oldest first."""
    found: dict[str, ScoredTest] = {}
    for run in runs:
        for key, text in run.data.params.items():
            split, _, scoring_id = key.partition("/")
            if scoring_id:
                found.setdefault(key, scoring_from_text(scoring_id, split, text))
    return sorted(found.values(), key=lambda each: (each.scored_at is None, str(each.scored_at), each.id))


def _test_files(folder: Path) -> dict[str, bytes]:
    """Contents of `test__<name>.npz` by name; what is no plain file is left aside."""
    if not folder.is_dir():
        return {}
    named = ((_TEST_FILE.fullmatch(file.name), file) for file in sorted(folder.iterdir()))
    return {
        match["name"]: file.read_bytes()
        for match, file in named
        if match and file.is_file() and not file.is_symlink()
    }

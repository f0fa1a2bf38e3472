"""Recording the training of a translator: a run with its settings, losses, files and the photos it saw.

It is no trial and makes no version: `trials` and `versions` of its experiment are empty.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import yaml

from vgsearch.errors import RegistryError
from vgsearch.models.file_hash import file_sha256
from vgsearch.registry.checkpoint_files import LINEAGE_FILE
from vgsearch.registry.names import TRANSLATORS_TAG, model_name
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import SearchState, TrialState
from vgsearch.translation.checkpoint import METRICS_FILE, RECORD_FILE, WEIGHTS_FILE, TrainingRecord

FILES_FOLDER = "translator"
PREVIEW_FILE = "preview.jpg"

_CONFIG_TEXT = "# Trainings of translators: see trial.yaml and translator/lineage.json of each run.\n"


class TranslatorRun:
    """The run of one training; the same settings on the same photos are the same run, also on a resume."""

    def __init__(self, registry: Registry, name: str, record: TrainingRecord) -> None:
        """Open the run, or find it.

        Args:
            registry: Where it goes.
            name: Of the experiment, as a search's.
            record: What is trained on what.

        Raises:
            RegistryError: The name is a search's, or cannot be a name; or the store refuses.
        """
        model_name(name)
        for search in registry.searches():
            if search.name == name and TRANSLATORS_TAG not in search.tags:
                raise RegistryError(
                    f"{name!r} is the name of a search in this store; record the translator under another "
                    "with --name"
                )
        self._registry = registry
        self._record = record
        self._parent = registry.open_search(
            name, params={}, config_text=_CONFIG_TEXT, tags={TRANSLATORS_TAG: "true"}
        )
        content = record.as_dict()
        self.uid = f"translator-{_fingerprint(content)}"
        self.run_id = registry.open_import(
            name,
            self.uid,
            label=" and ".join(record.config.domains),
            params=content["config"],
            spec_text=yaml.safe_dump(content, sort_keys=False, allow_unicode=True),
        )

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record the losses of one epoch, from 1; a repeated one is a no-op."""
        self._registry.log_epoch(self.run_id, epoch, metrics)

    def finish(self, checkpoint: Path) -> None:
        """Keep the last checkpoint with its lineage, and close the run.

        Its files lie in the run's folder `translator`, which `translate --weights` takes.

        Raises:
            CheckpointError: The weights cannot be read.
        """
        files = {
            name: (checkpoint / name).read_bytes()
            for name in (WEIGHTS_FILE, RECORD_FILE, METRICS_FILE, PREVIEW_FILE)
        }
        files[LINEAGE_FILE] = self._lineage(checkpoint)
        self._registry.log_files(self.run_id, FILES_FOLDER, files)
        self._close("complete", "complete")

    def interrupt(self) -> None:
        """Close the run of a training that was stopped; a resume opens it again."""
        with suppress(RegistryError):  # it must not take the place of what stopped the training
            self._close("stopped", "interrupted")

    def _close(self, state: TrialState, search_state: SearchState) -> None:
        self._registry.finish_trial(self.run_id, state)
        self._registry.finish_search(self._parent, search_state)

    def _lineage(self, checkpoint: Path) -> bytes:
        record = self._record
        content = {
            "kind": "translator",
            "checkpoint": str(checkpoint),
            "sha256": file_sha256(checkpoint / WEIGHTS_FILE),
            "photos": {name: dict(facts) for name, facts in record.photos.items()},
            "checked_against": list(record.checked_against),
            "transductive": record.transductive,
        }
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _fingerprint(content: Mapping[str, object]) -> str:
    """Of settings and photos, wherever these lie."""
    photos = content["photos"]
    assert isinstance(photos, dict)
    hashes = {name: facts["hash"] for name, facts in photos.items()}
    text = json.dumps([content["config"], hashes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

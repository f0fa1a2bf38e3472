"""Runs of the registry in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vgsearch.registry.names import REASON_TAG, STATE_TAG, check_folder, check_key, check_segment
from vgsearch.registry.params import flatten


@dataclass
class MemoryRun:
    """A run of any kind: what it was told, in the order of the protocol's calls."""

    search: str
    uid: str
    run_id: str
    label: str
    params: dict[str, str]
    state: str = "running"
    tags: dict[str, str] = field(default_factory=dict)
    history: dict[int, dict[str, float]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None

    def reopen(self, params: Mapping[str, object], file: str, text: str) -> str:
        """Run again; fill in what is not recorded yet."""
        self.params = {**flatten(params), **self.params}
        self.files[file] = text.encode()
        self.state, self.ended_at = "running", None
        self.tags.pop(REASON_TAG, None)
        self.tags[STATE_TAG] = "running"
        return self.run_id

    def close(self, state: str, tags: Mapping[str, str]) -> None:
        """End in `state`."""
        self.tags.update({STATE_TAG: state, **checked(tags)})
        self.state, self.ended_at = state, datetime.now(UTC)


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    """Return `tags` with their names checked."""
    return {check_key(key, "a tag"): value for key, value in tags.items()}


def artifact_paths(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Artifact paths of `files` in `folder`, with all names checked."""
    check_folder(folder)
    return {f"{folder}/{check_segment(name, 'a file name')}": content for name, content in files.items()}


def with_prefix(history: Mapping[int, Mapping[str, float]], prefix: str) -> dict[int, dict[str, float]]:
    """Metrics by epoch whose names start with `prefix`; epochs without any are left out."""
    rows = {
        epoch: {name: value for name, value in row.items() if name.startswith(prefix)}
        for epoch, row in sorted(history.items())
    }
    return {epoch: row for epoch, row in rows.items() if row}

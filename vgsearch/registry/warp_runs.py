"""Recording the training of a network that re-ranks: its losses by epoch, its files and its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vgsearch.errors import RegistryError
from vgsearch.registry.names import RERANKERS_TAG
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import SearchState, TrialState

_PREFIX = "warp-"
_FOLDER = "geowarp"


class WarpRun:
    """One training in the store: a parent run `warp-<name>` with one child run, found again on resume."""

    def __init__(
        self, registry: Registry, name: str, uid: str, params: Mapping[str, object], config_text: str
    ) -> None:
        """Open it, or open it again.

        Args:
            registry: Where it goes.
            name: The training's.
            uid: Tells its settings and photos from others of that name.
            params: The settings.
            config_text: The file that the user wrote.

        Raises:
            RegistryError: The store refuses.
        """
        self._registry = registry
        self.search = f"{_PREFIX}{name}"
        self._parent = registry.open_search(
            self.search, params=params, config_text=config_text, tags={RERANKERS_TAG: "geowarp"}
        )
        self._run = registry.open_trial(self.search, uid, label=name, params=params, spec_text=config_text)

    def log_epoch(self, epoch: int, losses: Mapping[str, float]) -> None:
        """Record the mean losses of a completed epoch, from 1."""
        self._registry.log_epoch(
            self._run, epoch, {f"train/{name}_loss": value for name, value in losses.items()}
        )

    def finish(self, checkpoint: Path) -> None:
        """Keep a checkpoint's files, its lineage among them, as artifacts, and close the run."""
        files = {path.name: path.read_bytes() for path in sorted(checkpoint.iterdir()) if path.is_file()}
        self._registry.log_files(self._run, _FOLDER, files)
        self._close("complete", "complete")

    def interrupt(self) -> None:
        """Close the run of a training that was stopped; the same training started again opens it again."""
        with suppress(RegistryError):  # it must not take the place of what stopped the training
            self._close("stopped", "interrupted")

    def _close(self, state: TrialState, search_state: SearchState) -> None:
        self._registry.finish_trial(self._run, state)
        self._registry.finish_search(self._parent, search_state)

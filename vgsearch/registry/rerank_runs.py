"""Recording a choice of re-ranking: a parent run, and a run for each network with each n."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress

from vgsearch.errors import RegistryError
from vgsearch.registry.names import RERANKERS_TAG
from vgsearch.registry.protocol import Registry

RERANKING_TAG = "vgsearch.reranking"
_PREFIX = "rerank-"


class RerankRuns:
    """The runs of one file of `vgsearch rerank`, found again by what was scored."""

    def __init__(self, registry: Registry, name: str, config_text: str) -> None:
        """Open the parent, or open it again.

        Args:
            registry: Where it goes.
            name: The file's.
            config_text: The file.

        Raises:
            RegistryError: The store refuses.
        """
        self._registry = registry
        self._text = config_text
        self.search = f"{_PREFIX}{name}"
        self._parent = self._open({})

    def record(
        self,
        label: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        files: Mapping[str, bytes],
    ) -> None:
        """Keep one way of ordering the candidates, with what it reached.

        Args:
            label: For people.
            params: What it is; the same ones are the same run.
            metrics: By name; those of the clock may differ when it is repeated, and keep the latest value.
            files: Per-query results by file name.
        """
        text = json.dumps(params, sort_keys=True)
        uid = f"rerank-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        run = self._registry.open_trial(self.search, uid, label=label, params=params, spec_text=self._text)
        self._registry.log_scores(run, metrics, files)
        self._registry.finish_trial(run, "complete")

    def finish(self, chosen: str) -> None:
        """Close the parent; its tag `vgsearch.reranking` says what was chosen, and for which model."""
        self._open({RERANKING_TAG: chosen})
        self._registry.finish_search(self._parent, "complete")

    def interrupt(self) -> None:
        """Close the parent of a choice that was stopped; started again it is opened again."""
        with suppress(RegistryError):  # it must not take the place of what stopped the choice
            self._registry.finish_search(self._parent, "interrupted")

    def _open(self, tags: Mapping[str, str]) -> str:
        return self._registry.open_search(
            self.search, params={}, config_text=self._text, tags={RERANKERS_TAG: "geowarp", **tags}
        )

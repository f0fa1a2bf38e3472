"""Runs of the paper's experiments as a registry holds them, without training anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.registry.kept_tests import keep_test
from vgsearch.registry.names import SELECTED_ON_TAG, SELECTED_ON_TEST_TAG
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import CombinationKind, ModelVersion
from vgsearch.registry.scored_tests import TESTED_TAG, model_key
from vgsearch.reporting.paper.filled import FilledRow, fill_table
from vgsearch.reporting.paper.our_runs import OurRun, read_our_runs
from vgsearch.reporting.paper.printed import printed_tables
from vgsearch.rerank.reranking import NamedReranker, RerankerSort, Reranking
from vgsearch.retrieval.recall import RetrievalResult

DATA = DataConfig(
    train="/data/sf_xs/train",
    val="/data/sf_xs/val",
    tests={name: f"/data/{name}/test" for name in ("sf_xs", "tokyo_xs", "tokyo_night")},
)
QUERIES = {"sf_xs": 1000, "tokyo_xs": 315, "tokyo_night": 105}
ARCHITECTURE = "a" * 64
IMAGES = "1f0c2a9e7b3d5a60"


def paper_config(**changes: object) -> TrialConfig:
    """The paper's ResNet-18 with CosFace, as its code trained it."""
    own: dict[str, object] = {"epochs": 3, "frozen_bn": "batch", **changes}
    return TrialConfig.model_validate(own)


EFFICIENTNET_GRL = paper_config(backbone="tf_efficientnetv2_s.in1k", domain={"grl_alpha": 0.3})


def result(
    split: str,
    first: int,
    later: int = 0,
    *,
    method: str = "native",
    queries: int | None = None,
    seconds: float | None = None,
    size: str = "fullsize",
) -> RetrievalResult:
    """A result with `first` hits at rank 1 and `later` more at rank 5."""
    count = queries or QUERIES[split]
    ranks = np.full(count, -1, dtype=np.int32)
    ranks[:first] = 0
    ranks[first : first + later] = 4
    stamp = f"{IMAGES}-25m-{method}-{size}"
    return RetrievalResult(split, ranks, 0, stamp, query_extraction_s=seconds)


def styled(own: RetrievalResult, end: str, *, images: str = "") -> RetrievalResult:
    """The same hits on other photos: the set's name has an end, and the stamp other images."""
    name = f"{own.set_name}{end}"
    images = images or hashlib.md5(name.encode()).hexdigest()[:16]
    return replace(own, set_name=f"test/{name}", stamp=own.stamp.replace(IMAGES, images))


def reranked(
    own: RetrievalResult,
    sort: RerankerSort,
    n: int,
    *,
    name: str = "warp",
    identity: str = "0123456789abcdef",
    trained_on: str = "",
) -> RetrievalResult:
    """The same hits as if they came of a second order."""
    trained_on = trained_on or ("sf_xs/train" if sort.kind == "trained" else "")
    how = Reranking(identity, "fp32", n, NamedReranker(name, sort, trained_on))
    return replace(own, set_name=how.set_name(own.set_name), stamp=how.stamp(own.stamp))


class Recorded:
    """Writes into a registry; checkpoint folders lie below `folder`."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry = registry
        self.folder = folder

    def search(self, name: str, objective: str = "val/recall_at_1", **params: object) -> None:
        self.registry.open_search(
            name,
            params={"data": DATA.model_dump(mode="json"), **params},
            config_text="",
            tags={"vgsearch.objective": objective},
        )

    def trial(
        self,
        search: str,
        uid: str,
        trial: TrialConfig,
        val: float,
        *results: RetrievalResult,
        objective: str = "val/recall_at_1",
        state: str = "complete",
        finale: bool = False,
    ) -> ModelVersion:
        run = self.registry.open_trial(
            search, uid, label=uid, params=trial.model_dump(mode="json"), spec_text=""
        )
        self.registry.log_epoch(run, 1, {objective: val - 1})
        self.registry.log_epoch(run, 2, {objective: val})
        version = self.registry.record_checkpoint(
            run, self._checkpoint(search, uid, trial), search=search, uid=uid, epoch=2
        )
        self.registry.finish_trial(run, state)  # type: ignore[arg-type]
        if finale:
            files = {f"test__{each.set_name}.npz": each.to_npz_bytes() for each in results}
            self.registry.log_scores(run, {}, files, tags={TESTED_TAG: key_of(version)})
        self._tested(version, results, keep=not finale)
        return version

    def combination(
        self,
        search: str,
        uid: str,
        kind: CombinationKind,
        trial: TrialConfig,
        settings: Mapping[str, object],
        criterion: str,
        *results: RetrievalResult,
    ) -> ModelVersion:
        tags = {SELECTED_ON_TAG: criterion}
        if criterion.startswith("test/"):
            tags[SELECTED_ON_TEST_TAG] = "true"
        run = self.registry.open_combination(search, uid, kind=kind, label=uid, params=settings, spec_text="")
        folder = self._checkpoint(search, uid, trial)
        (folder / "lineage.json").write_text(json.dumps({"settings": dict(settings)}))
        version = self.registry.record_checkpoint(
            run, folder, search=search, uid=uid, epoch=1, tags={**tags, "vgsearch.val.recall_at_1": "63.5000"}
        )
        self.registry.finish_trial(run, "complete")
        self._tested(version, results)
        return version

    def keep(self, version: ModelVersion, split: str, *results: RetrievalResult) -> None:
        """Count and keep further results on one test, whatever their sets are called."""
        for each in results:
            self._count(version, split, each)
            keep_test(
                self.registry,
                version,
                key_of(version),
                split,
                stamp=each.stamp,
                content=each.to_npz_bytes(),
            )

    def _tested(
        self, version: ModelVersion, results: tuple[RetrievalResult, ...], *, keep: bool = True
    ) -> None:
        for each in results:
            if keep:
                self.keep(version, each.set_name, each)
            else:
                self._count(version, each.set_name, each)

    def _count(self, version: ModelVersion, split: str, own: RetrievalResult) -> None:
        self.registry.count_test_scoring(
            version.search, split, reference=version.reference, stamp=own.stamp, model=key_of(version)
        )

    def _checkpoint(self, search: str, uid: str, trial: TrialConfig) -> Path:
        folder = self.folder / search / uid
        folder.mkdir(parents=True)
        spec = TrialSpec(search=search, uid=uid, trial=trial, data=DATA)
        (folder / "model.safetensors").write_bytes(f"weights of {search} {uid}".encode())
        (folder / "trial.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
        (folder / "metrics.json").write_text("{}")
        return folder


def key_of(version: ModelVersion) -> str:
    return model_key(version.weights_sha256, ARCHITECTURE)


def read(recorded: Recorded) -> tuple[OurRun, ...]:
    found = read_our_runs(recorded.registry)
    assert not found.unreadable
    return found.runs


def row(recorded: Recorded, table: int, index: int) -> FilledRow:
    (printed,) = printed_tables([table])
    return fill_table(printed, read(recorded)).rows[index]

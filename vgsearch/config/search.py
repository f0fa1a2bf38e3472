"""The sections around a trial: data, evaluation, search and resources."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vgsearch.config.strict import Strict
from vgsearch.config.trial import TrialConfig


class DemoCityConfig(Strict):
    """The built-in city, drawn under the data root where the folders of the data section look for it."""

    folder: str = Field("demo_city", min_length=1)
    image_px: int = Field(128, ge=32, le=1024)
    size: Literal["tiny", "small", "full"] = "small"
    seed: int = Field(0, ge=0)


class DataConfig(Strict):
    """Folders, relative to the data root: training photos, selection splits, test splits, target domain."""

    train: str = Field(min_length=1)
    val: str | dict[str, str]
    tests: dict[str, str] = {}
    target_domain: str | None = None
    positive_distance_m: float = Field(25.0, gt=0)
    demo_city: DemoCityConfig | None = None

    @property
    def val_splits(self) -> dict[str, str]:
        """Selection splits by name; a single folder has the empty name (its metric is `val/recall_at_1`)."""
        return {"": self.val} if isinstance(self.val, str) else dict(self.val)


class EvalConfig(Strict):
    """How images are brought to the network for scoring."""

    resize_px: int | None = Field(None, ge=16, description="shorter side; null keeps each image's own size")
    query_method: Literal["native"] = "native"
    batch_size: int = Field(16, ge=1)


class SamplerConfig(Strict):
    """Who proposes the next trial."""

    name: Literal["tpe", "random"] = "tpe"
    seed: int = Field(0, ge=0, lt=2**31)
    n_startup: int = Field(10, ge=0, description="random trials before TPE starts to model")


class SchedulerConfig(Strict):
    """Who stops a trial early: asynchronous successive halving (Li et al., MLSys 2020), or nobody."""

    name: Literal["asha", "none"] = "asha"
    grace_epochs: int = Field(1, ge=1)
    reduction_factor: int = Field(3, ge=2)


class SearchConfig(Strict):
    """What a search maximises, how many trials it runs, and its two judges."""

    objective: str = "val/recall_at_1"
    num_trials: int = Field(32, ge=1)
    sampler: SamplerConfig = SamplerConfig()
    scheduler: SchedulerConfig = SchedulerConfig()


class ResourcesConfig(Strict):
    """What one trial takes. Null GPUs: one where the cluster has any, else none. Null CPUs: see `search`."""

    gpus_per_trial: float | None = Field(None, ge=0)
    cpus_per_trial: float | None = Field(None, gt=0)
    loader_threads: int | None = Field(None, ge=1)
    max_concurrent: int | None = Field(None, ge=1)


class TrialSpec(Strict):
    """A trial that is ready to run anywhere: decided values, absolute data folders, how it is scored.

    It is written as `trial.yaml` into every checkpoint.
    """

    search: str
    uid: str
    objective: str = "val/recall_at_1"
    trial: TrialConfig
    data: DataConfig
    eval: EvalConfig = EvalConfig()

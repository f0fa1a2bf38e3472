"""The sections around a trial: data, evaluation, search and resources."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vgsearch.config.query_method import QueryMethod
from vgsearch.config.strict import Strict
from vgsearch.config.trial import TrialConfig


class DemoCityConfig(Strict):
    """The built-in city, drawn under the data root where the folders of the data section look for it.

    With `viewpoint: strong` queries stand in the other lane and look another way, so that a photo of the
    database shows about half of what they show; all other photos stay as they are.
    """

    folder: str = Field("demo_city", min_length=1)
    image_px: int = Field(128, ge=32, le=1024)
    size: Literal["tiny", "small", "full"] = "small"
    seed: int = Field(0, ge=0)
    viewpoint: Literal["usual", "strong"] = "usual"

    @model_serializer(mode="wrap")
    def _without_usual_viewpoint(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The usual viewpoint leaves no trace: files and keys from before it was a key stay the same."""
        dumped: dict[str, Any] = handler(self)
        return {key: value for key, value in dumped.items() if (key, value) != ("viewpoint", "usual")}


class DataConfig(Strict):
    """Folders, relative to the data root: training photos, selection splits, test splits, target domains."""

    train: str = Field(min_length=1)
    val: str | dict[str, str]
    tests: dict[str, str] = {}
    target_domain: str | dict[str, str] | None = None
    positive_distance_m: float = Field(25.0, gt=0)
    demo_city: DemoCityConfig | None = None

    @property
    def val_splits(self) -> dict[str, str]:
        """Selection splits by name; a single folder has the empty name (its metric is `val/recall_at_1`)."""
        return {"": self.val} if isinstance(self.val, str) else dict(self.val)

    @property
    def target_domains(self) -> dict[str, str]:
        """Target domains in the order of their names; a single folder has the empty name. Empty for null.

        The classifier's outputs follow this order, which must not change with the order of the file's lines.
        """
        if self.target_domain is None:
            return {}
        if isinstance(self.target_domain, str):
            return {"": self.target_domain}
        return dict(sorted(self.target_domain.items()))


class NoData(DataConfig):
    """What stands in the place of a data section where there is none: with a network from elsewhere."""

    train: str = Field("", max_length=0)
    val: dict[str, str] = Field(default_factory=dict, max_length=0)
    tests: dict[str, str] = Field(default_factory=dict, max_length=0)


class EvalConfig(Strict):
    """How images are brought to the network for scoring.

    `resize_px` holds for database and queries alike, `query_method` for queries alone; see
    `vgsearch.retrieval.query_methods` for what each does. The crop keys give the size that it aims at;
    without them it is that of the database's images. Where they are given, the database's images are brought
    to just that size too, and so are native queries, their aspect ratio not kept.
    """

    resize_px: int | None = Field(None, ge=16, description="shorter side; null keeps each image's own size")
    query_method: QueryMethod = "native"
    crop_height_px: int | None = Field(None, ge=16, description="null: as the database's images")
    crop_width_px: int | None = Field(None, ge=16, description="null: as the database's images")
    batch_size: int = Field(16, ge=1)

    @model_validator(mode="after")
    def _both_sides_or_none(self) -> Self:
        if (self.crop_height_px is None) != (self.crop_width_px is None):
            given, other = "crop_height_px", "crop_width_px"
            if self.crop_height_px is None:
                given, other = other, given
            raise ValueError(
                f"{given} is set ({getattr(self, given)}) and {other} is not; give both or neither"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unset_crops(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An unset crop leaves no trace: files and keys that were written before it existed stay the same."""
        dumped: dict[str, Any] = handler(self)
        return {k: v for k, v in dumped.items() if v is not None or k not in _CROP_KEYS}


_CROP_KEYS = ("crop_height_px", "crop_width_px")


class SamplerConfig(Strict):
    """Who proposes the next trial.

    `tpe`, `gp` and `cmaes` model what was found, `random` and `qmc` (a scrambled Sobol sequence) spread their
    trials over the space, `grid` walks through all combinations.
    """

    name: Literal["tpe", "gp", "cmaes", "random", "grid", "qmc"] = "tpe"
    seed: int = Field(0, ge=0, lt=2**31)
    n_startup: int = Field(10, ge=0, description="random trials before a model is trusted")
    grid_points: int = Field(3, ge=2, description="values that a grid takes of each range, ends included")


class SchedulerConfig(Strict):
    """Who stops a trial early, judging by the objective alone.

    `asha` is asynchronous successive halving (Li et al., MLSys 2020), `hyperband` runs it with several grace
    periods side by side (Li et al., JMLR 2018), `median` stops what stays below the median of the others
    (Golovin et al., KDD 2017). `patience_epochs` stops a trial that has stopped
    improving, beside any of them.
    """

    name: Literal["asha", "hyperband", "median", "none"] = "asha"
    grace_epochs: int = Field(1, ge=1)
    reduction_factor: int = Field(3, ge=2)
    n_startup: int = Field(5, ge=1, description="median: other trials that must have come as far")
    patience_epochs: int | None = Field(None, ge=1)
    min_gain: float = Field(0.0, ge=0, description="points of the objective that count as an improvement")


class BudgetConfig(Strict):
    """What a search may spend beside its number of trials; null is without limit.

    Hours of the clock are those that drivers of this search have run, GPU-hours those of its epochs.
    """

    wall_hours: float | None = Field(None, gt=0)
    gpu_hours: float | None = Field(None, gt=0)


class ConstraintsConfig(Strict):
    """What a champion may cost at most: bytes of one descriptor, milliseconds to describe one query."""

    descriptor_bytes: int | None = Field(None, ge=1)
    query_ms: float | None = Field(None, gt=0)


class FinalistsConfig(Strict):
    """How many of the best trials are trained again, on how many new seeds each, before one is champion."""

    top: int = Field(3, ge=1)
    seeds: int = Field(3, ge=1)


class BranchConfig(Strict):
    """One shared beginning for all trials of an architecture, so that their weights can be averaged.

    For each architecture of the space one trunk is trained first, for `trunk_epochs` epochs, with the
    configuration in the middle of the space for everything else; its seed is the sampler's. Every trial of
    that architecture then starts from the trunk's last epoch: the network's weights, and the classifiers'
    where the cells are the same. Optimizers and a domain classifier start fresh, and the trunk's epochs do
    not count as the trial's. See `vgsearch.config.branch` for what an architecture is and what this assumes.

    Networks that part late in training stay in one basin, where the mean of two is as good as they are
    (Frankle et al., ICML 2020); apart from the beginning they often do not.
    """

    trunk_epochs: int = Field(1, ge=1)


class SearchConfig(Strict):
    """What a search maximises, how long it runs, and its judges."""

    objective: str = "val/recall_at_1"
    num_trials: int = Field(32, ge=1)
    sampler: SamplerConfig = SamplerConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    budget: BudgetConfig = BudgetConfig()
    constraints: ConstraintsConfig = ConstraintsConfig()
    start_with: list[dict[str, Any]] = []
    finalists: FinalistsConfig | None = None
    branch: BranchConfig | None = None


class ResourcesConfig(Strict):
    """What one trial takes. Null GPUs: one where the cluster has any, else none. Null CPUs: see `search`.

    A trial with several GPUs trains in as many processes, one on each; `processes_per_trial` sets their
    number where there are no GPUs.
    """

    gpus_per_trial: float | None = Field(None, ge=0)
    cpus_per_trial: float | None = Field(None, gt=0)
    processes_per_trial: int | None = Field(None, ge=1)
    loader_threads: int | None = Field(None, ge=1)
    max_concurrent: int | None = Field(None, ge=1)


class TrunkSpec(Strict):
    """The trial that a branch starts from, and the name of the checkpoint folder that it starts with.

    Trials lie side by side, so the trunk's folder is a sibling of the branch's own, named by its uid.
    """

    uid: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$")
    checkpoint: str = Field(pattern=r"^epoch_[0-9]{4,7}$")


class TrialSpec(Strict):
    """A trial that is ready to run anywhere: decided values, absolute data folders, how it is scored.

    `deterministic` asks PyTorch for kernels that repeat themselves bit for bit, also on a GPU. With a `trunk`
    the trial starts from that one's weights; see `BranchConfig`. A network from elsewhere may have no data.
    It is written as `trial.yaml` into every checkpoint.
    """

    search: str
    uid: str
    objective: str = "val/recall_at_1"
    trial: TrialConfig
    data: DataConfig | NoData
    eval: EvalConfig = EvalConfig()
    deterministic: bool = False
    trunk: TrunkSpec | None = None

"""One trial: train an epoch, score it, save it, resume exactly."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch

from vgsearch.config.search import TrialSpec
from vgsearch.errors import StorageError
from vgsearch.models.checkpoint import latest_checkpoint, save_checkpoint
from vgsearch.models.domain_classifier import alpha_at
from vgsearch.models.precision import pick_device, resolve_precision
from vgsearch.retrieval.query_methods import query_config
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_sets
from vgsearch.training.costs import descriptor_bytes, measure_query_ms
from vgsearch.training.data_cache import TrialData, load_trial_data
from vgsearch.training.determinism import deterministic_kernels
from vgsearch.training.initial_state import InitialState, read_initial_state
from vgsearch.training.parts import TrialParts, build_parts
from vgsearch.training.processes import TrialProcesses, require_processes
from vgsearch.training.report import EpochReport, epoch_name, to_history
from vgsearch.training.resume import read_history
from vgsearch.training.shelf import prune_checkpoints
from vgsearch.training.threads import split_threads, take_cpus
from vgsearch.training.trunk import trunk_folder
from vgsearch.training.val_scores import objective_value, recall_metrics, result_files


class Trainer:
    """Trains the trial of a spec in a folder, epoch by epoch; knows neither Ray nor MLflow.

    Epoch e (0-based) trains group `e % groups_used` with that group's own margin head and Adam, then scores
    every selection split and writes `folder/epoch_000N`. A folder that already holds a checkpoint of this
    trial is resumed after it: on a CPU with as many threads, weights and metrics (but for times and what they
    give, `cost/query_ms` too) are bit for bit those of a run that was never interrupted, since every random
    draw is a function of (seed, epoch, index). A trial with a trunk starts from that one's checkpoint, a
    sibling of `folder`; once it has a checkpoint of its own it needs the trunk no more. Every checkpoint's
    `metrics.json` keeps hashes of the state before the first epoch (see `InitialState`).

    With several `processes` this one is rank 0 and starts the others, which end with it however it ends. A
    trial's `batch_size` is that of all together: they train on the very batches that one process would, with
    BatchNorm synchronised, so losses and weights are the same up to rounding. Scoring and checkpoints are
    rank 0's, and a checkpoint is resumed by any number of processes.

    Attributes:
        spec: the trial.
        folder: where its checkpoints are.
        reports: of the epochs done, those before a resume included.
        num_queries: queries of each selection split.
    """

    def __init__(
        self,
        spec: TrialSpec,
        folder: Path,
        *,
        device: torch.device | None = None,
        threads: int | None = None,
        loader_threads: int | None = None,
        progress: Callable[[int, int, float], None] | None = None,
        check: Callable[[], None] = lambda: None,
        processes: int = 1,
    ) -> None:
        """Load the data, then build the trial or resume it.

        Sets the number of PyTorch's compute threads of this process and, on a CPU, keeps its freed memory.

        Args:
            spec: a decided trial with absolute data folders.
            folder: of this trial alone; made if missing.
            device: null takes a GPU where there is one.
            threads: CPUs this trial may use, see `split_threads`; null takes those of the process. Several
                processes divide them.
            loader_threads: threads that read images; null takes a share of `threads`. Divided likewise.
            progress: called with (iterations done, iterations planned, loss) as losses are read back.
            check: called after every iteration and every batch that is scored; what it raises ends the epoch,
                of which nothing is kept.
            processes: how many train this trial together, each with its share of every batch. On GPUs, rank r
                takes the r-th visible one. A process of yours trains one trial of this kind at a time.

        Raises:
            ConfigError: `processes` does not suit the batch or the GPUs, or the precision the device.
            RankError: another process died or was not ready in time.
            CheckpointError: the folder holds another trial, or a checkpoint that is damaged or does not fit;
                or the trunk that a fresh trial starts from does so, or is missing.
            DataError: a data folder does not hold what the trial needs.
            WeightsError: the backbone's weights cannot be had.
            StorageError: the folder cannot be made.
        """
        self.spec = spec
        self.folder = folder
        self.reports: list[EpochReport] = []
        self._progress = progress
        self._check = check
        self._query_ms: float | None = None
        self._device = pick_device() if device is None else device
        require_processes(processes, spec.trial.batch_size, self._device)
        if processes > 1 and self._device.type == "cuda":
            self._device = torch.device("cuda", 0)
        self._precision = resolve_precision(spec.trial.precision, self._device)
        own = take_cpus(self._device, threads, loader_threads=loader_threads)
        each = split_threads(threads, self._device, loader_threads=loader_threads, processes=processes)
        self._loader_threads = own.loader
        _make_folder(folder)
        checkpoint = latest_checkpoint(folder)
        if checkpoint is not None:
            self.reports = read_history(checkpoint, spec)
            self._prune()
        trunk = trunk_folder(spec, folder) if checkpoint is None else None
        self._data: TrialData | None = load_trial_data(spec.data, spec.trial)
        self.num_queries = {split: len(found.queries) for split, found in self._data.val.items()}
        # A query method without a target is told before the first epoch, not after it.
        for found in self._data.val.values():
            query_config(spec.eval, found.database, threads=self._loader_threads)
        self._processes = TrialProcesses(spec, self._device, self._precision, each, processes)
        try:
            with deterministic_kernels(spec.deterministic):
                if not self.finished:
                    self._processes.start(checkpoint, self.epoch, trunk=trunk)
                self._parts: TrialParts | None = build_parts(
                    spec.trial,
                    [group.num_classes for group in self._data.groups],
                    self._device,
                    self._precision,
                    checkpoint=checkpoint,
                    epoch=self.epoch,
                    compile_threads=each.compute,
                    trunk=trunk,
                    processes=processes,
                    num_targets=len(spec.data.target_domains),
                )
                self._initial_state = (
                    InitialState.of(self._parts.network)
                    if checkpoint is None
                    else read_initial_state(checkpoint)
                )
                self._processes.join()
        except BaseException:
            self._processes.close()
            raise

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return len(self.reports)

    @property
    def finished(self) -> bool:
        """Every planned epoch is done."""
        return self.epoch >= self.spec.trial.epochs

    @property
    def best(self) -> EpochReport | None:
        """The epoch with the highest objective, the first of equals; None before the first epoch."""
        return next((report for report in reversed(self.reports) if report.is_best), None)

    @property
    def pids(self) -> list[int]:
        """Process ids of the other processes that train this trial now, of rank 1 and up."""
        return self._processes.pids

    def train_epoch(self) -> EpochReport:
        """Train one epoch, score every selection split, write the checkpoint, remove older ones.

        Raises:
            DivergedError: the loss or a weight is not finite; no checkpoint is written.
            RankError: another process of the trial died or hangs; the trainer is of no more use.
            ConfigError: the objective is no metric of this trial, or a deterministic one needs what has no
                deterministic form.
            ImageError: an image cannot be read.
            StorageError: the checkpoint cannot be written, e.g. the disk is full.
            RuntimeError: the trial is finished or closed.
        """
        if self.finished:
            raise RuntimeError(f"all {self.spec.trial.epochs} epochs of this trial are done")
        if self._parts is None or self._data is None:
            raise RuntimeError("this trainer is closed")
        start = time.perf_counter()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        with deterministic_kernels(self.spec.deterministic):
            trained_epoch = self._processes.train(
                self._parts, self._data, self.epoch, self._progress, self._check
            )
            trained = time.perf_counter()
            results = self._score(self._parts, self._data)
            scored = time.perf_counter()
            query_ms = self._measured_query_ms(self._parts, self._data)
        metrics = {
            **trained_epoch.totals.metrics(list(self.spec.data.target_domains)),
            **recall_metrics(results),
            "cost/descriptor_bytes": float(descriptor_bytes(self.spec.trial.descriptor_dim)),
            "cost/query_ms": query_ms,
            "time/train_s": trained - start,
            "time/val_s": scored - trained,
        }
        if self.spec.trial.domain is not None:
            # Its value at the epoch's end.
            metrics["train/grl_alpha"] = alpha_at(
                self.spec.trial.domain, (self.epoch + 1) / self.spec.trial.epochs
            )
        if self._device.type == "cuda":
            own_peak_bytes = float(torch.cuda.max_memory_allocated(self._device))
            metrics["gpu/peak_bytes"] = max(own_peak_bytes, trained_epoch.gpu_peak_bytes)
        return self._save(self._parts, self._data, metrics, results, start)

    def close(self) -> None:
        """End the other processes, release network, classifiers and data; the reports stay readable."""
        self._processes.close()
        self._parts = None
        self._data = None

    def __enter__(self) -> Trainer:
        """The trainer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _score(self, parts: TrialParts, data: TrialData) -> dict[str, RetrievalResult]:
        results = score_sets(
            parts.network,
            list(data.val.values()),
            eval_config=self.spec.eval,
            device=self._device,
            precision=self._precision,
            loader_threads=self._loader_threads,
            progress=lambda _: self._check(),
        )
        return dict(zip(data.val, results, strict=True))

    def _measured_query_ms(self, parts: TrialParts, data: TrialData) -> float:
        if self._query_ms is None:
            val = next(iter(data.val.values()))
            self._query_ms = measure_query_ms(
                parts.network,
                val.queries,
                eval_config=query_config(self.spec.eval, val.database, threads=self._loader_threads),
                device=self._device,
                precision=self._precision,
            )
        return self._query_ms

    def _save(
        self,
        parts: TrialParts,
        data: TrialData,
        metrics: dict[str, float],
        results: dict[str, RetrievalResult],
        start: float,
    ) -> EpochReport:
        epoch = self.epoch + 1
        objective = self.spec.objective
        value = objective_value(objective, metrics)
        best = self.best
        is_best = best is None or value > objective_value(objective, best.metrics)
        report = EpochReport(
            epoch=epoch,
            metrics=metrics,
            checkpoint=self.folder / epoch_name(epoch),
            is_best=is_best,
            seconds=time.perf_counter() - start,
        )
        reports = [*self.reports, report]
        best = report if is_best or best is None else best
        save_checkpoint(
            report.checkpoint,
            parts.network,
            self.spec,
            {
                **metrics,
                "epoch": epoch,
                "objective": objective,
                "best_epoch": best.epoch,
                "best_value": objective_value(objective, best.metrics),
                "train_fingerprint": data.train.content_hash,
                **({} if self._initial_state is None else self._initial_state.to_metrics()),
                "history": [to_history(entry) for entry in reports],
            },
            parts.training_state(epoch),
            result_files(results),
        )
        self.reports = reports
        self._prune()
        return report

    def _prune(self) -> None:
        best = self.best
        prune_checkpoints(
            self.folder, latest_epoch=self.epoch, best_epoch=self.epoch if best is None else best.epoch
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: the trial's folder cannot be made ({error.strerror or error}); choose a folder that "
            "can be written"
        ) from error

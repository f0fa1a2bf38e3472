"""One decided trial in this process, recorded like a search of one. No Ray, no study."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import RegistryError, SearchError, StorageError, first_line
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.search.data_tags import data_tags
from vgsearch.search.interrupts import Interrupted
from vgsearch.training.report import EpochReport
from vgsearch.training.trainer import Trainer


def single_spec(document: SearchDocument, data: DataConfig, trial: TrialConfig) -> TrialSpec:
    """Name a trial by its content, so that the same trial started again is the same run, continued."""
    search = f"{document.name}_train"
    content = "\n".join(part.model_dump_json() for part in (trial, data, document.eval))
    digest = hashlib.sha256(f"{document.search.objective}\n{content}".encode()).hexdigest()[:8]
    return TrialSpec(
        search=search,
        uid=f"{search}-{digest}",
        objective=document.search.objective,
        trial=trial,
        data=data,
        eval=document.eval,
    )


def run_single(
    spec: TrialSpec,
    home: Path,
    registry: Registry,
    *,
    config_text: str,
    inherited_tags: Mapping[str, str] | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    on_resume: Callable[[int], None] = lambda epochs: None,
    progress: Callable[[int, int, float], None] | None = None,
    check: Callable[[], None] = lambda: None,
) -> tuple[EpochReport, ModelVersion]:
    """Train a trial to its end, from its latest checkpoint if it has one, and record it.

    Args:
        spec: the trial, as `single_spec` names it.
        home: where its folder `trials/<uid>` lies.
        registry: where the run, its best checkpoint and the alias `champion` are recorded.
        config_text: the file it came from.
        inherited_tags: come with a recorded model whose weights it starts from; see `SearchDocument`.
        on_epoch: told of each epoch as it ends.
        on_resume: told how many epochs an earlier process had finished, if any.
        progress: told (iterations done, iterations planned, loss) inside an epoch.
        check: see `Trainer`; `Interrupted` is recorded as a stop, every other error as a failure.

    Returns:
        the best epoch, and the version that holds its weights.

    Raises:
        DivergedError: the loss is not finite; the run is recorded as failed.
        SearchError: the same trial is being trained by another process.
    """
    lasting_tags = {**data_tags(spec.data), **(inherited_tags or {})}
    folder = home / "trials" / spec.uid
    lock = FileLock(home / "trials" / f"{spec.uid}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise SearchError(f"trial {spec.uid} is being trained by another process: wait for it") from None
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}; choose another --home") from error
    with lock, Trainer(spec, folder, progress=progress, check=check) as trainer:
        search_run = registry.open_search(
            spec.search,
            params={"data": spec.data.model_dump(mode="json")},
            config_text=config_text,
            tags=lasting_tags,
        )
        run_id = registry.open_trial(
            spec.search,
            spec.uid,
            label=spec.uid,
            params=spec.trial.model_dump(mode="json"),
            spec_text=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        )
        try:
            if trainer.reports:
                on_resume(len(trainer.reports))
            for report in trainer.reports:
                registry.log_epoch(run_id, report.epoch, report.metrics)
            while not trainer.finished:
                report = trainer.train_epoch()
                registry.log_epoch(run_id, report.epoch, report.metrics)
                on_epoch(report)
            best = trainer.best
            if best is None:
                raise SearchError(f"trial {spec.uid} has no epoch")
            version = registry.record_checkpoint(
                run_id,
                best.checkpoint,
                search=spec.search,
                uid=spec.uid,
                epoch=best.epoch,
                tags=lasting_tags,
            )
            tags = {"vgsearch.best_epoch": str(best.epoch), **lasting_tags}
            registry.finish_trial(run_id, "complete", tags=tags)
            _crown(registry, spec, version, best.metrics[spec.objective])
            registry.finish_search(search_run, "complete")
        except BaseException as error:
            _close(registry, search_run, run_id, error)
            raise
        return best, version


def _close(registry: Registry, search_run: str, run_id: str, error: BaseException) -> None:
    """Record how a trial ended before its end; the same trial started again opens both runs again.

    A store that does not answer must not take the place of what went wrong first.
    """
    with suppress(RegistryError):
        if isinstance(error, Interrupted | KeyboardInterrupt):
            registry.finish_trial(run_id, "stopped")
            registry.finish_search(search_run, "interrupted")
        else:
            registry.finish_trial(run_id, "failed", reason=first_line(error))
            registry.finish_search(search_run, "failed")


def _crown(registry: Registry, spec: TrialSpec, version: ModelVersion, value: float) -> None:
    """Give the alias to this version unless an earlier trial of the name has a higher objective."""
    others = [
        found[1][spec.objective]
        for record in registry.trials(spec.search, metric_prefix=spec.objective)
        if record.uid != spec.uid and record.state == "complete"
        for found in [record.best(spec.objective)]
        if found is not None
    ]
    if value > max(others, default=-1.0):
        registry.set_champion(spec.search, version.version)

"""What a search scores in the end: the champion on the tests, and the untrained backbone on val.

Both run as Ray tasks with a trial's resources, because the driver may sit on a machine without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from vgsearch.config.search import TrialSpec
from vgsearch.errors import SearchError, VgsearchError
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.resources import Demand
from vgsearch.training.scores import score_tests, score_untrained

Packed = dict[str, bytes]


@dataclass(frozen=True)
class FinalScores:
    """Results by split name: the champion's tests, and the untrained backbone on the selection splits."""

    tests: Mapping[str, RetrievalResult]
    untrained: Mapping[str, RetrievalResult]


def score_finale(
    spec: TrialSpec, checkpoint: Path, demand: Demand, *, beat: Callable[[], None] = lambda: None
) -> FinalScores:
    """Score the champion and its untrained backbone, wherever the cluster has room.

    Raises:
        VgsearchError: as raised by the scoring itself, on whichever node it ran.
    """
    tests = _run(_tests_task, demand, spec.model_dump_json(), str(checkpoint), demand.threads)
    untrained = _run(_untrained_task, demand, spec.model_dump_json(), demand.threads)
    return FinalScores(tests=_wait(tests, beat), untrained=_wait(untrained, beat))


def _tests_task(spec_json: str, checkpoint: str, threads: int) -> Packed | str:
    spec = TrialSpec.model_validate_json(spec_json)
    return _packed(lambda: score_tests(Path(checkpoint), spec, threads=threads))


def _untrained_task(spec_json: str, threads: int) -> Packed | str:
    spec = TrialSpec.model_validate_json(spec_json)
    return _packed(lambda: score_untrained(spec, threads=threads).results)


def _packed(score: Callable[[], Mapping[str, RetrievalResult]]) -> Packed | str:
    """Give a scoring's results as bytes, or a user's error as text, since Ray wraps exceptions."""
    try:
        return {name: result.to_npz_bytes() for name, result in score().items()}
    except VgsearchError as error:
        return str(error)


def _run(task: Callable[..., Packed | str], demand: Demand, *arguments: object) -> Any:
    remote = ray.remote(task).options(num_cpus=demand.cpus, num_gpus=demand.gpus, max_retries=2)
    return remote.remote(*arguments)


def _wait(reference: Any, beat: Callable[[], None]) -> dict[str, RetrievalResult]:
    while not ray.wait([reference], timeout=0.2)[0]:
        beat()
    packed = ray.get(reference)
    if isinstance(packed, str):
        raise SearchError(packed)
    return {name: RetrievalResult.from_npz(blob) for name, blob in packed.items()}

"""What a search scores in the end: the champion on the tests, and the untrained backbone on val.

They run in a Ray task with a trial's resources, because the driver may sit on a machine without a GPU.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ray

from vgsearch.config.search import TrialSpec
from vgsearch.errors import DataError, SearchError, StorageError, VgsearchError
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.resources import Demand
from vgsearch.training.scores import score_tests, score_untrained

Packed = dict[str, bytes]
_UNNAMED = "=val"  # no split can be called so


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
    task = ray.remote(_score).options(num_cpus=demand.cpus, num_gpus=demand.gpus, max_retries=2)
    reference = task.remote(spec.model_dump_json(), str(checkpoint), demand.threads)
    while not ray.wait([reference], timeout=0.2)[0]:
        beat()
    try:
        packed = ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise SearchError(
            f"scoring the champion failed ({reason}); the trials are kept: lower eval.batch_size if memory "
            f"ran out, and continue with --resume"
        ) from error
    if isinstance(packed, str):
        raise SearchError(packed)
    tests, untrained = (
        {name: RetrievalResult.from_npz(blob) for name, blob in part.items()} for part in packed
    )
    return FinalScores(tests=tests, untrained=untrained)


def _score(spec_json: str, checkpoint: str, threads: int) -> tuple[Packed, Packed] | str:
    """Give the results as bytes, or a user's error as text, since Ray wraps exceptions."""
    spec = TrialSpec.model_validate_json(spec_json)
    try:
        tests = score_tests(Path(checkpoint), spec, threads=threads)
        untrained = score_untrained(spec, threads=threads).results
    except VgsearchError as error:
        return str(error)
    return _packed(tests), _packed(untrained)


def _packed(results: Mapping[str, RetrievalResult]) -> Packed:
    return {name: result.to_npz_bytes() for name, result in results.items()}


def write_scores(folder: Path, scores: FinalScores) -> None:
    """Keep scores in `folder`, which appears whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for part, results in (("tests", scores.tests), ("untrained", scores.untrained)):
            (partial / part).mkdir(parents=True)
            for name, result in results.items():
                (partial / part / f"{name or _UNNAMED}.npz").write_bytes(result.to_npz_bytes())
        partial.rename(folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}; free some space") from error


def read_scores(folder: Path) -> FinalScores | None:
    """Read what `write_scores` kept; None if there is nothing or it is damaged."""
    if not folder.is_dir():
        return None
    try:
        tests, untrained = (
            {
                "" if file.stem == _UNNAMED else file.stem: RetrievalResult.from_npz(file)
                for file in sorted((folder / part).glob("*.npz"))
            }
            for part in ("tests", "untrained")
        )
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return FinalScores(tests=tests, untrained=untrained)

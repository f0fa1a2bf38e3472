"""Opening the study of a search: a new one, or one that goes on unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig
from vgsearch.errors import SearchError
from vgsearch.search.constraints import check_repeatable
from vgsearch.search.kept_weights import to_attribute
from vgsearch.search.ledger import EXTENDABLE
from vgsearch.search.study import (
    DETERMINISTIC,
    FILE_TRIALS,
    NUM_TRIALS,
    RECORDED_WEIGHTS,
    WALL_S,
    WARM_START,
    Study,
)
from vgsearch.search.warm_start import WarmStart, read_warm_start


def open_study(
    document: SearchDocument,
    data: DataConfig,
    home: Path,
    *,
    resume: bool,
    deterministic: bool,
    warm_start: str | None,
    trials_in_file: int | None,
    say: Callable[[str], None],
) -> Study:
    """Create or resume the study of a search, and take its driver's lock; arguments as of `run_search`.

    Raises:
        SearchError: the search exists (or does not, with `resume`), is running elsewhere, or has changed.
    """
    if deterministic:
        _check_repeatable(document)
    study = (
        _resume(document, data, home, deterministic=deterministic, warm_start=warm_start)
        if resume
        else _create(document, data, home, deterministic=deterministic, warm_start=warm_start, say=say)
    )
    study.set_setting(FILE_TRIALS, trials_in_file or document.search.num_trials)
    return study


def search_identity(document: SearchDocument, data: DataConfig) -> dict[str, Any]:
    """What must not change between a search and its continuation; see `EXTENDABLE` for what may."""
    return {
        "trial": json.loads(document.space.to_json()),
        "data": data.model_dump(mode="json"),
        "eval": document.eval.model_dump(mode="json"),
        "search": document.search.model_dump(mode="json", exclude=set(EXTENDABLE)),
    }


def _create(
    document: SearchDocument,
    data: DataConfig,
    home: Path,
    *,
    deterministic: bool,
    warm_start: str | None,
    say: Callable[[str], None],
) -> Study:
    identity = search_identity(document, data)
    warm: WarmStart | None = None
    if warm_start is not None:
        warm = read_warm_start(home, warm_start, document, identity)
        for sentence in warm.sentences():
            say(sentence)
    settings = {
        NUM_TRIALS: document.search.num_trials,
        DETERMINISTIC: deterministic,
        WALL_S: 0,
        WARM_START: None if warm is None else warm.to_attribute(),
        RECORDED_WEIGHTS: to_attribute(document.recorded_weights),
    }
    return Study.create(home, document.name, identity, settings)


def _resume(
    document: SearchDocument, data: DataConfig, home: Path, *, deterministic: bool, warm_start: str | None
) -> Study:
    study = Study.resume(home, document.name)
    try:
        _check_unchanged(study.identity, search_identity(document, data), document)
        if warm_start is not None:
            raise SearchError(
                f"--warm-start is for a new search, and {document.name!r} exists: leave it out to resume "
                f"(what the search was started with is kept), or start another with --set name=NAME"
            )
        began_so = bool(study.setting(DETERMINISTIC, False))
        if deterministic and not began_so:
            raise SearchError(
                f"search {document.name!r} began without --deterministic and cannot be made to repeat itself "
                f"now: resume it without, or start another with --set name=NAME"
            )
        if began_so:
            _check_repeatable(document)
        study.set_setting(NUM_TRIALS, document.search.num_trials)
    except BaseException:
        study.close()
        raise
    return study


def _check_repeatable(document: SearchDocument) -> None:
    budget = document.search.budget
    in_time = budget.wall_hours is not None or budget.gpu_hours is not None
    check_repeatable(document.search.constraints, budget_in_time=in_time)


def _check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any], document: SearchDocument) -> None:
    differences = document.space.differences(json.dumps(before["trial"]))
    for section in ("data", "eval", "search"):
        for key in sorted(set(before[section]) | set(now[section])):
            was, is_now = before[section].get(key), now[section].get(key)
            if was != is_now:
                differences.append(f"{section}.{key} was {was!r}, is now {is_now!r}")
    if differences:
        raise SearchError(
            f"{document.source} has changed since search {document.name!r} began, so it cannot be resumed "
            f"({'; '.join(differences)}): restore it, or start another search with --set name=NAME"
        )

"""How many trials a search is to have: as its file says, as an earlier `--trials` said, or more now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vgsearch.config.document import SearchDocument
from vgsearch.errors import SearchError
from vgsearch.search.finalists import searched
from vgsearch.search.study import ENDED, FILE_TRIALS, NUM_TRIALS, journal_path, read_study

_TRIALS = re.compile(r"(?P<more>\+?)(?P<count>[0-9]{1,9})")


def with_planned_trials(
    document: SearchDocument, home: Path, asked: str | None, *, resume: bool
) -> SearchDocument:
    """The document with the number of trials that `planned_trials` decides.

    Raises:
        SearchError: see there.
    """
    planned = planned_trials(home, document.name, document.search.num_trials, asked, resume=resume)
    return replace(document, search=document.search.model_copy(update={"num_trials": planned}))


def planned_trials(home: Path, name: str, in_file: int, asked: str | None, *, resume: bool) -> int:
    """Decide the number of trials of a search.

    Args:
        home: where its study lies.
        name: of the search.
        in_file: `search.num_trials` of its file.
        asked: `--trials`: `48` is a total, `+20` adds to what was planned; None keeps what was planned, or
            takes a number in the file that has grown since.
        resume: whether the search exists.

    Raises:
        SearchError: `asked` is no such number, or adds to a search that is new, not at its end, or cut short
            by what would cut the added trials short as well.
    """
    match = _TRIALS.fullmatch(asked.strip()) if asked is not None else None
    if asked is not None and (match is None or not int(match["count"])):
        raise SearchError(f"--trials takes a total or +MORE, from 1, e.g. 48 or +20, got {asked!r}")
    if not resume or not journal_path(home, name).exists():
        if match is not None and match["more"]:
            raise SearchError(
                f"--trials {asked} adds trials to a search that exists: add --resume, or give a total"
            )
        return int(match["count"]) if match is not None else in_file
    study = read_study(home, name)
    trials = study.get_trials(deepcopy=False)
    proposed = len(searched(trials))
    planned = max(int(study.user_attrs.get(NUM_TRIALS, 0)), proposed)
    if match is None:
        # A total that was asked for stays, also one below the file's number, until that number changes.
        has_changed = in_file != int(study.user_attrs.get(FILE_TRIALS, in_file))
        return max(planned, in_file) if has_changed else planned
    if not match["more"]:
        return max(int(match["count"]), proposed)
    total = planned + int(match["count"])
    _check_ended(name, study.user_attrs.get(ENDED), proposed, planned, total)
    return total


def end_of_search(num_trials: int, cut_short_by: str) -> Mapping[str, Any]:
    """What the study keeps of a search that ran to its end: its planned trials, and what cut it short."""
    return {"num_trials": num_trials, "cut_short_by": cut_short_by}


def _check_ended(name: str, ended: Mapping[str, Any] | None, proposed: int, planned: int, total: int) -> None:
    """Refuse `--trials +MORE` unless the search ran to its end: after a kill it must not add them twice."""
    if ended is None or ended["num_trials"] != planned:
        missing = (
            f"still has {planned - proposed} of its {planned} trials to begin"
            if proposed < planned
            else "is not at its end: trials, repeats or the champion's scores are missing"
        )
        raise SearchError(
            f"search {name!r} {missing}: continue it with --resume alone, or give a total, --trials {total}"
        )
    if ended["cut_short_by"]:
        raise SearchError(
            f"search {name!r} ended with {proposed} of its {planned} trials ({ended['cut_short_by']}), and "
            f"more would end alike: raise search.budget and use --resume alone, or search another space with "
            f"--warm-start {name}"
        )

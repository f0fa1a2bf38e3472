"""How many trials a search is to have: as its file says, as an earlier `--trials` said, or more now."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from vgsearch.config.document import SearchDocument
from vgsearch.errors import SearchError
from vgsearch.search.finalists import searched
from vgsearch.search.study import NUM_TRIALS, journal_path, read_study

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
        asked: `--trials`: `48` is a total, `+20` adds to what was planned; None asks for nothing.
        resume: whether the search exists.

    Raises:
        SearchError: `asked` is no such number, or adds to a search that is new or not at its end.
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
    proposed = len(searched(study.get_trials(deepcopy=False)))
    planned = max(int(study.user_attrs.get(NUM_TRIALS, 0)), proposed)
    if match is None:
        return max(planned, in_file)
    if not match["more"]:
        return max(int(match["count"]), proposed)
    if proposed < planned:
        # The same command again, after a kill, must not add the trials twice.
        raise SearchError(
            f"search {name!r} still has {planned - proposed} of its {planned} trials to begin: continue it "
            f"with --resume alone, or give a total, --trials {planned + int(match['count'])}"
        )
    return planned + int(match["count"])

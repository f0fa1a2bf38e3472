"""The next trial, as a function of the study's history, the seed and the trial's number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from optuna.trial import FrozenTrial

from vgsearch.config.grid import grid_combinations
from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Scalar, Space, Suggest
from vgsearch.errors import SearchError
from vgsearch.search.draw import Proposal, as_proposal, draw

MAX_ATTEMPTS = 100

# Says why a decided trial cannot be run, or "" if it can.
Refuse: TypeAlias = Callable[[Mapping[str, object]], str]


class AllRefusedError(SearchError):
    """Every attempt at a proposal was refused; `reason` says why the last one was."""

    def __init__(self, reason: str) -> None:
        """Say what was tried, and what to do."""
        self.reason = reason
        super().__init__(
            f"none of {MAX_ATTEMPTS} proposals in a row can be run, the last because {reason}; narrow the "
            f"ranges and choices of the search file, or loosen search.constraints"
        )


def propose(
    space: Space,
    config: SamplerConfig,
    history: Sequence[FrozenTrial],
    number: int,
    *,
    start_with: Sequence[Mapping[str, Scalar]] = (),
    refuse: Refuse = lambda decided: "",
) -> Proposal | None:
    """Propose the next trial.

    Asked again with the same arguments, in this process or another, the answer is the same.

    Args:
        space: what is searched.
        config: who proposes.
        history: the trials to learn from, unfinished ones included; trials of another search may be among
            them. A grid must be given all that this search proposed: what is in the history it leaves out.
        number: how many proposals this search made before.
        start_with: the first proposals, each by some of its values by their names in `space`; the sampler
            decides the others (a grid takes the middle), and values of branches that it does not take are
            not used.
        refuse: says why a decided trial cannot be run, or "" if it can. Another is drawn in its place, by a
            sampler that is told of those refused.

    Returns:
        the proposal as a RUNNING trial to be written, and the decided `trial` section; None if the sampler
        has nothing left, as a grid at its end.

    Raises:
        SearchError: an entry of `start_with` is not in the space or is refused.
        AllRefusedError: every attempt was refused.
    """
    if number < len(start_with):
        return _start(space, config, history, number, start_with[number], refuse)
    if config.name == "grid":
        return next(grid_left(space, config, history, refuse), None)
    proposal, reason = _first_accepted(space, config, history, number, {}, refuse)
    if proposal is None:
        raise AllRefusedError(reason)
    return proposal


def decide_again(space: Space, trial: FrozenTrial) -> dict[str, object]:
    """Rebuild the decided `trial` section of a stored trial from its parameters."""
    return space.propose(_look_up(trial.params))


def grid_left(
    space: Space, config: SamplerConfig, history: Sequence[FrozenTrial], refuse: Refuse
) -> Iterator[Proposal]:
    """The combinations of a grid that are not in `history` and are not refused, in the grid's order."""
    # By what was proposed and not by a count: what is refused may grow with time, after a trial that ran out
    # of memory, so that counting from the start would come out elsewhere.
    proposed = {frozenset(trial.params.items()) for trial in history}
    for values, decided in grid_combinations(space, config):
        if frozenset(values.items()) not in proposed and not refuse(decided):
            yield as_proposal(space, _look_up(values))


def _start(
    space: Space,
    config: SamplerConfig,
    history: Sequence[FrozenTrial],
    number: int,
    fixed: Mapping[str, Scalar],
    refuse: Refuse,
) -> Proposal:
    entry = f"search.start_with[{number}]"
    known = {parameter.name: parameter.distribution for parameter in space.parameters()}
    for name, value in fixed.items():
        if name not in known:
            raise SearchError(f"{entry}: {name} is no searched value; they are {', '.join(known) or 'none'}")
        if not known[name].contains(value):
            raise SearchError(f"{entry}: {name} must come from {known[name]}, got {value!r}")
    proposal, reason = _first_accepted(space, config, history, number, fixed, refuse)
    if proposal is None:
        raise SearchError(
            f"{entry} cannot be run: {reason}; change or remove the entry, or loosen what refuses it"
        )
    return proposal


def _first_accepted(
    space: Space,
    config: SamplerConfig,
    history: Sequence[FrozenTrial],
    number: int,
    fixed: Mapping[str, Scalar],
    refuse: Refuse,
) -> tuple[Proposal | None, str]:
    """The first draw that is not refused, or None and why the last one was."""
    refused: list[FrozenTrial] = []
    reason = ""
    for _ in range(MAX_ATTEMPTS):
        trial, decided = draw(space, config, history, number, refused=refused, fixed=fixed)
        reason = refuse(decided)
        if not reason:
            return (trial, decided), ""
        refused.append(trial)
        if config.name == "grid" or trial.params.keys() <= fixed.keys():
            break  # the next draw would be the same
    return None, reason


def _look_up(values: Mapping[str, Scalar]) -> Suggest:
    return lambda name, _: values[name]

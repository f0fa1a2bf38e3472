"""From a pot to an ensemble: describe, select on the criterion, score exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vgsearch.config.ensemble import (
    MAX_MEMBERS,
    EnsembleFile,
    GreedyConfig,
    SimplexConfig,
    TopKConfig,
)
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.candidates import Candidate
from vgsearch.ensembling.ensemble_pot import EnsemblePot
from vgsearch.ensembling.fusion import fuse_descriptors
from vgsearch.ensembling.mean_scorer import DROP_RULE, MeanScorer
from vgsearch.ensembling.objective import Objective
from vgsearch.ensembling.positives import find_positives
from vgsearch.ensembling.pot import PotSplit, Scorer, Weights
from vgsearch.ensembling.selection import Round, greedy, take_best
from vgsearch.ensembling.similarity_scorer import SimilarityScorer
from vgsearch.ensembling.simplex import fit_simplex
from vgsearch.errors import ConfigError
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_descriptors

Rows = NDArray[np.float32]
Describe = Callable[[Candidate, RetrievalSet], tuple[Rows, Rows]]
"""Database and queries of a set as a candidate describes them, from the store."""


@dataclass(frozen=True, eq=False)
class EnsembleChoice:
    """What was selected, and what it is worth.

    Attributes:
        members: positions in the pot of those taken, the greatest weight first.
        weights: one for each, positive, sum 1.
        rounds: how it came about; a member of -1 stands for equal weights of the whole pot.
        taken: whether each round is part of the ensemble.
        best: position in the pot of the best single member.
        before: results of the best member by split, exact.
        after: results of the ensemble by split, exact.
        query_utm_m: float64 (q, 2), positions of the queries that `Round.hits` are about.
        notes: sentences on what the selection did besides.
    """

    members: tuple[int, ...]
    weights: tuple[float, ...]
    rounds: tuple[Round, ...]
    taken: tuple[bool, ...]
    best: int
    before: Mapping[str, RetrievalResult]
    after: Mapping[str, RetrievalResult]
    query_utm_m: NDArray[np.float64]
    notes: tuple[str, ...]


def choose_ensemble(
    pot: EnsemblePot,
    file: EnsembleFile,
    sets: Mapping[str, RetrievalSet],
    describe: Describe,
    *,
    device: torch.device,
) -> EnsembleChoice:
    """Select members and weights on the criterion, then score the result on every set.

    The search among candidates multiplies in float32; `before` and `after` go through `score_descriptors`.

    Args:
        pot: the candidates.
        file: fusion and selection.
        sets: by the names that the criterion uses; those that it does not read are only scored at the end.
        describe: called for each candidate and set of the criterion, then for the members and the rest.
        device: where to multiply.

    Raises:
        ConfigError: more models were selected than an ensemble takes.
    """
    criterion = pot.criterion
    names = criterion.splits(pot.data)
    if criterion.split == "mean":
        names = sorted(names)  # as `Criterion.hits` orders them
    splits = [_pot_split(pot, sets[name], describe) for name in names]
    objective = Objective(criterion.n, tuple(len(sets[name].queries) for name in names))
    scorer = _scorer(file, splits, objective, device)
    picked = _select(scorer, file, pot)
    if np.count_nonzero(picked.weights) > MAX_MEMBERS:
        count = np.count_nonzero(picked.weights)
        raise ConfigError(
            [f"an ensemble takes at most {MAX_MEMBERS} models, but {count} were selected; lower pot_size"]
        )

    def exact(weights: Weights, splits_wanted: Sequence[str]) -> dict[str, RetrievalResult]:
        return _exact(pot, file, weights, {name: sets[name] for name in splits_wanted}, describe, device)

    notes = list(picked.notes)
    weights = picked.weights
    if isinstance(file.selection, SimplexConfig):
        equal = np.full(len(pot.candidates), 1.0 / len(pot.candidates))
        if criterion.percent(exact(weights, names)) < criterion.percent(exact(equal, names)):
            weights = equal
            notes.append("counted exactly, the fitted weights lost to equal ones, which are taken instead")
    members = sorted(np.flatnonzero(weights).tolist(), key=lambda member: -weights[member])
    if len(members) == 1:
        notes.append("one model was taken, so the ensemble is that model, at its cost")
    return EnsembleChoice(
        members=tuple(members),
        weights=tuple(float(weights[member] / weights.sum()) for member in members),
        rounds=picked.rounds,
        taken=picked.taken,
        best=picked.best,
        before=exact(np.eye(len(pot.candidates))[picked.best], list(sets)),
        after=exact(weights, list(sets)),
        query_utm_m=np.concatenate(
            [np.column_stack([sets[n].queries.utm_east, sets[n].queries.utm_north]) for n in names]
        ),
        notes=tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class _Picked:
    weights: Weights
    rounds: tuple[Round, ...]
    taken: tuple[bool, ...]
    best: int
    notes: tuple[str, ...] = ()


def _select(scorer: Scorer, file: EnsembleFile, pot: EnsemblePot) -> _Picked:
    selection = file.selection
    if isinstance(selection, GreedyConfig):
        found = greedy(
            scorer,
            size=selection.size,
            seed=selection.seed,
            replacement=file.fusion != "concat",
            bags=selection.bags,
            bag_fraction=selection.bag_fraction,
        )
        taken = tuple(found.taken(i) for i in range(len(found.rounds)))
        # A bag is a part of the pot, whose best need not be the pot's.
        best = found.rounds[0].member if selection.bags == 1 else int(np.argmax(_singles(scorer)))
        return _Picked(found.counts, found.rounds, taken, best, _greedy_notes(scorer, found.rounds))
    singles = _singles(scorer)
    best = int(np.argmax(singles))
    if isinstance(selection, SimplexConfig):
        assert isinstance(scorer, SimilarityScorer)  # the file was checked
        fit = fit_simplex(scorer, seed=selection.seed, max_steps=selection.max_steps)
        note = f"weights fitted from two starts; the better end was reached from {fit.start}"
        return _Picked(fit.weights, fit.rounds, (True,) * len(fit.rounds), best, (note,))
    if file.weights is not None:
        weights = np.array(file.weights) / sum(file.weights)
        hits = scorer.hits(weights)
        rounds = (Round(-1, scorer.objective.percent(hits), hits),)
        return _Picked(weights, rounds, (True,), best, ("the weights are the file's own",))
    k = selection.k if isinstance(selection, TopKConfig) else len(singles)
    taken_best = take_best(scorer, singles, k)
    notes = () if k <= len(singles) else (f"the pot holds {len(singles)} models, fewer than k = {k}",)
    return _Picked(taken_best.counts, taken_best.rounds, (True,) * len(taken_best.rounds), best, notes)


def _greedy_notes(scorer: Scorer, rounds: Sequence[Round]) -> tuple[str, ...]:
    if isinstance(scorer, MeanScorer):
        given_up = sum(each.num_given_up for each in rounds)
        made = f"{scorer.num_products:.1f} products of all queries with the database were made"
        rule = f" (the rule: {DROP_RULE})" if given_up else ""
        return (f"{given_up} candidates were given up early, {made}{rule}",)
    if isinstance(scorer, SimilarityScorer):
        return (f"{scorer.num_multiplied_out} queries had to be multiplied out again, over all candidates",)
    return ()


def _singles(scorer: Scorer) -> list[float]:
    """The criterion of each member alone, one call each, so that none is given up."""
    nothing = np.zeros(scorer.num_members)
    return [scorer.try_each(nothing, [(member, 1.0)])[0].value for member in range(scorer.num_members)]


def _scorer(
    file: EnsembleFile, splits: Sequence[PotSplit], objective: Objective, device: torch.device
) -> Scorer:
    if file.fusion != "mean":
        return SimilarityScorer(splits, objective, device=device)
    selection = file.selection
    if isinstance(selection, GreedyConfig):
        return MeanScorer(
            splits, objective, device=device, drop_early=selection.drop_early, seed=selection.seed
        )
    return MeanScorer(splits, objective, device=device, drop_early=False)


def _pot_split(pot: EnsemblePot, retrieval_set: RetrievalSet, describe: Describe) -> PotSplit:
    described = [describe(candidate, retrieval_set) for candidate in pot.candidates]
    return PotSplit(
        databases=[database for database, _ in described],
        queries=[queries for _, queries in described],
        positives=find_positives(retrieval_set),
    )


def _exact(
    pot: EnsemblePot,
    file: EnsembleFile,
    weights: Weights,
    sets: Mapping[str, RetrievalSet],
    describe: Describe,
    device: torch.device,
) -> dict[str, RetrievalResult]:
    """Results of an ensemble by split, through the exact search."""
    members = np.flatnonzero(weights).tolist()
    shares = [float(weights[member]) for member in members]
    results = {}
    for name, retrieval_set in sets.items():
        described = [describe(pot.candidates[member], retrieval_set) for member in members]
        database = fuse_descriptors([rows for rows, _ in described], file.fusion, shares)
        queries = fuse_descriptors([rows for _, rows in described], file.fusion, shares)
        results[name] = score_descriptors(
            database, queries, retrieval_set, eval_config=pot.eval_config, device=device
        )
    return results

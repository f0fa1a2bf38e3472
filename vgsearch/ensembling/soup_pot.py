"""The pot: which recorded checkpoints a soup may have, in which order, and what each is worth alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vgsearch.config.query_method import require_one_row
from vgsearch.config.search import DataConfig, EvalConfig
from vgsearch.config.soup import SoupFile
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.candidates import (
    Candidate,
    data_here,
    gather_candidates,
    latest_search,
    same_architecture,
    same_data,
)
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.val_pass import TriedSoup
from vgsearch.errors import RegistryError
from vgsearch.registry.protocol import Registry
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import stamp_of

Results = Mapping[str, RetrievalResult]


@dataclass(frozen=True, eq=False)
class Shelf:
    """Everything that was found, before it is scored and sorted.

    Attributes:
        search: Under whose model the soup will be recorded: the first that was named.
        candidates: Those of the wanted architecture.
        others: Those of other architectures.
        champion: The first search's champion, where it is among `candidates`.
        data: The data section whose selection folders are on this machine.
        eval_config: How images are brought to the networks.
    """

    search: str
    candidates: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    champion: Candidate | None
    data: DataConfig
    eval_config: EvalConfig


@dataclass(frozen=True, eq=False)
class Pot:
    """Ingredients by the criterion, best first; the ends of a line as they were named.

    Attributes:
        candidates: The models.
        singles: What the criterion says of each alone.
        val: Per-query results of all selection splits, for each.
        num_beyond: How many more there would be without `top_k`.
    """

    candidates: tuple[Candidate, ...]
    singles: tuple[TriedSoup, ...]
    val: tuple[Results, ...]
    num_beyond: int

    @property
    def best_position(self) -> int:
        """Where the best ingredient stands: at 0, unless the order was given."""
        return max(range(len(self.singles)), key=lambda i: (self.singles[i].value, -i))

    @property
    def best(self) -> Candidate:
        """The ingredient with the highest criterion."""
        return self.candidates[self.best_position]


def find_ingredients(registry: Registry, settings: SoupFile) -> Shelf:
    """Gather what the settings name.

    Raises:
        RegistryError: A search or a version is unknown, or nothing is recorded.
        CheckpointError: A checkpoint is damaged.
        DataError: Candidates were scored on different data, or the data is not on this machine.
        ConfigError: They were searched with several descriptors a query.
    """
    searches = list(settings.searches) or [latest_search(registry)]
    found = gather_candidates(registry, searches)
    champion = _champion(registry, searches[0], found)
    wanted = champion
    if settings.architecture_of is not None:
        wanted = named_candidate(found, settings.architecture_of, searches[0])
    if wanted is None:
        raise RegistryError(
            f"search {searches[0]!r} has no champion yet, so say whose architecture the soup is to have: "
            f"--architecture-of {found[0].reference}"
        )
    kept, others = same_architecture(found, wanted)
    same_data(kept)
    base = kept[0].spec.eval
    eval_config = base if settings.eval is None else settings.eval.over(base)
    require_one_row(eval_config.query_method, kept[0].reference)
    return Shelf(
        search=searches[0],
        candidates=tuple(kept),
        others=tuple(others),
        champion=champion if champion in kept else None,
        data=data_here(kept),
        eval_config=eval_config,
    )


def named_candidate(candidates: Sequence[Candidate], name: str, search: str) -> Candidate:
    """Find a candidate by its reference, its alias, its uid, or its number in the first search.

    Raises:
        RegistryError: There is none.
    """
    for candidate in candidates:
        version = candidate.version
        names = {candidate.reference, version.uid, *(f"models:/{version.name}@{a}" for a in version.aliases)}
        if version.search == search:
            names.add(version.version)
        if name in names:
            return candidate
    there = ", ".join(candidate.reference for candidate in candidates)
    raise RegistryError(f"{name} is not among what is recorded there: {there}")


def fill_pot(
    shelf: Shelf,
    settings: SoupFile,
    criterion: Criterion,
    sets: Mapping[str, RetrievalSet],
    *,
    score: Callable[[Candidate, Mapping[str, RetrievalSet]], Results],
) -> Pot:
    """Look up what each ingredient is worth alone and sort.

    Recorded results cost nothing. They count where their stamp is that of the split as it is now; anything
    else is scored.

    Args:
        shelf: What there is.
        settings: Gives `top_k`, and `between` for a line.
        criterion: What to sort by; equal ones stay in the order of their searches and versions.
        sets: The selection splits by name, and the criterion's own splits if these are tests.
        score: Scores a model on some of `sets`.

    Raises:
        RegistryError: `between` names what is not there.
    """
    candidates: Sequence[Candidate] = shelf.candidates
    if settings.between:
        candidates = [named_candidate(candidates, name, shelf.search) for name in settings.between]
    worth = []
    for candidate in candidates:
        results = {
            split: result
            for split, result in candidate.results.items()
            if split in sets and result.stamp == stamp_of(sets[split], shelf.eval_config)
        }
        missing = {split: retrieval_set for split, retrieval_set in sets.items() if split not in results}
        if missing:
            results |= score(candidate, missing)
        worth.append((candidate, results, criterion.percent(results)))
    if not settings.between:
        worth.sort(key=lambda entry: -entry[2])
    limit = 2 if settings.method == "interpolate" else settings.top_k
    kept = worth[:limit]
    own = criterion.splits(shelf.data)
    return Pot(
        candidates=tuple(candidate for candidate, _, _ in kept),
        singles=tuple(
            TriedSoup(value, {split: results[split] for split in own}) for _, results, value in kept
        ),
        val=tuple(
            {split: result for split, result in results.items() if split in shelf.data.val_splits}
            for _, results, _ in kept
        ),
        num_beyond=len(worth) - len(kept),
    )


def _champion(registry: Registry, search: str, found: Sequence[Candidate]) -> Candidate | None:
    try:
        version = registry.champion(search)
    except RegistryError:
        return None
    return next((each for each in found if each.reference == version.reference), None)

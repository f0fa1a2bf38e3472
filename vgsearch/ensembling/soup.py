"""Making one soup: look up, choose, score once more in full, record."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vgsearch.config.soup import SoupFile
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.candidates import Candidate
from vgsearch.ensembling.criterion import TEST_PREFIX, Criterion
from vgsearch.ensembling.recording import Ingredient, record_combination
from vgsearch.ensembling.soup_anchor import Anchor, find_anchor
from vgsearch.ensembling.soup_choosing import ChosenSoup, choose_soup
from vgsearch.ensembling.soup_pot import Pot, Results, Shelf, fill_pot
from vgsearch.ensembling.soup_record import add_results, find_recorded, read_story, save_soup, soup_uid
from vgsearch.ensembling.soup_report import SoupReport, Watch
from vgsearch.ensembling.soup_setup import SoupSetup
from vgsearch.ensembling.soup_trajectory import trajectory
from vgsearch.ensembling.stored_models import StoredModels
from vgsearch.errors import StorageError
from vgsearch.models.precision import pick_device, resolve_scoring_precision
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.registry.scored_tests import model_key
from vgsearch.training.data_cache import load_split, load_val_sets
from vgsearch.training.val_scores import stored_results


@dataclass(frozen=True, eq=False)
class Prepared:
    """A filled pot, and all that trying its soups needs.

    Attributes:
        pot: Ingredients, best first.
        criterion: What they are sorted by.
        val_sets: The selection splits by name.
        setup: Where and how soups are tried.
    """

    pot: Pot
    criterion: Criterion
    val_sets: Mapping[str, RetrievalSet]
    setup: SoupSetup

    @property
    def known(self) -> Results:
        """The best ingredient's results, of the selection splits and of the criterion's own."""
        best = self.pot.best_position
        return {**self.pot.val[best], **(self.pot.singles[best].results or {})}


def prepare(
    registry: Registry,
    shelf: Shelf,
    settings: SoupFile,
    criterion: Criterion,
    *,
    home: Path,
    models: StoredModels,
    threads: int,
    allow_test_selection: bool = False,
    watch: Watch | None = None,
) -> Prepared:
    """Fill the pot: sort what was found by the criterion, from recorded results where these fit.

    Args:
        registry: Where the ingredients are recorded.
        shelf: What there is.
        settings: How to mix.
        criterion: What to choose by.
        home: Below which files may lie meanwhile.
        models: Scores what is recorded, through the descriptor store.
        threads: Loader threads.
        allow_test_selection: Whether the criterion may be a test split.
        watch: Whom to tell.

    Raises:
        ConfigError: The criterion is not there or not allowed.
        DataError: A split cannot be read.
        RegistryError: `between` names what is not there.
    """
    watch = watch or Watch()
    criterion.check(shelf.data, allow_test_selection)
    val_sets = load_val_sets(shelf.data)
    own_sets = {split: _load(shelf, split, val_sets) for split in criterion.splits(shelf.data)}
    tests = _TestCounter(registry, shelf.search, own_sets if criterion.is_test else {})

    def score_alone(candidate: Candidate, sets: Mapping[str, RetrievalSet]) -> Results:
        watch.say(f"{candidate.reference} has no recorded results that fit, so it is scored first")
        watch.expect(sum(len(each.database) + len(each.queries) for each in sets.values()))
        scored = models.score(candidate.folder, sets, label=candidate.reference, progress=watch.progress)
        key = model_key(candidate.version.weights_sha256, candidate.architecture)
        tests.count(candidate.reference, scored, model=key)
        return scored

    pot = fill_pot(shelf, settings, criterion, {**val_sets, **own_sets}, score=score_alone)
    device = pick_device()
    setup = SoupSetup(
        sets=own_sets,
        data=shelf.data,
        eval_config=shelf.eval_config,
        device=device,
        precision=resolve_scoring_precision(pot.candidates[0].spec.trial.precision, device),
        threads=threads,
        folder=home,
        on_pass=lambda: tests.count("a soup that was tried", pot.singles[0].results or {}),
        watch=watch,
    )
    return Prepared(pot, criterion, val_sets, setup)


def make_soup(
    registry: Registry,
    shelf: Shelf,
    settings: SoupFile,
    prepared: Prepared,
    *,
    home: Path,
    models: StoredModels,
    spec_text: str,
    alias: str | None,
) -> SoupReport:
    """Make a soup and record it; one that is recorded already is found again without a pass.

    Args:
        registry: Where its ingredients are recorded, and where it will be.
        shelf: What there is.
        settings: How to mix.
        prepared: The filled pot.
        home: Below which files may lie meanwhile.
        models: Scores the soup at the end, through the descriptor store.
        spec_text: The settings' file, for the record.
        alias: For the version; None gives none.

    Raises:
        VgsearchError: A checkpoint, an image or a folder cannot be read or written.
    """
    pot, criterion, setup, known = prepared.pot, prepared.criterion, prepared.setup, prepared.known
    watch = setup.watch
    anchor = None
    if settings.method == "model_stock" and len(pot.candidates) > 1:
        anchor = find_anchor(registry, pot.candidates, home, settings.anchor)
    uid = soup_uid(
        settings,
        criterion,
        pot.candidates,
        {split: result.stamp for split, result in known.items()},
        anchor=None if anchor is None else anchor.key,
        precision=setup.precision.name,
    )
    recorded = find_recorded(registry, shelf.search, uid)
    if recorded is not None:
        return _found_again(registry, recorded, criterion, pot, alias)
    chosen = choose_soup(pot, settings, criterion, setup, anchor)
    choice = chosen.choice
    steps = trajectory(choice.steps, pot.candidates, [single.value for single in pot.singles], criterion.n)
    recipe = [(pot.candidates[i].reference, share) for i, share in choice.shares]
    # Where `vgsearch gc` looks for what a kill has left.
    parent = home / "trials"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".soup-", suffix=".tmp", dir=parent)
    except OSError as error:
        raise StorageError(f"cannot write {parent}: {error.strerror or error}") from error
    with scratch as temporary:
        changes = {"search": shelf.search, "uid": uid, "data": shelf.data, "eval": shelf.eval_config}
        folder = save_soup(Path(temporary) / "epoch_0001", chosen.network, pot.candidates[0], changes)
        if len(choice.recipe) == 1:
            results = dict(pot.val[choice.recipe[0][0]])
        else:
            sets = prepared.val_sets
            watch.expect(sum(len(each.database) + len(each.queries) for each in sets.values()))
            results = models.score(folder, sets, label=uid, progress=watch.progress)
        add_results(folder, results, steps, recipe)
        version = record_combination(
            registry,
            kind="soup",
            search=shelf.search,
            uid=uid,
            folder=folder,
            ingredients=[Ingredient(pot.candidates[i].version, share) for i, share in choice.shares],
            params=_params(settings, pot, chosen, anchor),
            spec_text=spec_text,
            alias=alias,
            tags={"vgsearch.method": settings.method},
            criterion=criterion,
        )
    return SoupReport(
        version=version,
        criterion=criterion,
        steps=steps,
        recipe=recipe,
        pot=pot,
        before=known,
        after={**(choice.tried.results or {}), **results},
        is_recalibrated=choice.tried.is_recalibrated,
        cost=replace(chosen.cost, described_stored=models.num_described),
    )


def _found_again(
    registry: Registry, version: ModelVersion, criterion: Criterion, pot: Pot, alias: str | None
) -> SoupReport:
    """The report of a soup from its record; a kill may have kept it from its alias."""
    folder = registry.download(version.reference)
    steps, recipe = read_story(folder)
    if alias is not None and alias not in version.aliases:
        registry.set_alias(version.search, alias, version.version)
    found = find_recorded(registry, version.search, version.uid) or version
    taken = [step for step in steps if step.is_taken]
    return SoupReport(
        version=found,
        criterion=criterion,
        steps=steps,
        recipe=recipe,
        pot=pot,
        before=pot.val[pot.best_position],
        after=stored_results(folder),
        is_recalibrated=bool(taken) and taken[-1].is_recalibrated,
        cost=None,
    )


def _params(settings: SoupFile, pot: Pot, chosen: ChosenSoup, anchor: Anchor | None) -> dict[str, object]:
    """What the run records beside the ingredients."""
    content: dict[str, object] = settings.model_dump(mode="json", exclude={"criterion", "criteria", "alias"})
    content["pot"] = [candidate.reference for candidate in pot.candidates]
    content["batch_norm"] = "recalibrated" if chosen.choice.tried.is_recalibrated else "averaged"
    if anchor is not None:
        content["anchor"] = anchor.origin
        content["anchor_share"] = chosen.anchor_share
    return content


def _load(shelf: Shelf, split: str, val_sets: Mapping[str, RetrievalSet]) -> RetrievalSet:
    """A split as a criterion names it."""
    if not split.startswith(TEST_PREFIX):
        return val_sets[split]
    name = split.removeprefix(TEST_PREFIX)
    return load_split(shelf.data.tests[name], shelf.data.positive_distance_m, name)


class _TestCounter:
    """Counts every scoring of a test split in the registry; other splits may be scored at will."""

    def __init__(self, registry: Registry, search: str, tests: Mapping[str, RetrievalSet]) -> None:
        self._registry = registry
        self._search = search
        self._tests = tests

    def count(self, reference: str, results: Results, model: str = "") -> None:
        """Take note that a model was scored; `model` tells it from others, where it is known."""
        for split, result in results.items():
            if split in self._tests:
                self._registry.count_test_scoring(
                    self._search,
                    split.removeprefix(TEST_PREFIX),
                    reference=reference,
                    stamp=result.stamp,
                    model=model,
                )

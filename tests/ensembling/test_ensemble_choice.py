"""Every kind of selection on real photos' coordinates, with drawn descriptors in the place of networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.ensembling.brute_force import PlainScorer
from vgsearch.config.ensemble import EnsembleFile
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.ensemble_choice import choose_ensemble
from vgsearch.ensembling.ensemble_pot import gather_pot
from vgsearch.ensembling.fusion import fuse_descriptors
from vgsearch.errors import ConfigError
from vgsearch.retrieval.scoring import score_descriptors
from vgsearch.training.data_cache import load_split, load_val_sets


@pytest.fixture(scope="module")
def world(searched_store):
    """The five recorded models with drawn descriptors: rows of a place are alike, models err alone."""
    drawn = {}

    def describe(candidate, retrieval_set):
        key = (candidate.reference, retrieval_set.name)
        if key not in drawn:
            number = int(candidate.version.version)
            parts = []
            for i, index in enumerate((retrieval_set.database, retrieval_set.queries)):
                place = np.round(index.utm_east / 100).astype(int)
                latent = np.random.default_rng(0).standard_normal((10_000, 12))[place % 10_000]
                seed = [number, i, len(retrieval_set.name)]
                rows = latent + (0.6 + 0.1 * number) * np.random.default_rng(seed).standard_normal(
                    latent.shape
                )
                parts.append((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
            drawn[key] = tuple(parts)
        return drawn[key]

    return searched_store.registry, describe


def chosen(world, allow_test_selection=False, **settings):
    registry, describe = world
    file = EnsembleFile.model_validate(settings)
    pot = gather_pot(registry, file, allow_test_selection=allow_test_selection)
    sets = load_val_sets(pot.data)
    if pot.criterion.is_test:
        name = pot.criterion.split
        sets = {**sets, f"test/{name}": load_split(pot.data.tests[name], 25.0, name)}
    choice = choose_ensemble(pot, file, sets, describe, device=torch.device("cpu"))
    return pot, file, sets, choice


SELECTIONS = [
    {"fusion": "mean"},
    {"fusion": "mean", "selection": {"name": "greedy", "size": 4}},
    {"fusion": "similarity", "selection": {"name": "greedy", "size": 4}},
    {"fusion": "similarity", "selection": {"name": "greedy", "size": 3, "bags": 3}},
    {"fusion": "similarity", "selection": {"name": "simplex", "max_steps": 3}},
    {"fusion": "concat", "selection": {"name": "top_k", "k": 2}},
    {"fusion": "concat", "selection": {"name": "greedy", "size": 3}},
    {"fusion": "similarity", "selection": {"name": "greedy", "size": 3}, "criterion": "val/recall_at_5"},
    {
        "fusion": "similarity",
        "members": ["models:/vgsearch-pot/5", "models:/vgsearch-pot/1"],
        "weights": [1, 3],
    },
]


@pytest.mark.parametrize("settings", SELECTIONS, ids=str)
def test_what_is_said_of_a_choice_is_what_its_descriptors_do(settings, world):
    pot, file, sets, choice = chosen(world, **settings)
    described = [world[1](pot.candidates[member], sets[""]) for member in choice.members]
    database, queries = (
        fuse_descriptors([parts[i] for parts in described], file.fusion, choice.weights) for i in (0, 1)
    )
    exact = score_descriptors(database, queries, sets[""], eval_config=pot.eval_config)
    np.testing.assert_array_equal(choice.after[""].first_hit_rank, exact.first_hit_rank)
    assert choice.after[""].stamp == exact.stamp
    assert abs(sum(choice.weights) - 1) < 1e-9
    assert list(choice.weights) == sorted(choice.weights, reverse=True)
    assert len(choice.rounds) == len(choice.taken)
    assert len(choice.query_utm_m) == len(sets[""].queries)
    # The best member is the best: counted plainly for each alone.
    singles = [
        PlainScorer([d], [q], _positive(sets[""]), pot.criterion.n).hits([1.0]).mean()
        for d, q in (world[1](candidate, sets[""]) for candidate in pot.candidates)
    ]
    assert singles[choice.best] == max(singles)
    assert pot.criterion.percent(choice.before) == pytest.approx(100 * max(singles))


def _positive(retrieval_set):
    everyone = np.arange(len(retrieval_set.database))
    return retrieval_set.is_positive(np.tile(everyone, (len(retrieval_set.queries), 1)))


def test_the_last_taken_round_is_the_ensemble(world):
    pot, _, _, choice = chosen(world, fusion="similarity", selection={"name": "greedy", "size": 4})
    last = [each for each, taken in zip(choice.rounds, choice.taken, strict=True) if taken][-1]
    np.testing.assert_array_equal(last.hits, pot.criterion.hits(choice.after))
    assert last.value == pytest.approx(pot.criterion.percent(choice.after))


def test_fitted_weights_are_never_below_equal_ones(world):
    pot, _, _, fitted = chosen(world, fusion="similarity", selection={"name": "simplex", "max_steps": 2})
    _, _, _, equal = chosen(world, fusion="similarity", selection={"name": "all"})
    assert pot.criterion.percent(fitted.after) >= pot.criterion.percent(equal.after)


def test_given_weights_belong_to_their_members(world):
    pot, _, _, choice = chosen(world, **SELECTIONS[-1])
    by_version = {
        pot.candidates[member].version.version: weight
        for member, weight in zip(choice.members, choice.weights, strict=True)
    }
    assert by_version == {"1": 0.75, "5": 0.25}


def test_a_test_as_criterion_is_scored_beside_val(world):
    settings = {"fusion": "similarity", "selection": {"name": "greedy", "size": 2}}
    _, _, _, choice = chosen(world, allow_test_selection=True, criterion="test/day/recall_at_1", **settings)
    assert set(choice.after) == {"", "test/day"}


def test_the_same_seed_gives_the_same_choice(world):
    settings = SELECTIONS[3]
    one, two = (chosen(world, **settings)[3] for _ in range(2))
    assert (one.members, one.weights) == (two.members, two.weights)


def test_the_mean_over_several_splits(world):
    """Two splits of other names and sizes count as their mean, and hits stay in the order of positions."""
    registry, describe = world
    file = EnsembleFile(fusion="similarity", selection={"name": "greedy", "size": 3})
    pot = gather_pot(registry, file)
    tests = pot.data.tests
    data = pot.data.model_copy(update={"val": {"z_first": tests["night"], "a_second": tests["day"]}})
    pot = replace(pot, data=data, criterion=Criterion.parse("val/mean/recall_at_1"))
    sets = load_val_sets(data)
    choice = choose_ensemble(pot, file, sets, describe, device=torch.device("cpu"))
    last = [each for each, taken in zip(choice.rounds, choice.taken, strict=True) if taken][-1]
    np.testing.assert_array_equal(last.hits, pot.criterion.hits(choice.after))
    percents = [choice.after[name].at(1).percent for name in data.val_splits]
    assert last.value == pytest.approx(sum(percents) / 2)
    assert choice.query_utm_m[0].tolist() == [
        sets["a_second"].queries.utm_east[0],
        sets["a_second"].queries.utm_north[0],
    ]


def test_more_than_an_ensemble_takes_is_refused(world, monkeypatch):
    monkeypatch.setattr("vgsearch.ensembling.ensemble_choice.MAX_MEMBERS", 4)
    with pytest.raises(ConfigError, match="at most 4 models, but 5 were selected; lower pot_size"):
        chosen(world, fusion="similarity")

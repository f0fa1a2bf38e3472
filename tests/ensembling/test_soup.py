"""Soups of a recorded search from end to end: real photos, weights, recalls and descriptor store."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.ensembling.soup_world import CPU, FP32, SEARCH, build_soup_world
from vgsearch.config.soup import SoupFile
from vgsearch.ensembling.candidates import gather_candidates
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.soup import make_soup, prepare
from vgsearch.ensembling.soup_choosing import choose_soup
from vgsearch.ensembling.soup_pot import find_ingredients
from vgsearch.ensembling.soup_report import Watch
from vgsearch.ensembling.stored_models import StoredModels
from vgsearch.errors import CheckpointError, ConfigError, DataError, RegistryError
from vgsearch.models.checkpoint import load_network, save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.scoring import score_sets
from vgsearch.training.data_cache import load_val_sets
from vgsearch.training.initial_state import InitialState
from vgsearch.training.val_scores import stored_results

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("soup")
    return build_soup_world(root, MemoryRegistry(), root / "home")


@pytest.fixture
def cook(world, tmp_path):
    """Make a soup with some settings, in a home of its own unless one is given."""

    def run(
        criterion="val/recall_at_1",
        *,
        only_prepare=False,
        home=None,
        allow_test_selection=False,
        registry=None,
        **keys,
    ):
        registry = registry or world.registry
        home = home or tmp_path / "home"
        home.mkdir(exist_ok=True)
        settings = SoupFile(**{"bn_images": 32, "image_cache_gb": 0.1, "searches": [SEARCH], **keys})
        shelf = find_ingredients(registry, settings)
        models = StoredModels(DescriptorStore(home / "descriptors"), shelf.eval_config, device=CPU, threads=1)
        lines = []
        prepared = prepare(
            registry,
            shelf,
            settings,
            Criterion.parse(criterion),
            home=home,
            models=models,
            threads=1,
            allow_test_selection=allow_test_selection,
            watch=Watch(say=lines.append),
        )
        if only_prepare:
            return prepared, settings
        report = make_soup(
            registry, shelf, settings, prepared, home=home, models=models, spec_text="", alias=settings.alias
        )
        folder = registry.download(report.version.reference)
        return SimpleNamespace(
            report=report, folder=folder, home=home, lines=lines, shelf=shelf, models=models
        )

    return run


def weights(world, reference):
    return load_file(world.registry.download(reference) / "model.safetensors")


def rescored(world, folder):
    """A model's recalls by the plain way, without cache or store."""
    sets = load_val_sets(world.data)
    network = load_network(folder)
    results = score_sets(
        network,
        list(sets.values()),
        eval_config=gather_candidates(world.registry, [SEARCH])[0].spec.eval,
        device=CPU,
        precision=FP32,
    )
    return dict(zip(sets, results, strict=True))


def test_greedy_gives_what_trying_every_mean_plainly_gives(world, cook):
    """An oracle that keeps all state dicts, averages in float64 and scores each mean from scratch."""
    candidates = [
        c for c in gather_candidates(world.registry, [SEARCH]) if "test_resnet" in c.architecture_in_words
    ]
    criterion = Criterion.parse("val/recall_at_1")
    ordered = sorted(candidates, key=lambda c: (-criterion.percent(c.results), int(c.version.version)))
    sets = load_val_sets(world.data)

    def value(members):
        states = [load_file(c.folder / "model.safetensors") for c in members]
        mean = {
            name: torch.stack([s[name].double() for s in states]).mean(0).float()
            if tensor.is_floating_point()
            else tensor
            for name, tensor in states[0].items()
        }
        network = build_network(world.trial, load_weights=False)
        network.load_state_dict(mean, strict=True)
        (result,) = score_sets(
            network, list(sets.values()), eval_config=candidates[0].spec.eval, device=CPU, precision=FP32
        )
        return criterion.percent({"": result})

    members, best = [ordered[0]], criterion.percent(ordered[0].results)
    for candidate in ordered[1:]:
        with_it = value([*members, candidate])
        if with_it >= best:
            members, best = [*members, candidate], with_it

    made = cook(recalibrate_bn="off")
    assert [reference for reference, _ in made.report.recipe] == [c.reference for c in members]
    assert 1 < len(members) < len(candidates)  # the world is made so that both verdicts occur
    assert criterion.percent(made.report.after) == pytest.approx(best)
    assert stored_results(made.folder)[""].at(1).percent == pytest.approx(best)
    plain = rescored(world, made.folder)[""]
    assert np.array_equal(plain.first_hit_rank, stored_results(made.folder)[""].first_hit_rank)


def test_what_a_greedy_soup_costs(world, cook):
    def choose(**keys):
        """The choice alone: nothing is recorded, so nothing is found again."""
        prepared, settings = cook(only_prepare=True, **keys)
        return choose_soup(prepared.pot, settings, prepared.criterion, prepared.setup, None)

    patient = choose(recalibrate_bn="off", early_drop=False)
    cost, count = patient.cost, 4
    assert len(patient.choice.steps) == count
    assert cost.num_passes == count - 1  # the best single model is known
    assert cost.described == (count - 1) * cost.pass_images
    assert cost.decoded == cost.pass_images
    quick = choose(recalibrate_bn="off", early_drop=True)
    assert quick.choice.recipe == patient.choice.recipe
    assert quick.cost.described <= cost.described  # how much it saves is tested in test_val_pass.py
    both = cook(recalibrate_bn="auto", early_drop=False, seed=5)
    spent = both.report.cost
    assert spent.num_passes == 2 * (count - 1)
    assert spent.num_calibrations == count - 1
    assert spent.calibration_images == 32
    # The soup that is kept is described once more, for the store: 2 N - 1 passes in all.
    assert spent.described + spent.described_stored == (2 * count - 1) * cost.pass_images
    # Soups that are thrown away leave nothing in the store: its database and its queries are all there is.
    entries = [
        path for path in (both.home / "descriptors").iterdir() if path.is_dir() and path.name != "locks"
    ]
    assert len(entries) == 2


def test_the_name_of_a_soup_is_that_of_what_decides_it(world, cook):
    """Ways of naming the same ingredients, and what cannot matter, find the same version."""
    first = cook(method="interpolate", between=["2", "1"], alphas=[0.5], recalibrate_bn="off").report
    named = [f"models:/vgsearch-{SEARCH}/2", "broth-0000-0000"]
    again = cook(
        method="interpolate", between=named, alphas=[0.5], recalibrate_bn="off", seed=9, image_cache_gb=0.0
    ).report
    assert again.version.version == first.version.version
    turned = cook(method="interpolate", between=["1", "2"], alphas=[0.5], recalibrate_bn="off").report
    assert turned.version.uid != first.version.uid
    assert turned.pot.best.reference == first.pot.best.reference  # whichever end was named first
    assert turned.before[""].at(1).hits == first.before[""].at(1).hits


def test_the_same_command_again_is_the_same_version_without_a_pass(world, cook):
    first = cook(seed=11)
    count = len(world.registry.versions(SEARCH))
    again = cook(seed=11, early_drop=False, home=first.home)
    assert again.report.version.version == first.report.version.version
    assert len(world.registry.versions(SEARCH)) == count
    assert again.report.cost is None
    assert again.report.recipe == first.report.recipe
    assert again.report.steps == first.report.steps
    assert again.models.num_described == 0
    assert "soup" in again.report.version.aliases


def test_the_same_seed_gives_the_same_weights_in_another_home_and_registry(world, cook, tmp_path):
    first = cook(seed=12)
    other = build_soup_world(
        tmp_path / "again", MemoryRegistry(), tmp_path / "again" / "home", data=world.data
    )
    second = cook(seed=12, home=tmp_path / "second", registry=other.registry)
    assert second.report.version.weights_sha256 == first.report.version.weights_sha256


def test_a_kill_before_the_alias_is_made_good_by_the_same_command(world, cook, monkeypatch):
    class KilledError(BaseException):
        pass

    def killed(*_):
        raise KilledError

    registry = world.registry
    monkeypatch.setattr(registry, "set_alias", killed)
    with pytest.raises(KilledError):
        cook(seed=13, alias="late")
    monkeypatch.undo()
    count = len(registry.versions(SEARCH))
    made = cook(seed=13, alias="late")
    assert len(registry.versions(SEARCH)) == count
    assert "late" in made.report.version.aliases


def test_nothing_is_left_in_the_home_but_the_store(cook):
    made = cook(seed=14)
    left = {path.name for path in made.home.iterdir()} - {"descriptors"}
    assert left <= {"trials"}
    assert not list((made.home / "trials").iterdir())


def test_lineage_kind_and_specification(world, cook):
    made = cook(recalibrate_bn="off", method="uniform", top_k=2)
    version = made.report.version
    assert version.kind == "soup"
    lineage = json.loads((made.folder / "lineage.json").read_text())
    references = [c.reference for c in made.report.pot.candidates]
    assert [entry["reference"] for entry in lineage["ingredients"]] == references
    assert [entry["coefficient"] for entry in lineage["ingredients"]] == [0.5, 0.5]
    states = [weights(world, reference) for reference in references]
    for name, tensor in load_file(made.folder / "model.safetensors").items():
        if tensor.is_floating_point():
            mean = torch.stack([state[name].double() for state in states]).mean(0)
            torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(tensor, states[0][name])
    # It opens like any checkpoint, strictly, and says what it is.
    assert load_network(made.folder).descriptor_dim == 16
    assert made.report.version.uid.startswith("soup-")
    steps = made.report.steps
    assert [step.is_taken for step in steps] == [True, True]


def test_a_pot_of_one_is_that_model_bit_for_bit(world, cook):
    made = cook(top_k=1)
    (reference, share) = made.report.recipe[0]
    assert share == 1.0
    assert all(
        torch.equal(tensor, weights(world, reference)[name])
        for name, tensor in load_file(made.folder / "model.safetensors").items()
    )
    assert made.report.cost.num_passes == 0
    assert made.report.cost.described_stored == 0
    assert made.report.after[""].first_hit_rank.tolist() == made.report.before[""].first_hit_rank.tolist()


def test_recalibration_changes_only_statistics_and_is_recorded(world, cook):
    plain = cook(method="uniform", top_k=3, recalibrate_bn="off")
    again = cook(method="uniform", top_k=3, recalibrate_bn="on")
    assert not plain.report.is_recalibrated
    assert again.report.is_recalibrated
    ours, theirs = (load_file(m.folder / "model.safetensors") for m in (again, plain))
    moved = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert moved
    assert all("running_" in name for name in moved)
    auto = cook(method="uniform", top_k=3, recalibrate_bn="auto")
    best = max(plain.report.after[""].at(1).percent, again.report.after[""].at(1).percent)
    assert auto.report.after[""].at(1).percent == pytest.approx(best)
    for made in (plain, again, auto):
        found = rescored(world, made.folder)[""]
        assert np.array_equal(found.first_hit_rank, made.report.after[""].first_hit_rank)


def test_the_line_between_two_named_versions(world, cook):
    names = ["1", "3"]
    made = cook(method="interpolate", between=names, alphas=[0.25, 0.5], recalibrate_bn="off")
    assert [c.version.version for c in made.report.pot.candidates] == names
    assert made.report.cost.num_passes == 2
    tried = [step.value for step in made.report.steps]
    assert made.report.criterion.percent(made.report.after) == pytest.approx(max(tried))
    shares = dict(made.report.recipe)
    if len(shares) == 2:
        alpha = shares[made.report.pot.candidates[1].reference]
        first, second = (weights(world, c.reference) for c in made.report.pot.candidates)
        ours = load_file(made.folder / "model.safetensors")["linear.weight"].double()
        expected = (1 - alpha) * first["linear.weight"].double() + alpha * second["linear.weight"].double()
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_weighted_greedy_is_at_least_as_good_as_the_best_model(cook):
    made = cook(method="greedy_weighted", shares=[0.2, 0.5], recalibrate_bn="off")
    assert made.report.cost.num_passes == 2 * 3
    criterion = made.report.criterion
    assert criterion.percent(made.report.after) >= criterion.percent(made.report.before)
    assert sum(share for _, share in made.report.recipe) == pytest.approx(1)


def test_a_model_stock_needs_to_know_where_all_began(world, cook, tmp_path):
    with pytest.raises(CheckpointError, match=r"no record of its initial weights.*--anchor"):
        cook(method="model_stock")
    folder = tmp_path / "anchor"
    spec = gather_candidates(world.registry, [SEARCH])[0].spec
    save_checkpoint(folder, build_network(world.trial), spec, {})
    made = cook(method="model_stock", anchor=str(folder), top_k=3, recalibrate_bn="off")
    ours = load_file(made.folder / "model.safetensors")["linear.weight"].double()
    anchor = load_file(folder / "model.safetensors")["linear.weight"].double()
    states = [weights(world, c.reference)["linear.weight"].double() for c in made.report.pot.candidates]
    moves = [(state - anchor).flatten() for state in states]
    pairs = [torch.cosine_similarity(moves[i], moves[j], dim=0) for i, j in ((0, 1), (0, 2), (1, 2))]
    cosine = float(sum(pairs) / 3)
    t = max(0.0, 3 * cosine / (1 + 2 * cosine)) if cosine > 0 else 0.0
    torch.testing.assert_close(ours, t * sum(states) / 3 + (1 - t) * anchor, rtol=1e-4, atol=1e-6)
    lineage = json.loads((made.folder / "lineage.json").read_text())
    assert lineage["settings"]["anchor"] == str(folder)
    assert 0 <= lineage["settings"]["anchor_share"] <= 1


def test_recorded_initial_weights_are_an_anchor(world, tmp_path, cook):
    """Checkpoints that say which weights they began with: these are built again and checked by their hash."""
    world = build_soup_world(tmp_path / "own", MemoryRegistry(), tmp_path / "own" / "home", data=world.data)
    start = InitialState.of(build_network(world.trial)).to_metrics()
    for candidate in gather_candidates(world.registry, [SEARCH]):
        metrics = json.loads((candidate.folder / "metrics.json").read_text())
        (candidate.folder / "metrics.json").write_text(json.dumps({**metrics, **start}))
    made = cook(method="model_stock", top_k=2, recalibrate_bn="off", registry=world.registry)
    lineage = json.loads((made.folder / "lineage.json").read_text())
    assert lineage["settings"]["anchor"].startswith("initial weights ")
    other = gather_candidates(world.registry, [SEARCH])[1]
    metrics = json.loads((other.folder / "metrics.json").read_text())
    (other.folder / "metrics.json").write_text(json.dumps({**metrics, "initial_state": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"started from other weights"):
        cook(method="model_stock", recalibrate_bn="off", registry=world.registry)


def test_other_architectures_are_left_out_unless_asked_for(world, cook):
    shelf = find_ingredients(world.registry, SoupFile(searches=[SEARCH]))
    assert [other.version.version for other in shelf.others] == ["5"]
    assert "test_efficientnet" in shelf.others[0].architecture_in_words
    for name in ("5", "models:/vgsearch-broth/5", "broth-0000-0009"):
        other = find_ingredients(world.registry, SoupFile(searches=[SEARCH], architecture_of=name))
        assert [candidate.version.version for candidate in other.candidates] == ["5"]
        assert other.champion is None
    with pytest.raises(RegistryError, match="77 is not among"):
        find_ingredients(world.registry, SoupFile(searches=[SEARCH], architecture_of="77"))
    named = find_ingredients(world.registry, SoupFile())  # the latest search
    assert named.search == SEARCH


def test_recorded_results_cost_nothing_and_others_are_scored_first(cook):
    from vgsearch.config.combination import CombinationEvalConfig

    made = cook(recalibrate_bn="off")
    assert not [line for line in made.lines if "scored first" in line]
    small = cook(recalibrate_bn="off", eval=CombinationEvalConfig(resize_px=48), early_drop=False)
    assert len([line for line in small.lines if "scored first" in line]) == 4
    stamps = {result.stamp for result in stored_results(small.folder).values()}
    assert all(stamp.endswith("48px") for stamp in stamps)


def test_a_test_split_chooses_only_if_allowed(cook):
    with pytest.raises(ConfigError, match="--allow-test-selection"):
        cook("test/day/recall_at_1")


def test_every_scoring_of_a_test_is_counted(world, cook):
    before = dict(world.registry.test_scorings(SEARCH))
    made = cook("test/day/recall_at_1", allow_test_selection=True, recalibrate_bn="off")
    counted = world.registry.test_scorings(SEARCH)["day"].scorings
    assert not before
    assert counted == 4 + made.report.cost.num_passes  # each model alone, then each soup
    assert made.report.version.selected_on_test
    assert set(made.report.after) == {"", "test/day"}


def test_recalibrating_needs_training_images(world, cook, tmp_path, monkeypatch):
    train = tmp_path.parent / "hidden"
    shutil.move(world.data.train, train)
    try:
        with pytest.raises(DataError, match="recalibrate_bn: on"):
            cook(recalibrate_bn="on", seed=21)
        made = cook(recalibrate_bn="auto", seed=21)
        assert [line for line in made.lines if "not taken again" in line]
        assert not made.report.is_recalibrated
    finally:
        shutil.move(train, world.data.train)


def test_soups_are_no_ingredients_of_the_next(world, cook):
    made = cook(seed=31)
    assert made.report.version.reference not in [c.reference for c in cook(seed=32).report.pot.candidates]

"""The doctor on real checkpoints and photos; mixes are scored here by the plain way, without any cache."""

import io
import json
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from vgsearch.cli.diagnose import diagnose_soup
from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.ensembling.candidates import Candidate
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.val_pass import TriedSoup
from vgsearch.errors import ConfigError, RegistryError
from vgsearch.models.checkpoint import load_network, save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.models.precision import resolve_precision
from vgsearch.registry.records import ModelVersion
from vgsearch.retrieval.scoring import score_sets
from vgsearch.training.initial_state import InitialState

EVAL = EvalConfig(resize_px=64)
CRITERION = Criterion.parse("val/mean/recall_at_1")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits(tiny_city):
    return {"night": tiny_city / "val_night", "day": tiny_city / "val_day"}


@pytest.fixture(scope="module")
def sets(splits):
    return {name: load_retrieval_set(folder, 25.0, name=name) for name, folder in splits.items()}


def score(network, sets):
    precision = resolve_precision("fp32", CPU)
    results = score_sets(network, list(sets.values()), eval_config=EVAL, device=CPU, precision=precision)
    return dict(zip(sets, results, strict=True))


@pytest.fixture(scope="module")
def pot(splits, sets, tmp_path_factory):
    """Three networks: two with one start and a step apart, one that began elsewhere."""
    home = tmp_path_factory.mktemp("pot")
    data = DataConfig(train="t", val={name: str(folder) for name, folder in splits.items()})
    found = []
    for number, (seed, step) in enumerate([(0, 0.0), (0, 0.02), (9, 0.0)], start=1):
        trial = TrialConfig(
            backbone="test_resnet",
            weights="none",
            descriptor_dim=16,
            image_px=64,
            seed=seed,
            precision="fp32",
        )
        spec = TrialSpec(search="grl", uid=f"grl-ab12-{number:04d}", trial=trial, data=data, eval=EVAL)
        network = build_network(trial)
        start = InitialState.of(network).to_metrics()
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for parameter in network.parameters():
                size = parameter.square().mean().sqrt()
                parameter += step * size * torch.randn(parameter.shape, generator=generator)
            if step:
                buffers = dict(network.named_buffers())
                buffers["backbone.trunk.bn1.running_mean"] += 0.1
                buffers["backbone.trunk.bn1.num_batches_tracked"] += 7
        folder = save_checkpoint(home / f"epoch_{number:04d}", network, spec, start)
        version = ModelVersion("grl", "vgsearch-grl", str(number), spec.uid, "run", 1, "0" * 64)
        results = score(load_network(folder), sets)
        found.append(Candidate(version, folder, spec, "hash", "test_resnet + gem + 16", results))
    return found


@pytest.fixture
def plain(pot, sets):
    """Scores a mix the plain way: weights added up one by one, every photo decoded anew."""
    recipes = []

    def try_soup(recipe, floor):
        assert floor is None
        recipes.append(recipe)
        states = [(load_file(pot[i].folder / "model.safetensors"), part) for i, part in recipe]
        mixed = {
            name: sum(state[name] * part for state, part in states) if tensor.is_floating_point() else tensor
            for name, tensor in states[0][0].items()
        }
        network = build_network(pot[0].spec.trial, load_weights=False)
        network.load_state_dict(mixed)
        results = score(network, sets)
        return TriedSoup(CRITERION.percent(results), results)

    try_soup.recipes = recipes
    return try_soup


@pytest.fixture
def constant(pot):
    """Scores every mix as the first model, for tests that are not about scores."""
    tried = TriedSoup(CRITERION.percent(pot[0].results), pot[0].results)
    recipes = []

    def try_soup(recipe, floor):
        recipes.append(recipe)
        return tried

    try_soup.recipes = recipes
    return try_soup


@pytest.fixture
def diagnose(pot, tmp_path):
    """Diagnose the pot in 80 columns; gives what was printed, and the plot."""

    def run(try_soup, *, candidates=pot, others=(), criterion=CRITERION, **options):
        console = Console(width=80, file=io.StringIO())
        path = diagnose_soup(
            candidates,
            others,
            [TriedSoup(CRITERION.percent(each.results), each.results) for each in candidates],
            try_soup,
            criterion,
            search="grl",
            home=tmp_path,
            console=console,
            **options,
        )
        return console.file.getvalue(), path

    return run


def test_the_report(diagnose, pot, plain, tmp_path):
    text, path = diagnose(plain, num_points=3, num_images=123)
    lines = text.splitlines()
    assert lines[0] == "diagnosis: 2 pairs, 1 network on each line: 2 scorings of val of 123 images"
    assert plain.recipes == [[(0, 0.5), (1, 0.5)], [(0, 0.5), (2, 0.5)]]
    assert "v2 is models:/vgsearch-grl/2, trial grl-ab12-0002" in text
    (same,) = [line for line in lines if line.startswith("v1 - v2") and " same " in line]
    (apart,) = [line for line in lines if line.startswith("v1 - v3") and " different " in line]
    assert " 1/" in same, "one BatchNorm layer moved"
    assert float(apart.split()[5]) == pytest.approx(2**0.5, abs=0.25), "linear layers drawn apart"
    assert "1 integer buffer differs at most" in text
    # The ends are the recorded recalls of both splits together, the middle is the plain way's.
    both = [[each.results[name].hits_at(1) for name in ("day", "night")] for each in pot]
    ends = [f"{100 * np.concatenate(hits).mean():.1f}" for hits in both]
    (line,) = [line.split()[3:] for line in lines if line.startswith("v1 - v2") and len(line.split()) == 6]
    middle = CRITERION.hits(plain([(0, 0.5), (1, 0.5)], None).results)
    assert line == [ends[0], f"{100 * middle.mean():.1f}", ends[1]]
    assert f"{len(middle)} queries" in text
    assert all(len(line) <= 80 for line in lines if not line.startswith(("diagnosis", "plot", "1 of")))
    assert path == tmp_path / "reports" / "grl" / "soup_diagnosis.png"
    assert lines[-1] == f"plot: {path}"
    assert Image.open(path).format == "PNG"


def test_points_are_shares_of_the_second(diagnose, constant):
    text, _ = diagnose(constant, num_points=4, top_k=1, tries_both=True)
    assert [part for _, part in constant.recipes[0]] == pytest.approx([2 / 3, 1 / 3])
    assert [part for _, part in constant.recipes[1]] == pytest.approx([1 / 3, 2 / 3])
    assert "1 pair, 2 networks on each line: 2 scorings of val, at most twice that" in text


def test_all_pairs_and_others(diagnose, pot, constant):
    other = replace(pot[2], architecture="else", architecture_in_words="vgg16 + gem + 512")
    text, _ = diagnose(constant, num_points=3, all_pairs=True, others=[other])
    assert [[index for index, _ in recipe] for recipe in constant.recipes] == [[0, 1], [0, 2], [1, 2]]
    assert "left out: models:/vgsearch-grl/3, of another architecture (vgg16 + gem + 512)" in text


def test_top_k(diagnose, constant):
    diagnose(constant, num_points=3, top_k=1)
    assert constant.recipes == [[(0, 0.5), (1, 0.5)]]


def test_a_pot_of_several_searches_names_them(diagnose, pot, constant):
    second = replace(
        pot[1], version=replace(pot[1].version, search="losses", name="vgsearch-losses", version="1")
    )
    text, _ = diagnose(constant, num_points=3, candidates=[pot[0], second])
    assert "grl v1 - losses v1" in text


def test_a_broken_mix_has_no_right_query(diagnose):
    text, _ = diagnose(lambda recipe, floor: TriedSoup(0.0, is_broken=True), num_points=3, top_k=1)
    (line,) = [line for line in text.splitlines() if line.startswith("v1 - v2") and len(line.split()) == 6]
    assert line.split()[4] == "0.0"


def test_recalibrated_mixes_are_said_to_be(diagnose, pot):
    tried = TriedSoup(0.0, pot[0].results, is_recalibrated=True)
    text, _ = diagnose(lambda recipe, floor: tried, num_points=3)
    assert "BatchNorm statistics were computed anew" in text


def test_a_record_without_hashes_is_unknown(diagnose, pot, constant, tmp_path):
    old = replace(pot[1], folder=copytree(pot[1].folder, tmp_path / "old"))
    (old.folder / "metrics.json").write_text(json.dumps({"epoch": 1}))
    text, _ = diagnose(constant, num_points=3, candidates=[pot[0], old])
    assert " unknown " in text


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"num_points": 2}, ConfigError, "a line has 3 to 9 points, got 2"),
        ({"num_points": 10}, ConfigError, "got 10"),
        ({"top_k": 0}, ConfigError, "1 or more others, got 0"),
        ({"criterion": Criterion.parse("test/day/recall_at_1")}, ConfigError, "reads selection splits alone"),
        ({"candidates": []}, RegistryError, "there is 0: let more trials end"),
    ],
)
def test_what_cannot_be_diagnosed_is_one_line(diagnose, constant, options, error, says):
    with pytest.raises(error, match=says) as caught:
        diagnose(constant, **options)
    assert "\n" not in str(caught.value)

"""A pass from cached images against the plain scoring, and what giving up early may and may not do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.ensembling.searched_store import build_world
from vgsearch.config.query_method import ONE_ROW
from vgsearch.config.search import DataConfig, EvalConfig
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.val_pass import ValPass
from vgsearch.ensembling.val_plan import plan_val
from vgsearch.models.precision import Precision
from vgsearch.retrieval.scoring import score_sets
from vgsearch.training.data_cache import load_val_sets

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
FP32 = Precision(torch.float32, use_scaler=False)


class ToyNetwork(nn.Module):
    """Strided convolution with BatchNorm, pooled over a grid; `blur` loses what tells places apart."""

    def __init__(self, seed=0, blur=0.0):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 5, stride=3)
        self.norm = nn.BatchNorm2d(8)
        self.blur = blur
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, images):
        features = self.norm(self.convolution(images.float() / 255)).relu()
        pooled = nn.functional.adaptive_avg_pool2d(features, 3).flatten(1)
        if self.blur:
            hashed = (images.float().mean(dim=(1, 2, 3), keepdim=True)[:, :, 0, 0] * 997) % 7
            pooled = pooled + self.blur * torch.sin(hashed * torch.arange(1, pooled.shape[1] + 1))
        return nn.functional.normalize(pooled, dim=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    data = build_world(tmp_path_factory.mktemp("world"))
    # A second split over the same database: the queries by day and by night.
    return DataConfig(train=data.train, val={"day": data.val, "night": data.val}, tests=data.tests)


@pytest.fixture
def make_pass(world, tmp_path):
    def make(criterion="val/mean/recall_at_1", batch_size=8, early_drop=True, scoring=None, **options):
        parsed = Criterion.parse(criterion)
        sets = load_val_sets(world)
        own = {split: sets[split] for split in parsed.splits(world)}
        return ValPass(
            own,
            parsed,
            eval_config=scoring or EvalConfig(batch_size=batch_size),
            device=CPU,
            precision=FP32,
            threads=2,
            folder=tmp_path,
            max_cache_bytes=10**9,
            early_drop=early_drop,
            **options,
        )

    return make


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_a_whole_pass_gives_the_results_of_plain_scoring(world, make_pass, batch_size):
    sets = load_val_sets(world)
    val_pass = make_pass(batch_size=batch_size)
    for seed in (0, 1):
        network = ToyNetwork(seed)
        expected = score_sets(
            network,
            list(sets.values()),
            eval_config=EvalConfig(batch_size=batch_size),
            device=CPU,
            precision=FP32,
        )
        tried = val_pass.run(network)
        for ours, theirs in zip(tried.results.values(), expected, strict=True):
            assert np.array_equal(ours.first_hit_rank, theirs.first_hit_rank)
            assert ours.stamp == theirs.stamp
            assert ours.num_without_positive == theirs.num_without_positive
        assert tried.value == np.mean([result.at(1).percent for result in expected])
        assert network.training  # its mode is left as it was
    assert val_pass.num_described == 2 * val_pass.num_images
    assert val_pass.num_decoded == val_pass.num_images  # once, for both networks
    # A database and queries that two splits share are described once.
    assert val_pass.num_images == len(sets["day"].database) + len(sets["day"].queries)
    val_pass.close()


@pytest.mark.parametrize("method", ONE_ROW)
def test_every_method_with_one_descriptor_a_query(world, make_pass, method):
    sets = load_val_sets(world)
    scoring = EvalConfig(query_method=method, crop_height_px=40, crop_width_px=56)
    val_pass = make_pass(scoring=scoring)
    for _ in range(2):  # from files, then from the cache
        tried = val_pass.run(ToyNetwork())
        expected = score_sets(
            ToyNetwork(), list(sets.values()), eval_config=scoring, device=CPU, precision=FP32
        )
        for ours, theirs in zip(tried.results.values(), expected, strict=True):
            assert np.array_equal(ours.first_hit_rank, theirs.first_hit_rank)
            assert ours.stamp == theirs.stamp
    assert val_pass.num_decoded == val_pass.num_images
    val_pass.close()


def test_giving_up_is_exact(make_pass):
    """Whatever the floor: only what is below it is given up, and never without a saving."""
    patient = make_pass(early_drop=False, batch_size=4)
    quick = make_pass(batch_size=4)
    num_given_up = 0
    for blur in (0.0, 0.5, 5.0):
        network = ToyNetwork(blur=blur)
        truth = patient.run(network)
        assert patient.run(network, 101.0).results is not None  # the flag
        for floor in (0.0, truth.value - 1, truth.value, truth.value + 1e-9, truth.value + 5, 90.0, 101.0):
            tried = quick.run(network, floor)
            if truth.value >= floor:
                assert tried.results is not None
            if tried.results is None:
                num_given_up += 1
                assert truth.value <= tried.value < floor
                assert tried.part < 1
                assert not tried.reaches(floor)
            else:
                assert tried.value == truth.value
                assert tried.reaches(floor) == (truth.value >= floor)
    assert num_given_up > 0
    patient.close()
    quick.close()


def test_a_hopeless_network_is_given_up_before_half_of_the_images(make_pass):
    val_pass = make_pass(batch_size=4)
    tried = val_pass.run(ToyNetwork(blur=50.0), 90.0)
    assert tried.results is None
    assert tried.part < 0.5
    assert val_pass.num_described == round(tried.part * val_pass.num_images)
    val_pass.close()


def test_descriptors_that_are_not_finite_are_worth_nothing(make_pass):
    network = ToyNetwork()
    with torch.no_grad():
        network.norm.running_var.fill_(-1.0)
    val_pass = make_pass()
    tried = val_pass.run(network.eval(), None)
    assert tried.is_broken
    assert tried.results is None
    assert not tried.reaches(0.0)
    val_pass.close()


def test_every_query_comes_after_its_positives_and_every_image_once(world):
    plan = plan_val(load_val_sets(world), EvalConfig(batch_size=4), threads=1)
    order = np.concatenate([step.ids for step in plan.steps])
    assert sorted(order) == list(range(len(plan)))
    place = np.argsort(order)
    for planned in plan.sets.values():
        for query in range(planned.positives.num_queries):
            rows = planned.positives.of(np.array([query])).ids + planned.first_database
            assert (place[rows] < place[planned.first_query + query]).all()


def test_passes_are_announced(make_pass):
    seen = []
    done = []
    val_pass = make_pass(on_pass=lambda: seen.append(1), progress=done.append)
    val_pass.run(ToyNetwork())
    val_pass.run(ToyNetwork())
    assert len(seen) == val_pass.num_passes == 2
    assert sum(done) == val_pass.num_described
    val_pass.close()

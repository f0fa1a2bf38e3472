"""What a worker says of each kind of end, with the actor's methods called as Tune calls them."""

import shutil

import pytest
import torch

from vgsearch.config.search import TrialSpec, TrunkSpec
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.trial_actor import MAX_DEATHS_PER_EPOCH, TrialActor


@pytest.fixture
def make_actor(load, tmp_path):
    """An actor outside Ray, on the middle trial of the quick space."""

    def make(*overrides, data=None, run="run-1"):
        document, resolved = load(*overrides)
        trial, _ = document.default_trial()
        spec = TrialSpec(
            search="quick", uid="quick-0", trial=trial, data=data or resolved, eval=document.eval
        )
        actor = TrialActor.__new__(TrialActor)
        actor.setup(
            {
                "spec": spec.model_dump_json(),
                "trials": str(tmp_path / "trials"),
                "threads": 1,
                "loader_threads": None,
                "processes": 1,
                "gpus": 0.0,
                "is_cluster": False,
                "run": run,
            }
        )
        return actor

    return make


def step(actor):
    return WorkerMessage.from_result(actor.step())


def test_each_step_sends_all_epochs_so_far(make_actor):
    actor = make_actor()
    assert [report["epoch"] for report in step(actor).epochs] == [1]
    message = step(actor)
    assert [report["epoch"] for report in message.epochs] == [1, 2]
    assert message.num_queries == 6
    assert not message.failed
    assert not message.halted


def test_a_resumed_trial_tells_before_it_trains(make_actor):
    first = make_actor()
    step(first)
    first.cleanup()
    resumed = make_actor()
    assert [report["epoch"] for report in step(resumed).epochs] == [1]
    assert [report["epoch"] for report in step(resumed).epochs] == [1, 2]


def test_cells_that_leave_too_few_classes_fail_the_trial_alone(make_actor):
    message = step(make_actor("trial.cells.min_images=500"))
    assert "min_images" in message.failed
    assert not message.halted


def test_a_lost_trunk_halts_the_search(make_actor, tmp_path):
    actor = make_actor()
    trunk = TrunkSpec(uid="quick-trunk", checkpoint="epoch_0001")
    actor._spec = actor._spec.model_copy(update={"trunk": trunk})
    message = step(actor)
    assert message.halted.startswith(f"{tmp_path}/trials/quick-trunk/epoch_0001: is no whole checkpoint")
    assert not message.failed


def test_an_image_that_cannot_be_read_halts_the_search(make_actor, tiny_city, tmp_path):
    city = tmp_path / "spoilt"
    shutil.copytree(tiny_city, city)
    for photo in (city / "train").glob("*.jpg"):
        photo.write_bytes(photo.read_bytes()[:500])
    actor = make_actor()
    spoilt = actor._spec.data.model_copy(update={"train": str(city / "train")})
    message = step(make_actor(data=spoilt))
    assert str(city / "train") in message.halted
    assert not message.failed


def test_a_loss_that_is_not_finite_fails_the_trial(make_actor):
    message = step(make_actor("trial.lr=1e30"))
    while not message.failed:
        message = step(make_actor("trial.lr=1e30"))
    assert "not finite" in message.failed
    assert not message.out_of_memory


def test_running_out_of_memory_is_told_apart(make_actor, monkeypatch):
    def train_epoch(self):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("vgsearch.search.trial_actor.Trainer.train_epoch", train_epoch)
    message = step(make_actor())
    assert message.out_of_memory
    assert "2 GiB" in message.failed


def test_a_worker_that_keeps_dying_in_one_epoch_is_given_up(make_actor):
    for _ in range(MAX_DEATHS_PER_EPOCH):
        make_actor()._open_trainer()  # and dies without a word
    assert "died 3 times" in step(make_actor()).failed


def test_interrupted_searches_are_no_deaths(make_actor):
    for run in range(MAX_DEATHS_PER_EPOCH + 1):
        make_actor(run=f"run-{run}")._open_trainer()
    assert not step(make_actor(run="run-last")).failed

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Choice, LogUniform, Space, Uniform
from vgsearch.search.proposal import decide_again, make_sampler, propose

SPACE = Space(
    {
        "lr": LogUniform(1e-5, 1e-2),
        "loss": Choice(
            (
                {"name": "cosface", "scale": Uniform(20, 64)},
                {"name": "arcface", "scale": Uniform(1, 2), "margin_rad": Uniform(0, 1)},
            )
        ),
    }
)


def run_search(config, num_trials, stop_and_reload_at=()):
    """Propose and finish trials one by one; a reload copies the history into a new study."""
    study = optuna.create_study(direction="maximize")
    decisions = []
    for number in range(num_trials):
        if number in stop_and_reload_at:
            reloaded = optuna.create_study(direction="maximize")
            reloaded.add_trials(study.get_trials())
            study = reloaded
        proposal, decided = propose(SPACE, config, study.get_trials())
        study.add_trial(proposal)
        decisions.append(decided)
        score = -np.log(decided["lr"]) + decided["loss"]["scale"]
        study.tell(number, score)
    return study, decisions


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_proposal_depends_on_history_seed_and_number_alone(name):
    config = SamplerConfig(name=name, seed=5, n_startup=3)
    _, straight = run_search(config, 8)
    _, broken = run_search(config, 8, stop_and_reload_at=(1, 4, 7))
    assert straight == broken


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_no_proposal_is_drawn_twice(name):
    study, _ = run_search(SamplerConfig(name=name, seed=0, n_startup=10), 12)
    assert len({str(sorted(trial.params.items())) for trial in study.trials}) == 12


def test_another_seed_is_another_search():
    assert run_search(SamplerConfig(seed=1), 3)[1] != run_search(SamplerConfig(seed=2), 3)[1]


def test_the_decided_section_is_rebuilt_from_the_stored_trial():
    study, decisions = run_search(SamplerConfig(seed=3), 6)
    assert [decide_again(SPACE, trial) for trial in study.trials] == decisions


def test_a_proposal_is_one_running_record_of_its_branch_alone():
    proposal, decided = propose(SPACE, SamplerConfig(seed=0), [])
    assert proposal.state == TrialState.RUNNING
    branch = proposal.params["trial.loss"]
    assert decided["loss"]["name"] in branch
    assert all(branch in name for name in proposal.params if name.startswith("trial.loss."))


def test_tpe_learns_where_random_does_not():
    """Oracle: on a smooth objective, TPE's last proposals beat those of random search."""

    def late_mean(name):
        scores = []
        for seed in range(3):
            study, _ = run_search(SamplerConfig(name=name, seed=seed, n_startup=5), 25)
            scores += [trial.value for trial in study.trials[-8:]]
        return np.mean(scores)

    assert late_mean("tpe") > late_mean("random")


def test_an_unfinished_trial_counts_as_taken():
    sampler = make_sampler(SamplerConfig(name="tpe"), 3)
    assert sampler._constant_liar

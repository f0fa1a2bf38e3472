import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Choice, LogUniform, Space, Uniform
from vgsearch.search.lessons import lessons
from vgsearch.search.proposal import propose

SPACE = Space({"lr": LogUniform(1e-5, 1e-2), "size": Choice((16, 32))})
LR = FloatDistribution(1e-5, 1e-2, log=True)
SIZE = CategoricalDistribution([16, 32])


def trial(params, distributions, **more):
    more = {"state": TrialState.COMPLETE, "value": 1.0, **more}
    return create_trial(params=params, distributions=distributions, **more)


OWN = trial({"trial.lr": 1e-3, "trial.size": 16}, {"trial.lr": LR, "trial.size": SIZE})
WIDER = trial(
    {"trial.lr": 1e-3, "trial.size": 32},
    {
        "trial.lr": FloatDistribution(1e-9, 1, log=True),
        "trial.size": CategoricalDistribution([8, 32, 64]),
    },
)
OUTSIDE = trial({"trial.lr": 0.5}, {"trial.lr": FloatDistribution(1e-9, 1, log=True)})
OTHER_OPTION = trial(
    {"trial.lr": 1e-3, "trial.size": 8},
    {"trial.lr": LR, "trial.size": CategoricalDistribution([8, 32])},
)
UNKNOWN = trial(
    {"trial.lr": 1e-3, "trial.rate": 0.5}, {"trial.lr": LR, "trial.rate": FloatDistribution(0, 1)}
)
PARTIAL = trial({"trial.lr": 1e-3}, {"trial.lr": LR})


def test_only_trials_that_the_space_could_have_proposed_are_told():
    history = [OWN, WIDER, OUTSIDE, OTHER_OPTION, UNKNOWN, PARTIAL]
    told = lessons(SPACE, history, whole=False)
    assert [each.params for each in told] == [OWN.params, WIDER.params, PARTIAL.params]
    assert [each.params for each in lessons(SPACE, history, whole=True)] == [OWN.params, WIDER.params]


def test_they_are_told_with_the_ranges_and_choices_of_now():
    (told,) = lessons(SPACE, [WIDER], whole=True)
    assert told.distributions == {"trial.lr": LR, "trial.size": SIZE}
    assert WIDER.distributions["trial.size"].choices == (8, 32, 64)  # the history stays as it is


def test_values_states_reports_and_constraints_are_told():
    stopped = trial(
        OWN.params,
        OWN.distributions,
        state=TrialState.PRUNED,
        value=None,
        intermediate_values={1: 3.0, 2: 4.0},
        constraints={"query_ms": 2.5},
    )
    running = trial(OWN.params, OWN.distributions, state=TrialState.RUNNING, value=None)
    told = lessons(SPACE, [OWN, stopped, running], whole=True)
    assert [each.state for each in told] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING]
    assert told[0].value == 1.0
    assert told[1].intermediate_values == {1: 3.0, 2: 4.0}
    assert told[1].constraints == {"query_ms": 2.5}


def test_cma_es_does_not_go_on_in_other_ranges():
    attrs = {"cma:generation": 3, "other": 1}
    same, other = (
        trial({"trial.lr": 1e-3}, {"trial.lr": lr}, system_attrs=dict(attrs))
        for lr in (LR, FloatDistribution(1e-4, 1e-2, log=True))
    )
    told = lessons(SPACE, [same, other], whole=False)
    assert [each.system_attrs for each in told] == [attrs, {"other": 1}]


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "random", "grid", "qmc"])
def test_no_sampler_stumbles_over_another_searchs_trials(name):
    space = Space({"lr": LogUniform(1e-5, 1e-2), "scale": Uniform(0, 1)})
    history = [OWN, WIDER, OUTSIDE, OTHER_OPTION, UNKNOWN, PARTIAL] * 3
    config = SamplerConfig(name=name, n_startup=2)
    study = optuna.create_study(direction="maximize")
    for number in range(4):
        proposal, _ = propose(space, config, [*history, *study.trials], number)
        study.add_trial(proposal)
        study.tell(number, 1.0 * number)

import json
from collections import Counter

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Choice, IntRange, LogUniform, Space, Uniform
from vgsearch.errors import SearchError
from vgsearch.search.distributions import optuna_distribution
from vgsearch.search.proposal import MAX_ATTEMPTS, decide_again, propose

optuna.logging.set_verbosity(optuna.logging.ERROR)

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
FLAT = Space({"lr": LogUniform(1e-5, 1e-2), "scale": Uniform(20, 64), "dim": IntRange(1, 9)})
ALL = ["tpe", "gp", "cmaes", "random", "grid", "qmc"]


def space_for(name):
    return FLAT if name in ("gp", "cmaes") else SPACE


def score(decided):
    loss = decided.get("loss", decided)
    return float(-np.log(decided["lr"]) + loss["scale"])


def run_search(config, num_trials, stop_and_reload_at=(), space=None, **options):
    """Propose and finish trials one by one; a reload copies the history into a new study."""
    space = space or space_for(config.name)
    study = optuna.create_study(direction="maximize")
    decisions = []
    for number in range(num_trials):
        if number in stop_and_reload_at:
            reloaded = optuna.create_study(direction="maximize")
            reloaded.add_trials(study.get_trials())
            study = reloaded
        proposal, decided = propose(space, config, study.get_trials(), number, **options)
        study.add_trial(proposal)
        decisions.append(decided)
        study.tell(number, score(decided))
    return study, decisions


@pytest.mark.parametrize("name", ALL)
def test_a_proposal_depends_on_history_seed_and_number_alone(name):
    config = SamplerConfig(name=name, seed=5, n_startup=3)
    _, straight = run_search(config, 8)
    _, broken = run_search(config, 8, stop_and_reload_at=(1, 4, 7))
    assert straight == broken


@pytest.mark.parametrize("name", ALL)
def test_no_proposal_is_drawn_twice(name):
    study, _ = run_search(SamplerConfig(name=name, seed=0, n_startup=10), 12)
    assert len({str(sorted(trial.params.items())) for trial in study.trials}) == 12


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "random", "qmc"])
def test_another_seed_is_another_search(name):
    one, two = (run_search(SamplerConfig(name=name, seed=seed), 3)[1] for seed in (1, 2))
    assert all(a != b for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_the_decided_section_is_rebuilt_from_the_stored_trial(name):
    study, decisions = run_search(SamplerConfig(name=name, seed=3, n_startup=3), 6)
    assert [decide_again(space_for(name), trial) for trial in study.trials] == decisions


@pytest.mark.parametrize("name", ["tpe", "random", "grid", "qmc"])
def test_a_proposal_is_one_running_record_of_its_branch_alone(name):
    proposal, decided = propose(SPACE, SamplerConfig(name=name, seed=0), [], 0)
    assert proposal.state == TrialState.RUNNING
    branch = proposal.params["trial.loss"]
    assert decided["loss"]["name"] in branch
    assert all(branch in name for name in proposal.params if name.startswith("trial.loss."))
    known = {parameter.name: parameter.distribution for parameter in SPACE.parameters()}
    assert proposal.distributions == {name: optuna_distribution(known[name]) for name in proposal.params}


@pytest.mark.parametrize("name", ALL)
def test_a_proposal_survives_the_journal(name, tmp_path):
    """As JSON on disk and back, also with what CMA-ES and GP keep beside the parameters."""
    study, _ = run_search(SamplerConfig(name=name, seed=0, n_startup=2), 9)
    path = str(tmp_path / "x.journal")
    stored = optuna.create_study(storage=JournalStorage(JournalFileBackend(path)), study_name="x")
    stored.add_trials(study.trials)
    loaded = optuna.load_study(study_name="x", storage=JournalStorage(JournalFileBackend(path))).trials
    config, space = SamplerConfig(name=name, seed=0, n_startup=2), space_for(name)
    assert propose(space, config, loaded, 9)[1] == propose(space, config, study.trials, 9)[1]


@pytest.mark.parametrize(("name", "num_trials"), [("tpe", 25), ("gp", 14)])
def test_a_model_learns_where_random_does_not(name, num_trials):
    """Oracle: on a smooth objective, a model's last proposals beat those of random search."""

    def late_mean(name, space):
        scores = []
        for seed in range(3):
            config = SamplerConfig(name=name, seed=seed, n_startup=5)
            study, _ = run_search(config, num_trials, space=space)
            scores += [trial.value for trial in study.trials[-8:]]
        return np.mean(scores)

    space = space_for(name)
    assert late_mean(name, space) > late_mean("random", space)


def infeasible_right_half(number, x, *, measured):
    """A trial on [0, 1] whose objective is x, and which is above a constraint where x > 0.5."""
    is_above = measured and x > 0.5
    return optuna.trial.create_trial(
        state=TrialState.PRUNED if is_above else TrialState.COMPLETE,
        value=None if is_above else x,
        params={"trial.x": x},
        distributions={"trial.x": optuna_distribution(Uniform(0, 1))},
        intermediate_values={1: x},
        constraints={"query_ms": x - 0.5} if is_above else None,
    )


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("measured", [True, False])
def test_tpe_avoids_what_was_measured_to_break_a_constraint(measured):
    """Oracle: one uninterrupted study of Optuna's own, which is told of the constraint as it goes."""

    def ours(seed):
        space, config = Space({"x": Uniform(0, 1)}), SamplerConfig(seed=seed, n_startup=8)
        history = []
        for number in range(40):
            proposal, _ = propose(space, config, history, number)
            history.append(infeasible_right_half(number, proposal.params["trial.x"], measured=measured))
        return [trial.params["trial.x"] for trial in history]

    def optunas(seed):
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=8, multivariate=True, group=True, constant_liar=True
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for _ in range(40):
            trial = study.ask()
            x = trial.suggest_float("x", 0, 1)
            trial.report(x, 1)
            if measured and x > 0.5:
                trial.set_constraint("query_ms", x - 0.5)
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, x)
        return [trial.params["x"] for trial in study.trials]

    def share_well_above(search):
        return np.mean([np.array(search(seed)[20:]) > 0.6 for seed in range(4)])

    # The better values lie above: without the constraint TPE goes there.
    assert share_well_above(ours) < 0.35 if measured else share_well_above(ours) > 0.8
    assert share_well_above(ours) == pytest.approx(share_well_above(optunas), abs=0.15)


def test_an_unfinished_trial_counts_as_taken():
    """Oracle: with many trials running at once, the next ones keep away from them."""
    space, config = Space({"x": Uniform(0, 1)}), SamplerConfig(seed=0, n_startup=5)
    history = []
    for number in range(10):
        proposal, _ = propose(space, config, history, number)
        x = proposal.params["trial.x"]
        history.append(infeasible_right_half(number, x, measured=False))
    crowd = []
    for number in range(10, 18):
        crowd.append(propose(space, config, history + crowd, number)[0])
    told = [propose(space, config, history, number)[0] for number in range(10, 18)]
    spread = [np.std([trial.params["trial.x"] for trial in trials]) for trials in (crowd, told)]
    assert spread[0] > spread[1]


class TestCmaEs:
    """A search through in-memory copies against one uninterrupted study of Optuna's."""

    def ours(self, num_trials, target):
        config = SamplerConfig(name="cmaes", seed=1, n_startup=3)
        study = optuna.create_study(direction="maximize")
        for number in range(num_trials):
            proposal, decided = propose(FLAT, config, study.get_trials(), number)
            study.add_trial(proposal)
            study.tell(number, target(proposal.params))
        return study

    def optunas(self, num_trials, target):
        sampler = optuna.samplers.CmaEsSampler(seed=1, n_startup_trials=3)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        known = {p.name: optuna_distribution(p.distribution) for p in FLAT.parameters()}
        for _ in range(num_trials):
            trial = study.ask(known)
            study.tell(trial, target(trial.params))
        return study

    @staticmethod
    def target(params):
        log = (np.log10(params["trial.lr"]) + 4) / 3
        scale, dim = (params["trial.scale"] - 30) / 44, (params["trial.dim"] - 7) / 8
        return -float(log**2 + scale**2 + dim**2)

    def test_generations_advance_as_in_one_study(self):
        ours, theirs = self.ours(40, self.target), self.optunas(40, self.target)
        generations = [
            [trial.system_attrs.get("cma:generation", -1) for trial in study.trials]
            for study in (ours, theirs)
        ]
        assert generations[0] == generations[1]
        assert max(generations[0]) >= 4

    def test_it_converges_as_in_one_study(self):
        late = [
            np.mean([trial.value for trial in study.trials[-14:]])
            for study in (self.ours(80, self.target), self.optunas(80, self.target))
        ]
        assert min(late) > -0.02
        early = np.mean([trial.value for trial in self.ours(10, self.target).trials])
        assert early < 4 * min(late)


@pytest.mark.parametrize("name", ["gp", "cmaes"])
def test_gp_and_cmaes_learn_from_complete_trials_only(name):
    config = SamplerConfig(name=name, seed=0, n_startup=4)
    study, _ = run_search(config, 6)
    before = propose(FLAT, config, study.trials, 6)[1]
    stopped = [
        optuna.trial.create_trial(
            state=TrialState.PRUNED,
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values={1: 99.0},
        )
        for trial in study.trials[:3]
    ]
    assert propose(FLAT, config, [*study.trials, *stopped], 6)[1]["lr"] == pytest.approx(
        before["lr"], rel=0.2 if name == "gp" else 10
    )
    fresh = propose(FLAT, config, stopped * 5, 6)[1]
    assert fresh == propose(FLAT, config, [], 6)[1]  # still starting up


class TestGrid:
    CONFIG = SamplerConfig(name="grid", grid_points=3)

    def walk(self, limit=1000, refuse=lambda _: "", start_with=()):
        history = []
        while len(history) < limit:
            found = propose(SPACE, self.CONFIG, history, len(history), start_with=start_with, refuse=refuse)
            if found is None:
                break
            history.append(found[0])
        return history

    def test_all_combinations_once_and_then_nothing(self):
        params = [json.dumps(trial.params) for trial in self.walk()]
        assert len(params) == len(set(params)) == 3 * (3 + 3 * 3)

    def test_refused_combinations_are_skipped(self):
        history = self.walk(refuse=lambda d: "no" if d["loss"]["name"] == "cosface" else "")
        assert len(history) == 3 * 9
        assert {trial.params["trial.loss"] for trial in history} == {"1_arcface"}

    def test_what_is_refused_only_later_is_neither_repeated_nor_counted(self):
        """As after a trial that ran out of memory: those before it are refused now, but were tried."""
        history = self.walk(limit=2)
        refuse = lambda d: "ran out" if d["loss"]["name"] == "cosface" else ""  # noqa: E731
        following, _ = propose(SPACE, self.CONFIG, history, 2, refuse=refuse)
        all_of_it = self.walk()
        expected = next(trial for trial in all_of_it if trial.params["trial.loss"] == "1_arcface")
        assert following.params == expected.params

    def test_a_start_that_is_a_combination_is_not_tried_again(self):
        start = {"trial.lr": 1e-5, "trial.loss": "0_cosface", "trial.loss.0_cosface.scale": 20.0}
        history = self.walk(start_with=[start])
        assert history[0].params == start
        assert Counter(json.dumps(t.params, sort_keys=True) for t in history).most_common(1)[0][1] == 1
        assert len(history) == 36

    def test_what_a_start_leaves_open_is_the_middle(self):
        (trial,) = self.walk(limit=1, start_with=[{"trial.loss": "1_arcface"}])
        assert trial.params["trial.loss.1_arcface.margin_rad"] == 0.5


@pytest.mark.parametrize("name", ALL)
class TestStartWith:
    def entry(self, name, lr=1.5e-4):
        return {"trial.lr": lr} if name in ("gp", "cmaes") else {"trial.lr": lr, "trial.loss": "1_arcface"}

    def test_named_values_are_fixed_and_the_others_decided(self, name):
        config = SamplerConfig(name=name, seed=0, n_startup=2)
        entries = [self.entry(name, lr) for lr in (1.5e-4, 2.5e-4, 3.5e-4, 4.5e-4)]
        study, decisions = run_search(config, 6, start_with=entries)
        for trial, entry in zip(study.trials, entries, strict=False):
            assert {key: trial.params[key] for key in entry} == entry
        fixed = {entry["trial.lr"] for entry in entries}
        assert [decided["lr"] in fixed for decided in decisions] == [True] * 4 + [False] * 2
        others = [{k: v for k, v in t.params.items() if k not in entries[0]} for t in study.trials[:4]]
        if name == "grid":  # which leaves them in the middle
            assert others == [{"trial.loss.1_arcface.scale": 1.5, "trial.loss.1_arcface.margin_rad": 0.5}] * 4
        else:
            assert len({str(each) for each in others}) > 1

    def test_a_refused_entry_is_named_with_its_reason(self, name):
        with pytest.raises(SearchError, match=r"search\.start_with\[1\] cannot be run: too slow; change or"):
            propose(
                space_for(name),
                SamplerConfig(name=name),
                [],
                1,
                start_with=[{}, self.entry(name)],
                refuse=lambda decided: "too slow" if decided["lr"] == 1.5e-4 else "",
            )

    def test_a_value_outside_its_range_is_named(self, name):
        with pytest.raises(
            SearchError, match=r"start_with\[0\]: trial.lr must come from !loguniform .*got 7"
        ):
            propose(space_for(name), SamplerConfig(name=name), [], 0, start_with=[{"trial.lr": 7}])

    def test_an_unknown_name_is_named(self, name):
        with pytest.raises(SearchError, match=r"start_with\[0\]: trial.rate is no searched value"):
            propose(space_for(name), SamplerConfig(name=name), [], 0, start_with=[{"trial.rate": 7}])


def test_what_the_sampler_decides_of_a_start_may_be_drawn_again():
    """The entry itself is fine: only the scale that is drawn beside it can be refused."""
    refuse = lambda d: "too large" if d["loss"]["scale"] > 30 else ""  # noqa: E731
    start = [{"trial.loss": "0_cosface"}] * 5
    for number in range(5):
        _, decided = propose(SPACE, SamplerConfig(seed=1), [], number, start_with=start, refuse=refuse)
        assert decided["loss"]["scale"] <= 30


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "random", "qmc"])
class TestRefuse:
    @staticmethod
    def refuse(decided):
        return "lr is below 1e-3" if decided["lr"] < 1e-3 else ""

    def test_a_refused_trial_is_never_proposed(self, name):
        config = SamplerConfig(name=name, seed=0, n_startup=4)
        _, decisions = run_search(config, 10, refuse=self.refuse)
        assert all(decided["lr"] >= 1e-3 for decided in decisions)
        assert len({decided["lr"] for decided in decisions}) == 10
        assert decisions == run_search(config, 10, refuse=self.refuse, stop_and_reload_at=(3, 8))[1]

    def test_what_is_not_refused_stays_what_it_was(self, name):
        config = SamplerConfig(name=name, seed=0, n_startup=4)
        free = run_search(config, 6)[1]
        assert run_search(config, 6, refuse=lambda _: "")[1] == free

    def test_it_gives_up_with_the_last_reason(self, name):
        asked = []
        with pytest.raises(
            SearchError, match="none of 100 proposals in a row can be run, the last because 99;"
        ):
            propose(
                space_for(name),
                SamplerConfig(name=name, n_startup=2),
                [],
                0,
                refuse=lambda d: asked.append(d) or str(len(asked) - 1),
            )
        assert len(asked) == MAX_ATTEMPTS
        assert len({decided["lr"] for decided in asked}) == MAX_ATTEMPTS

    def test_a_small_corner_is_found_before_anything_is_known(self, name):
        """One trial in twenty can be run; being told of refused ones must not lead away from it."""
        found = [
            propose(
                space_for(name),
                SamplerConfig(name=name, seed=seed, n_startup=3),
                [],
                0,
                refuse=lambda d: "" if d["lr"] > 10 ** (-2 - 3 / 20) else "no",
            )
            for seed in range(5)
        ]
        assert all(decided["lr"] > 10**-2.15 for _, decided in found)


@pytest.mark.parametrize("name", ALL)
def test_nothing_searched_is_a_proposal_for_every_sampler(name):
    proposal, decided = propose(Space({"lr": 1.0}), SamplerConfig(name=name), [], 0)
    assert (proposal.params, decided) == ({}, {"lr": 1.0})

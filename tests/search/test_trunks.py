"""Trunks in the ledger: trained once, before the trials that branch from them, and in nobody's way."""

import pytest
from optuna.storages.journal import JournalFileBackend

from tests.search import ledger_run
from vgsearch.config.branch import trunk_key, trunk_trial
from vgsearch.config.document import load_document
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import SearchError
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.search.events import nobody
from vgsearch.search.finalists import searched
from vgsearch.search.ledger import Ledger
from vgsearch.search.memory import Holding
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.status import read_status
from vgsearch.search.study import EPOCHS, REASON, REPEAT_OF, STATE, TRUNK, TRUNK_TRIAL, Study, read_trials
from vgsearch.search.warm_start import read_warm_start

BRANCH = "search.branch={trunk_epochs: 2}"
TWO = "trial.descriptor_dim=!choice [16, 32]"
FINALISTS = "search.finalists={top: 1, seeds: 2}"
KEPT = (STATE, REASON, EPOCHS, TRUNK)


@pytest.fixture
def open_ledger(space_file, tiny_city, tmp_path):
    """Open the ledger of a search, or of one that is there, to hand its trials out by hand."""
    opened = []

    def go(*overrides, gpus=0.5, watch=nobody):
        document = load_document(space_file, overrides, data_root=tiny_city.parent)
        data = document.resolved_data(tiny_city.parent)
        for study in opened:
            study.close()
        study = ledger_run.open_study(document, data, tmp_path, resume=bool(opened))
        opened.append(study)
        return Ledger(document, data, study, MemoryRegistry(), watch, holding=Holding(gpus))

    yield go
    for study in opened:
        study.close()


def is_trunk(trial):
    return TRUNK in trial.user_attrs


def states(trials):
    return [trial.user_attrs.get(STATE) for trial in trials]


def suggestions(trials):
    return [(trial.params, trial.intermediate_values) for trial in searched(trials)]


def tell(ledger, spec, home, epochs=None):
    """Let a worker tell `epochs` epochs, or all."""
    reports = [ledger_run.report(spec, epoch, home) for epoch in range(1, (epochs or spec.trial.epochs) + 1)]
    return ledger.receive(WorkerMessage(spec.uid, tuple(reports), num_queries=100))


def fail(ledger, spec, reason="loss is not finite", **options):
    ledger.receive(WorkerMessage(spec.uid, (), failed=reason, **options))


# One architecture, one trial at a time.


def test_one_trunk_is_trained_first_and_every_trial_starts_from_it(open_ledger, tmp_path):
    ledger = open_ledger(BRANCH, "search.num_trials=3")
    trunk = ledger.next_spec()
    assert trunk.trunk is None
    assert trunk.trial == trunk_trial(ledger.document, trunk.trial)
    assert (trunk.trial.epochs, trunk.trial.seed) == (2, 0)
    assert ledger.next_spec() is None
    assert ledger.is_waiting
    tell(ledger, trunk, tmp_path)
    starts = []
    while (spec := ledger.next_spec()) is not None:
        starts.append((spec.trunk.uid, spec.trunk.checkpoint))
        assert spec.trial.epochs == 3
        tell(ledger, spec, tmp_path)
    assert not ledger.is_waiting
    assert starts == [(trunk.uid, "epoch_0002")] * 3
    trials = ledger.study.trials()
    assert [is_trunk(trial) for trial in trials] == [True, False, False, False]
    assert trials[0].user_attrs[TRUNK] == trunk_key(trunk.trial)


def test_a_trunk_changes_nothing_in_what_is_proposed(search):
    branched, _, _ = search(BRANCH, "search.num_trials=6")
    plain, _, _ = search("search.num_trials=6", home="plain")
    assert suggestions(branched) == suggestions(plain)
    assert len(branched) == len(plain) + 1


def test_a_trunk_is_no_trial_of_the_search(search, tmp_path):
    trials, registry, champion = search(BRANCH, "search.num_trials=4", "search.constraints.query_ms=50")
    (trunk,) = [trial for trial in trials if is_trunk(trial)]
    # The middle of the space is a good trial in this world; it must not win, nor be a version.
    assert champion.number != trunk.number
    assert trunk.user_attrs["vgsearch.uid"] not in {v.uid for v in registry.versions("quick")}
    record = registry.trials("quick")[0]
    assert record.label == "trunk 0000 of test_resnet.r160_in1k"
    assert (record.state, record.tags["vgsearch.trunk"]) == ("complete", trunk.user_attrs[TRUNK])
    status = read_status(tmp_path / "runs", "quick")
    assert status.num_trials == 4
    assert [trial.is_trunk for trial in status.trials] == [True] + [False] * 4
    assert status.trials[0].settings == {
        "trial.backbone": "test_resnet.r160_in1k",
        "trial.descriptor_dim": 16,
    }


def test_a_trunk_trains_to_its_end_whatever_the_rules_say(open_ledger, tmp_path):
    # A scale above 60 makes queries slow in this world: the trials break the constraint, the trunk must not.
    slow = "trial.loss={name: cosface, scale: 61}"
    ledger = open_ledger(BRANCH, slow, "search.num_trials=2", "search.constraints.query_ms=50")
    while (spec := ledger.next_spec()) is not None:
        tell(ledger, spec, tmp_path)
    assert states(ledger.study.trials()) == ["complete", "infeasible", "infeasible"]
    assert len(ledger.study.trials()[0].intermediate_values) == 2


def test_repeats_start_from_the_trunk_of_their_trial(search, open_ledger):
    trials, _, _ = search(BRANCH, FINALISTS, "search.num_trials=3")
    assert sum(map(is_trunk, trials)) == 1
    repeats = [trial for trial in trials if REPEAT_OF in trial.user_attrs]
    assert states(repeats) == ["complete"] * 2


def test_an_extended_search_keeps_its_trunk(search):
    search(BRANCH, "search.num_trials=3")
    extended, _, _ = search(BRANCH, "search.num_trials=6")
    at_once, _, _ = search(BRANCH, "search.num_trials=6", home="other")
    assert suggestions(extended) == suggestions(at_once)
    assert sum(map(is_trunk, extended)) == 1


# Several architectures, several at a time.


def test_each_architecture_has_one_trunk(search):
    trials, registry, _ = search(BRANCH, TWO, "search.num_trials=8", "search.scheduler.name=none")
    trunks = [trial for trial in trials if is_trunk(trial)]
    dims = [trial.user_attrs["vgsearch.trunk_trial"]["descriptor_dim"] for trial in trunks]
    assert sorted(dims) == [16, 32]
    labels = [record.label for record in registry.trials("quick")]
    assert sum(label.startswith("trunk ") for label in labels) == 2
    assert states(trials) == ["complete"] * 10


def test_who_waits_does_not_hold_up_another_architecture(open_ledger, tmp_path):
    ledger = open_ledger(BRANCH, TWO, "search.num_trials=8", "search.scheduler.name=none")
    at_once = 4
    first = ledger.next_spec(at_once)
    second = ledger.next_spec(at_once)
    # Both are trunks: while trials of the first architecture wait, the other's trunk trains.
    assert first.trunk is None
    assert second.trunk is None
    assert first.trial.descriptor_dim != second.trial.descriptor_dim
    assert ledger.next_spec(at_once) is None
    assert ledger.is_waiting
    waiting = [trial for trial in ledger.study.trials() if not is_trunk(trial)]
    assert len(waiting) <= at_once, "no more is proposed than may run at once"
    tell(ledger, second, tmp_path)
    begun = []
    while (spec := ledger.next_spec(at_once)) is not None:
        begun.append(spec)
    assert begun
    assert {spec.trial.descriptor_dim for spec in begun} == {second.trial.descriptor_dim}
    assert {spec.trunk.uid for spec in begun} == {second.uid}
    assert len(begun) <= at_once
    tell(ledger, first, tmp_path)
    third = ledger.next_spec(at_once)
    assert third.trunk.uid == first.uid


def test_a_full_search_in_any_order_of_endings(open_ledger, tmp_path):
    ledger = open_ledger(BRANCH, TWO, "search.num_trials=9", "search.scheduler.name=none")
    running, seen = [], []
    bound = ledger.most_to_hand_out
    for turn in range(100):
        while len(running) < 3 and (spec := ledger.next_spec(3)) is not None:
            running.append(spec)
            seen.append(spec)
        if not running:
            break
        assert len(running) <= 3
        tell(ledger, running.pop(turn * 7 % len(running)), tmp_path)
    assert not ledger.is_waiting
    assert sum(spec.trunk is not None for spec in seen) == 9
    assert len(seen) <= bound
    assert states(ledger.study.trials()) == ["complete"] * len(seen)
    for spec in seen:
        if spec.trunk is not None:
            trunk = next(each for each in seen if each.uid == spec.trunk.uid)
            assert trunk.trial.descriptor_dim == spec.trial.descriptor_dim
            assert seen.index(trunk) < seen.index(spec)


# What can go wrong.


def test_a_trunk_that_fails_ends_a_search_of_one_architecture(open_ledger):
    ledger = open_ledger(BRANCH, "search.num_trials=5")
    fail(ledger, ledger.next_spec())
    assert ledger.next_spec() is None
    assert not ledger.is_waiting
    trunk, waiting = ledger.study.trials()
    assert states([trunk, waiting]) == ["failed", "failed"]
    assert waiting.user_attrs[REASON] == "its trunk, trial 0, failed: loss is not finite"
    assert "its trunk, trial 0, failed: loss is not finite" in ledger.cut_short_by
    assert ledger.champion() is None


def test_a_trunk_that_fails_takes_its_own_architecture_alone(open_ledger, tmp_path):
    ledger = open_ledger(BRANCH, TWO, "search.num_trials=6", "search.scheduler.name=none")
    first = ledger.next_spec()
    fail(ledger, first)
    others = []
    while (spec := ledger.next_spec()) is not None:
        others.append(spec)
        tell(ledger, spec, tmp_path)
    assert {spec.trial.descriptor_dim for spec in others} == {16, 32} - {first.trial.descriptor_dim}
    own = searched(ledger.study.trials())
    assert len(own) == 6
    assert states(own) == ["failed"] + ["complete"] * 5
    assert ledger.cut_short_by == ""


def test_a_trunk_that_ran_out_of_memory_is_tried_again_on_a_larger_share(open_ledger, tmp_path):
    ledger = open_ledger(BRANCH, "search.num_trials=3", gpus=0.25)
    fail(ledger, ledger.next_spec(), "out of GPU memory", out_of_memory=True)
    assert ledger.next_spec() is None
    assert "its trunk, trial 0, ran out of memory: out of GPU memory" in ledger.cut_short_by
    same = open_ledger(BRANCH, "search.num_trials=3", gpus=0.25)
    assert same.next_spec() is None
    larger = open_ledger(BRANCH, "search.num_trials=3", gpus=0.5)
    trunk = larger.next_spec()
    assert trunk.trunk is None
    tell(larger, trunk, tmp_path)
    assert larger.next_spec().trunk.uid == trunk.uid


def test_a_lost_trunk_is_a_failed_one(open_ledger):
    ledger = open_ledger(BRANCH)
    ledger.lost(ledger.next_spec().uid, "its worker died")
    assert ledger.next_spec() is None
    assert ledger.study.trials()[1].user_attrs[REASON] == "its trunk, trial 0, failed: its worker died"


def test_a_budget_that_ends_within_a_trunk_and_a_larger_one(open_ledger, tmp_path):
    # An epoch is 36 s on half a GPU.
    rest = (BRANCH, "search.num_trials=2", "search.scheduler.name=none")
    ledger = open_ledger(*rest, "search.budget.gpu_hours=0.005")
    assert not tell(ledger, ledger.next_spec(), tmp_path, epochs=1)
    assert ledger.next_spec() is None
    assert not ledger.is_waiting
    assert states(ledger.study.trials()) == ["stopped", "stopped"]
    longer = open_ledger(*rest, "search.budget.gpu_hours=1")
    trunk = longer.next_spec()
    assert trunk.trunk is None
    tell(longer, trunk, tmp_path)
    while (spec := longer.next_spec()) is not None:
        assert spec.trunk.uid == trunk.uid
        tell(longer, spec, tmp_path)
    assert states(longer.study.trials()) == ["stopped", "stopped", "complete", "complete"]


# Killed and resumed.


@pytest.mark.parametrize("trials_told", [0, 1])
def test_a_killed_search_goes_on_with_its_trunks_first(open_ledger, tmp_path, trials_told):
    sets = (BRANCH, TWO, "search.num_trials=6", "search.scheduler.name=none")
    ledger = open_ledger(*sets)
    trunk = ledger.next_spec(3)
    other = ledger.next_spec(3)
    if trials_told:
        tell(ledger, trunk, tmp_path, epochs=1)
    again = open_ledger(*sets)
    specs = [again.next_spec(3), again.next_spec(3)]
    assert specs == [trunk, other]
    assert again.next_spec(3) is None
    assert again.is_waiting
    tell(again, trunk, tmp_path)
    assert again.next_spec(3).trunk.uid == trunk.uid


def test_killed_while_a_branch_trains_it_keeps_its_trunk(open_ledger, tmp_path):
    ledger = open_ledger(BRANCH, "search.scheduler.name=none")
    tell(ledger, ledger.next_spec(), tmp_path)
    spec = ledger.next_spec()
    tell(ledger, spec, tmp_path, epochs=1)
    assert open_ledger(BRANCH, "search.scheduler.name=none").next_spec() == spec


def test_a_trunk_of_an_earlier_version_is_known(open_ledger, tmp_path, monkeypatch):
    """Whose trials lacked a key, so that it named the trunk otherwise."""
    real = Study.add_running

    def earlier(self, trial):
        if is_trunk(trial):
            stored = trial.user_attrs[TRUNK_TRIAL]
            augment = {key: value for key, value in stored["augment"].items() if key != "perspective"}
            trial.set_user_attr(TRUNK_TRIAL, {**stored, "augment": augment})
            trial.set_user_attr(TRUNK, "trunk-0123456789abcdef")
        return real(self, trial)

    monkeypatch.setattr(Study, "add_running", earlier)
    ledger = open_ledger(BRANCH, "search.scheduler.name=none")
    tell(ledger, ledger.next_spec(), tmp_path)
    spec = ledger.next_spec()
    tell(ledger, spec, tmp_path, epochs=1)
    monkeypatch.undo()
    again = open_ledger(BRANCH, "search.scheduler.name=none")
    assert again.next_spec() == spec
    assert sum(map(is_trunk, again.study.trials())) == 1


def test_killed_between_the_trunk_and_its_trial(open_ledger, tmp_path, monkeypatch):
    real = Study.add_running

    def die_second(self, trial):
        if self.trials():
            raise KeyboardInterrupt
        return real(self, trial)

    monkeypatch.setattr(Study, "add_running", die_second)
    with pytest.raises(KeyboardInterrupt):
        open_ledger(BRANCH).next_spec()
    monkeypatch.undo()
    ledger = open_ledger(BRANCH)
    trunk = ledger.next_spec()
    assert trunk.trunk is None
    tell(ledger, trunk, tmp_path)
    assert ledger.next_spec().trunk.uid == trunk.uid
    assert len(ledger.study.trials()) == 2


def test_another_branch_is_another_search(search, tmp_path, space_file, tiny_city):
    search(BRANCH)
    document = load_document(space_file, ("name=next",), data_root=tiny_city.parent)
    identity = ledger_run.search_identity(document, document.resolved_data(tiny_city.parent))
    with pytest.raises(SearchError, match=r"search\.branch is {'trunk_epochs': 2} there and None here"):
        read_warm_start(tmp_path / "runs", "quick", document, identity)


def test_gc_keeps_trunks(search, tmp_path):
    from vgsearch.search.gc import find_unreferenced

    trials, _, _ = search(BRANCH)
    trunk = tmp_path / "runs" / "trials" / trials[0].user_attrs["vgsearch.uid"]
    assert trunk.is_dir()
    assert trunk not in [garbage.path for garbage in find_unreferenced(tmp_path / "runs")]


def test_stored_trunks_are_whole_configurations(search):
    trials, _, _ = search(BRANCH)
    stored = trials[0].user_attrs["vgsearch.trunk_trial"]
    assert TrialConfig.model_validate(stored).model_dump(mode="json") == stored
    assert trials[0].params == {}


@pytest.mark.slow
def test_a_stop_after_any_write_to_the_study_changes_nothing(search, monkeypatch, tmp_path):
    """As test_faults kills after every write, MLflow's too; this one is quick and sees the study alone."""
    sets = (BRANCH, TWO, "search.branch.trunk_epochs=1", "search.num_trials=3", "trial.epochs=1")
    real = JournalFileBackend.append_logs
    left = [0]

    def stop_in_time(self, logs):
        real(self, logs)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    def standing(home):
        return [
            (
                trial.number,
                trial.state,
                trial.params,
                trial.intermediate_values,
                *map(trial.user_attrs.get, KEPT),
            )
            for trial in read_trials(tmp_path / home, "quick")
        ]

    monkeypatch.setattr(JournalFileBackend, "append_logs", stop_in_time)
    search(*sets, home="quiet")
    writes, expected = -left[0], standing("quiet")
    assert sum(row[-1] is not None for row in expected) == 2
    for write in range(1, writes + 1):
        home = f"stopped_{write}"
        left[0] = write
        with pytest.raises(KeyboardInterrupt):
            search(*sets, home=home)
        search(*sets, home=home)
        assert standing(home) == expected, f"stopped after write {write} of {writes}"

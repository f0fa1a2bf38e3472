from __future__ import annotations

import pytest
from pydantic import ValidationError

from vgsearch.config.branch import trunk_key, trunk_trial
from vgsearch.config.branch_checks import check_branch
from vgsearch.config.search import BranchConfig, DataConfig, TrialSpec, TrunkSpec
from vgsearch.config.source import read_text
from vgsearch.config.tree import Place, variants
from vgsearch.config.trial import BackboneConfig, TrialConfig
from vgsearch.config.yaml_tags import parse_yaml

SPACE = """
trial:
  backbone: !choice
    - {name: resnet18.tv_in1k, trainable_stages: 2}
    - {name: vgg16.tv_in1k, weights: none, frozen_bn: batch}
  descriptor_dim: !choice [64, 128]
  loss: !choice
    - {name: cosface, scale: !uniform [20, 40]}
    - {name: arcface}
  lr: !loguniform [1e-5, 1e-3]
  batch_size: !int [16, 32]
  seed: 5
  epochs: 9
search:
  sampler: {seed: 7}
  branch: {trunk_epochs: 2}
"""


def last_options(_, distribution):
    """The other corner of the space: each last option, each upper end."""
    return distribution.labels[-1] if hasattr(distribution, "labels") else distribution.high


def test_the_default_is_no_trunk(load):
    assert load("trial: {}").search.branch is None
    assert load("search: {branch: {}}").search.branch == BranchConfig(trunk_epochs=1)


def test_a_trunk_has_at_least_one_epoch(problems):
    (problem,) = problems("search: {branch: {trunk_epochs: 0}}")
    assert "search.branch.trunk_epochs" in problem
    assert "1" in problem


def test_architecture_of_the_trial_and_the_middle_of_the_space_for_the_rest(load):
    document = load(SPACE)
    trial = document.decide(last_options)
    trunk = trunk_trial(document, trial)
    assert trunk.resolved_backbone == BackboneConfig(
        name="vgg16.tv_in1k", weights="none", trainable_stages=None, frozen_bn="batch"
    )
    assert trunk.resolved_backbone == trial.resolved_backbone
    assert trunk.descriptor_dim == 128
    assert trunk.loss.name == "cosface"
    assert trunk.loss.scale == 30
    assert trunk.lr == pytest.approx(1e-4)
    assert trunk.batch_size == 24
    assert (trunk.epochs, trunk.seed) == (2, 7)
    assert TrialConfig.model_validate(trunk.model_dump()) == trunk


def test_a_trunk_is_a_function_of_the_architecture_alone(load):
    document = load(SPACE)
    keys = {}

    def corner(labels):
        """A trial whose architecture is given by the first two decisions."""

        def suggest(name, distribution):
            if name == "trial.backbone":
                return distribution.labels[labels[0]]
            if name == "trial.descriptor_dim":
                return distribution.labels[labels[1]]
            return labels[2](distribution)

        return document.decide(suggest)

    for backbone in (0, 1):
        for dim in (0, 1):
            for pick in (lambda d: d.centre, lambda d: last_options("", d)):
                trunk = trunk_trial(document, corner((backbone, dim, pick)))
                keys.setdefault((backbone, dim), set()).add(trunk_key(trunk))
    assert all(len(found) == 1 for found in keys.values())
    assert len({key for found in keys.values() for key in found}) == 4


def test_a_coupled_key_and_a_key_of_the_trial_are_one_architecture(load):
    coupled = load("trial: {backbone: {name: resnet18.tv_in1k, weights: none, trainable_stages: 1}}")
    apart = load("trial: {backbone: resnet18.tv_in1k, weights: none, trainable_stages: 1}")
    first, second = (trunk_trial(document, document.default_trial()[0]) for document in (coupled, apart))
    assert trunk_key(first) == trunk_key(second)


def test_the_key_is_a_plain_name_and_changes_with_the_trunk(load):
    document = load(SPACE)
    trial, _ = document.default_trial()
    key = trunk_key(trunk_trial(document, trial))
    assert key.removeprefix("trunk-").isalnum()
    longer = load(SPACE, "search.branch.trunk_epochs=3")
    assert trunk_key(trunk_trial(longer, trial)) != key


@pytest.mark.parametrize("uid", ["..", ".hidden", "a/b", "", "a" * 129])
def test_a_trunk_cannot_lie_elsewhere(uid):
    with pytest.raises(ValidationError):
        TrunkSpec(uid=uid, checkpoint="epoch_0001")


@pytest.mark.parametrize("checkpoint", ["../epoch_0001", "epoch_1", "epoch_0001/x", "", "epoch_0001\n"])
def test_a_trunks_checkpoint_is_an_epochs_folder(checkpoint):
    with pytest.raises(ValidationError):
        TrunkSpec(uid="s-ab12-0000", checkpoint=checkpoint)


def test_specs_written_before_there_were_trunks_are_read():
    spec = TrialSpec(search="s", uid="u", trial=TrialConfig(), data=DataConfig(train="t", val="v"))
    old = spec.model_dump(mode="json")
    del old["trunk"]
    assert TrialSpec.model_validate(old) == spec


def found_by(tmp_path, text):
    file = tmp_path / "space.yaml"
    file.write_text(text)
    root, problems = parse_yaml(read_text(file), Place(0, 1, 0, str(file)))
    assert problems == []
    return check_branch(variants(root))


@pytest.mark.parametrize(
    ("pooling", "line"),
    [
        ("{p: !uniform [2, 4]}", 3),
        ("!choice [{p: 2}, {p: 4}]", 3),
        ("!choice [{name: gem}, {p: 4}]", 3),
    ],
)
def test_a_searched_power_of_the_pooling_is_refused(tmp_path, pooling, line):
    text = f"search: {{branch: {{}}}}\ntrial:\n  pooling: {pooling}\n"
    (problem,) = found_by(tmp_path, text)
    assert problem.place.line == line
    assert problem.keys == ("trial", "pooling", "p")
    assert "write one value, or set search.branch to null" in problem.text
    assert found_by(tmp_path, text.replace("{branch: {}}", "{}")) == []


def test_a_file_with_both_is_refused_with_its_line(problems):
    (problem,) = problems("search: {branch: {}}\ntrial:\n  pooling: {p: !uniform [2, 4]}\n")
    assert "trial.pooling.p: cannot be searched beside search.branch" in problem


@pytest.mark.parametrize("pooling", ["{p: 3}", "{}", "null", "{p: wrong}"])
def test_one_power_is_fine_and_what_the_schema_refuses_is_left_to_it(tmp_path, pooling):
    assert found_by(tmp_path, f"search: {{branch: {{}}}}\ntrial:\n  pooling: {pooling}\n") == []

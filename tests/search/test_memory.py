import pytest

from vgsearch.config.trial import TrialConfig
from vgsearch.search.memory import Holding, would_run_out

RAN_OUT = TrialConfig(batch_size=64, image_px=320)
HALF = Holding(gpus=0.5)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"lr": 1.0e-3, "descriptor_dim": 128, "seed": 3}, True),
        ({"batch_size": 128}, True),
        ({"batch_size": 63}, False),
        ({"image_px": 256}, False),
        ({"backbone": "resnet50.tv_in1k"}, False),
        ({"trainable_stages": 1}, False),
        ({"domain": {"grl_alpha": 0.3}}, True),
    ],
)
def test_the_same_network_on_no_smaller_batches_is_not_tried_again(changed, expected):
    trial = TrialConfig.model_validate({**RAN_OUT.model_dump(), **changed})
    assert would_run_out(trial, HALF, RAN_OUT, HALF) == expected


def test_a_trial_without_target_images_may_fit_where_one_with_them_did_not():
    with_targets = TrialConfig.model_validate({**RAN_OUT.model_dump(), "domain": {"grl_alpha": 0.3}})
    assert not would_run_out(RAN_OUT, HALF, with_targets, HALF)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Holding(gpus=0.5), True),
        (Holding(gpus=0.25), True),
        (Holding(gpus=1.0), False),
        (Holding(gpus=1.0, processes=2), False),  # the batch is halved
        (Holding(gpus=2.0, processes=2), False),
    ],
)
def test_a_larger_share_of_the_memory_is_worth_a_try(now, expected):
    assert would_run_out(RAN_OUT, now, RAN_OUT, HALF) == expected

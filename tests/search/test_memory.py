import pytest

from vgsearch.config.trial import TrialConfig
from vgsearch.search.memory import would_run_out

RAN_OUT = TrialConfig(batch_size=64, image_px=320)


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
    assert would_run_out(trial, RAN_OUT) == expected


def test_a_trial_without_target_images_may_fit_where_one_with_them_did_not():
    with_targets = TrialConfig.model_validate({**RAN_OUT.model_dump(), "domain": {"grl_alpha": 0.3}})
    assert not would_run_out(RAN_OUT, with_targets)

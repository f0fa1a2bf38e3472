"""Results of tests are kept with the run of any model, for each way of scoring, in every store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vgsearch.errors import RegistryError
from vgsearch.registry.kept_tests import keep_test, kept_tests
from vgsearch.registry.scored_tests import TESTED_TAG

if TYPE_CHECKING:
    from vgsearch.registry.protocol import Registry
    from vgsearch.registry.records import ModelVersion

NATIVE = "1f0c2a9e7b3d5a60-25m-native-fullsize"
CROPPED = "1f0c2a9e7b3d5a60-25m-central_crop-480px"


@pytest.fixture
def version(registry: Registry, make_checkpoint: Callable[..., Path]) -> ModelVersion:
    registry.open_search("losses", params={}, config_text="")
    run = registry.open_trial("losses", "t0", label="t0", params={}, spec_text="")
    registry.record_checkpoint(run, make_checkpoint("t0", 1), search="losses", uid="t0", epoch=1)
    return registry.versions("losses")[0]


def test_each_way_of_scoring_is_kept_and_a_repeat_replaces(registry: Registry, version: ModelVersion) -> None:
    assert kept_tests(registry, version, "key") == []
    keep_test(registry, version, "key", "sf_xs", stamp=NATIVE, content=b"old")
    keep_test(registry, version, "key", "sf_xs", stamp=NATIVE, content=b"native")
    keep_test(registry, version, "key", "sf_xs", stamp=CROPPED, content=b"cropped")
    keep_test(registry, version, "key", "tokyo_xs", stamp=NATIVE, content=b"tokyo")
    keep_test(registry, version, "other", "sf_xs", stamp=NATIVE, content=b"of other weights")
    assert kept_tests(registry, version, "key") == [
        ("sf_xs", b"cropped"),
        ("sf_xs", b"native"),
        ("tokyo_xs", b"tokyo"),
    ]
    registry.log_scores(version.run_id, {}, {"test__day.npz": b"finale"}, tags={TESTED_TAG: "key"})
    assert ("day", b"finale") in kept_tests(registry, version, "key")
    assert ("day", b"finale") not in kept_tests(registry, version, "other")


def test_a_name_that_leads_elsewhere_is_refused(registry: Registry, version: ModelVersion) -> None:
    with pytest.raises(RegistryError, match="a test's name may hold only"):
        keep_test(registry, version, "key", "../sf_xs", stamp=NATIVE, content=b"")
    with pytest.raises(RegistryError):
        registry.kept_files(version, "tests/../..")
